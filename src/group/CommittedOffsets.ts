/**
 * The offsets that a group keeps at its coordinator: OffsetFetch and OffsetCommit, of every version that keeps them in
 * Kafka (v0 is ZooKeeper's).
 */
import * as Effect from "effect/Effect"
import * as Backoff from "../Backoff.ts"
import type { Cluster } from "../Cluster.ts"
import type { Commit, Committed, Identity } from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import * as OffsetCommit from "../protocol/messages/OffsetCommit.ts"
import * as OffsetFetch from "../protocol/messages/OffsetFetch.ts"
import * as TopicPartition from "../TopicPartition.ts"

// v10 names topics by id, which not every metadata tells.
const versions = { minVersion: 1, maxVersion: 9 } as const

const group = <A extends TopicPartition.TopicPartition>(partitions: ReadonlyArray<A>): Map<string, Array<A>> => {
  const topics = new Map<string, Array<A>>()
  for (const partition of partitions) {
    const of = topics.get(partition.topic)
    if (of === undefined) topics.set(partition.topic, [partition])
    else of.push(partition)
  }
  return topics
}

/** Asks the coordinator; looks for another one the next time, where this one is gone or not it any more. */
const asked = <A>(cluster: Cluster["Service"], id: string, self: Effect.Effect<A, KafkaError.KafkaError>) =>
  Effect.tapError(self, ({ reason }) =>
    Effect.sync(() => {
      const moved = reason._tag === "Server" && (reason.code === 15 || reason.code === 16)
      if (moved || reason._tag === "Unreachable" || reason._tag === "TimedOut") cluster.forgetCoordinator("group", id)
    })
  )

/** The committed offsets, by `TopicPartition.key`: retried for as long as a retry may help. */
export const fetch = (
  cluster: Cluster["Service"],
  id: string,
  partitions: ReadonlyArray<TopicPartition.TopicPartition>
): Effect.Effect<ReadonlyMap<string, Committed>, KafkaError.KafkaError> => {
  if (partitions.length === 0) return Effect.succeed(new Map())
  const names = [...group(partitions)]
  const where = { api: "OffsetFetch", group: id }
  const once = Effect.gen(function* () {
    const broker = yield* cluster.coordinator("group", id)
    const response = yield* broker.send(
      OffsetFetch,
      (version) => {
        const topics = names.map(([name, list]) => ({ name, partitionIndexes: list.map((p) => p.partition) }))
        return {
          ...(version >= 8 ? { groups: [{ groupId: id, topics }] } : { groupId: id, topics }),
          // An offset of an open transaction is not one to start from (KIP-447).
          ...(version >= 7 ? { requireStable: true } : {})
        }
      },
      versions
    )
    const answer = response.groups[0] ?? response
    if (answer.errorCode !== 0) return yield* KafkaError.fromCode(answer.errorCode, where)
    const committed = new Map<string, Committed>()
    for (const { name, partitions: list } of answer.topics) {
      for (const { committedOffset, errorCode, metadata, partitionIndex } of list) {
        // UNKNOWN_TOPIC_OR_PARTITION: nothing was ever committed, says an old broker
        if (errorCode === 3) continue
        if (errorCode !== 0) {
          return yield* KafkaError.fromCode(errorCode, { ...where, topic: name, partition: partitionIndex })
        }
        if (committedOffset >= 0) {
          committed.set(TopicPartition.key({ topic: name, partition: partitionIndex }), {
            offset: committedOffset,
            metadata: metadata ?? ""
          })
        }
      }
    }
    return committed
  })
  return Effect.retry(asked(cluster, id, once), { schedule: Backoff.schedule, while: (error) => error.isRetryable })
}

/** The code of each commit, in their order; fails where the coordinator gave no answer. */
export const commit = (
  cluster: Cluster["Service"],
  id: string,
  as: Identity,
  commits: ReadonlyArray<Commit>
): Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError> => {
  const once = Effect.gen(function* () {
    const broker = yield* cluster.coordinator("group", id)
    const response = yield* broker.send(
      OffsetCommit,
      (version) => ({
        groupId: id,
        generationIdOrMemberEpoch: as.generation,
        memberId: as.memberId,
        // A broker that does not know static members could not have let one join.
        ...(version >= 7 ? { groupInstanceId: as.instanceId } : {}),
        topics: [...group(commits)].map(([name, list]) => ({
          name,
          partitions: list.map(({ metadata, offset, partition }) => ({
            partitionIndex: partition,
            committedOffset: offset,
            committedMetadata: metadata ?? ""
          }))
        }))
      }),
      versions
    )
    const codes = new Map<string, number>()
    for (const { name, partitions } of response.topics) {
      for (const { errorCode, partitionIndex } of partitions) {
        codes.set(TopicPartition.key({ topic: name, partition: partitionIndex }), errorCode)
      }
    }
    for (const code of codes.values()) if (code === 15 || code === 16) cluster.forgetCoordinator("group", id)
    // What the coordinator did not answer for was not committed.
    return commits.map((one) => codes.get(TopicPartition.key(one)) ?? -1)
  })
  return asked(cluster, id, once)
}
