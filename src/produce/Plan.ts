/** Pure. What the accumulator is told, and what it gives back: its settings, the cluster at a look, the work, outcomes. */
import type * as Backoff from "../Backoff.ts"
import type { TransactionGate } from "../engine/TransactionGate.ts"
import type * as KafkaError from "../KafkaError.ts"
import type { ProduceRecord } from "../Record.ts"
import type * as Batch from "./Batch.ts"

/** The settings of a producer that matter here. Durations in milliseconds. */
export interface Settings {
  readonly acks: number
  readonly idempotent: boolean
  /** Idempotence was asked for by name: a broker that cannot do it gets nothing. */
  readonly insistent: boolean
  readonly linger: number
  readonly batchBytes: number
  readonly maxRequestBytes: number
  readonly maxMessageBytes: number
  readonly maxInFlight: number
  readonly deliveryTimeout: number
  /** Records waiting for one broker that end the linger. */
  readonly minQueued: number
  /** Everything is part of a transaction: ids, epochs and what follows a failure are the transaction's. */
  readonly transactional?: boolean | undefined
}

/** What the accumulator asks of its owner. */
export interface Services {
  readonly sizeOf: (record: ProduceRecord) => number
  /** Makes the wait after so many failures of one batch; undefined: there is no other attempt. */
  readonly delays: () => Backoff.Delay
  /** In [0, 1). */
  readonly random: () => number
  /** Records have failed, for whoever must know it before their owners do. */
  readonly failed?: ((error: KafkaError.KafkaError) => void) | undefined
}

/** What a broker takes, as far as it matters to a batch. */
export interface Capability {
  /** The newest format: 0 before 0.10, 1 before 0.11. */
  readonly magic: 0 | 1 | 2
  /** How many of a producer's last batches it knows again when they come twice: five since 1.0, the last one in 0.11 (KAFKA-5494). */
  readonly remembers: number
  /** Why the compression of this producer is not for this broker, if so. */
  readonly refusesCompression: KafkaError.KafkaError | undefined
}

/** What is known of the cluster at a look. */
export interface View {
  /** The node that leads a partition; undefined while that is not known. */
  readonly leaderOf: (topic: string, partition: number) => number | undefined
  /** The id of a topic, where brokers tell ids. */
  readonly idOf: (topic: string) => string | undefined
  /** What a node takes; undefined, or why not, while there is no connection to it. */
  readonly capabilityOf: (node: number) => Capability | string | undefined
  /** The transaction that everything is part of, with `transactional`. */
  readonly transaction?: Pick<TransactionGate, "admits" | "producer"> | undefined
}

/** One Produce request: at most one batch for each partition. */
export interface ProduceRequest {
  readonly node: number
  readonly batches: ReadonlyArray<Batch.Batch>
}

/** What is to be done after a look. */
export interface Work {
  readonly requests: ReadonlyArray<ProduceRequest>
  /** Partitions whose leaders are not known. */
  readonly leaderless: ReadonlyArray<Batch.Queue>
  /** Partitions that are not part of the transaction yet. */
  readonly unadmitted: ReadonlyArray<Batch.Queue>
  /** Nodes to connect to, with the partitions that wait for that. */
  readonly unready: ReadonlyMap<number, ReadonlyArray<Batch.Queue>>
  /** Nodes that can give a producer id, with the partitions that cannot go there without one. */
  readonly needsProducerId: ReadonlyMap<number, ReadonlyArray<Batch.Queue>>
  /** When to look again at the latest, on the clock that `now` is of; undefined when nothing waits. */
  readonly wakeAt: number | undefined
}

/** What an attempt came to. */
export type Outcome =
  | { readonly _tag: "Appended"; readonly offset: number | undefined; readonly timestamp: number | undefined }
  | {
      readonly _tag: "Refused"
      readonly code: number
      readonly message: string | undefined
      /** The records that caused it, by their place in the batch (KIP-467). */
      readonly records?: ReadonlyArray<{ readonly index: number; readonly message: string | undefined }> | undefined
      /** The broker is too old to name them: Produce before v8, Kafka before 2.4. */
      readonly namesNone?: boolean | undefined
      /** The broker is of an age in which topics may keep a format before 2: Produce before v12, Kafka before 4.0. */
      readonly mayKeepOldFormat?: boolean | undefined
      /** The answer named the leader, who is known now: there is nothing to wait for (KIP-951). */
      readonly hinted?: boolean | undefined
    }
  /** Nothing came: the connection was lost or not made, or the answer is late. Whether it was sent, the batch knows. */
  | { readonly _tag: "Unknown"; readonly cause: string }
  /** It cannot be sent, now or later. */
  | { readonly _tag: "Impossible"; readonly error: KafkaError.KafkaError }
