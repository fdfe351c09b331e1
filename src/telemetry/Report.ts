/**
 * Pure. What a broker is told at a push: of what our metrics are at, and were at the push before, the points that it asks
 * for, by KIP-714's names.
 */
import { combined } from "../metrics/Combine.ts"
import type { Attributes, Reading } from "../metrics/Meter.ts"
import { type Kind, namesOf, type Role, type Row, rows } from "./Names.ts"

/** A metric with its points. */
export interface Metric {
  readonly name: string
  /** A total: it only grows. Else it is a gauge. */
  readonly isTotal: boolean
  readonly points: ReadonlyArray<Point>
}

interface Point {
  readonly labels: { readonly [label: string]: string }
  readonly value: number
}

/** Of a series, what it was at. */
interface Was {
  readonly value: number
  readonly count: number
}

/** What all was at, by series. */
export type Before = ReadonlyMap<string, Was>

const keyOf = ({ attributes, definition }: Reading): string => `${definition.name} ${JSON.stringify(attributes)}`

/** What all is at, for the next report. */
export const at = (readings: ReadonlyArray<Reading>): Before =>
  new Map(readings.map((reading) => [keyOf(reading), { value: reading.value, count: reading.count }]))

/** Which names are wanted: those that begin as one of these; `*` and the empty one are all (KIP-714: the latter; brokers say the former). */
export const selector = (requested: ReadonlyArray<string>): ((name: string) => boolean) => {
  const isAll = requested.some((prefix) => prefix === "*" || prefix === "")
  return (name) => isAll || requested.some((prefix) => name.startsWith(prefix))
}

/** What the client is: by what it has counted that only such a one counts; connections and requests are every client's. */
const rolesOf = (readings: ReadonlyArray<Reading>): ReadonlyArray<Role> => {
  const isOne = (role: Role) =>
    rows.some(
      (row) =>
        row.role === role &&
        !row.from.name.startsWith("kafka.client.") &&
        readings.some(({ attributes, definition }) => definition === row.from && row.counts(attributes, role))
    )
  const roles = (["producer", "consumer"] as const).filter(isOne)
  return roles.length > 0 ? roles : ["admin.client"]
}

export interface Options {
  readonly readings: ReadonlyArray<Reading>
  /** As it was when the client began to be watched. */
  readonly begun: Before
  /** As it was at the last push that was taken. */
  readonly before: Before
  /** Seconds since then. */
  readonly seconds: number
  readonly delta: boolean
  readonly wants: (name: string) => boolean
  /** The id of a broker, by its address. */
  readonly nodeOf: (host: string, port: string) => string
}

/** Several series as one. */
interface Sum {
  readonly labels: { readonly [label: string]: string }
  /** Since it began, and since the last push. */
  total: number
  value: number
  count: number
  peak: number
  readonly gauges: Array<number>
}

const nothing: Was = { value: 0, count: 0 }

/** All of it, the most important first. */
export const make = (options: Options): ReadonlyArray<Metric> => {
  const roles = rolesOf(options.readings)
  return rows.flatMap((row) =>
    roles.filter((role) => row.role === "all" || row.role === role).flatMap((role) => metricsOf(row, role, options))
  )
}

const metricsOf = (row: Row, role: Role, options: Options): ReadonlyArray<Metric> => {
  const names = namesOf(row, role)
  if (!names.some(options.wants)) return []
  const sums = [...summed(row, role, options).values()]
  return row.kinds.flatMap((kind, i) => {
    const name = names[i]!
    if (!options.wants(name)) return []
    const points = sums.flatMap((sum) => {
      const value = valueOf(kind, row, sum, options)
      return value === undefined
        ? []
        : [{ labels: sum.labels, value: kind.startsWith("rate") ? value : value * row.scale }]
    })
    return points.length === 0 ? [] : [{ name, isTotal: kind === "total", points }]
  })
}

const valueOf = (kind: Kind, { combine }: Row, sum: Sum, { delta, seconds }: Options): number | undefined => {
  switch (kind) {
    case "rate":
      return seconds > 0 ? sum.value / seconds : undefined
    case "rate.per.hour":
      return seconds > 0 ? (sum.value / seconds) * 3600 : undefined
    case "total":
      return delta ? sum.value : sum.total
    case "avg":
      return sum.count > 0 ? sum.value / sum.count : undefined
    case "max":
      return sum.peak > -Infinity ? sum.peak : undefined
    case "value":
      return combined(sum.gauges, combine)
  }
}

const summed = (row: Row, role: Role, options: Options): ReadonlyMap<string, Sum> => {
  const sums = new Map<string, Sum>()
  for (const reading of options.readings) {
    if (reading.definition !== row.from || !row.counts(reading.attributes, role)) continue
    const labels = labelsOf(row, reading.attributes, options)
    const key = JSON.stringify(labels)
    let sum = sums.get(key)
    if (sum === undefined) sums.set(key, (sum = { labels, total: 0, value: 0, count: 0, peak: -Infinity, gauges: [] }))
    const series = keyOf(reading)
    const before = options.before.get(series) ?? nothing
    const was = row.events ? "count" : "value"
    sum.total += reading[was] - (options.begun.get(series) ?? nothing)[was]
    sum.value += reading[was] - before[was]
    sum.count += reading.count - before.count
    sum.peak = Math.max(sum.peak, reading.peak)
    sum.gauges.push(reading.value)
  }
  return sums
}

const labelsOf = (row: Row, attributes: Attributes, { nodeOf }: Options): Point["labels"] => {
  const labels: Record<string, string> = {}
  for (const [label, from] of Object.entries(row.labels)) {
    const value =
      from === "server" ? nodeOf(attributes["server.address"] ?? "", attributes["server.port"] ?? "") : attributes[from]
    if (value !== undefined) labels[label] = value
  }
  return labels
}
