/**
 * Tells a broker of this client, as often and as much as it asks for (KIP-714): which metrics are wanted is asked first,
 * and again where that has changed; what is wanted is pushed at its interval, and a last time at the end.
 *
 * Nothing of it is an error of the application's: what goes wrong is logged, and tried again when it may go better.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type { Brokers } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import * as Compression from "../Compression.ts"
import { Closing } from "../engine/Closing.ts"
import * as ErrorCode from "../ErrorCode.ts"
import { formatAddress } from "../KafkaConfig.ts"
import * as KafkaError from "../KafkaError.ts"
import { listed, toldAtMost } from "../Listed.ts"
import * as LogEvent from "../LogEvent.ts"
import * as Resume from "../Resume.ts"
import * as Meter from "../metrics/Meter.ts"
import * as Uuid from "../protocol/codec/Uuid.ts"
import * as GetTelemetrySubscriptions from "../protocol/messages/GetTelemetrySubscriptions.ts"
import * as PushTelemetry from "../protocol/messages/PushTelemetry.ts"
import * as Payload from "./Payload.ts"
import * as Receiver from "./Receiver.ts"
import * as Report from "./Report.ts"

/** Where a broker says no interval, and until one without a receiver may have one: Java's, too. */
const defaultInterval = 300_000
/** The least that brokers let anybody subscribe with, in milliseconds: one that asks for more is not one of theirs. */
const leastInterval = 100
/** A broker that could not be reached, before any has told an interval. */
const unreachedInterval = 30_000

export interface Settings {
  readonly clientId: string
  /** How long closing may push, in milliseconds. */
  readonly closeTimeout: number
  /** How long somebody waits for the id of this client, in milliseconds. */
  readonly timeout: number
}

/** What a broker wants. */
interface Subscription {
  readonly id: number
  readonly interval: number
  readonly accepted: ReadonlyArray<number>
  readonly delta: boolean
  readonly wants: (name: string) => boolean
}

/** When to go on, in milliseconds; undefined: there is no more to be done. */
type Next = number | undefined

/** What a reporter is made of. */
interface Parts {
  readonly settings: Settings
  readonly context: Context.Context<never>
  readonly cluster: Cluster["Service"]
  readonly receiver: Receiver.Receiver
  readonly serialize: Payload.Serialize
}

const { codes } = ErrorCode

class Reporter {
  readonly #parts: Parts
  readonly #clock: Clock.Clock
  readonly #random: Random.Random
  readonly #codecs: Compression.Registry
  readonly #pushing = Semaphore.makeUnsafe(1)
  readonly #named = Deferred.makeUnsafe<string, KafkaError.KafkaError>()

  // ── what the broker has said
  #instance = Uuid.zero
  #subscription: Subscription | undefined
  #interval: number | undefined
  #maxBytes = Infinity
  /** Kinds that it has said to accept, and did not. */
  readonly #refusedCodecs = new Set<number>()
  /** Brokers by their addresses, where they were before, too. */
  readonly #nodes = new Map<string, string>()
  /** Addresses at which no broker was known when that was last asked. */
  readonly #others = new Set<string>()

  // ── what it was told
  readonly #began: bigint
  readonly #begun: Report.Before
  /** At the last push that it has taken, and when. */
  #before: Report.Before
  #since: bigint
  /** When a push was last answered, in milliseconds, taken or not. */
  #pushedAt = -Infinity
  #warnings = 0
  /** The last word of the log. */
  #saysThatNoneListens = false

  constructor(parts: Parts) {
    const { context } = parts
    this.#parts = parts
    this.#clock = Context.get(context, Clock.Clock)
    this.#random = Context.get(context, Random.Random)
    this.#codecs = Context.get(context, Compression.Compression)
    this.#since = this.#began = this.#clock.currentTimeNanosUnsafe()
    this.#before = this.#begun = Report.at(this.#readings())
  }

