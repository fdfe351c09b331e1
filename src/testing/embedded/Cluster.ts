/**
 * The cluster's state, shared by all its brokers: nodes, topics, groups, committed offsets, producer ids. A change is
 * known to every broker at once; what a real cluster needs time for is played by faults and by held followers.
 */
import * as Config from "./Config.ts"
import {
  assign,
  type Committed,
  isLegalName,
  type Node,
  offsetsTopic,
  type Refusal,
  type Seen,
  type Settings,
  type Topic,
  transactionsTopic
} from "./ClusterState.ts"
import type { Runtime } from "./Runtime.ts"
import { uuid } from "./Runtime.ts"
import { Sessions } from "./FetchSession.ts"
import type { Rule } from "./FaultRule.ts"
import { Group } from "./Group.ts"
import type { AnyGroup } from "./ConsumerGroup.ts"
import { EmbeddedPartition } from "./Partition.ts"
import { offsetsPartitions, PendingOffsets } from "./PendingOffsets.ts"
import { Quotas } from "./Quotas.ts"
import * as Reassign from "./Reassign.ts"
import { Rules } from "./Rules.ts"
import { TransactionCoordinator } from "./Transactions.ts"
import { Users } from "./Users.ts"

export type { Codecs, Committed, Node, Refusal, Seen, Settings, Topic } from "./ClusterState.ts"
export { isLegalName, maxPartitions } from "./ClusterState.ts"

/** Java's `String.hashCode`, by which Kafka spreads groups over coordinators. */
const hashCode = (text: string): number => {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash & 0x7fffffff
}

/** How many there were in this process. */
let clusters = 0

/** A request may be under way for so long, in milliseconds, when its sender learns better. */
const underway = 100

export class EmbeddedCluster {
  readonly env: Runtime
  settings: Settings
  readonly id: string
  readonly nodes = new Map<number, Node>()
  readonly topics = new Map<string, Topic>()
  readonly topicsById = new Map<string, Topic>()
  readonly groups = new Map<string, AnyGroup>()
  /** By group, then by `topic-partition`. */
  readonly offsets = new Map<string, Map<string, Committed>>()
  /** What groups committed in transactions that are open. */
  readonly pendingOffsets = new PendingOffsets()
  readonly transactions = new TransactionCoordinator(this)
  /** What OffsetCommit v0 stored: in ZooKeeper, apart from the others. */
  readonly zooKeeperOffsets = new Map<string, Map<string, Committed>>()
  readonly rules: Array<Rule> = []
  /** Called for each request that was read, before it is served. */
  readonly onRequest = new Set<(seen: Seen) => void>()
  /** Called when groups, commits or logs changed. */
  readonly onChange = new Set<() => void>()
  /** What went wrong inside the broker: never anything, unless it has a defect. */
  readonly defects: Array<unknown>
  /** Called for each commit that is stored. */
  readonly onCommit = new Set<
    (commit: {
      readonly group: string
      readonly topic: string
      readonly partition: number
      readonly offset: number
      readonly leaderEpoch: number
      readonly metadata: string
      readonly transactional: boolean
    }) => void
  >()
  /** What clients did against the protocol. */
  readonly misuses: Array<string> = []
  /** What clients were told of leaders and coordinators and when, by client id, to know stale knowledge from a mistake. */
  readonly told = new Map<string, Map<string, { readonly epoch: number; readonly at: number }>>()
  /** A request of Produce was struck by a fault, or its topic deleted: sequences may have gaps from there on. */
  produceDisturbed = false
  /** Altered settings of brokers, by id; those under "" are of all brokers. */
  readonly brokerConfig = new Map<string, ReadonlyMap<string, string>>()
  /** Who may do what, how much, and who may log in. */
  readonly accessRules: Rules
  readonly quotas = new Quotas()
  readonly users: Users
  /** How often anything has changed. */
  metadataOffset = 0
  /** How often a topic has come. */
  topicsVersion = 0
  private readonly coordinators = new Map<string, number>()
  private readonly moved = new Map<string, number>()
  private nextProducerId = 0
  private nextOrder = 0

