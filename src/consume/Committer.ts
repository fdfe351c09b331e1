/**
 * When and how marks become commits: merged over partitions into one request, by time or count, one request at a time,
 * so that none overtakes another. A commit never goes backwards, except after an explicit seek or commit.
 *
 * One function because one turn, one timer and what is under way are shared by all that it does; each is a short
 * function in it.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as LogEvent from "../LogEvent.ts"
import * as Backoff from "../Backoff.ts"
import { Signal } from "../Signal.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as GroupOffsets from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import type { Partition } from "./AssignedPartition.ts"
import { failureOf, notOwned } from "./CommitRefusal.ts"

export interface Settings {
  readonly group: string
  /** Milliseconds between a mark and its commit, at most; Infinity: never by time. */
  readonly interval: number
  /** Marks after which a commit does not wait; Infinity: never by count. */
  readonly every: number
  /** Milliseconds within which a commit is retried. */
  readonly timeout: number
  readonly retry: Backoff.Retry
}

export interface Committer {
  /** Records were marked. */
  readonly marked: (count: number) => void
  /** Commits the marks of partitions, as far as they are beyond what is committed; `within` commitTimeout, or less. */
  readonly flush: (
    partitions: Iterable<Partition>,
    within?: Backoff.Limit
  ) => Effect.Effect<void, KafkaError.KafkaError>
  /** Whether something is done in a partition that is not committed. */
  readonly isBehind: (partition: Partition) => boolean
  /** Whether the name of its topic is that of the same topic still: what was read of another is nobody's position. */
  readonly isCurrent: (partition: Partition) => boolean
  /** Commits offsets that were chosen by hand: what was delivered below them counts as done. */
  readonly commit: (
    offsets: ReadonlyArray<readonly [Partition, GroupOffsets.Commit]>
  ) => Effect.Effect<void, KafkaError.KafkaError>
  /** Commits by time and count, until it fails for good. */
  readonly run: Effect.Effect<never, KafkaError.KafkaError>
  /** Commits again what brokers might let expire, until it fails for good. */
  readonly renew: Effect.Effect<never, KafkaError.KafkaError>
  /** What a commit in the background failed with: the next one tells its marks, or the failure is for good. */
  readonly outlived: (error: KafkaError.KafkaError) => Effect.Effect<void, KafkaError.KafkaError>
}

// Brokers before 2.1 forget an offset `offsets.retention.minutes` after its commit, and ask nobody (KIP-211): by default
// after a day before 2.0, for groups without members later, too.
const renewAfter = 12 * 3_600_000
// How often that is looked at; what an earlier member committed, who knows when, is renewed at the first look.
const renewEvery = 1_800_000

// A coordinator may not know a topic yet that was made a moment ago; one that was deleted it will never know.
const unknownTopicTries = 3

type Entry = readonly [Partition, GroupOffsets.Commit]

/** How many records were marked since the last commit. Only two counts wake who waits: 1, and `every`. */
class Marks {
  count = 0
  private readonly every: number
  readonly some = new Signal(() => this.count >= 1)
  readonly enough = new Signal(() => this.count >= this.every)

  constructor(every: number) {
    this.every = every
  }

  add(more: number): void {
    const before = this.count
    this.count += more
    if (before === 0) this.some.fire()
    if (before < this.every && this.count >= this.every) this.enough.fire()
  }
}

