/** The members of a walk's group: each with a client of its own, which may be cut off, frozen or dead. */
import { Cause, Clock, Context, Effect, Exit, Fiber, Layer, Result, Schema, Scope, Stream } from "effect"
import { Assignor, Consumer, Kafka, Membership, Network, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, type Oracle } from "samsa/testing"
import type { Choices } from "../../src/testing/simulation/Choices.ts"
import { Freezer } from "./Freezer.ts"

export const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
/** The topic that things happen to which no log can be compared with: deleted, made again, truncated, poisoned. */
export const extra = Topic.make("extra", { key: Schema.NullOr(Schema.String), value: Schema.FiniteFromString })
export const extraPartitions = 2

export type Read = Consumer.RecordOf<typeof orders> | Consumer.RecordOf<typeof extra>

const ways = ["stream", "partitions", "run", "keys", "none"] as const
type Way = (typeof ways)[number]

export interface Member {
  readonly name: string
  readonly way: Way
  readonly consumer: Consumer.Consumer<Read>
  readonly scope: Scope.Closeable
  readonly freezer: Freezer
  /** Of a static member. */
  readonly instanceId: string | undefined
  reading: Fiber.Fiber<unknown, unknown> | undefined
  alive: boolean
}

/** Who keeps the group. */
export interface Keeper {
  /** How a member comes into it, and what that needs beside the cluster, until the Scope closes. */
  readonly enter: (
    name: string,
    setting: Setting,
    instanceId: string | undefined
  ) => Effect.Effect<
    { readonly membership: Membership.Membership<any>; readonly context: Context.Context<any> },
    unknown,
    Scope.Scope
  >
  /** What a member's consumer tells. */
  readonly hears?: (member: string, event: Consumer.ConsumerEvent) => void
  /** Whether members may be static (KIP-345). */
  readonly hasInstances: boolean
  /** Nothing passes between a member and whoever keeps the group, where that is none of the brokers. */
  readonly cut: (name: string) => Effect.Effect<void>
  readonly heal: (name: string) => Effect.Effect<void>
}

/** By which protocol members are in their group: all of them by one, or each by either. */
export type Protocol = "classic" | "consumer" | "mixed"

/** The settings of a broker that judges sessions as these members do. */
export const kafkaOf = (protocol: Protocol) =>
  protocol === "classic"
    ? {}
    : { groupConsumerSessionTimeout: "10 seconds" as const, groupConsumerHeartbeatInterval: "3 seconds" as const }

/** The membership of a member by either protocol. */
export const membershipOf = (protocol: "classic" | "consumer", assignor: Assignor.Assignor, instanceId?: string) => {
  const settings = {
    sessionTimeout: "10 seconds",
    rebalanceTimeout: "15 seconds",
    metadataMaxAge: "10 seconds",
    ...(instanceId === undefined ? {} : { instanceId })
  } as const
  return protocol === "classic"
    ? Membership.classic({ assignors: [assignor], ...settings })
    : Membership.consumer({ assignor: assignor === Assignor.range ? "range" : "uniform", ...settings })
}

/** The coordinator among the brokers. */
const coordinator = (protocol: Protocol, choose: Choices): Keeper => ({
  hasInstances: true,
  enter: (_, { assignor }, instanceId) =>
    Effect.sync(() => ({
      membership: membershipOf(
        protocol === "mixed" ? choose.of(["classic", "consumer"]) : protocol,
        assignor,
        instanceId
      ),
      context: Context.empty() as Context.Context<any>
    })),
  cut: () => Effect.void,
  heal: () => Effect.void
})

/** How the members of a walk are made. */
export interface Setting {
  readonly from: "earliest" | "latest"
  readonly assignor: Assignor.Assignor
  readonly small: boolean
}

export const settingOf = (choose: Choices): Setting => ({
  from: choose.of(["earliest", "latest"]),
  assignor: choose.of([Assignor.range, Assignor.cooperativeSticky, Assignor.cooperativeSticky, Assignor.sticky]),
  small: choose.chance(0.5)
})

type Begun = Omit<Extract<Oracle.Event, { readonly _tag: "HandlerBegan" | "HandlerEnded" }>, "_tag">

/** The world of members of the brokers' groups. */
export const ofBrokers = (
  broker: EmbeddedKafka.Service,
  oracle: Oracle.Service,
  choose: Choices,
  protocol: Protocol
): World => new World(broker, oracle, choose, coordinator(protocol, choose))

export class World {
  readonly broker: EmbeddedKafka.Service
  readonly oracle: Oracle.Service
  readonly choose: Choices
  readonly setting: Setting
  readonly keeper: Keeper
  readonly members: Array<Member> = []
  /** Of members that have ended though nobody stopped them, why. */
  readonly failures: Array<string> = []
  /** What was handled to its end, as `topic-partition:value`. */
  readonly handled = new Set<string>()
  /** Partitions of orders whose handlers take long. */
  readonly slow = new Set<number>()
  /** Partitions of orders that no member shall deliver. */
  readonly paused = new Set<number>()
  /** The other topic is not the one that was there at first. */
  isOtherNew = false
  private readonly atWork = new Map<string, Set<Begun>>()
  private onHandled: (() => void) | undefined
  /** Instances that no member is at the moment. */
  readonly vacant: Array<string> = []
  sent = 0
  private named = 0

