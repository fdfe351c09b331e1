/**
 * How a transaction ends in the partitions that it wrote to: a marker in each log, and what its groups committed in the
 * offsets topic. A coordinator asks until every leader has written: it waits for one that is away, for replicas in
 * sync, and for a follower that may become the leader without having the marker.
 *
 * The coordinator's own requests are struck by faults on `WriteTxnMarkers` as those of clients are.
 */
import * as RecordBatch from "../../protocol/records/RecordBatch.ts"
import * as Batch from "./Batch.ts"
import { type Committed, type Node, offsetsTopic, type Topic } from "./ClusterState.ts"
import * as Code from "./Code.ts"
import type { Rule } from "./FaultRule.ts"
import type { EmbeddedPartition } from "./Partition.ts"
import type { PendingOffsets } from "./PendingOffsets.ts"
import type { Marker, Producers } from "./ProducerState.ts"
import type { Runtime } from "./Runtime.ts"
import type { TopicPartition } from "./TransactionState.ts"

/** What of a cluster has to do with it. */
export interface Marked {
  readonly env: Runtime
  readonly topics: ReadonlyMap<string, Topic>
  readonly offsets: Map<string, Map<string, Committed>>
  readonly pendingOffsets: PendingOffsets
  readonly rules: ReadonlyArray<Rule>
  readonly alive: ReadonlyArray<Node>
  readonly configOf: (topic: Topic, name: string) => string
  readonly coordinator: (kind: "group" | "transaction", key: string) => Node | undefined
  readonly commit: (
    store: Map<string, Map<string, Committed>>,
    group: string,
    partition: string,
    committed: Committed
  ) => void
  readonly offsetsPartitionOf: (group: string) => number
  readonly changed: () => void
}

/** Until a marker that was not written is asked for again, in milliseconds. */
const retryAfter = 20
/** Until a request without an answer is asked again (`request.timeout.ms`). */
const requestTimeout = 30_000

const refusal = (producers: Producers, marker: Marker): number => {
  const refused = producers.refuses(marker)
  return refused === undefined
    ? Code.none
    : refused === "StaleEpoch"
      ? Code.invalidProducerEpoch
      : Code.transactionCoordinatorFenced
}

/** Appends a marker to a log, or tells why not. */
export const append = (cluster: Marked, partition: EmbeddedPartition, marker: Marker): number => {
  const { log } = partition
  const { commits, coordinatorEpoch, epoch, producerId } = marker
  const refused = refusal(log.producers, marker)
  if (refused !== Code.none) return refused
  const now = cluster.env.now()
  const bytes = RecordBatch.encode([RecordBatch.endMarker(commits ? "commit" : "abort", coordinatorEpoch, now)], {
    producerId,
    producerEpoch: epoch,
    baseSequence: -1,
    transactional: true,
    control: true
  })
  const header = Batch.peek(bytes, 0)
  if (typeof header === "string") throw new Error(`a marker that is no batch: ${header}`)
  const { baseOffset } = log.append(bytes, 0, header, partition.leaderEpoch, now)
  const firstOffset = log.producers.ended(producerId, epoch, coordinatorEpoch, now, baseOffset)
  if (!commits && firstOffset >= 0) log.aborted.push({ producerId, firstOffset, lastOffset: baseOffset })
  partition.changed()
  cluster.changed()
  return Code.none
}

/** Ends what a producer committed for the groups of one partition of the offsets topic. */
export const endOffsets = (cluster: Marked, partition: number, marker: Marker): number => {
  const { pendingOffsets } = cluster
  const producers = pendingOffsets.producers(partition)
  const refused = refusal(producers, marker)
  if (refused !== Code.none) return refused
  const { coordinatorEpoch, epoch, producerId } = marker
  producers.ended(producerId, epoch, coordinatorEpoch, cluster.env.now(), 0)
  const taken = pendingOffsets.take(producerId, (group) => cluster.offsetsPartitionOf(group) === partition)
  if (marker.commits)
    for (const { group, offsets } of taken)
      for (const [key, committed] of offsets) {
        const present = cluster.offsets.get(group)?.get(key)
        if (present === undefined || present.order < committed.order)
          cluster.commit(cluster.offsets, group, key, committed)
      }
  cluster.changed()
  return Code.none
}

