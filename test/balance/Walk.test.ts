/**
 * Random walks of members that come and go while ZooKeeper and the ways to it fail. At no moment has a partition two
 * owners; when the trouble is over the group is balanced, and nothing is left of those that have gone. `SAMSA_SEEDS=n`
 * walks n of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as Harness from "./Harness.ts"

const seeds = Number(process.env.SAMSA_SEEDS ?? 6)

/** mulberry32 */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

describe("a random walk", () => {
  for (let seed = 1; seed <= seeds; seed++) {
    it.effect(
      `${seed}`,
      () =>
        Effect.gen(function* () {
          const next = random(seed)
          const pick = (count: number) => Math.floor(next() * count)
          const memory = yield* ZooKeeper.makeMemory
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const members: Array<Harness.Member> = []
          const leaving: Array<Fiber.Fiber<void>> = []
          const everybody: Array<Harness.Member> = []
          const trace: Array<string> = []
          let partitions = 5
          const look = () => {
            const owners = new Map<number, number>()
            everybody.forEach((member, i) => {
              for (const partition of member.owned) {
                const other = owners.get(partition)
                if (other !== undefined)
                  assert.fail(`${partition} has two owners, ${other} and ${i}: ${trace.join(", ")}`)
                owners.set(partition, i)
              }
            })
          }
          const pass = (ticks: number) =>
            Effect.gen(function* () {
              for (let i = 0; i < ticks; i++) {
                yield* Harness.tick
                look()
              }
            })
          const someone = () => members[pick(members.length)]
          const actions: ReadonlyArray<readonly [string, () => Effect.Effect<unknown, any, any>]> = [
            [
              "join",
              () =>
                Effect.gen(function* () {
                  if (members.length >= 5) return
                  const joining = yield* Effect.forkChild(Harness.join(memory, () => pick(4) * 300))
                  for (let i = 0; i < 20 && joining.pollUnsafe() === undefined; i++) yield* pass(1)
                  const member = yield* Fiber.join(joining)
                  members.push(member)
                  everybody.push(member)
                })
            ],
            [
              "leave",
              () =>
                Effect.gen(function* () {
                  if (members.length < 2) return
                  const [member] = members.splice(pick(members.length), 1)
                  leaving.push(yield* Effect.forkChild(member!.leave))
                })
            ],
            ["expire", () => memory.expire(someone()?.session ?? "")],
            [
              "cut",
              () =>
                Effect.gen(function* () {
                  const session = someone()?.session ?? ""
                  yield* memory.cut(session)
                  yield* pass(pick(90))
                  yield* memory.heal(session)
                })
            ],
            ["lose", () => memory.loseNextAnswer(someone()?.session ?? "")],
            ["freeze", () => Effect.andThen(memory.freeze, Effect.andThen(pass(pick(90)), memory.thaw))],
            ["stop", () => Effect.andThen(memory.stop, Effect.andThen(pass(pick(90)), memory.start))],
            [
              "grow",
              () =>
                Effect.gen(function* () {
                  if (partitions > 8) return
                  yield* broker.addPartitions("t", ++partitions)
                })
            ]
          ]
          yield* actions[0]![1]()
          yield* actions[0]![1]()
          for (let step = 0; step < 25; step++) {
            const [name, act] = actions[pick(3) === 0 ? pick(2) : pick(actions.length)]!
            trace.push(name)
            yield* act()
            yield* pass(pick(20))
          }
          // the topics are looked at again by whoever joins
          const last = yield* Effect.forkChild(Harness.join(memory))
          for (let i = 0; i < 50 && last.pollUnsafe() === undefined; i++) yield* pass(1)
          members.push(yield* Fiber.join(last))
          everybody.push(members.at(-1)!)
          for (let i = 0; i < 900 && !Harness.isBalanced(members, partitions); i++) yield* pass(1)
          for (const one of everybody) assert.deepStrictEqual(one.failures, [], trace.join(", "))
          assert.isTrue(
            Harness.isBalanced(members, partitions),
            `${JSON.stringify(members.map((one) => [...one.owned]))}: ${trace.join(", ")}`
          )
          for (const one of leaving) yield* Fiber.join(one)
          const left = Object.keys(memory.snapshot()).filter((path) => memory.ownerOf(path) !== "")
          const claims = left.filter((path) => path.includes("/owners/"))
          assert.lengthOf(new Set(claims.map((path) => path.split("-").at(-1))), partitions)
          assert.lengthOf(
            left.filter((path) => path.includes("/ids/")),
            members.length
          )
        }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 5 }] }))),
      30_000
    )
  }
})
