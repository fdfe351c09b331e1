import { assert, it } from "@effect/vitest"
import { Effect, Exit, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import * as Heard from "../Heard.ts"
import { orders, partitions } from "./Party.ts"

const layer = KafkaTest.layer({ topics: [{ name: orders, partitions }], groupInitialRebalanceDelay: "1 minute" })

// The coordinator answers the join of a member that leaves with UNKNOWN_MEMBER_ID, and a program that was stopped while
// its group formed said in the end that it waits for that.
it.effect("a member that leaves while its group forms warns of nothing", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const scope = yield* Scope.make()
    const consumer = yield* Scope.provide(Consumer.subscribe({ group: "g", topics: [orders], from: "earliest" }), scope)
    yield* Effect.forkDetach(Effect.ignore(Stream.runDrain(consumer.stream)))
    yield* KafkaTest.advanceUntil(broker.awaitGroup("g", { members: 1 }))
    yield* KafkaTest.advanceUntil(Scope.close(scope, Exit.void))
    yield* TestClock.adjust("1 minute")
    assert.deepStrictEqual(Heard.loud(), [])
  }).pipe(Effect.provide(layer), Heard.heard)
)
