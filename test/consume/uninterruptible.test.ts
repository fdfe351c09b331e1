/** What the application wrote and nobody can interrupt, or what does not end: no budget waits for it. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Stream } from "effect"
import { Compression, Consumer, GroupOffsets, Membership } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import { calm, committed, fill, member, one, orders, p0, pass, scoped, tags, until } from "./Harness.ts"

const budgets = {
  drainTimeout: "5 seconds",
  closeTimeout: "3 seconds",
  membership: Membership.classic({ rebalanceTimeout: "20 seconds", sessionTimeout: "10 seconds" })
} as const

/** Never ends by itself nor by an interruption, until the test is over. */
const stuck = Effect.gen(function* () {
  const gate = yield* Deferred.make<void>()
  yield* Effect.addFinalizer(() => Deferred.done(gate, Exit.void))
  return Effect.uninterruptible(Deferred.await(gate))
})

const gzip = Compression.gzip()

/** How long closing takes, in milliseconds. */
const closed = (close: Effect.Effect<void>) =>
  Effect.gen(function* () {
    const closing = yield* Effect.forkDetach(close, { startImmediately: true })
    return yield* until("it is closed", () => closing.pollUnsafe() !== undefined)
  })

type Order = Consumer.RecordOf<typeof orders>

describe("a consumer closes within its budget, and its group goes on, whatever hangs", () => {
  for (const hook of ["onRevoked", "onLost", "onAssigned"] as const)
    it.effect(hook, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const hangs = yield* stuck
        let hooks = 0
        const { close, consumer, events } = yield* member({
          ...budgets,
          [hook]: () =>
            Effect.andThen(
              Effect.sync(() => void hooks++),
              hangs
            )
        })
        yield* Effect.forkScoped(Effect.exit(consumer.run(() => Effect.void)))
        yield* until("it is assigned", () => tags(events).includes("Assigned"))
        if (hook === "onLost") yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(25))
        const other = yield* member(budgets)
        yield* until("the other joins", () => tags(other.events).includes("Assigned"))
        yield* until("the hook runs", () => hooks > 0)
        // Nobody waits for the hook in the end: it is a member again.
        yield* until("both are members", () =>
          Effect.map(broker.group("g"), (group) => group?.state === "Stable" && group.members.length === 2)
        )
        assert.isAtMost(yield* closed(close), 4_000)
        yield* closed(other.close)
      }).pipe(scoped, Effect.provide(one))
    )

  const ways: Record<
    string,
    (consumer: Consumer.Consumer<Order>, hangs: Effect.Effect<void>) => Effect.Effect<unknown, unknown>
  > = {
    "a handler of run": (consumer, hangs) => consumer.run(() => hangs),
    "a pipeline of eachPartition": (consumer, hangs) =>
      consumer.eachPartition(({ records }) => Stream.runForEach(records, () => hangs)),
    "the end of a pipeline": (consumer, hangs) =>
      consumer.eachPartition(({ records }) => Effect.ensuring(Stream.runForEach(records, Consumer.done), hangs))
  }
  for (const [what, read] of Object.entries(ways))
    it.effect(what, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* fill(3)
        const hangs = yield* stuck
        const { close, consumer } = yield* member(budgets)
        yield* Effect.forkDetach(read(consumer, hangs))
        yield* broker.awaitGroup("g", { state: "Stable", members: 1 })
        yield* pass(1_000)
        assert.isAtMost(yield* closed(close), 4_000)
        assert.lengthOf((yield* broker.group("g"))?.members ?? [], 0)
      }).pipe(scoped, Effect.provide(one))
    )
})

