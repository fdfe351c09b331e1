/**
 * Metrics as what a broker takes: OTLP's MetricsData in protobuf, as Effect's exporters write it, compressed, and no
 * larger than it may be.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { OtlpSerialization, layerProtobuf } from "effect/observability/OtlpSerialization"
import type { MetricsData } from "effect/observability/OtlpMetrics"
import type * as Compression from "../Compression.ts"
import type { Metric } from "./Report.ts"

/** Writes metrics down. */
export type Serialize = (metrics: ReadonlyArray<Metric>, times: Times) => Uint8Array

/** In nanoseconds since 1970. */
interface Times {
  /** Since when totals count. */
  readonly from: bigint
  readonly to: bigint
  readonly delta: boolean
}

/** OTLP's numbers for temporality. */
const temporality = { delta: 1, cumulative: 2 } as const

const dataOf = (metrics: ReadonlyArray<Metric>, { delta, from, to }: Times): MetricsData => ({
  resourceMetrics: [
    {
      resource: { attributes: [], droppedAttributesCount: 0 },
      scopeMetrics: [
        {
          scope: { name: "samsa" },
          metrics: metrics.map(({ isTotal, name, points }) => {
            const dataPoints = points.map(({ labels, value }) => ({
              attributes: Object.entries(labels).map(([key, stringValue]) => ({ key, value: { stringValue } })),
              startTimeUnixNano: String(from),
              timeUnixNano: String(to),
              asDouble: value
            }))
            return isTotal
              ? {
                  name,
                  sum: {
                    aggregationTemporality: delta ? temporality.delta : temporality.cumulative,
                    isMonotonic: true,
                    dataPoints
                  }
                }
              : { name, gauge: { dataPoints } }
          })
        }
      ]
    }
  ]
})

/** Makes it, of Effect's own protobuf. */
export const serializer: Effect.Effect<Serialize> = Effect.scoped(
  Effect.map(Layer.build(layerProtobuf), (context): Serialize => {
    const { metrics } = Context.get(context, OtlpSerialization)
    return (all, times) => {
      const body = metrics(dataOf(all, times))
      if (body._tag !== "Uint8Array") throw new Error(`protobuf is written as ${body._tag}`)
      return body.body
    }
  })
)

/** What is sent. */
export interface Payload {
  readonly compressionType: number
  readonly bytes: Uint8Array
  /** How many metrics there was no room for. */
  readonly left: number
}

/** The first of what a broker accepts that there is a codec for; without one, as it is. */
export const codecFor = (
  accepted: ReadonlyArray<number>,
  refused: ReadonlySet<number>,
  registry: Compression.Registry
): Compression.Codec => {
  for (const id of accepted) {
    if (refused.has(id)) continue
    try {
      return registry.get(id)
    } catch {
      // A kind that is newer than we are.
    }
  }
  return registry.get(0)
}

/** All of it, or as many of the first as there is room for: half as many, until they fit. */
export const make = (
  metrics: ReadonlyArray<Metric>,
  serialize: (metrics: ReadonlyArray<Metric>) => Uint8Array,
  codec: Compression.Codec,
  maxBytes: number
): Payload => {
  let told = metrics
  while (true) {
    if (told.length === 0) return { compressionType: codec.id, bytes: new Uint8Array(0), left: metrics.length }
    const plain = serialize(told)
    let bytes = plain
    let compressionType = codec.id
    try {
      bytes = codec.compress(plain)
    } catch {
      // Such as zstd where node has none.
      compressionType = 0
    }
    if (bytes.length <= maxBytes) return { compressionType, bytes, left: metrics.length - told.length }
    told = told.slice(0, told.length >> 1)
  }
}