  constructor(env: Runtime, settings: Settings, defects: Array<unknown> = []) {
    this.env = env
    this.defects = defects
    this.settings = settings
    // Whatever the seed: two clusters of one process are two.
    this.id = settings.clusterId ?? (clusters++).toString(36).padStart(4, "0") + uuid(env.random).slice(4)
    this.accessRules = new Rules(settings.superUsers)
    this.users = settings.sasl?.users ?? new Users()
  }

  changed(): void {
    this.metadataOffset++
    if (this.onChange.size > 0) for (const run of Array.from(this.onChange)) run()
  }

  // ── brokers

  addNode(host: string, port: number, rack: string | null = null): Node {
    const node: Node = {
      id: this.nodes.size + 1,
      host,
      port,
      rack,
      alive: true,
      connections: new Set(),
      sessions: new Sessions(this.env.random)
    }
    this.nodes.set(node.id, node)
    return node
  }

  get alive(): ReadonlyArray<Node> {
    return Array.from(this.nodes.values()).filter((node) => node.alive)
  }

  private readonly lives = (id: number): boolean => this.nodes.get(id)?.alive === true

  /** The controller: the first broker that lives. */
  get controller(): number {
    return this.alive[0]?.id ?? -1
  }

  stop(id: number): void {
    const node = this.nodes.get(id)
    if (node === undefined || !node.alive) return
    node.alive = false
    node.sessions.clear()
    for (const topic of this.topics.values()) {
      for (const partition of topic.partitions) {
        if (!partition.replicas.includes(id)) continue
        partition.hold(id)
        if (partition.leader === id) this.elect(partition, false)
        else partition.shrink(id)
      }
    }
    for (const [key, coordinator] of Array.from(this.coordinators)) if (coordinator === id) this.moveCoordinator(key)
    for (const connection of Array.from(node.connections)) connection.close()
    this.changed()
  }

  start(id: number): void {
    const node = this.nodes.get(id)
    if (node === undefined || node.alive) return
    node.alive = true
    for (const topic of this.topics.values()) {
      for (const partition of topic.partitions) {
        if (!partition.replicas.includes(id)) continue
        if (partition.leader < 0)
          this.elect(partition, this.configOf(topic, "unclean.leader.election.enable") === "true")
        partition.release(id)
        Reassign.settle(this, partition)
      }
    }
    this.changed()
  }

  /** Elects a leader among the replicas in sync that live; `unclean` takes any replica that lives, and may lose records. */
  elect(partition: EmbeddedPartition, unclean: boolean): void {
    const { lives } = this
    const former = partition.leader
    const next =
      partition.replicas.find((id) => id !== former && partition.isr.includes(id) && lives(id)) ??
      (former >= 0 && lives(former)
        ? former
        : partition.replicas.find((id) => partition.isr.includes(id) && lives(id))) ??
      (unclean ? partition.replicas.find(lives) : undefined)
    if (next === undefined) {
      if (former >= 0) partition.resign()
      return
    }
    if (former >= 0 && !lives(former)) partition.isr = partition.isr.filter((id) => id !== former)
    partition.lead(next)
    Reassign.settle(this, partition)
  }

  // ── topics

