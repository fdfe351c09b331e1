/**
 * Where partitions start: what the application chose at the assignment, else what the group has committed, else the
 * first record of a partition that was added later, else `from`.
 *
 * Each partition finds its own start: those whose leader is known are asked for together, leader by leader, and those of
 * a topic that have none wait together, of which each is asked for as soon as it has one.
 */
import * as EffectContext from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { effectOf } from "../Abandon.ts"
import * as Backoff from "../Backoff.ts"
import { shown } from "../Checks.ts"
import type { Cluster } from "../Cluster.ts"
import type * as GroupOffsets from "../GroupOffsets.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type * as Offset from "../Offset.ts"
import * as Resume from "../Resume.ts"
import * as TopicPartition from "../TopicPartition.ts"
import { apart } from "./Apart.ts"
import type { Partition } from "./AssignedPartition.ts"
import type { Settings } from "./Settings.ts"

/** A position that is not an offset of a log: below 0, or no whole number. */
export const mistake = (at: Offset.Position): string | undefined => {
  if (typeof at === "string") return undefined
  if (at?._tag !== "At" && at?._tag !== "AtTime")
    return `a position is "earliest", "latest" or an Offset, not ${shown(at)}`
  const value = at._tag === "At" ? at.offset : at.timestamp
  return Number.isSafeInteger(value) && value >= 0
    ? undefined
    : `${at._tag === "At" ? "an offset" : "a time"} must be a whole number from 0, not ${shown(value)}`
}

/** Where a partition is to begin. */
export interface Wanted {
  readonly partition: Partition
  readonly at: Offset.Position
  /** What the group has committed; undefined where it has nothing, or where that is to be ignored. */
  readonly committed: GroupOffsets.Committed | undefined
  /** The leader epoch of the record before it, where a commit tells it (KIP-320). */
  readonly leaderEpoch?: number | undefined
  /** It differs from one time to the next: what is found is the group's from then on. */
  readonly found: boolean
  /** The topic that it was found for; undefined where brokers name none, or it does not matter. */
  readonly topicId: string | undefined
}

/** A topic when it was first looked at: partitions beyond its count, and all of another id, start at their first record. */
export interface KnownTopic {
  readonly count: number
  readonly id: string | undefined
}

export interface Context {
  readonly cluster: Cluster["Service"]
  readonly groupOffsets: GroupOffsets.GroupOffsets["Service"]
  /** As whom commits are asked for now. */
  readonly identity: () => GroupOffsets.Identity
  readonly settings: Settings
  readonly knownTopics: ReadonlyMap<string, KnownTopic>
  /** Where this consumer was in a partition whose start it found once, and could not commit: it is not looked for again. */
  readonly uncommitted: (partition: Partition) => number | undefined
  readonly provide: <A, E>(self: Effect.Effect<A, E, any>) => Effect.Effect<A, E>
}

/** Whether it is `onAssigned` that asks: positions are what it is to choose. */
export const Choosing = EffectContext.Reference<boolean>("samsa/consume/Choosing", { defaultValue: () => false })

// Milliseconds after which it is told that `onAssigned` is waited for.
const patience = 30_000

const chosenBy = (
  onAssigned: NonNullable<Settings["onAssigned"]>,
  places: ReadonlyArray<TopicPartition.TopicPartition>,
  waits: (error: KafkaError.KafkaError) => Effect.Effect<void>
) => {
  const late = KafkaError.make({ _tag: "Misuse", message: `onAssigned has not ended within ${patience} ms` })
  return Effect.raceFirst(
    apart(
      Effect.provideService(
        Effect.suspend(() => effectOf(onAssigned(places), "what onAssigned gives")),
        Choosing,
        true
      )
    ),
    Effect.andThen(Effect.sleep(patience), Effect.andThen(waits(late), Effect.never))
  )
}

type Waits = (list: ReadonlyArray<Partition>) => (error: KafkaError.KafkaError) => Effect.Effect<void>

// Beyond so many the others wait with them: each is asked for in a request of its own.
const mostUnstable = 8