  constructor(
    broker: EmbeddedKafka.Service,
    oracle: Oracle.Service,
    choose: Choices,
    keeper: Keeper = coordinator("classic", choose)
  ) {
    this.broker = broker
    this.oracle = oracle
    this.choose = choose
    this.keeper = keeper
    this.setting = settingOf(choose)
  }

  name(): string {
    return `client-${++this.named}`
  }

  handle(member: string, record: Read): Effect.Effect<void> {
    const place = { group: "g", member, topic: record.topic, partition: record.partition, offset: record.offset }
    return Effect.suspend(() => {
      let begun = this.atWork.get(member)
      if (begun === undefined) this.atWork.set(member, (begun = new Set()))
      begun.add(place)
      this.oracle.record({ _tag: "HandlerBegan", ...place })
      return record.topic === "orders" && this.slow.has(record.partition) ? Effect.sleep(20_000) : Effect.void
    }).pipe(
      Effect.tap(() => Effect.sync(() => this.done(`${record.topic}-${record.partition}:${record.value}`))),
      Effect.onExit(() =>
        Effect.sync(() => {
          if (this.atWork.get(member)?.delete(place) === true) this.oracle.record({ _tag: "HandlerEnded", ...place })
        })
      )
    )
  }

  /** A process that stands still is at no work: what its handlers do when it wakes nobody can prevent. */
  standsStill(member: string): void {
    for (const place of this.atWork.get(member) ?? []) this.oracle.record({ _tag: "HandlerEnded", ...place })
    this.atWork.delete(member)
  }

  /** What an application commits by hand counts as done below that offset, whatever handler is at work there; so it is with a seek. */
  waive(partition: number, below: number): Effect.Effect<void> {
    return this.broker.log("orders", partition).pipe(
      Effect.map((log) => {
        for (const { offset, value } of log)
          if (offset < below) this.done(`orders-${partition}:${Buffer.from(value!).toString()}`)
      }),
      Effect.orDie
    )
  }

  private done(what: string): void {
    this.handled.add(what)
    this.onHandled?.()
  }

  /** Members that are being closed beside the walk: those that hear nothing any more, and those that begin anew. */
  readonly ending: Array<Fiber.Fiber<unknown, unknown>> = []

  /** Completes when all of these were handled. */
  readonly awaitHandled = (wanted: ReadonlyArray<string>): Effect.Effect<void> =>
    Effect.callback((resume) => {
      const look = () => {
        if (!wanted.every((one) => this.handled.has(one))) return
        this.onHandled = undefined
        resume(Effect.void)
      }
      this.onHandled = look
      look()
      return Effect.sync(() => {
        this.onHandled = undefined
      })
    })
}

const read = (world: World, name: string, way: Way, consumer: Consumer.Consumer<Read>) => {
  const handle = (record: Read) => world.handle(name, record)
  const marked = (record: Read) => Effect.andThen(handle(record), Consumer.done(record))
  switch (way) {
    case "stream":
      return Stream.runForEach(consumer.stream, marked)
    case "partitions":
      return consumer.eachPartition(({ records }) => Stream.runForEach(records, marked))
    case "run":
      return consumer.run(handle)
    default:
      return consumer.run(handle, { order: way === "keys" ? "key" : "none", concurrency: 4 })
  }
}

