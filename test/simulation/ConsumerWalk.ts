/**
 * A random walk over the whole consumer: a group whose members have clients of their own, that join, leave, die and are
 * cut off from their coordinator or from leaders alone, while partitions are leaderless, paused, slow, deleted and made
 * again. Whatever is sick, what is healthy must be handled within a budget, by one member at a time.
 *
 * All from one seed, on the embedded broker and under TestClock.
 */
import { Effect, Exit, Fiber, Layer, Random, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Assignor, Consumer, Kafka, Membership, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest, Oracle } from "samsa/testing"
import { type Choices, choices } from "./Choices.ts"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const extra = Topic.bytes("extra")
const brokers = 3

/** What is sick for a while. */
const sicknesses = [
  "nothing",
  "a broker is down",
  "paused",
  "slow",
  "a member leaves",
  "a member dies",
  "cut off from the coordinator",
  "cut off from leaders",
  "another topic is deleted",
  "another topic is made again",
  "partitions are added",
  "the coordinator moves",
  "connections break"
] as const
type Sickness = (typeof sicknesses)[number]

type Order = Consumer.RecordOf<typeof orders>
type Ways = "stream" | "partitions" | "run" | "keys" | "none"

interface Member {
  readonly name: string
  readonly consumer: Consumer.Consumer<Order>
  readonly scope: Scope.Closeable
  readonly reading: Fiber.Fiber<unknown, unknown>
  alive: boolean
}

class World {
  readonly broker: EmbeddedKafka.Service
  readonly oracle: Oracle.Service
  readonly choose: Choices
  readonly members: Array<Member> = []
  /** What was handled to its end, as `partition:value`. */
  readonly handled = new Set<string>()
  /** Partitions whose handlers take long. */
  readonly slow = new Set<number>()
  /** Partitions that no member shall deliver. */
  readonly paused = new Set<number>()
  private onHandled: (() => void) | undefined
  sent = 0
  private named = 0

  constructor(broker: EmbeddedKafka.Service, oracle: Oracle.Service, choose: Choices) {
    this.broker = broker
    this.oracle = oracle
    this.choose = choose
  }

  name(): string {
    return `client-${++this.named}`
  }

  handle(member: string, record: Order): Effect.Effect<void> {
    const place = { group: "g", member, topic: record.topic, partition: record.partition, offset: record.offset }
    return Effect.suspend(() => {
      this.oracle.record({ _tag: "HandlerBegan", ...place })
      return this.slow.has(record.partition) ? Effect.sleep(20_000) : Effect.void
    }).pipe(
      Effect.tap(() => Effect.sync(() => this.done(`${record.partition}:${record.value}`))),
      Effect.onExit(() => Effect.sync(() => this.oracle.record({ _tag: "HandlerEnded", ...place })))
    )
  }

  private done(what: string): void {
    this.handled.add(what)
    this.onHandled?.()
  }

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

interface Setting {
  readonly from: "earliest" | "latest"
  readonly cooperative: boolean
  readonly small: boolean
}

const read = (world: World, name: string, way: Ways, consumer: Consumer.Consumer<Order>) => {
  const handle = (record: Order) => world.handle(name, record)
  const marked = (record: Order) => Effect.andThen(handle(record), Consumer.done(record))
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
const join = (world: World, { cooperative, from, small }: Setting): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    const { broker, choose, members, oracle, paused } = world
    const name = world.name()
    const way = choose.of<Ways>(["stream", "partitions", "run", "keys", "none"])
    const scope = yield* Scope.make()
    const client = Layer.provide(
      Kafka.layerWithoutNetwork({ bootstrap: broker.bootstrap, clientId: name, metadataTimeout: "5 seconds" }),
      Layer.provide(EmbeddedKafka.layerNetwork, Layer.succeed(EmbeddedKafka.EmbeddedKafka, broker))
    )
    const context = yield* Layer.buildWithScope(client, scope)
    const consumer = (yield* oracle
      .subscribe({
        group: "g",
        topics: [orders, extra],
        from,
        commitInterval: choose.of([200, 1000, 5000]),
        drainTimeout: "5 seconds",
        commitTimeout: "5 seconds",
        maxRecords: choose.of([1, 5, 500]),
        fetch: small ? { bufferBytes: choose.of([200, 2_000]), maxPartitionBytes: 500 } : {},
        membership: Membership.classic({
          assignors: [cooperative ? Assignor.cooperativeSticky : Assignor.range],
          sessionTimeout: "10 seconds",
          rebalanceTimeout: "15 seconds",
          metadataMaxAge: "10 seconds"
        })
      })
      .pipe(Effect.provide(context), Scope.provide(scope))) as unknown as Consumer.Consumer<Order>
    yield* consumer.pause([...paused].map((partition) => ({ topic: "orders", partition })))
    const member: { -readonly [K in keyof Member]?: Member[K] } = { name, consumer, scope, alive: true }
    const reading = yield* Effect.forkDetach(
      Effect.andThen(
        Effect.exit(read(world, name, way, consumer)),
        // Interrupted by the consumer: its process would be started again.
        Effect.suspend(() =>
          member.alive === true ? restart(world, member as Member, { cooperative, from, small }) : Effect.void
        )
      )
    )
    member.reading = reading
    members.push(member as Member)
  })

