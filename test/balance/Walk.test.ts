/**
 * Random walks of members that come and go, and subscribe to other topics, while ZooKeeper and the ways to it fail:
 * sessions end while a write is in flight, or are given up and come back, members start in the same tick or are gone
 * without a word, leaders move, partitions and topics are added, members of PyKafka die between releasing and claiming.
 * At no moment has a partition two owners; when the trouble is over each topic is shared out among those that read it,
 * and nothing is left of those that have gone, nor of what nobody reads any more. `SAMSA_SEEDS=n` walks n of them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Random, Stream } from "effect"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { Cluster } from "../../src/Cluster.ts"
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
const extra = "extra"
/** Come when the members are there already: found by those that read whatever there is. */
const late = ["late-1", "late-2", "late-3"]

/** What a walk may do, by name; each is as likely as the other. */
type Actions = Readonly<Record<string, Effect.Effect<unknown, any, any>>>

/** A member, and what it is subscribed to: some topics, or all that there are. */
interface Reader extends Effect.Success<ReturnType<typeof Harness.join>> {
  readonly to: { topics: ReadonlyArray<string> | "all" }
}
const subscriptions = [[topic], [topic], [topic, extra], [extra], "all", "all"] as const

/** Each request is sent so many milliseconds late, and what is watched told so late; in order, as ZooKeeper has them. */
const slowed =
  (request: number, told: number) =>
  (zooKeeper: ZooKeeper.ZooKeeper["Service"]): ZooKeeper.ZooKeeper["Service"] => {
    const late = <A, E, R>(self: Effect.Effect<A, E, R>) => (request > 0 ? Effect.delay(self, request) : self)
    const lateTold = <A, E, R>(self: Stream.Stream<A, E, R>) =>
      told > 0 ? Stream.tap(self, () => Effect.sleep(told)) : self
    return {
      ...zooKeeper,
      watch: (path) => lateTold(zooKeeper.watch(path)),
      watchChildren: (path) => lateTold(zooKeeper.watchChildren(path)),
      sessionOf: (id) => {
        const session = zooKeeper.sessionOf(id)
        return {
          ...session,
          children: (path) => late(session.children(path)),
          read: (path) => late(session.read(path)),
          create: (...given) => late(session.create(...given)),
          remove: (...given) => late(session.remove(...given))
        }
      }
    }
  }

