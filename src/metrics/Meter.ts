/**
 * Binds definitions to Effect's registry of metrics, as it is where a client is made: which attributes a series has, how
 * many there may be, and what is read of whom when somebody looks.
 *
 * What is updated costs a look-up in that registry, some tens of nanoseconds; a gauge costs nothing until it is read.
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import { kept } from "../Kept.ts"
import { type Combine, combined } from "./Combine.ts"
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
  readonly definition: Definition
  readonly base: Attributes
  readonly more: Attributes
  readonly read: () => number
  readonly sources: Set<() => number>
  /** So many of its name there may be, by whoever allows most. */
  most: number
  readonly register: () => Metric.Registration
  /** Undefined: it is beyond the limit. */
  registration: Metric.Registration | undefined
}

/** A counter, or a histogram. */
interface Updated {
  readonly definition: Definition
  readonly base: Attributes
  readonly more: Attributes
  /** What is in the registry: of clients of one name one by each attributes that the application gives all metrics. */
  readonly states: Map<string, () => Metric.CounterState<number> | Metric.HistogramState>
  /** The largest since it was last asked for; -Infinity: none. */
  peak: number
}

/** What a registry has of ours; clients of one name in one program share their series. */
interface Known {
  /** By the metric's name and its attributes. */
  readonly series: Map<string, Map<string, Updated>>
  readonly gauges: Map<string, Gauge>
  /** How many gauges there are of a name. */
  readonly gaugesOf: Map<string, number>
  /** Of a name those that are beyond the limit, by what that is: clients may have different ones. */
  readonly waiting: Map<string, Map<number, Set<Gauge>>>
}

const registries = new WeakMap<Metric.MetricRegistry, Known>()

/** How a gauge is made. */
interface GaugeOptions {
  readonly combine?: Combine | undefined
  readonly more?: Attributes | undefined
  readonly most?: number | undefined
}

/** Gives series and gauges of one client. */
export interface Meter {
  /** A series of a counter or a histogram, to be kept by whoever updates it. */
  readonly series: (definition: Definition, more?: Attributes) => Series
  /**
   * A gauge that is read when somebody looks; of several sources with the same attributes their sum, the largest, or
   * the mean. Gives what takes this one back: with the last of them it is gone. `most`: so many of this name there may
   * be; beyond it there is none until one of them is gone.
   */
  readonly gauge: (definition: Definition, read: () => number, options?: GaugeOptions) => () => void
}

/** Counts nothing. */
export const none: Meter = { series: () => silent, gauge: () => () => {} }

/** In the registry of a context. */
class RegistryMeter implements Meter {
  readonly #context: Context.Context<never>
  readonly #base: Attributes
  readonly #known: Known
  /** What the application gives all metrics. */
  readonly #theirs: string
  /** What is beyond the limit, by the metric's name: one for all, since whoever updates it keeps it by topic. */
  readonly #beyond = new Map<string, Series>()

  constructor(context: Context.Context<never>, base: Attributes) {
    this.#context = context
    this.#base = base
    this.#theirs = JSON.stringify(Context.get(context, Metric.CurrentMetricAttributes))
    const registry = Context.get(context, Metric.MetricRegistry)
    let known = registries.get(registry)
    if (known === undefined)
      registries.set(
        registry,
        (known = { series: new Map(), gauges: new Map(), gaugesOf: new Map(), waiting: new Map() })
      )
    this.#known = known
  }

  #attributes({ unit }: Definition, more: Attributes): Attributes {
    return { ...this.#base, ...more, unit }
  }

