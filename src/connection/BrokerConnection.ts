/**
 * One connection to one broker: requests are pipelined, responses come back in their order, each request has a
 * deadline, and one sweep serves all of them. When it ends, every request under way fails with the cause.
 * Requests wait in line where they must; what was sent before is answered meanwhile.
 *
 * One file because it is one class: all of it looks after the same requests under way.
 */
import * as Effect from "effect/Effect"
import { constVoid } from "effect/Function"
import type * as Schema from "effect/Schema"
import * as Backoff from "../Backoff.ts"
import type { Turns } from "../compression/Turns.ts"
import * as KafkaError from "../KafkaError.ts"
import type { BrokerMetrics } from "../metrics/BrokerMetrics.ts"
import { seconds } from "../metrics/Current.ts"
import type { Connection, Handler } from "../Network.ts"
import * as Resume from "../Resume.ts"
import type { Api, Offer, SendOptions } from "../protocol/Exchange.ts"
import * as Frame from "../protocol/Frame.ts"
import * as ApiVersions from "./ApiVersions.ts"
import type { Context } from "./ConnectionContext.ts"
import * as InFlightRequest from "./InFlightRequest.ts"
import { answers, asKafkaError, notKafka, shownBytes } from "./NotKafka.ts"
import { slowAfter } from "./Observed.ts"
import { type Reauthentication, RequestLine } from "./RequestLine.ts"
import { ResponseLine } from "./ResponseLine.ts"
import { Sweep } from "./Sweep.ts"
import * as Throttle from "./Throttle.ts"

/** The most that a broker may answer before we know it, and it us: Kafka's own limit for SASL is half of it. */
const strangerBytes = 1 << 20

export class BrokerConnection implements Handler {
  readonly #context: Context<BrokerConnection>
  readonly #pending: Array<InFlightRequest.InFlightRequest> = []
  readonly #line: RequestLine
  readonly #responses: ResponseLine
  /** Handed to the connection and not written out, of those that nobody answers. */
  readonly #leaving = new Set<InFlightRequest.InFlightRequest>()
  readonly #onLost = new Set<() => void>()
  /** When the system last took something from us, on the monotonic clock. */
  #progressAt = 0
  readonly #splitter: Frame.Splitter
  readonly #sweep: Sweep
  #connection: Connection | undefined
  #correlationId = 0
  #ended: KafkaError.KafkaError | undefined
  /** The first bytes that came, until they have proven to be a response. */
  #first: Uint8Array | undefined = new Uint8Array(0)
  #negotiated = false
  /** Whether it was told that it owes an answer, and sends nothing. */
  #isSlow = false
  /** What the broker offers, once negotiated. */
  offer: Offer = ApiVersions.none
  /** When it was last used, on the monotonic clock. */
  usedAt: number
  /** When something last came, on the monotonic clock. */
  heardAt: number
  /** Whether it has answered a request since it was negotiated: such a connection was of use. */
  served = false
  /** Whether the broker has closed it while it owed an answer. */
  brokeOff = false
  /** Whether it was given up since a request was not answered, or not even written out, in its time. */
  wasSilent = false
  /** Whether it was lost in the middle of another authentication. */
  wasExchanging = false
  /** Whether we have ended it as unwanted: that says nothing of the broker. */
  wasLeft = false
  readonly metrics: BrokerMetrics

