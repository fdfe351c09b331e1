/**
 * Spans of what the library does, for whatever Tracer the program has: OTLP, the OpenTelemetry SDK, one's own. Where there
 * is none, nothing is made.
 *
 * - `send orders` (producer): a batch, from its first attempt to its outcome; linked with the spans of who sent its records
 * - `create orders` (producer): a record, with `records: true`
 * - `poll orders` (client): an array that is delivered; linked with the spans that its records were sent in
 * - `process orders` (consumer): a handler of `run`, on one record; linked with the span that the record was sent in
 * - `rebalance group` and `connect host:port`
 *
 * Names, kinds and attributes are those of OpenTelemetry's messaging conventions.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import { type Options, Settings } from "./tracing/Spans.ts"

export { type Options, Settings } from "./tracing/Spans.ts"

/**
 * Sets what is traced.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Kafka, Tracing } from "samsa"
 *
 * export const live = Kafka.layer({ bootstrap: ["b1:9092"] }).pipe(
 *   Layer.provideMerge(Tracing.layer({ propagation: true }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never> => Layer.succeed(Settings)(options)