const restart = (world: World, member: Member, setting: Setting): Effect.Effect<void, unknown> =>
  Effect.suspend(() => {
    member.alive = false
    world.members.splice(world.members.indexOf(member), 1)
    return Effect.andThen(close(world, member), join(world, setting))
  })

const close = ({ oracle }: World, { name, scope }: Member) =>
  Effect.forkDetach(oracle.within(`closing ${name}`, "40 seconds")(Scope.close(scope, Exit.void))).pipe(
    Effect.flatMap(Fiber.await)
  )

/** Leaves in peace. */
const leave = (world: World): Effect.Effect<void> =>
  Effect.gen(function* () {
    const member = world.choose.of(world.members)
    member.alive = false
    world.members.splice(world.members.indexOf(member), 1)
    yield* close(world, member)
    yield* Fiber.interrupt(member.reading)
  })

/** Nothing that it sends arrives any more. */
const die = (world: World): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const member = world.choose.of(world.members)
    member.alive = false
    world.members.splice(world.members.indexOf(member), 1)
    yield* world.broker.inject(Fault.on("*", { clientId: member.name }).loseRequest)
    yield* Effect.forkDetach(Effect.andThen(Fiber.interrupt(member.reading), close(world, member)))
  })

/** Makes something sick until the Scope closes; gives the partitions that are not healthy meanwhile. */
const sicken = (world: World, sickness: Sickness, setting: Setting, partitions: number) =>
  Effect.gen(function* () {
    const { broker, choose, members } = world
    const victim = choose.of(members)
    const some = new Set([choose.below(partitions), choose.below(partitions)])
    const onMember = (apis: ReadonlyArray<Fault.Api>) =>
      Effect.forEach(apis, (api) => {
        const fault = Fault.on(api, { clientId: victim.name })
        return broker.inject(choose.chance(0.5) ? fault.loseRequest : fault.withhold)
      })
    switch (sickness) {
      case "a broker is down": {
        const id = 1 + choose.below(brokers)
        const led = (yield* broker.topic(orders))!.filter(
          ({ leader, replicas }) => leader === id && replicas.length === 1
        )
        yield* Effect.acquireRelease(broker.stop(id), () => broker.start(id))
        return new Set(led.map(({ partition }) => partition))
      }
      case "paused": {
        const places = [...some].map((partition) => ({ topic: "orders", partition }))
        yield* Effect.acquireRelease(
          Effect.suspend(() => {
            for (const partition of some) world.paused.add(partition)
            return Effect.forEach(members, ({ consumer }) => consumer.pause(places), { discard: true })
          }),
          () =>
            Effect.suspend(() => {
              world.paused.clear()
              return Effect.forEach(members, ({ consumer }) => consumer.resume(places), { discard: true })
            })
        )
        return some
      }
      case "slow":
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            for (const partition of some) world.slow.add(partition)
          }),
          () => Effect.sync(() => world.slow.clear())
        )
        // One stream for all partitions is as slow as the slowest of them.
        return new Set(
          Array.from({ length: partitions }, (_, i) => i).filter((i) => some.has(i) || world.members.length > 0)
        )
      case "a member leaves":
        yield* leave(world)
        break
      case "a member dies":
        yield* die(world)
        break
      case "cut off from the coordinator":
        yield* onMember(["Heartbeat", "JoinGroup", "SyncGroup", "OffsetCommit", "FindCoordinator", "LeaveGroup"])
        break
      case "cut off from leaders":
        // It keeps its partitions, and reads none of them.
        yield* onMember(["Fetch"])
        return new Set(Array.from({ length: partitions }, (_, i) => i))
      case "another topic is deleted":
        yield* Effect.acquireRelease(Effect.orDie(broker.deleteTopic(extra)), () =>
          Effect.orDie(broker.createTopic({ name: extra, partitions: 2 }))
        )
        break
      case "another topic is made again":
        yield* Effect.orDie(broker.recreateTopic(extra))
        break
      case "partitions are added":
        yield* Effect.orDie(broker.addPartitions(orders, partitions + 1)).pipe(Effect.ignoreCause)
        break
      case "the coordinator moves":
        yield* Effect.orDie(broker.moveCoordinator("g"))
        break
      case "connections break":
        yield* broker.inject(Fault.on("*", { probability: 0.05, seed: choose.below(1e6) }).loseResponse)
        break
      case "nothing":
        break
    }
    if (members.length === 0) yield* join(world, setting)
    return new Set<number>()
  })

