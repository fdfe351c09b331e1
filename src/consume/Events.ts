/** What a consumer tells that is not a failure. Pure. */
import type { KafkaError } from "../KafkaError.ts"
import type { TopicPartition } from "../TopicPartition.ts"

/** Records of a partition that were delivered and are not marked as done. */
export interface Unfinished extends TopicPartition {
  readonly count: number
  /** The lowest of them. */
  readonly lowest: number
}

/** What is not a failure. */
export type ConsumerEvent =
  | {
      /** `Assigned`, even of none; `Revoked`: given back in peace; `Lost`: taken; `Drained`: nothing is in flight. */
      readonly _tag: "Assigned" | "Revoked" | "Lost" | "Drained"
      readonly partitions: ReadonlyArray<TopicPartition>
    }
  /**
   * Work was not through within `drainTimeout`, or `done` was forgotten: what is unfinished comes again elsewhere. Or, with
   * nothing `unfinished`, the last commit was not taken in time: what was done since the one before comes again.
   */
  | {
      readonly _tag: "RevokeTimedOut"
      readonly partitions: ReadonlyArray<TopicPartition>
      readonly unfinished: ReadonlyArray<Unfinished>
    }
  /** Everything that was in the partition is delivered; once each time that it is so. */
  | { readonly _tag: "CaughtUp"; readonly partition: TopicPartition }
  /** The consumer cannot start, a partition finds no start, or its leader is not heard: tried again meanwhile. */
  | {
      readonly _tag: "Waiting"
      readonly group: string | undefined
      /** Undefined where all of them wait. */
      readonly partition: TopicPartition | undefined
      /** Why: addresses and causes. */
      readonly error: KafkaError
    }
  /** The topic is not there any more: these are given up until it is there again. */
  | { readonly _tag: "Deleted"; readonly partitions: ReadonlyArray<TopicPartition> }
  /** A topic of this name is there again, and this came with it: it is read from its first record. */
  | { readonly _tag: "Recreated"; readonly partition: TopicPartition }
  /**
   * The position no longer existed; the partition goes on at `to` by `onOutOfRange`. Or, of a bounded read, its end `from`
   * did not: it ends at `to`.
   */
  | { readonly _tag: "DataLoss"; readonly partition: TopicPartition; readonly from: number; readonly to: number }
  /** A record that does not fit its Schema was passed over by `onUndecodable` or a dead letter. */
  | {
      readonly _tag: "Skipped"
      readonly partition: TopicPartition
      readonly offset: number
      readonly error: KafkaError
    }
  /** With `fetch.onCorrupt: "skip"`: the offsets from `from` up to `to`, without it, are damaged in the log. */
  | {
      readonly _tag: "Damaged"
      readonly partition: TopicPartition
      readonly from: number
      readonly to: number
      readonly error: KafkaError
    }
  /** Nothing that was delivered was done for `progressTimeout`. */
  | { readonly _tag: "Stalled"; readonly partition: TopicPartition; readonly unfinished: number }
