/** What is seen from outside of the connections to a broker: metrics, and events in the log. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as KafkaError from "../KafkaError.ts"
import { atMost, kept } from "../Kept.ts"
import * as LogEvent from "../LogEvent.ts"
import type { BrokerMetrics, ClientMetrics, Counted } from "../metrics/BrokerMetrics.ts"
import type { Spans } from "../tracing/Spans.ts"

export interface Context {
  readonly metrics: ClientMetrics
  readonly client: string
  readonly cluster: () => string | null
  /** As whom we come; undefined: as nobody. */
  readonly mechanism: string | undefined
  /** Milliseconds on the monotonic clock. */
  readonly now: () => number
  readonly spans: Spans | undefined
  /** By their addresses. */
  readonly troubles: Map<string, Troubles>
  /** Brokers by their ids, where they are now. */
  readonly places: Map<number, Observed>
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}

/** What is asked of a connection that has ended. */
interface Session extends Counted {
  readonly served: boolean
  readonly wasExchanging: boolean
  readonly wasLeft: boolean
  readonly wasSilent: boolean
}

/**
 * A connection that takes longer to be made is told of, in milliseconds: most networks that drop packets say nothing for as
 * long as one waits. So is an answer that is due for longer: a broker that stands still says nothing, either.
 */
export const slowAfter = LogEvent.lastsAfter
/** Being throttled for so long, in milliseconds, is a warning. */
const throttledLong = 1000

/** What was told of an address: a broker is one to whoever reads the log, also where it was connected to for bootstrap. */
class Troubles {
  /** Connections that could not be made. */
  readonly failing = new LogEvent.Lasting()
  /** Those that were made and were of no use. */
  readonly useless = new LogEvent.Lasting()
  /** Connections that take long, until one is made. */
  readonly slowConnects = new LogEvent.Doubling()
  readonly silences = new LogEvent.Doubling()
  /** Connections that another authentication has cost, or bytes that are no answer: the next one is good, and nobody hears. */
  readonly spoilt = new LogEvent.Doubling()
  /** Connections on which an answer is due for long; and what was told of that. */
  readonly slow = new Set<object>()
  readonly slows = new LogEvent.Doubling()

  /** What takes back that it could not be connected to, or not soon, where somebody was warned of that. */
  reached(): "again" | "at last" | undefined {
    const wasSlow = this.slowConnects.cured()
    return this.failing.cured() ? "again" : wasSlow ? "at last" : undefined
  }
}

export class Observed {
  readonly metrics: BrokerMetrics
  readonly #context: Context
  readonly #id: number
  readonly #address: string
  readonly #host: string
  readonly #port: number
  readonly #troubles: Troubles
  /** It has answered a request, on whichever connection. */
  hasServed = false
  /** What the log says of the broker at another address, where it was before. */
  #unreached: "again" | "at last" | undefined
  #unheard = false
  #throttles = 0
  /** Those that were long. */
  #longThrottles = 0

  constructor(context: Context, id: number, host: string, port: number, address: string) {
    this.#context = context
    this.#troubles = kept(context.troubles, address, () => new Troubles(), atMost)
    this.#id = id
    this.#address = address
    this.#host = host
    this.#port = port
    this.metrics = context.metrics.broker(host, port)
    if (id >= 0) this.#moveTo(context.places.get(id))
  }

  /** What was told of a broker is taken back where it is found again: nobody goes to where it was. */
  #moveTo(before: Observed | undefined): void {
    const { places } = this.#context
    places.delete(this.#id)
    kept(places, this.#id, () => this, atMost)
    if (before === undefined) return
    this.#unreached = before.#unreached
    this.#unheard = before.#unheard
    if (before.#address === this.#address) return
    const troubles = before.#troubles
    const reached = troubles.reached()
    this.#unreached ??= reached
    for (const isOver of [troubles.slows.cured(), troubles.useless.cured()]) this.#unheard ||= isOver
  }

  #log(event: LogEvent.Event, message: string, level?: Parameters<typeof LogEvent.log>[3]): Effect.Effect<void> {
    const { client, cluster } = this.#context
    return LogEvent.log(event, message, { client, cluster: cluster(), broker: this.#address }, level)
  }

  get #who(): string {
    return this.#id < 0 ? this.#address : `broker ${this.#id} at ${this.#address}`
  }

  /** A connection that is being made: says that it takes long, and why it fails. */
  connecting<A>(self: Effect.Effect<A, KafkaError.KafkaError>): Effect.Effect<A, KafkaError.KafkaError> {
    return Effect.uninterruptibleMask((restore) => {
      const hint = "is it the address that clients reach it by (advertised.listeners)? does a firewall drop packets?"
      const slow = this.#context.fork(
        Effect.andThen(
          Effect.sleep(slowAfter),
          Effect.suspend(() => {
            const soFar = this.#troubles.slowConnects.told(this.#context.now())
            const text = `still connecting to ${this.#who} after ${slowAfter / 1000} s: ${hint}${soFar}`
            return soFar === undefined ? Effect.void : this.#log("connectSlow", text)
          })
        )
      )
      const { client, spans } = this.#context
      const begun = spans?.begin(`connect ${this.#address}`, "client", {
        "messaging.client.id": client,
        "server.address": this.#host,
        "server.port": this.#port,
        "messaging.kafka.broker.id": this.#id < 0 ? undefined : this.#id
      })
      return Effect.onExit(restore(self), (exit) =>
        Effect.sync(() => {
          slow.interruptUnsafe()
          begun?.end(exit)
        })
      )
    }).pipe(Effect.tapError((error) => this.#failed(error)))
  }

  #failed(error: KafkaError.KafkaError): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.metrics.failed(error)
      const level = error.reason._tag === "Closed" ? undefined : this.#troubles.failing.failed(this.#context.now())
      return level === undefined
        ? Effect.void
        : this.#log("connectFailed", `cannot connect to ${this.#who}: ${error.message}`, level)
    })
  }