/** A member with a client of its own. One whose stream was interrupted, since it lost what it had, comes again. */
export const join = (world: World): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const { broker, choose, members, oracle, paused } = world
    const { from, small } = world.setting
    const name = world.name()
    const way = choose.of(ways)
    // A static member's place is kept for its session: who comes under its name has it again.
    const isStatic = world.keeper.hasInstances && choose.chance(0.5)
    const instanceId = isStatic ? (world.vacant.shift() ?? (choose.chance(0.3) ? name : undefined)) : undefined
    const scope = yield* Scope.make()
    const freezer = new Freezer()
    const clock = freezer.clock(yield* Clock.Clock)
    const network = Layer.succeed(Network.Network, freezer.network({ connect: broker.connect }))
    const client = Layer.provide(
      Kafka.layerWithoutNetwork({ bootstrap: broker.bootstrap, clientId: name, metadataTimeout: "5 seconds" }),
      network
    )
    const onUndecodable = choose.of(["skip", () => Effect.sleep(choose.between(0, 500))] as const)
    const subscribed = Effect.gen(function* () {
      const context = yield* Layer.buildWithScope(client, scope)
      const entered = yield* Scope.provide(world.keeper.enter(name, world.setting, instanceId), scope)
      return yield* oracle
        .subscribe({
          group: "g",
          topics: [orders, extra],
          from,
          onOutOfRange: "nearest",
          onUndecodable,
          commitInterval: choose.of([200, 1000, 5000]),
          drainTimeout: "5 seconds",
          commitTimeout: "5 seconds",
          maxRecords: choose.of([1, 5, 500]),
          fetch: small ? { bufferBytes: choose.of([200, 2_000]), maxPartitionBytes: 500 } : {},
          membership: entered.membership
        })
        .pipe(Effect.provide(Context.merge(context, entered.context)), Scope.provide(scope))
    })
    const consumer = yield* Effect.provideService(subscribed, Clock.Clock, clock)
    const { hears } = world.keeper
    if (hears !== undefined) {
      const hearing = Stream.runForEach(consumer.events, (event) => Effect.sync(() => hears(name, event)))
      yield* Scope.provide(Effect.forkScoped(hearing, { startImmediately: true }), scope)
    }
    yield* consumer.pause([...paused].map((partition) => ({ topic: "orders", partition })))
    const member: Member = { name, way, consumer, scope, freezer, instanceId, reading: undefined, alive: true }
    member.reading = yield* Effect.forkDetach(
      Effect.andThen(
        // In a fiber of its own: the consumer interrupts the one that reads its stream.
        Effect.flatMap(
          Effect.forkChild(Effect.provideService(read(world, name, way, consumer), Clock.Clock, clock)),
          Fiber.await
        ).pipe(
          Effect.tap((exit) =>
            Effect.sync(() => {
              if (member.alive && Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause))
                world.failures.push(`${name}: ${Cause.pretty(exit.cause)}`)
            })
          )
        ),
        // Its process would be started again.
        Effect.suspend(() => (member.alive ? restart(world, member) : Effect.void))
      )
    )
    members.push(member)
  })

const restart = (world: World, member: Member): Effect.Effect<void, unknown> =>
  Effect.suspend(() => {
    remove(world, member)
    if (member.reading !== undefined) world.ending.push(member.reading)
    return Effect.andThen(close(world, member), join(world))
  })

const remove = (world: World, member: Member): void => {
  member.alive = false
  world.members.splice(world.members.indexOf(member), 1)
}

const close = ({ oracle, vacant }: World, { instanceId, name, scope }: Member) =>
  Effect.forkDetach(oracle.within(`closing ${name}`, "40 seconds")(Scope.close(scope, Exit.void))).pipe(
    Effect.flatMap(Fiber.await),
    Effect.tap(() => Effect.sync(() => void (instanceId !== undefined && vacant.push(instanceId))))
  )

/** Leaves in peace. */
export const leave = (world: World): Effect.Effect<void> =>
  Effect.gen(function* () {
    const member = world.choose.of(world.members)
    remove(world, member)
    yield* close(world, member)
    yield* Fiber.interrupt(member.reading!)
  })

/** Every member leaves, those that are about to come again, too. */
export const leaveAll = (world: World): Effect.Effect<void> =>
  Effect.gen(function* () {
    while (world.members.length > 0) yield* leave(world)
    yield* Fiber.awaitAll(world.ending.splice(0))
    if (world.members.length > 0) yield* leaveAll(world)
  })

/** Nothing that it sends arrives any more. */
export const die = (world: World): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const member = world.choose.of(world.members)
    remove(world, member)
    yield* world.broker.inject(Fault.on("*", { clientId: member.name }).loseRequest)
    yield* world.keeper.cut(member.name)
    world.ending.push(yield* Effect.forkDetach(Effect.andThen(Fiber.interrupt(member.reading!), close(world, member))))
  })

/** Sends a record to each of these partitions, and gives what is to be handled. */
export const send = (world: World, topic: "orders" | "extra", partitions: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const entries = partitions.map((partition) => ({ key: null, value: Buffer.from(`${world.sent++}`), partition }))
    let left = entries
    while (left.length > 0) {
      const results = yield* producer.sendAll(Topic.bytes(topic), left)
      left = left.filter((_, i) => Result.isFailure(results[i]!))
    }
    return entries.map(({ partition, value }) => `${topic}-${partition}:${value.toString()}`)
  })

/** Sends to some of the partitions that are not sick, now and then; gives what is to be handled. */
export const sendHealthy = (world: World, partitions: number, sick: ReadonlySet<number>) =>
  Effect.gen(function* () {
    const { choose } = world
    const all = Array.from({ length: partitions }, (_, i) => i)
    const picked = all.filter((partition) => !sick.has(partition) && choose.chance(Math.min(1, 6 / partitions)))
    const sent: Array<string> = []
    for (let round = choose.between(1, 4); round > 0; round--) {
      sent.push(...(yield* send(world, "orders", picked)))
      yield* Effect.sleep(choose.between(0, 3_000))
    }
    return sent
  })
