/** Pure. What is known of a cluster, and what a metadata response changes of it. */
import type { BrokerInfo, Change, PartitionInfo, TopicInfo } from "../ClusterInfo.ts"
import type { Turns } from "../compression/Turns.ts"
import { codes as code } from "../ErrorCode.ts"
import { addressProblem } from "../KafkaConfig.ts"
import * as KafkaError from "../KafkaError.ts"
import { kept } from "../Kept.ts"
import type * as Metadata from "../protocol/messages/Metadata.ts"
import * as Wire from "../protocol/Wire.ts"
import type { TopicIdPartition, TopicPartition } from "../TopicPartition.ts"

type Response = typeof Metadata.Response.schema.Type
type TopicResponse = Response["topics"][number]

/** Topics and partitions that are learnt in one turn: some milliseconds. */
const turnWork = 2000

/** How long a leader has to be of no use until an older epoch is believed, and after which pause that begins anew. */
const doubtedFor = 5000
const doubtsApart = 60_000
/** Of an id, that leaders do not know: each try is refused. */
const idDoubtsApart = 10_000

/** So many partitions are remembered of which that was said. */
const refusalsAtMost = 10_000

const keyOf = (topic: string, partition: number): string => `${partition} ${topic}`

interface Doubt {
  readonly since: number
  readonly last: number
}

export class MetadataState {
  nodes: ReadonlyArray<BrokerInfo> = []
  /** Node id; -1 where it is not known (before Metadata v1). */
  controller = -1
  clusterId: string | null = null
  readonly #topics = new Map<string, TopicInfo>()
  readonly #byId = new Map<string, TopicInfo>()
  /** When each topic was last told of. */
  readonly #learnt = new Map<string, number>()
  /** Topics of a cluster that has been replaced by another. */
  readonly #replaced = new Set<string>()
  /** Partitions whose leaders were of no use: since when, and when last. */
  readonly #doubts = new Map<string, Doubt>()
  /** Topics that leaders know by other ids. */
  readonly #doubtedIds = new Map<string, Doubt>()
  /** Partitions whose leaders did not know their topics by the ids: also of those that are told as gone, and there again. */
  readonly #refusals = new Map<string, { readonly id: string; readonly last: number }>()
  /** Partitions whose leaders were named by an answer that says the topic's name alone. */
  readonly #namedByName = new Set<string>()

  /** A topic of which nothing can be told for now. */
  static unready(name: string): TopicInfo {
    return { name, id: undefined, internal: internalNames.has(name), partitions: [] }
  }

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

  /**
   * Learns who leads a partition from another answer than metadata (KIP-951), if that is newer than what is known, and
   * not of a topic whose name is another's by now: that one's epochs begin anew. An answer that is not `byId` may be of
   * another topic all the same, by a broker that lags behind: where that leader is of no use it is not held to.
   */
  moved(
    { partition, topic, topicId }: TopicIdPartition,
    leader: number,
    leaderEpoch: number,
    byId: boolean
  ): Change | undefined {
    const before = this.#topics.get(topic)
    const known = before?.partitions[partition]
    if (before === undefined || known === undefined || leaderEpoch <= known.leaderEpoch) return undefined
    if (topicId !== undefined && before.id !== undefined && topicId !== before.id) return undefined
    const key = keyOf(topic, partition)
    if (byId) this.#namedByName.delete(key)
    else this.#namedByName.add(key)
    const partitions = before.partitions.with(partition, { ...known, leader, leaderEpoch })
    const info = { ...before, partitions }
    this.#set(info, before)
    return { _tag: "Topic", topic: info, before }
  }

