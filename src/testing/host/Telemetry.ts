/** What an embedded cluster has of the metrics of its clients: which are wanted, and what was pushed. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { defaultInterval, type Matched, type Subscription } from "../embedded/TelemetryReceiver.ts"
import type { EmbeddedCluster } from "../embedded/Cluster.ts"
import type * as Contract from "./Contract.ts"
import * as Inspect from "./Inspect.ts"

/** A subscription as the broker keeps it. */
export const subscriptionOf = ({ interval, match, metrics }: Contract.TelemetrySubscription): Subscription => ({
  metrics,
  interval: interval === undefined ? defaultInterval : Duration.toMillis(Duration.fromInputUnsafe(interval)),
  match: new Map(
    Object.entries(match ?? {})
      .filter(([, pattern]) => pattern !== undefined)
      .map(([what, pattern]) => [what as Matched, new RegExp(`^(?:${pattern})$`)])
  )
})

export const make = (cluster: EmbeddedCluster): Contract.Service["telemetry"] => ({
  pushed: Effect.sync(() => [...cluster.clientMetrics.pushed]),
  await: (match = () => true) => Inspect.until(cluster, () => cluster.clientMetrics.pushed.find(match)),
  subscribe: (name, subscription) =>
    Effect.sync(() =>
      cluster.clientMetrics.subscribe(name, subscription === undefined ? undefined : subscriptionOf(subscription))
    )
})
