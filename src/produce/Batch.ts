/**
 * Pure. The accumulator's data: records of one partition that travel together, and the batches of a partition. A queue
 * holds every batch that has no end yet, waiting or in flight, in one list in the order of submission: a batch that
 * comes back is where it was, and halves of a split stand in the place of the whole.
 */
import type { Delay } from "../Backoff.ts"
import type { ProducerId } from "../engine/TransactionGate.ts"
import type { Delivery, ProduceRecord } from "../Record.ts"

/** Whether an attempt may have left its records with a broker. */
export type Persistence = "not" | "possibly"

/** Which records of a caller stand in a batch: `count` from `from` of the caller's array, from `at` of the batch. */
export interface Segment {
  readonly delivery: Delivery
  readonly from: number
  readonly at: number
  count: number
  /** Taken back by the caller; its records leave when the batch departs. */
  withdrawn: boolean
}

export type { ProducerId } from "../engine/TransactionGate.ts"

/** A batch as bytes, and what it was written for. */
interface Encoded {
  readonly magic: 0 | 1 | 2
  readonly bytes: Uint8Array
  readonly producer: ProducerId | undefined
  readonly sequence: number
}

/** Records of one partition that are sent as one. */
export interface Batch {
  readonly queue: Queue
  records: Array<ProduceRecord>
  segments: Array<Segment>
  /** At most what its records take; those that were withdrawn count no more. */
  bytes: number
  readonly createdAt: number
  deadline: number
  /** The one topic that it is for, where its name is not enough. */
  readonly topicId: string | undefined
  /** Flushes that were asked for before it was made. */
  readonly generation: number
  /** Records that were withdrawn and are still in `records`. */
  withdrawn: number
  /** Segments by delivery, once somebody has withdrawn. */
  byDelivery: Map<Delivery, Segment> | undefined
  /** Takes no more records. */
  closed: boolean
  inFlight: boolean
  /** The present attempt was handed to a connection. */
  sent: boolean
  /** An attempt was, be it of the batch that it is a part of. */
  wasSent: boolean
  attempts: number
  /** Attempts that have failed, other than by coming too early. */
  failures: number
  /** The waits after them, once it has failed. */
  delay: Delay | undefined
  /** Refusals that may be the fault of one of its records, and may pass as well. */
  blames: number
  /** Refusals that named a leader. */
  hints: number
  /**
   * Batches behind it that were appended since it was first sent. A broker knows only the last five of a producer again:
   * one that may have been appended must stay among them until it has its end.
   */
  passed: number
  /** No other attempt is allowed: it fails when it is the first of its queue. */
  exhausted: boolean
  /** -1 until it is sent for the first time under the present epoch of its queue. */
  sequence: number
  /** The format that it was last sent in. */
  magic: 0 | 1 | 2
  /** Kept for sending it again. Never written to once it exists. */
  encoded: Encoded | undefined
  persistence: Persistence
  /** The end of an attempt of just these records, under just these sequences, is not known. */
  doubtful: boolean
  /**
   * The batch that it is a part of, where that may have been appended whole: the broker then refuses the part as out of
   * order, which proves nothing. Where it takes the part, it has not the whole, and will refuse it.
   */
  whole: Batch | undefined
  /** Sequences between it and what is behind it were given up: once it is appended, nobody can have what is behind it. */
  leavesGap: boolean
  failure: { readonly cause: string; readonly code: number | undefined } | undefined
  /** Its time was spent in flight and its end is told; it holds its place until the request has ended. */
  told: boolean
}

/** The batches of one partition. */
export interface Queue {
  readonly topic: string
  readonly partition: number
  /** All without an end, in the order of submission. Those in flight stand first. */
  readonly batches: Array<Batch>
  inFlight: number
  /** The node that those in flight went to. */
  node: number
  /** How many of its batches that node knows again. */
  remembers: number
  /**
   * Until when nothing is numbered: its topic keeps a format before 2 (`log.message.format.version`, as in an upgrade),
   * for which even newer brokers take no idempotent batch.
   */
  plainUntil: number
  /** What that node has lately found too large: the smallest, as bytes on the wire. What is as large is not sent. */
  tooLarge: { readonly node: number; readonly bytes: number; readonly until: number } | undefined
  /** The topic's id when they were sent, where brokers tell ids: it names the topic on the wire (Produce v13). */
  topicId: string | undefined
  /** Under what its sequences run. */
  producer: ProducerId | undefined
  nextSequence: number
  /**
   * Its sequences have to start anew, in another epoch, once nothing is in flight: after a gap, behind which nothing can
   * have been appended; or because the broker knows a later epoch, which proves nothing of what was sent before; or
   * because the cluster is another one now, which may have given our id to somebody else.
   */
  restart: "gap" | "fenced" | "foreign" | undefined
  /** Until when the broker is sure to remember a batch of this epoch: only then it refuses what would overtake. */
  establishedUntil: number
  retryAt: number
  /** A batch has come back while others are in flight: nothing goes until they are back. */
  recovering: boolean
  /** When a batch is full: less than the setting, once the broker has found one too large. */
  batchBytes: number
  /** Batches of about that size that were appended since it changed. */
  fitting: number
  /** The latest deadline since it was last empty. */
  latest: number
  /** Not all deadlines are in the order of the batches. */
  mixed: boolean
  /** Why nothing could be sent, when it was last tried. */
  obstacle: string | undefined
  /** The batches that were never sent, by delivery, once somebody has withdrawn. */
  unsent: Map<Delivery, Batch> | undefined
}

