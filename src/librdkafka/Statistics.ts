/**
 * librdkafka's statistics, which it tells where its property `statistics.interval.ms` says so, as the metrics that the
 * native transport has of connections: bytes both ways, connections made, ended and open, requests under way. What
 * producers and consumers count of records is counted above any transport.
 */
import * as Definitions from "../metrics/Definitions.ts"
import type { Meter, Series } from "../metrics/Meter.ts"

/** What is read of a broker: counts from the beginning, and what is so now. */
interface Told {
  readonly connects: number
  readonly disconnects: number
  readonly rxbytes: number
  readonly txbytes: number
  readonly waitresp_cnt: number
  readonly state: string
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
    let brokers: unknown
    try {
      brokers = (JSON.parse(json) as { readonly brokers?: unknown } | null)?.brokers
    } catch {
      return
    }
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
          series: {
            connects: series("connects"),
            disconnects: series("disconnects"),
            rxbytes: series("rxbytes"),
            txbytes: series("txbytes")
          }
        }
        this.#brokers.set(name, known)
      }
      for (const count of counts) {
        const more = broker[count] - known.told[count]
        if (more > 0) known.series[count].update(more)
      }
      known.told = broker
    }
  }

  /** Its gauges are read no more. */
  end(): void {
    for (const end of this.#ends) end()
  }
}
