/** What a partition and its consumer know of each other. */
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type * as KafkaError from "../KafkaError.ts"
import type { FetchedRecord } from "../Record.ts"
import type { Fetched, PartitionReader } from "../Transport.ts"
import type { AtWork } from "./AtWork.ts"
import type { LoopTurn } from "./LoopTurn.ts"
import type { OffsetRange } from "./OffsetRanges.ts"

/** What a partition `P` tells the consumer that it is part of. */
export interface Host<P> {
  /** Whether marks are kept: there is a group to commit to. */
  readonly marks: boolean
  /** The most records of one array. */
  readonly maxRecords: number
  /** False when the membership must have ended by our own clock, as for a process that stood still. */
  readonly isAlive: () => boolean
  /** Gives the Schemas of the topics the services that they need. */
  readonly provide: <A, E>(self: Effect.Effect<A, E, any>) => Effect.Effect<A, E>
  /** It is paused no longer. */
  readonly resumed: (partition: P) => void
  /** An array waits to be taken. */
  readonly ready: (partition: P) => void
  /** What was in flight, of these offsets, is void, while somebody may be at work with it. */
  readonly leftBehind: (partition: P, offsets: ReadonlyArray<OffsetRange>) => void
  /** A record that is void was marked. */
  readonly late: (partition: P, offset: number) => void
  /** Records go to the application. */
  readonly delivered: (partition: P, records: ReadonlyArray<FetchedRecord>) => void
  /** Who works with what was taken. */
  readonly atWork: AtWork
  /** That of whoever marks records by himself. */
  readonly turn: LoopTurn
  /** Now, in seconds; for `handled`. */
  readonly now: () => number
  /** A handler was at work since then; with how it failed. */
  readonly handled: (partition: P, since: number, exit?: Exit.Exit<unknown, unknown>) => void
  readonly marked: (partition: P, count: number, offset: number) => void
  /** A record that could not be decoded is done: by us, nobody has marked it. */
  readonly passedOver: (partition: P) => void
  /** It went past what is not delivered (aborted transactions, and the markers of all), behind what is all done. */
  readonly passed: (partition: P) => void
  readonly caughtUp: (partition: P) => void
  /** A damaged batch was left out, with `fetch.onCorrupt: "skip"`. */
  readonly damaged: (partition: P, skipped: NonNullable<Fetched["skipped"]>) => void
  /** A bounded read is at its end. */
  readonly finished: (partition: P) => void
  /** A pull failed with something that another position, or the topic's return, may cure; else fails. */
  readonly cure: (
    partition: P,
    error: KafkaError.KafkaError,
    reader: PartitionReader
  ) => Effect.Effect<void, KafkaError.KafkaError>
}

/** What becomes of a record that does not fit its Schema: succeeds where it may be passed over. */
export type Undecodable = (
  raw: FetchedRecord,
  error: KafkaError.KafkaError
) => Effect.Effect<unknown, KafkaError.KafkaError>

/** How it is fetched: from where, and in whose Scope. */
export interface Opening {
  readonly reader: PartitionReader
  readonly start: number
  /** The partition's own. */
  readonly scope: Scope.Closeable
  /** It is of the topic that it was of when it was opened before. */
  readonly isSame: boolean
  /** What the group has; undefined where it has nothing, so that the position is not the group's yet. */
  readonly committed: number | undefined
}

/**
 * - `opening`: its start is being found out
 * - `open`: being fetched
 * - `ending`: given back: nothing is fetched or delivered any more, marks still count
 * - `ended`: no longer ours
 */
export type Status = "opening" | "open" | "ending" | "ended"