/** The group, who is in it, and what there is to read. */
const makeWorld = (seed: number) =>
  Effect.gen(function* () {
    const next = random(seed)
    const pick = (count: number) => Math.floor(next() * count)
    const layoutName = layouts[seed % 3 === 0 ? pick(layouts.length) : 0]!
    // PyKafka asks for no metadata of its own accord: of two that know other leaders both may own a partition.
    const hasPyKafka = layoutName === "pykafka" && seed % 2 === 0
    const hasLate = pick(3) > 0
    const names: Harness.Names = {
      group: layoutName === "jvm" ? "a.b_c-1-0" : 'it\'s "a" group/of %2F 100 ü:b',
      topic
    }
    const memory = yield* ZooKeeper.makeMemory
    const cluster = yield* Cluster
    const layout = Layout.make(layoutName, names.group, { hostname: "", uuid: () => "", time: 0 })
    /** Those that are there, ours and PyKafka's; everybody that ever was. */
    const members: Array<Reader> = []
    const foreign: Array<Effect.Success<ReturnType<typeof PyKafka.join>>> = []
    const everybody: Array<Harness.Member> = []
    const trace: Array<string> = []
    /** How many partitions the topics have that there are. */
    const counts = new Map<string, number>()

    const look = () => {
      const owners = new Map<string, number>()
      everybody.forEach((member, i) => {
        for (const place of member.places) {
          const other = owners.get(place)
          if (other !== undefined) assert.fail(`${place} has two owners, ${other} and ${i}: ${trace.join(", ")}`)
          owners.set(place, i)
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

    // ── what is to be in the end

    const nodes = (below: string) =>
      Object.keys(memory.snapshot()).filter((path) => path.startsWith(below) && memory.ownerOf(path) !== "")
    const topicsOf = ({ to }: Reader) => (to.topics === "all" ? [...counts.keys()] : to.topics)
    /** It is read by those alone that are subscribed to it, and nobody else claims it. */
    const isShared = (count: number, name: string) => {
      const readers: ReadonlyArray<Harness.Member> = [
        ...members.filter((one) => topicsOf(one).includes(name)),
        ...(name === topic ? foreign : [])
      ]
      const of = (some: ReadonlyArray<Harness.Member>) =>
        some.map(({ places }) => ({ owned: Harness.partitionsOf(places, name) }))
      const claims = nodes(`${layout.owners(name)}/`)
      const claimed = claims.map((path) => layout.partitionOf(path.slice(path.lastIndexOf("/") + 1)))
      return (
        of([...members, ...foreign].filter((one) => !readers.includes(one))).every(({ owned }) => owned.size === 0) &&
        (readers.length === 0 || Harness.isBalanced(of(readers), count)) &&
        new Set(claimed).size === (readers.length === 0 ? 0 : count)
      )
    }
    const ids = () =>
      layoutName === "jvm"
        ? members.length
        : members.reduce((sum, one) => sum + topicsOf(one).length, 0) + foreign.length
    const isSettled = () =>
      [...counts].every(([name, count]) => isShared(count, name)) && nodes(`${layout.ids}/`).length === ids()
    const about = () =>
      [
        layoutName,
        JSON.stringify(members.map((one) => [one.to.topics, [...one.places]])),
        JSON.stringify(foreign.map((one) => [...one.places])),
        nodes("/").join(" "),
        trace.join(", ")
      ].join("; ")
    const settles = Effect.gen(function* () {
      for (let i = 0; i < 900 && !isSettled(); i++) yield* pass(1)
      for (const one of everybody) assert.deepStrictEqual(one.failures, [], about())
      assert.isTrue(isSettled(), about())
    })
    const joined = <M extends Harness.Member>(member: M): M => {
      everybody.push(member)
      return member
    }
    return {
      pick,
      layoutName,
      hasPyKafka,
      hasLate,
      names,
      memory,
      cluster,
      members,
      foreign,
      trace,
      counts,
      pass,
      passing,
      settles,
      joined
    }
  })
type World = Effect.Success<ReturnType<typeof makeWorld>>

const actionsOf = (world: World) =>
  Effect.gen(function* () {
    const { cluster, counts, foreign, hasLate, joined, members, memory, names, pass, passing, pick } = world
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    /** Writes what brokers write. */
    const controller = yield* memory.connect({ sessionTimeout: "10 minutes" })
    const leaving: Array<Fiber.Fiber<void>> = []

    const someone = () => members[pick(members.length)]
    const session = () => someone()?.session ?? ""
    const aTopic = () => [...counts.keys()][pick(counts.size)]!
    const takeOut = <M>(from: Array<M>): M => from.splice(pick(from.length), 1)[0]!
    const told = (name: string, count: number, write: "create" | "set") => {
      counts.set(name, count)
      const partitions = Object.fromEntries(Array.from({ length: count }, (_, i) => [i, [1]]))
      return passing(
        Effect.asVoid(controller[write](`/brokers/topics/${name}`, Buffer.from(JSON.stringify({ partitions }))))
      )
    }
    const joins = Effect.gen(function* () {
      const to: Reader["to"] = { topics: subscriptions[pick(subscriptions.length)]! }
      const topics = Effect.suspend(() =>
        to.topics === "all"
          ? Effect.map(cluster.topics(null, { unready: true }), (infos) => infos.map(({ name }) => name))
          : Effect.succeed(to.topics)
      )
      // Whoever reads whatever there is looks for it so often; all else is to be looked at at once.
      const options = { layout: world.layoutName, metadataMaxAge: hasLate ? 20_000 : 300_000 }
      const sessions = { connect: () => Effect.map(memory.connect(), slowed(pick(3) * 40, pick(3) * 150)) }
      const member = yield* Harness.join(sessions, () => pick(4) * 300, options, names, topics)
      members.push(joined(Object.assign(member, { to })))
    })
    const leaves = Effect.gen(function* () {
      if (members.length > 1) leaving.push(yield* Effect.forkChild(takeOut(members).leave))
    })
    const resubscribes = Effect.suspend(() => {
      const one = someone()
      if (one === undefined) return Effect.void
      one.to.topics = subscriptions[pick(subscriptions.length)]!
      return one.topicsChanged
    })
    const moves = Effect.gen(function* () {
      const name = aTopic()
      const partition = pick(counts.get(name)!)
      const leader = (yield* broker.topic(name))![partition]!.leader
      yield* Effect.ignore(broker.moveLeader(name, partition, 3 - leader))
      // as whoever fetches there does
      if (pick(4) > 0) yield* Effect.forkChild(Effect.ignore(cluster.refresh))
    })
    const grows = Effect.gen(function* () {
      const name = aTopic()
      const count = counts.get(name)! + 1
      if (count > 9) return
      yield* told(name, count, "set")
      yield* broker.addPartitions(name, count)
    })
    const comesLate = Effect.suspend(() => {
      const name = late.find((one) => !counts.has(one))
      return !hasLate || name === undefined
        ? Effect.void
        : Effect.andThen(told(name, 2, "create"), broker.createTopic({ name, partitions: 2 }))
    })
    const stirs = Effect.suspend(() => (members.length < 6 ? passing(joins) : leaves))
    const while_ = (begin: Effect.Effect<void>, end: Effect.Effect<void>) =>
      Effect.gen(function* () {
        yield* begin
        yield* pass(pick(45))
        if (pick(3) === 0) yield* resubscribes
        yield* pass(pick(45))
        yield* end
      })

    const come: Actions = {
      join: Effect.suspend(() => (members.length < 5 ? passing(joins) : Effect.void)),
      "join in the same tick": Effect.suspend(() =>
        members.length < 4 ? passing(Effect.all([joins, joins], { concurrency: "unbounded" })) : Effect.void
      ),
      leave: leaves,
      resubscribe: resubscribes
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
      grow: grows,
      "a topic comes": comesLate
    }
    const ofPyKafka: Actions = {
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
    const brokersAreAway = while_(
      Effect.andThen(broker.stop(1), broker.stop(2)),
      Effect.andThen(broker.start(1), broker.start(2))
    )
    const ofBrokers: Actions = { "move a leader": moves, "brokers are away": brokersAreAway }
    /** After which nothing else happens that would have everybody look again. */
    const last: Actions = {
      nothing: Effect.void,
      "resubscribe in the midst": Effect.andThen(stirs, resubscribes),
      "resubscribe a little later": Effect.gen(function* () {
        yield* stirs
        yield* pass(pick(8))
        yield* resubscribes
      }),
      ...(world.hasPyKafka
        ? {}
        : {
            "move a leader while one leaves": Effect.andThen(moves, leaves),
            "move a leader while one resubscribes": Effect.andThen(moves, resubscribes),
            "move a leader while partitions are added": Effect.andThen(moves, grows),
            "move a leader when a topic has come": Effect.andThen(comesLate, moves),
            "move a leader when a topic has come, again": Effect.andThen(comesLate, moves)
          })
    }
    yield* told(topic, 5, "create")
    yield* told(extra, 3, "create")
    return {
      come,
      all: { ...come, ...trouble, ...(world.hasPyKafka ? ofPyKafka : ofBrokers) },
      last,
      stirs,
      left: Effect.suspend(() => Effect.forEach(leaving, Fiber.join, { discard: true }))
    }
  })

const walk = (seed: number) =>
  Effect.gen(function* () {
    const world = yield* makeWorld(seed)
    const { pass, passing, pick, trace } = world
    const { all, come, last, left, stirs } = yield* actionsOf(world)
    const act = (actions: Actions) => {
      const name = Object.keys(actions)[pick(Object.keys(actions).length)]!
      trace.push(name)
      return actions[name]!
    }
    yield* come["join in the same tick"]!
    for (let round = 0; round < 4; round++) {
      for (let step = 0; step < 6; step++) {
        yield* act(pick(3) === 0 ? come : all)
        yield* pass(pick(20))
      }
      // who of PyKafka was to die at a rebalance does so
      if (world.hasPyKafka || pick(2) === 0) yield* stirs
      // a member that is balanced hears it otherwise than one in the midst
      yield* pick(2) === 0 ? world.settles : pass(pick(10))
      yield* act(last)
      yield* world.settles
    }
    yield* passing(left)
  })

describe("a random walk", () => {
  for (const seed of seedsOf(9))
    it.effect(
      `${seed}`,
      () =>
        walk(seed).pipe(
          Effect.scoped,
          Effect.provide(
            KafkaTest.layer({
              brokers: 2,
              topics: [
                { name: topic, partitions: 5 },
                { name: extra, partitions: 3 }
              ]
            })
          ),
          // what members draw by chance: their ids, and with them their order
          Random.withSeed(`${seed}`)
        ),
      60_000
    )
})
