/**
 * What happens to the records of a Produce request on their way into a log: the checks of a real broker, in its order,
 * conversion to the log's format, sequences, timestamps.
 */
import * as KafkaError from "../../KafkaError.ts"
import * as Crc32c from "../../protocol/records/Crc32c.ts"
import * as RecordBatch from "../../protocol/records/RecordBatch.ts"
import * as Batch from "./Batch.ts"
import * as Code from "./Code.ts"
import type { EmbeddedCluster, Topic } from "./Cluster.ts"
import * as Convert from "./Convert.ts"
import type { EmbeddedPartition } from "./Partition.ts"

/** What a partition answers. */
export interface Appended {
  readonly errorCode: number
  readonly baseOffset: number
  /** -1 unless the topic has the broker's times. */
  readonly logAppendTimeMs: number
  readonly errorMessage?: string
  /** Records that are to blame, by their place in the batch (KIP-467). */
  readonly recordErrors?: ReadonlyArray<{ readonly batchIndex: number; readonly batchIndexErrorMessage: string }>
  /** What is wrong is in the records: the answer tells where the log begins, as real brokers do. */
  readonly inRecords?: true
  /** The broker closes the connection instead of answering. */
  readonly closes?: true
}

const refused = (errorCode: number, errorMessage?: string): Appended =>
  errorMessage === undefined
    ? { errorCode, baseOffset: -1, logAppendTimeMs: -1 }
    : { errorCode, baseOffset: -1, logAppendTimeMs: -1, errorMessage }

/** The batch is well-formed, and says what it must not: INVALID_RECORD, which older brokers had not. */
const refusedRecord = (cluster: EmbeddedCluster, errorMessage: string, records: ReadonlyArray<number> = []): Appended =>
  cluster.settings.profile.since("2.8")
    ? {
        ...refused(Code.invalidRecord, errorMessage),
        inRecords: true,
        recordErrors: records.map((batchIndex) => ({ batchIndex, batchIndexErrorMessage: errorMessage }))
      }
    : refused(Code.corruptMessage)

const keyless = "a record of a compacted topic needs a key"

const zstd = 4

/** The entries of a request's records, or why they are refused. */
const split = (records: Uint8Array): ReadonlyArray<Batch.Header & { readonly at: number }> | Batch.Flaw => {
  const entries: Array<Batch.Header & { readonly at: number }> = []
  let at = 0
  while (at < records.length) {
    const header = Batch.peek(records, at)
    if (typeof header === "string") return header
    entries.push({ ...header, at })
    at += header.size
  }
  return entries
}

/** Appends records to a partition, or tells why not. */
export const append = (
  cluster: EmbeddedCluster,
  topic: Topic,
  partition: EmbeddedPartition,
  records: Uint8Array | null,
  version: number
): Appended => {
  const { env, settings } = cluster
  const now = env.now()
  // before 2.x what is said of v3 was found while the request was read, which ended the connection
  const misshapen = (message: string): Appended =>
    settings.profile.since("2.8")
      ? refused(Code.invalidRecord, message)
      : { ...refused(Code.invalidRecord, message), closes: true }
  if (records === null || records.length === 0) return version >= 3 ? misshapen("no record batch") : refused(Code.none)
  const entries = split(records)
  if (typeof entries === "string") return refused(Code.corruptMessage)
  const first = entries[0]!
  if (version >= 3) {
    // from v3 on a request holds exactly one batch a partition
    if (first.magic !== 2) return misshapen("Produce v3 and later take only record batches of magic 2")
    if (entries.length > 1) return misshapen("Produce v3 and later take exactly one record batch")
  }
  const limit = Number(cluster.configOf(topic, "max.message.bytes"))
  for (const entry of entries) if (entry.size > limit) return refused(Code.messageTooLarge)
  if (version < 3 && entries.some((entry) => entry.magic === 2)) return refused(Code.corruptMessage)

  const appendTime = cluster.configOf(topic, "message.timestamp.type") === "LogAppendTime"
  if (first.magic === 2 && settings.profile.magic === 2)
    return appendBatch(cluster, topic, partition, records, first, version, appendTime, now)

  // the old formats: read, and written anew in the format of the log
  try {
    const converted = Convert.forLog(records, {
      magic: settings.profile.magic,
      baseOffset: partition.log.endOffset,
      appendTime: appendTime ? now : undefined,
      compression: settings.compression
    })
    const baseOffset = partition.log.endOffset
    if (cluster.configOf(topic, "cleanup.policy").includes("compact") && converted.some((c) => c.keyless))
      return refusedRecord(cluster, keyless)
    for (const { bytes, count } of converted) {
      let at = 0
      while (at < bytes.length) {
        const header = Batch.peek(bytes, at)
        if (typeof header === "string") return refused(Code.corruptMessage)
        // a compressed set is one entry with many records; otherwise each message is one
        const records = header.magic === 2 ? header.count : Batch.codecOf(header) === 0 ? 1 : count
        partition.log.append(bytes, at, { ...header, count: records }, partition.leaderEpoch, now)
        at += header.size
      }
    }
    return { errorCode: Code.none, baseOffset, logAppendTimeMs: appendTime ? now : -1 }
  } catch (error) {
    return refused(
      error instanceof KafkaError.KafkaError && error.reason._tag === "Unsupported"
        ? Code.unsupportedForMessageFormat
        : Code.corruptMessage
    )
  }
}

