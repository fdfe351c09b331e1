/**
 * Pure. A transactional id as its coordinator knows it, and what may become of it: who may go on and who is fenced
 * (KIP-98, KIP-360, KIP-588), and epochs that grow with each transaction (KIP-890, transaction version 2).
 */
import * as Code from "./Code.ts"

/** As Kafka spells it. A state that prepares has decided, and its markers are on their way. */
export type State = "Empty" | "Ongoing" | "PrepareCommit" | "PrepareAbort" | "CompleteCommit" | "CompleteAbort"

/** Every state that Kafka knows, in its order. */
export const states = [
  "Empty",
  "Ongoing",
  "PrepareCommit",
  "PrepareAbort",
  "CompleteCommit",
  "CompleteAbort",
  "Dead",
  "PrepareEpochFence"
] as const

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface Transaction {
  readonly transactionalId: string
  producerId: number
  /** Whom it had before its epochs were used up; -1 where there was none. */
  previousProducerId: number
  /** Whom it will have when the transaction that uses up the epochs has ended; -1 where the id stays. */
  nextProducerId: number
  /** -1 until the first InitProducerId is done. */
  epoch: number
  /** The epoch before, where who has it may ask again (KIP-360); else -1. */
  lastEpoch: number
  /** How often its coordinator had moved when it was last asked for. */
  moves: number
  /** Milliseconds. */
  timeout: number
  state: State
  /** By `topic-partition`. */
  readonly partitions: Map<string, TopicPartition>
  /** When the open transaction began; -1 where there is none. */
  startedAt: number
  updatedAt: number
  /** Its last step was of transaction version 2. */
  raises: boolean
}

export const make = (transactionalId: string, producerId: number, timeout: number, now: number): Transaction => ({
  transactionalId,
  producerId,
  previousProducerId: -1,
  nextProducerId: -1,
  epoch: -1,
  lastEpoch: -1,
  moves: 0,
  timeout,
  state: "Empty",
  partitions: new Map(),
  startedAt: -1,
  updatedAt: now,
  raises: false
})

export const keyOf = ({ partition, topic }: TopicPartition): string => `${topic}-${partition}`

/** The last epoch is kept for the coordinator, so that it can always fence. */
const isExhausted = (epoch: number): boolean => epoch >= 32766

export const isPreparing = ({ state }: Transaction): boolean => state === "PrepareCommit" || state === "PrepareAbort"

/** A producer as a request names it. */
export interface Identity {
  readonly producerId: number
  readonly epoch: number
}

/** What InitProducerId comes to: it is refused, what is open is to be aborted first, or it is done. */
type Initialised = { readonly _tag: "Refused"; readonly code: number } | { readonly _tag: "Fence" | "Done" }

/** InitProducerId. `expected` is who asks to have its epoch raised (KIP-360). */
export const initialise = (
  t: Transaction,
  timeout: number,
  expected: Identity | undefined,
  newProducerId: () => number,
  now: number
): Initialised => {
  const fenced = { _tag: "Refused", code: Code.producerFenced } as const
  const isKnown =
    expected === undefined ||
    t.epoch === -1 ||
    expected.producerId === t.producerId ||
    (expected.producerId === t.previousProducerId && isExhausted(expected.epoch))
  if (isPreparing(t)) return { _tag: "Refused", code: Code.concurrentTransactions }
  if (!isKnown) return fenced
  if (t.state === "Ongoing") return { _tag: "Fence" }
  const isOwn = expected === undefined || t.epoch === -1 || expected.epoch === t.epoch
  // Kafka's own slip: it raises the epoch in vain before it looks whether that was asked for before.
  if (!isOwn && isExhausted(t.epoch)) return { _tag: "Refused", code: Code.unknownServerError }
  if (!isOwn && expected.epoch !== t.lastEpoch) return fenced
  if (isOwn) {
    const last = expected === undefined ? -1 : t.epoch
    t.previousProducerId = t.producerId
    if (isExhausted(t.epoch)) {
      t.producerId = newProducerId()
      t.epoch = 0
    } else t.epoch++
    t.lastEpoch = last
  }
  t.timeout = timeout
  t.state = "Empty"
  t.partitions.clear()
  t.startedAt = -1
  t.updatedAt = now
  return { _tag: "Done" }
}

/** Why a producer may not add to its transaction; 0 where it may. */
export const refusesWork = (t: Transaction | undefined, { epoch, producerId }: Identity): number => {
  if (t === undefined) return Code.invalidProducerIdMapping
  // Whoever asks: it may be the producer id that follows, which is not there before the markers are written.
  if (t.raises && isPreparing(t)) return Code.concurrentTransactions
  if (t.producerId !== producerId) return Code.invalidProducerIdMapping
  if (t.epoch !== epoch) return Code.producerFenced
  return isPreparing(t) ? Code.concurrentTransactions : Code.none
}

