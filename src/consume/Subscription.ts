/** How a consumer comes to its topics: of a group, by names or by a pattern, or assigned by hand. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Backoff from "../Backoff.ts"
import { Cluster } from "../Cluster.ts"
import type { TopicInfo } from "../ClusterInfo.ts"
import { GroupOffsets } from "../GroupOffsets.ts"
import { shown } from "../Checks.ts"
import * as LogEvent from "../LogEvent.ts"
import * as KafkaError from "../KafkaError.ts"
import type * as Offset from "../Offset.ts"
import type * as Membership from "../Membership.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Apart from "./Apart.ts"
import { nowhere } from "./Bound.ts"
import * as CutEnds from "./CutEnds.ts"
import * as Engine from "./Engine.ts"
import * as GoneTopics from "./GoneTopics.ts"
import type { Settings } from "./Settings.ts"
import * as StartPositions from "./StartPositions.ts"

type Places = ReadonlyArray<TopicPartition.TopicPartition>

// Of a membership that does not say how long it may take to leave, in milliseconds.
const leaveTimeout = 5_000

/** Makes the engine, which closes with the Scope. A membership may bring its own keeper of offsets. */
export const bound = <R = never>(settings: Settings, membership?: Membership.Membership<R>) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const outer = yield* Effect.scope
      const scope = yield* Scope.make()
      const keeper: Effect.Effect<GroupOffsets["Service"], KafkaError.KafkaError, GroupOffsets | R> =
        membership?.offsets ?? GroupOffsets
      const made = Effect.provideServiceEffect(Engine.make(settings, scope), GroupOffsets, keeper)
      const engine = yield* Effect.onError(restore(made), (cause) => Scope.close(scope, Exit.failCause(cause)))
      engine.grouped = membership !== undefined
      engine.leaveTimeout = membership?.leaveTimeout ?? leaveTimeout
      yield* Scope.addFinalizer(
        outer,
        // In a fiber of its own: whoever closes the Scope may have been interrupted, and could not wait for a budget.
        engine.reading.closing.pipe(
          Effect.andThen(Effect.forkDetach(engine.close)),
          Effect.flatMap(Fiber.await),
          Effect.andThen(Apart.within(Scope.close(scope, Exit.void), settings.closeTimeout))
        )
      )
      return engine
    })
  )

/** Runs in the background for as long as the consumer lives; what fails, or dies, ends the consumer so. */
const start = <R>(engine: Engine.Engine, self: Effect.Effect<void, KafkaError.KafkaError, R>) =>
  engine.inBackground(
    self.pipe(
      // A cluster that cannot be reached is waited for; a topic that is not there, by the budget of `Cluster.topic`.
      Effect.tapError((error) => (error.isRetryable ? engine.waits(error) : Effect.void)),
      Effect.retry({ schedule: Backoff.unending(engine.cluster.retry), while: (error) => error.isRetryable })
    )
  )

// Whoever has a coordinator knows it, in milliseconds.
const atOnce = 500

/** What a group that does not form is waiting for, as far as its member can know. */
const notFormed = (group: string, millis: number, keeper = "its coordinator"): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "TimedOut",
    budget: "rebalanceTimeout",
    millis,
    waitingFor: `the group to share out its partitions: another member is at work and has not given back what it holds yet, or has died without leaving and its session is not over, or ${keeper} does not answer (samsa groups describe ${group})`,
    group
  })

/** A group that was shared out, and where nothing is left for this member. */
const none = (engine: Engine.Engine, group: string, names: ReadonlyArray<string>): string => {
  const unknown = names.filter((name) => engine.cluster.known(name) === undefined)
  if (names.length === 0) return "no topic of the cluster fits its pattern"
  if (unknown.length === names.length) return `there is no topic ${unknown.join(", ")}`
  const count = names.reduce((sum, name) => sum + (engine.cluster.known(name)?.partitions.length ?? 0), 0)
  const of = names.length === 1 ? names[0] : `${names.length} topics`
  return `${count} ${count === 1 ? "partition" : "partitions"} of ${of} are shared out, each to one member, and others have all of them (samsa groups describe ${group})`
}

/**
 * Says why a consumer has no partitions, as soon as it is known: the brokers that lead the topics are connected to, which
 * are those that the cluster advertises; where they are reached it is the group.
 */
