import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as V8 from "node:v8"
import * as Vm from "node:vm"
import * as Backoff from "../../src/Backoff.ts"
import type { Cluster } from "../../src/Cluster.ts"
import * as ErrorCode from "../../src/ErrorCode.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as StartPositions from "../../src/consume/StartPositions.ts"

const many = 200
const { LEADER_NOT_AVAILABLE } = ErrorCode.codes

/** A topic of many partitions, of which none has a leader before it is `led`, and what is asked of its cluster. */
const make = () => {
  const leaders = new Map<number, number>()
  const asked = { leaders: 0, offsets: [] as Array<number> }
  const leaderOf = (partition: number) => leaders.get(partition) ?? -1
  const unled = (partition: number) => KafkaError.fromCode(LEADER_NOT_AVAILABLE, { topic: "t", partition })
  const waiting = (partition: number): Effect.Effect<void, KafkaError.KafkaError> =>
    Effect.suspend(() => {
      asked.leaders++
      return leaderOf(partition) >= 0 ? Effect.void : Effect.delay(Effect.fail(unled(partition)), "15 seconds")
    })
  const cluster = {
    retry: Backoff.schedule,
    known: () => ({
      partitions: Array.from({ length: many }, (_, partition) => ({ partition, leader: leaderOf(partition) }))
    }),
    leader: ({ partition }: { readonly partition: number }) => waiting(partition),
    offsets: (positions: ReadonlyArray<{ readonly partition: number }>) =>
      Effect.suspend(() => {
        asked.offsets.push(positions.length)
        return Effect.as(
          Effect.forEach(positions, ({ partition }) => waiting(partition), { discard: true }),
          positions.map(({ partition }) => partition)
        )
      })
  }
  return { asked, cluster: cluster as unknown as Cluster["Service"], leaders }
}

describe("partitions of a topic that have no leader", () => {
  it.effect("wait together, and each is told why, and goes on when it has one (a fiber each, a third of a core)", () =>
    Effect.gen(function* () {
      const { asked, cluster, leaders } = make()
      const found = new Map<number, number>()
      const told = new Map<number, Array<number | undefined>>()
      const given = new Set<number>()
      const wanted = Array.from({ length: many }, (_, partition) => ({
        partition: { topic: "t", partition },
        at: "earliest" as const
      }))
      const finding = yield* Effect.forkChild(
        StartPositions.find(
          { cluster, isolation: "uncommitted", while: ({ partition }) => !given.has(partition) },
          wanted,
          ({ partition }, offset) => Effect.sync(() => void found.set(partition.partition, offset)),
          ({ partition }, { reason }) =>
            Effect.sync(() => {
              told.set(partition, [...(told.get(partition) ?? []), reason.partition])
              return "again"
            })
        )
      )
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(asked, { leaders: 1, offsets: [] })
      // Each has heard why, by its own name.
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(told.size, many)
      for (const [partition, places] of told) assert.deepStrictEqual(places, [partition])
      assert.strictEqual(asked.leaders, 2)
      // One that is given back holds up none, though it is the one that asks.
      given.add(0)
      for (const partition of [7, 8, 9]) leaders.set(partition, 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([...found.keys()], [7, 8, 9])
      assert.deepStrictEqual(asked.offsets, [3])
      for (let partition = 1; partition < many; partition++) leaders.set(partition, 1 + (partition % 2))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(finding)
      assert.strictEqual(found.size, many - 1)
      assert.lengthOf(asked.offsets, 3)
    })
  )

  // A rebalance gave them to another member while their leader stood still: events and log told of them 14 s later.
  it.effect("are not told of once they were given back", () =>
    Effect.gen(function* () {
      for (const list of [[3], [3, 4, 5]]) {
        const { cluster, leaders } = make()
        // They have one, which does not answer.
        for (const partition of list) leaders.set(partition, 1)
        const silent = {
          ...cluster,
          offsets: () => Effect.delay(Effect.fail(KafkaError.fromCode(LEADER_NOT_AVAILABLE)), "15 seconds")
        }
        const given = new Set<number>()
        const told: Array<number> = []
        const finding = yield* Effect.forkChild(
          StartPositions.find(
            { cluster: silent, isolation: "uncommitted", while: ({ partition }) => !given.has(partition) },
            list.map((partition) => ({ partition: { topic: "t", partition }, at: "earliest" as const })),
            () => Effect.void,
            ({ partition }) => Effect.sync(() => (told.push(partition), "again" as const))
          )
        )
        yield* TestClock.adjust("10 seconds")
        for (const partition of list.slice(0, 2)) given.add(partition)
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(told, list.slice(2))
        for (const partition of list) given.add(partition)
        yield* TestClock.adjust("20 seconds")
        yield* Fiber.join(finding)
        assert.deepStrictEqual(told, list.slice(2))
      }
    })
  )

  it.effect(
    "are not held by those that still wait, where leaders come one by one (a list of all for each of them)",
    () =>
      Effect.gen(function* () {
        const { cluster, leaders } = make()
        const refs: Array<WeakRef<object>> = []
        const wanted = () =>
          Array.from({ length: many }, (_, partition) => {
            const one = { partition: { topic: "t", partition }, at: "earliest" as const }
            refs.push(new WeakRef(one))
            return one
          })
        let found = 0
        const finding = yield* Effect.forkChild(
          StartPositions.find(
            { cluster, isolation: "uncommitted", while: () => true },
            wanted(),
            () => Effect.sync(() => void found++),
            () => Effect.succeed("again")
          )
        )
        const left = 10
        for (let partition = 0; partition < many - left; partition++) {
          leaders.set(partition, 1)
          yield* TestClock.adjust("100 millis")
        }
        assert.strictEqual(found, many - left)
        V8.setFlagsFromString("--expose-gc")
        const collect = Vm.runInNewContext("gc") as () => void
        // What was looked at in this turn is kept until its end, and what the engine itself still has, for some turns.
        const isKept = () => refs.filter((ref) => ref.deref() !== undefined).length >= 2 * left
        for (let turns = 0; turns < 20; turns++) {
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
          collect()
          if (!isKept()) break
        }
        assert.isFalse(isKept())
        yield* Fiber.interrupt(finding)
      })
  )

  it.effect("end with what nothing cures, which one of them hears", () =>
    Effect.gen(function* () {
      const { cluster } = make()
      const refused = KafkaError.make({ _tag: "Misuse", message: "no more" })
      const error = yield* StartPositions.find(
        { cluster, isolation: "uncommitted", while: () => true },
        [0, 1].map((partition) => ({ partition: { topic: "t", partition }, at: "latest" as const })),
        () => Effect.void,
        ({ partition }) => (partition === 1 ? Effect.fail(refused) : Effect.succeed("again"))
      ).pipe(Effect.flip, Effect.forkChild, Effect.tap(TestClock.adjust("20 seconds")), Effect.flatMap(Fiber.join))
      assert.strictEqual(error, refused)
    })
  )
})
