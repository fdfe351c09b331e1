/** Pure. What cannot be decompressed. */
import * as KafkaError from "../KafkaError.ts"

/** The error of compressed bytes that cannot be read; `position` counts from their start. */
export const corrupt = (what: string, problem: string, position?: number, cause?: unknown): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Corrupt", what, problem, position }, cause)

/** The error of bytes that would grow beyond the decompression limit: the one `Corrupt` that says a `limit`. */
export const overLimit = (what: string, limit: number): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Corrupt", what, problem: `decompresses to more than the limit of ${limit} bytes`, limit })

/** Whether it failed for the limit alone: with more room the bytes may be readable. */
export const isOverLimit = (error: unknown): boolean =>
  error instanceof KafkaError.KafkaError && error.reason._tag === "Corrupt" && error.reason.limit !== undefined
