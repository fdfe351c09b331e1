/**
 * Metadata, v0–v13. v0: an empty list asks for all topics; from v1 null does. Before v4 every name that is asked for is
 * created, where the broker creates topics; the first answer for it is LEADER_NOT_AVAILABLE. From v12 a topic can be
 * asked for by its id.
 */
import * as Api from "../../protocol/messages/Metadata.ts"
import * as Code from "./Code.ts"
import { type EmbeddedCluster, isLegalName, type Topic } from "./Cluster.ts"
import { zeroId } from "./Runtime.ts"
import { type Call, handler } from "./Handler.ts"

/** No operations were asked for. */
const notAsked = -2147483648
/** Read, write, create, delete, alter, describe, describe configs, alter configs. */
export const allTopicOperations = 0b1101_1111_1000

/** Create, alter, describe, cluster action, describe configs, alter configs, idempotent write, create and describe tokens. */
const allClusterOperations = 0b1_1111_1010_0000

/** A topic that is asked for twice is told once. */
const unique = <A extends { readonly name: string | null; readonly topicId: string }>(asked: ReadonlyArray<A>) =>
  Array.from(new Map(asked.map((each) => [`${each.name} ${each.topicId}`, each])).values())

/** A partition as both ways to ask for it tell it. */
export const toldOf = (
  cluster: EmbeddedCluster,
  { index, isr, leader, leaderEpoch, replicas }: Topic["partitions"][number]
) => ({
  errorCode: leader < 0 ? Code.leaderNotAvailable : Code.none,
  partitionIndex: index,
  leaderId: leader,
  leaderEpoch,
  replicaNodes: replicas,
  isrNodes: isr,
  offlineReplicas: replicas.filter((id) => cluster.nodes.get(id)?.alive !== true)
})

const described = ({ arrivedAt, clientId, cluster }: Call<any, any>, topic: Topic, operations: boolean) => ({
  errorCode: Code.none,
  name: topic.name,
  topicId: topic.id,
  isInternal: topic.internal,
  topicAuthorizedOperations: operations ? allTopicOperations : notAsked,
  partitions: topic.partitions.map((partition) => {
    cluster.tell(clientId, `${topic.id}-${partition.index}`, partition.leaderEpoch, arrivedAt)
    return toldOf(cluster, partition)
  })
})

const failed = (name: string | null, topicId: string, errorCode: number) => ({
  errorCode,
  name,
  topicId,
  isInternal: false,
  topicAuthorizedOperations: notAsked,
  partitions: []
})

export const metadata = handler("Metadata", Api, (call) => {
  const { cluster, request, version } = call
  const mayCreate = cluster.settings.autoCreate && (version < 4 || request.allowAutoTopicCreation)
  const operations = request.includeTopicAuthorizedOperations
  const { profile } = cluster.settings
  const missing = Code.unknownTopicOrPartition

  const byName = (name: string) => {
    const injected = call.injected(name)
    if (injected !== Code.none) return failed(name, zeroId, injected)
    const known = cluster.topics.get(name)
    if (known !== undefined) return described(call, known, operations)
    if (!mayCreate)
      return failed(
        name,
        zeroId,
        isLegalName(name) || !cluster.settings.profile.since("2.8") ? Code.unknownTopicOrPartition : Code.invalidTopic
      )
    const created = cluster.createTopic(name)
    if (created === "name") return failed(name, zeroId, Code.invalidTopic)
    if (typeof created === "string") return failed(name, zeroId, Code.leaderNotAvailable)
    // in KRaft the controller is only asked to create it, and the broker does not know it yet
    return failed(name, zeroId, profile.name !== "everything" && profile.forwards ? missing : Code.leaderNotAvailable)
  }
  const byId = (id: string) => {
    // ids are in the request from v10, and of use from v12 (KAFKA-10547)
    if (version < 12) return failed("", id, Code.invalidRequest)
    const known = cluster.topicsById.get(id)
    return known === undefined ? failed(null, id, Code.unknownTopicId) : byName(known.name)
  }

  const all = request.topics === null || (version === 0 && request.topics.length === 0)
  const topics = all
    ? // of all, those that who asks may see
      Array.from(cluster.topics.keys())
        .filter((name) => !call.hides(name))
        .map(byName)
    : unique(request.topics!).map((asked) => (asked.name === null ? byId(asked.topicId) : byName(asked.name)))
  const hidden = cluster.settings.profile.hidesBrokers && cluster.topics.size === 0
  const injected = request.topics !== null && request.topics.length > 0 ? Code.none : call.injected()
  call.answer({
    brokers: (hidden ? [] : cluster.alive).map(({ host, id, port, rack }) => ({ nodeId: id, host, port, rack })),
    clusterId: cluster.id,
    controllerId: cluster.controller,
    topics,
    ...(request.includeClusterAuthorizedOperations ? { clusterAuthorizedOperations: allClusterOperations } : undefined),
    errorCode: injected
  })
})
