/** What the tests of fetching share: a Transport over the embedded broker, read on a test clock. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { type KafkaError, Producer } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import { type Fetched, type FetchSettings, type PartitionReader, Transport } from "../../src/Transport.ts"

/** The settings of a consumer by default. */
export const defaults: FetchSettings = {
  isolation: "committed",
  maxWait: 500,
  minBytes: 1,
  maxBytes: 52_428_800,
  maxPartitionBytes: 1_048_576,
  bufferBytes: 67_108_864,
  checkCrcs: true
}

export const layer = (options: KafkaTest.Options = {}) =>
  Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ autoCreate: false, ...options })))

export const consumer = (settings: Partial<FetchSettings> = {}) =>
  Effect.flatMap(Transport, (transport) => transport.consumer({ ...defaults, ...settings }))

/** A batch of so many records, each of so many bytes. */
export const batch = (count: number, bytes = 10, options: RecordBatch.EncodeOptions = {}) =>
  RecordBatch.encode(
    Array.from({ length: count }, (_, i) => ({
      key: null,
      value: Buffer.alloc(bytes, `${i}`),
      headers: [],
      timestamp: 0
    })),
    options
  )

export const append = (topic: string, partition: number, ...batches: ReadonlyArray<Uint8Array>) =>
  Effect.flatMap(EmbeddedKafka.EmbeddedKafka, (broker) =>
    Effect.forEach(batches, (bytes) => broker.append(topic, partition, bytes), { discard: true })
  )

export const calm = Effect.forEach(Array.from({ length: 40 }), () => Effect.yieldNow, { discard: true })

/** Lets time pass. */
export const pass = (millis: number, step = 100) =>
  Effect.gen(function* () {
    for (let t = 0; t < millis; t += step) {
      yield* calm
      yield* TestClock.adjust(Math.min(step, millis - t))
    }
    yield* calm
  })

/** Lets time pass until it is so; gives how much, in milliseconds. */
export const until = (what: string, is: () => boolean, millis = 60_000, step = 50) =>
  Effect.gen(function* () {
    for (let t = 0; t <= millis; t += step) {
      yield* calm
      if (is()) return t
      yield* TestClock.adjust(step)
    }
    return assert.fail(`it never came to pass: ${what}`)
  })

/** Reads a partition to its end and on, and keeps what it heard. */
export interface Reading {
  readonly reader: PartitionReader
  readonly arrays: Array<Fetched>
  readonly offsets: Array<number>
  failure: KafkaError.KafkaError | undefined
}

/** Pulls for as long as there is no failure. */
export const read = (reader: PartitionReader): Effect.Effect<Reading> => {
  const reading: Reading = { reader, arrays: [], offsets: [], failure: undefined }
  const one = Effect.map(reader.pull, (fetched) => {
    reading.arrays.push(fetched)
    for (const { offset } of fetched.records) reading.offsets.push(offset)
  })
  return Effect.forever(one).pipe(
    Effect.catch((error) => Effect.sync(() => void (reading.failure = error))),
    Effect.forkDetach({ startImmediately: true }),
    Effect.as(reading)
  )
}

/** What one pull gives within a time of the test clock. */
export const pulled = (reader: PartitionReader, millis = 60_000) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.result(reader.pull), { startImmediately: true })
    yield* until("a pull", () => fiber.pollUnsafe() !== undefined, millis)
    return yield* Fiber.join(fiber)
  })

export const failureOf = (result: Result.Result<Fetched, KafkaError.KafkaError>): KafkaError.KafkaError =>
  Result.isFailure(result) ? result.failure : assert.fail("it gave records")

/** Counts the requests of an API from now on. */
export const counting = (api: "Fetch" | "Metadata" | "OffsetForLeaderEpoch") =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const counter = { requests: 0 }
    yield* Effect.forkDetach(Effect.forever(Effect.map(broker.awaitRequest(api), () => void counter.requests++)), {
      startImmediately: true
    })
    return counter
  })

export const range = (from: number, to: number): ReadonlyArray<number> =>
  Array.from({ length: to - from }, (_, i) => from + i)

export { Exit }

/** One that reads the first partition of `t` from its beginning, in the background. */
export const first = (settings?: Parameters<typeof consumer>[0]) =>
  Effect.flatMap(consumer(settings), (fetching) => Effect.flatMap(fetching.open({ topic: "t", partition: 0 }, 0), read))
