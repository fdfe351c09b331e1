/**
 * How assigned partitions come to be fetched, each for itself: where they start, what is committed of that, and what
 * becomes of those whose position, or topic, is not there any more.
 *
 * One function because its parts share what it is given of the consumer, and one file because of that; each way of a
 * partition is a short function within.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as LogEvent from "../LogEvent.ts"
import { errorType } from "../metrics/errorType.ts"
import * as Backoff from "../Backoff.ts"
import type { Cluster } from "../Cluster.ts"
import type { TopicInfo } from "../ClusterInfo.ts"
import * as KafkaError from "../KafkaError.ts"
import { listed, toldAtMost } from "../Listed.ts"
import type * as Offset from "../Offset.ts"
import type { PartitionReader, TransportConsumer } from "../Transport.ts"
import type { Partition } from "./AssignedPartition.ts"
import { nowhere } from "./Bound.ts"
import type { Committer } from "./Committer.ts"
import type { ConsumerEvent } from "./Events.ts"
import * as GoneTopics from "./GoneTopics.ts"
import type { Settings } from "./Settings.ts"
import * as StartPositions from "./StartPositions.ts"
import * as Waits from "./Waits.ts"

/** What it needs of its consumer. */
export interface Context extends Omit<StartPositions.Context, "uncommitted"> {
  readonly cluster: Cluster["Service"]
  readonly settings: Settings
  readonly consumer: TransportConsumer
  readonly committer: Committer
  readonly scope: Scope.Scope
  readonly publish: (event: ConsumerEvent) => void
  /** Those that are ours. */
  readonly partitions: ReadonlyMap<string, Partition>
  readonly knownTopics: Map<string, StartPositions.KnownTopic>
  /** Whether the group gave this partition of the topic of this id, where it gives topics by their ids. */
  readonly isGiven: (topicId: string, partition: number) => boolean
  /** Whether the topic is another one, as the group may know: told as `replaced`. */
  readonly looks: (topic: string) => Effect.Effect<unknown>
  /** Runs in the background; what fails fails the consumer. */
  readonly inBackground: (self: Effect.Effect<void, KafkaError.KafkaError>) => Effect.Effect<unknown>
}

export interface Opening {
  /** Finds out where partitions start, and starts to fetch them. */
  readonly open: (list: ReadonlyArray<Partition>) => Effect.Effect<void, KafkaError.KafkaError>
  /** There is nothing new to open: those of which it was told that they wait may have been given back. */
  readonly opensNone: Effect.Effect<void>
  /** A pull failed: goes on elsewhere, or waits for the topic, or fails. */
  readonly cure: (
    partition: Partition,
    error: KafkaError.KafkaError,
    reader: PartitionReader
  ) => Effect.Effect<void, KafkaError.KafkaError>
  /** Follows what becomes of the topics: ends never. */
  readonly watch: Effect.Effect<void>
  /** The topic is gone, or another one of its name is there, of this id if any, as whoever is sure of it says. */
  readonly replaced: (topic: string, id?: string) => Effect.Effect<void>
}

/** A topic of which another is to come, or has come, under its name. */
interface Lost {
  /** The id of the one that was lost: brokers may tell it for a while yet. */
  readonly id: string | undefined
  /** Partitions that were read since: whether they came again is told. */
  readonly read: Set<number>
  /** How many came again; undefined until they are known. */
  count: number | undefined
}

const { isUnknownTopic } = GoneTopics

/** What is told when a topic that was gone is there again. */
const ends = ["topicRecreated", "goesOn"] as const

// How often a topic that has gone is looked for.
const lookedFor = Schedule.min([Schedule.exponential("1 second"), Schedule.spaced("30 seconds")])

// The first answer to a Fetch comes after `maxWait`; who has not heard of a partition by then is asked for its end.
const answerSlack = 250

