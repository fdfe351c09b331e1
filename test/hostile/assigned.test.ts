/** Assignments that no coordinator gives: partitions that stand twice, that cannot be, and more of them than any has. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Consumer from "../../src/Consumer.ts"
import * as Membership from "../../src/Memberships.ts"
import * as Answers from "./Answers.ts"
import * as InProcess from "./InProcess.ts"

/** What a member of the consumer protocol tells, whose coordinator gives it these, and how it ends. */
const toldBy = (partitions: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const { layer } = yield* InProcess.make({ partitions: 2, answers: Answers.giving(partitions) })
    return yield* Effect.gen(function* () {
      const consumer = yield* Consumer.subscribe({
        group: "g",
        topics: ["t"],
        from: "earliest",
        drainTimeout: "1 second",
        closeTimeout: "1 second",
        membership: Membership.consumer()
      })
      const events: Array<Consumer.ConsumerEvent> = []
      yield* Effect.forkScoped(
        Stream.runForEach(consumer.events, (event) => Effect.sync(() => events.push(event))),
        { startImmediately: true }
      )
      const reading = yield* Effect.forkScoped(Effect.exit(Stream.runDrain(consumer.stream)), {
        startImmediately: true
      })
      for (let i = 0; i < 200; i++) yield* TestClock.adjust("10 millis")
      yield* Effect.forkDetach(TestClock.adjust("1 minute"))
      return { events, end: String(reading.pollUnsafe()) }
    }).pipe(Effect.scoped, Effect.provide(Layer.fresh(layer)))
  })

describe("a member of the consumer protocol", () => {
  it.effect("takes each partition once, and none that cannot be (assigned-twice-by-id)", () =>
    Effect.gen(function* () {
      const assigned = (yield* toldBy([0, 1, 0, -1])).events.flatMap((event) =>
        event._tag === "Assigned" ? [event.partitions.map(({ partition }) => partition)] : []
      )
      assert.deepStrictEqual(assigned, [[0, 1]])
    })
  )

  it.effect("ends of more partitions than any member has (50000-assigned)", () =>
    Effect.gen(function* () {
      const { end, events } = yield* toldBy(Array.from({ length: 262_145 }, (_, i) => i))
      assert.notInclude(
        events.map(({ _tag }) => _tag),
        "Assigned"
      )
      assert.include(end, "Corrupt: ConsumerGroupHeartbeatResponse")
      assert.include(end, "it tells of 262145 partitions")
    })
  )
})

it.effect(
  "who takes a topic reads also a partition that metadata left out at first (nobody did, and nobody heard)",
  () =>
    Effect.gen(function* () {
      const fetched = new Set<number>()
      const answers: Answers.Options["answers"] = {
        Metadata: ({ count }, healthy) => {
          const told = healthy() as { readonly topics: ReadonlyArray<{ readonly partitions: ReadonlyArray<any> }> }
          const topics = told.topics.map((topic) => ({
            ...topic,
            partitions: topic.partitions.filter(({ partitionIndex }) => count > 3 || partitionIndex !== 1)
          }))
          return { ...told, topics }
        },
        Fetch: ({ body }, healthy) => {
          for (const { partitions } of body.topics) for (const { partition } of partitions) fetched.add(partition)
          return healthy()
        }
      }
      const { layer } = yield* InProcess.make({ partitions: 3, answers })
      yield* Effect.gen(function* () {
        const consumer = yield* Consumer.assign({ topic: "t", from: "earliest" })
        yield* Effect.forkScoped(Stream.runDrain(consumer.stream), { startImmediately: true })
        for (let i = 0; i < 100; i++) yield* TestClock.adjust("100 millis")
        assert.sameMembers([...fetched], [0, 1, 2])
      }).pipe(Effect.scoped, Effect.provide(Layer.fresh(layer)))
    })
)
