/**
 * Produce, v0–v13. One batch a partition from v3 on; message sets before. Sequences of idempotent producers are checked
 * against the last five batches. With acks all the answer waits for the replicas in sync, up to `timeoutMs`; with acks 0
 * there is none, and an error closes the connection. From v8 a refusal names the
 * records that are to blame (KIP-467), from v10 an error of leadership the leader (KIP-951).
 */
import * as Api from "../../protocol/messages/Produce.ts"
import { append, type Appended } from "./Append.ts"
import * as Batch from "./Batch.ts"
import * as Code from "./Code.ts"
import type { EmbeddedCluster, Node, Topic } from "./Cluster.ts"
import { handler } from "./Handler.ts"
import { misled } from "./WrongBroker.ts"
import type { EmbeddedPartition } from "./Partition.ts"
import * as Verification from "./Verification.ts"

interface Result extends Appended {
  readonly index: number
  readonly partition: EmbeddedPartition | undefined
  /** Replicas in sync must have everything below this. */
  readonly until: number
}

const failure = (index: number, errorCode: number, partition?: EmbeddedPartition): Result => ({
  index,
  errorCode,
  baseOffset: -1,
  logAppendTimeMs: -1,
  partition,
  until: -1
})

/** Whether records are a batch that is in a transaction. */
const isTransactional = (records: Uint8Array | null): records is Uint8Array =>
  records !== null && records.length >= Batch.headerBytes && records[16] === 2 && (records[22]! & 0x10) !== 0

export const produce = handler("Produce", Api, (call) => {
  const { cluster, node, request, version } = call
  const { acks } = request

  const one = (topic: Topic | undefined, name: string, index: number, records: Uint8Array | null): Result => {
    const injected = call.injected(name, index)
    if (injected !== Code.none) return failure(index, injected)
    if (acks !== -1 && acks !== 0 && acks !== 1) return failure(index, Code.invalidRequiredAcks)
    const partition = topic?.partitions[index]
    if (topic === undefined || partition === undefined)
      return failure(index, version >= 13 && topic === undefined ? Code.unknownTopicId : Code.unknownTopicOrPartition)
    if (partition.leader !== node.id) {
      misled(call, partition)
      return failure(index, Code.notLeaderOrFollower, partition)
    }
    if (isTransactional(records) && request.transactionalId !== null) {
      const refused = unverified(cluster, partition, request.transactionalId, records, version)
      if (refused !== Code.none) return failure(index, refused, partition)
    }
    const configured = Number(cluster.configOf(topic, "min.insync.replicas"))
    const least = cluster.settings.profile.since("3.9") ? Math.min(configured, partition.replicas.length) : configured
    if (acks === -1 && partition.isr.length < least) {
      cluster.produceDisturbed = true
      return { ...failure(index, Code.notEnoughReplicas, partition), inRecords: true }
    }
    const result = append(cluster, topic, partition, records, version)
    if (result.errorCode === Code.none) partition.changed()
    // What was under way behind a batch that is refused, since it is too large for one, has a gap before it.
    else if (result.errorCode !== Code.outOfOrderSequenceNumber) cluster.produceDisturbed = true
    else if (partition.leaderEpoch === 0 && !cluster.produceDisturbed)
      cluster.misused(call.clientId, `a sequence with a gap in ${topic.name}-${index}`)
    return { ...result, index, partition, until: result.errorCode === Code.none ? partition.log.endOffset : -1 }
  }

  // a transaction has a name, and who writes in it must be allowed to use it
  const inTransaction = request.topicData.some(({ partitionData }) =>
    partitionData.some(({ records }) => isTransactional(records))
  )
  const denied = !inTransaction
    ? Code.none
    : request.transactionalId === null
      ? Code.transactionalIdAuthorizationFailed
      : call.deniedTransaction(request.transactionalId)
  const topics = request.topicData.map(({ name, partitionData, topicId }) => {
    const topic = version >= 13 ? cluster.topicsById.get(topicId) : cluster.topics.get(name)
    return {
      name: topic?.name ?? name,
      topicId,
      results: partitionData.map(({ index, records }) =>
        denied === Code.none ? one(topic, topic?.name ?? name, index, records) : failure(index, denied)
      )
    }
  })
  cluster.changed()

  if (topics.some((topic) => topic.results.some((result) => result.closes === true))) {
    call.silence()
    return call.connection.close()
  }
  if (acks === 0) {
    // who wants no answer can only be told by the end of the connection
    if (topics.some((topic) => topic.results.some((result) => result.errorCode !== Code.none))) {
      call.silence()
      return call.connection.close()
    }
    return call.silence()
  }

  const respond = () => {
    const leaders = new Map<number, Node>()
    call.answer({
      responses: topics.map(({ name, results, topicId }) => ({
        name,
        topicId,
        partitionResponses: results.map((result) => {
          const { partition } = result
          const late =
            result.until >= 0 && acks === -1 && partition !== undefined && partition.highWatermark < result.until
          const errorCode = late ? Code.requestTimedOut : result.errorCode
          const hint = version >= 10 && errorCode === Code.notLeaderOrFollower && partition !== undefined
          const leader = hint ? cluster.nodes.get(partition.leader) : undefined
          if (leader !== undefined) leaders.set(leader.id, leader)
          return {
            index: result.index,
            errorCode,
            baseOffset: late ? -1 : result.baseOffset,
            logAppendTimeMs: result.logAppendTimeMs,
            logStartOffset:
              partition !== undefined && (result.errorCode === Code.none || result.inRecords === true)
                ? partition.log.startOffset
                : -1,
            recordErrors: result.recordErrors ?? [],
            errorMessage: result.errorMessage ?? null,
            ...(hint
              ? { currentLeader: { leaderId: partition.leader, leaderEpoch: partition.leaderEpoch } }
              : undefined)
          }
        })
      })),
      nodeEndpoints: Array.from(leaders.values(), ({ host, id, port, rack }) => ({ nodeId: id, host, port, rack }))
    })
  }

  const waiting = topics.flatMap((topic) =>
    topic.results.filter((r) => acks === -1 && r.until >= 0 && r.partition!.highWatermark < r.until)
  )
  if (waiting.length === 0) return respond()
  const unwatch: Array<() => void> = []
  const over = () => {
    timer.cancel()
    for (const end of unwatch) end()
    respond()
  }
  const check = () => {
    if (waiting.every((r) => r.partition!.highWatermark >= r.until || r.partition!.leader !== node.id)) over()
  }
  const timer = cluster.env.after(request.timeoutMs, over)
  for (const result of waiting) unwatch.push(result.partition!.watch(check))
})

/** Why a batch is not of the producer's transaction, as clients of this version know it. */
const unverified = (
  cluster: EmbeddedCluster,
  partition: EmbeddedPartition,
  transactionalId: string,
  records: Uint8Array,
  version: number
): number => {
  const batch = Batch.peek(records, 0)
  // what is no batch is told by the append
  if (typeof batch === "string") return Code.none
  const code = Verification.refusal(
    cluster,
    partition.log.producers,
    transactionalId,
    { producerId: batch.producerId, epoch: batch.producerEpoch },
    { topic: partition.topic, partition: partition.index },
    version < 11 ? "old" : version < 12 ? "abortable" : "adds"
  )
  // clients of before try again when replicas are missing
  const retried = code === Code.coordinatorNotAvailable || (code === Code.concurrentTransactions && version < 12)
  return retried ? Code.notEnoughReplicas : code
}
