/** Pure. The Produce request of some batches, and what its response says of each. */
import * as ErrorCode from "../ErrorCode.ts"
import type * as Produce from "../protocol/messages/Produce.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { Batch } from "./Batch.ts"
import type { Outcome } from "./Plan.ts"

/** From v13 on topics are named by their ids (KIP-516). */
export const byIdFrom = 13
/** From v12 on Produce adds its partitions to the transaction, and is taken for the word of a client that leaves it to that (KIP-890). */
export const addsFrom = 12
/** From v12 on, Kafka 4.0, every topic has format 2 (KIP-724). */
const newFormatsFrom = 12
/** From v8 on a refusal names the records that caused it (KIP-467). */
const namesRecordsFrom = 8
/** From v7 on zstd is taken, Kafka 2.1. */
export const zstdFrom = 7

/** The record format that a version carries. */
export const magicOf = (version: number): 0 | 1 | 2 => (version >= 3 ? 2 : version === 2 ? 1 : 0)

/** Kafka 1.0 has v4 and v5. */
export const remembers = (version: number): number => (version > 3 ? 5 : 1)

type Request = Parameters<typeof Produce.Request.schema.make>[0]
type Response = typeof Produce.Response.schema.Type

/** The request. From v13 on each topic has its id. */
export const request = (
  batches: ReadonlyArray<Batch>,
  version: number,
  {
    transactionalId = null,
    ...settings
  }: { readonly acks: number; readonly timeoutMs: number; readonly transactionalId?: string | null | undefined }
): Request => {
  const byTopic = TopicPartition.groupBy(batches, ({ queue }) => queue.topic)
  return {
    ...settings,
    transactionalId,
    topicData: Array.from(byTopic, ([name, list]) => {
      const partitionData = list.map(({ encoded, queue }) => ({ index: queue.partition, records: encoded!.bytes }))
      return version >= byIdFrom ? { topicId: list.at(-1)!.queue.topicId!, partitionData } : { name, partitionData }
    })
  }
}

/** What a response says of one batch. */
export interface Answer {
  readonly outcome: Outcome
  /** Who leads the partition now, where the answer says so (KIP-951). */
  readonly leader: { readonly id: number; readonly epoch: number } | undefined
}

/** The answers by topic, as the request named it, and partition: `${name or id}-${index}`. */
export const answers = (response: Response, version: number): ReadonlyMap<string, Answer> => {
  const all = new Map<string, Answer>()
  for (const { name, partitionResponses, topicId } of response.responses) {
    for (const one of partitionResponses) {
      const { baseOffset, currentLeader, errorCode, logAppendTimeMs } = one
      const leads = ErrorCode.asks(errorCode, "Produce") === "metadata" && currentLeader.leaderId >= 0
      all.set(`${version >= byIdFrom ? topicId : name}-${one.index}`, {
        outcome:
          errorCode === 0
            ? {
                _tag: "Appended",
                offset: baseOffset < 0 ? undefined : baseOffset,
                timestamp: logAppendTimeMs < 0 ? undefined : logAppendTimeMs
              }
            : {
                _tag: "Refused",
                code: errorCode,
                message: one.errorMessage ?? undefined,
                records: one.recordErrors.map(({ batchIndex, batchIndexErrorMessage }) => ({
                  index: batchIndex,
                  message: batchIndexErrorMessage ?? undefined
                })),
                namesNone: version < namesRecordsFrom,
                mayKeepOldFormat: version >= 3 && version < newFormatsFrom
              },
        leader: leads ? { id: currentLeader.leaderId, epoch: currentLeader.leaderEpoch } : undefined
      })
    }
  }
  return all
}
