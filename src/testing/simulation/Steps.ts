/** What the steps of a script do: each in an Effect that lasts as long as it is in force. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as KafkaError from "../../KafkaError.ts"
import * as Fault from "../Fault.ts"
import { topicOf } from "./ClusterOptions.ts"
import { isChain, readerOf } from "./Handlers.ts"
import type { Members } from "./Members.ts"
import { since } from "./Ranges.ts"
import { metadataMaxAge } from "./Reading.ts"
import type { Senders } from "./Senders.ts"
import type * as Script from "./Script.ts"
import type { Transactors } from "./Transactors.ts"
import type { World } from "./World.ts"

export interface Actors {
  readonly world: World
  readonly producers: Senders
  readonly transactors: Transactors
  readonly members: Members
}

/** What the broker refuses, since it is not there any more or not yet, is nothing to do. */
const ifPossible = (self: Effect.Effect<unknown, KafkaError.KafkaError>): Effect.Effect<void> => Effect.ignore(self)

/** A process ends without a word; what it had is closed with nobody to hear it. */
const crash = (
  { members, producers, transactors, world }: Actors,
  { client, how }: Script.StepOf<"crash">
): Effect.Effect<void> =>
  Effect.suspend(() => {
    const process = world.living(client)
    if (process === undefined) return Effect.void
    process.alive = false
    world.links.end(process.id, how)
    for (const fiber of world.atWork(process)) fiber.interruptUnsafe()
    const closing = [members.crash(process), producers.closeAll(process), transactors.closeAll(process)]
    return Effect.andThen(Effect.all(closing, { concurrency: "unbounded" }), process.close)
  })

const freeze = ({ members, world }: Actors, step: Script.StepOf<"freeze">): Effect.Effect<void> =>
  Effect.suspend(() => {
    const process = world.living(step.client)
    if (process === undefined) return Effect.void
    process.freeze()
    members.standStill(process, step.for)
    return Effect.andThen(
      Effect.sleep(step.for),
      Effect.sync(() => process.thaw(step.timersFirst === true))
    )
  })

const setClock = ({ members, world }: Actors, { by, client }: Script.StepOf<"setClock">): Effect.Effect<void> =>
  Effect.sync(() => {
    const process = world.living(client)
    if (process === undefined) return
    process.setClock(by)
    members.clockSet(process)
  })

/** Partitions and groups that need a broker, for as long as it is not to be had, are disturbed. */
const without = (
  { members, world }: Actors,
  broker: number | undefined,
  client: string | undefined,
  lasts: number
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { broker: cluster, script } = world
    const isOf = (spec: { readonly client: string }) => client === undefined || spec.client === client
    // What is written with `acks: 0` is acknowledged before it is on its way: it is late for everybody.
    const isHeldBack = script.producers.some((spec) => spec.acks === 0 && isOf(spec))
    // Who asks it hears nothing for a while, and asks another.
    const readers = new Set(script.members.filter((spec) => isHeldBack || isOf(spec)).map(readerOf))
    for (const group of readers) world.disturb(0, { group })
    const end = world.now + lasts
    while (world.now < end) {
      const passes = Math.min(1000, end - world.now)
      for (const { name } of script.topics)
        for (const { leader, partition } of (yield* cluster.topic(name)) ?? [])
          if (broker === undefined || leader === broker)
            for (const group of readers) world.disturb(passes, { group, topic: name, partition })
      // Where it coordinates, whoever it is.
      if (broker === undefined || (yield* coordinates(members, world, broker)))
        for (const group of readers) world.disturb(passes, { group })
      else if ((yield* world.broker.transactions).some(({ coordinator }) => coordinator === broker))
        for (const { group = "" } of script.members.filter(isChain)) world.disturb(passes, { group })
      yield* Effect.sleep(passes)
    }
  })

/** Whether any group is coordinated by this broker. */
const coordinates = (members: Members, world: World, broker: number): Effect.Effect<boolean> =>
  Effect.map(
    Effect.forEach([...members.groups.keys()], (group) => world.broker.group(group)),
    (all) => all.some((group) => group === undefined || group.coordinator === broker)
  )

const down = (actors: Actors, step: Script.StepOf<"down">): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { world } = actors
    world.disturb(0)
    for (const { name } of world.script.topics)
      for (const { isr, partition } of (yield* world.broker.topic(name)) ?? [])
        if (isr.every((id) => id === step.broker)) world.disturb(step.for, { topic: name, partition })
    yield* world.broker.stop(step.broker)
    yield* Effect.sleep(step.for)
    // No broker begins that is older than the cluster's protocol: it is not updated, or back.
    const { raised = step.release } = world
    const comes = step.release !== undefined && raised !== undefined && since(step.release, raised)
    yield* world.broker.start(step.broker, comes ? step.release : undefined)
    world.disturb(0)
  })

