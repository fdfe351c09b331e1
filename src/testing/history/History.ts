/**
 * What the oracle knows of a run: a list of events in the order in which they happened, and the logs as they were in the
 * end. Plain data, so that a history may be recorded here, or put together from any other source.
 */
import { createHash } from "node:crypto"
import type { TopicPartition } from "../../TopicPartition.ts"

/** What of reliability an oracle checks. */
export type Invariant = "I1" | "I2" | "I3" | "I4" | "I5" | "I6" | "I7" | "I8" | "I9"

/** An invariant that does not hold. */
export interface Violation {
  readonly invariant: Invariant
  readonly message: string
  readonly topic?: string
  readonly partition?: number
  readonly group?: string
  /** The offsets that it is about. */
  readonly offsets?: ReadonlyArray<number>
}

/** The records of a partition that a reader may see: no control records, none of transactions that are aborted or open. */
export interface PartitionLog extends TopicPartition {
  /** The first offset that may be read. Default 0. */
  readonly startOffset?: number
  /** Records may be missing where a later one has the same key. Default false. */
  readonly compacted?: boolean
  readonly records: ReadonlyArray<{ readonly offset: number; readonly content: string }>
}

/** A partition of a group, as one member has it. */
export interface Membered extends TopicPartition {
  readonly group: string
  readonly member: string
}

/** What happened. `content` is what `contentOf` makes of key and value. */
export type Event =
  /** A record was handed to a producer by `source`, whose records keep their order. */
  | {
      readonly _tag: "Submitted"
      readonly id: number
      readonly source: string
      readonly topic: string
      readonly content: string
      /** `acks: "all"`: an acknowledged record is in the log for good. Default true. */
      readonly durable?: boolean
      /** Idempotent: there are no duplicates. Default true. */
      readonly unique?: boolean
      /** The transaction that it is part of. */
      readonly transaction?: number
    }
  /** A transaction began: one of its id at a time. */
  | { readonly _tag: "TransactionBegan"; readonly transaction: number; readonly transactionalId: string }
  /** The producer said what became of it. `unknown`: it may be either, but as a whole; so are those that never end. */
  | {
      readonly _tag: "TransactionEnded"
      readonly transaction: number
      readonly outcome: "committed" | "aborted" | "unknown"
    }
  /** A transaction took an offset that is the group's when it is committed. */
  | ({
      readonly _tag: "TransactionOffset"
      readonly transaction: number
      readonly group: string
      readonly offset: number
    } & TopicPartition)
  /** Records were given to a transaction that commits their offsets to the group: what follows them is its offset there. */
  | ({
      readonly _tag: "Processed"
      readonly transaction: number
      readonly group: string
      readonly offsets: ReadonlyArray<number>
      readonly contents: ReadonlyArray<string>
    } & TopicPartition)
  | ({ readonly _tag: "Acknowledged"; readonly id: number; readonly offset: number | undefined } & TopicPartition)
  /** The producer said that it failed, and whether the log may have it all the same. */
  | { readonly _tag: "Failed"; readonly id: number; readonly persistence: "not" | "possibly" }
  /** A member begins to belong to its group, and has left it. */
  | { readonly _tag: "Entered" | "Departed"; readonly group: string; readonly member: string }
  /** `at`: when, in milliseconds; without it no time in rebalance is known. */
  | ({ readonly _tag: "Assigned" | "Revoked" | "Lost"; readonly at?: number } & Membered)
  /** What was revoked was not given back in peace: the time was over, or the last commit was refused. */
  | ({ readonly _tag: "RevokeTimedOut" | "RevokeTooLate" } & Membered)
  /** Records were given to the application; `ordered`: one after the other, as a stream does. */
  | ({
      readonly _tag: "Delivered"
      readonly offsets: ReadonlyArray<number>
      /** Left out where the log cannot tell, as for readers of uncommitted data. */
      readonly contents?: ReadonlyArray<string>
      readonly ordered: boolean
    } & Membered)
  /** A handler of a record has begun, and ended or was interrupted: for those who see their handlers. */
  | ({ readonly _tag: "HandlerBegan" | "HandlerEnded"; readonly offset: number } & Membered)
  /** A record was marked as done. */
  | ({ readonly _tag: "Done"; readonly offset: number } & Membered)
  /** The member goes on from elsewhere; what it had is forgotten. */
  | ({ readonly _tag: "Seek"; readonly offset: number } & Membered)
  /** The application is about to commit this offset, whatever is done. */
  | ({ readonly _tag: "CommitByHand"; readonly offset: number } & Membered)
  /** The broker took a commit. */
  | ({
      readonly _tag: "Committed"
      readonly group: string
      readonly offset: number
      /** It came with the end of a transaction. */
      readonly transactional?: true
    } & TopicPartition)
  /** An effect that must end within `budget` milliseconds began at the time `at`. */
  | { readonly _tag: "Began"; readonly id: number; readonly name: string; readonly at: number; readonly budget: number }
  | { readonly _tag: "Ended"; readonly id: number; readonly at: number; readonly exit: string }
  /** Something was still there when it should have been gone. */
  | { readonly _tag: "Left"; readonly name: string; readonly what: string }
  /** So much was held, where no more than `limit` is allowed. Written when it is more than ever before. */
  | { readonly _tag: "Measured"; readonly name: string; readonly value: number; readonly limit: number }

/** A run. */
export interface History {
  /** Partitions without a log are not compared with one. */
  readonly logs: ReadonlyArray<PartitionLog>
  /** How long a partition of a group that has members may be nobody's, in milliseconds. Default: not judged. */
  readonly rebalanceWithin?: number | undefined
  readonly events: ReadonlyArray<Event>
}

const digest = (bytes: Uint8Array | null): string => {
  if (bytes === null) return "null"
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return bytes.length > 96 ? `sha256=${createHash("sha256").update(bytes).digest("base64url")}` : view.toString("hex")
}

/** Key and value of a record as a text that is equal where they are. */
export const contentOf = (record: { readonly key: Uint8Array | null; readonly value: Uint8Array | null }): string =>
  `${digest(record.key)}:${digest(record.value)}`

/** The key's part of a content. */
export const keyOf = (content: string): string => content.slice(0, content.indexOf(":"))