  readonly #step: Effect.Effect<Next> = Effect.suspend(() => {
    const subscription = this.#subscription
    return subscription === undefined ? this.#ask : Effect.andThen(this.#learnMoved, this.#push(subscription, false))
  })

  /** Goes on until there is no more to be done. */
  readonly run: Effect.Effect<void> = Effect.suspend(() => {
    const step = this.#step
    return Effect.gen(function* () {
      for (let next = yield* step; next !== undefined; next = yield* step) yield* Effect.sleep(next)
    })
  })

  /** The last push, where metrics are wanted; what is under way is waited for. */
  readonly close: Effect.Effect<void> = Effect.suspend(() => {
    Deferred.doneUnsafe(this.#named, Exit.fail(KafkaError.make({ _tag: "Closed", what: "client" })))
    const subscription = this.#subscription
    if (subscription === undefined) return Effect.void
    return Effect.asVoid(Effect.timeoutOption(this.#push(subscription, true), this.#parts.settings.closeTimeout))
  })

  readonly clientInstanceId: Effect.Effect<string, KafkaError.KafkaError> = Effect.suspend(() => {
    if (this.#instance !== Uuid.zero) return Effect.succeed(this.#instance)
    const { timeout } = this.#parts.settings
    const waitingFor = "a broker that gives this client an id"
    const spent = KafkaError.make({ _tag: "TimedOut", budget: "timeout", millis: timeout, waitingFor })
    return Effect.timeoutOrElse(Resume.awaiting(this.#named), {
      duration: timeout,
      orElse: () => Effect.fail(spent)
    })
  })

  #readings(): ReadonlyArray<Meter.Reading> {
    return Meter.read(this.#parts.context, this.#parts.settings.clientId)
  }

  readonly #ask: Effect.Effect<Next> = Effect.suspend(() =>
    this.#parts.receiver.send(GetTelemetrySubscriptions, { clientInstanceId: this.#instance })
  ).pipe(
    Effect.matchEffect({
      onFailure: () => Effect.sync(() => this.#interval ?? unreachedInterval),
      onSuccess: (answer) =>
        answer === undefined
          ? this.#noneListens
          : answer.errorCode === codes.NONE
            ? this.#subscribed(answer)
            : this.#refused("GetTelemetrySubscriptions", answer.errorCode)
    })
  )

  #subscribed(answer: typeof GetTelemetrySubscriptions.Response.schema.Type): Effect.Effect<Next> {
    const { clientInstanceId, deltaTemporality, requestedMetrics, subscriptionId } = answer
    const interval = answer.pushIntervalMs > 0 ? Math.max(leastInterval, answer.pushIntervalMs) : defaultInterval
    this.#instance = clientInstanceId
    this.#interval = interval
    this.#maxBytes = answer.telemetryMaxBytes > 0 ? answer.telemetryMaxBytes : Infinity
    Deferred.doneUnsafe(this.#named, Exit.succeed(clientInstanceId))
    const none = requestedMetrics.length === 0
    const what = none ? "no metrics are wanted" : `wanted every ${interval} ms: ${listed(requestedMetrics, toldAtMost)}`
    const level = this.#saysThatNoneListens ? "Info" : undefined
    this.#saysThatNoneListens = false
    const told = this.#log("telemetrySubscribed", `as client instance ${clientInstanceId} (KIP-714): ${what}`, level)
    if (none) return Effect.as(told, interval)
    this.#subscription = {
      id: subscriptionId,
      interval,
      accepted: answer.acceptedCompressionTypes,
      delta: deltaTemporality,
      wants: Report.selector(requestedMetrics)
    }
    // Many clients that begin together, or hear together of what has changed, do not push together.
    const jittered = interval * (0.5 + this.#random.nextDoubleUnsafe())
    // A push that was refused counts as one, to brokers: the next within an interval would be throttled (4.4).
    const first = Math.max(jittered, interval - (this.#clock.currentTimeMillisUnsafe() - this.#pushedAt))
    return told.pipe(Effect.andThen(Effect.ignore(this.#learnNodes)), Effect.as(Math.round(first)))
  }

  /** Where metrics are told by broker, they are by its id. */
  readonly #learnNodes = Effect.suspend(() => this.#parts.cluster.brokers).pipe(
    Effect.map((all) => all.forEach((one) => this.#nodes.set(formatAddress(one), `node-${one.id}`)))
  )

  /** Asks again when something was counted at another address: brokers move, and are added. */
  readonly #learnMoved: Effect.Effect<void> = Effect.suspend(() => {
    const fresh = this.#readings().flatMap(({ attributes: { "server.address": host, "server.port": port } }) => {
      const address = host === undefined ? undefined : formatAddress({ host, port: Number(port) })
      return address === undefined || this.#nodes.has(address) || this.#others.has(address) ? [] : [address]
    })
    if (fresh.length === 0) return Effect.void
    return Effect.ignore(Effect.map(this.#learnNodes, () => fresh.forEach((address) => this.#others.add(address))))
  })

  #push(subscription: Subscription, terminating: boolean): Effect.Effect<Next> {
    return this.#pushing.withPermits(1)(
      Effect.suspend(() => {
        const readings = this.#readings()
        const now = this.#clock.currentTimeNanosUnsafe()
        const payload = this.#payload(subscription, readings, now)
        const back = readings.map((reading) => reading.take())
        let isTaken = false
        const request = {
          clientInstanceId: this.#instance,
          subscriptionId: subscription.id,
          terminating,
          compressionType: payload.compressionType,
          metrics: payload.bytes
        }
        const noRoom =
          payload.left === 0
            ? Effect.void
            : this.#warn(`${payload.left} metrics are not told: there is no room for them in ${this.#maxBytes} bytes`)
        return this.#parts.receiver.send(PushTelemetry, request).pipe(
          Effect.matchEffect({
            onFailure: () => Effect.succeed<Next>(subscription.interval),
            onSuccess: (answer) => {
              if (answer === undefined) return this.#noneListens
              this.#pushedAt = this.#clock.currentTimeMillisUnsafe()
              if (answer.errorCode === codes.NONE) {
                isTaken = true
                this.#before = Report.at(readings)
                this.#since = now
                return Effect.as(noRoom, subscription.interval)
              }
              if (answer.errorCode === codes.TELEMETRY_TOO_LARGE) this.#maxBytes = payload.bytes.length >> 1
              if (answer.errorCode === codes.UNSUPPORTED_COMPRESSION_TYPE)
                this.#refusedCodecs.add(payload.compressionType)
              return this.#refused("PushTelemetry", answer.errorCode)
            }
          }),
          // What was not taken is told by the next.
          Effect.ensuring(Effect.sync(() => isTaken || back.forEach((undo) => undo())))
        )
      })
    )
  }

  #payload({ accepted, delta, wants }: Subscription, readings: ReadonlyArray<Meter.Reading>, now: bigint) {
    const metrics = Report.make({
      readings,
      begun: this.#begun,
      before: this.#before,
      seconds: Number(now - this.#since) / 1e9,
      delta,
      wants,
      nodeOf: (host, port) => this.#nodes.get(formatAddress({ host, port: Number(port) })) ?? `${host}:${port}`
    })
    const times = { from: delta ? this.#since : this.#began, to: now, delta }
    const codec = Payload.codecFor(accepted, this.#refusedCodecs, this.#codecs)
    return Payload.make(metrics, (some) => this.#parts.serialize(some, times), codec, this.#maxBytes)
  }

  /** What follows an error code of either request. */
  #refused(api: "GetTelemetrySubscriptions" | "PushTelemetry", code: number): Effect.Effect<Next> {
    const interval = this.#interval ?? defaultInterval
    const said = `${api} was refused with ${ErrorCode.get(code).name}`
    switch (code) {
      case codes.THROTTLING_QUOTA_EXCEEDED:
        return Effect.succeed(interval)
      case codes.TELEMETRY_TOO_LARGE:
        return Effect.as(this.#warn(`${said}: fewer metrics are told from now on`), interval)
    }
    // All else is to be asked anew.
    this.#subscription = undefined
    switch (code) {
      case codes.UNKNOWN_SUBSCRIPTION_ID:
      case codes.UNSUPPORTED_COMPRESSION_TYPE:
        // Who is refused so as he asks would ask without end.
        return Effect.succeed(api === "PushTelemetry" ? 0 : interval)
      case codes.INVALID_RECORD:
        return Effect.as(this.#warn(`${said}: its receiver did not take what it was told`), defaultInterval)
    }
    if (ErrorCode.isTransient(code)) return Effect.succeed(interval)
    Deferred.doneUnsafe(this.#named, Exit.fail(KafkaError.fromCode(code, { api })))
    return Effect.as(this.#log("telemetryRefused", `${said}: no metrics are told any more`), undefined)
  }

  readonly #noneListens: Effect.Effect<Next> = Effect.suspend(() => {
    this.#subscription = undefined
    const theirs = "no broker has a receiver for the metrics of clients"
    const needed = "GetTelemetrySubscriptions (KIP-714)"
    Deferred.doneUnsafe(this.#named, Exit.fail(KafkaError.make({ _tag: "Unsupported", needed, ours: "v0", theirs })))
    if (this.#saysThatNoneListens) return Effect.succeed(defaultInterval)
    this.#saysThatNoneListens = true
    return Effect.as(this.#log("telemetryUnsupported", `no metrics are told: ${theirs} (KIP-714)`), defaultInterval)
  })

  #log(event: LogEvent.Event, message: string, level?: Parameters<typeof LogEvent.log>[3]): Effect.Effect<void> {
    return LogEvent.log(event, message, { client: this.#parts.settings.clientId }, level)
  }

  #warn(message: string): Effect.Effect<void> {
    return LogEvent.isTold(++this.#warnings) ? this.#log("telemetryRefused", message) : Effect.void
  }
}

/** Begins to tell; ends with the Scope, by a last push within `closeTimeout`. */
export const make = Effect.fnUntraced(function* (
  settings: Settings,
  brokers: Brokers["Service"],
  cluster: Cluster["Service"]
): Effect.fn.Return<Pick<Reporter, "clientInstanceId">, never, Scope.Scope> {
  const reporter = new Reporter({
    settings,
    context: yield* Effect.context<never>(),
    cluster,
    receiver: Receiver.make(brokers, cluster),
    serialize: yield* Payload.serializer
  })
  yield* Effect.forkScoped(reporter.run)
  const closing = yield* Closing
  yield* Effect.addFinalizer(() => closing(reporter.close))
  return reporter
})
