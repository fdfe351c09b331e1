/**
 * SASL on a connection: the handshake that names the mechanism, and the tokens that follow it. From 1.0 on the tokens
 * travel in SaslAuthenticate, before as bare frames (0.10, 0.11). Where the broker limits the session (KIP-368, from
 * 2.2 on) we authenticate again on the same connection, with the first request that is sent after 85 to 95 % of it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Crypto from "node:crypto"
import { codes } from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as SaslAuthenticate from "../protocol/messages/SaslAuthenticate.ts"
import * as SaslHandshake from "../protocol/messages/SaslHandshake.ts"
import type * as Security from "../Security.ts"
import * as Scram from "./Scram.ts"
import * as SigV4 from "./SigV4.ts"
import type { BrokerConnection } from "./BrokerConnection.ts"
import type { Reauthentication } from "./RequestLine.ts"
import * as ApiVersions from "./ApiVersions.ts"

/** An authentication under way: a first token, and what answers each of the broker's; undefined when it is over. */
interface Exchange {
  /** What is in no message. */
  readonly secrets: ReadonlyArray<string>
  readonly first: Uint8Array
  readonly next: (challenge: Uint8Array) => Effect.Effect<Uint8Array | undefined, string>
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const over = Effect.undefined

/** Base64 of a text as it looks wherever the text may stand in what was encoded: what no neighbour has changed. */
const base64Within = (secret: string): ReadonlyArray<string> =>
  [0, 1, 2].flatMap((before) => {
    const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(secret)])
    // The first characters, and the last, may hold bits of what stands beside it.
    const within = (text: string) =>
      text.replace(/=+$/, "").slice(Math.ceil((before * 8) / 6), Math.floor((bytes.length * 8) / 6))
    const found = [within(bytes.toString("base64")), within(bytes.toString("base64url"))]
    return found.filter(({ length }) => length >= 4)
  })

/** A secret in the ways that something may repeat it. */
const formsOf = (secret: string): ReadonlyArray<string> => {
  const bytes = Buffer.from(secret)
  return [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
    bytes.toString("hex"),
    bytes.toString("hex").toUpperCase(),
    bytes.toString("base64"),
    bytes.toString("base64url"),
    ...base64Within(secret)
  ]
}

/** So much of what a broker says is shown, in characters: it stands in each message and in the log. */
const shownAtMost = 1000

/** What a broker says, without what it was told, in clear or encoded: some repeat what they were sent. */
const without = (secrets: ReadonlyArray<string>, said: string): string => {
  const text = [...new Set(secrets.flatMap(formsOf))]
    .filter((form) => form !== "")
    .toSorted((a, b) => b.length - a.length)
    .reduce((text, form) => text.replaceAll(form, "<redacted>"), said)
  return text.length <= shownAtMost ? text : `${text.slice(0, shownAtMost)}… (${text.length} characters)`
}

const plain = (username: string, password: string): Exchange => ({
  secrets: [password, `\0${username}\0${password}`],
  first: bytes(`\0${username}\0${password}`),
  next: () => over
})

const scram = (hash: Scram.Hash, { maxIterations, password, username }: Security.Scram): Exchange => {
  const nonce = Crypto.randomBytes(24).toString("base64")
  const [state, first] = Scram.first(hash, username, Redacted.value(password), nonce, maxIterations)
  let proof: Buffer | undefined
  return {
    secrets: [Redacted.value(password)],
    first: bytes(first),
    next: (challenge) =>
      Effect.suspend(() => {
        if (proof !== undefined) {
          const wrong = Scram.verify(text(challenge), proof)
          return wrong === undefined ? over : Effect.fail(wrong)
        }
        return Effect.map(Scram.last(state, text(challenge)), ([message, expected]) => {
          proof = expected
          return bytes(message)
        })
      })
  }
}

