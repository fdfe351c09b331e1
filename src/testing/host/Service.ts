/** What the service `EmbeddedKafka` does, over the state of a cluster. */
import * as Effect from "effect/Effect"
import * as KafkaError from "../../KafkaError.ts"
import type * as Topic from "../../Topic.ts"
import * as Batch from "../embedded/Batch.ts"
import * as Compact from "../embedded/Compact.ts"
import type { Committed, EmbeddedCluster, Node, Refusal } from "../embedded/Cluster.ts"
import { profileOf } from "../embedded/ClusterState.ts"
import * as Reassign from "../embedded/Reassign.ts"
import * as Subscriptions from "../embedded/Subscriptions.ts"
import type { Owned } from "../embedded/ConsumerGroupData.ts"
import type { AnyGroup } from "../embedded/ConsumerGroup.ts"
import type { EmbeddedPartition } from "../embedded/Partition.ts"
import type { Transaction } from "../embedded/TransactionState.ts"
import type * as Contract from "./Contract.ts"
import * as InProcess from "./InProcess.ts"
import * as Inject from "./Inject.ts"
import type { Listener } from "./Listener.ts"
import * as Inspect from "./Inspect.ts"
import * as Telemetry from "./Telemetry.ts"
import * as Waits from "./Waits.ts"

const refusals: { readonly [R in Refusal]: string } = {
  exists: "it exists",
  name: "its name is not legal",
  partitions: "it needs at least one partition",
  replication: "there are too few brokers for its replicas",
  assignment: "its assignment names brokers that are not there"
}

const misuse = (message: string) => KafkaError.make({ _tag: "Misuse", message })

const nameOf = (topic: Topic.Any | string): string => (typeof topic === "string" ? topic : topic.name)

const isOptions = (topic: string | Topic.Any | Contract.TopicOptions): topic is Contract.TopicOptions =>
  typeof topic === "object" && !("~types" in topic) && !("key" in topic)

/** Creates a topic of the options, or fails with what is wrong with it. */
export const createTopic = (
  cluster: EmbeddedCluster,
  topic: string | Topic.Any | Contract.TopicOptions
): Effect.Effect<void, KafkaError.KafkaError> =>
  Effect.suspend(() => {
    const options: Contract.TopicOptions = isOptions(topic) ? topic : { name: topic }
    const name = nameOf(options.name)
    const created = cluster.createTopic(name, {
      partitions: options.partitions,
      replicationFactor: options.replicationFactor,
      config: Object.entries(options.config ?? {})
    })
    return typeof created === "string"
      ? Effect.fail(misuse(`the topic "${name}" cannot be created: ${refusals[created]}`))
      : Effect.void
  })

/** What a member of the consumer protocol has, as classic members are told. */
const assignmentOf = (cluster: EmbeddedCluster, assigned: Owned): Uint8Array =>
  Subscriptions.encodeAssignment(
    Array.from(assigned, ([topicId, partitions]) => ({
      topic: cluster.topicsById.get(topicId)?.name ?? topicId,
      partitions: Array.from(partitions.keys()).sort((a, b) => a - b)
    }))
  )

const groupInfo = (cluster: EmbeddedCluster, group: AnyGroup): Contract.GroupInfo => ({
  id: group.id,
  kind: group.kind,
  state: group.state,
  generation: group.generation,
  protocolType: group.protocolType,
  protocol: group.protocolName,
  leader: group.leader,
  coordinator: cluster.coordinator("group", group.id)?.id ?? -1,
  members:
    group.kind === "classic"
      ? Array.from(group.members.values(), ({ assignment, clientId, instanceId, memberId }) => ({
          memberId,
          instanceId,
          clientId,
          assignment,
          epoch: group.generation
        }))
      : Array.from(group.members.values(), ({ assigned, clientId, epoch, instanceId, memberId }) => ({
          memberId,
          instanceId,
          clientId,
          assignment: assignmentOf(cluster, assigned),
          epoch
        }))
})

