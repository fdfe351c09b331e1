/** AlterPartitionReassignments, v0–v1: moves replicas, or ends that (KIP-455). Brokers that live have a copy at once. */
import * as Api from "../../protocol/messages/AlterPartitionReassignments.ts"
import * as Code from "./Code.ts"
import type { EmbeddedCluster } from "./Cluster.ts"
import { handler } from "./Handler.ts"
import * as Reassign from "./Reassign.ts"

const nothingMoves = "No partition reassignment is in progress."

const one = (
  cluster: EmbeddedCluster,
  name: string,
  index: number,
  replicas: ReadonlyArray<number> | null,
  mayChangeFactor: boolean
): readonly [errorCode: number, errorMessage: string | null] => {
  const partition = cluster.partition(name, index)
  // A partition that is not there has none under way: so 2.x sees it.
  if (partition === undefined && replicas === null && !cluster.settings.profile.since("3.9"))
    return [Code.noReassignmentInProgress, nothingMoves]
  if (partition === undefined) return [Code.unknownTopicOrPartition, "This server does not host this topic-partition."]
  if (replicas === null)
    switch (Reassign.cancel(cluster, partition)) {
      case "done":
        return [Code.none, null]
      case "nothing moves":
        return [Code.noReassignmentInProgress, cluster.settings.profile.since("3.9") ? null : nothingMoves]
      case "unclean":
        return [Code.invalidReplicaAssignment, "Unable to revert: it would require an unclean leader election."]
    }
  if (replicas.length === 0) return [Code.invalidReplicaAssignment, "Empty replica list specified."]
  if (replicas.some((id) => id < 0)) return [Code.invalidReplicaAssignment, "Invalid broker id in replica list."]
  if (new Set(replicas).size < replicas.length)
    return [Code.invalidReplicaAssignment, `Duplicate replica ids in the assignment: ${replicas.join(", ")}.`]
  if (replicas.some((id) => !cluster.nodes.has(id)))
    return [Code.invalidReplicaAssignment, "Replica assignment has brokers that are not there."]
  if (!mayChangeFactor && replicas.length !== Reassign.goal(partition).length)
    return [Code.invalidReplicationFactor, "The replication factor is changed."]
  Reassign.start(cluster, partition, replicas)
  return [Code.none, null]
}

export const alterPartitionReassignments = handler("AlterPartitionReassignments", Api, (call) => {
  const { cluster, node, request, version } = call
  const injected = call.injected()
  const mayChangeFactor = version < 1 || request.allowReplicationFactorChange
  const refused = injected !== Code.none ? injected : cluster.mayChange(node) ? Code.none : Code.notController
  if (refused !== Code.none) return call.answer({ errorCode: refused, errorMessage: null, responses: [] })
  call.answer({
    errorCode: Code.none,
    errorMessage: null,
    allowReplicationFactorChange: mayChangeFactor,
    responses: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, replicas }) => {
        const own = call.injected(name, partitionIndex)
        const [errorCode, errorMessage] =
          own !== Code.none ? ([own, null] as const) : one(cluster, name, partitionIndex, replicas, mayChangeFactor)
        return { partitionIndex, errorCode, errorMessage }
      })
    }))
  })
})
