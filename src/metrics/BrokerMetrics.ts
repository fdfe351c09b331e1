/** What is counted of the connections to one broker, and of the requests on them. */
import type * as KafkaError from "../KafkaError.ts"
import * as Definitions from "./Definitions.ts"
import { errorType } from "./errorType.ts"
import { kept } from "../Kept.ts"
import type { Attributes, Meter, Series } from "./Meter.ts"

/** A connection, as far as it is counted. */
export interface Counted {
  readonly isOpen: boolean
  /** Requests that are written and not answered. */
  readonly inFlight: number
  readonly metrics: BrokerMetrics
}

/** Of so many addresses it is kept at hand, where pods come back at another one each time; what is counted stays. */
const addressesAtMost = 1000

/** What is counted of all connections of a client. */
export class ClientMetrics {
  readonly #meter: Meter
  readonly #brokers = new Map<string, BrokerMetrics>()
  readonly #opened = new Set<Counted>()
  readonly #ends: ReadonlyArray<() => void>

  constructor(meter: Meter, sessions: Iterable<Counted>) {
    this.#meter = meter
    const inFlight = () => {
      let count = 0
      for (const session of sessions) count += session.inFlight
      return count
    }
    this.#ends = [
      meter.gauge(Definitions.connectionCount, () => this.#opened.size),
      meter.gauge(Definitions.requestsInFlight, inFlight)
    ]
  }

  broker(host: string, port: number): BrokerMetrics {
    return kept(this.#brokers, `${host} ${port}`, () => new BrokerMetrics(this.#meter, host, port), addressesAtMost)
  }

  /** It is ready for requests. */
  opened(session: Counted, authenticated: boolean): void {
    if (!session.isOpen) return
    this.#opened.add(session)
    session.metrics.opened(authenticated)
  }

  /** It has ended; false where it never was ready. */
  closed(session: Counted): boolean {
    if (!this.#opened.delete(session)) return false
    session.metrics.closed()
    return true
  }

  /** Nothing is read any more. */
  end(): void {
    this.#ends.forEach((end) => end())
  }
}

export class BrokerMetrics {
  readonly #meter: Meter
  readonly #where: Attributes
  readonly #outgoing: Series
  readonly #incoming: Series
  /** Requests that were answered, by API. */
  readonly #latencies = new Map<string, Series>()

  constructor(meter: Meter, host: string, port: number) {
    this.#meter = meter
    this.#where = { "server.address": host, "server.port": String(port) }
    this.#outgoing = meter.series(Definitions.outgoingBytes, this.#where)
    this.#incoming = meter.series(Definitions.incomingBytes, this.#where)
  }

  /** Negotiated and, where that is asked for, authenticated. */
  opened(authenticated: boolean): void {
    this.#one(Definitions.connectionCreation)
    if (authenticated) this.#one(Definitions.authentication)
  }

  /** One that was open has ended. */
  closed(): void {
    this.#one(Definitions.connectionClose)
  }

  /** One could not be made. */
  failed(error: KafkaError.KafkaError): void {
    if (error.reason._tag === "Closed") return
    this.#one(Definitions.connectionFailure, { "error.type": errorType(error) })
    if (error.reason._tag === "Unauthenticated") this.#one(Definitions.failedAuthentication)
  }

  sent(bytes: number): void {
    this.#outgoing.update(bytes)
  }

  received(bytes: number): void {
    this.#incoming.update(bytes)
  }

  /** A request was answered. */
  answered(api: string, seconds: number): void {
    kept(this.#latencies, api, () =>
      this.#meter.series(Definitions.requestLatency, { ...this.#where, "kafka.api.name": api })
    ).update(seconds)
  }

  /** A request that was written had no answer. */
  unanswered(api: string, seconds: number, error: KafkaError.KafkaError): void {
    const why = { ...this.#where, "kafka.api.name": api, "error.type": errorType(error) }
    this.#meter.series(Definitions.requestLatency, why).update(seconds)
  }

  throttled(api: string, millis: number): void {
    this.#meter.series(Definitions.throttleTime, { ...this.#where, "kafka.api.name": api }).update(millis / 1000)
  }

  #one(definition: Definitions.Definition, more?: Attributes): void {
    this.#meter.series(definition, { ...this.#where, ...more }).update(1)
  }
}