const link = (actors: Actors, { amount = 0, broker, client, for: lasts, how }: Script.StepOf<"link">) =>
  Effect.suspend(() => {
    const end = actors.world.links.begin({ broker, client, how, amount })
    return Effect.ensuring(without(actors, broker, client, lasts), Effect.sync(end))
  })

/** A broker that stands still: nothing that it is told arrives, until it goes on. */
const stand = (actors: Actors, step: Script.StepOf<"stand">): Effect.Effect<void> =>
  link(actors, { at: step.at, do: "link", how: "cut", broker: step.broker, for: step.for })

const faultOf = (step: Script.StepOf<"fault">): Fault.Fault => {
  const { action, api, broker, client: clientId, code = 0, group, millis = 0, nth, partition, probability, seed } = step
  const on = Fault.on(api as Fault.Api, {
    topic: step.topic,
    nth,
    times: step.times,
    partition,
    group,
    clientId,
    broker,
    probability,
    seed
  })
  switch (action) {
    case "error":
    case "errorAfter":
      return on[action](code)
    case "delay":
      return on.delay(millis)
    case "throttle":
      return on.throttle(millis)
    default:
      return on[action]
  }
}

/** What a fault keeps waiting: a partition alone where the answer names it, else all that shares the connection. */
const struck = ({ world }: Actors, { action, api, for: lasts, partition, topic }: Script.StepOf<"fault">): void => {
  const isAnswered = action === "error" || action === "errorAfter" || action === "corruptCrc" || action === "truncate"
  const ofWriters = ["Produce", "InitProducerId", "OffsetCommit"].includes(api)
  // Chains write what they read.
  if (isAnswered && ofWriters && !world.script.members.some(isChain)) return
  if (isAnswered && (api === "Fetch" || api === "ListOffsets")) world.disturb(lasts, { topic, partition })
  else world.disturb(lasts)
}

const fault = (actors: Actors, step: Script.StepOf<"fault">): Effect.Effect<void> =>
  Effect.scoped(
    Effect.flatMap(actors.world.broker.inject(faultOf(step)), ({ hits }) =>
      Effect.suspend(() => (struck(actors, step), Effect.sleep(step.for))).pipe(
        Effect.andThen(hits),
        Effect.map((count) => void actors.world.hits.set(step, count))
      )
    )
  )

/** A follower of a partition: undefined where it has none that lives. */
const followerOf = ({ world }: Actors, topic: string, partition: number): Effect.Effect<number | undefined> =>
  Effect.map(world.broker.topic(topic), (all) => {
    const one = all?.[partition]
    return one?.isr.find((id) => id !== one.leader)
  })

/** A follower copies no more, and is out of sync where it `shrinks`; then it catches up, or leads all the same. */
const lagging = (
  actors: Actors,
  { for: lasts, partition, topic }: Script.StepOf<"lag" | "unclean">,
  shrinks: boolean,
  end: "releaseFollower" | "electUnclean"
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { broker } = actors.world
    const follower = yield* followerOf(actors, topic, partition)
    if (follower === undefined) return
    actors.world.disturb(lasts, { topic, partition })
    yield* ifPossible(broker.holdFollower(topic, partition, follower))
    if (shrinks) yield* ifPossible(broker.shrinkIsr(topic, partition, follower))
    yield* Effect.sleep(lasts)
    yield* ifPossible(broker[end](topic, partition, follower))
  })

const everySecond = Schedule.spaced("1 second")

const deleteTopic = ({ world }: Actors, { for: lasts, topic: name }: Script.StepOf<"deleteTopic">) =>
  Effect.gen(function* () {
    const { broker, now: from, script } = world
    const partitions = (yield* broker.topic(name))?.length
    yield* ifPossible(broker.deleteTopic(name))
    yield* Effect.sleep(lasts)
    const spec = script.topics.find((topic) => topic.name === name)
    if (partitions !== undefined && spec !== undefined) {
      const made = broker.createTopic(topicOf(spec, partitions))
      // Not before there are as many brokers as it has replicas.
      yield* ifPossible(Effect.retry(made, { times: 3600, schedule: everySecond }))
    }
    world.disturb(metadataMaxAge, {}, from)
  })