/** A commit, by what it is stored under. */
const committedOffset = (
  key: string,
  { leaderEpoch, metadata, offset }: Pick<Committed, "leaderEpoch" | "metadata" | "offset">
): Contract.CommittedOffset => {
  const dash = key.lastIndexOf("-")
  return { topic: key.slice(0, dash), partition: Number(key.slice(dash + 1)), offset, leaderEpoch, metadata }
}

const transactionInfo = (cluster: EmbeddedCluster, t: Transaction): Contract.TransactionInfo => ({
  transactionalId: t.transactionalId,
  coordinator: cluster.coordinator("transaction", t.transactionalId)?.id ?? -1,
  state: t.state,
  producerId: t.producerId,
  producerEpoch: t.epoch,
  timeout: t.timeout,
  startedAt: t.state === "Ongoing" ? t.startedAt : undefined,
  partitions: Array.from(t.partitions.values()),
  offsets: cluster.pendingOffsets
    .of(t.producerId)
    .flatMap(({ group, offsets }) =>
      Array.from(offsets, ([key, committed]) => ({ group, ...committedOffset(key, committed) }))
    )
})

const partitionInfo = (partition: EmbeddedPartition): Contract.PartitionInfo => ({
  partition: partition.index,
  leader: partition.leader,
  leaderEpoch: partition.leaderEpoch,
  replicas: [...partition.replicas],
  isr: [...partition.isr],
  startOffset: partition.log.startOffset,
  endOffset: partition.log.endOffset,
  highWatermark: partition.highWatermark,
  lastStableOffset: partition.lastStableOffset
})

/** A copy of what metadata tells now, for the fault `staleMetadata`. */
const snapshot = (cluster: EmbeddedCluster): Map<string, unknown> =>
  new Map(
    Array.from(cluster.topics, ([name, topic]) => [
      name,
      {
        ...topic,
        partitions: topic.partitions.map((p) => ({ leader: p.leader, leaderEpoch: p.leaderEpoch, isr: [...p.isr] }))
      }
    ])
  )

/** Makes a broker the leader of a partition, and a replica of it where it was none. */
const lead = (partition: EmbeddedPartition, { alive, id: to }: Node): Effect.Effect<void, KafkaError.KafkaError> => {
  if (!alive) return Effect.fail(misuse(`broker ${to} is stopped`))
  const isLed = partition.leader >= 0
  if (!partition.replicas.includes(to)) partition.replace(isLed ? partition.leader : partition.isr[0]!, to)
  // Who is in sync while none leads does not live.
  partition.isr = partition.replicas.filter((id) => id === to || (isLed && partition.isr.includes(id)))
  partition.lead(to)
  return Effect.void
}

/** Appends entries as they are. */
const append = (
  cluster: EmbeddedCluster,
  partition: EmbeddedPartition,
  entries: Uint8Array,
  options: NonNullable<Parameters<Contract.Service["append"]>[3]>
): Effect.Effect<void, KafkaError.KafkaError> => {
  const { log } = partition
  for (let at = 0; at < entries.length;) {
    const header = Batch.peek(entries, at)
    if (typeof header === "string") return Effect.fail(misuse(`what is appended is no batch: ${header}`))
    const offset = options.keepOffsets === true ? header.baseOffset : log.endOffset
    if (offset < log.endOffset) return Effect.fail(misuse(`offset ${offset} is below the end, ${log.endOffset}`))
    const entry = log.append(entries, at, header, partition.leaderEpoch, cluster.env.now(), offset)
    if (Batch.isControl(header))
      log.producers.ended(header.producerId, header.producerEpoch, -1, cluster.env.now(), entry.baseOffset)
    else log.producers.appended(entry)
    at += header.size
  }
  log.aborted.push(...(options.aborted ?? []))
  partition.changed()
  cluster.changed()
  return Effect.void
}

const nodeOf = (cluster: EmbeddedCluster, id: number): Effect.Effect<Node, KafkaError.KafkaError> => {
  const node = cluster.nodes.get(id)
  return node === undefined ? Effect.fail(misuse(`there is no broker ${id}`)) : Effect.succeed(node)
}

