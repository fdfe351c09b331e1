/** DeleteRecords, v0–v2: makes an offset, or the high watermark (-1), the first of a partition. */
import * as Api from "../../protocol/messages/DeleteRecords.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"

const toHighWatermark = -1

export const deleteRecords = handler("DeleteRecords", Api, (call) => {
  const { cluster, node, request } = call
  call.answer({
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ offset, partitionIndex }) => {
        const fail = (errorCode: number) => ({ partitionIndex, lowWatermark: -1, errorCode })
        const topic = cluster.topics.get(name)
        const partition = topic?.partitions[partitionIndex]
        const injected = call.injected(name, partitionIndex)
        if (injected !== Code.none) return fail(injected)
        if (topic === undefined || partition === undefined) return fail(Code.unknownTopicOrPartition)
        if (partition.leader !== node.id) return fail(Code.notLeaderOrFollower)
        if (cluster.configOf(topic, "cleanup.policy") === "compact") return fail(Code.policyViolation)
        const to = offset === toHighWatermark ? partition.highWatermark : offset
        if (to < 0 || to > partition.highWatermark) return fail(Code.offsetOutOfRange)
        partition.log.trim(to)
        partition.changed()
        cluster.changed()
        return { partitionIndex, lowWatermark: partition.log.startOffset, errorCode: Code.none }
      })
    }))
  })
})
