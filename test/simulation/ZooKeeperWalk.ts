/**
 * A random walk over whole consumers whose group is in ZooKeeper: what happens to members of Kafka's own groups happens
 * to them (`ConsumerWalk`), and ZooKeeper goes wrong beside it. Sessions end, with a write in flight too, answers are
 * lost, the ensemble freezes and stops, members start in one tick, nodes are removed, and strangers' are written. The
 * nodes of the other topic are there, as brokers write them that tell ids of topics, or none (`TopicNodes`). The oracle
 * judges by what was delivered.
 */
import { Context, Effect, type Scope, Stream } from "effect"
import { Membership, Producer, ZooKeeper } from "samsa"
import { Fault, Oracle } from "samsa/testing"
import * as Layout from "../../src/balance/Layout.ts"
import { type Choices, choices } from "../../src/testing/simulation/Choices.ts"
import { sicken, sicknesses } from "./Sickness.ts"
import { givenTwice, TopicNodes } from "./TopicNodes.ts"
import * as Walk from "./Walk.ts"
import {
  extra,
  extraPartitions,
  join,
  type Keeper,
  leave,
  leaveAll,
  orders,
  send,
  sendHealthy,
  World
} from "./World.ts"

const layouts = ["pykafka", "jvm", "pykafka-2.3-py3", "pykafka-py2"] as const

/** The group's side in ZooKeeper. */
class Group {
  readonly memory: ZooKeeper.Memory["Service"]
  readonly options: Membership.ZooKeeperOptions & { readonly layout: Layout.LayoutName }
  readonly layout: Layout.Layout
  /** A client that is nobody's of the group. */
  readonly stranger: ZooKeeper.ZooKeeper["Service"]
  /** Of processes with several consumers each; empty where each has a session of its own. */
  readonly shared: ReadonlyArray<ZooKeeper.ZooKeeper["Service"]>
  readonly nodes = new TopicNodes()
  private readonly sessions = new Map<string, string>()
  private readonly cutOff = new Map<string, string>()
  private joined = 0

  constructor(
    memory: ZooKeeper.Memory["Service"],
    choose: Choices,
    stranger: ZooKeeper.ZooKeeper["Service"],
    shared: ReadonlyArray<ZooKeeper.ZooKeeper["Service"]>
  ) {
    this.memory = memory
    this.stranger = stranger
    this.shared = shared
    this.options = {
      layout: choose.of(layouts),
      assignor: choose.of(["range", "roundrobin"]),
      offsets: choose.of(["kafka", "kafka", "zooKeeper"]),
      metadataMaxAge: "10 seconds"
    }
    this.layout = Layout.make(this.options.layout, "g", { hostname: "", uuid: () => "", time: 0 })
  }

  session(name: string): string {
    return this.sessions.get(name) ?? ""
  }

  readonly keeper: Keeper = {
    hasInstances: false,
    hears: (member, event) => this.nodes.hears(member, event),
    enter: (name) =>
      Effect.gen({ self: this }, function* () {
        const { joined, memory, options, sessions, shared } = this
        const zooKeeper = shared[joined % Math.max(1, shared.length)] ?? (yield* memory.connect())
        this.joined++
        this.nodes.joins(name)
        yield* zooKeeper.states.pipe(
          Stream.runForEach((state) =>
            Effect.sync(() => {
              if (state._tag === "Connected") sessions.set(name, state.session)
            })
          ),
          Effect.forkScoped({ startImmediately: true })
        )
        return {
          membership: Membership.zooKeeper(options),
          context: Context.make(ZooKeeper.ZooKeeper, zooKeeper)
        }
      }),
    // A session that several share is not one member's to lose.
    cut: (name) => (this.shared.length > 0 ? Effect.void : this.cut(name)),
    heal: (name) => (this.shared.length > 0 ? Effect.void : this.heal(name))
  }

  readonly cut = (name: string, how = this.memory.cut): Effect.Effect<void> =>
    Effect.suspend(() => {
      this.cutOff.set(name, this.session(name))
      return how(this.session(name))
    })
  readonly heal = (name: string): Effect.Effect<void> =>
    Effect.suspend(() => this.memory.heal(this.cutOff.get(name) ?? ""))

  /** Ephemeral nodes of sessions that are not the stranger's. */
  get left(): ReadonlyArray<string> {
    const { memory } = this
    return Object.keys(memory.snapshot()).filter((path) => memory.ownerOf(path) !== "")
  }
}

const troubles = [
  "a session expires",
  "a session expires with a write in flight",
  "an answer is lost",
  "all answers are lost once",
  "a member is cut off from ZooKeeper",
  "a member's server has lost its leader",
  "ZooKeeper is frozen",
  "ZooKeeper is away",
  "members join in one tick",
  "members leave in one tick",
  "somebody removes a member's id",
  "a stranger writes",
  "commits fail",
  "a leader moves"
] as const
type Trouble = (typeof troubles)[number]

