/** Pure. What the fetch scheduler looks at, and what it finds: partitions, requests, answers. */
import type { Why } from "../Backoff.ts"
import type { Owner } from "./FetchBuffer.ts"

/** The wait after so many failures in a row, in milliseconds; see `Backoff.Delay`. */
export type Delay = (failures: number, why?: Why) => number
/** Makes one for each thing that fails by itself. */
export type Delays = () => Delay

/** A partition as the scheduler sees it. */
export interface Slot extends Owner {
  /** Whether it may be asked for at all: open, not paused, without a failure. */
  isWanted: boolean
  /** Whether a pull waits for it. */
  isAwaited: boolean
  /** Whether it was dropped for lack of room: it is asked for again when it is pulled. */
  isParked: boolean
  /** Whether more is there than was fetched, as far as is known. */
  isBehind: boolean
  /** Whether no broker has told anything of it since its position was set: then it is asked without a wait. */
  isNew: boolean
  /** Nothing is asked for it before this time. */
  asleepUntil: number
  /** When it was last pulled from, or given something. */
  touchedAt: number
  /** The least fetch size that makes sense: the size of a message that did not fit. */
  leastBytes: number
  /** The broker that it was last found at. */
  node: number | undefined
  /** The request under way that brings it something; cleared by whoever no longer waits for that. */
  asked: { readonly node: number } | undefined
}

/** A request to send. */
export interface Request<S> {
  readonly node: number
  readonly lane: number
  slots: ReadonlyArray<S>
  /** Of the whole answer, and of a partition in it. */
  readonly maxBytes: number
  readonly partitionBytes: number
  maxWait: number
  readonly sentAt: number
  /** What it takes of the pool while it is under way. */
  readonly reserved: number
  /** When it is taken for late: the brokers are asked who leads its partitions. */
  lateAt: number
}

export interface Settings {
  readonly bufferBytes: number
  readonly maxBytes: number
  readonly maxPartitionBytes: number
  readonly maxWait: number
}

/** What a look finds. */
export interface Look<S> {
  readonly requests: ReadonlyArray<Request<S>>
  /** They hold what others need the room of. */
  readonly drop: ReadonlyArray<S>
  /** Requests that should have been answered. */
  readonly late: ReadonlyArray<Request<S>>
  /** When to look again, if nothing happens before. */
  readonly wakeAt: number
}

/** How an answer was: `gave` bytes, or something else that matters; else there was nothing in it. */
export type Answer = "gave" | "told" | "empty"
