/**
 * Members on real ZooKeepers, without a consumer: an ensemble of three that loses one after the other, its leader among
 * them; one that is parted; and 40 members on 64 partitions. At no moment has a partition two owners.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Schedule, type Scope } from "effect"
import { KafkaTest } from "samsa/testing"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as Harness from "../balance/Harness.ts"
import * as ZooKeeperEnsemble from "./ZooKeeperEnsemble.ts"

/** A session of its own for each member, as in a process of its own. */
const clients = (connect: string, sessionTimeout: number) => ({
  connect: () => ZooKeeper.make({ connect, sessionTimeout, requestTimeout: "20 seconds" })
})

/** Looks all the time whether somebody owns what another does. */
const watchOwners = (members: ReadonlyArray<Harness.Member>) =>
  Effect.gen(function* () {
    const violations: Array<string> = []
    yield* Effect.forkScoped(
      Effect.repeat(
        Effect.sync(() => {
          const owned = members.flatMap((one) => [...one.owned])
          if (new Set(owned).size < owned.length) violations.push(JSON.stringify(members.map((one) => [...one.owned])))
        }),
        Schedule.spaced(5)
      )
    )
    return violations
  })

const balanced = (members: ReadonlyArray<Harness.Member>, partitions: number, seconds: number) =>
  Effect.gen(function* () {
    const started = performance.now()
    for (; performance.now() - started < seconds * 1000; yield* Effect.sleep(20)) {
      if (Harness.isBalanced(members, partitions)) return performance.now() - started
    }
    return assert.fail(
      `not balanced within ${seconds} s: ${JSON.stringify(members.map((one) => [...one.owned]))} ${members.flatMap((one) => one.failures.map(String))}`
    )
  })

describe("members on real ZooKeepers", () => {
  const test = (title: string, body: Effect.Effect<void, unknown, any>) =>
    it.live(
      title,
      () =>
        body.pipe(
          Effect.scoped,
          Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 64 }] })),
          Effect.tapCause((cause) => Effect.sync(() => process.stderr.write(`${Cause.pretty(cause)}\n`)))
        ) as Effect.Effect<void, unknown, Scope.Scope> as Effect.Effect<void>
    )

  test(
    "of an ensemble of three one after the other is killed and comes back: nobody has what another has, and all is owned",
    Effect.gen(function* () {
      const { connect, nodes } = yield* ZooKeeperEnsemble.make(3)
      const memory = clients(connect, 6000)
      const members = yield* Effect.forEach(Array.from({ length: 5 }), () => Harness.join(memory, () => 50))
      const violations = yield* watchOwners(members)
      yield* balanced(members, 64, 30)
      for (const node of nodes) {
        yield* node.kill
        yield* Effect.sleep("2 seconds")
        yield* balanced(members, 64, 40)
        yield* node.start
        yield* Effect.sleep("1 second")
      }
      // without a majority nothing is answered, and everything is lost in time
      yield* nodes[0]!.kill
      yield* nodes[1]!.kill
      for (let i = 0; i < 400 && members.some((one) => one.owned.size > 0); i++) yield* Effect.sleep(50)
      assert.deepStrictEqual(
        members.map((one) => one.owned.size),
        [0, 0, 0, 0, 0]
      )
      yield* nodes[0]!.start
      yield* balanced(members, 64, 60)
      assert.deepStrictEqual(violations, [])
      for (const one of members) assert.deepStrictEqual(one.failures, [])
    })
  )

  test(
    "a follower loses its leader, and goes on answering its member: what that has is lost before others claim it (zk-13)",
    Effect.gen(function* () {
      const { nodes, ways } = yield* ZooKeeperEnsemble.make(3)
      const isLeader = yield* Effect.forEach(nodes, ZooKeeperEnsemble.leads)
      const [follower, leader] = [isLeader.indexOf(false), isLeader.indexOf(true)]
      const at = (i: number) => clients(`127.0.0.1:${nodes[i]!.port}`, 2000)
      // shorter than it takes the follower to notice: 4 ticks of a second
      const members = [yield* Harness.join(at(follower)), yield* Harness.join(at(leader))] as const
      const violations = yield* watchOwners(members)
      yield* balanced(members, 64, 30)
      yield* ways[follower]![leader]!.pause
      yield* balanced([members[1]], 64, 30)
      assert.deepStrictEqual(violations, [])
      yield* ways[follower]![leader]!.resume
      yield* balanced(members, 64, 60)
      assert.deepStrictEqual(violations, [])
    })
  )

  test(
    "40 members on 64 partitions",
    Effect.gen(function* () {
      const { connect } = yield* ZooKeeperEnsemble.make(1)
      const memory = clients(connect, 10_000)
      const members: Array<Harness.Member> = []
      const violations = yield* watchOwners(members)
      yield* Effect.forEach(
        Array.from({ length: 40 }),
        () => Effect.map(Harness.join(memory), (member) => void members.push(member)),
        { concurrency: 40, discard: true }
      )
      const first = yield* balanced(members, 64, 60)
      yield* members.shift()!.leave
      const second = yield* balanced(members, 64, 60)
      process.stdout.write(
        `40 members: balanced ${Math.round(first)} ms after the last joined, ${Math.round(second)} ms after one left\n`
      )
      assert.deepStrictEqual(violations, [])
      for (const one of members) assert.deepStrictEqual(one.failures, [])
    })
  )
})
