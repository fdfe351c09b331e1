/**
 * One connection to one broker, negotiated: requests are pipelined, responses come back in their order, each request
 * has a deadline, and one sweep serves all of them. When it ends, every request under way fails with the cause.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as Backoff from "../Backoff.ts"
import type { Api, SendOptions } from "../Broker.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Connection, Handler } from "../Network.ts"
import * as Frame from "../protocol/Frame.ts"
import * as ApiVersions from "../protocol/messages/ApiVersions.ts"
import * as Versions from "./Versions.ts"

/** What a session needs from its owner. */
export interface Context {
  /** `host:port`, for errors. */
  readonly address: string
  readonly clientId: string
  readonly requestTimeout: number
  readonly maxResponseBytes: number
  readonly clock: Clock.Clock
  /** Runs the deadline sweep, in the owner's Scope. */
  readonly fork: (effect: Effect.Effect<void>) => void
  /** Told once, when the session has ended. */
  readonly onEnd: (session: Session) => void
}

interface Pending {
  readonly correlationId: number
  readonly deadline: number
  readonly api: string
  readonly version: number
  readonly budget: number
  readonly read: (frame: Uint8Array) => unknown
  /** Undefined once nobody waits: the response is still due, and dropped. */
  resume: ((effect: Effect.Effect<any, KafkaError.KafkaError>) => void) | undefined
}

/** How often at most the sweep looks, and how long its timer may outlive the last request. */
const sweepMillis = 1000

export class Session implements Handler {
  readonly #context: Context
  readonly #pending: Array<Pending> = []
  readonly #splitter: { readonly push: (chunk: Uint8Array) => void }
  #connection: Connection | undefined
  #correlationId = 0
  #sweeping = false
  #mutedUntil = 0
  #ended: KafkaError.KafkaError | undefined
  /** What the broker offers, once negotiated. */
  versions: Versions.Offer = Versions.none