/**
 * Tells the commits of some partitions. One whose commit is in an open transaction (KIP-447) holds up the answer of all:
 * it is left to wait alone.
 */
const commitsOf = (
  fetch: (
    places: ReadonlyArray<TopicPartition.TopicPartition>,
    waits: (error: KafkaError.KafkaError) => Effect.Effect<void>
  ) => Effect.Effect<ReadonlyMap<string, GroupOffsets.Committed>, KafkaError.KafkaError>,
  list: ReadonlyArray<Partition>,
  waits: Waits,
  tell: (
    list: ReadonlyArray<Partition>,
    commits: ReadonlyMap<string, GroupOffsets.Committed>
  ) => Effect.Effect<void, KafkaError.KafkaError>,
  unstable = 0
): Effect.Effect<void, KafkaError.KafkaError> =>
  Effect.suspend(() => {
    const found = Deferred.makeUnsafe<Partition>()
    const hears = (error: KafkaError.KafkaError) => {
      const { reason } = error
      const one =
        list.length > 1 && unstable < mostUnstable && reason._tag === "Server" && reason.code === unstableCommit
          ? list.find(({ partition, topic }) => topic === reason.topic && partition === reason.partition)
          : undefined
      return one === undefined ? waits(list)(error) : Effect.asVoid(Deferred.succeed(found, one))
    }
    const places = list.map(({ place }) => place)
    const all = Effect.map(fetch(places, hears), (commits) => tell(list, commits))
    const part = Effect.map(Resume.awaiting(found), (one) => {
      const others = list.filter((partition) => partition !== one)
      const each = (some: ReadonlyArray<Partition>) => commitsOf(fetch, some, waits, tell, unstable + 1)
      const alone = Effect.raceFirst(each([one]), Resume.awaiting(one.released))
      return Effect.all([alone, each(others)], { concurrency: "unbounded", discard: true })
    })
    return Effect.flatten(Effect.raceFirst(all, part))
  })

const unstableCommit = ErrorCode.codes.UNSTABLE_OFFSET_COMMIT

/**
 * Tells what each of them is to begin with, as soon as it is known. Fails with `NoCommit` where nothing says it; `waits`
 * is told why it takes long.
 */
export const wanted = Effect.fnUntraced(function* (
  { cluster, groupOffsets, identity, knownTopics, provide, settings, uncommitted }: Context,
  list: ReadonlyArray<Partition>,
  ignoreCommits: boolean,
  waits: Waits,
  tell: (wanted: ReadonlyArray<Wanted>) => Effect.Effect<void, KafkaError.KafkaError>
): Effect.fn.Return<void, KafkaError.KafkaError> {
  const { from, group, onAssigned } = settings
  const places = list.map((partition) => partition.place)
  // Before anything is asked for.
  const ids = new Map(list.map(({ topic }) => [topic, cluster.known(topic)?.id]))
  const chosen = new Map<string, Offset.Position>()
  if (onAssigned !== undefined) {
    for (const one of (yield* provide(chosenBy(onAssigned, places, waits(list)))) ?? []) {
      const wrong = mistake(one.start)
      if (wrong !== undefined) {
        return yield* KafkaError.make({
          _tag: "Misuse",
          message: `onAssigned: ${wrong}`,
          topic: one.topic,
          partition: one.partition
        })
      }
      chosen.set(TopicPartition.key(one), one.start)
    }
  }
  const startOf = (partition: Partition, commit: GroupOffsets.Committed | undefined) => {
    const added = partition.partition >= (knownTopics.get(partition.topic)?.count ?? Infinity)
    const hand = chosen.get(partition.key)
    let at = hand
    if (at === undefined && commit !== undefined) at = { _tag: "At", offset: commit.offset }
    const isChosen = at !== undefined
    const before = isChosen ? undefined : uncommitted(partition)
    if (before !== undefined) at = { _tag: "At", offset: before }
    if (at === undefined && added) at = "earliest"
    if (at === undefined && from === "committed") {
      return Effect.fail(KafkaError.make({ _tag: "NoCommit", group: group ?? "", ...partition.place }))
    }
    at ??= from as Offset.Position
    // Whoever comes next would find another: also of what was added, where `from` is not the beginning.
    const isOwn = !isChosen && (before !== undefined || (added && from !== "earliest"))
    const found = isOwn || at === "latest" || (typeof at === "object" && at._tag === "AtTime")
    // Of the commit, and only where it is gone on from there.
    const leaderEpoch =
      hand === undefined && commit !== undefined && commit.leaderEpoch >= 0 ? commit.leaderEpoch : undefined
    return Effect.succeed({ partition, at, committed: commit, found, leaderEpoch, topicId: ids.get(partition.topic) })
  }
  const told = (some: ReadonlyArray<Partition>, commits: ReadonlyMap<string, GroupOffsets.Committed>) =>
    Effect.flatMap(
      Effect.forEach(some, (partition) => startOf(partition, commits.get(partition.key))),
      tell
    )
  yield* group === undefined || (ignoreCommits && from !== "committed")
    ? told(list, new Map())
    : commitsOf((places, hears) => groupOffsets.fetch(group, places, identity, hears), list, waits, told)
})