export const makeQueue = (topic: string, partition: number, batchBytes: number): Queue => ({
  topic,
  partition,
  batches: [],
  inFlight: 0,
  node: -1,
  remembers: 1,
  plainUntil: -Infinity,
  tooLarge: undefined,
  topicId: undefined,
  producer: undefined,
  nextSequence: 0,
  restart: undefined,
  establishedUntil: -Infinity,
  retryAt: 0,
  recovering: false,
  batchBytes,
  fitting: 0,
  latest: -Infinity,
  mixed: false,
  obstacle: undefined,
  unsent: undefined
})

/** What a batch takes beside its records. */
export const overhead = 61

/** An open batch. */
export const make = (
  queue: Queue,
  createdAt: number,
  deadline: number,
  generation: number,
  topicId: string | undefined
): Batch => ({
  queue,
  records: [],
  segments: [],
  bytes: overhead,
  createdAt,
  deadline,
  topicId,
  generation,
  withdrawn: 0,
  byDelivery: undefined,
  closed: false,
  inFlight: false,
  sent: false,
  wasSent: false,
  attempts: 0,
  failures: 0,
  delay: undefined,
  blames: 0,
  hints: 0,
  passed: 0,
  exhausted: false,
  sequence: -1,
  magic: 2,
  encoded: undefined,
  persistence: "not",
  doubtful: false,
  whole: undefined,
  leavesGap: false,
  failure: undefined,
  told: false
})

export const addSequence = (sequence: number, count: number): number => (sequence + count) % 0x80000000

/** Records of a queue that are not in flight. */
export const waiting = ({ batches, inFlight }: Queue): number => {
  let count = 0
  for (let i = inFlight; i < batches.length; i++) count += batches[i]!.records.length - batches[i]!.withdrawn
  return count
}

type SizeOf = (record: ProduceRecord) => number

/** The batch with the records of `ranges` alone, ascending: what it was, its attempts and its proof stay. */
const part = (batch: Batch, ranges: ReadonlyArray<readonly [from: number, to: number]>, sizeOf: SizeOf): Batch => {
  const made = make(batch.queue, batch.createdAt, batch.deadline, batch.generation, batch.topicId)
  for (const [start, end] of ranges) {
    const shift = made.records.length - start
    for (let i = start; i < end; i++) {
      made.records.push(batch.records[i]!)
      made.bytes += sizeOf(batch.records[i]!)
    }
    for (const { at, count, delivery, from } of batch.segments) {
      const first = Math.max(at, start)
      const within = Math.min(at + count, end) - first
      if (within <= 0) continue
      made.segments.push({ delivery, from: from + first - at, at: first + shift, count: within, withdrawn: false })
    }
  }
  made.closed = true
  made.wasSent = batch.wasSent
  made.attempts = batch.attempts
  made.failures = batch.failures
  // One of the parts has none of those that it may be the fault of.
  made.blames = Math.min(1, batch.blames)
  made.hints = batch.hints
  made.passed = batch.passed
  made.exhausted = batch.exhausted
  made.magic = batch.magic
  made.persistence = batch.persistence
  made.whole = batch.doubtful ? batch : batch.whole
  made.failure = batch.failure
  return made
}

/** Two halves with the sequences of the whole. */
export const split = (batch: Batch, sizeOf: SizeOf): readonly [Batch, Batch] => {
  const half = batch.records.length >> 1
  const parts = [part(batch, [[0, half]], sizeOf), part(batch, [[half, batch.records.length]], sizeOf)] as const
  parts[1].leavesGap = batch.leavesGap
  parts[0].sequence = batch.sequence
  parts[1].sequence = batch.sequence < 0 ? -1 : addSequence(batch.sequence, half)
  return parts
}

