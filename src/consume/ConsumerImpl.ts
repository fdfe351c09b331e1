/**
 * What the application holds of a consumer: its streams and its verbs, over the engine.
 */
import type * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Checks from "../Checks.ts"
import { codes } from "../ErrorCode.ts"
import * as GroupOffsets from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import type * as Offset from "../Offset.ts"
import type * as Topic from "../Topic.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { Partition } from "./AssignedPartition.ts"
import { notOwned } from "./CommitRefusal.ts"
import type { AnyRecord } from "./ConsumerRecord.ts"
import type { Engine } from "./Engine.ts"
import { DeadLetters } from "./DeadLetter.ts"
import type { Mailbox } from "./Mailbox.ts"
import { offsetMistake, placeMistake, placesOf } from "./Places.ts"
import * as ReadControl from "./ReadControl.ts"
import { closed } from "./Reading.ts"
import * as Run from "./Run.ts"
import { make as takingOf, taking } from "./Taking.ts"
import { Runners } from "./Runners.ts"
import { Choosing, mistake } from "./StartPositions.ts"

type Place = TopicPartition.TopicPartition
type Failure = KafkaError.KafkaError

/**
 * A stream of the arrays that come to a mailbox. `begin` may refuse; `end` is called when the application's side ends.
 * Where `pulls`, the fiber that pulls is to be interrupted when a partition is lost, or not drained in time, and so is the
 * one that runs the stream: where an operator pulls in a fiber of its own (`mapEffect` with `concurrency`, `groupedWithin`,
 * `flatMap` with `concurrency`), its end is not told to the others. `pulled` is called each time that it comes for more,
 * `taken` with what it is given an array of.
 */
const read = (
  mailbox: Mailbox<Partition>,
  begin: (pulledFor: ReadControl.Source["pulledFor"]) => Effect.Effect<void, Failure>,
  end: (exit: Exit.Exit<unknown, unknown>) => void,
  pulls: boolean,
  pulled: () => void = () => undefined,
  taken: (partition: Partition) => void = () => undefined
): Stream.Stream<AnyRecord, Failure> => {
  const runners = new Runners()
  const pull: Effect.Effect<Arr.NonEmptyReadonlyArray<AnyRecord>, Failure | Cause.Done> = Effect.withFiber((fiber) => {
    pulled()
    return Effect.flatMap(
      mailbox.take((partition) => {
        if (pulls) partition.workers = runners.with(fiber)
        taken(partition)
        return partition.deliver()
      }),
      (records) =>
        records === undefined || records.length === 0
          ? pull
          : Effect.succeed(records as Arr.NonEmptyReadonlyArray<AnyRecord>)
    )
  })
  return Stream.fromChannel(
    Channel.fromTransform((_: unknown, scope) =>
      // One step, which waits for nothing: what is begun is ended.
      begin(runners.pulledFor).pipe(
        Effect.andThen(Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => end(exit)))),
        Effect.andThen(Effect.withFiber((fiber) => Effect.sync(() => runners.begun(fiber)))),
        Effect.uninterruptible,
        Effect.as(pull)
      )
    )
  )
}

const misuse = (message: string, where?: Place) => Effect.fail(KafkaError.make({ _tag: "Misuse", message, ...where }))

const unheard = (millis: number) =>
  KafkaError.make({ _tag: "TimedOut", budget: "apiTimeout", millis, waitingFor: "the ends of the partitions" })

/** The end of each partition: asked for by leader, and of those that do not answer, what was last heard. */
const ends = (engine: Engine, list: ReadonlyArray<Partition>) => {
  const { cluster, settings } = engine
  const { isolation } = settings.fetch
  const leaderOf = ({ partition, topic }: Partition) => cluster.known(topic)?.partitions[partition]?.leader ?? -1
  const groups = TopicPartition.groupBy(list, (partition) => {
    const leader = leaderOf(partition)
    return leader < 0 ? partition.key : String(leader)
  })
  const heard = (partition: Partition, error: Failure) => {
    const end = partition.endOffset
    return end === undefined || end < 0 ? Effect.fail(error) : Effect.succeed(end)
  }
  return Effect.map(
    Effect.forEach(
      groups.values(),
      (group) =>
        cluster
          .offsets(
            group.map((partition) => ({ ...partition.place, at: "latest" as const })),
            { isolation }
          )
          .pipe(
            Effect.timeoutOrElse({
              duration: settings.apiTimeout / 2,
              orElse: () => Effect.fail(unheard(settings.apiTimeout / 2))
            }),
            Effect.catch((error) => Effect.forEach(group, (partition) => heard(partition, error))),
            Effect.map((offsets) => group.map((partition, i) => [partition, offsets[i]!] as const))
          ),
      { concurrency: "unbounded" }
    ),
    (all) => new Map(all.flat())
  )
}

interface Policy {
  readonly order?: Run.Policy["order"] | undefined
  readonly concurrency?: number | undefined
  readonly maxConcurrency?: number | undefined
  readonly retry?: Run.Policy["retry"] | undefined
  readonly deadLetter?:
    | Topic.Bytes<string>
    | { readonly topic: Topic.Bytes<string>; readonly when: (error: any) => boolean }
    | undefined
}