const trim = ({ world }: Actors, { keep, partition, topic }: Script.StepOf<"trim">): Effect.Effect<void> =>
  Effect.gen(function* () {
    const one = (yield* world.broker.topic(topic))?.[partition]
    if (one === undefined) return
    const to = Math.max(one.startOffset, one.highWatermark - keep)
    if (to === one.startOffset) return
    world.disturb(0, { topic, partition })
    yield* ifPossible(world.broker.trim(topic, partition, to))
  })

const retain = (actors: Actors, { for: lasts, keep, topic }: Script.StepOf<"retain">): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { world } = actors
    const end = world.now + lasts
    while (world.now < end) {
      const partitions = (yield* world.broker.topic(topic)) ?? []
      for (const { partition } of partitions) yield* trim(actors, { at: world.now, do: "trim", topic, partition, keep })
      yield* Effect.sleep(Math.min(1000, end - world.now))
    }
  })

/** Nobody copies from a leader that is not there. */
const reassign = ({ world }: Actors, { partition, replicas, topic }: Script.StepOf<"reassign">): Effect.Effect<void> =>
  Effect.gen(function* () {
    const one = (yield* world.broker.topic(topic))?.[partition]
    if (one === undefined || one.leader < 0) return
    world.disturb(0, { topic, partition })
    yield* ifPossible(world.broker.reassign(topic, partition, replicas))
  })

const raise = ({ world }: Actors, { release }: Script.StepOf<"raise">): Effect.Effect<void> => {
  world.disturb(0)
  return ifPossible(Effect.map(world.broker.raise(release), () => (world.raised = release)))
}

/** Does what a step says. */
export const perform = (actors: Actors, step: Script.Step): Effect.Effect<void> => {
  const { members, producers, transactors, world } = actors
  const { broker } = world
  switch (step.do) {
    case "send":
      return producers.send(step)
    case "flush":
      return producers.flush(step.producer)
    case "closeProducer":
      return producers.close(step.producer)
    case "transact":
      return transactors.transact(step)
    case "closeTransactor":
      return transactors.close(step.transactor)
    case "join":
      return step.protocol !== undefined && world.raised !== undefined && since(world.raised, "4.0")
        ? members.joinBy(step.member, step.protocol)
        : members.join(step.member)
    case "leave":
      return members.leave(step.member)
    case "stop":
      return members.stop(step.member, step.for)
    case "interrupt":
      return members.interrupt(step.member, step.for)
    case "crash":
      return crash(actors, step)
    case "freeze":
      return freeze(actors, step)
    case "pause":
      return members.pause(step)
    case "seek":
      return members.seek(step)
    case "commit":
      return members.commit(step)
    case "resubscribe":
      return members.resubscribe(step)
    case "setClock":
      return setClock(actors, step)
    case "slow":
      return Effect.sync(() => void world.slow.push(step))
    case "down":
      return down(actors, step)
    case "stand":
      return stand(actors, step)
    case "raise":
      return raise(actors, step)
    case "addBroker":
      return ifPossible(broker.addBroker)
    case "moveLeader":
      world.disturb(0, { topic: step.topic, partition: step.partition })
      return ifPossible(broker.moveLeader(step.topic, step.partition, step.to))
    case "reassign":
      return reassign(actors, step)
    case "moveCoordinator":
      world.disturb(0, { group: step.group })
      return ifPossible(broker.moveCoordinator(step.group, step.to))
    case "moveTransactions":
      for (const { group = "" } of world.script.members.filter(isChain)) world.disturb(0, { group })
      return ifPossible(broker.moveTransactionCoordinator(step.transactionalId, step.to))
    case "addPartitions":
      world.disturb(metadataMaxAge)
      return ifPossible(broker.addPartitions(step.topic, step.total))
    case "deleteTopic":
      return deleteTopic(actors, step)
    case "recreateTopic":
      world.disturb(metadataMaxAge)
      return ifPossible(broker.recreateTopic(step.topic))
    case "trim":
      return trim(actors, step)
    case "retain":
      return retain(actors, step)
    case "compact":
      world.disturb(0, { topic: step.topic })
      return ifPossible(broker.compact(step.topic))
    case "lag":
      return lagging(actors, step, step.shrink === true, "releaseFollower")
    case "unclean":
      return lagging(actors, step, true, "electUnclean")
    case "link":
      return link(actors, step)
    case "fault":
      return fault(actors, step)
  }
}
