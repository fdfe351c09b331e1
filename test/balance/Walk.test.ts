/**
 * Random walks of members that come and go while ZooKeeper and the ways to it fail: sessions end while a write is in
 * flight, members start in the same tick or are gone without a word, leaders move, members of PyKafka die between
 * releasing and claiming. At no moment has a partition two owners; when the trouble is over the group is balanced, and
 * nothing is left of those that have gone. `SAMSA_SEEDS=n` walks n of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import * as Layout from "../../src/balance/Layout.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { seedsOf } from "../Seeds.ts"
import * as Harness from "./Harness.ts"
import * as PyKafka from "./PyKafka.ts"

/** mulberry32 */
const random = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

const layouts = ["pykafka", "jvm", "pykafka-2.3-py3", "pykafka-py2"] as const
const topic = "a.b_c-1-0"

/** What a walk may do, by name; each is as likely as the other. */
type Actions = Readonly<Record<string, Effect.Effect<unknown, any, any>>>

const walk = (seed: number) =>
  Effect.gen(function* () {
    const next = random(seed)
    const pick = (count: number) => Math.floor(next() * count)
    const layoutName = layouts[seed % 3 === 0 ? pick(layouts.length) : 0]!
    // PyKafka asks for no metadata of its own accord: of two that know other leaders both may own a partition.
    const hasPyKafka = layoutName === "pykafka" && seed % 2 === 0
    const names: Harness.Names = {
      group: layoutName === "jvm" ? "a.b_c-1-0" : 'it\'s "a" group/of %2F 100 ü:b',
      topic
    }
    const memory = yield* ZooKeeper.makeMemory
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const layout = Layout.make(layoutName, names.group, { hostname: "", uuid: () => "", time: 0 })
    /** Those that are there, ours and PyKafka's; everybody that ever was. */
    const members: Array<Harness.Member> = []
    const foreign: Array<Effect.Success<ReturnType<typeof PyKafka.join>>> = []
    const everybody: Array<Harness.Member> = []
    const leaving: Array<Fiber.Fiber<void>> = []
    const trace: Array<string> = []
    let partitions = 5

    const look = () => {
      const owners = new Map<number, number>()
      everybody.forEach((member, i) => {
        for (const partition of member.owned) {
          const other = owners.get(partition)
          if (other !== undefined) assert.fail(`${partition} has two owners, ${other} and ${i}: ${trace.join(", ")}`)
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
    /** Lets time pass until it is done, or for so long. */
    const passing = <A, E, R>(self: Effect.Effect<A, E, R>) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(self)
        for (let i = 0; i < 100 && fiber.pollUnsafe() === undefined; i++) yield* pass(1)
        return yield* Fiber.join(fiber)
      })
    const someone = () => members[pick(members.length)]
    const session = () => someone()?.session ?? ""
    const joined = <M extends Harness.Member>(member: M): M => {
      everybody.push(member)
      return member
    }
    const joins = Effect.suspend(() =>
      Effect.map(
        Harness.join(memory, () => pick(4) * 300, { layout: layoutName }, names),
        (member) => void members.push(joined(member))
      )
    )
    const takeOut = <M>(from: Array<M>): M => from.splice(pick(from.length), 1)[0]!
    const while_ = (begin: Effect.Effect<void>, end: Effect.Effect<void>) =>
      Effect.andThen(
        begin,
        Effect.andThen(
          Effect.suspend(() => pass(pick(90))),
          end
        )
      )

    const come: Actions = {
      join: Effect.suspend(() => (members.length < 5 ? passing(joins) : Effect.void)),
      "join in the same tick": Effect.suspend(() =>
        members.length < 4 ? passing(Effect.all([joins, joins], { concurrency: "unbounded" })) : Effect.void
      ),
      leave: Effect.gen(function* () {
        if (members.length > 1) leaving.push(yield* Effect.forkChild(takeOut(members).leave))
      })
    }
    const trouble: Actions = {
      // what it claimed stands until its session is over
      "be gone": Effect.suspend(() => {
        // one between two sessions cannot be cut off from the next
        const there = members.filter((one) => memory.sessions().includes(one.session))
        const one = there[pick(there.length)]
        if (one === undefined || members.length < 2) return Effect.void
        members.splice(members.indexOf(one), 1)
        return memory.cut(one.session)
      }),
      expire: Effect.suspend(() => memory.expire(session())),
      "lose an answer": Effect.suspend(() => memory.loseNextAnswer(session())),
      "expire with a write in flight": Effect.suspend(() => memory.loseNextAnswer(session(), true)),
      cut: Effect.suspend(() => {
        const one = session()
        return while_(memory.cut(one), memory.heal(one))
      }),
      part: Effect.suspend(() => {
        const one = session()
        return while_(memory.part(one), memory.heal(one))
      }),
      freeze: while_(memory.freeze, memory.thaw),
      stop: while_(memory.stop, memory.start),
      grow: Effect.suspend(() => (partitions > 8 ? Effect.void : broker.addPartitions(names.topic, ++partitions)))
    }
    const others: Actions = hasPyKafka
      ? {
          "PyKafka joins": Effect.suspend(() =>
            foreign.length < 2
              ? Effect.map(passing(PyKafka.join(memory, names)), (one) => void foreign.push(joined(one)))
              : Effect.void
          ),
          "PyKafka leaves": Effect.suspend(() => (foreign.length > 0 ? takeOut(foreign).leave : Effect.void)),
          "PyKafka dies at the next rebalance": Effect.suspend(() =>
            foreign.length > 0 ? takeOut(foreign).dies : Effect.void
          )
        }
      : {
          "move a leader": Effect.suspend(() =>
            Effect.ignore(broker.moveLeader(names.topic, pick(partitions), 1 + pick(2)))
          )
        }

    const all: Actions = { ...come, ...trouble, ...others }
    const act = (actions: Actions) => {
      const name = Object.keys(actions)[pick(Object.keys(actions).length)]!
      trace.push(name)
      return actions[name]!
    }
    yield* come["join in the same tick"]!
    for (let step = 0; step < 25; step++) {
      yield* act(pick(3) === 0 ? come : all)
      yield* pass(pick(20))
    }
    // the topics are looked at again by whoever joins; who was to die at a rebalance does so
    yield* passing(joins)
    const there = () => [...members, ...foreign]
    const nodes = (below: string) =>
      Object.keys(memory.snapshot()).filter((path) => path.startsWith(below) && memory.ownerOf(path) !== "")
    const isSettled = () => Harness.isBalanced(there(), partitions) && nodes(`${layout.ids}/`).length === there().length
    for (let i = 0; i < 900 && !isSettled(); i++) yield* pass(1)
    for (const one of everybody) assert.deepStrictEqual(one.failures, [], trace.join(", "))
    assert.isTrue(
      isSettled(),
      `${JSON.stringify(there().map((one) => [...one.owned]))} ${nodes("/").join(" ")}: ${trace.join(", ")}`
    )
    for (const one of leaving) yield* Fiber.join(one)
    const claims = nodes(`${layout.owners(names.topic)}/`)
    const claimed = claims.map((path) => layout.partitionOf(path.slice(path.lastIndexOf("/") + 1)))
    assert.strictEqual(new Set(claimed).size, partitions, claims.join(" "))
  })

describe("a random walk", () => {
  for (const seed of seedsOf(6))
    it.effect(
      `${seed}`,
      () =>
        walk(seed).pipe(
          Effect.scoped,
          Effect.provide(KafkaTest.layer({ brokers: 2, topics: [{ name: topic, partitions: 5 }] }))
        ),
      60_000
    )
})
