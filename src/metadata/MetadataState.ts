/** Pure. What is known of a cluster, and what a metadata response changes of it. */
import type { BrokerInfo, Change, PartitionInfo, TopicInfo } from "../ClusterInfo.ts"
import { codes as code } from "../ErrorCode.ts"
import type * as Metadata from "../protocol/messages/Metadata.ts"
import * as Wire from "../protocol/Wire.ts"

type Response = typeof Metadata.Response.schema.Type
type TopicResponse = Response["topics"][number]

export class MetadataState {
  nodes: ReadonlyArray<BrokerInfo> = []
  /** Node id; -1 where it is not known (before Metadata v1). */
  controller = -1
  clusterId: string | null = null
  readonly #topics = new Map<string, TopicInfo>()
  readonly #byId = new Map<string, TopicInfo>()
  /** When each topic was last told of. */
  readonly #learnt = new Map<string, number>()

  topic(name: string): TopicInfo | undefined {
    return this.#topics.get(name)
  }

  topicById(id: string): TopicInfo | undefined {
    return this.#byId.get(id)
  }

  names(): ReadonlyArray<string> {
    return [...this.#topics.keys()]
  }

  age(name: string, now: number): number {
    return now - (this.#learnt.get(name) ?? -Infinity)
  }

  /** Takes a topic for new, since it is being asked for. */
  touch(name: string, now: number): void {
    if (this.#topics.has(name)) this.#learnt.set(name, now)
  }

  /** Every broker has to be found again from the bootstrap servers (KIP-1102). */
  forgetNodes(): void {
    this.nodes = []
  }

  /** Learns what a response tells of the brokers, and of the topics that were asked for. */
  learn(
    response: Response,
    asked: (name: string) => boolean,
    now: number
  ): { readonly codes: ReadonlyMap<string, number>; readonly changes: ReadonlyArray<Change> } {
    const changes: Array<Change> = []
    // An 0.8 broker without topics tells of no broker: what is known stays.
    if (response.brokers.length > 0) {
      const brokers = response.brokers.map(({ nodeId, host, port, rack }) => ({ id: nodeId, host, port, rack }))
      if (!sameBrokers(this.nodes, brokers)) changes.push({ _tag: "Brokers", brokers, before: this.nodes })
      this.nodes = brokers
    }
    if (response.clusterId !== null) this.clusterId = response.clusterId
    this.controller = response.controllerId
    const codes = new Map<string, number>()
    for (const topic of response.topics) {
      if (topic.name === null) continue
      codes.set(topic.name, topic.errorCode)
      const before = this.#topics.get(topic.name)
      if (topic.errorCode === code.NONE && (before !== undefined || asked(topic.name))) {
        const info = topicInfo(topic, topic.name, before)
        if (before?.id !== undefined) this.#byId.delete(before.id)
        if (info.id !== undefined) this.#byId.set(info.id, info)
        this.#topics.set(info.name, info)
        this.#learnt.set(info.name, now)
        if (before === undefined || !sameTopic(before, info)) changes.push({ _tag: "Topic", topic: info, before })
      } else if (topic.errorCode === code.UNKNOWN_TOPIC_OR_PARTITION && before !== undefined) {
        if (before.id !== undefined) this.#byId.delete(before.id)
        this.#topics.delete(topic.name)
        this.#learnt.delete(topic.name)
        changes.push({ _tag: "TopicGone", before })
      }
    }
    return { codes, changes }
  }
}

// Before Metadata v1 nothing marks them.
const internalNames = new Set(["__consumer_offsets", "__transaction_state", "__share_group_state"])

const topicInfo = (topic: TopicResponse, name: string, before: TopicInfo | undefined): TopicInfo => {
  const id = topic.topicId === Wire.zeroUuid ? undefined : topic.topicId
  const old = before?.id === id ? before?.partitions : undefined
  const partitions: Array<PartitionInfo> = []
  for (const { partitionIndex, leaderId, leaderEpoch, replicaNodes, isrNodes } of topic.partitions) {
    const known = old?.[partitionIndex]
    // A broker that lags behind may answer with an older leader: epochs only grow.
    partitions[partitionIndex] =
      known !== undefined && known.leaderEpoch > leaderEpoch && leaderEpoch >= 0
        ? known
        : { partition: partitionIndex, leader: leaderId, leaderEpoch, replicas: replicaNodes, isr: isrNodes }
  }
  return { name, id, internal: topic.isInternal || internalNames.has(name), partitions }
}

const sameNumbers = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i])

const samePartition = (a: PartitionInfo | undefined, b: PartitionInfo | undefined): boolean =>
  a === b ||
  (a !== undefined &&
    b !== undefined &&
    a.leader === b.leader &&
    a.leaderEpoch === b.leaderEpoch &&
    sameNumbers(a.replicas, b.replicas) &&
    sameNumbers(a.isr, b.isr))

const sameTopic = (a: TopicInfo, b: TopicInfo): boolean =>
  a.id === b.id &&
  a.partitions.length === b.partitions.length &&
  a.partitions.every((partition, i) => samePartition(partition, b.partitions[i]))

/** In whatever order they are told. */
const sameBrokers = (a: ReadonlyArray<BrokerInfo>, b: ReadonlyArray<BrokerInfo>): boolean =>
  a.length === b.length &&
  a.every((one) => b.some((other) => one.id === other.id && one.host === other.host && one.port === other.port))
