/**
 * The offsets that a group keeps: where its consumers begin, and where they have come to. A consumer knows this
 * contract alone; who keeps the offsets is behind it. The native client asks the group's coordinator; a `Membership`
 * may bring a keeper of its own, such as ZooKeeper.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as ErrorCode from "./ErrorCode.ts"
import type { KafkaError } from "./KafkaError.ts"
import type { TopicIdPartition } from "./TopicPartition.ts"

/**
 * As whom offsets are committed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Identity {
  /** Empty for whoever is no member. */
  readonly memberId: string
  /** The generation, or the member epoch (KIP-848); -1 for whoever is no member. */
  readonly generation: number
  /** Of a static member. */
  readonly instanceId: string | null
  /**
   * Asked once more when a commit is written, which may be long after it was asked for: where it is false nothing is
   * committed, and the commit fails with `Server` REBALANCE_IN_PROGRESS. Default: it is.
   */
  readonly isCurrent?: (() => boolean) | undefined
}

/**
 * Nobody in particular: commits of a consumer that is no member of its group.
 *
 * @since 0.1.0
 * @category constructors
 */
export const anonymous: Identity = { memberId: "", generation: -1, instanceId: null }

/**
 * What is committed for a partition.
 *
 * @since 0.1.0
 * @category models
 */
export interface Committed {
  /** The next offset to read. */
  readonly offset: number
  /** The leader epoch of the record before it; -1 where it is not known (KIP-320). */
  readonly leaderEpoch: number
  /** What its committer has written beside it; empty where nothing. */
  readonly metadata: string
}

/**
 * What is to be committed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Commit extends TopicIdPartition {
  /** The next offset to read. */
  readonly offset: number
  /** The leader epoch of the record before it, where it is known (KIP-320). */
  readonly leaderEpoch?: number | undefined
  readonly metadata?: string | undefined
}

/**
 * The transaction that offsets are committed in.
 *
 * @since 0.1.0
 * @category models
 */
export interface InTransaction {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
  /** The commit adds the group's offsets to the transaction by itself (KIP-890, transaction version 2). */
  readonly isImplicit: boolean
}

/**
 * Keeps the offsets of groups. A partition may carry its topic's id: then it is that topic's offset, not one of another
 * that has its name by now.
 *
 * @since 0.1.0
 * @category services
 */
export class GroupOffsets extends Context.Service<
  GroupOffsets,
  {
    /**
     * What is committed, by `TopicPartition.key`; partitions without a commit are left out. Offsets of an open
     * transaction are waited for. A member of the group says who it is, `as`, at each try: while it is on its way to the
     * next epoch it is refused. Retried for as long as a retry may help: bounded by the caller, who hears of each
     * failure by `waits`.
     */
    readonly fetch: (
      group: string,
      partitions: ReadonlyArray<TopicIdPartition>,
      as?: () => Identity,
      waits?: (error: KafkaError) => Effect.Effect<void>
    ) => Effect.Effect<ReadonlyMap<string, Committed>, KafkaError>
    /**
     * Commits all of them at once, once: gives Kafka's error code of each, in their order, 0 for what is committed and
     * -1 for what nothing was said of. Fails where there was no answer at all; then any of them may be committed.
     */
    readonly commit: (
      group: string,
      as: Identity,
      commits: ReadonlyArray<Commit>
    ) => Effect.Effect<ReadonlyArray<number>, KafkaError>
    /**
     * The same within a transaction (TxnOffsetCommit): they are the group's when it is committed. From 2.5 on the
     * coordinator refuses whoever is no member of the group's generation any more (KIP-447). Left out by who keeps
     * offsets outside of Kafka, where they cannot be part of a transaction.
     */
    readonly commitIn?:
      | ((
          transaction: InTransaction,
          group: string,
          as: Identity,
          commits: ReadonlyArray<Commit>
        ) => Effect.Effect<ReadonlyArray<number>, KafkaError>)
      | undefined
  }
>()("samsa/GroupOffsets") {}

/**
 * Whether a commit that was refused with this code may succeed later; during a rebalance too, once the member has joined.
 *
 * @since 0.1.0
 * @category guards
 */
export const isRetriable = (code: number): boolean =>
  code === ErrorCode.codes.REBALANCE_IN_PROGRESS || ErrorCode.isTransient(code, "OffsetCommit")
