/**
 * When and how marks become commits: merged over partitions into one request, by time or count, one request at a time,
 * so that none overtakes another. A commit never goes backwards, except after an explicit seek or commit.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as Backoff from "../Backoff.ts"
import * as GroupOffsets from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Partition } from "./AssignedPartition.ts"

export interface Settings {
  readonly group: string
  /** Milliseconds between a mark and its commit, at most; Infinity: never by time. */
  readonly interval: number
  /** Marks after which a commit does not wait; Infinity: never by count. */
  readonly every: number
  /** Milliseconds within which a commit is retried. */
  readonly timeout: number
}

export interface Committer {
  /** Records were marked. */
  readonly marked: (count: number) => void
  /** Commits the marks of partitions, as far as they are beyond what is committed. */
  readonly flush: (partitions: Iterable<Partition>, within?: number) => Effect.Effect<void, KafkaError.KafkaError>
  /** Commits offsets that were chosen by hand. */
  readonly commit: (
    offsets: ReadonlyArray<readonly [Partition, GroupOffsets.Commit]>
  ) => Effect.Effect<void, KafkaError.KafkaError>
  /** Commits by time and count, until it fails for good. */
  readonly run: Effect.Effect<never, KafkaError.KafkaError>
}

/** Makes the committer of a consumer. */
export const make = (
  settings: Settings,
  groupOffsets: GroupOffsets.GroupOffsets["Service"],
  identity: () => GroupOffsets.Identity,
  refused: (as: GroupOffsets.Identity, code: number) => void,
  owned: () => Iterable<Partition>
): Committer => {
  const turn = Semaphore.makeUnsafe(1)
  let marks = 0
  let onMarks: (() => void) | undefined

  const marked = (count: number): void => {
    const before = marks
    marks += count
    if (before === 0 || (before < settings.every && marks >= settings.every)) onMarks?.()
  }

  const send = (all: ReadonlyArray<readonly [Partition, GroupOffsets.Commit]>, within: number, byHand: boolean) => {
    let left = all
    const watermarks = new Map(byHand ? all.map(([partition]) => [partition, partition.tracker?.watermark]) : [])
    const once = Effect.gen(function* () {
      const gone = left.find(([partition]) => partition.status === "ended")
      if (gone !== undefined && byHand) return yield* notOwned(gone[0], settings.group)
      left = left.filter(([partition]) => partition.status !== "ended")
      if (left.length === 0) return
      const as = identity()
      const codes = yield* groupOffsets.commit(
        settings.group,
        as,
        left.map(([, commit]) => commit)
      )
      const again: Array<readonly [Partition, GroupOffsets.Commit]> = []
      let failure: KafkaError.KafkaError | undefined
      left.forEach(([partition, commit], i) => {
        const code = codes[i]!
        if (code === 0) {
          partition.committed = commit.offset
          partition.byHand = watermarks.get(partition)
          return
        }
        const where = { api: "OffsetCommit", group: settings.group, ...partition.place }
        if (GroupOffsets.isRetriable(code)) {
          again.push([partition, commit])
          failure ??= KafkaError.fromCode(code, where)
        } else if (code === 22 || code === 25 || code === 110 || code === 113) {
          // the generation or the member is none any more, or its epoch (KIP-848)
          failure = notOwned(partition, settings.group)
        } else {
          failure = KafkaError.fromCode(code, where)
        }
      })
      for (const code of new Set(codes)) if (code !== 0) refused(as, code)
      left = again
      if (failure !== undefined) return yield* failure
    })
    const budget = { name: "commitTimeout", millis: within, waitingFor: `a commit of group ${settings.group}` }
    return Backoff.within(once, budget, (error) =>
      error.reason._tag === "Server" ? GroupOffsets.isRetriable(error.reason.code) : error.isRetryable
    )
  }

  const flush = (partitions: Iterable<Partition>, within = settings.timeout) =>
    turn.withPermits(1)(
      Effect.suspend(() => {
        const commits: Array<readonly [Partition, GroupOffsets.Commit]> = []
        for (const partition of partitions) {
          const offset = partition.tracker?.watermark
          if (offset === undefined || offset === partition.byHand || partition.status === "ended") continue
          if (offset > partition.committed) {
            commits.push([partition, { ...partition.place, offset }])
          }
        }
        return commits.length === 0 ? Effect.void : send(commits, within, false)
      })
    )

  const whenMarked = (wanted: () => boolean) =>
    Effect.callback<void>((resume) => {
      if (wanted()) return resume(Effect.void)
      onMarks = () => {
        if (!wanted()) return
        onMarks = undefined
        resume(Effect.void)
      }
      return Effect.sync(() => {
        onMarks = undefined
      })
    })

  return {
    marked,
    flush,
    commit: (offsets) =>
      offsets.length === 0
        ? Effect.void
        : turn.withPermits(1)(Effect.suspend(() => send(offsets, settings.timeout, true))),
    run: Effect.gen(function* () {
      // Nothing is timed while nothing is marked.
      yield* whenMarked(() => marks > 0)
      yield* Effect.raceFirst(
        Effect.sleep(settings.interval),
        whenMarked(() => marks >= settings.every)
      )
      marks = 0
      yield* Effect.catch(flush(owned()), (error) => {
        if (error.reason._tag === "NotOwned") return Effect.void
        if (!error.isRetryable) return Effect.fail(error)
        // Nothing is lost: the marks stand, and the next commit tells them.
        marked(1)
        return Effect.logWarning(`offsets of group ${settings.group} could not be committed`, error)
      })
    }).pipe(Effect.forever)
  }
}

export const notOwned = (partition: { topic: string; partition: number }, group: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "NotOwned", topic: partition.topic, partition: partition.partition, group })
