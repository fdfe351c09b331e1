/**
 * librdkafka's statistics, which it tells where its property `statistics.interval.ms` says so, as the metrics that the
 * native transport has: of connections bytes both ways, those made, ended and open, requests under way, how long they and
 * throttling took; of a producer's batches their bytes and records. What took so long, or was so large, it tells by the
 * percentiles since it told before: the histograms here have as many values, about where those say. What producers and
 * consumers count of records is counted above any transport.
 */
import * as Definitions from "../metrics/Definitions.ts"
import type { Meter, Series } from "../metrics/Meter.ts"

/** What was measured since the last time. */
interface Window {
  readonly cnt: number
  readonly min: number
  readonly p50: number
  readonly p75: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

/** The percentiles that are told, as parts of all. */
const marks = [
  ["p50", 0.5],
  ["p75", 0.75],
  ["p90", 0.9],
  ["p95", 0.95],
  ["p99", 0.99],
  ["max", 1]
] as const

const isWindow = (window: unknown): window is Window =>
  typeof window === "object" &&
  window !== null &&
  ["cnt", "min", ...marks.map(([name]) => name)].every((name) =>
    Number.isSafeInteger((window as { readonly [name: string]: unknown })[name])
  )

/** Gives a histogram the values of a window: those between two percentiles as their middle. */
const spread = (window: unknown, unit: number, series: () => Series): void => {
  if (!isWindow(window) || window.cnt <= 0) return
  const { update } = series()
  let [from, count] = [window.min, 0]
  for (const [name, part] of marks) {
    const [to, last] = [Math.min(window.max, window[name]), Math.round(window.cnt * part)]
    // One alone is what it is.
    const value = (window.cnt === 1 ? window.max : (from + to) / 2) * unit
    for (; count < last; count++) update(value)
    from = to
  }
}

/** What is read of a broker: counts from the beginning, and what is so now. */
interface Told {
  readonly connects: number
  readonly disconnects: number
  readonly rxbytes: number
  readonly txbytes: number
  readonly waitresp_cnt: number
  readonly state: string
  readonly rtt?: unknown
  readonly throttle?: unknown
}

const counts = ["connects", "disconnects", "rxbytes", "txbytes"] as const
const counted = {
  connects: Definitions.connectionCreation,
  disconnects: Definitions.connectionClose,
  rxbytes: Definitions.incomingBytes,
  txbytes: Definitions.outgoingBytes
}

interface Known {
  told: Told
  readonly latency: () => Series
  readonly throttled: () => Series
  readonly series: { readonly [name in (typeof counts)[number]]: Series }
}

const nothing: Told = { connects: 0, disconnects: 0, rxbytes: 0, txbytes: 0, waitresp_cnt: 0, state: "INIT" }

const isTold = (broker: unknown): broker is Told & { readonly nodename: string } => {
  if (typeof broker !== "object" || broker === null) return false
  const { nodename, state, waitresp_cnt, ...rest } = broker as { readonly [name: string]: unknown }
  return (
    typeof nodename === "string" &&
    // Its own threads are told like brokers, without an address.
    /:\d+$/.test(nodename) &&
    typeof state === "string" &&
    typeof waitresp_cnt === "number" &&
    counts.every((name) => Number.isSafeInteger(rest[name]))
  )
}

/** What one client of librdkafka has told. */
export class Statistics {
  readonly #meter: Meter
  readonly #brokers = new Map<string, Known>()
  readonly #ends: ReadonlyArray<() => void>

  constructor(meter: Meter) {
    this.#meter = meter
    const sum = (of: (told: Told) => number) => () => {
      let total = 0
      for (const { told } of this.#brokers.values()) total += of(told)
      return total
    }
    this.#ends = [
      meter.gauge(
        Definitions.connectionCount,
        sum(({ state }) => (state === "UP" ? 1 : 0))
      ),
      meter.gauge(
        Definitions.requestsInFlight,
        sum(({ waitresp_cnt }) => waitresp_cnt)
      )
    ]
  }

  /** Takes what it has told, as JSON. What is not what it should be counts for nothing. */
  take(json: string): void {
    let told: { readonly type?: unknown; readonly brokers?: unknown; readonly topics?: unknown } | null
    try {
      told = JSON.parse(json) as typeof told
    } catch {
      return
    }
    // A consumer tells of batches, too: of those that it has read.
    if (told?.type === "producer") this.#takeTopics(told.topics)
    const brokers = told?.brokers
    if (typeof brokers !== "object" || brokers === null) return
    for (const [name, broker] of Object.entries(brokers)) {
      if (!isTold(broker)) continue
      let known = this.#brokers.get(name)
      if (known === undefined) {
        const at = broker.nodename.lastIndexOf(":")
        const where = { "server.address": broker.nodename.slice(0, at), "server.port": broker.nodename.slice(at + 1) }
        const series = (count: (typeof counts)[number]) => this.#meter.series(counted[count], where)
        known = {
          told: nothing,
          latency: () => this.#meter.series(Definitions.requestLatency, where),
          throttled: () => this.#meter.series(Definitions.throttleTime, where),
          series: {
            connects: series("connects"),
            disconnects: series("disconnects"),
            rxbytes: series("rxbytes"),
            txbytes: series("txbytes")
          }
        }
        this.#brokers.set(name, known)
      }
      // It counts attempts, failed ones too: those that were made have ended, or are open.
      const now = { ...broker, connects: broker.disconnects + (broker.state === "UP" ? 1 : 0) }
      for (const count of counts) {
        const more = now[count] - known.told[count]
        if (more > 0) known.series[count].update(more)
      }
      known.told = now
      spread(broker.rtt, 1e-6, () => known.latency())
      spread(broker.throttle, 1e-3, () => known.throttled())
    }
  }

  #takeTopics(topics: unknown): void {
    if (typeof topics !== "object" || topics === null) return
    for (const [name, topic] of Object.entries(topics) as ReadonlyArray<readonly [string, unknown]>) {
      if (typeof topic !== "object" || topic === null) continue
      const { batchcnt, batchsize } = topic as { readonly batchcnt?: unknown; readonly batchsize?: unknown }
      const where = { "messaging.destination.name": name }
      spread(batchsize, 1, () => this.#meter.series(Definitions.batchSize, where))
      spread(batchcnt, 1, () => this.#meter.series(Definitions.batchRecords, where))
      const bytes = isWindow(batchsize) ? (batchsize as Window & { readonly sum?: unknown }).sum : 0
      if (Number.isSafeInteger(bytes) && (bytes as number) > 0) {
        this.#meter.series(Definitions.producedBytes, where).update(bytes as number)
      }
    }
  }

  /** Its gauges are read no more. */
  end(): void {
    for (const end of this.#ends) end()
  }
}
