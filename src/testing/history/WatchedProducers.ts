/** Producers that are watched: they do what they do, and tell what is handed over and what becomes of it. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Sink from "effect/Sink"
import * as ProducerBuffer from "../../produce/ProducerBuffer.ts"
import * as TopicEncoder from "../../produce/TopicEncoder.ts"
import * as KafkaError from "../../KafkaError.ts"
import * as Producer from "../../Producer.ts"
import type { Delivery } from "../../Record.ts"
import type * as Topic from "../../Topic.ts"
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

/** A Transport that tells how full a producer's buffer is: what lies between `append` and the outcome is in it. */
const bufferMeter = (
  name: string,
  limits: { readonly bytes: number; readonly records: number },
  used: (name: string, value: number, limit: number) => void
): ((transport: Transport["Service"]) => Transport["Service"]) => {
  const held = { bytes: 0, records: 0 }
  const open = new Map<Delivery, { bytes: number; records: number }>()
  const release = (delivery: Delivery, count: number, bytes: number) => {
    held.bytes -= bytes
    held.records -= count
    const own = open.get(delivery)!
    own.bytes -= bytes
    own.records -= count
    if (own.records === 0) open.delete(delivery)
  }
  return (transport) => ({
    ...transport,
    producer: (settings) =>
      Effect.map(transport.producer(settings), (engine) => {
        const watched = new Map<Delivery, Delivery>()
        return {
          ...engine,
          append: (partition, list, delivery, since) => {
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
            engine.append(partition, list, own, since)
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
}

/** Watches producers, telling `record` what happens and `used` how much is held. */
export const make = (record: (event: Event) => void, used: (name: string, value: number, limit: number) => void) => {
  let records = 0
  let producers = 0
  const sources = new Map<string, string>()

  /** Notes entries as handed over by this fiber, one after the other; undefined for one that cannot be encoded. */
  const submitted = (
    producer: number,
    topic: Topic.Any,
    entries: ReadonlyArray<TopicEncoder.Entry>,
    promises: Promises,
    transaction: number | undefined
  ): Effect.Effect<ReadonlyArray<number | undefined>, never, any> =>
    Effect.withFiber((fiber) => {
      // Numbered as they come: those of fibers are not the same in two runs.
      const key = `${producer} ${fiber.id}`
      let source = sources.get(key)
      if (source === undefined) sources.set(key, (source = `fiber ${sources.size} of producer ${producer}`))
      return Effect.forEach(entries, (entry) =>
        Effect.suspend(() => {
          try {
            const encoded = TopicEncoder.of(topic).encode(entry, 0, fiber.context)
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
              ...((promises.idempotent ?? true) ? undefined : { unique: false }),
              ...(transaction === undefined ? undefined : { transaction })
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

  const producer = (self: Service, promises: Promises = {}, transaction?: number): Service => {
    const number = producers++
    const send = (topic: Topic.Any, entry: any) =>
      Effect.flatMap(submitted(number, topic, [entry], promises, transaction), ([id]) =>
        Effect.onExit(self.send(topic, entry), settleExit(id))
      )
    const offer = (topic: Topic.Any, entry: any) =>
      Effect.flatMap(submitted(number, topic, [entry], promises, transaction), ([id]) =>
        self.offer(topic, entry).pipe(
          Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : settleExit(id)(exit as never))),
          Effect.map((ack) => Effect.onExit(ack, settleExit(id)))
        )
      )
    const offerAll = (topic: Topic.Any, entries: ReadonlyArray<any>) =>
      Effect.flatMap(submitted(number, topic, entries, promises, transaction), (ids) =>
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
      const limits = { bytes: options.bufferBytes ?? bufferBytes, records: options.bufferRecords ?? bufferRecords }
      const tap = bufferMeter(`the buffer of producer ${producers}`, limits, used)
      return Effect.map(Effect.updateService(Producer.make(options), Transport, tap), (self) =>
        producer(self, {
          acks: options.acks === 0 || options.acks === 1 ? options.acks : "all",
          idempotent: options.idempotent
        })
      )
    })

  return { producer, makeProducer }
}
