/**
 * How replicas move (KIP-455): first those that are added have to be in sync, then those that are removed go. Followers
 * copy at once, so that it is over at once, unless a broker that is added does not live: then when it comes back.
 */
import type { Node } from "./ClusterState.ts"
import type { EmbeddedPartition } from "./Partition.ts"

/** What of a cluster has to do with it. */
interface Moving {
  readonly nodes: ReadonlyMap<number, Node>
  readonly changed: () => void
}

/** Where the replicas of a partition are to be. */
export const goal = (partition: EmbeddedPartition): ReadonlyArray<number> =>
  partition.reassignment?.target ?? partition.replicas

/** Begins to move replicas. */
export const start = (cluster: Moving, partition: EmbeddedPartition, target: ReadonlyArray<number>): void => {
  // What is under way already began with the replicas before it.
  const before = partition.reassignment?.before ?? [...partition.replicas]
  partition.reassignment = { before, target }
  // Who is in sync stays until the end: it may lead, or be the last one that has everything.
  const isNeeded = (id: number) => before.includes(id) || partition.isr.includes(id)
  for (const id of partition.replicas) if (!isNeeded(id) && !target.includes(id)) partition.forget(id)
  partition.replicas = [...target, ...partition.replicas.filter((id) => isNeeded(id) && !target.includes(id))]
  for (const id of target) {
    if (!before.includes(id) && !partition.isr.includes(id)) partition.held.set(id, 0)
    if (cluster.nodes.get(id)?.alive === true) partition.release(id)
  }
  settle(cluster, partition)
}

/** Ends it: replicas stay where they were. Refused where nothing moves, or none of those is in sync. */
export const cancel = (cluster: Moving, partition: EmbeddedPartition): "done" | "nothing moves" | "unclean" => {
  const { isr, reassignment } = partition
  if (reassignment === undefined) return "nothing moves"
  const { before } = reassignment
  if (!before.some((id) => isr.includes(id))) return "unclean"
  partition.reassignment = { before, target: before }
  settle(cluster, partition)
  return "done"
}

/** Ends it where all that there are to be are in sync. */
export const settle = (cluster: Moving, partition: EmbeddedPartition): void => {
  const { reassignment } = partition
  if (reassignment === undefined) return
  const { before, target } = reassignment
  const ready = target.every((id) => partition.isr.includes(id) || (before === target && before.includes(id)))
  if (!ready) return cluster.changed()
  partition.reassignment = undefined
  partition.replicas = [...target]
  partition.isr = target.filter((id) => partition.isr.includes(id))
  for (const id of Array.from(partition.held.keys())) if (!target.includes(id)) partition.forget(id)
  if (!target.includes(partition.leader)) {
    const next = partition.isr.find((id) => cluster.nodes.get(id)?.alive === true)
    if (next !== undefined) partition.lead(next)
  }
  partition.changed()
  cluster.changed()
}