/** While a topic is made again. */
const troublesMeanwhile = [
  "a session expires",
  "a member is cut off from ZooKeeper",
  "members join in one tick",
  "members leave in one tick"
] as const satisfies ReadonlyArray<Trouble>

/** Of brokers that tell ids of topics, and of those that tell none; undefined: of none in particular. */
const releases = [undefined, undefined, "2.8", "1.1"] as const
type Release = (typeof releases)[number]

/** Makes trouble until the Scope closes. */
const trouble = (
  world: World,
  group: Group,
  what: Trouble,
  partitions: number
): Effect.Effect<void, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const { broker, choose, members } = world
    const { layout, memory, stranger } = group
    const { name } = choose.of(members)
    const session = group.session(name)
    const forAWhile = (begin: Effect.Effect<void>, end: Effect.Effect<void>, most: number) =>
      Effect.andThen(
        Effect.acquireRelease(begin, () => end),
        Effect.forkScoped(Effect.andThen(Effect.sleep(choose.between(100, most)), end))
      )
    const nodeBelow = (below: string) => {
      const found = group.left.filter((path) => path.startsWith(`${below}/`))
      return found.length === 0 ? undefined : choose.of(found)
    }
    const remove = (path: string | undefined) =>
      path === undefined ? Effect.void : Effect.asVoid(Effect.ignore(stranger.remove(path)))
    switch (what) {
      case "a session expires":
        return yield* memory.expire(session)
      case "a session expires with a write in flight":
        yield* memory.loseNextAnswer(session, true)
        return yield* stir(world)
      case "an answer is lost":
        yield* memory.loseNextAnswer(session)
        return yield* stir(world)
      case "all answers are lost once":
        for (const one of members) yield* memory.loseNextAnswer(group.session(one.name))
        return yield* stir(world)
      case "a member is cut off from ZooKeeper":
        return yield* forAWhile(group.cut(name), group.heal(name), 15_000)
      case "a member's server has lost its leader":
        return yield* forAWhile(group.cut(name, memory.part), group.heal(name), 15_000)
      case "ZooKeeper is frozen":
        return yield* forAWhile(memory.freeze, memory.thaw, 15_000)
      case "ZooKeeper is away":
        return yield* forAWhile(memory.stop, memory.start, 15_000)
      case "members join in one tick":
        yield* Effect.all([join(world), join(world)], { concurrency: "unbounded" })
        return
      case "members leave in one tick":
        if (members.length > 2) yield* Effect.all([leave(world), leave(world)], { concurrency: "unbounded" })
        return
      case "somebody removes a member's id":
        return yield* remove(nodeBelow(layout.ids))
      case "a stranger writes": {
        const odd = choose.of([
          "",
          "{",
          "orders",
          "[1]",
          '{"subscription":{"orders":"x"},"pattern":"static"}',
          "é\u0000"
        ])
        const path = choose.of([
          `${layout.ids}/odd`,
          `${layout.owners("orders")}/odd`,
          `${layout.owners("orders")}/9-x`,
          `${layout.owners("orders")}/-`,
          `/consumers/g/else/odd`
        ])
        // An id that reads the topic is a member of PyKafka: it would be given partitions.
        if (path.startsWith(layout.ids) && odd === "orders") return
        yield* Effect.acquireRelease(Effect.ignore(stranger.create(path, Buffer.from(odd))), () => remove(path))
        return
      }
      case "commits fail":
        yield* broker.inject(
          choose.of([
            Fault.on("OffsetCommit", { probability: 0.5, seed: choose.below(1e6) }).loseResponse,
            Fault.on("OffsetCommit", { probability: 0.5, seed: choose.below(1e6) }).loseRequest,
            Fault.on("OffsetCommit", { probability: 0.7, seed: choose.below(1e6) }).error(choose.of([14, 15, 16])),
            Fault.on("OffsetCommit", { probability: 0.7, seed: choose.below(1e6) }).delay(choose.between(1, 3_000))
          ])
        )
        return yield* stir(world)
      case "a leader moves":
        yield* Effect.orDie(broker.moveLeader(orders, choose.below(partitions)))
        return yield* stir(world)
    }
  })

/** Somebody comes or goes, so that the group is balanced meanwhile. */
const stir = (world: World): Effect.Effect<void, unknown> =>
  world.choose.chance(0.3)
    ? Effect.void
    : world.members.length > 3 || (world.members.length > 1 && world.choose.chance(0.5))
      ? leave(world)
      : join(world)

/** What a walk leaves behind, beside what the oracle saw. */
interface End {
  /** Of members that have ended though nobody stopped them, why. */
  failures: ReadonlyArray<string>
  /** Nodes of sessions that nobody has any more. */
  left: ReadonlyArray<string>
  /** What was told, or given, more than once. */
  twice: ReadonlyArray<string>
  about: string
}

