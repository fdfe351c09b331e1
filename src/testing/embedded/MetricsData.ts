/**
 * Pure. Reads `MetricsData` of OpenTelemetry from protobuf, as far as clients of Kafka push it: sums, gauges and histograms
 * with their points. Written from the definition of the format, and not from what writes it here.
 */

/** A point of a metric. */
interface Point {
  readonly labels: { readonly [name: string]: string | number | boolean }
  /** Of a histogram: the sum of what was seen. */
  readonly value: number
  /** Of a histogram: how often. */
  readonly count?: number | undefined
  /** Nanoseconds since 1970. */
  readonly startTime: bigint
  readonly time: bigint
}

export interface Metric {
  readonly name: string
  readonly unit: string
  readonly kind: "gauge" | "sum" | "histogram"
  /** Of a sum or a histogram. */
  readonly temporality?: "delta" | "cumulative" | undefined
  readonly monotonic?: boolean | undefined
  readonly points: ReadonlyArray<Point>
}

/** A field: what stands under its number. */
type Value = bigint | Uint8Array

const decoder = new TextDecoder("utf-8", { fatal: true })

/** The fields of a message, in their order. Throws where it is none. */
const fieldsOf = (bytes: Uint8Array): ReadonlyArray<readonly [field: number, value: Value]> => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const fields: Array<readonly [number, Value]> = []
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (at >= bytes.length) break
      const byte = bytes[at++]!
      value |= BigInt(byte & 127) << shift
      if (byte < 128) return value
    }
    throw new RangeError("no varint")
  }
  const taken = (length: number): number => {
    if (at + length > bytes.length) throw new RangeError("truncated")
    at += length
    return at - length
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    const field = tag >>> 3
    if (field === 0) throw new RangeError("no field")
    switch (tag & 7) {
      case 0:
        fields.push([field, varint()])
        break
      case 1:
        fields.push([field, view.getBigUint64(taken(8), true)])
        break
      case 2: {
        const length = Number(varint())
        const from = taken(length)
        fields.push([field, bytes.subarray(from, from + length)])
        break
      }
      case 5:
        fields.push([field, BigInt(view.getUint32(taken(4), true))])
        break
      default:
        throw new RangeError("no wire type")
    }
  }
  return fields
}

const message = (value: Value | undefined): Uint8Array => {
  if (value === undefined || typeof value === "bigint") throw new RangeError("no message")
  return value
}
const number = (value: Value | undefined): bigint => {
  if (value === undefined) return 0n
  if (typeof value !== "bigint") throw new RangeError("no number")
  return value
}
const double = (value: Value | undefined): number => {
  const bits = new DataView(new ArrayBuffer(8))
  bits.setBigUint64(0, number(value))
  return bits.getFloat64(0)
}
const text = (value: Value | undefined): string => (value === undefined ? "" : decoder.decode(message(value)))
const last = (fields: ReadonlyArray<readonly [number, Value]>, field: number): Value | undefined =>
  fields.findLast(([id]) => id === field)?.[1]
const all = (fields: ReadonlyArray<readonly [number, Value]>, field: number): ReadonlyArray<Uint8Array> =>
  fields.filter(([id]) => id === field).map(([, value]) => message(value))

/** KeyValue: a key, and AnyValue. */
const labelOf = (bytes: Uint8Array): readonly [string, string | number | boolean] => {
  const fields = fieldsOf(bytes)
  const [[kind, value] = [0, 0n] as const] = fieldsOf(message(last(fields, 2) ?? new Uint8Array(0)))
  const read =
    kind === 2
      ? number(value) !== 0n
      : kind === 3
        ? Number(BigInt.asIntN(64, number(value)))
        : kind === 4
          ? double(value)
          : kind === 1
            ? text(value)
            : ""
  return [text(last(fields, 1)), read]
}

const labels = (fields: ReadonlyArray<readonly [number, Value]>, field: number) =>
  Object.fromEntries(all(fields, field).map(labelOf))

/** NumberDataPoint. */
const pointOf = (bytes: Uint8Array): Point => {
  const fields = fieldsOf(bytes)
  const asInt = last(fields, 6)
  return {
    labels: labels(fields, 7),
    value: asInt === undefined ? double(last(fields, 4)) : Number(BigInt.asIntN(64, number(asInt))),
    startTime: number(last(fields, 2)),
    time: number(last(fields, 3))
  }
}

/** HistogramDataPoint. */
const histogramOf = (bytes: Uint8Array): Point => {
  const fields = fieldsOf(bytes)
  return {
    labels: labels(fields, 9),
    value: double(last(fields, 5)),
    count: Number(number(last(fields, 4))),
    startTime: number(last(fields, 2)),
    time: number(last(fields, 3))
  }
}

const metricOf = (bytes: Uint8Array): Metric => {
  const fields = fieldsOf(bytes)
  const named = { name: text(last(fields, 1)), unit: text(last(fields, 3)) }
  const data = (field: number) => fieldsOf(message(last(fields, field)))
  const temporality = (value: Value | undefined) => (number(value) === 1n ? "delta" : "cumulative")
  if (last(fields, 5) !== undefined) return { ...named, kind: "gauge", points: all(data(5), 1).map(pointOf) }
  if (last(fields, 7) !== undefined) {
    const sum = data(7)
    const monotonic = number(last(sum, 3)) === 1n
    return {
      ...named,
      kind: "sum",
      temporality: temporality(last(sum, 2)),
      monotonic,
      points: all(sum, 1).map(pointOf)
    }
  }
  if (last(fields, 9) === undefined) throw new RangeError("no data")
  const histogram = data(9)
  const points = all(histogram, 1).map(histogramOf)
  return { ...named, kind: "histogram", temporality: temporality(last(histogram, 2)), points }
}

/** The metrics of all resources, and all scopes. Throws where it is not MetricsData. */
export const read = (bytes: Uint8Array): ReadonlyArray<Metric> =>
  all(fieldsOf(bytes), 1).flatMap((resource) =>
    all(fieldsOf(resource), 2).flatMap((scope) => all(fieldsOf(scope), 2).map(metricOf))
  )