const oauthBearer = (token: string, extensions: { readonly [name: string]: string }): Exchange => {
  const further = Object.entries(extensions).map(([name, value]) => `${name}=${value}\x01`)
  let refused: string | undefined
  const first = `n,,\x01auth=Bearer ${token}\x01${further.join("")}\x01`
  return {
    secrets: [token, first],
    first: bytes(first),
    next: (challenge) =>
      Effect.suspend(() => {
        if (refused !== undefined) return Effect.fail(refused)
        if (challenge.length === 0) return over
        // RFC 7628, 3.2.3: why it is refused comes as a challenge, and ends with the answer to it.
        refused = text(challenge)
        return Effect.succeed(bytes("\x01"))
      })
  }
}

const exchangeOf = (sasl: Security.Sasl, address: string): Effect.Effect<Exchange, KafkaError.KafkaError> => {
  switch (sasl.mechanism) {
    case "PLAIN":
      return Effect.sync(() => plain(sasl.username, Redacted.value(sasl.password)))
    case "SCRAM-SHA-256":
      return Effect.sync(() => scram("sha256", sasl))
    case "SCRAM-SHA-512":
      return Effect.sync(() => scram("sha512", sasl))
    case "OAUTHBEARER":
      return supplied(
        Effect.flatMap(sasl.token, (token) =>
          Redacted.value(token) === ""
            ? Effect.fail("it is empty")
            : Effect.succeed(oauthBearer(Redacted.value(token), sasl.extensions ?? {}))
        ),
        "a token for OAUTHBEARER could not be had",
        address
      )
    case "AWS_MSK_IAM":
      return supplied(
        Effect.gen(function* () {
          const { accessKeyId, secretAccessKey, sessionToken } = yield* sasl.credentials
          const secrets = {
            accessKeyId,
            secretAccessKey: Redacted.value(secretAccessKey),
            sessionToken: sessionToken === undefined ? undefined : Redacted.value(sessionToken)
          }
          const token = SigV4.mskToken(secrets, sasl.region, yield* Clock.currentTimeMillis)
          const exchange = oauthBearer(token, {})
          // Whoever reads the token may repeat it in parts.
          const url = Buffer.from(token, "base64url").toString()
          const signature = /X-Amz-Signature=(\w+)/.exec(url)?.[1] ?? ""
          const parts = [url, signature, secrets.secretAccessKey, secrets.sessionToken ?? ""]
          return { ...exchange, secrets: [...exchange.secrets, ...parts] }
        }),
        "credentials of AWS could not be had",
        address
      )
  }
}

/** In one line, as the application says it. */
const why = (cause: Cause.Cause<unknown>): string => {
  if (Cause.hasInterruptsOnly(cause)) return "it was interrupted"
  const said = Cause.squash(cause)
  return said instanceof Error ? said.message : typeof said === "string" ? said : "it failed"
}

/** What an Effect of the application is needed for: where it is down that says nothing of us, as if the broker were. */
const supplied = (exchange: Effect.Effect<Exchange, unknown>, problem: string, address: string) =>
  // An interruption here is that of the Effect alone: who is interrupted himself hears of nothing.
  Effect.catchCause(exchange, (cause) =>
    Effect.fail(
      KafkaError.make({ _tag: "Unreachable", attempts: [{ address, cause: `${problem}: ${why(cause)}` }] }, cause)
    )
  )

/** The mechanism as brokers know it. */
const wireName = ({ mechanism }: Security.Sasl): string => (mechanism === "AWS_MSK_IAM" ? "OAUTHBEARER" : mechanism)

/** How the first connection is told from a session that is prolonged. */
type Round = (
  token: Uint8Array
) => Effect.Effect<{ readonly token: Uint8Array; readonly lifetime: number }, KafkaError.KafkaError>

