import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ErrorCode, Membership } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { calm, committed, layer, Party, produce, until } from "./Party.ts"

describe.each(["consumer", "classic"] as const)("a member of a group (%s)", (kind) => {
  // It ended the consumer, where the heartbeat's same code is only that it is to join again.
  it.effect("joins again where the group is not there any more for its commit", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* produce(60)
      yield* broker.inject(Fault.on("OffsetCommit", { times: 1 }).error(ErrorCode.codes.GROUP_ID_NOT_FOUND))
      const party = new Party()
      const a = yield* party.join("a", { membership: Membership[kind](), commitInterval: "1 second" })
      yield* until(
        "everything is committed",
        Effect.map(committed, (sum) => sum === 60)
      )
      assert.isUndefined(a.running.pollUnsafe())
      yield* a.leave
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})

it.effect("offsets that are refused again and again as another member's are told as what holds it up", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* broker.inject(Fault.on("OffsetFetch").error(ErrorCode.codes.STALE_MEMBER_EPOCH))
    const party = new Party()
    const a = yield* party.join("a", { membership: Membership.consumer() })
    const told: Array<string> = []
    yield* Effect.forkScoped(
      Stream.runForEach(a.consumer.events, (event) => Effect.sync(() => told.push(event._tag))),
      { startImmediately: true }
    )
    for (let i = 0; i < 40; i++) {
      yield* calm
      yield* TestClock.adjust("250 millis")
    }
    assert.include(told, "Waiting")
    yield* a.leave
  }).pipe(Effect.scoped, Effect.provide(layer))
)