  /** Creates a topic; gives why not, where it cannot be. */
  createTopic(
    name: string,
    options: {
      readonly partitions?: number | undefined
      readonly replicationFactor?: number | undefined
      readonly assignments?: ReadonlyArray<ReadonlyArray<number>> | undefined
      readonly config?: Iterable<readonly [string, string]> | undefined
    } = {}
  ): Topic | Refusal {
    if (this.topics.has(name)) return "exists"
    if (!isLegalName(name)) return "name"
    // metrics have underscores in the place of dots: two topics may not become one there
    const plain = name.replaceAll(".", "_")
    if (plain.includes("_") && Array.from(this.topics.keys()).some((other) => other.replaceAll(".", "_") === plain))
      return "name"
    const partitions = options.partitions ?? this.settings.defaultPartitions
    const alive = this.alive.map((node) => node.id)
    const factor = options.replicationFactor ?? Math.min(this.settings.replicationFactor, Math.max(alive.length, 1))
    const assignments = assign(options.assignments, partitions, factor, alive, (id) => this.nodes.has(id))
    if (typeof assignments === "string") return assignments
    const topic: Topic = {
      name,
      id: uuid(this.env.random),
      internal: name === offsetsTopic || name === transactionsTopic,
      partitions: assignments.map((replicas, index) => new EmbeddedPartition(name, index, replicas, this.lives)),
      config: new Map(options.config ?? [])
    }
    this.topics.set(name, topic)
    this.topicsById.set(topic.id, topic)
    this.topicsVersion++
    this.changed()
    return topic
  }

  deleteTopic(name: string): boolean {
    const topic = this.topics.get(name)
    if (topic === undefined) return false
    this.topics.delete(name)
    this.topicsById.delete(topic.id)
    this.produceDisturbed = true
    for (const partition of topic.partitions) {
      partition.leader = -1
      partition.changed() // who waits in a long poll hears of it at once
      for (const offsets of this.offsets.values()) offsets.delete(`${name}-${partition.index}`)
      this.pendingOffsets.deleted(`${name}-${partition.index}`)
    }
    this.changed()
    return true
  }

  addPartitions(topic: Topic, total: number, assignments?: ReadonlyArray<ReadonlyArray<number>>): void {
    const alive = this.alive.map((node) => node.id)
    const factor = Math.max(1, Math.min(topic.partitions[0]?.replicas.length ?? 1, alive.length))
    for (let p = topic.partitions.length, i = 0; p < total; p++, i++) {
      const replicas = assignments?.[i] ?? Array.from({ length: factor }, (_, r) => alive[(p + r) % alive.length]!)
      topic.partitions.push(new EmbeddedPartition(topic.name, p, replicas, this.lives))
    }
    this.changed()
  }

  partition(topic: string, partition: number): EmbeddedPartition | undefined {
    return this.topics.get(topic)?.partitions[partition]
  }

  /** The value of a topic's setting. */
  configOf(topic: Topic, name: string): string {
    return Config.valueOf(this, topic.config, name)
  }

  /** Whether a broker takes changes of topics: before KRaft the controller alone. */
  mayChange(node: Node): boolean {
    return this.settings.profile.forwards || node.id === this.controller
  }

  // ── coordinators and groups

  /** The broker that coordinates a group or a transactional id; undefined while no broker lives. */
  coordinator(kind: "group" | "transaction", key: string): Node | undefined {
    const name = `${kind}:${key}`
    const known = this.nodes.get(this.coordinators.get(name) ?? -1)
    if (known?.alive === true) return known
    const ids = Array.from(this.nodes.keys())
    const first = hashCode(key) % 50
    for (let i = 0; i < ids.length; i++) {
      const node = this.nodes.get(ids[(first + i) % ids.length]!)!
      if (!node.alive) continue
      this.coordinators.set(name, node.id)
      return node
    }
    return undefined
  }

  /** Gives the coordination of `kind:key` to another broker, or to a certain one. */
  moveCoordinator(name: string, to?: number): void {
    const former = this.coordinators.get(name)
    this.moved.set(name, this.moves(name) + 1)
    this.coordinators.delete(name)
    if (to !== undefined) this.coordinators.set(name, to)
    else {
      const ids = this.alive.map((node) => node.id).filter((id) => id !== former)
      if (ids.length > 0) this.coordinators.set(name, ids[0]!)
    }
    if (name.startsWith("group:") && this.coordinators.get(name) !== former) this.groups.get(name.slice(6))?.handOver()
    this.changed()
  }

