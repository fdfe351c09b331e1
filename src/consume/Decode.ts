/**
 * Decodes fetched arrays into records: one loop, one object a record besides what its parts are.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as TopicDecoder from "./TopicDecoder.ts"
import { Pending, Refused } from "./TopicDecoder.ts"
import * as KafkaError from "../KafkaError.ts"
import type { FetchedRecord } from "../Record.ts"
import { type AnyRecord, asBytes, ConsumerRecord, type Origin } from "./ConsumerRecord.ts"

/** The records before the first that does not fit, and that. */
export interface Decoded {
  readonly records: ReadonlyArray<AnyRecord>
  readonly failure: { readonly raw: FetchedRecord; readonly error: KafkaError.KafkaError } | undefined
}

type Part = "key" | "value" | "headers"

const errorOf = (origin: Origin, raw: FetchedRecord, part: Part, error: unknown): KafkaError.KafkaError =>
  KafkaError.make(
    {
      _tag: "Decode",
      topic: origin.topic,
      partition: origin.partition,
      offset: raw.offset,
      part,
      key: raw.key,
      value: raw.value,
      issue: error instanceof Refused ? error.issue : String(error)
    },
    error instanceof Refused ? undefined : error
  )

const failureOf = (origin: Origin, raw: FetchedRecord, part: Part, error: unknown): Decoded["failure"] => ({
  raw,
  error: errorOf(origin, raw, part, error)
})

/** Decodes an array; an Effect only where a Schema needs one. */
export const array = (
  origin: Origin,
  raws: ReadonlyArray<FetchedRecord>,
  decoder: TopicDecoder.TopicDecoder
): Decoded | Effect.Effect<Decoded, never, any> => {
  const records: Array<AnyRecord> = new Array(raws.length)
  if (decoder.tolerant) return asResults(origin, raws, decoder)
  const { headers: decodeHeaders, key: decodeKey, value: decodeValue } = decoder
  for (let i = 0; i < raws.length; i++) {
    const raw = raws[i]!
    let part: Part = "key"
    try {
      const key = decodeKey === undefined ? asBytes : decodeKey(raw.key)
      part = "value"
      const value = decodeValue === undefined ? asBytes : decodeValue(raw.value)
      part = "headers"
      const headers = decodeHeaders === undefined ? asBytes : decodeHeaders(raw.headers)
      if (key instanceof Pending || value instanceof Pending || headers instanceof Pending) {
        return withEffects(origin, raws, records, i, decoder)
      }
      records[i] = new ConsumerRecord(origin, raw, key, value, headers)
    } catch (error) {
      records.length = i
      return { records, failure: failureOf(origin, raw, part, error) }
    }
  }
  return { records, failure: undefined }
}

const parts = ["key", "value", "headers"] as const

/** Every part as a Result: nothing stops the partition. Services that a Schema needs are asked for record by record. */
const asResults = (
  origin: Origin,
  raws: ReadonlyArray<FetchedRecord>,
  decoder: TopicDecoder.TopicDecoder
): Decoded | Effect.Effect<Decoded, never, any> => {
  let waits = false
  const values = raws.map((raw) =>
    parts.map((part): unknown => {
      const decode = decoder[part] as TopicDecoder.Decode<unknown> | undefined
      if (decode === undefined) return part === "headers" ? asBytes : Result.succeed(raw[part])
      try {
        const value = decode(raw[part])
        if (!(value instanceof Pending)) return Result.succeed(value)
        waits = true
        return value
      } catch (error) {
        return Result.fail(errorOf(origin, raw, part, error))
      }
    })
  )
  const made = (): Decoded => ({
    records: raws.map((raw, i) => new ConsumerRecord(origin, raw, values[i]![0], values[i]![1], values[i]![2])),
    failure: undefined
  })
  if (!waits) return made()
  const places = values.flatMap((of, at) =>
    of.flatMap((value, i) => (value instanceof Pending ? [{ at, i, value }] : []))
  )
  return Effect.map(
    Effect.forEach(
      places,
      ({ at, i, value }) =>
        Effect.map(Effect.exit(value.effect), (exit) => {
          values[at]![i] = Exit.isSuccess(exit)
            ? Result.succeed(exit.value)
            : Result.fail(errorOf(origin, raws[at]!, parts[i]!, TopicDecoder.refused(exit.cause)))
        }),
      { discard: true }
    ),
    made
  )
}

/**
 * The same in one loop of the fiber that pulls, from the first record whose Schema gives an Effect: what is done at once
 * is done between the turns. A parser begins its work when its Effect is run, so that nothing is done twice.
 */
const withEffects = (
  origin: Origin,
  raws: ReadonlyArray<FetchedRecord>,
  records: Array<AnyRecord>,
  start: number,
  decoder: TopicDecoder.TopicDecoder
): Effect.Effect<Decoded, never, any> =>
  Effect.suspend(() => {
    let i = start
    let part = 0
    let failure: Decoded["failure"]
    let pending: Effect.Effect<unknown, unknown, any> | undefined
    const decoded: Array<unknown> = [asBytes, asBytes, asBytes]
    const fail = (error: unknown): void => {
      failure = failureOf(origin, raws[i]!, parts[part]!, error)
    }
    /** Goes on to the next Effect; false at the end. */
    const advance = (): boolean => {
      try {
        for (; i < raws.length; i++, part = 0) {
          const raw = raws[i]!
          for (; part < 3; part++) {
            const name = parts[part]!
            const decode = decoder[name] as TopicDecoder.Decode<unknown> | undefined
            const value = decode === undefined ? asBytes : decode(raw[name])
            if (value instanceof Pending) {
              pending = value.effect
              return true
            }
            decoded[part] = value
          }
          records[i] = new ConsumerRecord(origin, raw, decoded[0], decoded[1], decoded[2])
        }
      } catch (error) {
        fail(error)
      }
      return false
    }
    return Effect.whileLoop({
      while: advance,
      body: () => pending!,
      step: (value) => {
        decoded[part++] = value
        if (part === 3) {
          records[i] = new ConsumerRecord(origin, raws[i]!, decoded[0], decoded[1], decoded[2])
          part = 0
          i++
        }
      }
    }).pipe(
      Effect.catchCause((cause) => Effect.sync(() => fail(TopicDecoder.refused(cause)))),
      Effect.map(() => {
        if (failure !== undefined) records.length = i
        return { records, failure }
      })
    )
  })
