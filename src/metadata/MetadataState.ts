/** Pure. What is known of a cluster, and what a metadata response changes of it. */
import type { BrokerInfo, Change, PartitionInfo, TopicInfo } from "../ClusterInfo.ts"
import { codes as code } from "../ErrorCode.ts"
import { addressProblem } from "../KafkaConfig.ts"
import * as KafkaError from "../KafkaError.ts"
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

  /** Learns who leads a partition from another answer than metadata (KIP-951), if that is newer than what is known. */
  moved(topic: string, partition: number, leader: number, leaderEpoch: number): Change | undefined {
    const before = this.#topics.get(topic)
    const known = before?.partitions[partition]
    if (before === undefined || known === undefined || leaderEpoch <= known.leaderEpoch) return undefined
    const partitions = before.partitions.with(partition, { ...known, leader, leaderEpoch })
    const info = { ...before, partitions }
    this.#topics.set(topic, info)
    return { _tag: "Topic", topic: info, before }
  }

  /** Every broker has to be found again from the bootstrap servers (KIP-1102). */
  forgetNodes(): void {
    this.nodes = []
  }

  /**
   * Learns what a response tells of the brokers, and of the topics that were asked for. Throws `KafkaError` with reason
   * `Corrupt`, and learns nothing, where that cannot be.
   */
  learn(response: Response, asked: (name: string) => boolean, now: number): Learnt {
    for (const topic of response.topics) checkPartitions(topic)
    const changes: Array<Change> = []
    const impossible = this.#learnBrokers(response, changes)
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
    return { codes, changes, impossible }
  }

  #learnBrokers(response: Response, changes: Array<Change>): Learnt["impossible"] {
    // An 0.8 broker without topics tells of no broker: what is known stays.
    if (response.brokers.length === 0) return []
    const before = this.nodes
    const known = new Map(before.map((node) => [node.id, node]))
    const impossible: Array<Learnt["impossible"][number]> = []
    const nodes = new Map<number, BrokerInfo>()
    for (const { host, nodeId: id, port, rack } of response.brokers) {
      const told = { id, host, port, rack }
      const problem = addressProblem(told)
      if (problem !== undefined) impossible.push({ id, host, port, problem })
      // Where it was before it may still be: an address that cannot be ends nothing.
      const node = problem === undefined ? told : known.get(id)
      if (node !== undefined) nodes.set(id, node)
    }
    const brokers = [...nodes.values()]
    const isSame = (node: BrokerInfo): boolean => {
      const old = known.get(node.id)
      return old !== undefined && old.host === node.host && old.port === node.port
    }
    // In whatever order they are told.
    if (brokers.length !== before.length || !brokers.every(isSame)) changes.push({ _tag: "Brokers", brokers, before })
    this.nodes = brokers
    return impossible
  }
}

/** What a response told. */
export interface Learnt {
  /** The error codes of the topics that it names. */
  readonly codes: ReadonlyMap<string, number>
  readonly changes: ReadonlyArray<Change>
  /** Brokers whose addresses cannot be, and what is wrong with them. */
  readonly impossible: ReadonlyArray<{
    readonly id: number
    readonly host: string
    readonly port: number
    readonly problem: string
  }>
}

/** How many partitions a topic may be told to have that the same response leaves out. */
const missingPartitions = 10_000

/** Partitions are numbered from 0 on: an index far beyond their count would be as many places in memory. */
const checkPartitions = ({ name, partitions }: TopicResponse): void => {
  const most = partitions.length + missingPartitions
  for (const { partitionIndex } of partitions)
    if (partitionIndex < 0 || partitionIndex >= most)
      throw KafkaError.make({
        _tag: "Corrupt",
        what: "MetadataResponse",
        problem: `partition ${partitionIndex} of a topic of ${partitions.length} partitions`,
        ...(name === null ? {} : { topic: name })
      })
}

// Before Metadata v1 nothing marks them.
const internalNames = new Set(["__consumer_offsets", "__transaction_state", "__share_group_state"])

const topicInfo = (topic: TopicResponse, name: string, before: TopicInfo | undefined): TopicInfo => {
  const told = topic.topicId === Wire.zeroUuid ? undefined : topic.topicId
  // One of several brokers may be too old to know ids. That it is the same topic is then all that can be thought.
  const id = told ?? before?.id
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
