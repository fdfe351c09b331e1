/**
 * A client of librdkafka, made and ended: the library loaded when it is first needed, connected within a budget, its log
 * as Effect's, a token renewed before it ends, disconnected with the Scope.
 */
import { createRequire } from "node:module"
import { isMainThread } from "node:worker_threads"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type { Client, Library, RdError as NativeError } from "node-rdkafka"
import * as KafkaError from "../KafkaError.ts"
import * as Backoff from "../Backoff.ts"
import * as LogEvent from "../LogEvent.ts"
import type { Meter } from "../metrics/Meter.ts"
import * as RdError from "./RdError.ts"
import { Statistics } from "./Statistics.ts"

/** How long librdkafka may take to end a client, and its threads. */
const disconnectMillis = 10_000
/** What is waited between two attempts to connect; none begins with less left. */
const retryMillis = 100
/** How long the first attempt to connect may take; each one that follows may take twice as long. */
const attemptMillis = 2000
/** A token is asked for again this long before it ends, a short one after this part of it; where its end is not known after so long. */
const renewEarlyMillis = 60_000
const renewPart = 0.8
const renewAnywayMillis = 5 * 60_000

const install =
  "install it: `npm install node-rdkafka`, which builds it for this Node.js (it needs a C++ compiler, make and Python)"

const notInWorkers =
  "the librdkafka transport runs on the main thread alone: node-rdkafka is not made for worker threads"

/** Loads node-rdkafka, which is an optional peer; fails with `Misconfigured`, which says what to install. */
export const load: Effect.Effect<Library, KafkaError.KafkaError> = Effect.try({
  try: () => {
    // It calls back on the main thread's loop, from whichever thread it was loaded: in a worker that ends the process.
    if (!isMainThread) throw new Error(notInWorkers)
    // It is CommonJS, and a bundler must not look for it where it is not wanted.
    return createRequire(import.meta.url)("node-rdkafka") as Library
  },
  catch: (error) => {
    const { code, message } = error as NodeJS.ErrnoException
    if (message === notInWorkers) return KafkaError.make({ _tag: "Misconfigured", mistakes: [message] })
    const mistake =
      code === "MODULE_NOT_FOUND" && message.includes("node-rdkafka")
        ? `the librdkafka transport needs the package node-rdkafka, which is not there; ${install}`
        : `node-rdkafka cannot be loaded: it was built for another Node.js, or not at all (${message.split("\n")[0]}); ${install}`
    return KafkaError.make({ _tag: "Misconfigured", mistakes: [mistake] }, error)
  }
})

/** librdkafka's levels are syslog's; what it says of connections that come and go is of interest to who looks for it. */
const levelOf = (severity: number): "Error" | "Warn" | "Info" | "Debug" =>
  severity <= 2 ? "Error" : severity <= 4 ? "Warn" : severity === 5 ? "Info" : "Debug"

/** What to make of a failure to connect; `refused` is what librdkafka said of our credentials meanwhile. */
const notConnected = (
  { bootstrap, mechanism = "SASL" }: Pick<Options<never>, "bootstrap" | "mechanism">,
  error: NativeError,
  refused: string | undefined
): KafkaError.KafkaError => {
  const cause = `librdkafka: ${error.message}`
  // A client could not be made of the properties at all: each may be right, and contradict another. Of a consumer no code tells so.
  if (error.code === RdError.codes.STATE || error.code === RdError.codes.UNKNOWN)
    return KafkaError.make({ _tag: "Misconfigured", mistakes: [cause] }, error)
  return refused === undefined
    ? KafkaError.make({ _tag: "Unreachable", attempts: [{ address: bootstrap, cause }] })
    : KafkaError.make({ _tag: "Unauthenticated", mechanism, message: refused, broker: bootstrap })
}

/** When a token ends, in milliseconds since 1970, where it is a JWT that says so. */
const endOf = (token: string): number | undefined => {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString())
    const exp = typeof claims === "object" && claims !== null && "exp" in claims ? Number(claims.exp) : Number.NaN
    return Number.isFinite(exp) ? exp * 1000 : undefined
  } catch {
    return undefined
  }
}

