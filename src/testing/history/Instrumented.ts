/** Producers and consumers that are watched: they do what they do, and tell what they do. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import * as Consumer from "../../Consumer.ts"
import { type AnyRecord, origin, raw } from "../../consume/ConsumerRecord.ts"
import type { OffsetTracker } from "../../consume/OffsetTracker.ts"
import * as ProducerBuffer from "../../produce/ProducerBuffer.ts"
import * as TopicEncoder from "../../produce/TopicEncoder.ts"
import * as KafkaError from "../../KafkaError.ts"
import * as Membership from "../../Memberships.ts"
import * as Producer from "../../Producer.ts"
import type { Delivery } from "../../Record.ts"
import type * as Topic from "../../Topic.ts"
import type { TopicPartition } from "../../TopicPartition.ts"
import { Transport } from "../../Transport.ts"
import { contentOf, type Event } from "./History.ts"

/** What the settings of a producer promise. */
export interface Promises {
  /** Default `"all"`; with less, acknowledged records may be lost. */
  readonly acks?: 0 | 1 | "all" | undefined
  /** Default true; else there may be duplicates. */
  readonly idempotent?: boolean | undefined
}

type Outcome = Result.Result<Producer.RecordMetadata, KafkaError.KafkaError>
type Service = Producer.Producer["Service"]

/** Reasons that are found before anything is sent. */
const beforeSending: ReadonlySet<string> = new Set(["BufferFull", "RecordTooLarge", "Encode", "Misuse", "UnknownTopic"])

const persistenceOf = ({ reason }: KafkaError.KafkaError): "not" | "possibly" =>
  reason._tag === "NotDelivered" ? reason.persistence : beforeSending.has(reason._tag) ? "not" : "possibly"

const firstFailure = (outcomes: ReadonlyArray<Outcome>): Effect.Effect<void, KafkaError.KafkaError> => {
  for (const outcome of outcomes) if (Result.isFailure(outcome)) return Effect.fail(outcome.failure)
  return Effect.void
}

/** The settings' defaults of `Producer.Options`. */
const bufferBytes = 33_554_432
const bufferRecords = 1_000_000

