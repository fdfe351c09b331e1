/** OffsetDelete, v0: commits of a group, but not of topics that its members are subscribed to. */
import * as Api from "../../protocol/messages/OffsetDelete.ts"
import * as Code from "./Code.ts"
import type { Group } from "./Group.ts"
import type { AnyGroup } from "./ConsumerGroup.ts"
import { refusal } from "./GroupCall.ts"
import { handler } from "./Handler.ts"

/** The topics of a consumer's subscription: int16 version, then an array of names. Undefined where it is something else. */
const topicsOf = (metadata: Uint8Array): ReadonlyArray<string> | undefined => {
  const view = new DataView(metadata.buffer, metadata.byteOffset, metadata.byteLength)
  const topics: Array<string> = []
  try {
    let at = 6
    for (let left = view.getInt32(2); left > 0; left--) {
      const length = view.getInt16(at)
      topics.push(new TextDecoder().decode(metadata.subarray(at + 2, at + 2 + length)))
      at += 2 + length
    }
    return topics
  } catch {
    return undefined
  }
}

const isSubscribedClassic = (group: Group, topic: string): boolean =>
  Array.from(group.members.values()).some((member) =>
    member.protocols.some((protocol) => topicsOf(protocol.metadata)?.includes(topic) ?? true)
  )

const isSubscribed = (group: AnyGroup, topic: string): boolean =>
  group.kind === "consumer" ? group.isSubscribed(topic) : isSubscribedClassic(group, topic)

export const offsetDelete = handler("OffsetDelete", Api, (call) => {
  const { cluster, request } = call
  const { groupId } = request
  const group = cluster.groups.get(groupId)
  const refused = refusal(call, groupId)
  if (refused !== Code.none) return call.answer({ errorCode: refused })
  if (group === undefined) return call.answer({ errorCode: Code.groupIdNotFound })
  if (group.members.size > 0 && group.protocolType !== "consumer") return call.answer({ errorCode: Code.nonEmptyGroup })
  const offsets = cluster.offsets.get(groupId)
  call.answer({
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => {
        const topic = cluster.topics.get(name)
        if (topic?.partitions[partitionIndex] === undefined)
          return { partitionIndex, errorCode: Code.unknownTopicOrPartition }
        if (isSubscribed(group, name)) return { partitionIndex, errorCode: Code.groupSubscribedToTopic }
        offsets?.delete(`${name}-${partitionIndex}`)
        cluster.pendingOffsets.forget(groupId, `${name}-${partitionIndex}`)
        cluster.changed()
        return { partitionIndex, errorCode: Code.none }
      })
    }))
  })
})
