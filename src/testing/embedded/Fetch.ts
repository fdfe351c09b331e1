/**
 * Fetch, v0–v18. Waits until `minBytes` are there or `maxWaitMs` have passed, and answers at once where a partition has
 * an error. From v3 the first batch comes whole, however large (KIP-74); before, a batch beyond the limit comes cut.
 * From v7 sessions (KIP-227), from v11 any replica, from v12 diverging epochs. v0 and v1 read format 0, v2 and v3 format 1.
 */
import * as Api from "../../protocol/messages/Fetch.ts"
import * as Code from "./Code.ts"
import type { EmbeddedCluster, Node } from "./Cluster.ts"
import * as Convert from "./Convert.ts"
import { epochError } from "./Epochs.ts"
import type { Wanted } from "./FetchSession.ts"
import { type Call, handler } from "./Handler.ts"
import { misled } from "./WrongBroker.ts"
import type { Aborted } from "./Log.ts"
import type { EmbeddedPartition } from "./Partition.ts"

interface Read {
  readonly errorCode: number
  readonly partition: EmbeddedPartition | undefined
  readonly records: Uint8Array
  readonly aborted: ReadonlyArray<Aborted> | null
  readonly diverging: { readonly epoch: number; readonly endOffset: number } | undefined
  readonly preferred?: number
}

const empty = new Uint8Array(0)
const readCommitted = 1