const appendBatch = (
  cluster: EmbeddedCluster,
  topic: Topic,
  partition: EmbeddedPartition,
  records: Uint8Array,
  batch: Batch.Header,
  version: number,
  appendTime: boolean,
  now: number
): Appended => {
  const { log } = partition
  const { profile } = cluster.settings
  if (Crc32c.plain(records, Batch.crcFrom, batch.size) !== Batch.crcOf(records, 0)) return refused(Code.corruptMessage)
  if (batch.count < 1 || batch.lastOffset - batch.baseOffset !== batch.count - 1)
    return refusedRecord(cluster, "the number of records is not that of the offsets")
  if (batch.baseOffset !== 0) return refusedRecord(cluster, "the base offset of a client's batch is 0")
  const codec = Batch.codecOf(batch)
  // zstd came with 2.1: before, its number broke the broker's own reading
  if (codec > zstd || (codec === zstd && version < 7))
    return {
      ...refused(profile.since("2.8") ? Code.unsupportedCompressionType : Code.unknownServerError),
      inRecords: true
    }
  if (Batch.isControl(batch)) return refusedRecord(cluster, "clients do not write control batches")
  if (batch.producerId >= 0 && (batch.producerEpoch < 0 || batch.baseSequence < 0))
    return refusedRecord(cluster, "an idempotent producer needs an epoch and a sequence")
  if (cluster.configOf(topic, "cleanup.policy").includes("compact")) {
    const without = Convert.keylessIn(records, cluster.settings.compression)
    if (without.length > 0) return refusedRecord(cluster, keyless, without)
  }

  if (batch.producerId >= 0) {
    const verdict = log.producers.judge(batch, profile.unknownProducer !== Code.none)
    switch (verdict._tag) {
      case "Duplicate":
        return {
          errorCode: Code.none,
          baseOffset: verdict.baseOffset,
          // of a duplicate brokers tell the time of its last record, whoever set it
          logAppendTimeMs: verdict.timestamp
        }
      case "OutOfOrder":
        return { ...refused(Code.outOfOrderSequenceNumber), inRecords: true }
      case "StaleEpoch":
        return { ...refused(Code.invalidProducerEpoch), inRecords: true }
      case "NotTransactional":
        return { ...refused(Code.invalidTxnState), inRecords: true }
      case "UnknownProducer":
        return { ...refused(profile.unknownProducer), inRecords: true }
    }
  }
  const entry = log.append(
    records,
    0,
    appendTime ? { ...batch, maxTimestamp: now, attributes: batch.attributes | 8 } : batch,
    partition.leaderEpoch,
    now
  )
  if (appendTime) RecordBatch.setLogAppendTime(log.bytesOf(entry), now)
  log.producers.appended(entry, profile.remembered)
  return { errorCode: Code.none, baseOffset: entry.baseOffset, logAppendTimeMs: appendTime ? now : -1 }
}