/** Makes the committer of a consumer. */
export const make = (
  settings: Settings,
  offsets: GroupOffsets.GroupOffsets["Service"],
  /** Whether there is a membership, and so an identity that changes. */
  isMember: () => boolean,
  /** False when the membership must have ended: others may have committed since. */
  isAlive: () => boolean,
  identity: () => GroupOffsets.Identity,
  refused: (as: GroupOffsets.Identity, code: number) => void,
  /** Whether the refusal is of a generation that has passed, and the member is in the next one. */
  goesOn: (as: GroupOffsets.Identity, code: number) => boolean,
  owned: () => Iterable<Partition>,
  isCurrent: Committer["isCurrent"],
  /** Whether its offsets are committed in transactions: then none is committed here. */
  isApart: (partition: Partition) => boolean,
  /** Whether its leader did not know the topic just now, and may again in a moment: see `Cluster.isDoubted`. */
  isDoubted: (partition: TopicPartition) => boolean
): Committer => {
  const turn = Semaphore.makeUnsafe(1)
  const marks = new Marks(settings.every)
  const marked = (count: number): void => marks.add(count)
  const whole: Backoff.Limit = { name: "commitTimeout", millis: settings.timeout }

  const send = (
    all: ReadonlyArray<Entry>,
    within: Backoff.Limit,
    { byHand = false, isSoon = false, sent = standing(all) }: How
  ) => {
    let left = all
    let since: number | undefined
    isTold = false
    let unknown = 0
    /** Of one that is doubted that is found out by itself: whose records were read before would be handled again. */
    const isUnknown = (code: number, place: TopicPartition) =>
      unknownTopic.has(code) && unknown >= unknownTopicTries && (isSoon || !isDoubted(place))
    /** That of a topic that is left out since the coordinator knows none of that name. */
    let refusal: KafkaError.KafkaError | undefined
    /** One whose commit was refused only since the group went on; where it stays so, the group went on without us. */
    let passed: Partition | undefined
    /** It is tried again: told once that lasts, before its time is spent. */
    const lasting = (error: KafkaError.KafkaError, clock: Clock.Clock): Effect.Effect<void> => {
      const now = Backoff.monotonic(clock)
      since ??= now
      if (now - since < LogEvent.lastsAfter || isTold || byHand) return Effect.void
      isTold = true
      return told(error)
    }
    const once = Effect.gen(function* () {
      const gone = left.find(([partition]) => partition.status === "ended")
      if (gone !== undefined && byHand) return yield* notOwned(gone[0], settings.group)
      // While it was tried again the name may have become another topic's.
      left = left.filter(
        ([partition]) => partition.status !== "ended" && (byHand || (isCurrent(partition) && !isApart(partition)))
      )
      if (left.length === 0) return
      if (!isAlive()) return yield* notOwned(left[0]![0], settings.group)
      const list = left
      const as = { ...identity(), isCurrent: () => list.every(([partition]) => partition.status !== "ended") }
      const clock = yield* Clock.Clock
      const commits = list.map(([, commit]) => commit)
      const codes = yield* Effect.tapError(offsets.commit(settings.group, as, commits), (error) =>
        isTransient(error) ? lasting(error, clock) : Effect.void
      )
      const now = clock.currentTimeMillisUnsafe()
      const again: Array<Entry> = []
      let failure: KafkaError.KafkaError | undefined
      let transient: KafkaError.KafkaError | undefined
      passed = undefined
      if (codes.some((code) => unknownTopic.has(code))) unknown++
      left.forEach((entry, i) => {
        const code = codes[i]!
        const [partition] = entry
        if (code === 0) {
          took(entry, byHand, sent.get(partition), now)
          // What was done out of order is next to it now, or was done since it was asked for.
          if (byHand && isBehind(partition)) marked(1)
          return
        }
        if (goesOn(as, code)) {
          again.push(entry)
          passed = partition
          transient ??= KafkaError.fromCode(ErrorCode.codes.REBALANCE_IN_PROGRESS, {
            api: "OffsetCommit",
            group: settings.group,
            ...partition.place
          })
          return
        }
        const final = failureOf(partition, settings.group, code, isMember())
        if (final !== undefined) {
          failure = final
          return
        }
        const error = KafkaError.fromCode(code, { api: "OffsetCommit", group: settings.group, ...partition.place })
        // A topic that was deleted must not hold up the others: its marks stand, and are told the next time.
        if (!byHand && isUnknown(code, partition)) {
          refusal ??= error
          return
        }
        again.push(entry)
        transient ??= error
      })
      for (const code of new Set(codes)) if (code !== 0) refused(as, code)
      left = again
      // A rebalance takes its time, and is told of as such.
      const isHeld = codes.includes(ErrorCode.codes.REBALANCE_IN_PROGRESS)
      if (failure === undefined && transient !== undefined && !isHeld) yield* lasting(transient, clock)
      failure ??= transient
      if (failure !== undefined) return yield* failure
      if (refusal !== undefined) {
        // For as long as it is not told to be gone.
        marked(1)
        return yield* told(refusal)
      }
      failures = 0
    })
    const budget = { ...within, waitingFor: `a commit of group ${settings.group}` }
    const isRetried = (error: KafkaError.KafkaError) => {
      const { reason } = error
      const isRefused = byHand && reason._tag === "Server" && isUnknown(reason.code, reason as TopicPartition)
      return isTransient(error) && !isRefused
    }
    return Backoff.within(once, budget, isRetried, settings.retry).pipe(
      Effect.mapError((error) => (passed === undefined ? error : notOwned(passed, settings.group)))
    )
  }

  /** One request at a time; waiting for its turn, behind one that is not answered, counts, too. */
  const inTurn = (
    within: Backoff.Limit,
    self: (left: Backoff.Limit) => Effect.Effect<void, KafkaError.KafkaError>
  ): Effect.Effect<void, KafkaError.KafkaError> =>
    Effect.flatMap(Clock.Clock, (clock) => {
      const { millis, name } = within
      const end = Backoff.monotonic(clock) + millis
      let isBegun = false
      const begun = Effect.suspend(() => {
        isBegun = true
        return self({ name, millis: Math.max(1, end - Backoff.monotonic(clock)) })
      })
      const tooLate = Effect.andThen(
        Effect.sleep(millis),
        Effect.suspend(() => (isBegun ? Effect.never : Effect.fail(unanswered(settings.group, within))))
      )
      return Effect.raceFirst(turn.withPermits(1)(begun), tooLate)
    })

  const flush = (partitions: Iterable<Partition>, within = whole, isSoon = false) =>
    inTurn(within, (left) => {
      const commits: Array<Entry> = []
      for (const partition of partitions) {
        if (isApart(partition) || !isBehind(partition) || !isCurrent(partition)) continue
        const offset = partition.tracker!.watermark
        commits.push([partition, { ...placeOf(partition), offset, leaderEpoch: partition.epochs.before(offset) }])
      }
      return commits.length === 0 ? Effect.void : send(commits, left, { isSoon })
    })

  /** What stands, told again. */
  const again = (partitions: Iterable<Partition>) =>
    turn.withPermits(1)(
      Effect.gen(function* () {
        const now = (yield* Clock.Clock).currentTimeMillisUnsafe()
        const commits: Array<Entry> = []
        for (const partition of partitions) {
          const { committed, committedAt, stands } = partition
          if (isApart(partition)) continue
          if (partition.status !== "open" || committed < 0 || stands === undefined || !isCurrent(partition)) continue
          if (committedAt !== undefined && now - committedAt < renewAfter) continue
          // Only what the group has: without a commit there is nothing to renew.
          if (committedAt === undefined && !partition.inherited) continue
          commits.push([partition, { ...placeOf(partition), ...stands }])
        }
        if (commits.length > 0) yield* send(commits, whole, { isSoon: true, sent: toldAgain })
      })
    )

  /** Since a commit was last taken of all its partitions. */
  let failures = 0
  /** The commit that is under way was told of before its time was spent. */
  let isTold = false
  /** Nothing is lost where it may succeed later: the marks stand, and the next commit tells them. */
  const outlived = (error: KafkaError.KafkaError): Effect.Effect<void, KafkaError.KafkaError> => {
    const { partition, topic, _tag } = error.reason
    const isOne = _tag === "NotOwned"
    if (!isOne && !isTransient(error)) return Effect.fail(error)
    // Where one of them is ours no longer, the others may not have been taken yet.
    marked(1)
    const isOurs = (one: Partition) => one.isLive && one.topic === topic && one.partition === partition
    // Where it is ours, the coordinator takes the commits of its own member for those of another epoch.
    // A member whose session is over has lost it, and says so.
    const isLost = isOne && (!isAlive() || ![...owned()].some(isOurs))
    return isLost || isTold ? Effect.void : told(error)
  }
  const told = (error: KafkaError.KafkaError): Effect.Effect<void> => {
    if (!LogEvent.isTold(++failures)) return Effect.void
    return LogEvent.log(
      "commitFailed",
      `offsets of group ${settings.group} could not be committed, and are tried again: ${error.message} (${failures} so far)`,
      { group: settings.group, member: identity().memberId }
    )
  }

  return {
    marked,
    flush,
    outlived,
    isBehind,
    isCurrent,
    commit: (commits) =>
      Effect.suspend(() => {
        if (commits.length === 0) return Effect.void
        // Now: what is done while it waits for its turn is committed over it.
        const asked = standing(commits)
        return inTurn(whole, (left) => send(commits, left, { byHand: true, sent: asked }))
      }),
    run: Effect.gen(function* () {
      // Nothing is timed while nothing is marked.
      yield* marks.some.await
      yield* Effect.raceFirst(Effect.sleep(settings.interval), marks.enough.await)
      marks.count = 0
      yield* Effect.catch(flush(owned(), whole, true), outlived)
    }).pipe(Effect.forever),
    renew: Effect.sleep(renewEvery).pipe(
      Effect.andThen(Effect.suspend(() => Effect.catch(again(owned()), outlived))),
      Effect.forever
    )
  }
}