export const make = (context: Context): Opening => {
  const { cluster, committer, consumer, inBackground, isGiven, knownTopics, looks } = context
  const { partitions, publish, scope, settings } = context
  const { isolation } = settings.fetch
  const again = Backoff.unending(cluster.retry)
  /** Those whose commits were ignored by `resetOnStart`. */
  const reset: Array<Partition> = []
  /** Topics that were not there, or others of their name. */
  const lost = new Map<string, Lost>()
  const told = new WeakSet<Partition>()
  /** Those of which the log says that they are given up: a group may give them anew. */
  const givenUp = new Set<string>()
  /** Those whose start was found, for as long as the group may not have it. */
  const begun = new Map<string, Partition>()
  const uncommitted = ({ key, topic }: Partition): number | undefined => {
    const before = begun.get(key)
    const id = idOf(topic)
    const isSame = before?.topicId === undefined || id === undefined || before.topicId === id
    if (isSame && before?.committedAt === undefined) return before?.endedAt
    begun.delete(key)
    return undefined
  }
  /** Those whose topic went while their start was found out: that is of the old one, unless it is the same, by its id. */
  const outdated = new WeakSet<Partition>()
  /** Those whose end may be that of a topic that had the name before. */
  const formerEnds = new WeakSet<Partition>()
  /** Where those are to begin that never were: also where their topic is not there for a while. */
  const unbegun = new WeakMap<Partition, StartPositions.Wanted>()

  const whereOf = ({ place }: Partition): LogEvent.Where => ({ group: settings.group, ...place })

  const idOf = (topic: string) => cluster.known(topic)?.id

  /** By its id another topic stands under the name. */
  const isAnother = (topic: string): boolean => {
    const [id, known] = [idOf(topic), knownTopics.get(topic)?.id]
    return id !== undefined && known !== undefined && id !== known
  }

  /** Whatever comes under this name is new: read from its first record. */
  const forget = (topic: string): void => {
    const count = isAnother(topic) ? cluster.known(topic)?.partitions.length : undefined
    const id = knownTopics.get(topic)?.id ?? lost.get(topic)?.id
    knownTopics.set(topic, { count: 0, id: idOf(topic) })
    lost.set(topic, { id, read: new Set(), count })
  }

  /** What was lost of this name, unless that is what brokers tell of still. */
  const lostBefore = (topic: string, id = idOf(topic)): Lost | undefined => {
    const before = lost.get(topic)
    return before?.id !== undefined && before.id === id ? undefined : before
  }

  /** Once, whoever of its partitions notices it first. */
  const forgetOther = (topic: string): void => {
    if (knownTopics.get(topic)?.id !== idOf(topic)) forget(topic)
  }

  /** Whether what has this id is what the partition was of, before it was told to be gone. */
  const isWhatItWas = ({ topic, topicId }: Partition, id: string | undefined): boolean => {
    const known = lost.has(topic) ? lost.get(topic) : knownTopics.get(topic)
    return id !== undefined && id === (topicId ?? known?.id)
  }

  const isRead = ({ partition, topic }: Partition): boolean => lost.get(topic)?.read.has(partition) === true

  /** Tells whether it came again with its topic: it was not added since. */
  const noteRead = ({ partition, topic }: Partition, id = idOf(topic)): boolean => {
    const again = lostBefore(topic, id)
    if (again === undefined) return false
    again.read.add(partition)
    again.count ??= cluster.known(topic)?.partitions.length
    return partition < (again.count ?? Infinity)
  }

  const tellRecreated = (partition: Partition): void => {
    noteRead(partition)
    publish({ _tag: "Recreated", partition: partition.place })
  }

  const repeated = new LogEvent.Repeated()

  /** Of many partitions of a topic by doubling. */
  const logOf = (event: (typeof ends)[number], partition: Partition, what: string): Effect.Effect<void> =>
    repeated.log(`${event} ${partition.topic}`, partition.key, event, `${partition.key} ${what}`, whereOf(partition))
  const logRecreated = (
    partition: Partition,
    how = "from its first record",
    why = "another topic of its name is there"
  ): Effect.Effect<void> =>
    Effect.suspend(() => {
      givenUp.delete(partition.key)
      return logOf("topicRecreated", partition, `is read ${how}: ${why}`)
    })

  /** Who is given nothing of what came again, and one that is added later, knows it from that. */
  const heard = ({ id, name, partitions: { length } }: TopicInfo): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (isAnother(name)) forget(name)
      const again = lostBefore(name)
      if (again !== undefined && length > 0) again.count ??= length
      // The same topic, which its brokers had not known for a while: its readers have gone on.
      const isOn = (one: Partition) =>
        one.topic === name && one.status === "open" && one.topicId === id && !one.bound.isFinished
      const back = id === undefined ? [] : [...partitions.values()].filter((one) => isOn(one) && told.delete(one))
      return Effect.forEach(back, isBack, { discard: true })
    })

  const isBack = (partition: Partition): Effect.Effect<void> =>
    Effect.suspend(() => {
      partition.trouble = undefined
      partition.isOrphan = false
      givenUp.delete(partition.key)
      const log = logOf("goesOn", partition, "is there again, and is read on")
      // What was done meanwhile waits for no other mark.
      return Effect.andThen(commitSoon(partition), log)
    })

  /** Said once, until it is over; of many that wait for the same, by doubling. */
  const waits = (partition: Partition, error: KafkaError.KafkaError): Effect.Effect<void> =>
    Effect.suspend(() => {
      const isNew = partition.trouble === undefined
      partition.trouble = error
      if (!isNew) return Effect.void
      publish({ _tag: "Waiting", group: settings.group, partition: partition.place, error })
      const group = settings.group === undefined ? "" : ` of group ${settings.group}`
      const told = `${partition.key}${group} waits: ${error.message}`
      return repeated.log(`waiting ${errorType(error)}`, partition.key, "waiting", told, whereOf(partition))
    })

  const commits = Waits.ofCommits({ group: settings.group, publish, inBackground })

  // ── what was found is the group's from then on

  const unsaid = new Set<Partition>()
  const commitSoon = (partition: Partition): Effect.Effect<void> =>
    // Who waits for the turn of an earlier one has it, also where that one is interrupted between two steps.
    Effect.suspend(() => {
      if (settings.group === undefined) return Effect.void
      unsaid.add(partition)
      if (unsaid.size > 1) return Effect.void
      // After a turn: those that are found together are committed together.
      return Effect.asVoid(
        inBackground(
          Effect.yieldNow.pipe(
            Effect.andThen(
              Effect.suspend(() => {
                const list = [...unsaid]
                unsaid.clear()
                return committer.flush(list)
              })
            ),
            Effect.catch(committer.outlived)
          )
        )
      )
    }).pipe(Effect.uninterruptible)

  // ── opening

  const begin = (wanted: StartPositions.Wanted, start: number): Effect.Effect<void, KafkaError.KafkaError> =>
    Effect.suspend(() => {
      const { partition, topicId } = wanted
      if (partition.status !== "opening") return Effect.void
      const id = idOf(partition.topic)
      const isThat = topicId === undefined || id === undefined || id === topicId
      if (isThat)
        return formerEnds.delete(partition) ? endingAnew(partition, opened(wanted, start)) : opened(wanted, start)
      // Made again while the start was found out: what was found is of the other one.
      forgetOther(partition.topic)
      awaitGiven(partition)
      return inAnother(partition, id)
    })

  const opened = (wanted: StartPositions.Wanted, start: number): Effect.Effect<void, KafkaError.KafkaError> =>
    Effect.acquireUseRelease(
      Scope.fork(scope),
      (own) => openedIn(own, wanted, start),
      // What was given back, or interrupted, before it had its reader: nobody else would close that.
      (own) => (wanted.partition.scope === own ? Effect.void : Scope.close(own, Exit.void))
    )

  const openedIn = Effect.fnUntraced(function* (
    own: Scope.Closeable,
    { at, committed, found, leaderEpoch, partition, topicId }: StartPositions.Wanted,
    start: number
  ): Effect.fn.Return<void, KafkaError.KafkaError> {
    // A start is one in the topic in which it was found.
    const place = topicId === undefined ? partition.place : { ...partition.place, topicId }
    const reader = yield* Effect.retry(Scope.provide(consumer.open(place, start, leaderEpoch), own), {
      schedule: again,
      while: (error) => error.isRetryable
    })
    const known = idOf(partition.topic)
    // While metadata tell of no such topic it is that in which the start was found.
    const id = known ?? topicId
    // Given back in the meantime.
    if (partition.status !== "opening") return
    if (outdated.delete(partition) && !isWhatItWas(partition, id)) {
      yield* Scope.close(own, Exit.void)
      return yield* inAnother(partition, undefined)
    }
    // What it is told to be is told once it is there.
    const isThere = known !== undefined || id === undefined
    if (isThere) told.delete(partition)
    const isSame = id !== undefined && id === partition.topicId
    const isAgain = isThere && givenUp.delete(partition.key) && isWhatItWas(partition, id)
    partition.topicId = id
    // Of what is read on from a commit another member has told; the same one was away for a while.
    const isNew = !isSame && committed === undefined
    // Where it is another by now the reader says so.
    const isThat = topicId === undefined || id === undefined || id === topicId
    const isRecreated = isThat && !isRead(partition) && noteRead(partition, id) && isNew
    if (isRecreated) tellRecreated(partition)
    const wasReset = reset.includes(partition)
    // Where every restart finds the same, nothing needs to be said before something is done.
    const isUnsaid = found || wasReset
    if (partition.early === undefined && !isSame) partition.stands = committed
    partition.beginning = at === "earliest" ? start : undefined
    yield* partition.open({
      reader,
      start,
      scope: own,
      isSame,
      committed: isUnsaid ? undefined : (committed?.offset ?? start)
    })
    if (!isSame) partition.inherited = committed !== undefined
    if (isUnsaid) begun.set(partition.key, partition)
    if (isUnsaid && partition.committed < 0) yield* commitSoon(partition)
    if (isRecreated) yield* logRecreated(partition)
    else if (isAgain) yield* isBack(partition)
  })

  /** Tells where what was read so far is all there is, and why nothing is heard of a partition. */
  const listen = (list: ReadonlyArray<Partition>) =>
    Effect.sleep(settings.fetch.maxWait + answerSlack).pipe(
      Effect.andThen(
        Effect.suspend(() => {
          const silent: Array<Partition> = []
          for (const partition of list) {
            if (partition.status !== "open" || partition.paused) continue
            const end = partition.endOffset
            if (end === undefined || end < 0) silent.push(partition)
            else partition.noteEnd(end, partition.position!)
          }
          return StartPositions.find(
            {
              cluster,
              isolation,
              while: (partition) => partition.status === "open" && partition.endOffset === undefined
            },
            silent.map((partition) => ({
              partition,
              at: "latest",
              committed: undefined,
              found: false,
              topicId: undefined
            })),
            ({ partition }, end) =>
              Effect.sync(() => {
                if (partition.status !== "open") return
                partition.trouble = undefined
                partition.noteEnd(end, partition.position!)
              }),
            (partition, error) => Effect.as(waits(partition, error), "again")
          )
        })
      ),
      // The fetching side tells what a retry does not cure.
      Effect.ignore
    )

  const isThere = GoneTopics.lookUp(cluster)
  const isGone = GoneTopics.isGone(cluster)

  /** The time was over before it was told that there is no such topic: nobody else ends a bounded read. */
  const isSpent = ({ bound }: Partition, { reason }: KafkaError.KafkaError): boolean =>
    reason._tag === "TimedOut" && bound.until !== undefined

  const find = (list: ReadonlyArray<StartPositions.Wanted>): Effect.Effect<void, KafkaError.KafkaError> => {
    for (const one of list) unbegun.set(one.partition, one)
    return StartPositions.find(
      { cluster, isolation, while: (partition) => partition.status === "opening" },
      list,
      begin,
      (partition, error) =>
        Effect.gen(function* () {
          if (isUnknownTopic(error) && (yield* isGone(partition))) {
            yield* gone(partition)
            return "give up"
          }
          if (!error.isRetryable && !isUnknownTopic(error)) return yield* error
          yield* waits(partition, error)
          if (isSpent(partition, error) && (yield* isGone(partition))) {
            yield* gone(partition)
            return "give up"
          }
          return "again"
        })
    )
  }

  const open: Opening["open"] = Effect.fnUntraced(function* (all) {
    for (const partition of all) if (partition.bound.until === nowhere) yield* gone(partition)
    const list = all.filter(({ bound }) => !bound.isFinished)
    if (list.length === 0) return
    // `resetOnStart` is over when it was committed: not before, whatever happens to the group meanwhile.
    const resets = settings.resetOnStart && !reset.some(({ committedAt }) => committedAt !== undefined)
    if (resets) reset.push(...list)
    for (const partition of list) {
      const { bound, topic } = partition
      if (bound.until !== undefined && (isAnother(topic) || lost.has(topic))) formerEnds.add(partition)
    }
    for (const { topic } of list) if (isAnother(topic)) forget(topic)
    yield* StartPositions.wanted({ ...context, uncommitted }, list, resets, commits.waits, (wanted) =>
      Effect.suspend(() => {
        const some = wanted.map(({ partition }) => partition)
        // What is told of each from now on is its own.
        return commits.found(some).pipe(Effect.andThen(inBackground(listen(some))), Effect.andThen(find(wanted)))
      })
    )
  })

  // ── what is not there any more

  /**
   * Another topic stands under the name. Where the group gives it to whom it likes, it is read when it is given: this
   * partition of it is then assigned anew, and the old one taken back. Its start is the group's already.
   */
  const awaitGiven = (partition: Partition): void => {
    const isOurs = (id = idOf(partition.topic)) => id === undefined || isGiven(id, partition.partition)
    if (isOurs()) return
    const looked = Effect.flatMap(Effect.option(isThere(partition.topic)), () =>
      isOurs() ? Effect.void : Effect.fail("not yet" as const)
    )
    partition.awaits = Effect.sleep(GoneTopics.askedAgain).pipe(
      Effect.andThen(Effect.retry(looked, { schedule: lookedFor, while: () => partition.isLive })),
      Effect.ignore,
      Effect.andThen(
        Effect.sync(() => {
          partition.awaits = undefined
        })
      )
    )
  }

  /** Waits until a topic of this name is there again; of an older one nothing is left. */
  const returned = Effect.fnUntraced(function* (partition: Partition, position: number | undefined) {
    const info = yield* isThere(partition.topic).pipe(
      Effect.catch(() => Effect.succeed(undefined)),
      Effect.flatMap((info) =>
        info !== undefined && partition.partition < info.partitions.length
          ? Effect.succeed(info)
          : Effect.fail("not yet" as const)
      ),
      Effect.retry({ schedule: lookedFor, while: () => partition.status === "opening" }),
      Effect.option
    )
    if (info._tag === "None" || partition.status !== "opening") return
    // Without ids the group alone may know, and tell it only once records of it were handled, which are read again then.
    if (info.value.id === undefined) yield* looks(partition.topic)
    if (partition.status !== "opening") return
    const isSame = isWhatItWas(partition, info.value.id)
    if (!isSame) {
      const isUntold = !lost.has(partition.topic)
      if (isUntold) tellRecreated(partition)
      awaitGiven(partition)
      if (isUntold) yield* logRecreated(partition)
    }
    const topicId = info.value.id
    const before = isSame && position === undefined ? unbegun.get(partition) : undefined
    // What was sought in the one before is no start in this one.
    if (before !== undefined && (before.topicId ?? topicId) === topicId) return yield* find([{ ...before, topicId }])
    const isOn = isSame && position !== undefined
    // By its id: what is at work of it goes on.
    if (isOn) partition.topicId = topicId
    const at: Offset.Position = isOn ? { _tag: "At", offset: partition.backTo ?? position } : "earliest"
    yield* find([{ partition, at, committed: undefined, found: true, topicId }])
  })

  const tell = (topic: string, list: ReadonlyArray<Partition>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const fresh = list.filter((partition) => !told.has(partition))
      for (const partition of fresh) {
        told.add(partition)
        givenUp.add(partition.key)
        partition.trouble = KafkaError.make({ _tag: "UnknownTopic", topic, partition: partition.partition })
      }
      if (fresh.length === 0) return Effect.void
      // Each time that it is told what becomes of it is, too.
      for (const event of ends) repeated.anew(`${event} ${topic}`)
      publish({ _tag: "Deleted", partitions: fresh.map((partition) => partition.place) })
      const keys = fresh.map(({ key }) => key)
      const text = `topic ${topic} was deleted: ${listed(keys, toldAtMost)} are given up`
      return LogEvent.log("topicDeleted", text, { group: settings.group, topic })
    })

  const gone = (partition: Partition): Effect.Effect<void> =>
    Effect.gen(function* () {
      const { position } = partition
      yield* tell(partition.topic, [partition])
      if (partition.bound.until !== undefined) return partition.finish()
      yield* inBackground(
        partition.suspend.pipe(
          Effect.andThen(
            Effect.sync(() => {
              partition.position = undefined
              partition.settle()
            })
          ),
          Effect.andThen(returned(partition, position))
        )
      )
    })

  /** Fails with `UnknownTopic` where it is gone. */
  const resolve = (partition: Partition, at: Offset.Position) =>
    cluster.offsets([{ ...partition.place, at }], { isolation }).pipe(
      Effect.catchIf(
        (error) => isUnknownTopic(error) || isSpent(partition, error),
        (error) =>
          Effect.flatMap(isGone(partition), (is) =>
            Effect.fail(is ? KafkaError.make({ _tag: "UnknownTopic", ...partition.place }) : error)
          )
      ),
      // Of one that is read the fetching side tells.
      Effect.tapError((error) =>
        partition.status === "opening" && error.isRetryable ? waits(partition, error) : Effect.void
      ),
      Effect.retry({ schedule: again, while: (error) => error.isRetryable && partition.isLive }),
      Effect.map(([offset]) => offset!)
    )

  /** Where a bounded read ends in the topic that has the name by now. */
  const endAnew = (partition: Partition): Effect.Effect<void, KafkaError.KafkaError> =>
    settings.until === undefined
      ? Effect.void
      : Effect.map(resolve(partition, settings.until), (end) => {
          partition.bound.until = end
        })

  /** The same before it is opened: it is gone where its topic is by now. Those that were found with it do not wait for it. */
  const endingAnew = (partition: Partition, then: Effect.Effect<void, KafkaError.KafkaError>) =>
    Effect.catchIf(endAnew(partition), isUnknownTopic, () => gone(partition)).pipe(
      Effect.andThen(Effect.suspend(() => (partition.bound.isFinished ? Effect.void : then))),
      inBackground,
      Effect.asVoid
    )

  /** Another topic has the name since its start was asked for. */
  const inAnother = (partition: Partition, topicId: string | undefined) =>
    endingAnew(partition, find([{ partition, at: "earliest", committed: undefined, found: true, topicId }]))

  /** Where to go on from a position that no longer exists. */
  const elsewhere = Effect.fnUntraced(function* (
    partition: Partition,
    { from, to }: KafkaError.DataLoss,
    policy: "earliest" | "latest" | "nearest"
  ) {
    if (policy !== "nearest") return yield* resolve(partition, policy)
    if (to !== undefined) return to
    const end = yield* resolve(partition, "latest")
    return from > end ? end : yield* resolve(partition, "earliest")
  })

  /**
   * What was found is the group's from then on, below what it had, too: in the same log, at the beginning of that, or at
   * the beginning of another one.
   */
  const goOn = Effect.fnUntraced(function* (
    partition: Partition,
    reader: PartitionReader,
    offset: number,
    where: "same" | "first" | "another"
  ) {
    if (partition.status !== "open") return
    const { byHand, committed } = partition
    reader.seek(offset)
    if (where === "another") partition.moved(offset)
    else partition.jumped(offset)
    if (where !== "same") partition.beginning = offset
    if (where === "another") {
      partition.start = offset
      partition.isAnew = true
      // What the group had is of the other one.
      partition.stands = undefined
    }
    // What the application has said of it before anything was read stands.
    const stands = where === "first" && byHand !== undefined
    partition.committed = stands ? committed : -1
    if (stands) partition.byHand = byHand
    if (partition.bound.isPast(offset)) partition.finish()
    else yield* commitSoon(partition)
  })

  const curing: Opening["cure"] = Effect.fnUntraced(function* (partition, error, reader) {
    const { reason } = error
    const { onOutOfRange } = settings
    if (reason._tag === "DataLoss" && reason.kind === "recreated") {
      forgetOther(partition.topic)
      told.delete(partition)
      if (!isRead(partition)) tellRecreated(partition)
      const { beginning, bound, start } = partition
      // A bounded read that has begun ends with its topic; of one that has not, start and end may be the other's already.
      const isOver = bound.until !== undefined && reason.from !== start && reason.from !== beginning
      yield* logRecreated(partition, isOver ? "no further" : "from its first record", error.message)
      if (isOver) return partition.finish()
      yield* endAnew(partition)
      partition.topicId = reason.topicIds?.is
      awaitGiven(partition)
      const first = reason.to ?? (yield* resolve(partition, "earliest"))
      return yield* goOn(partition, reader, first, "another")
    }
    if (reason._tag === "DataLoss" && partition.topicId === undefined) {
      // Without an id another topic of the name looks like that. Then it is given up by now, and this is interrupted.
      yield* looks(partition.topic)
      if (partition.isOrphan) return yield* Effect.never
    }
    if (reason._tag === "DataLoss" && reason.from === partition.beginning) {
      // Retention was faster than the first fetch: what there is first is further on.
      const offset = yield* resolve(partition, "earliest")
      if (offset > reason.from) return yield* goOn(partition, reader, offset, "first")
    }
    if (reason._tag === "DataLoss" && onOutOfRange !== "fail") {
      const offset = yield* elsewhere(partition, reason, onOutOfRange)
      // What a bounded read was to end at may have gone as well; not where the beginning of the log has.
      if (partition.bound.until !== undefined && offset <= reason.from)
        partition.bound.until = Math.min(partition.bound.until, yield* resolve(partition, "latest"))
      publish({ _tag: "DataLoss", partition: partition.place, from: reason.from, to: offset })
      const told = `${error.message}; going on from ${onOutOfRange}, which is ${offset}`
      yield* repeated.log(`dataLoss ${partition.key}`, "", "dataLoss", told, whereOf(partition))
      return yield* goOn(partition, reader, offset, "same")
    }
    return yield* error
  })

  const cure: Opening["cure"] = (partition, error, reader) =>
    Effect.catchIf(curing(partition, error, reader), isUnknownTopic, () =>
      // It was asked for for so long.
      Effect.andThen(gone(partition), Effect.never)
    )

  const replaced: Opening["replaced"] = Effect.fnUntraced(function* (topic, id) {
    const ours = [...partitions.values()].filter((partition) => partition.topic === topic)
    // By its id it is known, or is about to be told, to everyone who reads it by one: brokers may tell ids since then only.
    const isById = ours.every(({ status, topicId }) => status !== "open" || topicId !== undefined)
    if (isById && id !== undefined && id === idOf(topic)) return
    forget(topic)
    for (const partition of ours) partition.isOrphan = true
    yield* tell(topic, ours)
    for (const partition of ours) {
      // By its id the fetching side tells one from the other. By name alone the old position would go on in the new log.
      if (partition.topicId !== undefined) continue
      if (partition.status === "open") yield* gone(partition)
      else if (partition.status === "opening") outdated.add(partition)
    }
  })

  /** A group may take its partitions back before the fetching side has given up: told all the same. */
  const watch = GoneTopics.watch({
    cluster,
    scope,
    isKnown: (topic) => knownTopics.has(topic),
    isGone: (topic) => isGone({ topic, partition: 0 }),
    replaced,
    heard
  })

  return { open, opensNone: commits.found([]), cure, watch, replaced }
}