export const fetch = handler("Fetch", Api, (call) => {
  const { cluster, node, request, version } = call
  const committed = request.isolationLevel === readCommitted
  const asked = wantedOf(request.topics)
  const wrong = call.injected()
  if (version >= 7 && Code.ofSessions.has(wrong)) return call.answer({ errorCode: wrong })
  const context =
    version < 7
      ? node.sessions.context(0, -1, asked, [])
      : node.sessions.context(request.sessionId, request.sessionEpoch, asked, request.forgottenTopicsData)
  if (context.errorCode === Code.invalidFetchSessionEpoch)
    cluster.misused(
      call.clientId,
      `Fetch with epoch ${request.sessionEpoch} of session ${request.sessionId}, which is not its turn`
    )
  if (context.errorCode !== Code.none) return call.answer({ errorCode: context.errorCode })

  const partitionOf = (wanted: Wanted): EmbeddedPartition | undefined =>
    version >= 13
      ? cluster.topicsById.get(wanted.topicId)?.partitions[wanted.partition]
      : cluster.partition(wanted.topic, wanted.partition)
  const nameOf = (wanted: Wanted): string =>
    version >= 13 ? (cluster.topicsById.get(wanted.topicId)?.name ?? "") : wanted.topic

  const errorOf = (wanted: Wanted, partition: EmbeddedPartition | undefined): number => {
    const injected = call.injected(nameOf(wanted), wanted.partition)
    if (injected !== Code.none) return injected
    if (partition === undefined)
      return version >= 13 && !cluster.topicsById.has(wanted.topicId)
        ? Code.unknownTopicId
        : Code.unknownTopicOrPartition
    // from v11 consumers may read any replica (KIP-392)
    if (partition.leader !== node.id && (version < 11 || !partition.replicas.includes(node.id))) {
      misled(call, partition)
      return Code.notLeaderOrFollower
    }
    const epoch = epochError(partition, wanted.currentLeaderEpoch)
    if (epoch !== Code.none) return epoch
    const { log } = partition
    if (wanted.lastFetchedEpoch >= 0 && log.endOfEpoch(wanted.lastFetchedEpoch).epoch < 0) return Code.offsetOutOfRange
    // the epochs are looked at before the offset is
    if (divergence(partition, wanted, node.id) !== undefined) return Code.none
    return wanted.fetchOffset < log.startOffset || wanted.fetchOffset > partition.endOf(node.id)
      ? Code.offsetOutOfRange
      : Code.none
  }
  const endFor = (partition: EmbeddedPartition) =>
    Math.min(committed ? partition.lastStableOffset : partition.highWatermark, partition.endOf(node.id))
  const rack = version >= 11 && cluster.settings.selectsByRack ? request.rackId : ""
  const preferred = (wanted: Wanted, partition: EmbeddedPartition) => inRack(cluster, node, rack, wanted, partition)

  const read = (wanted: Wanted, maxBytes: number, whole: boolean): Read => {
    const partition = partitionOf(wanted)
    const errorCode = errorOf(wanted, partition)
    // what is found wrong before the log is looked at has an empty list, what is found there none
    const early = errorCode === Code.unknownTopicOrPartition || errorCode === Code.unknownTopicId
    const aborted = early && cluster.settings.profile.since("3.9") ? [] : null
    const nothing = { partition, records: empty, aborted, diverging: undefined }
    if (errorCode !== Code.none || partition === undefined) return { errorCode, ...nothing }
    const diverging = divergence(partition, wanted, node.id)
    if (diverging !== undefined) return { errorCode, ...nothing, diverging }
    const elsewhere = preferred(wanted, partition)
    if (elsewhere !== undefined) return { errorCode, ...nothing, preferred: elsewhere }
    const [log, end] = [partition.log, endFor(partition)]
    const raw = log.read(wanted.fetchOffset, end, maxBytes, whole)
    // a batch that did not fit is left out where the reader counts on whole ones
    const records = version >= 3 && !whole && log.cutsFirst(wanted.fetchOffset, raw.length) ? empty : raw
    return {
      errorCode,
      partition,
      records: readable(cluster, records, version),
      aborted: committed
        ? log.aborted.filter((each) => each.lastOffset >= wanted.fetchOffset && each.firstOffset < end)
        : null,
      diverging: undefined
    }
  }

  const respond = () => {
    let left = version >= 3 ? request.maxBytes : 2147483647
    let whole = version >= 3
    const leaders = new Map<number, Node>()
    const topics = new Map<string, { topic: string; topicId: string; partitions: Array<PartitionData> }>()
    for (const wanted of context.wanted) {
      const result = read(wanted, Math.min(wanted.partitionMaxBytes, left), whole)
      const { errorCode, partition } = result
      if (result.records.length > 0) whole = false
      left = Math.max(0, left - result.records.length)
      const known = errorCode === Code.none && partition !== undefined
      const highWatermark = known ? Math.min(partition.highWatermark, partition.endOf(node.id)) : -1
      const logStartOffset = known ? partition.log.startOffset : -1
      const told = { errorCode, records: result.records.length > 0, highWatermark, logStartOffset }
      const isNews = result.diverging !== undefined || result.preferred !== undefined
      if (!context.names(wanted, told) && !isNews) continue
      const misled =
        version >= 16 &&
        partition !== undefined &&
        (errorCode === Code.notLeaderOrFollower || errorCode === Code.fencedLeaderEpoch)
      const leader = misled ? cluster.nodes.get(partition.leader) : undefined
      if (leader !== undefined && version >= 16) leaders.set(leader.id, leader)
      const key = wanted.topic || wanted.topicId
      let topic = topics.get(key)
      if (topic === undefined)
        topics.set(key, (topic = { topic: wanted.topic, topicId: wanted.topicId, partitions: [] }))
      topic.partitions.push({
        partitionIndex: wanted.partition,
        errorCode,
        highWatermark,
        // once it was told to readers of committed data alone
        lastStableOffset:
          known && (committed || cluster.settings.profile.since("2.8")) ? partition.lastStableOffset : -1,
        logStartOffset,
        ...(result.diverging === undefined ? undefined : { divergingEpoch: result.diverging }),
        ...(misled ? { currentLeader: { leaderId: partition.leader, leaderEpoch: partition.leaderEpoch } } : undefined),
        abortedTransactions: result.aborted,
        ...(result.preferred === undefined ? undefined : { preferredReadReplica: result.preferred }),
        records: result.records
      })
    }
    call.answer({
      sessionId: context.sessionId,
      responses: Array.from(topics.values()),
      nodeEndpoints: Array.from(leaders.values(), ({ host, id, port, rack }) => ({ nodeId: id, host, port, rack }))
    })
  }

  /** Whether there is anything to answer with before the wait is over. */
  const ready = (): boolean => {
    let bytes = 0
    for (const wanted of context.wanted) {
      const partition = partitionOf(wanted)
      if (partition === undefined || errorOf(wanted, partition) !== Code.none) return true
      if (divergence(partition, wanted, node.id) !== undefined || preferred(wanted, partition) !== undefined)
        return true
      const enough = Math.min(wanted.partitionMaxBytes, Math.max(request.minBytes - bytes, 1))
      bytes += Math.min(
        partition.log.available(wanted.fetchOffset, endFor(partition), enough),
        wanted.partitionMaxBytes
      )
      if (bytes >= request.minBytes) return true
    }
    return bytes >= request.minBytes
  }

  if (request.maxWaitMs <= 0 || context.wanted.length === 0 || ready()) return respond()
  const partitions = context.wanted.map((wanted) => partitionOf(wanted)!)
  wait(call, partitions, ready, respond)
})