/** The batch without the records of some indexes, ascending; undefined where none is left. It keeps its first sequence. */
export const without = (batch: Batch, indexes: ReadonlyArray<number>, sizeOf: SizeOf): Batch | undefined => {
  const ranges: Array<readonly [number, number]> = []
  let start = 0
  for (const index of indexes) {
    if (index > start) ranges.push([start, index])
    start = index + 1
  }
  if (start < batch.records.length) ranges.push([start, batch.records.length])
  if (ranges.length === 0) return undefined
  const rest = part(batch, ranges, sizeOf)
  rest.sequence = batch.sequence
  rest.leavesGap = batch.sequence >= 0
  return rest
}

/** Calls `f` with each run of a caller's records that is still in the batch: from where in the caller's array, how many, from where in the batch. */
export const forEachRun = (
  batch: Batch,
  f: (delivery: Delivery, from: number, count: number, at: number) => void
): void => {
  for (const { at, count, delivery, from, withdrawn } of batch.segments) if (!withdrawn) f(delivery, from, count, at)
}

/** Removes what was withdrawn from an unsent batch. */
export const compact = (batch: Batch): void => {
  if (batch.withdrawn === 0) return
  const records: Array<ProduceRecord> = []
  const segments: Array<Segment> = []
  for (const segment of batch.segments) {
    if (segment.withdrawn) continue
    const at = records.length
    for (let i = segment.at; i < segment.at + segment.count; i++) records.push(batch.records[i]!)
    segments.push({ ...segment, at })
  }
  batch.records = records
  batch.segments = segments
  batch.withdrawn = 0
  batch.byDelivery = undefined
}

/** It may have been appended. */
export const doubt = (batch: Batch): void => {
  batch.persistence = "possibly"
  batch.doubtful = true
}

/** A part was appended: nobody has the whole, nor those that the whole was a part of, so that other parts were not appended in it. */
export const disprove = ({ queue, whole }: Batch): void => {
  for (let no = whole; no !== undefined; no = no.whole) {
    for (const other of queue.batches) {
      if (other.whole !== no) continue
      other.whole = undefined
      if (!other.doubtful) other.persistence = "not"
    }
  }
}

/**
 * It has left its queue, and nobody has it but as a part: the next part takes its first sequence, so that a broker that
 * has not the whole takes that one. Of no other batch a broker could mistake it, since none of these sequences was.
 */
export const passOn = ({ doubtful, sequence, whole }: Batch, next: Batch | undefined): boolean => {
  if (whole === undefined || doubtful || next?.whole !== whole || next.inFlight || next.doubtful) return false
  next.sequence = sequence
  next.leavesGap = true
  return true
}

/**
 * How many batches behind the one that goes next may still be appended by a request that was taken for lost, and so pass
 * what is under way. Infinity where that cannot be said: one that may still arrive has left the queue.
 */
export const lateBehind = ({ batches, inFlight, nextSequence }: Queue): number => {
  let late = 0
  for (let i = 1; i < batches.length; i++) {
    const before = batches[i - 1]!
    const { doubtful, sequence, whole } = batches[i]!
    if (addSequence(before.sequence, before.records.length) !== (sequence < 0 ? nextSequence : sequence))
      return Infinity
    if (sequence < 0) break
    if (i <= inFlight) continue
    if (!doubtful && whole === undefined) break
    late++
  }
  return late
}

/** The batches of a queue that were never sent, by delivery. */
export const unsent = (queue: Queue): Map<Delivery, Batch> => {
  const found = new Map<Delivery, Batch>()
  for (const batch of queue.batches) {
    if (batch.attempts > 0) continue
    for (const { delivery, withdrawn } of batch.segments) if (!withdrawn) found.set(delivery, batch)
  }
  return found
}

/** The places of its records that have headers, ascending. */
export const withHeaders = ({ records }: Batch): ReadonlyArray<number> =>
  records.flatMap(({ headers }, i) => (headers.length > 0 ? [i] : []))

/** Nothing of it can be withdrawn any more. */
export const isUnsentNoMore = ({ queue, segments }: Batch): void => {
  if (queue.unsent !== undefined) for (const { delivery } of segments) queue.unsent.delete(delivery)
}

/** Takes a caller's records out of an unsent batch; gives how many, 0 where they are not in it. */
export const withdraw = (batch: Batch, delivery: Delivery, sizeOf: SizeOf): number => {
  let index = batch.byDelivery
  if (index === undefined) {
    index = batch.byDelivery = new Map()
    for (const segment of batch.segments) index.set(segment.delivery, segment)
  }
  const segment = index.get(delivery)
  if (segment === undefined || segment.withdrawn) return 0
  segment.withdrawn = true
  batch.withdrawn += segment.count
  for (let i = segment.at; i < segment.at + segment.count; i++) batch.bytes -= sizeOf(batch.records[i]!)
  // Callers that come and give up for ever must not fill the memory of a batch that never departs.
  if (batch.withdrawn > 64 && batch.withdrawn * 2 > batch.records.length) compact(batch)
  return segment.count
}
