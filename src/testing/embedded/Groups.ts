/** The groups of a cluster, of both protocols: which there is, which is made, and how one becomes the other. */
import * as Code from "./Code.ts"
import type { EmbeddedCluster } from "./Cluster.ts"
import { ConsumerGroup, type Topics } from "./ConsumerGroup.ts"
import { GroupRefusal, type TopicView } from "./ConsumerGroupData.ts"
import type { Topic } from "./ClusterState.ts"
import { uuid } from "./Runtime.ts"

/** Whether members may speak the consumer protocol. */
export const hasConsumerProtocol = (cluster: EmbeddedCluster): boolean => cluster.settings.groupVersion >= 1

const viewOf = (cluster: EmbeddedCluster, topic: Topic | undefined): TopicView | undefined =>
  topic === undefined
    ? undefined
    : {
        id: topic.id,
        name: topic.name,
        partitions: topic.partitions.length,
        racks: topic.partitions
          .map(({ replicas }) => Array.from(new Set(replicas.map((id) => cluster.nodes.get(id)?.rack ?? ""))).sort())
          .map((racks) => racks.join(","))
          .join(";")
      }

/** The topics as a group's coordinator sees them for somebody from whom some are hidden. */
export const topicsOf = (cluster: EmbeddedCluster, hides: (topic: string) => boolean = () => false): Topics => ({
  topic: (name) => viewOf(cluster, cluster.topics.get(name)),
  topicOfId: (id) => viewOf(cluster, cluster.topicsById.get(id)),
  topicNames: () => Array.from(cluster.topics.keys()).filter((name) => !hides(name)),
  get topicsVersion() {
    return cluster.topicsVersion
  },
  newMemberId: () => uuid(cluster.env.random)
})

/** The group of the consumer protocol of this id; one that is made here is not kept before `keep`. */
export const consumer = (cluster: EmbeddedCluster, id: string, create: boolean): ConsumerGroup | GroupRefusal => {
  const known = cluster.groups.get(id)
  if (known?.kind === "consumer") return known
  if (!create)
    return new GroupRefusal(
      Code.groupIdNotFound,
      known === undefined ? `Consumer group ${id} not found.` : `Group ${id} is not a consumer group.`
    )
  if (known !== undefined && known.state !== "Empty")
    return new GroupRefusal(Code.groupIdNotFound, `Group ${id} is not a consumer group.`)
  return new ConsumerGroup(id, cluster.env, cluster.settings.consumerGroups, topicsOf(cluster))
}

/** Keeps a group that was made for a request, once that was served. */
export const keep = (cluster: EmbeddedCluster, group: ConsumerGroup): void => {
  const known = cluster.groups.get(group.id)
  if (known === group) return
  known?.end()
  group.onChange = () => cluster.changed()
  cluster.groups.set(group.id, group)
  cluster.changed()
}