const policyTable: Checks.TableOf<Policy> = {
  order: Checks.oneOf("partition", "key", "none"),
  concurrency: Checks.kinds.count,
  maxConcurrency: Checks.kinds.countOrInfinity,
  retry: Checks.kinds.schedule,
  deadLetter: Checks.kinds.deadLetter
}

const lettersOf = (given: NonNullable<Policy["deadLetter"]>): Run.Policy["deadLetter"] =>
  "when" in given
    ? { letters: new DeadLetters(given.topic), when: given.when }
    : { letters: new DeadLetters(given), when: () => true }

/** What `run` is given, checked. */
const policyOf = (handler: unknown, policy: Policy): Effect.Effect<Run.Policy, Failure> => {
  const mistakes: Array<string> = []
  if (typeof handler !== "function") mistakes.push("what handles records is no function")
  const {
    deadLetter,
    maxConcurrency = Infinity,
    order = "partition",
    retry,
    ...known
  } = Checks.known(policy, policyTable, (text) => mistakes.push(text))
  const concurrency = order === "partition" ? 1 : (known.concurrency ?? 16)
  if (mistakes.length > 0) return Effect.fail(KafkaError.make({ _tag: "Misconfigured", mistakes }))
  return Effect.succeed({
    order,
    concurrency,
    maxConcurrency,
    retry,
    deadLetter: deadLetter === undefined ? undefined : lettersOf(deadLetter)
  })
}

/** What the application is given of a partition. */
interface Assigned extends Place {
  readonly records: Stream.Stream<AnyRecord, Failure>
}

/** The streams, and what reads them for the application. */
const streams = (engine: Engine) => {
  const { reading } = engine
  const commit = Effect.suspend(() =>
    engine.settings.group === undefined
      ? Effect.void
      : Effect.ignore(engine.committer.flush(engine.partitions.values()))
  )
  const entered = (pulledFor: ReadControl.Source["pulledFor"]) =>
    ReadControl.enter({ assigned: engine.assigned, stop: engine.stop, commit, pulledFor })

  const recordsOf = (partition: Partition, pulls: boolean): Stream.Stream<AnyRecord, Failure> =>
    read(
      partition.mailbox,
      (pulledFor) =>
        Effect.suspend(() => {
          if (partition.reading !== "no") {
            return misuse("the records of an assigned partition are read once", partition.place)
          }
          partition.reading = "yes"
          return entered(pulledFor)
        }),
      (exit) => {
        // What has ended by itself may have been one of several that are handled together, and elsewhere.
        const isThrough = pulls && Exit.isSuccess(exit) && (!partition.isLive || partition.bound.isFinished)
        partition.readerEnded(isThrough ? "through" : "ended")
        // The fiber goes on with something else.
        if (pulls) partition.workers = []
        partition.checkDrained()
      },
      pulls
    )

  const claimed = Effect.andThen(
    reading.claim("partitions"),
    entered(() => undefined)
  )
  const assignedOf = (partition: Partition, pulls: boolean): Assigned => ({
    ...partition.place,
    records: recordsOf(partition, pulls)
  })

  return {
    stream: read(
      reading.merged,
      (pulledFor) => Effect.andThen(reading.claim("stream"), entered(pulledFor)),
      reading.streamEnded,
      true,
      reading.pulled,
      reading.taken
    ),
    partitions: Stream.fromChannel(
      Channel.fromTransform((_: unknown, scope) =>
        claimed.pipe(
          Effect.andThen(Scope.addFinalizerExit(scope, (exit) => Effect.sync(() => reading.partitionsEnded(exit)))),
          Effect.uninterruptible,
          Effect.as(
            reading.assignments.take((partition) =>
              Effect.succeed<Arr.NonEmptyReadonlyArray<Assigned>>([assignedOf(partition, true)])
            )
          )
        )
      )
    ),
    eachPartition: (pipeline: (partition: Assigned) => Effect.Effect<unknown, any, any>) =>
      Run.eachPartition(engine, claimed, (partition) => pipeline(assignedOf(partition, false)))
  }
}

