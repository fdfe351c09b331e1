/** Pure. Which topic a seek is in, where another one may have its name by now. */
import type { KafkaError } from "../KafkaError.ts"

/**
 * The id of it; undefined: of the one that is there. Whoever was told that another topic has the name goes on in that
 * one, and whoever was told that there is none in the next. What else has failed says nothing of the topic: it may be
 * made again before it is sought.
 */
export const after = (told: KafkaError | undefined, topicId: string | undefined): string | undefined => {
  const reason = told?.reason
  if (reason?._tag === "UnknownTopic") return undefined
  return reason?._tag === "DataLoss" && reason.kind === "recreated" ? reason.topicIds?.is : topicId
}