  constructor(context: Context) {
    this.#context = context
    this.#splitter = Frame.makeSplitter({
      maxFrameBytes: context.maxResponseBytes,
      onFrame: (frame) => this.#onFrame(frame)
    })
  }

  /** Gives the session its connection. */
  attach(connection: Connection): void {
    this.#connection = connection
  }

  get isOpen(): boolean {
    return this.#ended === undefined
  }

  onData(chunk: Uint8Array): void {
    try {
      this.#splitter.push(chunk)
    } catch (error) {
      this.#end(this.#asKafkaError(error))
    }
  }

  onClose(cause: string): void {
    this.#end(this.#lost(cause))
  }

  /** Ends it on our side. */
  close(cause: string): void {
    this.#end(this.#lost(cause))
  }

  /** Sends a request at the highest version that both sides know. */
  send<Q extends Schema.Top, A extends Schema.Top>(
    api: Api<Q, A>,
    request: (version: number) => Q["~type.make.in"],
    options: SendOptions
  ): Effect.Effect<A["Type"], KafkaError.KafkaError> {
    return Effect.suspend(() => {
      const version = Versions.choose(api, this.versions, options, this.#context.address)
      if (typeof version !== "number") return Effect.fail(version)
      const exchange = this.exchange(api, version, () => request(version), options)
      // KIP-219: since 2.0 the broker answers at once and expects that the client waits.
      const muted = this.#mutedUntil === 0 ? 0 : this.#mutedUntil - Backoff.monotonic(this.#context.clock)
      return muted > 0 ? Effect.andThen(Effect.sleep(muted), exchange) : exchange
    })
  }

  /** Sends a request at a given version. `read` replaces how the response is read. */
  exchange<Q extends Schema.Top, A extends Schema.Top>(
    api: Api<Q, A>,
    version: number,
    request: () => Q["~type.make.in"],
    options: SendOptions,
    read: (frame: Uint8Array) => A["Type"] = (frame) => Frame.readResponse(api.Response, version, frame).value
  ): Effect.Effect<A["Type"], KafkaError.KafkaError> {
    return Effect.callback((resume) => {
      if (this.#ended !== undefined) return resume(Effect.fail(this.#ended))
      const correlationId = this.#correlationId
      this.#correlationId = (correlationId + 1) & 0x7fffffff
      let chunks: Array<Uint8Array>
      try {
        chunks = Frame.encodeRequest(api.Request, version, { correlationId, clientId: this.#context.clientId }, request())
      } catch (error) {
        return resume(Effect.fail(this.#asKafkaError(error)))
      }
      if (options.noResponse === true) {
        this.#connection?.write(chunks)
        return resume(Effect.undefined)
      }
      const budget = (options.timeout ?? this.#context.requestTimeout) + (options.held ?? 0)
      const pending: Pending = {
        correlationId,
        deadline: Backoff.monotonic(this.#context.clock) + budget,
        api: api.Request.name,
        version,
        budget,
        read,
        resume
      }
      this.#pending.push(pending)
      this.#connection?.write(chunks)
      this.#sweep()
      return Effect.sync(() => {
        pending.resume = undefined
      })
    })
  }

  /** Asks what the broker offers (KIP-511): the highest version that both know, else what an old broker says it knows. */
  readonly negotiate: Effect.Effect<void, KafkaError.KafkaError> = Effect.suspend(() => this.#ask(4))

  #ask(version: number): Effect.Effect<void, KafkaError.KafkaError> {
    const unsupported = 35
    // Before 2.4 an unknown version is answered in the layout of v0 (KIP-511 kept that for the error).
    const read = (frame: Uint8Array) =>
      Frame.readResponse(ApiVersions.Response, ((frame[4]! << 8) | frame[5]!) === unsupported ? 0 : version, frame).value
    const request = () => ({ clientSoftwareName: "samsa", clientSoftwareVersion: "0.1.0" })
    return this.exchange(ApiVersions, version, version >= 3 ? request : () => ({}), {}, read).pipe(
      Effect.flatMap((response) => {
        if (response.errorCode === 0) {
          this.versions = Versions.fromResponse(response.apiKeys)
          return Effect.void
        }
        const offered = response.apiKeys.find((row) => row.apiKey === ApiVersions.Request.key)?.maxVersion ?? 0
        // Only ever downwards, so that a broker that contradicts itself cannot hold us in a loop.
        if (response.errorCode === unsupported && version > 0) return this.#ask(Math.min(offered, version - 1))
        return Effect.fail(
          KafkaError.fromCode(response.errorCode, { api: "ApiVersions", version, broker: this.#context.address })
        )
      })
    )
  }

  #onFrame(frame: Uint8Array): void {
    const pending = this.#pending.shift()
    const correlationId = Frame.readCorrelationId(frame)
    if (pending === undefined || pending.correlationId !== correlationId) {
      return this.#end(
        KafkaError.make({
          _tag: "Corrupt",
          what: "response",
          problem: `correlation id ${correlationId} came where ${pending?.correlationId ?? "none"} was due`,
          broker: this.#context.address
        })
      )
    }
    if (pending.resume === undefined) return
    try {
      const value = pending.read(frame) as { readonly throttleTimeMs?: number } | undefined
      const throttle = value?.throttleTimeMs ?? 0
      if (throttle > 0) this.#mutedUntil = Backoff.monotonic(this.#context.clock) + throttle
      pending.resume(Effect.succeed(value))
    } catch (error) {
      pending.resume(Effect.fail(this.#asKafkaError(error)))
    }
  }

  #sweep(): void {
    if (this.#sweeping) return
    this.#sweeping = true
    this.#context.fork(this.#sweepLoop)
  }

  readonly #sweepLoop: Effect.Effect<void> = Effect.suspend(() => {
    if (this.#pending.length === 0 || this.#ended !== undefined) {
      this.#sweeping = false
      return Effect.void
    }
    const now = Backoff.monotonic(this.#context.clock)
    let wait = sweepMillis
    for (const pending of this.#pending) {
      const left = pending.deadline - now
      if (left <= 0) {
        // Responses come in order, so those behind a late one are late as well: the connection is given up.
        this.#expire(pending)
        return this.#sweepLoop
      }
      if (left < wait) wait = left
    }
    return Effect.andThen(Effect.sleep(Math.ceil(wait)), this.#sweepLoop)
  })

  #expire(pending: Pending): void {
    const resume = pending.resume
    pending.resume = undefined
    resume?.(
      Effect.fail(
        KafkaError.make({
          _tag: "TimedOut",
          budget: "requestTimeout",
          millis: pending.budget,
          waitingFor: `the response to ${pending.api}`,
          api: pending.api,
          version: pending.version,
          broker: this.#context.address
        })
      )
    )
    this.#end(this.#lost(`given up: ${pending.api} was not answered within ${pending.budget} ms`))
  }

  #end(error: KafkaError.KafkaError): void {
    if (this.#ended !== undefined) return
    this.#ended = error
    this.#connection?.close()
    // The owner first: whoever is told may try again at once, and must find a new connection.
    this.#context.onEnd(this)
    for (const { resume } of this.#pending.splice(0)) resume?.(Effect.fail(error))
  }

  #lost(cause: string): KafkaError.KafkaError {
    return KafkaError.make({ _tag: "Unreachable", attempts: [{ address: this.#context.address, cause }] })
  }

  #asKafkaError(error: unknown): KafkaError.KafkaError {
    if (error instanceof KafkaError.KafkaError) return error
    return KafkaError.make(
      { _tag: "Corrupt", what: "response", problem: String(error), broker: this.#context.address },
      error
    )
  }
}
