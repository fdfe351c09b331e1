/** Delegation tokens (KIP-48): created, renewed, expired, described. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { shown } from "../Checks.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type * as KafkaError from "../KafkaError.ts"
import * as CreateDelegationToken from "../protocol/messages/CreateDelegationToken.ts"
import * as DescribeDelegationToken from "../protocol/messages/DescribeDelegationToken.ts"
import * as ExpireDelegationToken from "../protocol/messages/ExpireDelegationToken.ts"
import * as RenewDelegationToken from "../protocol/messages/RenewDelegationToken.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/** A token: who has it may log in as its owner, by SCRAM with `tokenId` as name and `hmac` (base64) as password. */
export interface DelegationToken {
  readonly tokenId: string
  readonly hmac: Redacted.Redacted<Uint8Array>
  /** Such as `User:alice`. */
  readonly owner: string
  /** Who asked for it; undefined where brokers do not tell (before 3.3). */
  readonly requester: string | undefined
  readonly renewers: ReadonlyArray<string>
  /** Milliseconds since 1970. */
  readonly issuedAt: number
  /** When it ends, unless it is renewed. */
  readonly expiresAt: number
  /** When it ends at the latest. */
  readonly maxAt: number
}

export interface NewDelegationToken {
  /** Whose it is to be, such as `User:alice` (from 3.3 on). Default: this client's. */
  readonly owner?: string | undefined
  /** Who may renew it, beside its owner. */
  readonly renewers?: ReadonlyArray<string> | undefined
  /** How long it may live at the most. Default: the broker's setting `delegation.token.max.lifetime.ms`. */
  readonly maxLifetime?: Duration.Input | undefined
}

const split = (principal: string) => {
  const colon = principal.indexOf(":")
  return { principalType: principal.slice(0, colon), principalName: principal.slice(colon + 1) }
}
const isPrincipal = (principal: unknown): boolean => typeof principal === "string" && /^[^:]+:.+/.test(principal)
const join = (type: string, name: string): string => `${type}:${name}`

const millisOf = (name: string, input: Duration.Input | undefined): number | ReadonlyArray<string> => {
  if (input === undefined) return -1
  try {
    const millis = Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(input)))
    if (Number.isSafeInteger(millis) && millis >= 0) return millis
  } catch {}
  return [`${name} must be a duration, not ${shown(input)}`]
}

const checkPrincipal = (one: string): ReadonlyArray<string> =>
  isPrincipal(one) ? [] : [`${shown(one)} must be like User:alice`]

const checkHmac = (hmac: unknown): ReadonlyArray<string> =>
  Redacted.isRedacted(hmac) && Redacted.value(hmac) instanceof Uint8Array ? [] : ["the hmac must be Redacted bytes"]

export const create = (
  parts: Ask.Parts,
  tokens: ReadonlyArray<NewDelegationToken>,
  bounds: Ask.Bounds = {}
): Ask.Answers<DelegationToken> =>
  Ask.items(
    parts,
    {
      api: "CreateDelegationToken",
      route: () => Plan.controller,
      key: () => "the token",
      check: ({ maxLifetime, owner, renewers }) => {
        const millis = millisOf("maxLifetime", maxLifetime)
        return [
          ...(typeof millis === "number" ? [] : millis),
          ...(owner === undefined ? [] : checkPrincipal(owner)),
          ...Check.each("renewers", renewers === undefined ? [] : renewers, checkPrincipal)
        ]
      },
      most: 1,
      ask: (broker, [token]) =>
        Effect.gen(function* () {
          const { maxLifetime, owner, renewers = [] } = token!
          const response = yield* broker.send(
            CreateDelegationToken,
            (version) => ({
              ...(version >= 3
                ? owner === undefined
                  ? { ownerPrincipalType: null, ownerPrincipalName: null }
                  : {
                      ownerPrincipalType: split(owner).principalType,
                      ownerPrincipalName: split(owner).principalName
                    }
                : {}),
              renewers: renewers.map(split),
              maxLifetimeMs: millisOf("maxLifetime", maxLifetime) as number
            }),
            owner === undefined ? {} : { minVersion: 3 }
          )
          if (response.errorCode !== code.NONE)
            return yield* Failure.of(response.errorCode, null, { api: "CreateDelegationToken" })
          const made: DelegationToken = {
            tokenId: response.tokenId,
            hmac: Redacted.make(Uint8Array.from(response.hmac), { label: "hmac" }),
            owner: join(response.principalType, response.principalName),
            requester:
              response.tokenRequesterPrincipalName === ""
                ? undefined
                : join(response.tokenRequesterPrincipalType, response.tokenRequesterPrincipalName),
            renewers,
            issuedAt: response.issueTimestampMs,
            expiresAt: response.expiryTimestampMs,
            maxAt: response.maxTimestampMs
          }
          return new Map([["the token", Result.succeed(made)]])
        })
    },
    tokens,
    bounds
  )

