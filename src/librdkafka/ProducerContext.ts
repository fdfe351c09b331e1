/** Pure. */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Producer } from "node-rdkafka"
import type { Cluster } from "../Cluster.ts"
import type * as KafkaError from "../KafkaError.ts"
import type { ProducerMetrics } from "../metrics/ProducerMetrics.ts"
import type { ProduceSettings } from "../Transport.ts"

/** What the producing half is made of. */
export interface Context {
  /** Opens a client of librdkafka. */
  readonly open: Effect.Effect<Producer, KafkaError.KafkaError, Scope.Scope>
  readonly cluster: Pick<Cluster["Service"], "known" | "topics">
  readonly settings: ProduceSettings
  /** The brokers have headers. */
  readonly headers: boolean
  /** Milliseconds that librdkafka may not know a partition before its records fail. */
  readonly metadataTimeout: number
  /** How often it is polled where nothing is due, so that what librdkafka says of its connections does not pile up. */
  readonly idleMillis: number
  readonly metrics: ProducerMetrics
}
