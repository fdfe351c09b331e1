/**
 * The offsets that a group keeps: where its consumers begin, and where they have come to. A consumer knows this
 * contract alone; who keeps the offsets is behind it. The native client asks the group's coordinator; a `Membership`
 * may bring a keeper of its own, such as ZooKeeper.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as ErrorCode from "./ErrorCode.ts"
import type { KafkaError } from "./KafkaError.ts"
import type { TopicPartition } from "./TopicPartition.ts"

/** As whom offsets are committed. */
export interface Identity {
  /** Empty for whoever is no member. */
  readonly memberId: string
  /** The generation, or the member epoch (KIP-848); -1 for whoever is no member. */
  readonly generation: number
  /** Of a static member. */
  readonly instanceId: string | null
}

/** Nobody in particular: commits of a consumer that is no member of its group. */
export const anonymous: Identity = { memberId: "", generation: -1, instanceId: null }

/** What is committed for a partition. */
export interface Committed {
  /** The next offset to read. */
  readonly offset: number
  /** What its committer has written beside it; empty where nothing. */
  readonly metadata: string
}

/** What is to be committed. */
export interface Commit extends TopicPartition {
  /** The next offset to read. */
  readonly offset: number
  readonly metadata?: string | undefined
}

/** Keeps the offsets of groups. */
export class GroupOffsets extends Context.Service<
  GroupOffsets,
  {
    /**
     * What is committed, by `TopicPartition.key`; partitions without a commit are left out. Offsets of an open
     * transaction are waited for. Retried for as long as a retry may help: bounded by the caller.
     */
    readonly fetch: (
      group: string,
      partitions: ReadonlyArray<TopicPartition>
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
  }
>()("samsa/GroupOffsets") {}

/** Whether a commit that was refused with this code may succeed later. */
export const isRetriable = (code: number): boolean =>
  // UNKNOWN_TOPIC_OR_PARTITION, LOAD_IN_PROGRESS, NOT_AVAILABLE, NOT_COORDINATOR, REBALANCE_IN_PROGRESS
  code === 3 || code === 14 || code === 15 || code === 16 || code === 27 || ErrorCode.get(code).retriable
