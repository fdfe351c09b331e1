/** Pure. Kinds of refusals of a batch, by their codes. */
import { codes } from "../ErrorCode.ts"

/** What is refused while a record in it is bad, by brokers that cannot say which. */
export const blamesRecords = new Set<number>([codes.CORRUPT_MESSAGE, codes.INVALID_TIMESTAMP, codes.INVALID_RECORD])
/** The topic is not there, or another one of its name: what a broker remembers of it is not sure any more. */
export const ofAnotherTopic = new Set<number>([
  codes.UNKNOWN_TOPIC_OR_PARTITION,
  codes.UNKNOWN_TOPIC_ID,
  codes.INCONSISTENT_TOPIC_ID
])

/** A batch came before another one, or after one that is lost. */
export const tooEarly = new Set<number>([codes.OUT_OF_ORDER_SEQUENCE_NUMBER, codes.UNKNOWN_PRODUCER_ID])

/** Errors with a reason of their own: Unauthorized, InvalidTopic. */
export const namedOtherwise = new Set<number>([
  codes.INVALID_TOPIC_EXCEPTION,
  codes.TOPIC_AUTHORIZATION_FAILED,
  codes.CLUSTER_AUTHORIZATION_FAILED
])
