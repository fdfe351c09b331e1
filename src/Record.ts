/**
 * Records as bytes: what travels through a `Transport`, below Schemas. Users hold `Producer.Entry` and
 * `Consumer.ConsumerRecord` instead.
 */

/** Names with values; a name may occur more than once, and a value may be null. The order is kept. */
export interface Headers extends ReadonlyArray<readonly [name: string, value: Uint8Array | null]> {}

/** No headers. */
export const noHeaders: Headers = []

/** What is sent: bytes, with a timestamp in milliseconds since 1970. The bytes must not be changed until it is acknowledged. */
export interface ProduceRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: Headers
  readonly timestamp: number
}

/**
 * What was fetched: a view of a record in the buffer that it came in. `key`, `value` and `headers` may be getters that
 * make a new view at each call; the views stay valid, and keep the fetched buffer alive.
 */
export interface FetchedRecord {
  readonly offset: number
  /** Milliseconds since 1970; -1 where the format has none (magic 0). */
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: Headers
}