const wantedOf = (
  topics: ReadonlyArray<{
    readonly topic: string
    readonly topicId: string
    readonly partitions: ReadonlyArray<Omit<Wanted, "topic" | "topicId">>
  }>
): Array<Wanted> =>
  topics.flatMap(({ partitions, topic, topicId }) => partitions.map((each) => ({ topic, topicId, ...each })))

/** The replica in sync that is in the reader's rack, where the leader's is another (`RackAwareReplicaSelector`). */
const inRack = (
  cluster: EmbeddedCluster,
  node: Node,
  rack: string,
  wanted: Wanted,
  partition: EmbeddedPartition
): number | undefined => {
  if (rack === "" || partition.leader !== node.id || node.rack === rack) return undefined
  return partition.isr.find((id) => {
    const replica = cluster.nodes.get(id)
    return replica?.alive === true && replica.rack === rack && partition.endOf(id) >= wanted.fetchOffset
  })
}

/** Answers when there is enough, or when the request's wait is over. */
const wait = (
  { cluster, connection, request }: Call<{ readonly maxWaitMs: number }, never>,
  partitions: ReadonlyArray<EmbeddedPartition>,
  ready: () => boolean,
  respond: () => void
): void => {
  const ends: Array<() => void> = []
  const stop = () => {
    timer.cancel()
    for (const end of ends) end()
  }
  const timer = cluster.env.after(request.maxWaitMs, () => {
    stop()
    respond()
  })
  const check = () => {
    if (!ready()) return
    stop()
    respond()
  }
  for (const partition of partitions) ends.push(partition.watch(check))
  ends.push(connection.onClose(stop))
}

interface PartitionData {
  readonly partitionIndex: number
  readonly errorCode: number
  readonly highWatermark: number
  readonly lastStableOffset: number
  readonly logStartOffset: number
  readonly divergingEpoch?: { readonly epoch: number; readonly endOffset: number }
  readonly currentLeader?: { readonly leaderId: number; readonly leaderEpoch: number }
  readonly abortedTransactions: ReadonlyArray<{ readonly producerId: number; readonly firstOffset: number }> | null
  readonly preferredReadReplica?: number
  readonly records: Uint8Array
}

/**
 * Where the reader's log and this one part, where they do (KIP-595): the reader holds records that were truncated, or
 * that this replica has not copied yet.
 */
const divergence = (partition: EmbeddedPartition, wanted: Wanted, node: number): Read["diverging"] => {
  if (wanted.lastFetchedEpoch < 0) return undefined
  const { endOffset, epoch } = partition.log.endOfEpoch(wanted.lastFetchedEpoch)
  const end = { epoch, endOffset: Math.min(endOffset, partition.endOf(node)) }
  return end.epoch < wanted.lastFetchedEpoch || end.endOffset < wanted.fetchOffset ? end : undefined
}

const readable = (cluster: EmbeddedCluster, records: Uint8Array, version: number): Uint8Array => {
  if (version >= 4 || records.length < 17) return records
  const magic = version >= 2 ? 1 : 0
  return records[16]! <= magic && cluster.settings.profile.magic <= magic
    ? records
    : Convert.forFetch(records, magic, cluster.settings.compression)
}
