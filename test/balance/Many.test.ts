/** Many members on many partitions, in memory, under the test's clock: that they converge, and what it costs ZooKeeper. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { KafkaTest } from "samsa/testing"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as Harness from "./Harness.ts"

const partitions = 64
const members = 40

it.effect(
  `${members} members on ${partitions} partitions converge, when they start at once, one joins, one leaves, one is gone`,
  () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const all: Array<Harness.Member> = []
      const costs: Array<{
        readonly what: string
        readonly millis: number
        readonly reads: number
        readonly writes: number
      }> = []
      let before = memory.counts()
      const settled = (what: string) =>
        Effect.gen(function* () {
          let millis = 0
          yield* Harness.calm
          for (; millis < 60_000 && !Harness.isBalanced(all, partitions); millis += 100) yield* Harness.tick
          if (!Harness.isBalanced(all, partitions)) {
            assert.fail(`${what}: ${JSON.stringify(all.map((one) => [...one.owned]))}`)
          }
          // until nobody has anything more to ask
          for (let last = -1; last !== memory.counts().reads; yield* Harness.calm) last = memory.counts().reads
          const { reads, writes } = memory.counts()
          costs.push({ what, millis, reads: reads - before.reads, writes: writes - before.writes })
          before = memory.counts()
        })
      yield* Effect.forEach(
        Array.from({ length: members - 1 }),
        () => Effect.map(Harness.join(memory), (member) => all.push(member)),
        { concurrency: "unbounded", discard: true }
      )
      yield* settled(`${members - 1} at once`)
      all.push(yield* Harness.join(memory))
      yield* settled("one joins")
      yield* all.shift()!.leave
      yield* settled("one leaves")
      yield* memory.cut(all.shift()!.session)
      yield* settled("one is gone")
      if (process.env.SAMSA_COSTS !== undefined)
        for (const cost of costs) process.stdout.write(`${JSON.stringify(cost)}\n`)
      for (const one of all) assert.deepStrictEqual(one.failures, [])
      // the last one waits for a session's end, with a heartbeat of each member every second
      for (const { reads, what } of costs.slice(1)) assert.isBelow(reads, members * 20, what)
    }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions }] }))),
  60_000
)