const walk = (partitions: number, asVersion: Release, choose: Choices, end: End) =>
  Effect.gen(function* () {
    const oracle = yield* Oracle.Oracle
    const memory = yield* ZooKeeper.makeMemory
    const sharedBy = choose.of([0, 0, 1, 2])
    const shared: Array<ZooKeeper.ZooKeeper["Service"]> = []
    while (shared.length < sharedBy) shared.push(yield* memory.connect())
    const group = new Group(memory, choose, yield* memory.connect({ sessionTimeout: "10 minutes" }), shared)
    const hasIds = asVersion !== "1.1"
    end.about = JSON.stringify({ ...group.options, sharedBy, partitions, asVersion })
    const meanwhile = Effect.suspend(() => {
      const one = trouble(world, group, choose.of(troublesMeanwhile), partitions)
      return Effect.forkDetach(Effect.scoped(Effect.andThen(one, Effect.sleep(choose.between(100, 5_000)))))
    })
    const broker = yield* group.nodes.writes(hasIds, group.stranger, choose, meanwhile)
    const world: World = new World(broker, oracle, choose, group.keeper)
    yield* memory.onWrite((path, data) => {
      const [, partition] = /^\/consumers\/g\/offsets\/orders\/(\d+)$/.exec(path) ?? []
      if (partition === undefined) return
      const place = { group: "g", topic: "orders", partition: Number(partition) }
      oracle.record({ _tag: "Committed", ...place, offset: Number(Buffer.from(data).toString()) })
    })
    const first = Array.from({ length: choose.between(1, 4) }, () => join(world))
    yield* Effect.all(first, { concurrency: choose.of([1, 4]) })
    // With `latest` what is sent before the group has its positions is nobody's.
    yield* Effect.sleep(5_000)
    const wanted: Array<string> = []
    // A member that has lost the brokers' coordinator alone is still one of the group, and cannot read what it is given.
    // What replaces a truncated end is told from it by epochs, which offsets in ZooKeeper, and older brokers, have none of.
    const possible = sicknesses.filter(
      (one) =>
        one !== "cut off from the coordinator" &&
        // Of a process with several consumers all would stand still.
        (sharedBy === 0 || one !== "a member is frozen") &&
        ((group.options.offsets === "kafka" && hasIds) || one !== "another topic is truncated")
    )
    for (let phase = 0; phase < 4; phase++) {
      yield* send(world, "extra", [0, 1])
      const sickness = choose.of([choose.of(possible), "another topic is made again", "nothing", "nothing"] as const)
      const troubled = choose.of(troubles)
      const phaseOf = Effect.gen(function* () {
        const sick = yield* sicken(world, sickness, partitions)
        yield* trouble(world, group, troubled, partitions)
        // Who joins meanwhile cannot know that the topic was another, and begins at its end.
        const isDue = sickness !== "another topic is made again" || world.setting.from === "earliest"
        const due = [...(isDue ? sick.due : []), ...(yield* sendHealthy(world, partitions, sick.partitions))]
        yield* oracle.within(
          `healthy partitions, while ${sickness} and ${troubled} (phase ${phase})`,
          "90 seconds"
        )(world.awaitHandled(due))
        wanted.push(...due)
      })
      yield* Effect.scoped(phaseOf)
      if (choose.chance(0.4) && world.members.length < 5) yield* join(world)
      wanted.push(...(yield* send(world, "orders", [choose.below(partitions)])))
    }
    yield* oracle.within("everything, when all is well again", "2 minutes")(world.awaitHandled(wanted))
    yield* leaveAll(world)
    yield* Effect.sleep(20_000)
    // One that comes while a topic is not there is told so.
    end.failures = world.failures.filter((failure) => !/UnknownTopic.*\[extra/.test(failure))
    end.left = group.left
    end.twice = group.nodes.lies
  })

/** Walks from a seed. What is told of the other topic's log is left out: nobody can say what it should hold. */
export const run = (seed: number): Effect.Effect<Walk.Run & End, unknown> => {
  const choose = choices(seed)
  const partitions = choose.of([1, 2, 3, 4, 6, 12])
  const topics = [
    { name: orders, partitions, replicationFactor: choose.of([1, 1, 3]) },
    { name: extra, partitions: extraPartitions, replicationFactor: 3 }
  ]
  const end: End = { failures: [], left: [], twice: [], about: "" }
  const asVersion = choose.of(releases)
  const kafka = asVersion === undefined ? { topics } : { topics, asVersion }
  const walked = Effect.provide(walk(partitions, asVersion, choose, end), Producer.layer())
  return Effect.map(Walk.run(seed, { kafka, limit: 30 * 60_000 }, walked), (it) => ({
    ...it,
    ...end,
    // Those that tell ids and are asked for records by names may give some of the new topic before they tell of it.
    twice: asVersion === "2.8" ? end.twice : [...end.twice, ...givenTwice(it.history)],
    violations: it.violations.filter(({ topic }) => topic !== "extra")
  }))
}