describe("a hook that is interrupted by something of the application's own", () => {
  it.effect("is told, where it is onRevoked: the group goes on at once", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { close, consumer, events } = yield* member({ ...budgets, onRevoked: () => Effect.interrupt })
      yield* Effect.forkScoped(Effect.exit(consumer.run(() => Effect.void)))
      yield* until("it is assigned", () => tags(events).includes("Assigned"))
      const other = yield* member(budgets)
      const took = yield* until(
        "both are members",
        () => Effect.map(broker.group("g"), (group) => group?.state === "Stable" && group.members.length === 2),
        30_000
      )
      assert.isBelow(took, 10_000)
      assert.include(tags(events), "Revoked")
      yield* closed(close)
      yield* closed(other.close)
    }).pipe(scoped, Effect.provide(one))
  )

  it.effect("ends the consumer, where it is onAssigned: nothing would ever be read", () =>
    Effect.gen(function* () {
      const { consumer } = yield* member({ ...budgets, onAssigned: () => Effect.interrupt })
      const reading = yield* Effect.forkScoped(Effect.exit(Stream.runDrain(consumer.stream)))
      yield* until("it ends", () => reading.pollUnsafe() !== undefined, 10_000)
      assert.include(String(reading.pollUnsafe()), "interrupted, and not by this consumer")
    }).pipe(scoped, Effect.provide(one))
  )
})

it.effect("a commit by hand takes commitTimeout at most, also where who keeps the offsets cannot be interrupted", () =>
  Effect.gen(function* () {
    const keeper = yield* GroupOffsets.GroupOffsets
    const own = { ...keeper, commit: () => Effect.uninterruptible(Effect.never) }
    const { close, consumer } = yield* Effect.provideService(
      member({ ...budgets, commitTimeout: "2 seconds", commitInterval: "Infinity" }),
      GroupOffsets.GroupOffsets,
      own
    )
    const commit = yield* Effect.forkDetach(Effect.flip(consumer.commit([{ ...p0, offset: 1 }])))
    const took = yield* until("it is told", () => commit.pollUnsafe() !== undefined, 10_000)
    assert.isAtMost(took, 2_500)
    assert.match(String(commit.pollUnsafe()), /commitTimeout/)
    yield* closed(close)
  }).pipe(scoped, Effect.provide(one))
)

it.effect(
  "a commit that was left does not undo later ones, as it ends late (the next consumer read on from before)",
  () =>
    Effect.gen(function* () {
      yield* fill(9)
      const keeper = yield* GroupOffsets.GroupOffsets
      const gate = yield* Deferred.make<void>()
      let commits = 0
      const own: typeof keeper = {
        ...keeper,
        commit: (...all) =>
          commits++ === 0
            ? Effect.uninterruptible(Effect.andThen(Deferred.await(gate), keeper.commit(...all)))
            : keeper.commit(...all)
      }
      const { close, consumer } = yield* Effect.provideService(
        member({ ...budgets, commitTimeout: "2 seconds", commitInterval: "Infinity" }),
        GroupOffsets.GroupOffsets,
        own
      )
      const byHand = (offset: number) =>
        Effect.forkDetach(Effect.exit(consumer.commit([{ ...p0, offset }])), { startImmediately: true })
      const first = yield* byHand(3)
      yield* until("the first is left", () => first.pollUnsafe() !== undefined, 10_000)
      const later = yield* byHand(9)
      yield* calm
      yield* Deferred.succeed(gate, undefined)
      yield* until("the later one is through", () => later.pollUnsafe() !== undefined, 10_000)
      yield* pass(1_000)
      assert.deepStrictEqual(yield* committed(), { "orders-0": 9 })
      yield* closed(close)
    }).pipe(scoped, Effect.provide(one))
)

describe("a partition that is lost while a codec of the application's own hangs", () => {
  it.effect("is handled by nobody any more: who reads it is interrupted before anything is waited for", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const value = Buffer.alloc(2 << 20)
      yield* fill(10)
      yield* broker.append(
        "orders",
        0,
        RecordBatch.encode([{ key: null, value, headers: [], timestamp: 0 }], { compression: gzip })
      )
      const { consumer, events } = yield* member(budgets)
      const begun: Array<number> = []
      yield* Effect.forkScoped(
        Effect.exit(
          Stream.runForEach(consumer.stream, (record) =>
            Effect.andThen(
              Effect.sync(() => begun.push(record.offset)),
              Effect.sleep("1 second")
            )
          )
        )
      )
      yield* until("it is at work", () => begun.length === 2)
      yield* broker.inject(Fault.on("Heartbeat", { times: 1 }).error(25))
      yield* until("it is lost", () => tags(events).includes("Lost"), 20_000)
      const before = begun.length
      yield* calm
      yield* pass(5_000)
      assert.strictEqual(begun.length, before)
    }).pipe(
      scoped,
      Effect.provide(
        one.pipe(
          Layer.provideMerge(
            Compression.layer({ ...gzip, decompressLarge: () => Effect.uninterruptible(Effect.never) })
          )
        )
      )
    )
  )
})