/** Adds partitions; begins a transaction where none is open, and says whether it did. */
export const add = (t: Transaction, added: Iterable<TopicPartition>, raises: boolean, now: number): boolean => {
  const begins = t.state !== "Ongoing"
  if (begins) {
    t.state = "Ongoing"
    t.partitions.clear()
    t.startedAt = now
  }
  for (const each of added) t.partitions.set(keyOf(each), each)
  t.updatedAt = now
  t.raises = raises
  return begins
}

/** What EndTxn comes to: it is refused, it was done already (0), or markers are to be written. */
export type Ended = { readonly _tag: "Answered"; readonly code: number } | { readonly _tag: "Prepared" }

const answered = (code: number): Ended => ({ _tag: "Answered", code })

/** EndTxn below v5: the epoch stays. */
export const endV1 = (
  t: Transaction | undefined,
  { epoch, producerId }: Identity,
  commits: boolean,
  now: number
): Ended => {
  if (t === undefined || t.producerId !== producerId) return answered(Code.invalidProducerIdMapping)
  if (t.epoch !== epoch) return answered(Code.producerFenced)
  switch (t.state) {
    case "Ongoing":
      return prepare(t, commits, undefined, now)
    case "CompleteCommit":
      return answered(commits ? Code.none : Code.invalidTxnState)
    case "CompleteAbort":
      return answered(commits ? Code.invalidTxnState : Code.none)
    // Whatever is asked for: coordinators look no further while they write markers.
    case "PrepareCommit":
    case "PrepareAbort":
      return answered(Code.concurrentTransactions)
    case "Empty":
      return answered(Code.invalidTxnState)
  }
}

/**
 * EndTxn from v5 on (KIP-890): each end raises the epoch, also an abort of nothing, so that a request of the transaction
 * before is known by its epoch.
 */
export const endV2 = (
  t: Transaction | undefined,
  { epoch, producerId }: Identity,
  commits: boolean,
  newProducerId: () => number,
  now: number
): Ended => {
  if (t === undefined) return answered(Code.invalidProducerIdMapping)
  if (isPreparing(t)) return answered(Code.concurrentTransactions)
  const isOverflown = t.previousProducerId === producerId && epoch === 32766 && t.epoch === 0
  const isBumped = t.raises && t.epoch === epoch + 1
  const isRetry = isOverflown || isBumped
  if (t.producerId !== producerId && !isOverflown) return answered(Code.invalidProducerIdMapping)
  const isOwn = t.epoch === epoch
  const isComplete = t.state === "CompleteCommit" || t.state === "CompleteAbort"
  if (!isOwn && !(isComplete && isRetry)) return answered(Code.producerFenced)
  const begin = (): Ended => {
    if (t.state !== "Ongoing") t.startedAt = now
    return prepare(t, commits, newProducerId, now)
  }
  switch (t.state) {
    case "Ongoing":
      return begin()
    case "CompleteCommit":
      if (isRetry) return answered(commits ? Code.none : Code.invalidTxnState)
      break
    case "CompleteAbort":
      if (isRetry) return answered(commits ? Code.invalidTxnState : Code.none)
  }
  return commits ? answered(Code.invalidTxnState) : begin()
}

/**
 * Aborts what is open, in the next epoch: InitProducerId, or a time-out. Where ends raise epochs anyway, who had the one
 * before may ask again; else nobody has it.
 */
export const fence = (t: Transaction, raises: boolean, newProducerId: () => number, now: number): void => {
  if (!raises) {
    t.epoch++
    t.lastEpoch = -1
  }
  prepare(t, false, raises ? newProducerId : undefined, now)
}

/** `raises`: the epoch, with transaction version 2; it gives the producer id that follows where epochs are used up. */
const prepare = (t: Transaction, commits: boolean, raises: (() => number) | undefined, now: number): Ended => {
  t.state = commits ? "PrepareCommit" : "PrepareAbort"
  t.raises = raises !== undefined
  t.updatedAt = now
  if (raises !== undefined) {
    if (isExhausted(t.epoch)) t.nextProducerId = raises()
    t.lastEpoch = t.epoch
    t.epoch++
  }
  return { _tag: "Prepared" }
}

/** Every marker is written. */
export const complete = (t: Transaction, now: number): void => {
  t.state = t.state === "PrepareCommit" ? "CompleteCommit" : "CompleteAbort"
  t.partitions.clear()
  t.updatedAt = now
  if (t.nextProducerId < 0) return
  t.previousProducerId = t.producerId
  t.producerId = t.nextProducerId
  t.epoch = 0
  t.nextProducerId = -1
}

/** Who the producer is after the transaction that is ending. */
export const next = (t: Transaction): Identity =>
  t.nextProducerId < 0 ? { producerId: t.producerId, epoch: t.epoch } : { producerId: t.nextProducerId, epoch: 0 }
