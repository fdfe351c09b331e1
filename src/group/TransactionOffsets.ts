/**
 * The offsets of a group within a transaction (TxnOffsetCommit), at the group's coordinator: with member, generation and
 * instance, by which it refuses whoever the group has gone on without (KIP-447, v3, Kafka 2.5).
 */
import * as Effect from "effect/Effect"
import type { Cluster } from "../Cluster.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { Commit, Identity, InTransaction } from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import * as TxnOffsetCommit from "../protocol/messages/TxnOffsetCommit.ts"
import * as TopicPartition from "../TopicPartition.ts"
import { asked } from "./CommittedOffsets.ts"

/** From this version on a member says who it is. */
const knowsMembersFrom = 3
/** From here on the offsets are added to the transaction by the commit itself: for transaction version 2 alone. */
const addsFrom = 5

/** Of which clusters it was told that they fence no members. */
const told = new WeakSet<Cluster["Service"]>()
const unfenced =
  "brokers before 2.5 do not refuse the offsets of a member that the group has gone on without: a process that stands still beyond its session may commit a record a second time"

/** One try; on connections of their own, since one that is late ends its connection. */
const sending = { channel: "transactions", timeout: 5000 }

/** The code of each commit, in their order, -1 for what nothing was said of; fails where there was no answer. */
export const commit = (
  cluster: Cluster["Service"],
  { isImplicit, ...transaction }: InTransaction,
  groupId: string,
  as: Identity,
  commits: ReadonlyArray<Commit>
): Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError> => {
  let spoken = 0
  const once = Effect.gen(function* () {
    const broker = yield* cluster.coordinator("group", groupId)
    const response = yield* broker.send(
      TxnOffsetCommit,
      (version) => {
        spoken = version
        // Others may have committed while it waited for its coordinator.
        if (as.isCurrent?.() === false)
          throw KafkaError.fromCode(ErrorCode.codes.ILLEGAL_GENERATION, { api: "TxnOffsetCommit", group: groupId })
        return {
          ...transaction,
          groupId,
          ...(version >= knowsMembersFrom
            ? { generationIdOrMemberEpoch: as.generation, memberId: as.memberId, groupInstanceId: as.instanceId }
            : {}),
          topics: [...TopicPartition.byTopic(commits)].map(([name, list]) => ({
            name,
            partitions: list.map(({ leaderEpoch, metadata, offset, partition }) => ({
              partitionIndex: partition,
              committedOffset: offset,
              ...(version >= 2 && leaderEpoch !== undefined ? { committedLeaderEpoch: leaderEpoch } : {}),
              committedMetadata: metadata ?? ""
            }))
          }))
        }
      },
      { ...sending, ...(isImplicit ? { minVersion: addsFrom, maxVersion: addsFrom } : { maxVersion: addsFrom - 1 }) }
    )
    if (spoken < knowsMembersFrom && as.memberId !== "" && !told.has(cluster)) {
      told.add(cluster)
      yield* LogEvent.log("membersUnfenced", unfenced, { group: groupId })
    }
    const codes = new Map<string, number>()
    for (const { name, partitions } of response.topics) {
      for (const { errorCode, partitionIndex } of partitions)
        codes.set(TopicPartition.key({ topic: name, partition: partitionIndex }), errorCode)
    }
    const moved = [...codes.values()].some((code) => ErrorCode.asks(code, "TxnOffsetCommit") === "coordinator")
    if (moved) cluster.forgetCoordinator("group", groupId)
    return commits.map((one) => codes.get(TopicPartition.key(one)) ?? -1)
  })
  return asked(cluster, groupId, once)
}
