/** What the fetching half of the native engine works over. */
import type * as Backoff from "../Backoff.ts"
import type { Brokers } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import type { FetchMetrics } from "../metrics/ConsumerMetrics.ts"

/** What the engine works over. Durations in milliseconds. */
export interface Context {
  readonly brokers: Brokers["Service"]
  readonly cluster: Cluster["Service"]
  readonly metadataTimeout: number
  readonly metadataMaxAge: number
  readonly metrics: FetchMetrics
  /** The waits between attempts; where it ends, its last delay stays. */
  readonly retry?: Backoff.Retry | undefined
}
