/** Pure. What is known of a cluster, as data: brokers, topics, partitions, and how that changes. */
import type * as Offset from "./Offset.ts"

/** A partition as the last metadata told. */
export interface PartitionInfo {
  readonly partition: number
  /** Node id; -1 while there is none. */
  readonly leader: number
  /** -1 where the broker does not tell (before Metadata v7). */
  readonly leaderEpoch: number
  readonly replicas: ReadonlyArray<number>
  readonly isr: ReadonlyArray<number>
}

/** A topic as the last metadata told. */
export interface TopicInfo {
  readonly name: string
  /** Base64url; undefined where the broker does not tell (before Metadata v10). */
  readonly id: string | undefined
  readonly internal: boolean
  /** By partition number: `partitions[3].partition === 3`. One between others that metadata leave out has no leader. */
  readonly partitions: ReadonlyArray<PartitionInfo>
}

export interface BrokerInfo {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** What a metadata response has changed. `before` is undefined where nothing was known. */
export type Change =
  | {
      readonly _tag: "Brokers"
      readonly brokers: ReadonlyArray<BrokerInfo>
      readonly before: ReadonlyArray<BrokerInfo>
    }
  /** Its id, its partitions, a leader, replicas: also where it was asked for for the first time. */
  | { readonly _tag: "Topic"; readonly topic: TopicInfo; readonly before: TopicInfo | undefined }
  | { readonly _tag: "TopicGone"; readonly before: TopicInfo }

/** A position that a broker can tell: besides those to start from, the record with the largest timestamp (KIP-734, from 3.0 on). */
export type At = Offset.Position | "max-timestamp"