/** Watches, telling `record` what happens and `used` how much is held. */
export const make = (record: (event: Event) => void, used: (name: string, value: number, limit: number) => void) => {
  // ── producers
  let records = 0
  let producers = 0
  const sources = new Map<string, string>()

  /** Notes entries as handed over by this fiber, one after the other; undefined for one that cannot be encoded. */
  const submitted = (
    producer: number,
    topic: Topic.Any,
    entries: ReadonlyArray<TopicEncoder.Entry>,
    promises: Promises
  ): Effect.Effect<ReadonlyArray<number | undefined>, never, any> =>
    Effect.withFiber((fiber) => {
      // Numbered as they come: those of fibers are not the same in two runs.
      const key = `${producer} ${fiber.id}`
      let source = sources.get(key)
      if (source === undefined) sources.set(key, (source = `fiber ${sources.size} of producer ${producer}`))
      return Effect.forEach(entries, (entry) =>
        Effect.suspend(() => {
          try {
            const encoded = TopicEncoder.of(topic).encode(entry, 0)
            return Effect.isEffect(encoded) ? encoded : Effect.succeed(encoded)
          } catch (error) {
            return Effect.fail(error)
          }
        }).pipe(
          Effect.map((encoded) => {
            const id = records++
            record({
              _tag: "Submitted",
              id,
              source,
              topic: topic.name,
              content: contentOf(encoded),
              ...((promises.acks ?? "all") === "all" ? undefined : { durable: false }),
              ...((promises.idempotent ?? true) ? undefined : { unique: false })
            })
            return id
          }),
          Effect.catch(() => Effect.succeed(undefined))
        )
      )
    })

  const settle = (id: number | undefined, outcome: Outcome): void => {
    if (id === undefined) return
    if (Result.isSuccess(outcome)) {
      const { offset, partition, topic } = outcome.success
      record({ _tag: "Acknowledged", id, topic, partition, offset })
    } else record({ _tag: "Failed", id, persistence: persistenceOf(outcome.failure) })
  }
  /** Interrupted: nothing is known of it. */
  const settleExit = (id: number | undefined) => (exit: Exit.Exit<Producer.RecordMetadata, KafkaError.KafkaError>) =>
    Effect.sync(() => {
      if (Exit.isSuccess(exit)) return settle(id, Result.succeed(exit.value))
      const error = Exit.findErrorOption(exit)
      if (Option.isSome(error)) settle(id, Result.fail(error.value))
    })
  const settleAll = (ids: ReadonlyArray<number | undefined>) => (outcomes: ReadonlyArray<Outcome>) =>
    Effect.sync(() => outcomes.forEach((outcome, i) => settle(ids[i], outcome)))

  const producer = (self: Service, promises: Promises = {}): Service => {
    const number = producers++
    const send = (topic: Topic.Any, entry: any) =>
      Effect.flatMap(submitted(number, topic, [entry], promises), ([id]) =>
        Effect.onExit(self.send(topic, entry), settleExit(id))
      )
    const offer = (topic: Topic.Any, entry: any) =>
      Effect.flatMap(submitted(number, topic, [entry], promises), ([id]) =>
        self.offer(topic, entry).pipe(
          Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : settleExit(id)(exit as never))),
          Effect.map((ack) => Effect.onExit(ack, settleExit(id)))
        )
      )
    const offerAll = (topic: Topic.Any, entries: ReadonlyArray<any>) =>
      Effect.flatMap(submitted(number, topic, entries, promises), (ids) =>
        Effect.map(self.offerAll(topic, entries), (acks) => Effect.tap(acks, settleAll(ids)))
      )
    const sendAll = (topic: Topic.Any, entries: ReadonlyArray<any>) => Effect.flatten(offerAll(topic, entries))
    return Producer.Producer.of({
      ...self,
      send,
      offer,
      offerAll,
      sendAll,
      sink: (topic: Topic.Any) =>
        Sink.forEachArray((entries: ReadonlyArray<any>) => Effect.flatMap(sendAll(topic, entries), firstFailure))
    } as Service)
  }

  const makeProducer = (options: Producer.Options = {}) =>
    Effect.suspend(() => {
      const name = `the buffer of producer ${producers}`
      const held = { bytes: 0, records: 0 }
      const open = new Map<Delivery, { bytes: number; records: number }>()
      const limits = { bytes: options.bufferBytes ?? bufferBytes, records: options.bufferRecords ?? bufferRecords }
      const release = (delivery: Delivery, count: number, bytes: number) => {
        held.bytes -= bytes
        held.records -= count
        const own = open.get(delivery)!
        own.bytes -= bytes
        own.records -= count
        if (own.records === 0) open.delete(delivery)
      }
      /** What lies between `append` and the outcome is what the buffer holds. */
      const tap = (transport: Transport["Service"]): Transport["Service"] => ({
        ...transport,
        producer: (settings) =>
          Effect.map(transport.producer(settings), (engine) => {
            const watched = new Map<Delivery, Delivery>()
            return {
              ...engine,
              append: (partition, list, delivery) => {
                const sizes = list.map(ProducerBuffer.sizeOf)
                const size = (from: number, count: number) => {
                  let bytes = 0
                  for (let i = from; i < from + count; i++) bytes += sizes[i]!
                  return bytes
                }
                const all = size(0, list.length)
                held.bytes += all
                held.records += list.length
                open.set(delivery, { bytes: all, records: list.length })
                used(`${name}, in bytes`, held.bytes, limits.bytes)
                used(`${name}, in records`, held.records, limits.records)
                const own: Delivery = {
                  acknowledged: (from, count, offset, timestamp) => {
                    release(delivery, count, size(from, count))
                    delivery.acknowledged(from, count, offset, timestamp)
                  },
                  failed: (from, count, error) => {
                    release(delivery, count, size(from, count))
                    delivery.failed(from, count, error)
                  }
                }
                watched.set(delivery, own)
                engine.append(partition, list, own)
              },
              withdraw: (partition, delivery) => {
                const own = watched.get(delivery)
                if (own === undefined || !engine.withdraw(partition, own)) return false
                const left = open.get(delivery)
                if (left !== undefined) release(delivery, left.records, left.bytes)
                return true
              }
            }
          })
      })
      return Effect.map(Effect.updateService(Producer.make(options), Transport, tap), (self) =>
        producer(self, { acks: options.acks, idempotent: options.idempotent })
      )
    })

  // ── consumers
  let members = 0
  const trackers = new WeakSet<OffsetTracker>()

  /** Hears of marks and seeks: both go through the partition's tracker. */
  const watchMarks = (group: string, member: string, one: AnyRecord): void => {
    const { partition, topic, tracker } = origin(one)
    if (tracker === undefined || trackers.has(tracker)) return
    trackers.add(tracker)
    const place = { group, member, topic, partition }
    const done = tracker.done.bind(tracker)
    const reset = tracker.reset.bind(tracker)
    tracker.done = (offset) => {
      const isNew = done(offset)
      if (isNew) record({ _tag: "Done", ...place, offset })
      return isNew
    }
    tracker.reset = (offset) => {
      record({ _tag: "Seek", ...place, offset })
      reset(offset)
    }
  }

  const delivered = (
    group: string,
    member: string,
    isCommitted: boolean,
    ordered: boolean,
    array: ReadonlyArray<AnyRecord>
  ): void => {
    for (let i = 0; i < array.length;) {
      const { partition, topic } = array[i]!
      const offsets: Array<number> = []
      const contents: Array<string> = []
      watchMarks(group, member, array[i]!)
      for (; i < array.length && array[i]!.partition === partition && array[i]!.topic === topic; i++) {
        offsets.push(array[i]!.offset)
        contents.push(contentOf(raw(array[i]!)))
      }
      const place = { group, member, topic, partition }
      record({ _tag: "Delivered", ...place, offsets, ordered, ...(isCommitted ? { contents } : undefined) })
    }
  }

  /** A membership that tells who has which partitions, in the order in which it happens. */
  const watchMembership = <R>(
    group: string,
    member: string,
    ends: Map<string, "Revoked" | "Lost">,
    self: Membership.Membership<R>
  ): Membership.Membership<R> => ({
    ...self,
    join: (join) => {
      const held = new Map<string, TopicPartition>()
      const tell = (_tag: "Assigned" | "Revoked" | "Lost", list: ReadonlyArray<TopicPartition>) => {
        for (const { partition, topic } of list) {
          const key = `${topic}-${partition}`
          if (_tag === "Assigned") {
            held.set(key, { topic, partition })
            ends.delete(key)
          } else if (held.delete(key)) ends.set(key, _tag)
          else continue
          record({ _tag, group, member, topic, partition })
        }
      }
      const { owner } = join
      return Effect.map(
        self.join({
          ...join,
          owner: {
            assigned: (list) =>
              Effect.andThen(
                Effect.sync(() => tell("Assigned", list)),
                owner.assigned(list)
              ),
            revoke: (list, within) =>
              Effect.andThen(
                owner.revoke(list, within),
                Effect.sync(() => tell("Revoked", list))
              ),
            lost: Effect.andThen(
              Effect.sync(() => tell("Lost", [...held.values()])),
              owner.lost
            ),
            failed: owner.failed,
            troubled: owner.troubled
          }
        }),
        (own): Membership.Member => ({
          identity: () => own.identity(),
          isAlive: own.isAlive,
          resubscribed: own.resubscribed,
          commitRefused: (as, code) => own.commitRefused(as, code),
          closing: own.closing,
          // Everything was given back by now.
          leave: Effect.andThen(
            Effect.sync(() => tell("Revoked", [...held.values()])),
            own.leave
          )
        })
      )
    }
  })

  /** What was not given back in peace excuses what comes again. */
  const watchEvents = (
    group: string,
    member: string,
    ends: ReadonlyMap<string, "Revoked" | "Lost">,
    consumer: Consumer.Consumer<any>
  ) =>
    Stream.runForEach(consumer.events, (event) =>
      Effect.sync(() => {
        if (event._tag !== "RevokeTimedOut" && event._tag !== "Lost") return
        const _tag = event._tag === "Lost" ? "RevokeTooLate" : event._tag
        for (const { partition, topic } of event.partitions) {
          // A loss that the membership told of is noted already.
          if (event._tag === "Lost" && ends.get(`${topic}-${partition}`) === "Lost") continue
          record({ _tag, group, member, topic, partition })
        }
      })
    )

  const watch = (
    group: string,
    member: string,
    isCommitted: boolean,
    consumer: Consumer.Consumer<AnyRecord>
  ): Consumer.Consumer<AnyRecord> => {
    const seen = (array: any) => {
      delivered(group, member, isCommitted, true, array)
      return array
    }
    return {
      ...consumer,
      stream: Stream.mapArray(consumer.stream, seen),
      partitions: Stream.map(consumer.partitions, (assigned) => ({
        ...assigned,
        records: Stream.mapArray(assigned.records, seen)
      })),
      run: <E, R, E2, R2>(
        handler: (record: AnyRecord) => Effect.Effect<unknown, E, R>,
        policy?: Consumer.RunPolicy<E, E2, R2> | Consumer.DeadLetterPolicy<E, E2, R2>
      ) => {
        const ordered = policy?.order === undefined || policy.order === "partition"
        const begun = new WeakSet<AnyRecord>()
        const watching = (one: AnyRecord) => {
          // A retry is no delivery.
          if (!begun.has(one)) delivered(group, member, isCommitted, ordered, [one])
          begun.add(one)
          return handler(one)
        }
        // Which of the two it is is the caller's to know.
        return consumer.run(watching, policy as Consumer.DeadLetterPolicy<E, E2, R2>)
      },
      commit: (offsets?: Iterable<Consumer.OffsetCommit>) => {
        if (offsets === undefined) return consumer.commit()
        const list = [...offsets]
        return Effect.suspend(() => {
          for (const { offset, partition, topic } of list)
            record({ _tag: "CommitByHand", group, member, topic, partition, offset })
          return consumer.commit(list)
        })
      }
    }
  }

  const watched = (
    group: string,
    options: { readonly isolation?: "committed" | "uncommitted" | undefined },
    member: string,
    ends: ReadonlyMap<string, "Revoked" | "Lost">,
    make: Effect.Effect<Consumer.Consumer<any>, KafkaError.KafkaError, any>
  ): Effect.Effect<any, any, any> =>
    Effect.gen(function* () {
      const consumer = yield* make
      // The events end when the consumer is closed, after the last of them.
      yield* Effect.forkDetach(watchEvents(group, member, ends, consumer), { startImmediately: true })
      return watch(group, member, options.isolation !== "uncommitted", consumer)
    })
  const nextMember = () => `member ${members++}`

  const subscribe = ((options: Consumer.SubscribeOptions<any, any, any>) =>
    Effect.suspend(() => {
      const member = nextMember()
      const ends = new Map<string, "Revoked" | "Lost">()
      const membership = watchMembership(options.group, member, ends, options.membership ?? Membership.classic())
      return watched(options.group, options, member, ends, Consumer.subscribe({ ...options, membership }))
    })) as typeof Consumer.subscribe

  const subscribePattern = ((options: Consumer.SubscribePatternOptions<any, any>) =>
    Effect.suspend(() => {
      const member = nextMember()
      const ends = new Map<string, "Revoked" | "Lost">()
      const membership = watchMembership(options.group, member, ends, options.membership ?? Membership.classic())
      return watched(options.group, options, member, ends, Consumer.subscribePattern({ ...options, membership }))
    })) as typeof Consumer.subscribePattern

  const assign = ((options: Consumer.AssignOptions<any>) =>
    Effect.suspend(() => {
      const member = nextMember()
      return watched(options.group ?? `of ${member} alone`, options, member, new Map(), Consumer.assign(options))
    })) as typeof Consumer.assign

  return { producer, makeProducer, subscribe, subscribePattern, assign }
}
