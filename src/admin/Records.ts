/** Records deleted from the beginning of partitions. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as ErrorCode from "../ErrorCode.ts"
import * as DeleteRecords from "../protocol/messages/DeleteRecords.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/** A partition, and the first offset to keep. */
export interface RecordsToDelete extends TopicPartition.TopicPartition {
  /** `latest`: all that there are. */
  readonly before: number | "latest"
}

export interface DeletedRecords extends TopicPartition.TopicPartition {
  /** The first offset that is left. */
  readonly lowWatermark: number
}

export const deleteBefore = (
  parts: Ask.Parts,
  records: ReadonlyArray<RecordsToDelete>,
  options: Ask.Bounds = {}
): Ask.Answers<DeletedRecords> =>
  Ask.items(
    parts,
    {
      api: "DeleteRecords",
      route: Plan.leader,
      key: TopicPartition.key,
      check: (one) => [...Check.partition(one), ...(one.before === "latest" ? [] : Check.int64("before", one.before))],
      ask: (broker, batch, millis) =>
        Effect.map(
          broker.send(
            DeleteRecords,
            () => ({
              topics: [...TopicPartition.byTopic(batch)].map(([name, list]) => ({
                name,
                partitions: list.map(({ before, partition }) => ({
                  partitionIndex: partition,
                  offset: before === "latest" ? -1 : before
                }))
              })),
              timeoutMs: Math.ceil(millis)
            }),
            { held: millis }
          ),
          ({ topics }) => {
            const answers = new Map<string, Ask.Answer<DeletedRecords>>()
            for (const { name: topic, partitions } of topics)
              for (const { errorCode, lowWatermark, partitionIndex } of partitions) {
                const partition = { topic, partition: partitionIndex }
                answers.set(
                  TopicPartition.key(partition),
                  errorCode === code.NONE
                    ? Result.succeed({ ...partition, lowWatermark })
                    : Result.fail(Failure.of(errorCode, null, { api: "DeleteRecords", ...partition }))
                )
              }
            return answers
          }
        )
    },
    records,
    options
  )
