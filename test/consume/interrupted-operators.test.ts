/** Operators that pull in a fiber of their own: whoever is interrupted there alone tells nobody, and the pipeline stands. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Stream } from "effect"
import { Assignor, Consumer, Membership } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { calm, fill, member, one, scoped, tags, two, until } from "./Harness.ts"

type Read = Effect.Success<ReturnType<typeof member>>["consumer"]
type Record = Read["stream"] extends Stream.Stream<infer A, any> ? A : never

/** The first record is marked; with the others it is at work for ever. */
const pipelines: {
  readonly [name: string]: (
    read: Read,
    handle: (record: Record) => Effect.Effect<void>
  ) => Effect.Effect<unknown, unknown>
} = {
  "mapEffect with concurrency": ({ stream }, handle) =>
    Stream.runDrain(Stream.mapEffect(stream, handle, { concurrency: 4 })),
  "mapEffect without order": ({ stream }, handle) =>
    Stream.runDrain(Stream.mapEffect(stream, handle, { concurrency: 4, unordered: true })),
  groupedWithin: ({ stream }, handle) =>
    Stream.runForEach(Stream.groupedWithin(stream, 2, "1 second"), (window) => Effect.forEach(window, handle)),
  "flatMap with concurrency": ({ stream }, handle) =>
    Stream.runDrain(Stream.flatMap(stream, (record) => Stream.fromEffect(handle(record)), { concurrency: 4 })),
  switchMap: ({ stream }, handle) =>
    Stream.runDrain(Stream.switchMap(stream, (record) => Stream.fromEffect(handle(record)))),
  groupByKey: ({ stream }, handle) =>
    Stream.runDrain(
      Stream.flatMap(
        Stream.groupByKey(stream, ({ offset }) => offset % 2),
        ([, records]) => Stream.mapEffect(records, handle),
        { concurrency: "unbounded" }
      )
    ),
  "buffer behind mapEffect": ({ stream }, handle) =>
    Stream.runDrain(Stream.buffer(Stream.mapEffect(stream, handle, { concurrency: 4 }), { capacity: 2 })),
  "Consumer.takeUntilIdle": ({ stream }, handle) =>
    stream.pipe(Consumer.takeUntilIdle("1 minute"), Stream.runForEach(handle)),
  "Consumer.stopWhen": ({ stream }, handle) =>
    stream.pipe(Stream.mapEffect(handle, { concurrency: 4 }), Consumer.stopWhen(Effect.never), Stream.runDrain),
  "mapEffect behind Consumer.takeUntilIdle": ({ stream }, handle) =>
    stream.pipe(Consumer.takeUntilIdle("1 minute"), Stream.mapEffect(handle, { concurrency: 4 }), Stream.runDrain),
  "mapEffect behind Consumer.stopWhen": ({ stream }, handle) =>
    stream.pipe(Consumer.stopWhen(Effect.never), Stream.mapEffect(handle, { concurrency: 4 }), Stream.runDrain),
  "records of partitions": ({ partitions }, handle) =>
    Stream.runDrain(
      Stream.flatMap(partitions, ({ records }) => Stream.mapEffect(records, handle, { concurrency: 4 }), {
        concurrency: "unbounded"
      })
    )
}

describe("a pipeline whose operators pull in fibers of their own", () => {
  for (const [name, pipeline] of Object.entries(pipelines))
    it.effect(
      `is interrupted where its partition is lost: ${name} (it stood still for ever, its handlers went on)`,
      () =>
        Effect.gen(function* () {
          yield* fill(3)
          const a = yield* member()
          let working = 0
          const handle = (record: Record) =>
            Effect.suspend(() => {
              working++
              return record.offset === 0 ? Consumer.done(record) : Effect.never
            }).pipe(Effect.ensuring(Effect.sync(() => working--)))
          const reading = yield* Effect.forkScoped(Effect.exit(pipeline(a.consumer, handle)))
          yield* until("it is at work", () => working > 0)
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(25))
          yield* until("it is lost", () => tags(a.events).includes("Lost"))
          yield* calm
          assert.strictEqual(working, 0)
          const exit = reading.pollUnsafe()
          assert(exit !== undefined, "the pipeline has not ended")
          assert.isTrue(Exit.hasInterrupts(Exit.isSuccess(exit) ? exit.value : exit))
        }).pipe(scoped, Effect.provide(one))
    )

  it.effect("is not interrupted for a partition that another fiber handles (takeUntilIdle took all for its own)", () =>
    Effect.gen(function* () {
      yield* fill(1, 0)
      yield* fill(1, 1)
      const membership = Membership.classic({ assignors: [Assignor.cooperativeSticky] })
      const a = yield* member({ membership, drainTimeout: "3 seconds" })
      const handled: Array<string> = []
      const handle = (record: Record) =>
        Effect.suspend(() => {
          handled.push(`${record.partition}: ${record.value}`)
          return record.partition === 1 ? Effect.never : Consumer.done(record)
        })
      const reading = yield* a.consumer.partitions.pipe(
        Stream.mapEffect(({ records }) => Effect.exit(Stream.runForEach(records, handle)), {
          concurrency: "unbounded",
          unordered: true
        }),
        Consumer.takeUntilIdle("10 minutes"),
        Stream.runDrain,
        Effect.forkScoped
      )
      yield* until("both are at work", () => handled.length === 2)
      const b = yield* member({ membership })
      yield* Effect.forkScoped(b.consumer.run(() => Effect.void))
      yield* until("one is given away", () => tags(b.events).includes("CaughtUp"))
      assert.include(tags(a.events), "RevokeTimedOut")
      yield* fill(1, 0, 1)
      yield* until("the other goes on", () => handled.includes("0: v1"))
      assert.isUndefined(reading.pollUnsafe())
    }).pipe(scoped, Effect.provide(two))
  )
})