/** Makes another broker the coordinator of a group or a transactional id. */
const moveCoordinator = (
  cluster: EmbeddedCluster,
  kind: "group" | "transaction",
  key: string,
  to: number | undefined
): Effect.Effect<void, KafkaError.KafkaError> =>
  Effect.map(to === undefined ? Effect.void : nodeOf(cluster, to), () => {
    // what nobody asked for yet has none: it gets one before it moves
    cluster.coordinator(kind, key)
    cluster.moveCoordinator(`${kind}:${key}`, to)
  })

/** Has the whole cluster speak as a release that each of its brokers is of. */
const raise = (cluster: EmbeddedCluster, release: Parameters<Contract.Service["raise"]>[0]) =>
  Effect.suspend(() => {
    const { name, since } = cluster.settings.profile
    if (name !== release && since(release))
      return Effect.fail(misuse(`the protocol of ${name} is not lowered to that of ${release}`))
    const older = Array.from(cluster.nodes.values()).find((node) => !profileOf(node, cluster.settings).since(release))
    if (older !== undefined) return Effect.fail(misuse(`broker ${older.id} is of an older release than ${release}`))
    cluster.settings = cluster.settings.raised(release)
    cluster.changed()
    return Effect.void
  })

/** The service over a cluster. */
export const make = (
  cluster: EmbeddedCluster,
  listeners: ReadonlyMap<number, Listener>,
  addNode: Effect.Effect<Node, KafkaError.KafkaError>
): Contract.Service => {
  const broker = (id: number) => nodeOf(cluster, id)
  const partitionOf = (
    topic: Topic.Any | string,
    index: number
  ): Effect.Effect<EmbeddedPartition, KafkaError.KafkaError> => {
    const partition = cluster.partition(nameOf(topic), index)
    return partition === undefined
      ? Effect.fail(misuse(`there is no partition ${index} of a topic "${nameOf(topic)}"`))
      : Effect.succeed(partition)
  }
  const follower = (topic: Topic.Any | string, index: number, id: number) =>
    Effect.flatMap(partitionOf(topic, index), (partition) =>
      partition.replicas.includes(id) && partition.leader !== id
        ? Effect.succeed(partition)
        : Effect.fail(misuse(`broker ${id} is not a follower of ${nameOf(topic)}-${index}`))
    )
  const settled = (partition: EmbeddedPartition, change: () => void) => {
    change()
    Reassign.settle(cluster, partition)
    cluster.changed()
  }
  const topicOf = (topic: Topic.Any | string) => {
    const known = cluster.topics.get(nameOf(topic))
    return known === undefined
      ? Effect.fail(KafkaError.make({ _tag: "UnknownTopic", topic: nameOf(topic) }))
      : Effect.succeed(known)
  }
  const group = (id: string) => {
    const found = cluster.groups.get(id)
    return found === undefined ? undefined : groupInfo(cluster, found)
  }
  const transaction = (id: string) => {
    const found = cluster.transactions.get(id)
    return found === undefined ? undefined : transactionInfo(cluster, found)
  }
  const committed = (group: string): ReadonlyArray<Contract.CommittedOffset> =>
    Array.from(cluster.offsets.get(group) ?? [], ([key, commit]) => committedOffset(key, commit))

  return {
    bootstrap: Array.from(cluster.nodes.values(), (node) => `${node.host}:${node.port}`),
    clusterId: cluster.id,
    connect: (address, handler) => InProcess.connect(cluster, address, handler),

    log: (topic: Topic.Any | string, partition?: number) => Inspect.log(cluster, topic, partition) as any,
    committed: (group) => Effect.sync(() => committed(group)),
    group: (id) => Effect.sync(() => group(id)),
    transactions: Effect.sync(() => cluster.transactions.all.map((t) => transactionInfo(cluster, t))),
    topic: (topic) => Effect.sync(() => cluster.topics.get(nameOf(topic))?.partitions.map(partitionInfo)),
    ...Waits.make(cluster, { nameOf, committed, group, transaction }),
    onCommit: (listener) =>
      Effect.asVoid(
        Effect.acquireRelease(
          Effect.sync(() => {
            cluster.onCommit.add(listener)
          }),
          () => Effect.sync(() => cluster.onCommit.delete(listener))
        )
      ),
    telemetry: Telemetry.make(cluster),
    connections: Effect.sync(() => {
      let open = 0
      for (const node of cluster.nodes.values()) open += node.connections.size
      return open
    }),
    misuses: Effect.sync(() => [...cluster.misuses]),
    assertNoMisuse: Effect.suspend(() =>
      cluster.misuses.length === 0
        ? Effect.void
        : Effect.fail(misuse(`the protocol was misused: ${cluster.misuses.join("; ")}`))
    ),
    defects: Effect.sync(() => [...cluster.defects]),

    inject: (fault) => Inject.into(cluster.rules, fault, () => snapshot(cluster)),

    stop: (id) =>
      Effect.andThen(
        Effect.sync(() => cluster.stop(id)),
        Effect.suspend(() => listeners.get(id)?.suspend ?? Effect.void)
      ),
    start: (id, release) =>
      Effect.andThen(
        Effect.suspend(() => Effect.orDie(listeners.get(id)?.resume ?? Effect.void)),
        Effect.sync(() => {
          const node = cluster.nodes.get(id)
          if (release !== undefined && node?.alive === false) node.profile = cluster.settings.profileOf(release)
          cluster.start(id)
        })
      ),
    raise: (release) => raise(cluster, release),
    addBroker: Effect.map(addNode, (node) => {
      cluster.changed()
      return node.id
    }),
    moveLeader: (topic, index, to) =>
      Effect.flatMap(partitionOf(topic, index), (partition) =>
        to === undefined
          ? Effect.sync(() => cluster.elect(partition, false))
          : Effect.andThen(
              Effect.flatMap(broker(to), (node) => lead(partition, node)),
              Effect.sync(() => Reassign.settle(cluster, partition))
            )
      ),
    reassign: (topic, index, replicas) =>
      Effect.flatMap(partitionOf(topic, index), (partition) =>
        replicas.length === 0 || new Set(replicas).size < replicas.length
          ? Effect.fail(misuse(`${nameOf(topic)}-${index} cannot be on the brokers [${replicas.join(", ")}]`))
          : Effect.map(Effect.forEach(replicas, broker), () => Reassign.start(cluster, partition, replicas))
      ),
    moveCoordinator: (group, to) => moveCoordinator(cluster, "group", group, to),
    moveTransactionCoordinator: (id, to) => moveCoordinator(cluster, "transaction", id, to),
    createTopic: (topic) => createTopic(cluster, topic),
    deleteTopic: (topic) => Effect.map(topicOf(topic), ({ name }) => void cluster.deleteTopic(name)),
    recreateTopic: (topic) =>
      Effect.map(topicOf(topic), ({ config, name, partitions }) => {
        cluster.deleteTopic(name)
        cluster.createTopic(name, { assignments: partitions.map((p) => p.replicas), config })
      }),
    addPartitions: (topic, total) =>
      Effect.flatMap(topicOf(topic), (known) =>
        cluster.alive.length === 0
          ? Effect.fail(misuse(`partitions of "${known.name}" cannot be added: no broker is up that could have them`))
          : Effect.sync(() => cluster.addPartitions(known, total))
      ),

    append: (topic, index, entries, options = {}) =>
      Effect.flatMap(partitionOf(topic, index), (partition) => append(cluster, partition, entries, options)),
    compact: (topic, only) =>
      Effect.map(topicOf(topic), ({ partitions }) => {
        for (const partition of partitions)
          if (only === undefined || only === partition.index)
            Compact.compact(partition.log, partition.lastStableOffset, cluster.settings.compression)
      }),
    trim: (topic, index, offset) =>
      Effect.map(partitionOf(topic, index), (partition) => {
        partition.log.trim(offset)
        partition.changed()
      }),
    holdFollower: (topic, index, id) => Effect.map(follower(topic, index, id), (partition) => partition.hold(id)),
    shrinkIsr: (topic, index, id) => Effect.map(follower(topic, index, id), (partition) => partition.shrink(id)),
    releaseFollower: (topic, index, id) =>
      Effect.map(follower(topic, index, id), (partition) => settled(partition, () => partition.release(id))),
    electUnclean: (topic, index, id) =>
      Effect.map(follower(topic, index, id), (partition) => settled(partition, () => partition.lead(id)))
  }
}
