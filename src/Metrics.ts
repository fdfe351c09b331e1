/**
 * What the library counts, in Effect's registry of metrics: connections and requests by broker and API, what is produced
 * and consumed by topic, buffers, lag, commits and rebalances. Whoever exports that registry, by OTLP, for Prometheus or
 * by hand (`Metric.snapshot`), has them; `definitions` is the list, and `docs/observability.md` says more.
 *
 * They are counted where a batch, a request or a rebalance is at hand, never for a record. A client that is closed leaves
 * no gauges. Clients of one `clientId` in one program share their series: counters go on, gauges are added up.
 *
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Metrics } from "samsa"
 *
 * export const lag = Effect.map(Metric.snapshot, (all) => all.filter(({ id }) => id === Metrics.names.recordsLag))
 * ```
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import { type Options, Settings } from "./metrics/Current.ts"
import * as Table from "./metrics/Definitions.ts"

/**
 * A metric: its name, type, unit, and what it counts, by which attributes.
 *
 * @since 0.1.0
 * @category models
 */
export type Definition = Table.Definition

export { type Options, Settings } from "./metrics/Current.ts"

/**
 * Sets what is counted.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Kafka, Metrics } from "samsa"
 *
 * export const live = Kafka.layer({ bootstrap: ["b1:9092"] }).pipe(Layer.provideMerge(Metrics.layer({ partitions: 0 })))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(Settings)(options)

/**
 * Every metric.
 *
 * @since 0.1.0
 * @category definitions
 */
export const definitions: ReadonlyArray<Definition> = Table.definitions

const { definitions: _, ...table } = Table

/**
 * The names of metrics, by what they are called here.
 *
 * @since 0.1.0
 * @category definitions
 */
export const names: { readonly [K in keyof typeof table]: string } = Object.fromEntries(
  Object.entries(table).map(([key, { name }]) => [key, name])
) as never
