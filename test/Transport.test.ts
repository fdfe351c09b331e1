import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Producer, Transport } from "samsa"
import { KafkaTest } from "../src/testing/index.ts"

describe("Transport", () => {
  it.effect("that cannot do what is needed is a typed failure, when that is asked for", () =>
    Effect.gen(function* () {
      const transport = yield* Transport.Transport
      assert.isTrue(transport.capabilities.idempotence)
      const plain = Transport.Transport.of({
        ...transport,
        name: "plain",
        capabilities: {
          transactions: false,
          acknowledge: false,
          idempotence: false,
          headerBytes: true,
          timestampZero: true,
          topicIds: false,
          leaderEpochs: false,
          skipsCorrupt: false
        }
      })
      const make = (options: Producer.Options) =>
        Effect.scoped(Effect.provideService(Producer.make(options), Transport.Transport, plain))
      const error = yield* Effect.flip(make({ idempotent: true }))
      assert.strictEqual(error.reason._tag, "Unsupported")
      assert.include(error.message, "plain")
      yield* make({})
    }).pipe(Effect.provide(KafkaTest.layer()))
  )
})
