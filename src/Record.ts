/**
 * Pure. Records as bytes: what travels through a `Transport`, below Schemas. Users hold `Producer.Entry` and
 * `Consumer.ConsumerRecord` instead.
 *
 * @since 0.1.0
 */

import type { KafkaError } from "./KafkaError.ts"

/**
 * Names with values; a name may occur more than once, and a value may be null. The order is kept.
 *
 * @since 0.1.0
 * @category models
 */
export interface Headers extends ReadonlyArray<readonly [name: string, value: Uint8Array | null]> {}

/**
 * No headers.
 *
 * @since 0.1.0
 * @category constructors
 */
export const noHeaders: Headers = []

/**
 * What is sent: bytes, with a timestamp in milliseconds since 1970. The bytes must not be changed until it is acknowledged.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProduceRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: Headers
  readonly timestamp: number
}

/**
 * What was fetched: a view of a record in the buffer that it came in. `key`, `value` and `headers` may be getters that
 * make a new view at each call; the views stay valid, and keep the fetched buffer alive.
 *
 * @since 0.1.0
 * @category models
 */
export interface FetchedRecord {
  readonly offset: number
  /** Milliseconds since 1970; -1 where the format has none (magic 0). */
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: Headers
}

/**
 * Whoever handed records over hears here what became of them, once for each, in runs of the array that was handed
 * over. Called synchronously from the engine: it must be quick and must not throw.
 *
 * @since 0.1.0
 * @category models
 */
export interface Delivery {
  /** Records `from` … `from + count - 1` were acknowledged; the first has this offset (undefined with acks 0). */
  readonly acknowledged: (
    from: number,
    count: number,
    offset: number | undefined,
    timestamp: number | undefined
  ) => void
  readonly failed: (from: number, count: number, error: KafkaError) => void
}