const explain = (
  engine: Engine.Engine,
  group: string,
  keeper: string | undefined,
  topics: Effect.Effect<ReadonlyArray<string>, KafkaError.KafkaError>
): Effect.Effect<never> =>
  Effect.gen(function* () {
    const { cluster } = engine
    const { isOver, millis, told, why } = yield* engine.silence
    if (why === "none") {
      const names = yield* Effect.orElseSucceed(topics, () => undefined)
      if (names === undefined || isOver()) return
      told()
      const text = `a consumer of group ${group} has no partition: ${none(engine, group, names)}`
      return yield* LogEvent.log("noPartition", text, { group, member: engine.member?.identity().memberId })
    }
    const reached = topics.pipe(
      Effect.flatMap((names) =>
        Effect.forEach(names.slice(0, 1), (topic) =>
          Effect.flatMap(cluster.leader({ topic, partition: 0 }), ({ broker }) => broker.offer())
        )
      )
    )
    const coordinator = keeper === undefined ? cluster.coordinator("group", group) : Effect.void
    const error = yield* Effect.andThen(reached, Effect.timeoutOption(coordinator, atOnce)).pipe(
      Effect.map((found) => (found._tag === "None" ? ("unknown" as const) : undefined)),
      Effect.catch((error) => Effect.succeed(error))
    )
    // It is looked for, and why that takes long is told there.
    if (error === "unknown" || isOver()) return
    const trouble = engine.trouble()
    const isOurs =
      trouble === undefined || (trouble.reason._tag === "TimedOut" && trouble.reason.budget === "rebalanceTimeout")
    yield* engine.waits(error ?? (isOurs ? notFormed(group, millis, keeper) : trouble), true)
  }).pipe(Effect.forever)

const join = <RM>(
  engine: Engine.Engine,
  group: string,
  membership: Membership.Membership<RM>,
  subscribed: Pick<Membership.Join, "topics" | "isWanted" | "pattern">
) =>
  Effect.andThen(
    engine.joins,
    Effect.flatMap(
      Scope.provide(membership.join({ group, ...subscribed, owner: engine.owner }), engine.scope),
      engine.joined
    )
  )

/** What is subscribed to, and how that is changed. */
export interface Subscription {
  readonly resubscribe: (topics: ReadonlyArray<string> | RegExp) => Effect.Effect<void, KafkaError.KafkaError>
}

// A RegExp with the flags g or y remembers where it stopped.
const stateless = (pattern: RegExp): RegExp => new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""))

const noted = (engine: Engine.Engine, infos: ReadonlyArray<TopicInfo>, isFirst: (name: string) => boolean): void => {
  for (const { id, name, partitions } of infos) {
    if (!engine.knownTopics.has(name) && partitions.length > 0)
      engine.knownTopics.set(name, { count: isFirst(name) ? partitions.length : 0, id })
  }
}

/**
 * Joins a group for topics, by names or by a pattern. `known`: the names that a pattern may pick from, where their
 * Schemas are given; undefined: all topics of the cluster.
 */
export const subscribe = Effect.fnUntraced(function* <RM>(
  engine: Engine.Engine,
  group: string,
  membership: Membership.Membership<RM>,
  first: ReadonlyArray<string> | RegExp,
  known: ReadonlyArray<string> | undefined
): Effect.fn.Return<Subscription, never, Cluster | RM> {
  const { cluster } = engine
  let wanted = first instanceof RegExp ? stateless(first) : first
  /** How many changes of it were begun, and which of them it is of. */
  let begun = 0
  let latest = 0
  let isFirst = true
  /** Topics of which nothing could be told at first: they were there. */
  const unready = new Set<string>()
  const matching = (pattern: RegExp) =>
    Effect.map(cluster.topics(known ?? null, { unready: true }), (infos) => {
      const found = infos.filter((info) => !info.internal && pattern.test(info.name))
      if (isFirst) for (const { name, partitions } of found) if (partitions.length === 0) unready.add(name)
      noted(engine, found, (name) => isFirst || unready.has(name))
      isFirst = false
      return found.map(({ name }) => name)
    })
  const pattern = () => (known === undefined && wanted instanceof RegExp ? wanted : undefined)
  const isWanted = (name: string) => (wanted instanceof RegExp ? wanted.test(name) : wanted.includes(name))
  const topics = Effect.suspend(() => (wanted instanceof RegExp ? matching(wanted) : Effect.succeed(wanted)))
  const named = (names: ReadonlyArray<string>) =>
    Effect.map(
      Effect.forEach(names, (name) => cluster.topic(name), { concurrency: "unbounded" }),
      (infos) => noted(engine, infos, () => true)
    )
  yield* start(
    engine,
    Effect.andThen(
      wanted instanceof RegExp ? Effect.void : named(wanted),
      Effect.andThen(
        join(engine, group, membership, { topics, isWanted, pattern }),
        explain(engine, group, membership.keeper, topics)
      )
    )
  )
  return {
    resubscribe: Effect.fnUntraced(function* (next) {
      if (!(next instanceof RegExp) && !Array.isArray(next))
        return yield* KafkaError.make({
          _tag: "Misuse",
          message: `resubscribe takes names or a RegExp, not ${shown(next)}`
        })
      const names = next instanceof RegExp ? [] : [...next]
      const unknown = known === undefined ? [] : names.filter((name) => !known.includes(name))
      if (unknown.length > 0 || (names.length === 0 && !(next instanceof RegExp))) {
        const message =
          unknown.length > 0
            ? `resubscribe: ${unknown.join(", ")} is none of the topics that the consumer was made with`
            : "resubscribe: no topic is named"
        return yield* KafkaError.make({ _tag: "Misuse", message })
      }
      const mine = ++begun
      yield* named(names)
      // Of two at a time the one that was begun last holds, in whichever order they end.
      if (mine < latest) return
      latest = mine
      wanted = next instanceof RegExp ? stateless(next) : names
      yield* engine.member?.topicsChanged ?? Effect.void
    })
  }
})