/** What a client is opened with. */
export interface Options<C extends Client> {
  readonly make: () => C
  readonly bootstrap: string
  /** Milliseconds. */
  readonly bootstrapTimeout: number
  /** Of SASL; undefined where that is librdkafka's own affair. */
  readonly mechanism?: string | undefined
  readonly token: Effect.Effect<Redacted.Redacted<string>, unknown> | undefined
  /** How long a token may take, in milliseconds. */
  readonly tokenTimeout: number
  /** What librdkafka's statistics are counted with. */
  readonly meter: Meter
  /** Begins the end of a client. */
  readonly end: (client: C, done: () => void) => void
}

/**
 * Connects a client; it is disconnected with the Scope, within a bound of its own. An attempt holds a thread of Node.js,
 * and with it the end of the process, until its time is over: so it is short at first.
 */
export const open = <C extends Client>(options: Options<C>): Effect.Effect<C, KafkaError.KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    const { bootstrapTimeout } = options
    const clock = yield* Clock.Clock
    const until = Backoff.monotonic(clock) + bootstrapTimeout
    for (let attempts = 1; ; attempts++) {
      const millis = attemptMillis * 2 ** (attempts - 1)
      const left = until - Backoff.monotonic(clock)
      const attempt = yield* attemptOnce(options, Math.min(millis, left))
      if (Result.isSuccess(attempt)) return attempt.success
      const { reason } = attempt.failure
      const goesOn = reason._tag === "Unreachable" && Backoff.monotonic(clock) + 2 * retryMillis < until
      if (!goesOn) return yield* attempt.failure
      yield* Effect.sleep(retryMillis)
    }
  })

/** A client in a Scope of its own. */
export interface Apart<C> {
  readonly client: C
  readonly end: Effect.Effect<void>
}

/** Opens a client in a Scope of its own: whoever keeps it ends it. */
export const openApart = <C>(
  open: Effect.Effect<C, KafkaError.KafkaError, Scope.Scope>,
  keep: (opened: Apart<C>) => void
): Effect.Effect<void, KafkaError.KafkaError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const exit = yield* Effect.exit(restore(Scope.provide(open, scope)))
      if (Exit.isSuccess(exit)) return keep({ client: exit.value, end: Scope.close(scope, Exit.void) })
      yield* Scope.close(scope, exit)
      return yield* exit
    })
  )

/** Opens one in another's place, every so many milliseconds until it is there: that it is not is told once it lasts. */
export const insisted = <A>(
  open: Effect.Effect<A, KafkaError.KafkaError>,
  millis: number
): Effect.Effect<A, KafkaError.KafkaError> =>
  Effect.suspend(() => {
    const failing = new LogEvent.Lasting()
    const told = ({ message }: KafkaError.KafkaError) =>
      Effect.clockWith((clock) => {
        const level = failing.failed(Backoff.monotonic(clock))
        const text = `librdkafka has opened no other client yet, and what is sent waits: ${message}`
        return level === undefined ? Effect.void : Effect.logWithLevel(level)(text)
      })
    const cured = Effect.suspend(() =>
      failing.cured()
        ? Effect.logInfo("librdkafka has opened another client, and what has waited is sent")
        : Effect.void
    )
    return Effect.tap(Effect.retry(Effect.tapError(open, told), Schedule.spaced(millis)), () => cured)
  })

