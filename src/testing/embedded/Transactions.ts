/**
 * The transaction coordinator: every transactional id with its producer, and the transactions that are open. It is the
 * cluster's, and survives brokers and moves of the coordinator, as what real coordinators read back from
 * `__transaction_state` does; each move is a new epoch of the coordinator, which its markers carry.
 *
 * What is decided is durable at once; the markers follow, and until they are written the id is busy
 * (CONCURRENT_TRANSACTIONS).
 */
import * as Code from "./Code.ts"
import * as Markers from "./Markers.ts"
import type { Timer } from "./Runtime.ts"
import * as TransactionState from "./TransactionState.ts"
import type { Identity, TopicPartition, Transaction } from "./TransactionState.ts"

/** What of a cluster has to do with it. */
interface Coordinating extends Markers.Marked {
  readonly settings: { readonly transactionVersion: number }
  readonly newProducerId: () => number
  /** How often a coordinator has moved: its epoch. */
  readonly moves: (name: string) => number
}

/** Who the producer is now, or why not. */
export interface Answer extends Identity {
  readonly code: number
}

const refused = (code: number): Answer => ({ code, producerId: -1, epoch: -1 })

/** `transactional.id.expiration.ms`: seven days. */
const expiration = 604_800_000

export class TransactionCoordinator {
  private readonly byId = new Map<string, Transaction>()
  private readonly timers = new Map<string, Timer>()
  private readonly cluster: Coordinating

  constructor(cluster: Coordinating) {
    this.cluster = cluster
  }

  get all(): ReadonlyArray<Transaction> {
    return Array.from(this.byId.keys(), (id) => this.get(id)).filter((t) => t !== undefined)
  }

  /** An id that nobody has used for a week is forgotten. */
  get(transactionalId: string): Transaction | undefined {
    const t = this.byId.get(transactionalId)
    if (t === undefined) return undefined
    this.loaded(t)
    const isIdle = t.state !== "Ongoing" && !TransactionState.isPreparing(t)
    if (!isIdle || this.now - t.updatedAt < expiration) return t
    this.byId.delete(transactionalId)
    return undefined
  }

  /** A coordinator that takes over reads no epoch but the last one: `__transaction_state` has none of the one before. */
  private loaded(t: Transaction): void {
    const moves = this.cluster.moves(`transaction:${t.transactionalId}`)
    if (t.moves !== moves) t.lastEpoch = -1
    t.moves = moves
  }

  private get now(): number {
    return this.cluster.env.now()
  }

  /** Whether the cluster's finalized feature `transaction.version` is 2. */
  private get raises(): boolean {
    return this.cluster.settings.transactionVersion >= 2
  }

  initialise(transactionalId: string, timeout: number, expected: Identity | undefined): Answer {
    const newProducerId = () => this.cluster.newProducerId()
    let t = this.get(transactionalId)
    if (t === undefined)
      this.byId.set(transactionalId, (t = TransactionState.make(transactionalId, newProducerId(), timeout, this.now)))
    const result = TransactionState.initialise(t, timeout, expected, newProducerId, this.now)
    switch (result._tag) {
      case "Refused":
        return refused(result.code)
      case "Fence":
        this.fence(t)
        return refused(Code.concurrentTransactions)
      case "Done":
        this.cluster.changed()
        return { code: Code.none, producerId: t.producerId, epoch: t.epoch }
    }
  }

  /** Adds partitions to a producer's transaction. `raises`: it is of transaction version 2. */
  add(transactionalId: string, who: Identity, partitions: Iterable<TopicPartition>, raises: boolean): number {
    const t = this.get(transactionalId)
    const code = TransactionState.refusesWork(t, who)
    if (t === undefined || code !== Code.none) return code
    if (TransactionState.add(t, partitions, raises, this.now))
      this.timers.set(
        transactionalId,
        this.cluster.env.after(t.timeout, () => this.fence(t))
      )
    this.cluster.changed()
    return Code.none
  }

  /** Whether a partition is in a producer's transaction, and why not. */
  verify(transactionalId: string, who: Identity, partition: TopicPartition): number {
    const t = this.get(transactionalId)
    const code = TransactionState.refusesWork(t, who)
    if (t === undefined || code !== Code.none) return code
    return t.partitions.has(TransactionState.keyOf(partition)) ? Code.none : Code.transactionAbortable
  }

  /** Commits or aborts. `raises`: the client's request is of transaction version 2. */
  end(transactionalId: string, who: Identity, commits: boolean, raises: boolean): Answer {
    const t = this.get(transactionalId)
    const ended = raises
      ? TransactionState.endV2(t, who, commits, () => this.cluster.newProducerId(), this.now)
      : TransactionState.endV1(t, who, commits, this.now)
    if (t === undefined) return refused(Code.invalidProducerIdMapping)
    if (ended._tag === "Answered") {
      const { epoch, producerId } = t
      return ended.code === Code.none ? { code: Code.none, producerId, epoch } : refused(ended.code)
    }
    const next = TransactionState.next(t)
    this.sendMarkers(t)
    return { code: Code.none, ...next }
  }

  private fence(t: Transaction): void {
    this.loaded(t)
    if (t.state !== "Ongoing") return
    TransactionState.fence(t, this.raises, () => this.cluster.newProducerId(), this.now)
    this.sendMarkers(t)
  }

  private sendMarkers(t: Transaction): void {
    const { cluster } = this
    const { epoch, producerId, state, transactionalId } = t
    this.timers.get(transactionalId)?.cancel()
    this.timers.delete(transactionalId)
    cluster.changed()
    const name = `transaction:${transactionalId}`
    const marker = () => ({
      producerId,
      epoch,
      coordinatorEpoch: cluster.moves(name),
      commits: state === "PrepareCommit"
    })
    Markers.deliver(cluster, transactionalId, Array.from(t.partitions.values()), marker, () => {
      TransactionState.complete(t, this.now)
      cluster.changed()
    })
  }
}