  /** It is ready for requests. */
  opened(session: Counted): Effect.Effect<void> {
    const { mechanism, metrics } = this.#context
    metrics.opened(session, mechanism !== undefined)
    const as = mechanism === undefined ? "" : `, authenticated by ${mechanism}`
    const reached = this.#troubles.reached() ?? this.#unreached
    this.#unreached = undefined
    return reached === undefined
      ? this.#log("connected", `connected to ${this.#who}${as}`)
      : this.#log("goesOn", `connected to ${this.#who} ${reached}${as}`)
  }

  /** One that was made, or not yet, has ended. */
  ended(session: Session, why: KafkaError.KafkaError): void {
    const { fork, metrics, now } = this.#context
    this.#troubles.slow.delete(session)
    const wasOpen = metrics.closed(session)
    if (!wasOpen) return
    const { reason } = why
    // That it cannot be reached is none: it was, and has ended.
    const cause =
      reason._tag === "Unreachable" && reason.attempts.length === 1 ? reason.attempts[0]!.cause : why.message
    const amid = session.wasExchanging ? " amid another authentication" : ""
    const text = `the connection to ${this.#who} has ended${amid}: ${cause}`
    const useless = session.served || session.wasLeft ? undefined : this.#troubles.useless.failed(now())
    if (session.wasSilent) {
      const soFar = this.#troubles.silences.told(now())
      fork(this.#log("brokerSilent", `${text}${soFar ?? ""}`, soFar === undefined ? "Debug" : undefined))
    } else if (session.wasExchanging || reason._tag === "Corrupt") {
      const soFar = this.#troubles.spoilt.told(now())
      fork(this.#log("disconnected", `${text}${soFar ?? ""}`, soFar === undefined ? undefined : "Warn"))
    } else fork(this.#log("disconnected", text, useless === "Warn" ? "Warn" : undefined))
  }

  /** An answer is due for long on one of the connections, or a request not even written out: what the broker is behind with. */
  slow(session: object, what: string): void {
    this.#troubles.slow.add(session)
    if (this.#troubles.slows.stands) return
    const { fork, now } = this.#context
    const soFar = this.#troubles.slows.told(now())
    if (soFar === undefined) return
    const hint = "is it overloaded, stopped, or cut off, or the network slow?"
    fork(this.#log("brokerSlow", `${this.#who} ${what} for ${slowAfter / 1000} s: ${hint}${soFar}`))
  }

  /** A request was answered. That a connection can be made proves nothing: a broker that stands still may take it. */
  answered(session: Pick<Session, "served">): void {
    this.hasServed = true
    if (this.#troubles.slow.size > 0) this.#troubles.slow.delete(session)
    // By its first answer: one that is of use says nothing of others, which are closed again and again.
    const wasUseless = !session.served && this.#troubles.useless.cured()
    const isHeard = this.#troubles.slow.size === 0 && (this.#troubles.slows.cured() || this.#unheard)
    if (isHeard) this.#unheard = false
    if (wasUseless || isHeard) this.#context.fork(this.#log("goesOn", `${this.#who} answers again`))
  }

  /** The broker has throttled us. */
  throttled(api: string, millis: number): void {
    this.metrics.throttled(api, millis)
    const isLong = millis >= throttledLong
    const count = ++this.#throttles
    // Behind thousands of short ones the first that is long is told.
    if (!LogEvent.isTold(isLong ? ++this.#longThrottles : count - this.#longThrottles)) return
    const text = `${this.#who} throttles us: ${api} by ${millis} ms (quota; ${count} times so far)`
    this.#context.fork(this.#log("throttled", text, isLong ? "Warn" : undefined))
  }
}