// Ends that are not told by then are waited for one by one, in milliseconds.
const together = 1_000

/** Takes partitions that are chosen by hand: all of the topics, those that are added later included, or some. */
export const assign = Effect.fnUntraced(function* (
  engine: Engine.Engine,
  names: ReadonlyArray<string>,
  chosen: Places | undefined
) {
  const { cluster, settings } = engine
  const { until } = settings
  const placesOf = ({ name, partitions }: TopicInfo): Places =>
    partitions.map(({ partition }) => ({ topic: name, partition }))

  /** Partitions that are added start at their first record. */
  const grows = (counts: Map<string, number>) =>
    Stream.runForEach(cluster.changes, (change) => {
      if (change._tag !== "Topic") return Effect.void
      const { name } = change.topic
      const before = counts.get(name)
      if (before === undefined || change.topic.partitions.length <= before) return Effect.void
      counts.set(name, change.topic.partitions.length)
      return engine.fixed(placesOf(change.topic).slice(before), new Map())
    })

  /** Those whose ends are told soon are read together; whoever has no leader waits alone. */
  const bounded = Effect.fnUntraced(function* (places: Places, until: Offset.Position) {
    const { isolation } = settings.fetch
    const positions = places.map((partition) => ({ partition, at: until }))
    // An offset is one whether it is there by now or not.
    if (typeof until !== "object" || until._tag === "AtTime") yield* engine.inBackground(CutEnds.watch(engine))
    const asked = cluster.offsets(
      places.map((place) => ({ ...place, at: until })),
      { isolation }
    )
    const all = Option.flatten(yield* Effect.timeoutOption(Effect.option(asked), together))
    if (Option.isSome(all)) {
      return yield* engine.fixed(places, new Map(places.map((place, i) => [TopicPartition.key(place), all.value[i]!])))
    }
    let left = places.length
    const upTo = (place: TopicPartition.TopicPartition, end: number) =>
      Effect.suspend(() => engine.fixed([place], new Map([[TopicPartition.key(place), end]]), --left > 0))
    const isGone = GoneTopics.isGone(cluster)
    yield* StartPositions.find(
      { cluster, isolation, while: () => true },
      positions,
      ({ partition }, end) => upTo(partition, end),
      (place, error) =>
        Effect.gen(function* () {
          // Deleted, or made again with fewer partitions: there is nothing of this one. Or the time was over first.
          const isUnheard = GoneTopics.isUnknownTopic(error) || error.reason._tag === "TimedOut"
          if (!error.isRetryable && !isUnheard) return yield* error
          yield* engine.waits(error)
          if (isUnheard && (yield* isGone(place))) {
            yield* upTo(place, nowhere)
            return "give up"
          }
          return "again"
        })
    )
  })

  const isHeardOf = ({ partition, topic }: TopicPartition.TopicPartition) =>
    partition < (cluster.known(topic)?.partitions.length ?? 0)

  const ask = (anew: boolean) =>
    Effect.forEach(names, (name) => cluster.topic(name, { anew }), { concurrency: "unbounded" })
  const isMissing = (infos: ReadonlyArray<TopicInfo>) => (place: TopicPartition.TopicPartition) =>
    place.partition >= infos.find(({ name }) => name === place.topic)!.partitions.length

  yield* start(
    engine,
    Effect.gen(function* () {
      // What is in memory may be old: a bounded read is of all that is there as it begins.
      let infos = yield* ask(until !== undefined || chosen?.every(isHeardOf) === false)
      if (chosen?.some(isMissing(infos)) === true) {
        yield* Effect.sleep(GoneTopics.askedAgain)
        infos = yield* ask(true)
      }
      const missing = chosen?.find(isMissing(infos))
      if (missing !== undefined) return yield* KafkaError.make({ _tag: "UnknownTopic", ...missing })
      noted(engine, infos, () => true)
      const places = chosen ?? infos.flatMap(placesOf)
      if (until !== undefined) return yield* bounded(places, until)
      const counts = new Map(infos.map((info) => [info.name, info.partitions.length]))
      if (chosen === undefined) yield* engine.inBackground(grows(counts))
      return yield* engine.fixed(places, new Map())
    })
  )
})