  series(definition: Definition, more: Attributes = {}): Series {
    const all = kept(this.#known.series, definition.name, () => new Map<string, Updated>())
    const isBeyond = !all.has(keyOf(this.#base, more)) && all.size >= seriesAtMost
    if (!isBeyond) return this.#series(definition, all, more)
    return kept(this.#beyond, definition.name, () => this.#series(definition, all, overflow))
  }

  #series(definition: Definition, all: Map<string, Updated>, mine: Attributes): Series {
    const { boundaries = [], description, name, type } = definition
    const attributes = this.#attributes(definition, mine)
    const metric =
      type === "Counter"
        ? Metric.counter(name, { description, attributes, incremental: true })
        : Metric.histogram(name, { description, attributes, boundaries })
    const context = this.#context
    const updated = kept<string, Updated>(all, keyOf(this.#base, mine), () => ({
      definition,
      base: this.#base,
      more: mine,
      states: new Map(),
      peak: -Infinity
    }))
    let isKnown = false
    return {
      update: (value) => {
        metric.updateUnsafe(value, context)
        if (!isKnown) updated.states.set(this.#theirs, () => metric.valueUnsafe(context))
        isKnown = true
        if (value > updated.peak) updated.peak = value
      }
    }
  }

  gauge(
    definition: Definition,
    read: () => number,
    { combine = "sum", more = {}, most = Infinity }: GaugeOptions = {}
  ): () => void {
    const { gauges, gaugesOf, waiting } = this.#known
    const { description, name } = definition
    const key = JSON.stringify([name, this.#base, more, this.#theirs])
    const others = kept(waiting, name, () => new Map<number, Set<Gauge>>())
    const made = (): Gauge => {
      const sources = new Set<() => number>()
      const value = () =>
        combined(
          Array.from(sources, (read) => read()),
          combine
        )
      const metric = Metric.gauge(name, { description, attributes: this.#attributes(definition, more) })
      const register = () =>
        Metric.registerUnsafe(metric, this.#context, {
          get: () => ({ value: value() }),
          update: () => {},
          modify: () => {}
        })
      return { definition, base: this.#base, more, read: value, sources, most: -1, register, registration: undefined }
    }
    const gauge = kept(gauges, key, made)
    gauge.sources.add(read)
    const admit = (one: Gauge): boolean => {
      const count = gaugesOf.get(name) ?? 0
      if (count >= one.most) return false
      others.get(one.most)?.delete(one)
      gaugesOf.set(name, count + 1)
      one.registration = one.register()
      return true
    }
    if (gauge.registration === undefined && most > gauge.most) {
      others.get(gauge.most)?.delete(gauge)
      gauge.most = most
      if (!admit(gauge)) kept(others, most, () => new Set<Gauge>()).add(gauge)
    }
    return () => {
      if (!gauge.sources.delete(read) || gauge.sources.size > 0) return
      gauges.delete(key)
      if (gauge.registration === undefined) return void others.get(gauge.most)?.delete(gauge)
      gauge.registration.remove()
      gaugesOf.set(name, gaugesOf.get(name)! - 1)
      // There is room for one: the first of those that wait under a limit that allows it.
      for (const [first] of others.values()) if (first !== undefined && admit(first)) return
    }
  }
}

const keyOf = (base: Attributes, more: Attributes): string => JSON.stringify([base, more])

const clientIdName = "messaging.client.id"

/** Makes the meter of a client, in the registry of a context. */
export const make = (context: Context.Context<never>, clientId: string): Meter =>
  new RegistryMeter(context, { "messaging.system": "kafka", [clientIdName]: clientId })

/** What a series or a gauge is at. */
export interface Reading {
  readonly definition: Definition
  /** Without those that each of a client has. */
  readonly attributes: Attributes
  /** Of a counter or a gauge its value, of a histogram the sum of what was seen. */
  readonly value: number
  /** Of a histogram: how often something was seen. */
  readonly count: number
  /** Of a histogram: the largest since `take` was last called; -Infinity where there was nothing. */
  readonly peak: number
  /** Begins with the largest anew; what is given takes that back. */
  readonly take: () => () => void
}

/** Reads all that a client has in the registry of a context. */
export const read = (context: Context.Context<never>, clientId: string): ReadonlyArray<Reading> => {
  const known = registries.get(Context.get(context, Metric.MetricRegistry))
  if (known === undefined) return []
  const readings: Array<Reading> = []
  for (const all of known.series.values())
    for (const one of all.values()) {
      // To look at what was never counted would put it into the registry.
      if (one.states.size === 0 || one.base[clientIdName] !== clientId) continue
      const states = Array.from(one.states.values(), (state) => state())
      readings.push({
        definition: one.definition,
        attributes: one.more,
        value: states.reduce((sum, state) => sum + ("sum" in state ? state.sum : state.count), 0),
        count: states.reduce((count, state) => count + state.count, 0),
        peak: one.peak,
        take: () => {
          const { peak } = one
          one.peak = -Infinity
          return () => void (one.peak = Math.max(one.peak, peak))
        }
      })
    }
  for (const { base, definition, more, read, registration } of known.gauges.values())
    if (registration !== undefined && base[clientIdName] === clientId)
      readings.push({ definition, attributes: more, value: read(), count: 0, peak: -Infinity, take: () => () => {} })
  return readings
}
