/**
 * What the application holds of a consumer: its streams and its verbs, over the engine.
 */
import type * as Arr from "effect/Array"
import type * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as GroupOffsets from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import type * as Offset from "../Offset.ts"
import * as TopicPartition from "../TopicPartition.ts"
import { notOwned } from "./Committer.ts"
import type { AnyRecord } from "./ConsumerRecord.ts"
import { type ConsumerEvent, type Engine, theEnd } from "./Engine.ts"
import type { Mailbox } from "./Mailbox.ts"
import type { Partition } from "./AssignedPartition.ts"
import * as Run from "./Run.ts"

type Place = TopicPartition.TopicPartition
type Failure = KafkaError.KafkaError

/** A stream of the arrays that come to a mailbox. `begin` may refuse; `end` is called when the application's side ends. */
const read = (
  mailbox: Mailbox<Partition>,
  begin: Effect.Effect<void, Failure>,
  end: () => void
): Stream.Stream<AnyRecord, Failure> => {
  const pull: Effect.Effect<Arr.NonEmptyReadonlyArray<AnyRecord>, Failure | Cause.Done> = Effect.flatMap(
    Effect.flatMap(mailbox.take, (partition) => partition.deliver),
    (records) =>
      records === undefined || records.length === 0
        ? pull
        : Effect.succeed(records as Arr.NonEmptyReadonlyArray<AnyRecord>)
  )
  return Stream.fromChannel(
    Channel.fromTransform((_: unknown, scope) =>
      begin.pipe(Effect.andThen(Scope.addFinalizer(scope, Effect.sync(end))), Effect.as(pull))
    )
  )
}

/** Makes what the application holds. */
export const make = (engine: Engine) => {
  const { cluster, groupOffsets, settings } = engine

  const recordsOf = (partition: Partition): Stream.Stream<AnyRecord, Failure> =>
    read(
      partition.mailbox,
      Effect.suspend(() => {
        if (partition.reading !== "no") {
          return Effect.fail(
            KafkaError.make({
              _tag: "Misuse",
              message: "the records of an assigned partition are read once",
              ...partition.place
            })
          )
        }
        partition.reading = "yes"
        return Effect.void
      }),
      () => {
        partition.reading = "ended"
        partition.checkDrained()
      }
    )

  const group = Effect.suspend(() =>
    settings.group === undefined
      ? Effect.fail(KafkaError.make({ _tag: "Misuse", message: "this consumer has no group that keeps offsets" }))
      : Effect.succeed(settings.group)
  )

  const byHand = Effect.fnUntraced(function* (offsets: Iterable<GroupOffsets.Commit>) {
    const id = yield* group
    const commits: Array<readonly [Partition, GroupOffsets.Commit]> = []
    for (const offset of offsets) {
      const partition = engine.partitions.get(TopicPartition.key(offset))
      if (partition === undefined) return yield* notOwned(offset, id)
      commits.push([partition, offset])
    }
    return yield* engine.committer.commit(commits)
  })

  const paused = (places: Iterable<Place>, paused: boolean) =>
    Effect.sync(() => {
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
    })

  const open = () => [...engine.partitions.values()].filter((partition) => partition.position !== undefined)

  return {
    stream: read(
      engine.merged,
      Effect.suspend(() => engine.claim("stream")),
      engine.streamEnded
    ),
    partitions: Stream.fromPull(
      Effect.as(
        Effect.suspend(() => engine.claim("partitions")),
        Effect.map(
          engine.assignments.take,
          (partition): Arr.NonEmptyReadonlyArray<Place & { records: Stream.Stream<AnyRecord, Failure> }> => [
            { ...partition.place, records: recordsOf(partition) }
          ]
        )
      )
    ),
    run: (
      handler: (record: AnyRecord) => Effect.Effect<unknown, any, any>,
      policy: Partial<Run.Policy> = {}
    ): Effect.Effect<void, any, any> => {
      const order = policy.order ?? "partition"
      const concurrency = order === "partition" ? 1 : (policy.concurrency ?? 16)
      if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
        return Effect.fail(
          KafkaError.make({
            _tag: "Misconfigured",
            mistakes: [`concurrency must be a whole number above 0, not ${concurrency}`]
          })
        )
      }
      return Run.run(engine, handler, {
        order,
        concurrency,
        retry: policy.retry,
        deadLetter: policy.deadLetter
      })
    },
    commit: (offsets?: Iterable<GroupOffsets.Commit>) =>
      offsets === undefined
        ? Effect.andThen(
            group,
            Effect.suspend(() => engine.committer.flush(engine.partitions.values()))
          )
        : byHand(offsets),
    committed: Effect.gen(function* () {
      const places = [...engine.partitions.values()].map((partition) => partition.place)
      const committed = yield* groupOffsets.fetch(yield* group, places)
      return places.flatMap((place) => {
        const one = committed.get(TopicPartition.key(place))
        return one === undefined ? [] : [{ ...place, offset: one.offset, metadata: one.metadata }]
      })
    }),
    position: (place: Place) => Effect.map(engine.owned(place), (partition) => partition.position!),
    seek: (place: Place, to: Offset.Position) =>
      Effect.gen(function* () {
        const partition = yield* engine.owned(place)
        const [offset] = yield* cluster.offsets([{ ...place, at: to }], { isolation: settings.fetch.isolation })
        yield* partition.seek(offset!)
      }),
    pause: (places: Iterable<Place>) => paused(places, true),
    resume: (places: Iterable<Place>) => paused(places, false),
    lag: Effect.gen(function* () {
      const list = open()
      const ends = yield* cluster.offsets(
        list.map((partition) => ({ ...partition.place, at: "latest" as const })),
        { isolation: settings.fetch.isolation }
      )
      return list.map((partition, i) => ({
        ...partition.place,
        lag: Math.max(0, ends[i]! - (partition.position ?? ends[i]!))
      }))
    }),
    events: Stream.fromPubSub(engine.events).pipe(Stream.takeWhile((event): event is ConsumerEvent => event !== theEnd))
  }
}
