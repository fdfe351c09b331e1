/** A member keeps its partitions until its Scope closes: where nobody reads them any more, that is told. */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Consumer } from "samsa"
import { heard, levelsOf, of } from "../Heard.ts"
import { fill, member, moving, one, orders, pass, scoped, until } from "./Harness.ts"

it.effect(
  "what a stream has failed of is told after 30 s, and by doubling, until the Scope closes (a stuck partition)",
  () =>
    Effect.gen(function* () {
      yield* fill(2)
      const { close, consumer } = yield* member()
      yield* Effect.forkScoped(Stream.runForEach(consumer.stream, () => Effect.fail("no")))
      yield* pass(25_000)
      assert.lengthOf(of("unread"), 0)
      yield* until("it is told", () => of("unread").length === 1, 15_000)
      assert.match(of("unread")[0]!.text, /^a consumer of group g keeps 1 partition that nobody reads since 3\d s/)
      yield* pass(65_000)
      assert.deepStrictEqual(levelsOf("unread"), ["Warn", "Warn"])
      yield* moving(close)
      yield* pass(300_000, 5_000)
      assert.lengthOf(of("unread"), 2)
    }).pipe(scoped, Effect.provide(one), heard)
)

it.effect("so is a stream that has ended, and nobody who is at work, has stopped, or is no member", () =>
  Effect.gen(function* () {
    yield* fill(2)
    const { close, consumer } = yield* member()
    yield* moving(Stream.runHead(consumer.stream))
    yield* until("it is told", () => of("unread").length === 1, 60_000)
    yield* moving(close)

    const works = yield* member({ group: "works" })
    yield* Effect.forkScoped(works.consumer.run(() => Effect.void))
    const stopped = yield* member({ group: "stopped" })
    const reading = yield* Effect.forkScoped(stopped.consumer.run(() => Effect.void))
    yield* until("all are assigned", () => works.events.length > 0 && stopped.events.length > 0)
    yield* stopped.consumer.stop
    yield* until("it has ended", () => reading.pollUnsafe() !== undefined)
    const alone = yield* Consumer.assign({ topic: orders, group: "alone", from: "earliest" })
    yield* moving(Stream.runHead(alone.stream))
    yield* pass(120_000, 1_000)
    assert.lengthOf(of("unread"), 1)
  }).pipe(scoped, Effect.provide(one), heard)
)
