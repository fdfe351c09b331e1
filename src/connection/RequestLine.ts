/**
 * Requests that wait to be written, in their order: while the broker throttles us (KIP-219), and while we authenticate
 * again (KIP-368), once there is what that needs. Neither needs a timer while nothing is sent.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Backoff from "../Backoff.ts"
import * as KafkaError from "../KafkaError.ts"
import type { InFlightRequest } from "./InFlightRequest.ts"

/** How to authenticate again before the broker ends the session (KIP-368). */
export interface Reauthentication {
  /** When it is due, and when the broker will hear nothing else any more, on the monotonic clock. */
  readonly due: number
  readonly expires: number
  /**
   * Gets what it needs, such as a token, before anything is sent, and gives what sends it, which gives the next one. Where
   * the latter fails the broker is in the middle of it, and hears nothing else on this connection.
   */
  readonly prepare: Effect.Effect<Exchange, KafkaError.KafkaError>
}

/** What authenticates, and gives when that is to be done again. */
export type Exchange = Effect.Effect<Reauthentication | undefined, KafkaError.KafkaError>

/** What a line needs from its connection. */
export interface Context {
  /** `host:port`, for errors. */
  readonly address: string
  /** How long authenticating again may take, in milliseconds. */
  readonly connectTimeout: number
  readonly clock: Clock.Clock
  readonly fork: (effect: Effect.Effect<void>) => void
  readonly write: (request: InFlightRequest) => void
  readonly isOpen: () => boolean
  /** The session cannot be prolonged. */
  readonly onEnd: (error: KafkaError.KafkaError) => void
}

export class RequestLine {
  readonly #context: Context
  readonly #waiting: Array<InFlightRequest> = []
  #mutedUntil = 0
  #held = false
  #reauthentication: Reauthentication | undefined
  /** What it needs is being had, or is there. */
  #preparing = false
  #exchange: Exchange | undefined
  #exchanging = false

  constructor(context: Context) {
    this.#context = context
  }

  get length(): number {
    return this.#waiting.length
  }

  /** Whether the broker is in the middle of another authentication. */
  get isExchanging(): boolean {
    return this.#exchanging
  }

  /** Until when the broker hears nothing, neither what waits here nor what was written before, on the monotonic clock. */
  get mutedUntil(): number {
    return this.#mutedUntil
  }

  /** Takes all out. */
  clear(): ReadonlyArray<InFlightRequest> {
    return this.#waiting.splice(0)
  }

  /** Until when the session lasts, and how it is prolonged. */
  prolong(reauthentication: Reauthentication | undefined): void {
    this.#reauthentication = reauthentication
  }

  /** Nothing is written until then. */
  mute(until: number): void {
    this.#mutedUntil = Math.max(this.#mutedUntil, until)
  }

  /** Puts a request in line, and writes what need not wait. */
  add(request: InFlightRequest, now: number): void {
    // In line first: what it would have to wait for may be over before it has begun to wait.
    this.#waiting.push(request)
    this.#advance(now)
  }

  /** Takes out those whose deadline has passed, and gives how long the next one has. */
  expire(now: number, late: (request: InFlightRequest) => void): number {
    let wait = Infinity
    for (let i = this.#waiting.length - 1; i >= 0; i--) {
      const request = this.#waiting[i]!
      const left = request.deadline - now
      if (left <= 0) {
        this.#waiting.splice(i, 1)
        late(request)
      } else if (left < wait) wait = left
    }
    return wait
  }

