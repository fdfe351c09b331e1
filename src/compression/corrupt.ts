import * as KafkaError from "../KafkaError.ts"

/** The error of compressed bytes that cannot be read; `position` counts from their start. */
export const corrupt = (what: string, problem: string, position?: number, cause?: unknown): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Corrupt", what, problem, position }, cause)

/** The error of bytes that would grow beyond the decompression limit. */
export const overLimit = (what: string, limit: number): KafkaError.KafkaError =>
  corrupt(what, `decompresses to more than the limit of ${limit} bytes`)
