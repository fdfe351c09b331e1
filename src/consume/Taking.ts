/**
 * Records taken of a consumer a batch at a time, over all of its partitions, for whoever commits their offsets elsewhere:
 * in a transaction. What is taken is at work until it is settled: then it is done, or it comes again, in order. The
 * consumer commits nothing itself from the first batch on, since its commits and those of transactions would overtake
 * each other.
 *
 * One function because what is held, and what failed behind it, is shared by all that it does; each is a short function.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Backoff from "../Backoff.ts"
import { isOfName } from "../engine/OfName.ts"
import * as GroupOffsets from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import { anonymous } from "../Membership.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { Partition } from "./AssignedPartition.ts"
import { notOwned } from "./CommitRefusal.ts"
import type { AnyRecord } from "./ConsumerRecord.ts"
import type { Engine } from "./Engine.ts"

/** Where a consumer holds how records are taken of it. */
export const taking: unique symbol = Symbol("samsa/consume/Taking")

/** The offsets of a batch: what is committed, as whom, and by whom it is kept. */
export interface Offsets {
  readonly keeper: GroupOffsets.GroupOffsets["Service"]
  readonly group: string
  readonly as: GroupOffsets.Identity
  readonly commits: ReadonlyArray<GroupOffsets.Commit>
}

export interface Batch {
  /** In the order of each partition. */
  readonly records: ReadonlyArray<AnyRecord>
  /** What is to be committed with them now. */
  readonly offsets: () => Offsets
  /** What of it is not ours any more, where it was, as the failure with `NotOwned`: also by our own clock. */
  readonly lost: () => KafkaError.KafkaError | undefined
  /** Whether nothing is. */
  readonly isCurrent: () => boolean
  /** Completes when it has to be given up: one of its partitions is lost, or has to be given back by now. */
  readonly overdue: Effect.Effect<void>
  /** The fiber that is at work on it: interrupted when a partition is lost, or not given back in time. */
  readonly worker: (fiber: Fiber.Fiber<unknown, unknown>) => void
  /** The group has refused the offsets with this code. */
  readonly refused: (offsets: Offsets, code: number) => void
  /** The offsets are committed: it is done. */
  readonly committed: (offsets: Offsets) => Effect.Effect<void>
  /** It comes again: the positions go back to before it. */
  readonly back: Effect.Effect<void>
  /** Nobody knows whether its offsets were committed: the positions go to what the group has. */
  readonly reread: Effect.Effect<void, KafkaError.KafkaError>
  /** Its commit under this transactional id is in doubt: nothing is taken after it before `reread`. */
  readonly doubted: (transactionalId: string) => void
}

/** A batch whose commit is in doubt. */
export interface Doubt {
  readonly transactionalId: string
  readonly reread: Batch["reread"]
}

export interface Taking {
  /** The id of the cluster that is read, as it was last told; null where brokers tell none. */
  readonly clusterId: () => string | null
  /** Begins to take; fails with `Misuse` where the consumer is read otherwise, or cannot be read in transactions. */
  readonly begin: Effect.Effect<void, KafkaError.KafkaError>
  /** Ends to take, and may begin again: what is not settled comes again, or is left as it is where its commit is in doubt. */
  readonly end: Effect.Effect<void>
  /** What has to be found out about before anything is taken. */
  readonly doubt: () => Doubt | undefined
  /**
   * The next batch: waits for a first record, and then until there are so many, or so many milliseconds have passed.
   * Undefined where nothing comes any more.
   */
  readonly take: (maxRecords: number, maxMillis: number) => Effect.Effect<Batch | undefined, KafkaError.KafkaError>
}

/**
 * What is taken of a cluster of this id alone: another's coordinator may take the offsets, and would wait for ever for the
 * end of a transaction that it knows nothing of.
 */
export const ofCluster = (taken: Taking, clusterId: () => string | null): Taking => {
  const isOurs = Effect.suspend(() => {
    const [ours, theirs] = [clusterId(), taken.clusterId()]
    if (ours === null || theirs === null || ours === theirs) return Effect.void
    return misuse(
      `a transaction is of one cluster (${ours}): the offsets of a consumer of another (${theirs}) cannot be part of it`
    )
  })
  return {
    ...taken,
    // Also what is in doubt: that id is another's there.
    begin: Effect.andThen(isOurs, taken.begin),
    take: (maxRecords, maxMillis) =>
      Effect.tap(taken.take(maxRecords, maxMillis), (batch) =>
        batch === undefined ? Effect.void : Effect.tapError(isOurs, () => batch.back)
      )
  }
}

