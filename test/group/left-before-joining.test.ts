import { assert, it } from "@effect/vitest"
import { Effect, Exit, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Membership } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { calm, orders, partitions } from "./Party.ts"

const layer = KafkaTest.layer({ brokers: 2, topics: [{ name: orders, partitions }] })

// Its join waited for the pattern's metadata, and went out after it had left: a member that nobody was, whose partitions
// nobody read for a whole session.
it.effect("a member that leaves while it joins does not join after that, at whichever moment", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* broker.inject(Fault.on("ConsumerGroupHeartbeat").delay("100 millis"))
    yield* broker.inject(Fault.on("Metadata").delay("100 millis"))
    for (let moment = 0; moment < 600; moment += 25) {
      const scope = yield* Scope.make()
      const pass = (millis: number) =>
        Effect.gen(function* () {
          for (let at = 0; at < millis; at += 25) {
            yield* calm
            yield* TestClock.adjust(25)
          }
        })
      const consumer = yield* Scope.provide(
        Consumer.subscribePattern({
          group: "g",
          pattern: /^ord/,
          from: "earliest",
          membership: Membership.consumer()
        }),
        scope
      )
      yield* Effect.forkDetach(Effect.ignore(Stream.runDrain(consumer.stream)))
      yield* pass(moment)
      const closing = yield* Effect.forkDetach(Scope.close(scope, Exit.void))
      for (let i = 0; i < 600 && closing.pollUnsafe() === undefined; i++) yield* pass(100)
      yield* pass(1000)
      assert.strictEqual((yield* broker.group("g"))?.members.length ?? 0, 0, `closed after ${moment} ms`)
    }
  }).pipe(Effect.scoped, Effect.provide(layer))
)
