/** OffsetForLeaderEpoch, v0–v4: where an epoch ended (KIP-101, KIP-320). The leader's epoch is checked from v2. */
import * as Api from "../../protocol/messages/OffsetForLeaderEpoch.ts"
import * as Code from "./Code.ts"
import { leaderError } from "./Epochs.ts"
import { handler } from "./Handler.ts"

export const offsetForLeaderEpoch = handler("OffsetForLeaderEpoch", Api, (call) => {
  const { cluster, node, request } = call
  call.answer({
    topics: request.topics.map(({ partitions, topic }) => ({
      topic,
      partitions: partitions.map(({ currentLeaderEpoch, leaderEpoch, partition: index }) => {
        const partition = cluster.partition(topic, index)
        const injected = call.injected(topic, index)
        const errorCode = injected !== Code.none ? injected : leaderError(partition, node.id, currentLeaderEpoch)
        if (errorCode !== Code.none || partition === undefined) return { partition: index, errorCode }
        const { endOffset, epoch } = partition.log.endOfEpoch(leaderEpoch)
        return { partition: index, errorCode, leaderEpoch: epoch, endOffset }
      })
    }))
  })
})
