/** What an embedded cluster has of the metrics of its clients: which are wanted, and what was pushed. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { defaultInterval, type Matched, type Subscription, TelemetryReceiver } from "../embedded/TelemetryReceiver.ts"
import type { EmbeddedCluster } from "../embedded/Cluster.ts"
import type * as Contract from "./Contract.ts"
import * as Inspect from "./Inspect.ts"

/** A subscription as the broker keeps it. */
const subscriptionOf = ({ interval, match, metrics }: Contract.TelemetrySubscription): Subscription => ({
  metrics,
  interval: interval === undefined ? defaultInterval : Duration.toMillis(Duration.fromInputUnsafe(interval)),
  match: new Map(
    Object.entries(match ?? {})
      .filter(([, pattern]) => pattern !== undefined)
      .map(([what, pattern]) => [what as Matched, new RegExp(`^(?:${pattern})$`)])
  )
})

/** What an option says. */
export const receiver = (option: Contract.Options["telemetry"]): TelemetryReceiver => {
  const { maxBytes = 1_048_576, subscriptions = {} } = typeof option === "object" ? option : {}
  const made = new TelemetryReceiver(maxBytes)
  for (const [name, subscription] of Object.entries(subscriptions)) made.subscribe(name, subscriptionOf(subscription))
  return made
}

export const make = (cluster: EmbeddedCluster): Contract.Service["telemetry"] => ({
  pushed: Effect.sync(() => [...cluster.settings.clientMetrics.pushed]),
  await: (match = () => true) => Inspect.until(cluster, () => cluster.settings.clientMetrics.pushed.find(match)),
  subscribe: (name, subscription) =>
    Effect.sync(() =>
      cluster.settings.clientMetrics.subscribe(
        name,
        subscription === undefined ? undefined : subscriptionOf(subscription)
      )
    )
})