/** Of the time to give a partition back, what its transaction may take: the rest is for its abort. */
const share = 0.8

const misuse = (message: string) => Effect.fail(KafkaError.make({ _tag: "Misuse", message }))

/** Makes it, for the consumer of an engine. */
export const make = (engine: Engine): Taking => {
  const { reading, settings } = engine
  /** What was taken and not settled. */
  let held: ReadonlyArray<Partition> = []
  /** What a batch could not begin with, once the records before it are through. */
  let failure: KafkaError.KafkaError | undefined
  let doubt: Doubt | undefined
  /** By one at a time. */
  let isRead = false

  const begin = Effect.suspend(() => {
    if (settings.group === undefined)
      return misuse("a consumer without a group has no offsets to commit in transactions")
    if (settings.fetch.isolation !== "committed")
      return misuse(`transactions are processed of what others have committed: isolation "committed"`)
    const claimed = reading.mode === "transactions" && !isRead ? Effect.void : reading.claim("transactions")
    return Effect.map(claimed, () => void (isRead = true))
  })
  const end = Effect.suspend(() => {
    isRead = false
    if (doubt === undefined) return held.length === 0 ? Effect.void : returned(held)
    return Effect.sync(() => leave(held))
  })

  const settle = (list: ReadonlyArray<Partition>): void => {
    held = []
    doubt = undefined
    leave(list)
  }
  const leave = (list: ReadonlyArray<Partition>): void => {
    reading.merged.leave()
    for (const partition of list) {
      partition.isAtWork = false
      partition.workers = []
      partition.checkDrained()
    }
  }

  /** Takes one array more; undefined at the end. */
  const one = (limit: number, taken: Map<Partition, number>, records: Array<AnyRecord>) =>
    reading.merged
      .take((partition) => {
        held = [...new Set([...taken.keys(), partition])]
        const took = (array: ReadonlyArray<AnyRecord>) => {
          if (!taken.has(partition)) taken.set(partition, partition.epoch)
          partition.isAtWork = true
          for (const record of array) records.push(record)
        }
        // In one step with what is delivered: whoever is interrupted right after it has it in his hands.
        return partition.deliver(limit, took).pipe(
          Effect.onError(() => Effect.sync(() => reading.ready(partition))),
          Effect.as(true)
        )
      })
      .pipe(Effect.catch((error) => (Cause.isDone(error) ? Effect.succeed(false) : Effect.fail(error))))

  const take: Taking["take"] = (maxRecords, maxMillis) =>
    Effect.gen(function* () {
      if (failure !== undefined) {
        const error = failure
        failure = undefined
        return yield* error
      }
      const clock = yield* Clock.Clock
      const now = () => Backoff.monotonic(clock)
      const taken = new Map<Partition, number>()
      const records: Array<AnyRecord> = []
      while (records.length === 0) if (!(yield* one(maxRecords, taken, records))) return undefined
      const until = now() + maxMillis
      while (records.length < maxRecords) {
        const left = until - now()
        if (left <= 0 || [...taken.keys()].some(({ isLive }) => !isLive)) break
        const next = one(maxRecords - records.length, taken, records)
        const more = yield* (reading.merged.hasReady ? next : whileLive(next, taken, left)).pipe(
          // What is taken already comes first.
          Effect.catch((error) => Effect.sync(() => ((failure = error), false)))
        )
        if (!more) break
      }
      // To wait for more of the batch is no work; the batch is.
      reading.merged.work()
      return batchOf(records, taken)
    })

  /** For so long at most, and until one of those that are taken has to be given back. */
  const whileLive = (
    next: Effect.Effect<boolean, KafkaError.KafkaError>,
    taken: ReadonlyMap<Partition, number>,
    millis: number
  ) =>
    Effect.raceFirst(
      next,
      Effect.as(Effect.raceAllFirst([Effect.sleep(millis), ...[...taken.keys()].map(({ stopped }) => stopped)]), false)
    )

  /** Positions go back to the first record that is not done. */
  const returned = (list: ReadonlyArray<Partition>): Effect.Effect<void> => {
    failure = undefined
    return Effect.forEach(
      list,
      (partition) => {
        const { tracker } = partition
        return tracker === undefined ? Effect.void : partition.goBack(tracker.lowestUnfinished ?? tracker.watermark)
      },
      { discard: true }
    ).pipe(Effect.andThen(Effect.sync(() => settle(list))))
  }

  /** Offsets go by name in transactions: those of a topic that is told as gone may be another's when they come. */
  const mayBeCommitted = (partition: Partition): boolean =>
    partition.position !== undefined && engine.committer.isCurrent(partition) && isOfName(engine.cluster, partition)

  const batchOf = (records: ReadonlyArray<AnyRecord>, taken: ReadonlyMap<Partition, number>): Batch => {
    const list = [...taken.keys()]
    /** Those whose offsets go with it, each as it was then. */
    let parts: ReadonlyMap<Partition, number> = taken
    const isAsItWas = (partition: Partition) =>
      partition.status !== "ended" && partition.epoch === parts.get(partition) && mayBeCommitted(partition)
    const lost = () => {
      const isAlive = engine.member?.isAlive?.() ?? true
      const one = isAlive ? [...parts.keys()].find((partition) => !isAsItWas(partition)) : list[0]
      return one === undefined ? undefined : notOwned(one, settings.group!)
    }
    const isCurrent = () => lost() === undefined
    const overdue = Effect.raceAllFirst(
      list.map((partition) =>
        Effect.andThen(
          partition.stopped,
          Effect.suspend(() =>
            partition.status === "ended" ? Effect.void : Effect.sleep(settings.drainTimeout * share)
          )
        )
      )
    )
    const batch: Batch = {
      records,
      lost,
      isCurrent,
      overdue,
      offsets: () => {
        // Where nothing of a partition is at work, gaps and starts that the group does not know yet go with it; not of one
        // whose topic was not there, until it is read on.
        const others = [...engine.partitions.values()].filter(
          (partition) =>
            !taken.has(partition) &&
            partition.inFlight === 0 &&
            engine.committer.isBehind(partition) &&
            mayBeCommitted(partition)
        )
        parts = new Map([...taken, ...others.map((partition) => [partition, partition.epoch] as const)])
        return {
          keeper: engine.groupOffsets,
          group: settings.group!,
          as: { ...(engine.member?.identity() ?? anonymous), isCurrent },
          commits: [...parts.keys()].map((partition) => {
            const offset = partition.reached!
            return { ...partition.place, offset, leaderEpoch: partition.epochs.before(offset) }
          })
        }
      },
      worker: (fiber) => {
        for (const partition of list) partition.workers = [fiber]
      },
      refused: ({ as }, code) => engine.member?.commitRefused(as, code),
      committed: ({ commits }) =>
        Effect.map(Clock.Clock, (clock) => {
          for (const { leaderEpoch, offset, ...place } of commits) {
            const partition = engine.partitions.get(TopicPartition.key(place))
            if (partition === undefined || parts.get(partition) !== partition.epoch) continue
            partition.committed = Math.max(partition.committed, offset)
            partition.stands = { offset, leaderEpoch: leaderEpoch ?? -1, metadata: "" }
            partition.committedAt = clock.currentTimeMillisUnsafe()
            const count = partition.tracker?.doneBelow(offset) ?? 0
            if (count > 0) partition.marked(count, 0)
          }
          settle(list)
        }),
      back: Effect.suspend(() => returned(list)),
      doubted: (transactionalId) => {
        doubt = { transactionalId, reread: batch.reread }
      },
      reread: Effect.suspend(() => {
        // Also of one whose topic is told as gone for now: it goes on from there where it is there again.
        const places = list.filter(({ isLive }) => isLive).map(({ place }) => place)
        if (places.length === 0) return Effect.void
        return Effect.flatMap(engine.groupOffsets.fetch(settings.group!, places, engine.member?.identity), (found) =>
          Effect.forEach(
            list,
            (partition) => {
              const stands = found.get(partition.key)
              const offset = stands?.offset
              if (!partition.isLive || offset === undefined) return Effect.void
              // What the group has may be before this batch, where the batch is the first that was ever taken.
              const { tracker } = partition
              if (tracker !== undefined && offset <= (tracker.lowestUnfinished ?? offset)) return Effect.void
              return Effect.sync(() => {
                partition.committed = offset
                partition.stands = stands
                const count = tracker?.doneBelow(offset) ?? 0
                if (count > 0) partition.marked(count, 0)
              })
            },
            { discard: true }
          )
        )
      }).pipe(Effect.andThen(Effect.suspend(() => returned(list))))
    }
    return batch
  }

  return { clusterId: () => engine.cluster.clusterId(), begin, end, doubt: () => doubt, take }
}