export const describe = (
  parts: Ask.Parts,
  owners: ReadonlyArray<string> | undefined,
  bounds: Ask.Bounds = {}
): Effect.Effect<ReadonlyArray<DelegationToken>, KafkaError.KafkaError> =>
  Ask.one(
    parts,
    "DescribeDelegationToken",
    Plan.any,
    (broker) =>
      Effect.gen(function* () {
        const response = yield* broker.send(DescribeDelegationToken, () => ({ owners: owners?.map(split) ?? null }))
        if (response.errorCode !== code.NONE)
          return yield* Failure.of(response.errorCode, null, { api: "DescribeDelegationToken" })
        return response.tokens.map((one) => ({
          tokenId: one.tokenId,
          hmac: Redacted.make(Uint8Array.from(one.hmac), { label: "hmac" }),
          owner: join(one.principalType, one.principalName),
          requester:
            one.tokenRequesterPrincipalName === ""
              ? undefined
              : join(one.tokenRequesterPrincipalType, one.tokenRequesterPrincipalName),
          renewers: one.renewers.map(({ principalName, principalType }) => join(principalType, principalName)),
          issuedAt: one.issueTimestamp,
          expiresAt: one.expiryTimestamp,
          maxAt: one.maxTimestamp
        }))
      }),
    bounds,
    owners === undefined ? [] : Check.each("owners", owners, checkPrincipal)
  )

export interface RenewOptions extends Ask.Bounds {
  /** For how long. Default: the broker's setting `delegation.token.expiry.time.ms`. */
  readonly period?: Duration.Input | undefined
}

/** When the token ends now, in milliseconds since 1970. */
export const renew = (
  parts: Ask.Parts,
  hmac: Redacted.Redacted<Uint8Array>,
  options: RenewOptions = {}
): Effect.Effect<number, KafkaError.KafkaError> => {
  const renewPeriodMs = millisOf("period", options?.period)
  if (typeof renewPeriodMs !== "number") return Effect.fail(Failure.mistakes(renewPeriodMs))
  return Ask.one(
    parts,
    "RenewDelegationToken",
    Plan.controller,
    (broker) =>
      Effect.gen(function* () {
        const response = yield* broker.send(RenewDelegationToken, () => ({ hmac: Redacted.value(hmac), renewPeriodMs }))
        if (response.errorCode !== code.NONE)
          return yield* Failure.of(response.errorCode, null, { api: "RenewDelegationToken" })
        return response.expiryTimestampMs
      }),
    options,
    checkHmac(hmac)
  )
}

export interface ExpireOptions extends Ask.Bounds {
  /** In how long it ends. Default: now. */
  readonly after?: Duration.Input | undefined
}

/** When the token ends now, in milliseconds since 1970. */
export const expire = (
  parts: Ask.Parts,
  hmac: Redacted.Redacted<Uint8Array>,
  options: ExpireOptions = {}
): Effect.Effect<number, KafkaError.KafkaError> => {
  const expiryTimePeriodMs = millisOf("after", options?.after)
  if (typeof expiryTimePeriodMs !== "number") return Effect.fail(Failure.mistakes(expiryTimePeriodMs))
  return Ask.one(
    parts,
    "ExpireDelegationToken",
    Plan.controller,
    (broker) =>
      Effect.gen(function* () {
        const response = yield* broker.send(ExpireDelegationToken, () => ({
          hmac: Redacted.value(hmac),
          expiryTimePeriodMs
        }))
        if (response.errorCode !== code.NONE)
          return yield* Failure.of(response.errorCode, null, { api: "ExpireDelegationToken" })
        return response.expiryTimestampMs
      }),
    options,
    checkHmac(hmac),
    [code.DELEGATION_TOKEN_NOT_FOUND]
  )
}
