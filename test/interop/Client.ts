/** What a foreign client must do to take part in the cases of `suite.ts`, and what the broker's log says beside it. */
import { Context, Effect, type Scope } from "effect"
import type { EmbeddedKafka } from "samsa/testing"
import type { ProcessError } from "../integration/Processes.ts"

export type Codec = "none" | "gzip" | "snappy" | "lz4" | "zstd"

/** A record. Keys, values and header values are bytes, written as text of one character a byte. */
export interface Record {
  readonly partition: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: ReadonlyArray<readonly [name: string, value: string | null]>
  /** Left to the client where it cannot be told. */
  readonly timestamp?: number
}

/** A record with its place. */
export interface Received extends Record {
  readonly offset: number
  readonly timestamp: number
}

/** A member of a group in a process of its own. */
export interface Member {
  readonly records: ReadonlyArray<Received>
  /** The partitions that it holds now. */
  readonly assigned: () => ReadonlyArray<number>
  /** Waits until this holds, looked at whenever the member says something; bounded in time. */
  readonly until: (what: string, holds: () => boolean) => Effect.Effect<void>
  /** Commits, leaves the group, ends. */
  readonly leave: Effect.Effect<void>
  /** Ends without a word (SIGKILL). */
  readonly kill?: Effect.Effect<void>
}

export interface Copy {
  readonly topic: string
  readonly target: string
  readonly group: string
  readonly transactionalId: string
  /** How many records there are. */
  readonly count: number
  /** Records of a transaction, at most. */
  readonly size: number
}

/** The cluster as a client sees it. */
export interface Metadata {
  readonly brokers: ReadonlyArray<string>
  readonly partitions: ReadonlyArray<{ readonly partition: number; readonly leader: number }>
}

/** What a client's administration saw and did: it made a topic, gave it more partitions, and deleted it and a group. */
export interface Administration {
  /** Of the topic that it made. */
  readonly partitions: number
  readonly policy: string
  /** Ids of all groups. */
  readonly groups: ReadonlyArray<string>
  /** Of the group: how many members, and `[partition, offset]` of what it committed. */
  readonly members: number
  readonly committed: ReadonlyArray<readonly [number, number]>
  readonly cluster: string
  readonly brokers: number
}

export interface Client {
  /** It can write: null beside empty keys and values, any bytes, a record's own timestamp. */
  readonly can: { readonly empty: boolean; readonly binary: boolean; readonly timestamps: boolean }
  readonly produce: (
    topic: string,
    records: ReadonlyArray<Record>,
    options?: { readonly codec?: Codec; readonly idempotent?: boolean }
  ) => Effect.Effect<void, ProcessError>
  /** Everything from the beginning to the end, by partition and offset; with `committed` what is in no aborted transaction. */
  readonly consume: (
    topic: string,
    options?: { readonly committed?: boolean }
  ) => Effect.Effect<ReadonlyArray<Received>, ProcessError>
  /**
   * Copies all records of a topic to another as a member of a group, a few in each transaction with the offsets of the
   * group, and aborts some of the transactions, to begin them again.
   */
  readonly copy?: (options: Copy) => Effect.Effect<void, ProcessError>
  /** Joins a group that reads the topic from the beginning, with a session time-out of 6 seconds. */
  readonly member: (topic: string, group: string) => Effect.Effect<Member, ProcessError, Scope.Scope>
  readonly metadata: (topic: string) => Effect.Effect<Metadata, ProcessError>
  /** Creates the topic with 2 partitions and `cleanup.policy=compact`, makes them 5, looks around, deletes topic and group. */
  readonly administer?: (topic: string, group: string) => Effect.Effect<Administration, ProcessError>
  /** The first offset at or after a time, of each partition. */
  readonly offsetsFor: (topic: string, timestamp: number) => Effect.Effect<ReadonlyArray<number>, ProcessError>
}

/** The client of a suite. */
export class Foreign extends Context.Service<Foreign, Client>()("samsa/test/Foreign") {}

const ofBytes = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1")

export const toBytes = (text: string | null): Uint8Array | null => (text === null ? null : Buffer.from(text, "latin1"))

/** The log of a topic, by partition and offset. */
export const log = (broker: EmbeddedKafka.Service, topic: string): Effect.Effect<ReadonlyArray<Received>> =>
  Effect.map(Effect.orDie(broker.log(topic)), (records) =>
    records.map(({ headers, key, offset, partition, timestamp, value }) => ({
      partition,
      offset,
      timestamp,
      key: ofBytes(key),
      value: ofBytes(value),
      headers: headers.map(([name, value]) => [name, ofBytes(value)] as const)
    }))
  )

/** By partition and offset. */
export const inOrder = (records: ReadonlyArray<Received>): ReadonlyArray<Received> =>
  [...records].sort((a, b) => a.partition - b.partition || a.offset - b.offset)
