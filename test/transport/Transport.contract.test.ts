/** The contract over the engines that need nothing but this process. */
import { describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { EmbeddedKafka, KafkaTest, MemoryKafka } from "samsa/testing"
import * as Contract from "./contract.ts"

describe("the contract of Transport: native", () => {
  Contract.suite((title, body) =>
    it.live(title, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.createTopic({ name: "contract", partitions: 3 })
        yield* body("contract")
      }).pipe(Effect.provide(KafkaTest.layer()))
    )
  )
})

describe("the contract of Transport: in memory", () => {
  Contract.suite((title, body) =>
    it.live(title, () => Effect.provide(body("contract"), MemoryKafka.layer({ topics: { contract: 3 } })))
  )
})
