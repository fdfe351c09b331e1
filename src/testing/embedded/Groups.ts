/** The groups of a cluster, of both protocols: which there is, which is made, and how one becomes the other. */
import * as Code from "./Code.ts"
import type { EmbeddedCluster } from "./Cluster.ts"
import * as Classic from "./ConsumerGroupClassic.ts"
import { type AnyGroup, ConsumerGroup, type Topics } from "./ConsumerGroup.ts"
import { attempt, GroupRefusal, type TopicView } from "./ConsumerGroupData.ts"
import { State } from "./ConsumerGroupState.ts"
import type { Topic } from "./ClusterState.ts"
import { uuid } from "./Runtime.ts"

/** Whether members may speak the consumer protocol. */
export const hasConsumerProtocol = (cluster: EmbeddedCluster): boolean => cluster.settings.consumerProtocol

const viewOf = (cluster: EmbeddedCluster, topic: Topic | undefined): TopicView | undefined =>
  topic === undefined
    ? undefined
    : {
        id: topic.id,
        name: topic.name,
        partitions: topic.partitions.length,
        racks: () =>
          topic.partitions
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

const make = (cluster: EmbeddedCluster, machine: State): ConsumerGroup =>
  new ConsumerGroup(machine, cluster.env, topicsOf(cluster))

/**
 * The group of the consumer protocol of this id. Where it is to be made, an empty classic one gives way, and one with
 * members is converted, if it may be; what is made here is not kept before `keep`.
 */
export const consumer = (cluster: EmbeddedCluster, id: string, create: boolean): ConsumerGroup | GroupRefusal => {
  const known = cluster.groups.get(id)
  if (known?.kind === "consumer") return known
  if (!create)
    return new GroupRefusal(
      Code.groupIdNotFound,
      known === undefined ? `Consumer group ${id} not found.` : `Group ${id} is not a consumer group.`
    )
  const { consumerGroups } = cluster.settings
  if (known === undefined || known.state === "Empty") return make(cluster, new State(id, consumerGroups))
  const upgraded = attempt(() =>
    Classic.upgrade(known, consumerGroups, { ...topicsOf(cluster), now: cluster.env.now() })
  )
  return upgraded instanceof GroupRefusal ? upgraded : make(cluster, upgraded)
}

/** Keeps a group that was made for a request, once that was served. */
export const keep = (cluster: EmbeddedCluster, group: ConsumerGroup): void => {
  const known = cluster.groups.get(group.id)
  if (known === group) return
  if (known?.kind === "classic") known.giveUp()
  group.onChange = () => cluster.changed()
  group.onDowngrade = ({ rebalance }) => {
    const { generation, members } = group.asClassic()
    group.end()
    cluster.groups.delete(group.id)
    cluster.group(group.id).adopt(generation, members, rebalance)
  }
  cluster.groups.set(group.id, group)
  cluster.changed()
}

/** The group that JoinGroup is about: one without members is made, or made anew, for who has no id yet. */
export const joined = (cluster: EmbeddedCluster, id: string, memberId: string): AnyGroup | undefined => {
  const known = cluster.groups.get(id)
  if (known !== undefined && (known.kind === "classic" || known.members.size > 0)) return known
  return memberId === "" ? cluster.group(id) : undefined
}