  constructor(context: Context<BrokerConnection>) {
    this.#context = context
    this.metrics = context.metrics
    this.usedAt = this.heardAt = Backoff.monotonic(context.clock)
    this.#splitter = Frame.makeSplitter({
      maxFrameBytes: () => this.#mostBytes(),
      setting: () => (this.#mostBytes() === context.maxResponseBytes ? " (maxResponseBytes)" : ""),
      onFrame: (frame) => this.#onFrame(frame),
      onHeld: context.onHeld
    })
    const { address, clock, connectTimeout, fork, onHeld } = context
    this.#responses = new ResponseLine({
      fork,
      onHeld,
      onRead: (pending, value) => this.#onRead(pending, value),
      onUnreadable: (pending, error) => this.#onUnreadable(pending, error)
    })
    this.#line = new RequestLine({
      address,
      connectTimeout,
      clock,
      fork,
      write: (request) => this.#write(request),
      isOpen: () => this.isOpen,
      onEnd: (error) => this.#end(error, error)
    })
    this.#sweep = new Sweep({
      clock,
      fork,
      look: (now) => this.#endLate(now),
      onDied: (defect) => this.close(`given up: its deadlines could not be kept (${String(defect)})`)
    })
  }

  get address(): string {
    return this.#context.address
  }

  get isOpen(): boolean {
    return this.#ended === undefined
  }

  /** Requests that are written and not answered. */
  get inFlight(): number {
    return this.#pending.length
  }

  /** Whether any byte has come. */
  get heard(): boolean {
    return this.#first === undefined || this.#first.length > 0
  }

  get isIdle(): boolean {
    const lines = [this.#pending, this.#line, this.#responses]
    return lines.every(({ length }) => length === 0) && this.#leaving.size === 0
  }

  /**
   * Whether nothing has come since then, and what is to be answered next has waited for half of its time, and longer than
   * it may be held (a JoinGroup). It may have more time than what was called late (the heartbeat of a short session): the
   * silence, too, must be half of what it has beyond that. What waits behind it waits for it.
   */
  isSilentSince(since: number): boolean {
    const next = this.#pending[0]
    if (this.heardAt > since || next === undefined) return this.heardAt <= since
    const { budget, deadline, held } = next
    const now = Backoff.monotonic(this.#context.clock)
    return now - deadline + budget >= Math.max(held, budget / 2) && now - since >= (budget - held) / 2
  }

  /** Gives the session its connection. */
  attach(connection: Connection): void {
    this.#connection = connection
    if (this.#ended !== undefined) connection.close()
  }

  /** Negotiated and authenticated: requests may be sent. */
  ready(reauthentication: Reauthentication | undefined): void {
    this.#negotiated = true
    this.#line.prolong(reauthentication)
  }

  #mostBytes(): number {
    return this.#negotiated ? this.#context.maxResponseBytes : Math.min(strangerBytes, this.#context.maxResponseBytes)
  }

  onData(chunk: Uint8Array): void {
    if (this.#ended !== undefined) return
    this.heardAt = Backoff.monotonic(this.#context.clock)
    this.metrics.received(chunk.length)
    const first = this.#first
    if (first !== undefined && first.length < shownBytes)
      this.#first = Uint8Array.from([...first, ...chunk.subarray(0, shownBytes - first.length)])
    try {
      this.#splitter.push(chunk)
      InFlightRequest.came(this.#pending[0], chunk.length)
    } catch (error) {
      this.#fail(asKafkaError(error, this.address))
    }
  }

  onClose(cause: string, error?: KafkaError.KafkaError): void {
    this.brokeOff = this.#pending.length > 0
    if (error !== undefined) return this.#end(error, error)
    // A listener that wants SASL answers ApiVersions, and closes at anything else: never was it of use.
    const { authenticates, hasServed } = this.#context
    const vain = !authenticates && this.#negotiated && !hasServed() && this.#pending.length > 0
    this.close(vain ? `${cause} at the first request, as listeners do that want SASL` : cause)
  }

  /** Ends it on our side, `isLeft`: as unwanted. What waits fails with `Unreachable` because of `why`, or with that. */
  close(why: string | KafkaError.KafkaError, isLeft = false): void {
    const error = typeof why === "string" ? this.#lost(why) : why
    this.#end(error, error, isLeft)
  }

  /** `onLost` hears when it ends, also where nothing is sent. */
  watch(onLost: () => void): void {
    if (this.isOpen) this.#onLost.add(onLost)
    else onLost()
  }

  /** Sends a request at the highest version that both sides know. */
  send<Q extends Schema.Top, A extends Schema.Top>(
    api: Api<Q, A>,
    request: (version: number) => Q["~type.make.in"],
    options: SendOptions
  ): Effect.Effect<A["Type"], KafkaError.KafkaError> {
    return Resume.callback((resume) => {
      if (this.#ended !== undefined) return resume(Effect.fail(this.#ended))
      const version = ApiVersions.choose(api, this.offer, options, this.#context.address)
      if (typeof version !== "number") return resume(Effect.fail(version))
      const now = Backoff.monotonic(this.#context.clock)
      const pending = InFlightRequest.ofRequest(
        api,
        version,
        () => request(version),
        options,
        this.#context,
        now,
        resume
      )
      this.#line.add(pending, now)
      if (this.#line.length > 0) this.#sweep.start()
      return Effect.sync(() => void (pending.resume = undefined))
    })
  }

  /** Sends a request at a given version, past the line: for negotiation and authentication. `read` replaces how the response is read. */
  exchange<Q extends Schema.Top, A extends Schema.Top>(
    api: Api<Q, A>,
    version: number,
    request: Q["~type.make.in"],
    options: SendOptions & { readonly skippable?: boolean } = {},
    read?: (frame: Uint8Array) => Turns<A["Type"]>
  ): Effect.Effect<A["Type"], KafkaError.KafkaError> {
    return Resume.callback((resume) => {
      if (this.#ended !== undefined) return resume(Effect.fail(this.#ended))
      const now = Backoff.monotonic(this.#context.clock)
      const pending = InFlightRequest.ofRequest(api, version, () => request, options, this.#context, now, resume)
      if (read !== undefined) pending.read = read
      pending.skippable = options.skippable === true
      this.#write(pending)
      return Effect.sync(() => void (pending.resume = undefined))
    })
  }

  /** Sends a request whose response does not matter. */
  tell<Q extends Schema.Top, A extends Schema.Top>(api: Api<Q, A>, version: number, request: Q["~type.make.in"]): void {
    if (this.#ended !== undefined) return
    const now = Backoff.monotonic(this.#context.clock)
    this.#write(InFlightRequest.ofRequest(api, version, () => request, {}, this.#context, now, constVoid))
  }

  /** Sends a bare token of SASL, as brokers before 1.0 want them, and gives theirs. */
  token(bytes: Uint8Array): Effect.Effect<Uint8Array, KafkaError.KafkaError> {
    return Resume.callback((resume) => {
      if (this.#ended !== undefined) return resume(Effect.fail(this.#ended))
      const pending = InFlightRequest.ofToken(bytes, this.#context, Backoff.monotonic(this.#context.clock), resume)
      this.#write(pending)
      return Effect.sync(() => void (pending.resume = undefined))
    })
  }

  #write(pending: InFlightRequest.InFlightRequest): void {
    this.#correlationId = (this.#correlationId + 1) & 0x7fffffff
    pending.correlationId = this.#correlationId
    let chunks: Array<Uint8Array>
    try {
      chunks = pending.encode(pending.correlationId)
    } catch (error) {
      // What is no `KafkaError` is a mistake of our own.
      return pending.resume?.(error instanceof KafkaError.KafkaError ? Effect.fail(error) : Effect.die(error))
    }
    const now = (this.usedAt = Backoff.monotonic(this.#context.clock))
    pending.deadline = now + pending.budget
    if (pending.onLost !== undefined) this.#onLost.add(pending.onLost)
    if (pending.noResponse) this.#leaving.add(pending)
    else this.#pending.push(pending)
    pending.sentAt = seconds(this.#context.clock)
    this.metrics.sent(chunks.reduce((bytes, chunk) => bytes + chunk.length, 0))
    pending.onSent?.()
    this.#connection?.write(chunks, () => this.#written(pending))
    this.#sweep.start()
  }

  #written(pending: InFlightRequest.InFlightRequest): void {
    if (this.#ended !== undefined) return
    this.#progressAt = Backoff.monotonic(this.#context.clock)
    pending.written = true
    pending.deadline = this.#progressAt + pending.budget
    if (this.#leaving.delete(pending)) pending.resume?.(Effect.undefined)
  }

  // ── responses

  #onFrame(frame: Uint8Array): void {
    if (this.#ended !== undefined) return
    let pending = this.#pending[0]
    if (pending?.raw !== true) {
      const correlationId = Frame.readCorrelationId(frame)
      if (pending?.skippable === true && this.#pending[1]?.correlationId === correlationId) {
        this.#pending.shift()
        pending.resume?.(Effect.undefined)
        pending = this.#pending[0]
      }
      if (pending === undefined || pending.correlationId !== correlationId) {
        // Brokers of 0.9 lose what one connection asks over a question of another.
        if (this.#pending.some((later) => later.correlationId === correlationId))
          throw this.#lost(`given up: ${pending!.api} was lost, a request behind it was answered`)
        const problem = `correlation id ${correlationId} came where ${pending?.correlationId ?? "none"} was due`
        throw KafkaError.make({ _tag: "Corrupt", what: "response", problem, broker: this.#context.address })
      }
    }
    this.#pending.shift()
    this.#isSlow = false
    this.#first = undefined
    if (this.#negotiated) {
      this.#context.onAnswered(this)
      this.served = true
    }
    this.#responses.add(pending, frame)
  }

  #onRead(pending: InFlightRequest.InFlightRequest, value: unknown): void {
    const { clock, requestTimeout } = this.#context
    const now = (this.usedAt = Backoff.monotonic(clock))
    this.metrics.answered(pending.api, seconds(clock) - pending.sentAt!)
    const throttle = (value as { readonly throttleTimeMs?: number } | undefined)?.throttleTimeMs ?? 0
    if (throttle > 0) this.#context.onThrottled(pending.api, throttle)
    // Whoever waited has gone, but the broker may throttle us all the same.
    if (throttle > 0 && Throttle.clientWaits(pending.key, pending.version))
      this.#line.mute(now + Math.min(throttle, requestTimeout))
    pending.resume?.(Effect.succeed(value))
  }

  #onUnreadable(pending: InFlightRequest.InFlightRequest, error: unknown): void {
    this.#unanswered(pending, asKafkaError(error, this.address))
    this.close(`given up: its response to ${pending.api} could not be read`)
  }

  // ── deadlines

  /** Ends what is late; gives in how many milliseconds the next may be. */
  #endLate(now: number): number | undefined {
    if (this.isIdle || this.#ended !== undefined) return undefined
    let wait = this.#line.expire(now, (waiting) =>
      waiting.resume?.(Effect.fail(InFlightRequest.late(waiting, this.#context.address)))
    )
    for (const under of [this.#pending, this.#leaving]) {
      for (const pending of under) {
        const since = InFlightRequest.since(pending, this.#progressAt)
        const left = since + pending.budget - now
        if (left <= 0) {
          // Responses come in order, so those behind a late one are late as well: the connection is given up.
          this.#unanswered(pending, InFlightRequest.late(pending, this.#context.address))
          pending.resume = undefined
          const what = pending.written ? "answered" : "written out"
          this.#context.onSilence(this, since)
          this.wasSilent = true
          this.close(`given up: ${pending.api} was not ${what} within ${pending.budget} ms`)
          return undefined
        }
        if (left < wait) wait = left
      }
    }
    return Math.min(wait, this.#endPatience(now))
  }

  /** Tells of a broker that owes an answer, throttles us no more, and sends nothing; gives in how many milliseconds that may be. */
  #endPatience(now: number): number {
    const next = this.#pending[0]
    if (this.#isSlow || !this.#negotiated || next === undefined) return Infinity
    const since = Math.max(InFlightRequest.since(next, this.#progressAt), this.heardAt, this.#line.mutedUntil)
    const left = since + next.held + slowAfter - now
    if (left > 0) return left
    this.#isSlow = true
    this.#context.onSlow(this, next.written ? `owes the answer to ${next.api}` : `has not taken ${next.api}`)
    return Infinity
  }

  // ── the end

  /** Bytes that are no response: the request that was to be answered fails with that, the others with the lost connection. */
  #fail(error: KafkaError.KafkaError): void {
    const first = this.#first
    if (first === undefined || error.reason._tag !== "Corrupt" || answers(first, this.#pending[0])) {
      return this.#end(error, error.reason._tag === "Corrupt" ? this.#lost(`given up: ${error.message}`) : error)
    }
    const wrong = notKafka(first, this.#context.address, error)
    this.#end(wrong, wrong)
  }

  #end(first: KafkaError.KafkaError, others: KafkaError.KafkaError, isLeft = false): void {
    if (this.#ended !== undefined) return
    this.#ended = others
    this.wasLeft = isLeft
    this.wasExchanging = this.#line.isExchanging && !isLeft
    this.#connection?.close()
    this.#splitter.end()
    const next = this.#pending[0]
    const due = [...this.#responses.clear(), ...this.#pending.splice(0), ...this.#leaving, ...this.#line.clear()]
    this.#leaving.clear()
    // The owner first: whoever is told goes on at once, and would find this connection in its place.
    this.#context.onEnd(this, first)
    for (const pending of due) this.#unanswered(pending, pending === next ? first : others)
    for (const told of this.#onLost) told()
  }

  #unanswered(pending: InFlightRequest.InFlightRequest, error: KafkaError.KafkaError): void {
    const { api, sentAt } = pending
    if (sentAt !== undefined) this.metrics.unanswered(api, seconds(this.#context.clock) - sentAt, error)
    pending.sentAt = undefined
    pending.resume?.(Effect.fail(error))
  }

  #lost(cause: string): KafkaError.KafkaError {
    return KafkaError.make({ _tag: "Unreachable", attempts: [{ address: this.#context.address, cause }] })
  }
}
