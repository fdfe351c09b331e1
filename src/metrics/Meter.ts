/**
 * Binds definitions to Effect's registry of metrics, as it is where a client is made: which attributes a series has, how
 * many there may be, and what is read of whom when somebody looks.
 *
 * What is updated costs a look-up in that registry, some tens of nanoseconds; a gauge costs nothing until it is read.
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { Definition } from "./Definitions.ts"

export type Attributes = Readonly<Record<string, string>>

/** What is updated: a counter by how much more, a histogram with what was seen. */
export interface Series {
  readonly update: (value: number) => void
}

const silent: Series = { update: () => {} }

/**
 * How many series a counter or a histogram has at most, as in OpenTelemetry's SDKs: what is beyond goes to one, whose
 * attribute is theirs for it. Topics and brokers come and go in a process that lives for months.
 */
const seriesAtMost = 2000
const overflow = { "otel.metric.overflow": "true" }

interface Gauge {
  readonly sources: Set<() => number>
  readonly registration: Metric.Registration
}

/** What a registry has of ours; clients of one name in one program share their series. */
interface Known {
  /** By the metric's name, the attributes that have series. */
  readonly series: Map<string, Set<string>>
  readonly gauges: Map<string, Gauge>
  /** How many gauges there are of a name. */
  readonly gaugesOf: Map<string, number>
}

const registries = new WeakMap<Metric.MetricRegistry, Known>()

/** How a gauge is made. */
export interface GaugeOptions {
  readonly combine?: "sum" | "max" | undefined
  readonly more?: Attributes | undefined
  readonly most?: number | undefined
}

/** Gives series and gauges of one client. */
export interface Meter {
  /** A series of a counter or a histogram, to be kept by whoever updates it. */
  readonly series: (definition: Definition, more?: Attributes) => Series
  /**
   * A gauge that is read when somebody looks; of several sources with the same attributes their sum, or the largest. Gives
   * what takes this one back: with the last of them it is gone. `most`: so many of this name there may be; beyond it there
   * is none.
   */
  readonly gauge: (definition: Definition, read: () => number, options?: GaugeOptions) => () => void
}

/** What stands under a key, made where nothing does yet. */
export const kept = <A>(all: Map<string, A>, key: string, make: () => A): A => {
  let one = all.get(key)
  if (one === undefined) all.set(key, (one = make()))
  return one
}

/** Counts nothing. */
export const none: Meter = { series: () => silent, gauge: () => () => {} }

/** In the registry of a context. */
class RegistryMeter implements Meter {
  readonly #context: Context.Context<never>
  readonly #base: Attributes
  readonly #known: Known

  constructor(context: Context.Context<never>, base: Attributes) {
    this.#context = context
    this.#base = base
    const registry = Context.get(context, Metric.MetricRegistry)
    let known = registries.get(registry)
    if (known === undefined)
      registries.set(registry, (known = { series: new Map(), gauges: new Map(), gaugesOf: new Map() }))
    this.#known = known
  }

  #attributes({ unit }: Definition, more: Attributes): Attributes {
    return { ...this.#base, ...more, unit }
  }

  series(definition: Definition, more: Attributes = {}): Series {
    const { boundaries = [], description, name, type } = definition
    const all = kept(this.#known.series, name, () => new Set<string>())
    const key = JSON.stringify([this.#base, more])
    const isBeyond = !all.has(key) && all.size >= seriesAtMost
    if (!isBeyond) all.add(key)
    const attributes = this.#attributes(definition, isBeyond ? overflow : more)
    const metric =
      type === "Counter"
        ? Metric.counter(name, { description, attributes, incremental: true })
        : Metric.histogram(name, { description, attributes, boundaries })
    const context = this.#context
    return { update: (value) => metric.updateUnsafe(value, context) }
  }

  gauge(
    definition: Definition,
    read: () => number,
    { combine = "sum", more = {}, most = Infinity }: GaugeOptions = {}
  ): () => void {
    const { gauges, gaugesOf } = this.#known
    const { description, name } = definition
    const count = gaugesOf.get(name) ?? 0
    // Of thousands of partitions those beyond cost nothing.
    if (count >= most) return () => {}
    const key = JSON.stringify([name, this.#base, more, Context.get(this.#context, Metric.CurrentMetricAttributes)])
    let gauge = gauges.get(key)
    if (gauge === undefined) {
      gaugesOf.set(name, count + 1)
      const sources = new Set<() => number>()
      const attributes = this.#attributes(definition, more)
      const registration = Metric.registerUnsafe(Metric.gauge(name, { description, attributes }), this.#context, {
        get: () => ({ value: combined(sources, combine) }),
        update: () => {},
        modify: () => {}
      })
      gauges.set(key, (gauge = { sources, registration }))
    }
    const { registration, sources } = gauge
    sources.add(read)
    return () => {
      if (!sources.delete(read) || sources.size > 0) return
      registration.remove()
      gauges.delete(key)
      gaugesOf.set(name, gaugesOf.get(name)! - 1)
    }
  }
}

const combined = (sources: ReadonlySet<() => number>, combine: "sum" | "max"): number => {
  let value = 0
  for (const read of sources) value = combine === "sum" ? value + read() : Math.max(value, read())
  return value
}

/** Makes the meter of a client, in the registry of a context. */
export const make = (context: Context.Context<never>, clientId: string): Meter =>
  new RegistryMeter(context, { "messaging.system": "kafka", "messaging.client.id": clientId })
