/** Notes a request to a broker that the client had been told not to be the leader, or coordinator. */
import type { Call } from "./Handler.ts"
import type { EmbeddedPartition } from "./Partition.ts"

/** It asks a broker that does not lead the partition. Who has old metadata makes no mistake. */
export const misled = (call: Call<any, any>, partition: EmbeddedPartition): void => {
  const { arrivedAt, clientId, cluster } = call
  // By its id: the epochs of a topic that is made again begin anew.
  const about = `${cluster.topics.get(partition.topic)?.id}-${partition.index}`
  if (partition.leader >= 0 && cluster.knows(clientId, about, partition.leaderEpoch, arrivedAt))
    cluster.misused(
      clientId,
      `asked broker ${call.node.id} for ${partition.topic}-${partition.index}, which ${partition.leader} leads, as it was told`
    )
}

/** It asks a broker that does not coordinate the group, or the transactional id. */
export const misdirected = (call: Call<any, any>, kind: "group" | "transaction", key: string): void => {
  const { arrivedAt, clientId, cluster } = call
  const name = `${kind}:${key}`
  if (cluster.knows(clientId, name, cluster.moves(name), arrivedAt))
    cluster.misused(
      clientId,
      `asked broker ${call.node.id} for ${kind} ${key}, which another coordinates, as it was told`
    )
}
