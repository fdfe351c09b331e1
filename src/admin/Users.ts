/** SCRAM users: described, set, deleted (KIP-554). What is sent is salted: the password itself stays here. */
import { pbkdf2, randomBytes } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { shown } from "../Checks.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as AlterUserScramCredentials from "../protocol/messages/AlterUserScramCredentials.ts"
import * as DescribeUserScramCredentials from "../protocol/messages/DescribeUserScramCredentials.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

const mechanisms = { "SCRAM-SHA-256": 1, "SCRAM-SHA-512": 2 } as const

export type ScramMechanism = keyof typeof mechanisms

/** How a user may log in. */
export interface ScramCredential {
  readonly mechanism: ScramMechanism
  readonly iterations: number
}

/** A user with his credentials. */
export interface ScramUser {
  readonly user: string
  readonly credentials: ReadonlyArray<ScramCredential>
}

/** What a user is to have: a password for a mechanism, or none any more. */
export type ScramChange =
  | {
      readonly user: string
      readonly mechanism: ScramMechanism
      readonly password: string | Redacted.Redacted<string>
      /** From 4096 to 16384. Default 8192 (kafka-configs: 4096). */
      readonly iterations?: number | undefined
      /** Default: random. */
      readonly salt?: Uint8Array | undefined
    }
  | { readonly user: string; readonly mechanism: ScramMechanism; readonly delete: true }

const mechanismOf = (number: number): ScramMechanism | undefined =>
  (Object.keys(mechanisms) as Array<ScramMechanism>).find((name) => mechanisms[name] === number)

const defaultIterations = 8192
/** Brokers take no more. What is computed goes on to its end, which 2^31 have after minutes; the process waits for it. */
const mostIterations = 16_384

type DescribedUsers = ReadonlyArray<{
  readonly user: string
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly credentialInfos: ReadonlyArray<{ readonly mechanism: number; readonly iterations: number }>
}>

const userOf = ({ credentialInfos, user }: DescribedUsers[number]): ScramUser => ({
  user,
  credentials: credentialInfos.flatMap(({ iterations, mechanism }) => {
    const name = mechanismOf(mechanism)
    return name === undefined ? [] : [{ mechanism: name, iterations }]
  })
})

export const list = (
  parts: Ask.Parts,
  bounds: Ask.Bounds = {}
): Effect.Effect<ReadonlyArray<ScramUser>, KafkaError.KafkaError> =>
  Ask.one(
    parts,
    "DescribeUserScramCredentials",
    Plan.controller,
    (broker) =>
      Effect.gen(function* () {
        const response = yield* broker.send(DescribeUserScramCredentials, () => ({ users: null }))
        if (response.errorCode !== code.NONE)
          return yield* Failure.of(response.errorCode, response.errorMessage, { api: "DescribeUserScramCredentials" })
        return response.results.filter(({ errorCode }) => errorCode === code.NONE).map(userOf)
      }),
    bounds
  )

export const describeAll = (
  parts: Ask.Parts,
  users: ReadonlyArray<string>,
  bounds: Ask.Bounds = {}
): Ask.Answers<ScramUser> =>
  Ask.items(
    parts,
    {
      api: "DescribeUserScramCredentials",
      route: () => Plan.controller,
      key: (user) => user,
      check: (user) => Check.text("user", user),
      ask: (broker, batch) =>
        Effect.gen(function* () {
          const where = { api: "DescribeUserScramCredentials" }
          const response = yield* broker.send(DescribeUserScramCredentials, () => ({
            users: batch.map((name) => ({ name }))
          }))
          if (response.errorCode !== code.NONE)
            return yield* Failure.of(response.errorCode, response.errorMessage, where)
          return new Map(
            response.results.map((told) => [
              told.user,
              told.errorCode === code.NONE
                ? Result.succeed(userOf(told))
                : Result.fail(Failure.of(told.errorCode, told.errorMessage, where))
            ])
          )
        })
    },
    users,
    bounds
  )

/** What a mechanism makes of a password, beside the event loop: it takes milliseconds. */
const salted = (mechanism: ScramMechanism, password: string, salt: Uint8Array, iterations: number) => {
  const [digest, length] = mechanism === "SCRAM-SHA-256" ? ["sha256", 32] : ["sha512", 64]
  return Effect.callback<Uint8Array, KafkaError.KafkaError>((resume) => {
    pbkdf2(password, salt, iterations, length as number, digest as string, (error, key) =>
      resume(
        error === null
          ? Effect.succeed(new Uint8Array(key))
          : Effect.fail(KafkaError.make({ _tag: "Misuse", message: error.message }, error))
      )
    )
  })
}

const checkPassword = (user: string, given: unknown): ReadonlyArray<string> => {
  const password = Redacted.isRedacted(given) ? Redacted.value(given) : given
  if (typeof password !== "string") return [`the password of "${user}" is no text`]
  return password === "" ? [`the password of "${user}" is empty`] : []
}

const check = (change: ScramChange): ReadonlyArray<string> => [
  ...Check.text("user", change.user),
  ...(change.mechanism in mechanisms
    ? []
    : [`mechanism must be one of ${Object.keys(mechanisms).join(", ")}, not ${shown(change.mechanism)}`]),
  ...("delete" in change
    ? change.delete === true
      ? []
      : [`delete must be true, or left out, not ${shown(change.delete)}`]
    : [
        ...(change.iterations === undefined ? [] : Check.whole("iterations", change.iterations, 4096, mostIterations)),
        ...checkPassword(change.user, change.password),
        ...(change.salt === undefined || change.salt instanceof Uint8Array
          ? []
          : [`the salt must be bytes, not ${shown(change.salt)}`])
      ])
]

const upsertion = (change: Extract<ScramChange, { readonly password: unknown }>) =>
  Effect.gen(function* () {
    const { iterations = defaultIterations, mechanism, password, user } = change
    const salt = change.salt ?? new Uint8Array(randomBytes(32))
    const plain = Redacted.isRedacted(password) ? Redacted.value(password) : password
    const saltedPassword = yield* salted(mechanism, plain, salt, iterations)
    return { name: user, mechanism: mechanisms[mechanism], iterations, salt, saltedPassword }
  })

export const alter = (
  parts: Ask.Parts,
  changes: ReadonlyArray<ScramChange>,
  bounds: Ask.Bounds = {}
): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "AlterUserScramCredentials",
      inOrder: true,
      route: () => Plan.controller,
      // One answer a user: his mechanisms go in requests of their own, so that each is answered for.
      key: ({ user }) => user,
      check,
      doubtful: [code.RESOURCE_NOT_FOUND],
      ask: (broker, batch) =>
        Effect.gen(function* () {
          const upsertions = yield* Effect.forEach(
            batch.filter((change) => "password" in change),
            upsertion,
            { concurrency: 4 }
          )
          const response = yield* broker.send(AlterUserScramCredentials, () => ({
            deletions: batch
              .filter((change) => "delete" in change)
              .map(({ mechanism, user }) => ({ name: user, mechanism: mechanisms[mechanism] })),
            upsertions
          }))
          return new Map(
            response.results.map(({ errorCode, errorMessage, user }) => [
              user,
              errorCode === code.NONE
                ? Result.void
                : Result.fail(Failure.of(errorCode, errorMessage, { api: "AlterUserScramCredentials" }))
            ])
          )
        })
    },
    changes,
    bounds
  )
