/**
 * Pure. Positions in a partition: where to start to read, and where to stop.
 *
 * An offset is a `number` (exact up to 2^53). `latest` is the offset that the *next* record will have, `earliest` that
 * of the oldest record that the broker still holds.
 *
 * @since 0.1.0
 */

/**
 * An exact offset.
 *
 * @since 0.1.0
 * @category models
 */
export interface At {
  readonly _tag: "At"
  readonly offset: number
}

/**
 * The first record whose timestamp is this or later (ListOffsets by time); the end, where there is none.
 *
 * @since 0.1.0
 * @category models
 */
export interface AtTime {
  readonly _tag: "AtTime"
  /** Milliseconds since 1970, as in `Clock.currentTimeMillis`. */
  readonly timestamp: number
}

/**
 * A position: an end of the log, an offset, or a time.
 *
 * @since 0.1.0
 * @category models
 */
export type Position = "earliest" | "latest" | At | AtTime

/**
 * The exact offset `n`, which is the next to be read.
 *
 * @since 0.1.0
 * @category constructors
 */
export const at = (offset: number): At => ({ _tag: "At", offset })

/**
 * The first record at or after a time, in milliseconds since 1970.
 *
 * @since 0.1.0
 * @category constructors
 */
export const atTime = (timestamp: number): AtTime => ({ _tag: "AtTime", timestamp })
