/**
 * OffsetFetch, v0–v10. v0 reads what OffsetCommit v0 kept, and answers UNKNOWN_TOPIC_OR_PARTITION where nothing is;
 * later versions answer -1 there. From v2 null asks for every partition; from v8 several groups at once. From v7 on who
 * wants what is stable is told where a commit is in an open transaction (KIP-447).
 */
import * as Api from "../../protocol/messages/OffsetFetch.ts"
import * as Code from "./Code.ts"
import type { Committed } from "./Cluster.ts"
import { zeroId } from "./Runtime.ts"
import { refusal } from "./GroupCall.ts"
import { handler } from "./Handler.ts"

interface Asked {
  readonly name: string
  readonly topicId: string
  readonly partitionIndexes: ReadonlyArray<number>
}

export const offsetFetch = handler("OffsetFetch", Api, (call) => {
  const { cluster, request, version } = call

  const all = (offsets: ReadonlyMap<string, Committed> | undefined): ReadonlyArray<Asked> => {
    const byTopic = new Map<string, Array<number>>()
    for (const key of offsets?.keys() ?? []) {
      const dash = key.lastIndexOf("-")
      const topic = key.slice(0, dash)
      byTopic.set(topic, [...(byTopic.get(topic) ?? []), Number(key.slice(dash + 1))])
    }
    // Who asks for all is not told of topics that he may not see.
    const seen = [...byTopic].filter(([name]) => !call.hides(name))
    return Array.from(seen, ([name, partitionIndexes]) => ({
      name,
      topicId: cluster.topics.get(name)?.id ?? zeroId,
      partitionIndexes
    }))
  }

  const stable = version >= 7 && request.requireStable
  const fetch = (groupId: string, asked: ReadonlyArray<Asked> | null) => {
    const offsets = (version === 0 ? cluster.zooKeeperOffsets : cluster.offsets).get(groupId)
    return (asked ?? all(offsets)).map(({ name, partitionIndexes, topicId }) => {
      const topic = version >= 10 ? cluster.topicsById.get(topicId)?.name : name
      return {
        name: topic ?? name,
        topicId,
        partitions: partitionIndexes.map((partitionIndex) => {
          const injected = call.injected(topic ?? name, partitionIndex)
          if (injected === Code.none && stable && cluster.pendingOffsets.has(groupId, `${topic}-${partitionIndex}`))
            return {
              partitionIndex,
              committedOffset: -1,
              committedLeaderEpoch: -1,
              metadata: "",
              errorCode: Code.unstableOffsetCommit
            }
          const committed = topic === undefined ? undefined : offsets?.get(`${topic}-${partitionIndex}`)
          const missing =
            topic === undefined ? Code.unknownTopicId : version === 0 ? Code.unknownTopicOrPartition : Code.none
          return {
            partitionIndex,
            committedOffset: injected === Code.none ? (committed?.offset ?? -1) : -1,
            committedLeaderEpoch: committed?.leaderEpoch ?? -1,
            metadata: committed?.metadata ?? "",
            errorCode: injected !== Code.none ? injected : committed === undefined ? missing : Code.none
          }
        })
      }
    })
  }

  if (version >= 8) {
    return call.answer({
      groups: request.groups.map(({ groupId, memberEpoch, memberId, topics }) => {
        const refused = refusal(call, groupId, "empty")
        const group = cluster.groups.get(groupId)
        const errorCode =
          refused === Code.none && group?.kind === "consumer"
            ? group.reads(version >= 9 ? memberId : null, version >= 9 ? memberEpoch : -1)
            : refused
        return { groupId, errorCode, topics: errorCode === Code.none ? fetch(groupId, topics) : [] }
      })
    })
  }
  const asked = request.topics?.map((topic) => ({ ...topic, topicId: zeroId })) ?? null
  const errorCode = version === 0 ? Code.none : refusal(call, request.groupId, "empty")
  if (errorCode === Code.none) return call.answer({ topics: fetch(request.groupId, asked) })
  // before v2 there is no error at the top: every partition carries it
  call.answer({
    errorCode,
    topics:
      version >= 2
        ? []
        : (asked ?? []).map(({ name, partitionIndexes }) => ({
            name,
            partitions: partitionIndexes.map((partitionIndex) => ({
              partitionIndex,
              committedOffset: -1,
              metadata: "",
              errorCode
            }))
          }))
  })
})