/** One marker on its way to one partition. */
class Delivery {
  private readonly cluster: Marked
  private readonly transactionalId: string
  private readonly target: TopicPartition
  private readonly marker: () => Marker
  private readonly onDone: () => void
  private done = false
  private waiting: (() => void) | undefined

  constructor(
    cluster: Marked,
    transactionalId: string,
    target: TopicPartition,
    marker: () => Marker,
    onDone: () => void
  ) {
    this.cluster = cluster
    this.transactionalId = transactionalId
    this.target = target
    this.marker = marker
    this.onDone = onDone
  }

  attempt(): void {
    const { cluster, target } = this
    this.stopWaiting()
    if (this.done) return
    const coordinator = cluster.coordinator("transaction", this.transactionalId)
    if (target.topic === offsetsTopic) {
      const leader = cluster.alive[0]?.id ?? -1
      if (coordinator === undefined || leader < 0) return this.later(retryAfter)
      return this.ask(coordinator.id, leader, () => {
        endOffsets(cluster, target.partition, this.marker())
        return () => this.finish()
      })
    }
    const topic = cluster.topics.get(target.topic)
    const partition = topic?.partitions[target.partition]
    // what is deleted needs no end
    if (topic === undefined || partition === undefined) return this.finish()
    const least = Math.min(Number(cluster.configOf(topic, "min.insync.replicas")), partition.replicas.length)
    if (coordinator === undefined) return this.later(retryAfter)
    if (partition.leader < 0 || partition.isr.length < least) return this.watch(partition, () => this.attempt())
    this.ask(coordinator.id, partition.leader, () => {
      const at = partition.log.endOffset
      const refused = append(cluster, partition, this.marker()) !== Code.none
      // who is refused is not the one whose transaction is open there
      return refused ? () => this.finish() : () => this.settle(partition, at)
    })
  }

  /** Asks a leader, unless a fault strikes the request. `write` does the work and gives what its answer leads to. */
  private ask(coordinator: number, leader: number, write: () => () => void): void {
    const { cluster, target, transactionalId } = this
    const action = cluster.rules.find((rule) =>
      rule.strikes({
        api: "WriteTxnMarkers",
        broker: leader,
        clientId: `broker-${coordinator}-txn-marker-sender`,
        partitions: [target],
        groups: [],
        transactionalIds: [transactionalId]
      })
    )?.action
    switch (action?._tag) {
      case "Error":
      case "LoseRequest":
      case "Close":
        return this.later(retryAfter)
      case "ErrorAfter":
      case "BreakOff":
      case "LoseResponse":
        write()
        return this.later(retryAfter)
      case "Withhold":
        write()
        return this.later(requestTimeout)
      case "Delay": {
        const next = write()
        cluster.env.after(action.millis, next)
        return
      }
      default:
        return write()()
    }
  }

  /** Waits until no leader can come that lacks the marker. */
  private settle(partition: EmbeddedPartition, offset: number): void {
    this.stopWaiting()
    const { log } = partition
    const entry = log.entries[log.indexOf(offset)]
    const isThere =
      offset < log.startOffset || (entry !== undefined && offset < log.endOffset && Batch.isControl(entry))
    if (!isThere) return this.attempt()
    if (partition.highWatermark > offset) return this.finish()
    this.watch(partition, () => this.settle(partition, offset))
  }

  private watch(partition: EmbeddedPartition, run: () => void): void {
    this.waiting = partition.watch(run)
  }

  private stopWaiting(): void {
    this.waiting?.()
    this.waiting = undefined
  }

  private later(millis: number): void {
    this.cluster.env.after(millis, () => this.attempt())
  }

  private finish(): void {
    this.stopWaiting()
    if (this.done) return
    this.done = true
    this.onDone()
  }
}

/** Sends markers to all these partitions; calls `onDone` when every one is written. */
export const deliver = (
  cluster: Marked,
  transactionalId: string,
  targets: ReadonlyArray<TopicPartition>,
  marker: () => Marker,
  onDone: () => void
): void => {
  let left = targets.length
  if (left === 0) return cluster.env.soon(onDone)
  for (const target of targets) {
    const delivery = new Delivery(cluster, transactionalId, target, marker, () => {
      if (--left === 0) onDone()
    })
    cluster.env.soon(() => delivery.attempt())
  }
}