/** Authenticates a connection; gives how long that lasts in milliseconds, 0 for as long as the connection. */
const authenticateOnce = (
  session: BrokerConnection,
  sasl: Security.Sasl,
  exchange: Exchange,
  isFirst: boolean
): Effect.Effect<number, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    const { mechanism } = sasl
    const { secrets } = exchange
    const refused = (message: string, cause?: unknown) =>
      KafkaError.make(
        { _tag: "Unauthenticated", mechanism, message: without(secrets, message), broker: session.address },
        cause
      )
    const framed = session.offer.ranges.has(SaslAuthenticate.Request.key)
    const handshake = ApiVersions.choose(SaslHandshake, session.offer, framed ? {} : { maxVersion: 0 }, session.address)
    if (typeof handshake !== "number") return yield* handshake

    const answer = yield* session.exchange(SaslHandshake, handshake, { mechanism: wireName(sasl) })
    if (answer.errorCode === codes.UNSUPPORTED_SASL_MECHANISM)
      return yield* refused(`the broker offers ${answer.mechanisms.join(", ") || "no mechanism"}`)
    if (answer.errorCode === codes.ILLEGAL_SASL_STATE) {
      if (isFirst) return yield* refused("this listener does no SASL, or not now")
      // That it came at a wrong time says nothing of whom it was about: another connection is authenticated.
      const cause = "the broker does not authenticate again now"
      return yield* KafkaError.make({ _tag: "Unreachable", attempts: [{ address: session.address, cause }] })
    }
    if (answer.errorCode !== 0) return yield* refused(KafkaError.fromCode(answer.errorCode).message)

    const bare: Round = (token) =>
      Effect.mapBoth(session.token(token), {
        onSuccess: (token) => ({ token, lifetime: 0 }),
        // A refusal has no words there: the connection is closed.
        onFailure: (error) =>
          error.reason._tag === "Unreachable"
            ? refused("the broker closed the connection over what it was sent", error)
            : error
      })
    const wrapped: Round = (authBytes) =>
      Effect.gen(function* () {
        const version = ApiVersions.choose(SaslAuthenticate, session.offer, {}, session.address)
        if (typeof version !== "number") return yield* version
        const answer = yield* session.exchange(SaslAuthenticate, version, { authBytes })
        if (answer.errorCode !== 0)
          return yield* refused(answer.errorMessage ?? KafkaError.fromCode(answer.errorCode).message)
        return { token: answer.authBytes, lifetime: answer.sessionLifetimeMs }
      })
    const round = handshake === 0 ? bare : wrapped

    let token: Uint8Array | undefined = exchange.first
    let lifetime = 0
    let why: string | undefined
    while (token !== undefined) {
      const answered: Result.Result<Effect.Success<ReturnType<Round>>, KafkaError.KafkaError> = yield* Effect.result(
        round(token)
      )
      if (Result.isFailure(answered)) {
        const { failure } = answered
        return yield* why === undefined || failure.reason._tag !== "Unauthenticated" ? failure : refused(why, failure)
      }
      lifetime = answered.success.lifetime
      const next: Result.Result<Uint8Array | undefined, string> = yield* Effect.result(
        exchange.next(answered.success.token)
      )
      if (Result.isFailure(next)) return yield* refused(next.failure)
      if (wireName(sasl) === "OAUTHBEARER" && next.success !== undefined) why = text(answered.success.token)
      token = next.success
    }
    return lifetime
  })

/** Brokers take another authentication within a second of the end of the last for a mistake. */
const soonest = 1100

/** Authenticates a connection; gives when that has to be done again, if ever. */
export const authenticate = (
  session: BrokerConnection,
  sasl: Security.Sasl,
  now: () => number
): Effect.Effect<Reauthentication | undefined, KafkaError.KafkaError> =>
  Effect.flatten(prepared(session, sasl, now, true))

/** What it needs is had before anything is sent: a broker does not wait long for it. */
const prepared = (
  session: BrokerConnection,
  sasl: Security.Sasl,
  now: () => number,
  isFirst: boolean
): Reauthentication["prepare"] =>
  Effect.map(exchangeOf(sasl, session.address), (exchange) =>
    Effect.gen(function* () {
      const from = now()
      const lifetime = yield* authenticateOnce(session, sasl, exchange, isFirst)
      if (lifetime <= 0) return undefined
      const share = 0.85 + 0.1 * (yield* Random.next)
      return {
        due: Math.max(now() + soonest, from + lifetime * share),
        expires: from + lifetime,
        prepare: prepared(session, sasl, now, false)
      }
    })
  )