/** A position whose offset is to be found. */
interface Sought {
  readonly partition: TopicPartition.TopicPartition
  readonly at: Offset.Position
}

const leaderOf = (cluster: Cluster["Service"], { partition }: Sought): number =>
  cluster.known(partition.topic)?.partitions[partition.partition]?.leader ?? -1

/** What one of them was told is true of each that waits with it. */
const placed = (error: KafkaError.KafkaError, { partition, topic }: TopicPartition.TopicPartition) => {
  const { cause, reason } = error
  return reason.partition === undefined || reason.partition === partition
    ? error
    : KafkaError.make({ ...reason, topic, partition }, cause)
}

type Finding = Effect.Effect<void, KafkaError.KafkaError>

/** One of several is run in the fiber that is there: leaders may come and go for as long as a broker likes. */
const beside = (parts: ReadonlyArray<Finding>): Finding =>
  parts.length === 1 ? parts[0]! : Effect.all(parts, { concurrency: "unbounded", discard: true })

/**
 * Runs it with the list, once, and holds neither from then on. Where leaders come one by one, each round waits for the
 * next: their lists were as many as there are partitions.
 */
const handed = <W>(list: ReadonlyArray<W>, run: (list: ReadonlyArray<W>) => Finding): Finding => {
  const held = [{ list, run }]
  return Effect.suspend(() => {
    const { list, run } = held.pop()!
    return run(list)
  })
}

// A leader that has not answered for all of its partitions by then is asked for each of them alone.
const together = 1_000

// How often those that wait for a leader look whether metadata that came meanwhile tell one: asked for is but the first.
const looksEach = 100

/**
 * Finds the offsets, and tells each as soon as it is known. `waits` is told of every failure on the way, which is tried
 * again for as long as it says so.
 */