  /**
   * The leader that is known says that it is none, or is not there. Epochs only grow, but those of a topic that was
   * deleted and made anew begin at 0, which brokers before 2.8, without topic ids, have no other way to tell. Gives for how
   * long that has gone on.
   */
  doubt(topic: string, partition: number, now: number): number {
    const key = keyOf(topic, partition)
    const before = this.#doubts.get(key)
    const goesOn = before !== undefined && now - before.last < doubtsApart
    const since = goesOn ? before.since : now
    if (this.#topics.has(topic)) this.#doubts.set(key, { since, last: now })
    return now - since
  }

  /** A leader, or a broker that was asked for another by its id, says that the topic of this name is not the one that is known. */
  doubtId(topic: string, now: number): void {
    const before = this.#doubtedIds.get(topic)
    const since = before !== undefined && now - before.last < idDoubtsApart ? before.since : now
    if (this.#topics.has(topic)) this.#doubtedIds.set(topic, { since, last: now })
  }

  /** Whether that went on for long: who has not heard of a topic yet, or is asked for the one before, says so once. */
  isIdDoubted(topic: string, now: number): boolean {
    const doubt = this.#doubtedIds.get(topic)
    return doubt !== undefined && now - doubt.last < idDoubtsApart && doubt.last - doubt.since >= doubtedFor
  }

  /** A leader does not know the topic by this id. */
  refused({ partition, topic, topicId }: TopicIdPartition, now: number): void {
    const known = this.#topics.get(topic)
    const id = topicId ?? known?.id
    // It may be the answer to who asked for the topic before.
    if (id === undefined || (known !== undefined && id !== known.id)) return
    this.doubtId(topic, now)
    const key = keyOf(topic, partition)
    this.#refusals.delete(key)
    kept(this.#refusals, key, () => ({ id, last: now }), refusalsAtMost)
  }

  trustId({ partition, topic, topicId }: TopicIdPartition): void {
    if (this.#refusals.size === 0) return
    const key = keyOf(topic, partition)
    if (topicId === undefined || topicId === this.#refusals.get(key)?.id) this.#refusals.delete(key)
  }

  /** Whether that was said last, and just now: while it is so, it is said again with each try. */
  isIdRefused({ partition, topic }: TopicPartition, now: number): boolean {
    const refusal = this.#refusals.get(keyOf(topic, partition))
    return refusal !== undefined && refusal.id === this.#topics.get(topic)?.id && now - refusal.last < idDoubtsApart
  }

  #isDoubted(topic: string, partition: number, now: number): boolean {
    const doubt = this.#doubts.get(keyOf(topic, partition))
    return doubt !== undefined && now - doubt.last < doubtsApart && now - doubt.since >= doubtedFor
  }

  /** What was said of the leaders of a topic that is gone is not said of the next one's. */
  #trustLeaders({ name, partitions }: TopicInfo): void {
    this.#doubtedIds.delete(name)
    for (const partition of partitions.keys()) {
      this.#doubts.delete(keyOf(name, partition))
      this.#namedByName.delete(keyOf(name, partition))
    }
  }

  #set(info: TopicInfo, before: TopicInfo | undefined): void {
    if (before?.id !== undefined) this.#byId.delete(before.id)
    if (info.id !== undefined) this.#byId.set(info.id, info)
    this.#topics.set(info.name, info)
  }

  /** Every broker has to be found again from the bootstrap servers (KIP-1102). */
  forgetNodes(): void {
    this.nodes = []
  }

  /**
   * Learns what a response tells of the cluster, and of its brokers. Throws `KafkaError` with reason `Corrupt`, and
   * learns nothing, where that or what it tells of topics cannot be.
   */
  learnCluster(response: Response): LearntCluster {
    checkCluster(response)
    const { clusterId } = response
    if (clusterId !== null && this.clusterId !== null && clusterId !== this.clusterId)
      for (const name of this.#topics.keys()) this.#replaced.add(name)
    if (clusterId !== null) this.clusterId = clusterId
    this.controller = response.controllerId
    return this.#learnBrokers(response)
  }

  /**
   * Learns what a response tells of the topics that were asked for, in turns, each of them as a whole: `changed` is told
   * of each change at once. What is `lagging` is not learnt over what is known. Gives the error codes of all that it names.
   */
  *learnTopics(
    topics: ReadonlyArray<TopicResponse>,
    asked: (name: string) => boolean,
    now: number,
    changed: (change: Change) => void,
    lagging: (topic: TopicResponse) => boolean = () => false
  ): Turns<ReadonlyMap<string, number>> {
    const codes = new Map<string, number>()
    let work = 0
    for (const topic of topics) {
      const { errorCode, name } = topic
      if (name === null) continue
      if ((work += 1 + topic.partitions.length) > turnWork) {
        work = 0
        yield
      }
      // A topic that is there has partitions: without them it is not there yet.
      const told = errorCode === code.NONE && topic.partitions.length === 0 ? code.LEADER_NOT_AVAILABLE : errorCode
      codes.set(name, told)
      let before = this.#topics.get(name)
      if (before !== undefined && lagging(topic)) continue
      if (told === code.NONE && (before !== undefined || asked(name))) {
        let info = yield* this.#topicInfo(topic, name, before, now)
        // Where that took turns, a leader may have moved meanwhile.
        while (before !== this.#topics.get(name)) {
          before = this.#topics.get(name)
          info = yield* this.#topicInfo(topic, name, before, now)
        }
        this.#set(info, before)
        if (before !== undefined && before.id !== info.id) this.#trustLeaders(before)
        this.#learnt.set(name, now)
        this.#replaced.delete(name)
        if (before === undefined || !sameTopic(before, info)) changed({ _tag: "Topic", topic: info, before })
      } else if (told === code.UNKNOWN_TOPIC_OR_PARTITION && before !== undefined) {
        if (before.id !== undefined) this.#byId.delete(before.id)
        this.#topics.delete(name)
        this.#learnt.delete(name)
        this.#replaced.delete(name)
        this.#trustLeaders(before)
        changed({ _tag: "TopicGone", before })
      }
    }
    return codes
  }

  *#topicInfo(topic: TopicResponse, name: string, before: TopicInfo | undefined, now: number): Turns<TopicInfo> {
    const told = topic.topicId === Wire.zeroUuid ? undefined : topic.topicId
    // One of several brokers may be too old to know ids. That it is the same topic is then all that can be thought.
    const id = told ?? before?.id
    const old = before?.id === id && !this.#replaced.has(name) ? before?.partitions : undefined
    const partitions = new Array<PartitionInfo>(topic.partitions.length)
    let count = 0
    let work = 0
    for (const { partitionIndex, leaderId, leaderEpoch, replicaNodes, isrNodes } of topic.partitions) {
      if (++work % turnWork === 0) yield
      count = Math.max(count, partitionIndex + 1)
      const known = old?.[partitionIndex]
      if (this.#doubts.size > 0 && known !== undefined && known.leaderEpoch < leaderEpoch)
        this.#doubts.delete(keyOf(name, partitionIndex))
      // Nobody can be asked, and say that he does not lead.
      if (known !== undefined && known.leader < 0 && leaderEpoch < known.leaderEpoch)
        this.doubt(name, partitionIndex, now)
      // A broker that lags behind may answer with an older leader: epochs only grow.
      if (
        known !== undefined &&
        known.leaderEpoch > leaderEpoch &&
        leaderEpoch >= 0 &&
        // Ids say that it is the same topic; without them it may have been made anew.
        !(
          (told === undefined || this.#namedByName.has(keyOf(name, partitionIndex))) &&
          this.#isDoubted(name, partitionIndex, now)
        )
      ) {
        partitions[partitionIndex] = known
        continue
      }
      if (this.#namedByName.size > 0) this.#namedByName.delete(keyOf(name, partitionIndex))
      partitions[partitionIndex] = {
        partition: partitionIndex,
        leader: leaderId,
        leaderEpoch,
        replicas: replicaNodes,
        // Mostly the same, and then held once.
        isr: sameNumbers(replicaNodes, isrNodes) ? replicaNodes : isrNodes
      }
    }
    // One may be told twice.
    partitions.length = count
    for (let partition = 0; partition < count; partition++)
      partitions[partition] ??= leaderless(partition, old?.[partition])
    return { name, id, internal: topic.isInternal || internalNames.has(name), partitions }
  }

  #learnBrokers(response: Response): LearntCluster {
    // An 0.8 broker without topics tells of no broker: what is known stays.
    if (response.brokers.length === 0) return { change: undefined, impossible: [] }
    const before = this.nodes
    const known = new Map(before.map((node) => [node.id, node]))
    const impossible: Array<LearntCluster["impossible"][number]> = []
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
    const isOther = brokers.length !== before.length || !brokers.every(isSame)
    this.nodes = brokers
    return { change: isOther ? { _tag: "Brokers", brokers, before } : undefined, impossible }
  }
}

/** What a response told of the cluster. */
interface LearntCluster {
  readonly change: Change | undefined
  /** Brokers whose addresses cannot be, and what is wrong with them. */
  readonly impossible: ReadonlyArray<{
    readonly id: number
    readonly host: string
    readonly port: number
    readonly problem: string
  }>
}

/**
 * How many partitions the topics of a response may be told to have that it leaves out, all together: few brokers leave
 * any out, and a member that is to read them takes up to 80 KiB for each.
 */
const missingPartitions = 1000
/** How many brokers a cluster may be told to have: several times as many as any has. */
const mostBrokers = 10_000

const impossible = (problem: string, topic?: string | null): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Corrupt",
    what: "MetadataResponse",
    problem,
    ...(typeof topic === "string" ? { topic } : {})
  })

/**
 * Partitions are numbered from 0 on: an index far beyond their count would be as many places in memory. Brokers are
 * compared and shuffled with each question.
 */
const checkCluster = ({ brokers, topics }: Response): void => {
  if (brokers.length > mostBrokers) throw impossible(`a cluster of ${brokers.length} brokers`)
  let missing = 0
  for (const { name, partitions } of topics) {
    let count = 0
    for (const { partitionIndex } of partitions) {
      if (partitionIndex < 0 || missing + partitionIndex >= partitions.length + missingPartitions)
        throw impossible(`partition ${partitionIndex} of a topic of ${partitions.length} partitions`, name)
      if (partitionIndex >= count) count = partitionIndex + 1
    }
    // Those that are told twice are none that another leaves out.
    missing += Math.max(0, count - partitions.length)
  }
}

// Before Metadata v1 nothing marks them.
const internalNames = new Set(["__consumer_offsets", "__transaction_state", "__share_group_state"])

const sameNumbers = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i])

/**
 * One that is left out, as brokers with ZooKeeper do until it has had a leader: where all of its replicas were away when it
 * was made. It is there, and what was known of its epoch stays known.
 */
const leaderless = (partition: number, known: PartitionInfo | undefined): PartitionInfo => ({
  partition,
  leader: -1,
  leaderEpoch: known?.leaderEpoch ?? -1,
  replicas: known?.replicas ?? [],
  isr: []
})

const samePartition = (a: PartitionInfo, b: PartitionInfo | undefined): boolean =>
  a === b ||
  (b !== undefined &&
    a.leader === b.leader &&
    a.leaderEpoch === b.leaderEpoch &&
    sameNumbers(a.replicas, b.replicas) &&
    sameNumbers(a.isr, b.isr))

const sameTopic = (a: TopicInfo, b: TopicInfo): boolean =>
  a.id === b.id &&
  a.partitions.length === b.partitions.length &&
  a.partitions.every((partition, i) => samePartition(partition, b.partitions[i]))
