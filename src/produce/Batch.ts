/**
 * Records of one partition on their way to a broker, and the queue they stand in. `Accumulator` moves them.
 */
import type { Delivery, ProduceRecord } from "../Record.ts"

/** The bytes of a batch beside its records. */
export const overhead = 61

/** Where the records of a caller stand in a batch: `count` from `from` of the caller's array, from `at` of the batch. */
export interface Segment {
  readonly delivery: Delivery
  readonly from: number
  readonly at: number
  count: number
}

/** Records of one partition that are sent as one. */
export interface Batch {
  readonly queue: Queue
  records: Array<ProduceRecord>
  segments: Array<Segment>
  bytes: number
  readonly createdAt: number
  readonly deadline: number
  /** Takes no more records. */
  closed: boolean
  attempts: number
  /** -1 until it is sent for the first time under the present producer id. */
  sequence: number
  /** The encoded form, kept for sending it again. Never written to once it exists. */
  encoded: Uint8Array | undefined
  persistence: "not" | "possibly"
  failure: { readonly cause: string; readonly code: number | undefined }
}

/** The batches of one partition. */
export interface Queue {
  readonly topic: string
  readonly partition: number
  readonly waiting: Array<Batch>
  readonly inFlight: Array<Batch>
  nextSequence: number
  retryAt: number
  recovering: boolean
  /** The broker has acknowledged a batch of the present producer id here. */
  established: boolean
}

/** An open batch. */
export const make = (queue: Queue, createdAt: number, deadline: number): Batch => ({
  queue,
  records: [],
  segments: [],
  bytes: overhead,
  createdAt,
  deadline,
  closed: false,
  attempts: 0,
  sequence: -1,
  encoded: undefined,
  persistence: "not",
  failure: { cause: "deliveryTimeout was spent before it could be sent", code: undefined }
})

/** Whether `a` was sent before `b`: by sequence, which wraps, or by age where there are none. */
export const before = (a: Batch, b: Batch): boolean =>
  a.sequence >= 0 && b.sequence >= 0
    ? ((b.sequence - a.sequence) & 0x7fffffff) < 0x40000000
    : a.createdAt <= b.createdAt