export const find = <W extends Sought>(
  options: {
    readonly cluster: Cluster["Service"]
    readonly isolation: "committed" | "uncommitted"
    /** Whether it is still worth to be tried again. */
    readonly while: (partition: W["partition"]) => boolean
  },
  list: ReadonlyArray<W>,
  found: (wanted: W, offset: number) => Effect.Effect<void, KafkaError.KafkaError>,
  waits: (
    partition: W["partition"],
    error: KafkaError.KafkaError
  ) => Effect.Effect<"again" | "give up", KafkaError.KafkaError>
): Effect.Effect<void, KafkaError.KafkaError> => {
  const { cluster, isolation } = options
  const ask = (group: ReadonlyArray<W>) =>
    cluster.offsets(
      group.map(({ at, partition: { partition, topic } }) => ({ topic, partition, at })),
      { isolation }
    )
  const tell = (group: ReadonlyArray<W>, offsets: ReadonlyArray<number>) =>
    Effect.forEach(group, (one, i) => found(one, offsets[i]!), { discard: true })
  /** Asks for those that are still wanted until there is an answer; each that waits is told why. */
  const persistently = <A>(
    list: ReadonlyArray<W>,
    asking: (left: ReadonlyArray<W>) => Effect.Effect<A, KafkaError.KafkaError>,
    answered: (left: ReadonlyArray<W>, answer: A) => Effect.Effect<void, KafkaError.KafkaError>
  ): Effect.Effect<void, KafkaError.KafkaError> =>
    Effect.suspend(() => {
      let left = list
      const wait = (error: KafkaError.KafkaError) =>
        Effect.map(
          Effect.filter(
            left,
            ({ partition }) =>
              // What was given back since it was asked for waits for nothing.
              options.while(partition)
                ? Effect.map(
                    waits(partition, placed(error, partition)),
                    (what) => what === "again" && options.while(partition)
                  )
                : Effect.succeed(false),
            { concurrency: "unbounded" }
          ),
          (some) => void (left = some)
        )
      return Effect.suspend(() => asking(left)).pipe(
        Effect.matchEffect({
          onFailure: (error) =>
            Effect.matchEffect(wait(error), {
              // What nothing cures is an end, and not tried again.
              onFailure: (lasting) => Effect.succeed(Effect.fail(lasting)),
              onSuccess: () => (left.length > 0 ? Effect.fail(error) : Effect.succeed(Effect.void))
            }),
          onSuccess: (answer) => Effect.succeed(answered(left, answer))
        }),
        Effect.retry(Backoff.unending(cluster.retry)),
        Effect.flatten
      )
    })
  const alone = (one: W) => persistently([one], ask, tell)
  /** Of one topic, without a leader. Each by itself would ask for metadata, again and again, for as long as it has none. */
  const leaderless = (list: ReadonlyArray<W>): Effect.Effect<void, KafkaError.KafkaError> =>
    persistently(
      list,
      (left) => {
        const { topic } = left[0]!.partition
        const looks = Effect.repeat(
          Effect.sync(() => {
            const partitions = cluster.known(topic)?.partitions
            return left.some(
              ({ partition }) => (partitions?.[partition.partition]?.leader ?? -1) >= 0 || !options.while(partition)
            )
          }),
          { schedule: Schedule.spaced(looksEach), until: (some) => some }
        )
        return Effect.raceFirst(Effect.asVoid(cluster.leader(left[0]!.partition)), looks)
      },
      (left) =>
        shared(
          left.filter(({ partition }) => options.while(partition)),
          each
        )
    )
  const each = (group: ReadonlyArray<W>): Effect.Effect<void, KafkaError.KafkaError> =>
    group.length === 1
      ? alone(group[0]!)
      : Effect.flatMap(Effect.timeoutOption(Effect.option(ask(group)), together), (offsets) =>
          offsets._tag === "Some" && offsets.value._tag === "Some"
            ? tell(group, offsets.value.value)
            : shared(group, eachAlone)
        )
  const eachAlone = (group: ReadonlyArray<W>) =>
    Effect.forEach(group, alone, { concurrency: "unbounded", discard: true })
  const waiting = (group: ReadonlyArray<W>) => (group.length === 1 ? alone(group[0]!) : leaderless(group))
  /** Those of one leader together, and of one topic those without. */
  const shared = (
    list: ReadonlyArray<W>,
    led: (group: ReadonlyArray<W>) => Effect.Effect<void, KafkaError.KafkaError>
  ): Effect.Effect<void, KafkaError.KafkaError> =>
    Effect.suspend(() => {
      const leaders = TopicPartition.groupBy(list, (one) => leaderOf(cluster, one))
      const without = TopicPartition.groupBy(leaders.get(-1) ?? [], ({ partition }) => partition.topic)
      leaders.delete(-1)
      return beside([
        ...[...leaders.values()].map((group) => handed(group, led)),
        ...[...without.values()].map((group) => handed(group, waiting))
      ])
    })
  const exact = list.filter(({ at }) => typeof at === "object" && at._tag === "At")
  const rest = list.filter(({ at }) => typeof at !== "object" || at._tag !== "At")
  const placing = Effect.forEach(exact, (one) => found(one, (one.at as Offset.At).offset), { discard: true })
  return exact.length === 0 ? shared(rest, each) : beside([placing, shared(rest, each)])
}