describe("a Membership of one's own", () => {
  const own = (
    broken: Partial<Membership.Member>,
    more: Partial<Membership.Membership> = {}
  ): Membership.Membership => ({
    name: "own",
    mistakes: [],
    rebalanceTimeout: undefined,
    join: ({ owner }) =>
      Effect.as(owner.assigned([p0]), {
        identity: () => Membership.anonymous,
        commitRefused: () => {},
        closing: Effect.void,
        leave: Effect.void,
        ...broken
      }),
    ...more
  })
  const closing = { drainTimeout: "2 seconds", closeTimeout: "8 seconds" } as const

  const parts: Record<string, readonly [Partial<Membership.Member>, readonly [number, number]]> = {
    "closing hangs": [{ closing: Effect.never }, [2_000, 2_500]],
    "closing cannot be interrupted": [{ closing: Effect.uninterruptible(Effect.never) }, [2_000, 2_500]],
    "closing dies": [{ closing: Effect.die("a mistake") }, [0, 0]],
    "closing is interrupted": [{ closing: Effect.interrupt }, [0, 0]],
    "leave hangs": [{ leave: Effect.never }, [6_000, 6_500]],
    "leave dies": [{ leave: Effect.die("a mistake") }, [0, 0]]
  }
  for (const [what, [broken, [least, most]]] of Object.entries(parts))
    it.effect(`whose ${what} outlasts no closeTimeout: what was done is committed, and it leaves`, () =>
      Effect.gen(function* () {
        yield* fill(3)
        let left = 0
        const leave = Effect.andThen(
          Effect.sync(() => void left++),
          broken.leave ?? Effect.void
        )
        const { close, consumer, events } = yield* member({ ...closing, membership: own({ ...broken, leave }) })
        let handled = 0
        yield* Effect.forkDetach(Effect.exit(consumer.run(() => Effect.sync(() => void handled++))))
        yield* until("all are handled", () => handled === 3)
        const took = yield* closed(close)
        assert.isAtLeast(took, least)
        assert.isAtMost(took, most)
        assert.deepStrictEqual(yield* committed(), { "orders-0": 3 })
        assert.strictEqual(left, 1)
        assert.include(tags(events), "Revoked")
      }).pipe(scoped, Effect.provide(one))
    )

  for (const [how, commit] of Object.entries({ dies: Effect.die("a mistake"), "is interrupted": Effect.interrupt }))
    it.effect(`is left where the last commit of its keeper of offsets ${how}`, () =>
      Effect.gen(function* () {
        yield* fill(3)
        let left = 0
        const offsets = Effect.succeed({ fetch: () => Effect.succeed(new Map()), commit: () => commit })
        const leave = Effect.sync(() => void left++)
        const { close, consumer } = yield* member({
          ...closing,
          commitInterval: "Infinity",
          membership: own({ leave }, { offsets })
        })
        let handled = 0
        yield* Effect.forkDetach(Effect.exit(consumer.run(() => Effect.sync(() => void handled++))))
        yield* until("all are handled", () => handled === 3)
        assert.isAtMost(yield* closed(close), 8_000)
        assert.strictEqual(left, 1)
      }).pipe(scoped, Effect.provide(one))
    )

  it.effect("whose closing hangs holds up no consumer.stop", () =>
    Effect.gen(function* () {
      yield* fill(3)
      const { close, consumer } = yield* member({ ...closing, membership: own({ closing: Effect.never }) })
      const reading = yield* Effect.forkScoped(Stream.runDrain(Stream.tap(consumer.stream, Consumer.done)))
      yield* Effect.forkScoped(consumer.stop)
      assert.isAtMost(yield* until("the stream ends", () => reading.pollUnsafe() !== undefined), 2_500)
      yield* closed(close)
    }).pipe(scoped, Effect.provide(one))
  )
})
