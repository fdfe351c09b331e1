/**
 * OffsetCommit, v0–v10. v0 is kept apart, as ZooKeeper did. The generation is checked as a real coordinator does; a
 * negative one commits for a group without members. Metadata beyond 4096 characters is refused.
 */
import * as Api from "../../protocol/messages/OffsetCommit.ts"
import * as Code from "./Code.ts"
import { refusal } from "./GroupCall.ts"
import { handler } from "./Handler.ts"

const maxMetadata = 4096

export const offsetCommit = handler("OffsetCommit", Api, (call) => {
  const { cluster, request, version } = call
  const { groupId, groupInstanceId, memberId } = request
  const generation = request.generationIdOrMemberEpoch
  const now = cluster.env.now()
  const { profile } = cluster.settings

  /** What each partition is answered, once the group has let the commit in. */
  let judge: (topicId: string, partition: number) => number = () => Code.none
  const groupError = (): number => {
    if (version === 0) return Code.none
    const refused = refusal(call, groupId, "empty")
    if (refused !== Code.none) return refused
    const group = cluster.groups.get(groupId)
    if (group === undefined) {
      if (generation >= 0)
        return version >= 9 && (profile.since("4.0") || cluster.settings.consumerProtocol)
          ? Code.groupIdNotFound
          : Code.illegalGeneration
      cluster.group(groupId)
      return Code.none
    }
    if (group.kind === "classic") return group.commits(memberId, groupInstanceId, generation)
    const judged = group.commits(memberId, groupInstanceId, generation, { version })
    if (typeof judged === "number") return judged
    judge = judged
    return Code.none
  }
  const error = groupError()
  const store = version === 0 ? cluster.zooKeeperOffsets : cluster.offsets

  call.answer({
    topics: request.topics.map(({ name, partitions, topicId }) => {
      const topic = version >= 10 ? cluster.topicsById.get(topicId) : cluster.topics.get(name)
      return {
        name,
        topicId,
        partitions: partitions.map((each) => {
          const commit = (): number => {
            if (error !== Code.none) return error
            const injected = call.injected(topic?.name ?? name, each.partitionIndex)
            if (injected !== Code.none) return injected
            if (topic === undefined) return version >= 10 ? Code.unknownTopicId : Code.unknownTopicOrPartition
            // before 2.x only the topic was looked up
            if (topic.partitions[each.partitionIndex] === undefined && profile.since("2.8"))
              return Code.unknownTopicOrPartition
            const end = topic.partitions[each.partitionIndex]?.log.endOffset ?? 0
            if (each.committedOffset > end)
              cluster.misused(
                call.clientId,
                `a commit of ${each.committedOffset} for ${topic.name}-${each.partitionIndex}, which ends at ${end}`
              )
            const judged = judge(topic.id, each.partitionIndex)
            if (judged !== Code.none) return judged
            const metadata = each.committedMetadata ?? ""
            if (metadata.length > maxMetadata) return Code.offsetMetadataTooLarge
            cluster.commit(store, groupId, `${topic.name}-${each.partitionIndex}`, {
              offset: each.committedOffset,
              leaderEpoch: each.committedLeaderEpoch,
              metadata,
              timestamp: now,
              order: cluster.newOrder(),
              transactional: false
            })
            return Code.none
          }
          return { partitionIndex: each.partitionIndex, errorCode: commit() }
        })
      }
    })
  })
})