const attemptOnce = <C extends Client>(
  options: Options<C>,
  timeout: number
): Effect.Effect<Result.Result<C, KafkaError.KafkaError>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { end, make, meter, token } = options
    const log = Effect.runForkWith(yield* Effect.context<never>())
    // librdkafka checks each property when it is told.
    const client = yield* Effect.try({
      try: make,
      catch: (error) =>
        KafkaError.make({ _tag: "Misconfigured", mistakes: [`librdkafka: ${(error as Error).message.trim()}`] }, error)
    })
    let refused: string | undefined
    let isLost = false
    client.on("event.log", ({ fac, message, severity }) => {
      // A producer's errors are told when it is polled, which is when it has connected; its log is told at once.
      const refusal = RdError.refusalOf(message)
      refused = refusal ?? refused
      isLost ||= refusal === null
      log(Effect.logWithLevel(levelOf(severity))(`librdkafka ${fac}: ${message}`))
    })
    client.on("event.error", (error) => {
      // It has no more than a word, the same for both; and may come behind what else the log tells.
      if (!isLost) refused ??= RdError.refusalOf(error.message) ?? undefined
      log(Effect.logDebug(`librdkafka: ${error.message}`))
    })
    const statistics = new Statistics(meter)
    yield* Effect.addFinalizer(() => Effect.sync(() => statistics.end()))
    client.on("event.stats", ({ message }) => statistics.take(message))
    const give = token === undefined ? undefined : giveToken(client, token, options)
    const usable = give === undefined ? 0 : yield* give
    let state: "connecting" | "connected" | "left" | "none" = "connecting"
    yield* Effect.addFinalizer(() => Effect.suspend(() => (state === "connected" ? ended(client, end) : Effect.void)))
    const connecting = Effect.callback<void, KafkaError.KafkaError>((resume) => {
      client.connect({ allTopics: false, timeout }, (error) => {
        const failed = error !== null && error !== undefined
        // Nobody waits for it any more: an interruption does not wait for its time to be over.
        if (state === "left" && !failed) return end(client, () => {})
        state = failed ? "none" : "connected"
        resume(failed ? Effect.fail(notConnected(options, error, refused)) : Effect.void)
      })
      // Another attempt is made: what comes of this one is ended when it comes.
      return Effect.sync(() => {
        if (state === "connecting") state = "left"
      })
    })
    // It may take longer than it was told, to end what it could not connect.
    yield* Effect.timeoutOrElse(connecting, {
      duration: timeout + retryMillis,
      orElse: () => Effect.fail(notConnected(options, unanswered, refused))
    })
    if (give !== undefined) yield* Effect.forkScoped(renewed(usable, give))
    return client
  }).pipe(Effect.result)

const unanswered: NativeError = { code: RdError.codes.TIMED_OUT, message: "no broker has answered" }

/** Ends a client, and waits for it within a bound. */
const ended = <C extends Client>(client: C, end: Options<C>["end"]): Effect.Effect<void> =>
  Effect.callback<void>((resume) => end(client, () => resume(Effect.void))).pipe(
    Effect.timeoutOrElse({
      duration: disconnectMillis,
      orElse: () => Effect.logWarning(`librdkafka has not ended a client within ${disconnectMillis} ms`)
    })
  )

/** Gives a token; then how long it may be used, in milliseconds. */
const giveToken = (
  client: Client,
  token: Effect.Effect<Redacted.Redacted<string>, unknown>,
  { bootstrap, tokenTimeout }: Pick<Options<never>, "bootstrap" | "tokenTimeout">
): Effect.Effect<number, KafkaError.KafkaError> => {
  // Where an Effect of the application's is down that says nothing of us, as if the broker were; its error may be secret.
  const failed = (error: unknown) => {
    const cause = "a token for OAUTHBEARER could not be had"
    return KafkaError.make({ _tag: "Unreachable", attempts: [{ address: bootstrap, cause }] }, error)
  }
  return token.pipe(
    Effect.timeout(tokenTimeout),
    Effect.flatMap((token) =>
      Effect.try(() => {
        const text = Redacted.value(token)
        client.setOauthBearerToken(text)
        return endOf(text)
      })
    ),
    // A defect is a failure here, but an interruption of ours is none.
    Effect.sandbox,
    Effect.mapError(failed),
    Effect.flatMap((end) => {
      if (end === undefined) return Effect.succeed(renewAnywayMillis)
      return Effect.map(Clock.currentTimeMillis, (now) =>
        Math.max(1000, end - now - renewEarlyMillis, (end - now) * renewPart)
      )
    })
  )
}

/** Gives a new token before each one ends; a failure is tried again, and the old one is kept meanwhile. */
const renewed = (millis: number, give: Effect.Effect<number, KafkaError.KafkaError>): Effect.Effect<never> => {
  const failures = new LogEvent.Doubling()
  const told = (error: KafkaError.KafkaError) =>
    Effect.clockWith((clock) => {
      const soFar = failures.told(Backoff.monotonic(clock))
      return soFar === undefined
        ? Effect.void
        : Effect.logWarning(`librdkafka keeps its old token: ${error.message}${soFar}`)
    })
  const cured = Effect.suspend(() =>
    failures.cured() ? Effect.logInfo("librdkafka has a new token again") : Effect.void
  )
  return Effect.sleep(millis).pipe(
    Effect.andThen(give.pipe(Effect.tapError(told), Effect.retry(Backoff.schedule), Effect.orDie)),
    Effect.tap(() => cured),
    Effect.flatMap((next) => renewed(next, give))
  )
}
