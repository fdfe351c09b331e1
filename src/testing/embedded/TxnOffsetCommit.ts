/**
 * TxnOffsetCommit, v0–v6: offsets that are the group's when the transaction is committed. From v3 on who commits must be
 * a member of the present generation, where it says that it is one (KIP-447); from v5 on the group is added to the
 * transaction by the commit itself (KIP-890).
 */
import * as Api from "../../protocol/messages/TxnOffsetCommit.ts"
import * as Code from "./Code.ts"
import { refusal } from "./GroupCall.ts"
import { handler } from "./Handler.ts"
import { offsetsTopic } from "./ClusterState.ts"
import * as TransactionCall from "./TransactionCall.ts"
import * as Verification from "./Verification.ts"

const maxMetadata = 4096

export const txnOffsetCommit = handler("TxnOffsetCommit", Api, (call) => {
  const { cluster, request, version } = call
  const { groupId, groupInstanceId, memberId, producerEpoch, producerId, transactionalId } = request
  const generation = request.generationIdOrMemberEpoch
  const who = { producerId, epoch: producerEpoch }
  const partition = cluster.offsetsPartitionOf(groupId)
  const producers = cluster.pendingOffsets.producers(partition)
  const now = cluster.env.now()

  /** What each partition is answered, once the group has let the commit in. */
  let judge: (topicId: string, partition: number) => number = () => Code.none
  const groupError = (): number => {
    const denied = call.deniedTransaction(transactionalId)
    if (denied !== Code.none) return denied
    const refused = refusal(call, groupId)
    if (refused !== Code.none) return refused
    // before 3.x a group that nobody knows was one of generation 0
    if (!cluster.groups.has(groupId) && generation >= 0 && cluster.settings.profile.since("3.9"))
      return Code.illegalGeneration
    const group = cluster.groups.get(groupId) ?? cluster.group(groupId)
    const judged =
      group.kind === "classic"
        ? group.commitsInTransaction(memberId, groupInstanceId, generation)
        : group.commits(memberId, groupInstanceId, generation, { version, transactional: true })
    // clients of transactions know the epochs of members as generations
    const asGeneration = (code: number) => (code === Code.staleMemberEpoch ? Code.illegalGeneration : code)
    if (typeof judged !== "number") judge = (topicId, partition) => asGeneration(judged(topicId, partition))
    else if (judged !== Code.none) return asGeneration(judged)
    const unverified = Verification.refusal(
      cluster,
      producers,
      transactionalId,
      who,
      { topic: offsetsTopic, partition },
      version < 4 ? "old" : version < 5 ? "abortable" : "adds"
    )
    if (unverified !== Code.none) return unverified
    const known = producers.byId.get(producerId)
    return known !== undefined && producerEpoch < known.epoch ? Code.invalidProducerEpoch : Code.none
  }
  const error = groupError()

  call.answer({
    topics: request.topics.map(({ name, partitions, topicId }) => {
      const topic = version >= 6 ? cluster.topicsById.get(topicId) : cluster.topics.get(name)
      return {
        name,
        topicId,
        partitions: partitions.map((each) => {
          const commit = (): number => {
            const injected = call.injected(topic?.name ?? name, each.partitionIndex)
            if (injected !== Code.none) return injected
            if (topic?.partitions[each.partitionIndex] === undefined)
              return version >= 6 && topic === undefined ? Code.unknownTopicId : Code.unknownTopicOrPartition
            if (error !== Code.none) return TransactionCall.fencedAs(error, version, 2)
            const stale = judge(topic.id, each.partitionIndex)
            if (stale !== Code.none) return stale
            const metadata = each.committedMetadata ?? ""
            if (metadata.length > maxMetadata) return Code.offsetMetadataTooLarge
            producers.began(producerId, producerEpoch, 0, now)
            cluster.pendingOffsets.add(groupId, producerId, `${topic.name}-${each.partitionIndex}`, {
              offset: each.committedOffset,
              leaderEpoch: each.committedLeaderEpoch,
              metadata,
              timestamp: now,
              order: cluster.newOrder(),
              transactional: true
            })
            return Code.none
          }
          return { partitionIndex: each.partitionIndex, errorCode: commit() }
        })
      }
    })
  })
  cluster.changed()
})
