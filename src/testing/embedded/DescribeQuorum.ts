/** DescribeQuorum, v0–v2: every broker is a controller as well, and has all that there is (KRaft). */
import * as Api from "../../protocol/messages/DescribeQuorum.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import { zeroId } from "./Runtime.ts"

const metadataTopic = "__cluster_metadata"

export const describeQuorum = handler("DescribeQuorum", Api, (call) => {
  const { cluster, request, version } = call
  const now = cluster.env.now()
  const injected = call.injected()
  if (injected !== Code.none) return call.answer({ errorCode: injected, topics: [] })
  // How often the cluster has changed is how long its log would be.
  const logEndOffset = Math.max(1, cluster.metadataOffset)
  const state = (id: number) => ({
    replicaId: id,
    ...(version >= 2 ? { replicaDirectoryId: zeroId } : {}),
    logEndOffset,
    lastFetchTimestamp: now,
    lastCaughtUpTimestamp: now
  })
  const voters = Array.from(cluster.nodes.keys())
  const isKnown = (topicName: string, partitionIndex: number) => topicName === metadataTopic && partitionIndex === 0
  const unknown = request.topics.some(({ partitions, topicName }) =>
    partitions.some(({ partitionIndex }) => !isKnown(topicName, partitionIndex))
  )
  call.answer({
    errorCode: Code.none,
    topics: request.topics.map(({ partitions, topicName }) => ({
      topicName,
      partitions: partitions.map(({ partitionIndex }) =>
        isKnown(topicName, partitionIndex)
          ? {
              partitionIndex,
              errorCode: Code.none,
              leaderId: cluster.controller,
              leaderEpoch: 1,
              highWatermark: logEndOffset,
              currentVoters: voters.map(state),
              observers: []
            }
          : {
              partitionIndex,
              errorCode: Code.unknownTopicOrPartition,
              errorMessage: "This server does not host this topic-partition.",
              leaderId: 0,
              leaderEpoch: 0,
              highWatermark: 0,
              currentVoters: [],
              observers: []
            }
      )
    })),
    ...(version >= 2
      ? {
          nodes: Array.from(unknown ? [] : cluster.nodes.values(), ({ host, id, port }) => ({
            nodeId: id,
            listeners: [{ name: "CONTROLLER", host, port }]
          }))
        }
      : {})
  })
})
