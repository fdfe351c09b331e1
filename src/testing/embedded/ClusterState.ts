/** Pure. What a cluster consists of, as data: brokers, topics, commits, settings. */
import type * as Compression from "../../Compression.ts"
import type { Settings as ConsumerGroupSettings } from "./ConsumerGroupData.ts"
import type { Sessions } from "./FetchSession.ts"
import type { EmbeddedPartition } from "./Partition.ts"
import type { Profile } from "./Profile.ts"
import type { SaslSettings } from "./Sasl.ts"

/** One broker. */
export interface Node {
  readonly id: number
  readonly host: string
  port: number
  readonly rack: string | null
  alive: boolean
  readonly connections: Set<{ readonly close: () => void }>
  readonly sessions: Sessions
}

export interface Topic {
  readonly name: string
  /** Base64url. */
  readonly id: string
  readonly internal: boolean
  readonly partitions: Array<EmbeddedPartition>
  /** What was set; what was not has Kafka's default. */
  readonly config: Map<string, string>
}

export interface Committed {
  readonly offset: number
  readonly leaderEpoch: number
  readonly metadata: string
  readonly timestamp: number
}

/** A request as it was served, for `awaitRequest` and for the trace. */
export interface Seen {
  readonly at: number
  readonly broker: number
  readonly api: string
  readonly version: number
  readonly clientId: string
  readonly request: unknown
}

export interface Settings {
  readonly profile: Profile
  readonly coldStart: boolean
  readonly autoCreate: boolean
  readonly defaultPartitions: number
  readonly replicationFactor: number
  readonly groupInitialRebalanceDelay: number
  readonly groupMinSessionTimeout: number
  readonly groupMaxSessionTimeout: number
  readonly groupMaxSize: number
  /** The finalized feature `group.version`; from 1 on members may speak the consumer protocol (KIP-848). */
  readonly groupVersion: number
  readonly consumerGroups: ConsumerGroupSettings
  readonly maxFrameBytes: number
  /** Readers are sent to a replica in their rack (KIP-392). */
  readonly selectsByRack: boolean
  readonly compression: Codecs
  readonly sasl: SaslSettings | undefined
  /** Principals that no rule holds back, such as `User:admin`. */
  readonly superUsers: ReadonlyArray<string>
}

/** The codecs that the broker needs where it must look into a compressed batch. */
export type Codecs = Compression.Registry

/** Why a topic cannot be created. */
export type Refusal = "exists" | "name" | "partitions" | "replication" | "assignment"

/** What a topic may be called. */
export const isLegalName = (name: string): boolean =>
  /^[a-zA-Z0-9._-]{1,249}$/.test(name) && name !== "." && name !== ".."