/** Makes what the application holds. */
export const make = (engine: Engine) => {
  const { cluster, groupOffsets, settings, withinApiTimeout } = engine

  /** Committed beside a transaction, one would overtake the other. */
  const unlessApart = Effect.suspend(() =>
    engine.reading.mode === "transactions"
      ? misuse("the offsets of this consumer are committed in transactions")
      : Effect.void
  )

  const group = Effect.suspend(() =>
    engine.reading.isOver
      ? Effect.fail(closed())
      : settings.group === undefined
        ? misuse("this consumer has no group that keeps offsets")
        : Effect.succeed(settings.group)
  )

  const byHand = Effect.fnUntraced(function* (offsets: ReturnType<typeof placesOf<GroupOffsets.Commit>>) {
    const id = yield* group
    if (typeof offsets === "string") return yield* misuse(offsets)
    for (const offset of offsets) {
      const wrong = offsetMistake(offset)
      if (wrong !== undefined) {
        return yield* misuse(wrong, { topic: offset.topic, partition: offset.partition })
      }
    }
    yield* withinApiTimeout(engine.assigned, "a first assignment")
    const commits: Array<readonly [Partition, GroupOffsets.Commit]> = []
    for (const offset of offsets) {
      const partition = engine.partitions.get(TopicPartition.key(offset))
      if (partition === undefined) return yield* notOwned(offset, id)
      const { isAnew, position, topicId } = partition
      // Of what was delivered of the topic before.
      if (isAnew && position !== undefined && offset.offset > position)
        return yield* KafkaError.fromCode(codes.UNKNOWN_TOPIC_ID, {
          api: "OffsetCommit",
          group: id,
          ...partition.place
        })
      // An offset of the topic that is read: not of another that has its name by now.
      commits.push([partition, { topicId, ...offset }])
    }
    return yield* engine.committer.commit(commits)
  })

  const paused = (list: Iterable<Place>, paused: boolean) =>
    Effect.suspend(() => {
      const places = placesOf(list)
      if (typeof places === "string") return Effect.orDie(misuse(places))
      for (const place of places) {
        const key = TopicPartition.key(place)
        const partition = engine.partitions.get(key)
        if (paused) {
          engine.paused.add(key)
          partition?.pause()
        } else {
          engine.paused.delete(key)
          partition?.unpause()
        }
      }
      return Effect.void
    })

  const owned = (place: Place) =>
    Effect.suspend(() => {
      const wrong = placeMistake(place)
      return wrong === undefined ? engine.owned(place) : misuse(wrong)
    })

  return {
    ...streams(engine),
    [taking]: takingOf(engine),
    run: (
      handler: (record: AnyRecord) => Effect.Effect<unknown, any, any>,
      policy: Policy = {}
    ): Effect.Effect<void, any, any> =>
      Effect.flatMap(policyOf(handler, policy), (checked) => Run.run(engine, handler, checked)),
    commit: (offsets?: Iterable<GroupOffsets.Commit>) =>
      Effect.andThen(
        unlessApart,
        offsets === undefined
          ? Effect.andThen(
              group,
              Effect.suspend(() => engine.committer.flush(engine.partitions.values()))
            )
          : byHand(placesOf(offsets))
      ),
    committed: Effect.gen(function* () {
      const id = yield* group
      const within = yield* engine.fromNow
      // Within onAssigned the commits are asked for to choose by them.
      const list = (yield* Choosing) ? engine.ours : engine.settled
      const places = (yield* list).map((partition) => partition.place)
      const committed = yield* within(groupOffsets.fetch(id, places), `the commits of group ${id}`)
      return places.flatMap((place) => {
        const one = committed.get(TopicPartition.key(place))
        return one === undefined ? [] : [{ ...place, offset: one.offset, metadata: one.metadata }]
      })
    }),
    position: (place: Place) => Effect.map(owned(place), (partition) => partition.position!),
    positions: Effect.map(engine.settled, (list) =>
      list.flatMap(({ place, position }) => (position === undefined ? [] : [{ ...place, offset: position }]))
    ),
    seek: (place: Place, to: Offset.Position) =>
      Effect.gen(function* () {
        const wrong = mistake(to)
        if (wrong !== undefined) return yield* misuse(wrong, placeMistake(place) === undefined ? place : undefined)
        const within = yield* engine.fromNow
        const partition = yield* owned(place)
        const [offset] = yield* within(
          cluster.offsets([{ ...place, at: to }], { isolation: settings.fetch.isolation }),
          `the offset of a seek in ${partition.key}`,
          place
        )
        const what = yield* partition.seek(offset!, to === "earliest")
        // Given back while the offset was asked for.
        if (what === "gone") return yield* notOwned(place, settings.group ?? "")
        if (what === "over") return yield* misuse(`${partition.key} has been read to its end`, place)
      }),
    pause: (places: Iterable<Place>) => paused(places, true),
    resume: (places: Iterable<Place>) => paused(places, false),
    lag: Effect.gen(function* () {
      const within = yield* engine.fromNow
      const list = (yield* engine.settled).filter(
        ({ position, trouble }) => position !== undefined && trouble?.reason._tag !== "UnknownTopic"
      )
      const found = yield* within(ends(engine, list), "the ends of the partitions")
      return list.flatMap((partition) => {
        const { position } = partition
        return position === undefined
          ? []
          : [{ ...partition.place, lag: Math.max(0, (found.get(partition) ?? position) - position) }]
      })
    }),
    groupMetadata: Effect.map(group, (id) => {
      const { generation, instanceId, memberId } = engine.member?.identity() ?? GroupOffsets.anonymous
      engine.reading.isForTransactions = true
      return { group: id, memberId, generation, instanceId }
    }),
    stop: engine.stop,
    events: engine.events
  }
}
