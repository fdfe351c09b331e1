/**
 * A client of librdkafka, made and ended: the library loaded when it is first needed, connected within a budget, its log
 * as Effect's, a token renewed before it ends, disconnected with the Scope.
 */
import { createRequire } from "node:module"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Client, Library, RdError as NativeError } from "node-rdkafka"
import * as KafkaError from "../KafkaError.ts"
import * as Backoff from "../Backoff.ts"
import * as RdError from "./RdError.ts"

/** How long librdkafka may take to end a client, and its threads. */
const disconnectMillis = 10_000
/** A token is asked for again this long before it must be there, and where its end is not known after so long. */
const renewEarlyMillis = 60_000
const renewAnywayMillis = 5 * 60_000

const install =
  "install it: `npm install node-rdkafka`, which builds it for this Node.js (it needs a C++ compiler, make and Python)"

/** Loads node-rdkafka, which is an optional peer; fails with `Misconfigured`, which says what to install. */
export const load: Effect.Effect<Library, KafkaError.KafkaError> = Effect.try({
  // It is CommonJS, and a bundler must not look for it where it is not wanted.
  try: () => createRequire(import.meta.url)("node-rdkafka") as Library,
  catch: (error) => {
    const { code, message } = error as NodeJS.ErrnoException
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

/** What to make of a failure to connect. */
const unreachable = (bootstrap: string, error: NativeError): KafkaError.KafkaError => {
  const cause = `librdkafka: ${error.message}`
  return error.code === RdError.codes.AUTHENTICATION
    ? KafkaError.make({ _tag: "Unauthenticated", mechanism: "SASL", message: cause, broker: bootstrap })
    : KafkaError.make({ _tag: "Unreachable", attempts: [{ address: bootstrap, cause }] })
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
  readonly token: Effect.Effect<Redacted.Redacted<string>, unknown> | undefined
}

/** Connects a client; it is disconnected with the Scope, within a bound of its own. */
export const open = <C extends Client>(options: Options<C>): Effect.Effect<C, KafkaError.KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    const { bootstrap, bootstrapTimeout, token } = options
    const log = Effect.runForkWith(yield* Effect.context<never>())
    // librdkafka checks the properties when it is made.
    const client = yield* Effect.try({
      try: options.make,
      catch: (error) =>
        KafkaError.make({ _tag: "Misconfigured", mistakes: [`librdkafka: ${(error as Error).message}`] }, error)
    })
    client.on("event.log", ({ fac, message, severity }) => {
      log(Effect.logWithLevel(levelOf(severity))(`librdkafka ${fac}: ${message}`))
    })
    client.on("event.error", (error) => {
      if (!RdError.isSilence(error.code)) log(Effect.logDebug(`librdkafka: ${error.message}`))
    })
    if (token !== undefined) yield* authenticate(client, token, bootstrap)
    yield* Effect.acquireRelease(
      Effect.callback<void, KafkaError.KafkaError>((resume) => {
        client.connect({ allTopics: false, timeout: bootstrapTimeout }, (error) =>
          resume(error === null || error === undefined ? Effect.void : Effect.fail(unreachable(bootstrap, error)))
        )
      }),
      () =>
        Effect.callback<void>((resume) => client.disconnect(() => resume(Effect.void))).pipe(
          Effect.timeoutOption(disconnectMillis),
          Effect.asVoid
        )
    )
    return client
  })

/** Gives a first token, and a new one before each ends. */
const authenticate = (
  client: Client,
  token: Effect.Effect<Redacted.Redacted<string>, unknown>,
  bootstrap: string
): Effect.Effect<void, KafkaError.KafkaError, Scope.Scope> => {
  const failed = (error: unknown) =>
    KafkaError.make(
      {
        _tag: "Unauthenticated",
        mechanism: "OAUTHBEARER",
        message: `no token could be had: ${error instanceof Error ? error.message : String(error)}`,
        broker: bootstrap
      },
      error
    )
  const give = Effect.gen(function* () {
    const text = Redacted.value(yield* Effect.mapError(token, failed))
    yield* Effect.try({ try: () => client.setOauthBearerToken(text), catch: failed })
    const end = endOf(text)
    const left = end === undefined ? renewAnywayMillis : end - (yield* Clock.currentTimeMillis) - renewEarlyMillis
    return Duration.millis(Math.max(1000, left))
  })
  const renewed = (wait: Duration.Duration): Effect.Effect<never> =>
    Effect.sleep(wait).pipe(
      Effect.andThen(
        give.pipe(
          Effect.tapError((error) => Effect.logWarning(`librdkafka keeps its old token: ${error.message}`)),
          Effect.retry(Backoff.schedule),
          Effect.orDie
        )
      ),
      Effect.flatMap(renewed)
    )
  return Effect.flatMap(give, (wait) => Effect.asVoid(Effect.forkScoped(renewed(wait))))
}