/** Whether a commit that failed with it may succeed later: a rebalance, too, comes to its end. */
const isTransient = ({ isRetryable, reason }: KafkaError.KafkaError): boolean =>
  reason._tag === "Server" ? GroupOffsets.isRetriable(reason.code) : isRetryable

const placeOf = ({ place, topicId }: Partition) => (topicId === undefined ? place : { ...place, topicId })

const isBehind = ({ byHand, committed, status, tracker }: Partition): boolean =>
  tracker !== undefined && tracker.markedTo !== byHand && status !== "ended" && tracker.watermark > committed

interface How {
  readonly byHand?: boolean
  /** There is a next time for what is held up. */
  readonly isSoon?: boolean
  readonly sent?: ReadonlyMap<Partition, Standing>
}

/** How a partition stands when its commit is asked for. */
interface Standing {
  readonly epoch: number
  readonly markedTo: number | undefined
}

const standing = (entries: ReadonlyArray<Entry>): ReadonlyMap<Partition, Standing> =>
  new Map(entries.map(([partition]) => [partition, { epoch: partition.epoch, markedTo: partition.tracker?.markedTo }]))

/** That of what the group has already: nothing is moved by it. */
const toldAgain: ReadonlyMap<Partition, Standing> = new Map()

/** A commit was taken. */
const took = ([partition, commit]: Entry, byHand: boolean, sent: Standing | undefined, now: number): void => {
  const { epoch, tracker } = partition
  partition.committedAt = now
  partition.stands = { offset: commit.offset, leaderEpoch: commit.leaderEpoch ?? -1, metadata: commit.metadata ?? "" }
  // It is at another position since: what is done from there on is committed, below this one, too.
  if (epoch !== sent?.epoch) return
  partition.committed = commit.offset
  if (!byHand) partition.byHand = undefined
  else if (tracker === undefined) partition.early = commit.offset
  else {
    // Asked for before it was open, or before what stands by hand: what was done since then is committed over it.
    const asked = partition.isByHand ? partition.byHand : (sent.markedTo ?? partition.start)
    const stands = tracker.markedTo === asked && !tracker.hasDoneFrom(commit.offset)
    const count = tracker.doneBelow(commit.offset)
    partition.byHand = stands ? tracker.markedTo : asked
    if (count > 0) {
      partition.everDoneByHand = true
      partition.checkDrained()
    }
  }
}

const unanswered = (group: string, { millis, name }: Backoff.Limit): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "TimedOut",
    budget: name,
    millis,
    waitingFor: `an earlier commit of group ${group}`
  })

const { codes: codeOf } = ErrorCode
/** There is no such topic, or it is one of the same name that was made again. */
const unknownTopic: ReadonlySet<number> = new Set([codeOf.UNKNOWN_TOPIC_OR_PARTITION, codeOf.UNKNOWN_TOPIC_ID])
