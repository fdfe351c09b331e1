/**
 * WriteTxnMarkers, v0–v2: ends a producer's transaction in partitions that this broker leads. The coordinator's own markers
 * go the same way; an admin's abort what hangs (KIP-664).
 */
import * as Api from "../../protocol/messages/WriteTxnMarkers.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import * as Markers from "./Markers.ts"
import { offsetsTopic } from "./ClusterState.ts"

export const writeTxnMarkers = handler("WriteTxnMarkers", Api, (call) => {
  const { cluster, node, request } = call
  const refused = call.injected()
  call.answer({
    markers: request.markers.map(({ coordinatorEpoch, producerEpoch, producerId, topics, transactionResult }) => {
      const marker = { producerId, epoch: producerEpoch, coordinatorEpoch, commits: transactionResult }
      const write = (topic: string, index: number): number => {
        const injected = refused === Code.none ? call.injected(topic, index) : refused
        if (injected !== Code.none) return injected
        if (topic === offsetsTopic) return Markers.endOffsets(cluster, index, marker)
        const partition = cluster.partition(topic, index)
        return partition === undefined || partition.leader !== node.id
          ? Code.unknownTopicOrPartition
          : Markers.append(cluster, partition, marker)
      }
      return {
        producerId,
        topics: topics.map(({ name, partitionIndexes }) => ({
          name,
          partitions: partitionIndexes.map((partitionIndex) => ({
            partitionIndex,
            errorCode: write(name, partitionIndex)
          }))
        }))
      }
    })
  })
})