/** Sends a record to each of these partitions, and gives what is to be handled. */
const send = (world: World, partitions: ReadonlyArray<number>) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const entries = partitions.map((partition) => ({ key: null, value: `v${world.sent++}`, partition }))
    let left = entries
    while (left.length > 0) {
      const results = yield* producer.sendAll(orders, left)
      left = left.filter((_, i) => Result.isFailure(results[i]!))
    }
    return entries.map(({ partition, value }) => `${partition}:${value}`)
  })

const walk = (seed: number, partitions: number, choose: Choices) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const oracle = yield* Oracle.Oracle
    const world = new World(broker, oracle, choose)
    const setting: Setting = {
      from: choose.of(["earliest", "latest"]),
      cooperative: choose.chance(0.5),
      small: choose.chance(0.5)
    }
    for (let i = choose.between(1, 4); i > 0; i--) yield* join(world, setting)
    // With `latest` what is sent before the group has its positions is nobody's.
    yield* Effect.sleep(5_000)
    const wanted: Array<string> = []
    const all = Array.from({ length: partitions }, (_, i) => i)
    for (let phase = 0; phase < 4; phase++) {
      const sickness = choose.of(sicknesses)
      const healthyOnes = yield* Effect.scoped(
        Effect.gen(function* () {
          const sick = yield* sicken(world, sickness, setting, partitions)
          const picked = all.filter((partition) => !sick.has(partition) && choose.chance(Math.min(1, 6 / partitions)))
          const due: Array<string> = []
          for (let round = choose.between(1, 4); round > 0; round--) {
            due.push(...(yield* send(world, picked)))
            yield* Effect.sleep(choose.between(0, 3_000))
          }
          // Those that are cut off lose what they have, and a rebalance waits for them.
          yield* oracle.within(
            `healthy partitions, while ${sickness} (phase ${phase})`,
            "70 seconds"
          )(world.awaitHandled(due))
          return due
        })
      )
      wanted.push(...healthyOnes)
      if (choose.chance(0.4) && world.members.length < 5) yield* join(world, setting)
      wanted.push(...(yield* send(world, [choose.below(partitions)])))
    }
    yield* oracle.within("everything, when all is well again", "2 minutes")(world.awaitHandled(wanted))
    while (world.members.length > 0) yield* leave(world)
    void seed
  })

export interface Run {
  readonly history: ReadonlyArray<Oracle.Event>
  readonly violations: ReadonlyArray<Oracle.Violation>
  readonly misuses: ReadonlyArray<string>
  readonly defects: ReadonlyArray<unknown>
  readonly took: number
}

const step = 250
const limit = 20 * 60_000

/** Walks under TestClock, which is moved on until the walk is over. */
export const run = (seed: number): Effect.Effect<Run, unknown> => {
  const choose = choices(seed)
  const partitions = choose.of([1, 2, 3, 4, 6, 12, choose.chance(0.1) ? 200 : 20])
  const replicationFactor = choose.of([1, 1, 3])
  return Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const oracle = yield* Oracle.Oracle
    const fiber = yield* Effect.forkChild(walk(seed, partitions, choose))
    let took = 0
    while (fiber.pollUnsafe() === undefined && took < limit) {
      for (let i = 0; i < 8; i++) yield* Effect.yieldNow
      yield* TestClock.adjust(step)
      took += step
    }
    if (process.env.DEBUG === "1")
      console.log(JSON.stringify(yield* broker.topic(orders)), partitions, replicationFactor)
    if (fiber.pollUnsafe() === undefined) yield* Fiber.interrupt(fiber)
    else yield* Fiber.join(fiber)
    return {
      history: yield* oracle.history,
      violations: yield* oracle.check,
      misuses: yield* broker.misuses,
      defects: yield* broker.defects,
      took
    }
  }).pipe(
    Effect.provide(
      Oracle.layer().pipe(
        Layer.provideMerge(Producer.layer()),
        Layer.provideMerge(
          KafkaTest.layer({
            brokers,
            seed,
            topics: [
              { name: orders, partitions, replicationFactor },
              { name: extra, partitions: 2, replicationFactor: 3 }
            ]
          })
        )
      )
    ),
    Effect.provide(TestClock.layer()),
    Random.withSeed(`${seed}`)
  )
}
