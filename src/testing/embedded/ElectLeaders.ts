/** ElectLeaders, v0–v2: the preferred leader of partitions, or from v1 on any that lives where none is in sync (KIP-460). */
import * as Api from "../../protocol/messages/ElectLeaders.ts"
import * as Code from "./Code.ts"
import type { EmbeddedCluster } from "./Cluster.ts"
import { handler } from "./Handler.ts"

const unclean = 1

const elect = (cluster: EmbeddedCluster, topic: string, index: number, type: number): number => {
  const partition = cluster.partition(topic, index)
  if (partition === undefined) return Code.unknownTopicOrPartition
  const lives = (id: number) => cluster.nodes.get(id)?.alive === true
  if (type === unclean) {
    if (partition.leader >= 0) return Code.electionNotNeeded
    cluster.elect(partition, true)
    return partition.leader >= 0 ? Code.none : Code.eligibleLeadersNotAvailable
  }
  const [preferred] = partition.replicas
  if (partition.leader === preferred) return Code.electionNotNeeded
  if (preferred === undefined || !lives(preferred) || !partition.isr.includes(preferred))
    return Code.preferredLeaderNotAvailable
  partition.lead(preferred)
  cluster.changed()
  return Code.none
}

export const electLeaders = handler("ElectLeaders", Api, (call) => {
  const { cluster, node, request } = call
  const injected = call.injected()
  const refused = injected !== Code.none ? injected : cluster.mayChange(node) ? Code.none : Code.notController
  if (refused !== Code.none) return call.answer({ errorCode: refused, replicaElectionResults: [] })
  const all = request.topicPartitions === null
  const asked =
    request.topicPartitions ??
    Array.from(cluster.topics.values(), ({ name, partitions }) => ({
      topic: name,
      partitions: partitions.map(({ index }) => index)
    }))
  const replicaElectionResults = asked.map(({ partitions, topic }) => ({
    topic,
    partitionResult: partitions.flatMap((partitionId) => {
      const own = call.injected(topic, partitionId)
      const errorCode = own !== Code.none ? own : elect(cluster, topic, partitionId, request.electionType)
      // Of all, those alone that something was to be done for.
      if (all && errorCode === Code.electionNotNeeded) return []
      return [{ partitionId, errorCode, errorMessage: errorCode === Code.none ? null : "no leader was elected" }]
    })
  }))
  call.answer({
    errorCode: Code.none,
    replicaElectionResults: replicaElectionResults.filter(({ partitionResult }) => !all || partitionResult.length > 0)
  })
})