  /** The classic group of this id; made where there is none, in the place of one of the consumer protocol. */
  group(id: string): Group {
    const known = this.groups.get(id)
    if (known?.kind === "classic") return known
    known?.end()
    const group = new Group(id, this.env, {
      initialRebalanceDelay: this.settings.groupInitialRebalanceDelay,
      maxSize: this.settings.groupMaxSize,
      knowsInstances: this.settings.profile.since("3.9"),
      checksTransactionsWhole: this.settings.profile.since("3.9"),
      beatsWhileCompleting: this.settings.profile.since("2.8")
    })
    group.onChange = () => this.changed()
    this.groups.set(id, group)
    return group
  }

  /** Makes the topic that holds what groups commit, where there is none yet. */
  createOffsetsTopic(): void {
    if (!this.topics.has(offsetsTopic))
      this.createTopic(offsetsTopic, { partitions: offsetsPartitions, config: [["cleanup.policy", "compact"]] })
  }

  /** Makes the topic that holds transactional ids, where there is none yet; a broker of a release has it with the first. */
  createTransactionsTopic(): void {
    if (this.settings.profile.name !== "everything" || this.settings.coldStart)
      this.createTopic(transactionsTopic, { partitions: 50, config: [["cleanup.policy", "compact"]] })
  }

  /** The partition of the offsets topic that holds what a group commits. */
  offsetsPartitionOf(group: string): number {
    return hashCode(group) % offsetsPartitions
  }

  commit(store: Map<string, Map<string, Committed>>, group: string, partition: string, committed: Committed): void {
    // A broker of a release has it when a group has committed.
    if (store === this.offsets && this.settings.profile.name !== "everything") this.createOffsetsTopic()
    let offsets = store.get(group)
    if (offsets === undefined) store.set(group, (offsets = new Map()))
    offsets.set(partition, committed)
    if (this.onCommit.size > 0) {
      const dash = partition.lastIndexOf("-")
      const { leaderEpoch, metadata, offset, transactional } = committed
      const place = { topic: partition.slice(0, dash), partition: Number(partition.slice(dash + 1)) }
      const commit = { group, ...place, offset, leaderEpoch, metadata, transactional }
      for (const run of Array.from(this.onCommit)) run(commit)
    }
    this.changed()
  }

  /** Notes a mistake of a client; the same is noted once. */
  misused(clientId: string, what: string): void {
    const misuse = `${clientId === "" ? "a client" : clientId}: ${what}`
    if (!this.misuses.includes(misuse)) this.misuses.push(misuse)
  }

  /** A client is told of a leader or coordinator as of an epoch. Whose question has waited may have asked another broker since. */
  tell(clientId: string, about: string, epoch: number, askedAt: number): void {
    if (this.env.now() - askedAt >= underway) return
    let known = this.told.get(clientId)
    if (known === undefined) this.told.set(clientId, (known = new Map()))
    if (known.get(about)?.epoch !== epoch) known.set(about, { epoch, at: this.env.now() })
  }

  /** Whether a client was told the present state of a leader or coordinator, long enough before `at` to have heard it. */
  knows(clientId: string, about: string, epoch: number, at: number): boolean {
    const known = this.told.get(clientId)?.get(about)
    return known !== undefined && known.epoch === epoch && at - known.at >= underway
  }

  /** How often a group's coordination has moved. */
  moves(name: string): number {
    return this.moved.get(name) ?? 0
  }

  newProducerId(): number {
    return this.nextProducerId++
  }

  /** The place of a commit among all. */
  newOrder(): number {
    return this.nextOrder++
  }

  /** Ends every wait: the Scope closes. */
  end(): void {
    for (const group of this.groups.values()) group.end()
    for (const node of this.nodes.values()) {
      node.alive = false
      for (const connection of Array.from(node.connections)) connection.close()
    }
  }
}
