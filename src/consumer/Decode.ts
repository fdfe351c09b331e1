/**
 * Decodes fetched arrays into records: one loop, one object a record besides what its parts are.
 */
import * as Effect from "effect/Effect"
import { Pending, Refused, type TopicDecoder } from "../internal/TopicDecoder.ts"
import * as KafkaError from "../KafkaError.ts"
import type { FetchedRecord } from "../Record.ts"
import { type AnyRecord, asBytes, ConsumerRecord, type Origin } from "./ConsumerRecord.ts"

/** The records before the first that does not fit, and that. */
export interface Decoded {
  readonly records: ReadonlyArray<AnyRecord>
  readonly failure: { readonly offset: number; readonly error: KafkaError.KafkaError } | undefined
}

type Part = "key" | "value" | "headers"

const failureOf = (origin: Origin, raw: FetchedRecord, part: Part, error: unknown): Decoded["failure"] => ({
  offset: raw.offset,
  error: KafkaError.make(
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
})

/** Decodes an array; an Effect only where a Schema needs one. */
export const array = (
  origin: Origin,
  raws: ReadonlyArray<FetchedRecord>,
  decoder: TopicDecoder
): Decoded | Effect.Effect<Decoded, never, any> => {
  const records: Array<AnyRecord> = new Array(raws.length)
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
        records.length = i
        return slowly(origin, raws, records, decoder)
      }
      records[i] = new ConsumerRecord(origin, raw, key, value, headers)
    } catch (error) {
      records.length = i
      return { records, failure: failureOf(origin, raw, part, error) }
    }
  }
  return { records, failure: undefined }
}

const part = <I>(decode: ((input: I) => unknown) | undefined, input: I): Effect.Effect<unknown, unknown, any> => {
  if (decode === undefined) return Effect.succeed(asBytes)
  return Effect.suspend(() => {
    const decoded = Effect.try({ try: () => decode(input), catch: (error) => error })
    return Effect.flatMap(decoded, (value) => (value instanceof Pending ? value.effect : Effect.succeed(value)))
  })
}

/** The same, one record after the other, for Schemas that wait for something. */
const slowly = (
  origin: Origin,
  raws: ReadonlyArray<FetchedRecord>,
  records: Array<AnyRecord>,
  { headers, key, value }: TopicDecoder
): Effect.Effect<Decoded, never, any> => {
  let failure: Decoded["failure"]
  const one = (raw: FetchedRecord) => {
    const noted =
      (name: Part) =>
      (error: unknown): void => {
        failure = failureOf(origin, raw, name, error)
      }
    return Effect.all([
      Effect.mapError(part(key, raw.key), noted("key")),
      Effect.mapError(part(value, raw.value), noted("value")),
      Effect.mapError(part(headers, raw.headers), noted("headers"))
    ]).pipe(
      Effect.map(([k, v, h]) => {
        records.push(new ConsumerRecord(origin, raw, k, v, h))
      }),
      Effect.ignore
    )
  }
  let i = records.length
  return Effect.map(
    Effect.whileLoop({
      while: () => i < raws.length && failure === undefined,
      body: () => one(raws[i++]!),
      step: () => undefined
    }),
    () => ({ records, failure })
  )
}
