/** What goes wrong in a walk over consumers, one thing at a time. */
import { Effect, Scope } from "effect"
import { Offset, Producer, Topic } from "samsa"
import { Fault } from "samsa/testing"
import { brokers } from "./Walk.ts"
import { die, extra, extraPartitions, join, leave, orders, send, type World } from "./World.ts"

export const sicknesses = [
  "nothing",
  "a broker is down",
  "paused",
  "slow",
  "a member leaves",
  "a member dies",
  "a member is frozen",
  "cut off from the coordinator",
  "cut off from leaders",
  "sought",
  "committed by hand",
  "another topic is deleted",
  "another topic is made again",
  "another topic is truncated",
  "another topic is poisoned",
  "partitions are added",
  "the coordinator moves",
  "connections break"
] as const
export type Sickness = (typeof sicknesses)[number]

/** What a sickness leaves healthy, and what has to be handled in spite of it. */
export interface Sick {
  /** Partitions of orders that need not go on meanwhile. */
  readonly partitions: ReadonlySet<number>
  /** Of the other topic. */
  readonly due: ReadonlyArray<string>
}

const onlyThese = (partitions: ReadonlySet<number>): Sick => ({ partitions, due: [] })
const none = onlyThese(new Set())

/**
 * Sends a record to the other topic. It is due, except with `latest` where the topic was another before: who joins then
 * cannot know of it, and begins at its end.
 */
const sendOther = (world: World, partition: number) =>
  Effect.map(send(world, "extra", [partition]), (due): Sick => {
    const mayBeSkipped = world.setting.from === "latest" && world.isOtherNew
    return { partitions: new Set(), due: mayBeSkipped ? [] : due }
  })

/** The last records of a partition are lost by an election: those that a replica had not copied. */
const truncate = (world: World, partition: number) =>
  Effect.gen(function* () {
    const { broker } = world
    const { leader, replicas } = (yield* broker.topic(extra))![partition]!
    const follower = replicas.find((id) => id !== leader)!
    yield* broker.holdFollower(extra, partition, follower)
    yield* broker.shrinkIsr(extra, partition, follower)
    yield* send(world, "extra", [partition])
    yield* send(world, "extra", [partition])
    yield* Effect.sleep(world.choose.between(0, 4_000))
    yield* broker.electUnclean(extra, partition, follower)
  }).pipe(Effect.orDie)

/** Makes something sick until the Scope closes. */
export const sicken = (
  world: World,
  sickness: Sickness,
  partitions: number
): Effect.Effect<Sick, unknown, Scope.Scope | Producer.Producer> =>
  Effect.gen(function* () {
    const { broker, choose, members } = world
    const victim = choose.of(members)
    const all = new Set(Array.from({ length: partitions }, (_, i) => i))
    const some = new Set([choose.below(partitions), choose.below(partitions)])
    const places = [...some].map((partition) => ({ topic: "orders", partition }))
    const other = choose.below(extraPartitions)
    /** Of every member: only that of the owner succeeds. */
    const ofOwners = (f: (member: (typeof members)[number]) => Effect.Effect<unknown, unknown>) =>
      Effect.forkScoped(Effect.forEach(members, (member) => Effect.ignore(f(member)), { concurrency: "unbounded" }))
    const onMember = (apis: ReadonlyArray<Fault.Api>) =>
      Effect.forEach(apis, (api) => {
        const fault = Fault.on(api, { clientId: victim.name })
        return broker.inject(choose.chance(0.5) ? fault.loseRequest : fault.withhold)
      })
    const thaws = (timersFirst: boolean) => Effect.sync(() => victim.freezer.thaw(timersFirst))
    switch (sickness) {
      case "a broker is down": {
        const id = 1 + choose.below(brokers)
        const led = (yield* broker.topic(orders))!.filter(
          ({ leader, replicas }) => leader === id && replicas.length === 1
        )
        yield* Effect.acquireRelease(broker.stop(id), () => broker.start(id))
        return onlyThese(new Set(led.map(({ partition }) => partition)))
      }
      case "paused":
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
        return onlyThese(some)
      case "slow":
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            for (const partition of some) world.slow.add(partition)
          }),
          () => Effect.sync(() => world.slow.clear())
        )
        // One stream for all partitions is as slow as the slowest of them.
        return onlyThese(members.some(({ way }) => way === "stream") ? all : some)
      case "a member leaves":
        yield* leave(world)
        break
      case "a member dies":
        yield* die(world)
        break
      case "a member is frozen":
        // What is left of an array that a stream was given is beyond the consumer's reach.
        if (victim.way === "stream" || victim.way === "partitions") break
        yield* Effect.acquireRelease(
          Effect.suspend(() => {
            victim.freezer.freeze()
            world.standsStill(victim.name)
            return world.keeper.cut(victim.name)
          }),
          () => Effect.andThen(thaws(true), world.keeper.heal(victim.name))
        )
        // For longer than its session, or not.
        yield* Effect.forkScoped(
          Effect.andThen(
            Effect.sleep(choose.between(3_000, 30_000)),
            Effect.andThen(thaws(choose.chance(0.5)), world.keeper.heal(victim.name))
          )
        )
        break
      case "cut off from the coordinator":
        yield* onMember([
          "Heartbeat",
          "ConsumerGroupHeartbeat",
          "JoinGroup",
          "SyncGroup",
          "OffsetCommit",
          "OffsetFetch",
          "FindCoordinator",
          "LeaveGroup"
        ])
        // Where there is no other, nobody has its partitions.
        return members.length === 1 ? onlyThese(all) : none
      case "cut off from leaders":
        // It keeps its partitions, and reads none of them.
        yield* onMember(["Fetch"])
        return onlyThese(all)
      case "sought":
        yield* ofOwners(({ consumer }) =>
          Effect.gen(function* () {
            const place = places[0]!
            const position = yield* consumer.position(place)
            if (choose.chance(0.5)) return yield* consumer.seek(place, "earliest")
            const offset = choose.below(position + 1)
            yield* consumer.seek(place, Offset.at(offset))
            // What was delivered before it, and is not done, is forgotten.
            yield* world.waive(place.partition, offset)
          })
        )
        break
      case "committed by hand":
        yield* ofOwners(({ consumer }) =>
          Effect.gen(function* () {
            const place = places[0]!
            const offset = Math.max(0, (yield* consumer.position(place)) - choose.below(4))
            yield* world.waive(place.partition, offset)
            yield* consumer.commit([{ ...place, offset, metadata: "by hand" }])
          })
        )
        break
      case "another topic is deleted":
        world.isOtherNew = true
        yield* Effect.acquireRelease(Effect.orDie(broker.deleteTopic(extra)), () =>
          Effect.orDie(broker.createTopic({ name: extra, partitions: extraPartitions }))
        )
        break
      case "another topic is made again": {
        yield* Effect.orDie(broker.recreateTopic(extra))
        const sick = yield* sendOther(world, other)
        world.isOtherNew = true
        return sick
      }
      case "another topic is truncated":
        yield* truncate(world, other)
        return yield* sendOther(world, other)
      case "another topic is poisoned": {
        const producer = yield* Producer.Producer
        yield* Effect.ignore(
          producer.send(Topic.bytes("extra"), { key: null, value: Buffer.from("no number"), partition: other })
        )
        return yield* sendOther(world, other)
      }
      case "partitions are added":
        yield* Effect.ignoreCause(broker.addPartitions(orders, partitions + 1))
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
    if (members.length === 0) yield* join(world)
    return none
  })
