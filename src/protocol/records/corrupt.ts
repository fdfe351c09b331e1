/** Pure. What cannot be read of records. */
import * as KafkaError from "../../KafkaError.ts"

/** The error of records that cannot be read; `position` counts from the start of the records field. */
export const corrupt = (
  what: string,
  problem: string,
  position?: number,
  offset?: number,
  cause?: unknown
): KafkaError.KafkaError => KafkaError.make({ _tag: "Corrupt", what, problem, position, offset }, cause)