  /** Whether a request has to wait now; sees to it that the line moves on later. */
  #mustWait(now: number): boolean {
    if (this.#held) return true
    if (this.#mutedUntil > now) {
      this.#hold(Effect.sleep(Math.ceil(this.#mutedUntil - now)))
      return true
    }
    const again = this.#reauthentication
    if (again === undefined || (again.due > now && again.expires > now)) return false
    if (again.due > now) {
      // A session of a second or less: that it is prolonged may not follow so soon upon the last time.
      this.#hold(Effect.sleep(Math.ceil(again.due - now)))
      return true
    }
    if (!this.#preparing) this.#prepare(again)
    else if (this.#exchange !== undefined) {
      const exchange = this.#exchange
      // Once, however it ends.
      this.#exchange = undefined
      this.#hold(this.#exchanged(exchange))
    }
    // What it needs is had beside what is sent, as long as the session lasts.
    return this.#held || (this.#preparing && again.expires <= now)
  }

  #hold(until: Effect.Effect<void>): void {
    this.#held = true
    // Not where it is interrupted: the client is being closed, and whoever waits hears so from its connection. To go on
    // would be to wait again, in a Scope that interrupts at once.
    const goOn = Effect.sync(() => {
      this.#held = false
      const now = Backoff.monotonic(this.#context.clock)
      // A token that came meanwhile goes out although nothing waits for it: it would be too old for who comes later.
      if (this.#exchange !== undefined) this.#mustWait(now)
      this.#advance(now)
    })
    this.#context.fork(Effect.andThen(until, goOn))
  }

  #advance(now: number): void {
    while (this.#waiting.length > 0 && !this.#mustWait(now)) {
      // None, where that has ended the connection.
      const request = this.#waiting.shift()
      if (request?.resume !== undefined) this.#context.write(request)
    }
  }

  #prepare(again: Reauthentication): void {
    this.#preparing = true
    this.#context.fork(
      Effect.matchCause(this.#bounded(again.prepare), {
        onFailure: (cause) => {
          // The client is being closed.
          if (Cause.hasInterruptsOnly(cause)) return
          this.#preparing = false
          const error = this.#errorOf(cause)
          const now = Backoff.monotonic(this.#context.clock)
          // A token that could not be had may be had later: as long as the session lasts, it is used.
          if (error.isRetryable && this.#context.isOpen() && now < again.expires)
            this.#reauthentication = {
              ...again,
              due: Math.min(again.expires, now + Math.max(1000, (again.expires - now) / 4))
            }
          else this.#context.onEnd(error)
          this.#advance(now)
        },
        onSuccess: (exchange) => {
          this.#exchange = exchange
          this.#mustWait(Backoff.monotonic(this.#context.clock))
        }
      })
    )
  }

  #exchanged(exchange: Exchange): Effect.Effect<void> {
    this.#exchanging = true
    return Effect.matchCause(this.#bounded(exchange), {
      onFailure: (cause) => this.#context.onEnd(this.#errorOf(cause)),
      onSuccess: (next) => {
        this.#preparing = this.#exchanging = false
        this.#reauthentication = next
      }
    })
  }

  /** A token that never comes, or an answer: what waits in line would wait for as long. */
  #bounded<A>(self: Effect.Effect<A, KafkaError.KafkaError>): Effect.Effect<A, KafkaError.KafkaError> {
    const { address, connectTimeout } = this.#context
    return Effect.timeoutOrElse(self, {
      duration: connectTimeout,
      orElse: () =>
        Effect.fail(
          KafkaError.make({
            _tag: "TimedOut",
            budget: "connectTimeout",
            millis: connectTimeout,
            waitingFor: "another authentication",
            broker: address
          })
        )
    })
  }

  /**
   * A defect has no error; without an end it would be tried again at once, for ever. An answer that cannot be read says
   * nothing of those that wait: another connection is authenticated, as it is where this one is lost.
   */
  #errorOf(cause: Cause.Cause<KafkaError.KafkaError>): KafkaError.KafkaError {
    const found = Cause.findError(cause)
    const unreachable = (why: string) =>
      KafkaError.make({ _tag: "Unreachable", attempts: [{ address: this.#context.address, cause: why }] }, cause)
    if (Result.isFailure(found)) return unreachable("authenticating again failed")
    const { message, reason } = found.success
    return reason._tag === "Corrupt" ? unreachable(`given up: ${message}`) : found.success
  }
}
