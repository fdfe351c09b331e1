import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Membership, Producer } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { calm, orders, partitions, Party, produce } from "./Party.ts"

/** Nobody has asked for the topic before. */
const layer = KafkaTest.layer({ brokers: 2, topics: [{ name: orders, partitions }] })

const pass = (seconds: number) =>
  Effect.gen(function* () {
    for (let i = 0; i < seconds * 4; i++) {
      yield* calm
      yield* TestClock.adjust("250 millis")
    }
  })

// It joined all the same when it could, held partitions whose records nobody read, and kept them from the others.
describe("a consumer that is stopped before its membership has come into being", () => {
  it.effect.each([
    ["auto", "FindCoordinator"],
    ["auto", "Metadata"],
    ["consumer", "Metadata"],
    ["classic", "Metadata"]
  ] as const)("leaves everything to the others (%s, while %s fails)", ([kind, api]) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const fault = yield* broker.inject(Fault.on(api).error(api === "Metadata" ? 5 : 15))
      const party = new Party()
      const stopped = yield* party.join("a", { membership: Membership[kind]() })
      yield* pass(1)
      yield* stopped.consumer.stop
      yield* pass(1)
      yield* fault.remove
      yield* pass(10)
      yield* Effect.provide(produce(60), Producer.layer())
      const other = yield* party.join("b", { membership: Membership[kind]() })
      yield* pass(30)
      assert.strictEqual(party.handled.length, 60)
      assert.strictEqual((yield* broker.group("g"))?.members.length, 1)
      yield* stopped.leave
      yield* other.leave
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})
