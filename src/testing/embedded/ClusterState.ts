/** Pure. What a cluster consists of, as data: brokers, topics, commits, settings. */
import type * as Compression from "../../Compression.ts"
import type { Settings as ConsumerGroupSettings } from "./ConsumerGroupData.ts"
import type { Sessions } from "./FetchSession.ts"
import type { EmbeddedPartition } from "./Partition.ts"
import type { Profile, Release } from "./Profile.ts"
import type { SaslSettings } from "./Sasl.ts"
import type { TelemetryReceiver } from "./TelemetryReceiver.ts"

/** Where real brokers keep what groups commit, and transactional ids. */
export const offsetsTopic = "__consumer_offsets"
export const transactionsTopic = "__transaction_state"

/** One broker. */
export interface Node {
  readonly id: number
  readonly host: string
  port: number
  readonly rack: string | null
  alive: boolean
  readonly connections: Set<{ readonly close: () => void }>
  readonly sessions: Sessions
  /** What it was last started as, where that is another release than the cluster's: its API versions. */
  profile?: Profile
}

/** What a broker can do: as it was started, or as its cluster is. */
export const profileOf = (node: Node, settings: Settings): Profile => node.profile ?? settings.profile

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
  /** Its place among all commits, those of open transactions included: the later one holds. */
  readonly order: number
  /** It came in a transaction. */
  readonly transactional: boolean
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
  /** The same cluster, when its protocol is that of another release. */
  readonly raised: (release: Release) => Settings
  /** What a broker is that was started as another release. */
  readonly profileOf: (release: Release) => Profile
  readonly coldStart: boolean
  readonly autoCreate: boolean
  readonly defaultPartitions: number
  readonly replicationFactor: number
  readonly groupInitialRebalanceDelay: number
  readonly groupMinSessionTimeout: number
  readonly groupMaxSessionTimeout: number
  readonly groupMaxSize: number
  /** The finalized feature `group.version`; 0 where there is none. */
  readonly groupVersion: number
  /** Members may speak the consumer protocol (KIP-848). */
  readonly consumerProtocol: boolean
  readonly consumerGroups: ConsumerGroupSettings
  readonly maxFrameBytes: number
  /** Readers are sent to a replica in their rack (KIP-392). */
  readonly selectsByRack: boolean
  readonly compression: Codecs
  readonly sasl: SaslSettings | undefined
  /** Undefined: one of its own. */
  readonly clusterId: string | undefined
  /** Principals that no rule holds back, such as `User:admin`. */
  readonly superUsers: ReadonlyArray<string>
  /** The finalized feature `transaction.version`; from 2 on epochs grow with each transaction (KIP-890). */
  readonly transactionVersion: number
  /** What clients push of their metrics. */
  readonly clientMetrics: TelemetryReceiver
}

/** The codecs that the broker needs where it must look into a compressed batch. */
export type Codecs = Compression.Registry

/** Why a topic cannot be created. */
export type Refusal = "exists" | "name" | "partitions" | "replication" | "assignment"

/** What a topic may be called. */
export const isLegalName = (name: string): boolean =>
  /^[a-zA-Z0-9._-]{1,249}$/.test(name) && name !== "." && name !== ".."

/**
 * The most partitions of a topic: as many as a controller of Kafka makes by one request. A number beyond it would be
 * taken from memory before anybody looks at it.
 */
export const maxPartitions = 10_000

/** The replicas of each partition of a new topic: those that are asked for, or brokers that live in turn; or why not. */
export const assign = (
  asked: ReadonlyArray<ReadonlyArray<number>> | undefined,
  partitions: number,
  factor: number,
  alive: ReadonlyArray<number>,
  isBroker: (id: number) => boolean
): ReadonlyArray<ReadonlyArray<number>> | Refusal => {
  if (asked === undefined) {
    if (partitions < 1 || partitions > maxPartitions) return "partitions"
    if (factor < 1 || factor > alive.length) return "replication"
    return Array.from({ length: partitions }, (_, p) =>
      Array.from({ length: factor }, (_, r) => alive[(p + r) % alive.length]!)
    )
  }
  if (asked.length > maxPartitions) return "partitions"
  const isLegal = (replicas: ReadonlyArray<number>) =>
    replicas.length > 0 && new Set(replicas).size === replicas.length && replicas.every(isBroker)
  return asked.length > 0 && asked.every(isLegal) ? asked : "assignment"
}
