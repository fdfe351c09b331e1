/**
 * The offsets of a group within a transaction (TxnOffsetCommit), at the group's coordinator: with member, generation and
 * instance, by which it refuses whoever the group has gone on without (KIP-447, v3, Kafka 2.5).
 */
import * as Effect from "effect/Effect"
import type { Broker } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import { sending } from "../engine/TransactionGate.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { Commit, Identity, InTransaction } from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import * as TxnOffsetCommit from "../protocol/messages/TxnOffsetCommit.ts"
import * as TopicPartition from "../TopicPartition.ts"
import { asked } from "./AskCoordinator.ts"
import { answered, asCommit } from "./CommittedOffsets.ts"

/** From this version on a member says who it is. */
const knowsMembersFrom = 3
/** From here on the offsets are added to the transaction by the commit itself: for transaction version 2 alone. */
const addsFrom = 5

/** Of which clusters it was told that they fence no members. */
const warned = new WeakSet<Cluster["Service"]>()
const unfenced =
  "brokers before 2.5 do not refuse the offsets of a member that the group has gone on without: a process that stands still beyond its session may commit a record a second time"

/** The code of each commit, in their order, -1 for what nothing was said of; fails where there was no answer. */
export const commit = (
  cluster: Cluster["Service"],
  { isImplicit, ...transaction }: InTransaction,
  groupId: string,
  as: Identity,
  commits: ReadonlyArray<Commit>
): Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError> => {
  let spoken = 0
  const once = Effect.fnUntraced(function* (broker: Broker) {
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
            partitions: list.map((one) => asCommit(one, version >= 2))
          }))
        }
      },
      { ...sending, ...(isImplicit ? { minVersion: addsFrom, maxVersion: addsFrom } : { maxVersion: addsFrom - 1 }) }
    )
    if (spoken < knowsMembersFrom && as.memberId !== "" && !warned.has(cluster)) {
      warned.add(cluster)
      yield* LogEvent.log("membersUnfenced", unfenced, { group: groupId })
    }
    return answered(cluster, groupId, "TxnOffsetCommit", commits, response.topics, ({ name }) => name)
  })
  return asked(cluster, groupId, once)
}
