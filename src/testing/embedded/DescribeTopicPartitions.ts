/** DescribeTopicPartitions, v0: topics by name in the order of their names, a page of partitions at a time (KIP-966). */
import * as Api from "../../protocol/messages/DescribeTopicPartitions.ts"
import * as Code from "./Code.ts"
import { isLegalName } from "./Cluster.ts"
import { handler } from "./Handler.ts"
import { allTopicOperations, toldOf } from "./Metadata.ts"
import { zeroId } from "./Runtime.ts"

/** `max.request.partition.size.limit` */
const mostPartitions = 2000

type Told = NonNullable<(typeof Api.Response.schema)["~type.make.in"]["topics"]>[number]

interface Cursor {
  readonly topicName: string
  readonly partitionIndex: number
}

export const describeTopicPartitions = handler("DescribeTopicPartitions", Api, (call) => {
  const { cluster, request } = call
  const { cursor } = request
  const refused = (name: string, errorCode: number): Told => ({
    errorCode,
    name,
    topicId: zeroId,
    isInternal: false,
    partitions: []
  })
  const named = request.topics.map(({ name }) => name)
  if (cursor !== null && (cursor.partitionIndex < 0 || (named.length > 0 && !named.includes(cursor.topicName))))
    return call.answer({
      topics: request.topics.map(({ name }) => refused(name, Code.invalidRequest)),
      nextCursor: null
    })
  const asked =
    request.topics.length === 0
      ? Array.from(cluster.topics.keys()).filter((name) => !call.hides(name))
      : request.topics.map(({ name }) => name)
  const names = Array.from(new Set(asked))
    .sort()
    .filter((name) => cursor === null || name >= cursor.topicName)
  // A number that is none is one.
  let room = Math.min(mostPartitions, Math.max(1, request.responsePartitionLimit))
  let nextCursor: Cursor | null = null
  const topics: Array<Told> = []
  for (const name of names) {
    if (room === 0) {
      nextCursor = { topicName: name, partitionIndex: 0 }
      break
    }
    const injected = call.injected(name)
    const topic = cluster.topics.get(name)
    if (injected !== Code.none || topic === undefined) {
      const missing = isLegalName(name) ? Code.unknownTopicOrPartition : Code.invalidTopic
      topics.push(
        injected !== Code.none
          ? refused(name, injected)
          : { ...refused(name, missing), topicAuthorizedOperations: allTopicOperations }
      )
      continue
    }
    const from = cursor !== null && cursor.topicName === name ? Math.max(0, cursor.partitionIndex) : 0
    const page = topic.partitions.slice(from, from + room)
    topics.push({
      errorCode: Code.none,
      name,
      topicId: topic.id,
      isInternal: topic.internal,
      topicAuthorizedOperations: allTopicOperations,
      partitions: page.map((partition) => ({
        ...toldOf(cluster, partition),
        eligibleLeaderReplicas: [],
        lastKnownElr: []
      }))
    })
    room -= page.length
    if (from + page.length < topic.partitions.length) {
      nextCursor = { topicName: name, partitionIndex: from + page.length }
      break
    }
  }
  call.answer({ topics, nextCursor })
})
