/** What a broker says of how we authenticate, and what of it is shown. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { Cluster } from "../../src/Cluster.ts"
import type * as Kafka from "../../src/Kafka.ts"
import type { Sasl } from "../../src/Security.ts"
import * as InProcess from "../hostile/InProcess.ts"

const secret = "S3cr3t+/ and more"
const mechanisms: ReadonlyArray<Sasl> = [
  { mechanism: "PLAIN", username: "u", password: Redacted.make(secret) },
  { mechanism: "OAUTHBEARER", token: Effect.succeed(Redacted.make(secret)) }
]
const forms = [
  secret,
  Buffer.from(secret).toString("hex"),
  Buffer.from(secret).toString("hex").toUpperCase(),
  ...[0, 1, 2].map((before) => Buffer.from(`${"u".repeat(before)}${secret}-`).toString("base64")),
  ...[0, 1, 2].map((before) => Buffer.from(`${"u".repeat(before)}${secret}-`).toString("base64url")),
  Buffer.from(secret).toString("base64"),
  Buffer.from(secret).toString("base64url"),
  encodeURIComponent(secret)
]

/** How it fails, where the broker answers SaslAuthenticate so. */
const refused = (sasl: Sasl, answer: (sent: Buffer) => object, options: Partial<Kafka.Options> = {}) =>
  Effect.gen(function* () {
    const { layer } = yield* InProcess.make(
      { answers: { SaslAuthenticate: ({ body }) => answer(Buffer.from(body.authBytes)) } },
      { sasl, ...options }
    )
    const topics = Effect.flatMap(Cluster, (cluster) => cluster.topics(["t"]))
    return yield* Effect.flip(Effect.scoped(Effect.provide(topics, layer)))
  })

describe("a secret that a broker repeats", () => {
  it.effect("is not shown, in clear or encoded, in its error message or in a challenge", () =>
    Effect.gen(function* () {
      for (const sasl of mechanisms)
        for (const encoding of ["utf8", "base64", "base64url", "hex"] as const) {
          const error = yield* refused(sasl, (sent) => ({
            errorCode: 58,
            errorMessage: `bad: ${sent.toString(encoding)}, ${forms.join(", ")}`
          }))
          const shown = `${error.message} ${JSON.stringify(error)}`
          assert.include(shown, "bad: ")
          const inPart = [
            "S3cr3t",
            Buffer.from("S3cr3t").toString("hex"),
            Buffer.from("cr3t").toString("base64").slice(1, 4)
          ]
          for (const form of [...forms, ...inPart]) assert.notInclude(shown, form, `${sasl.mechanism} ${encoding}`)
        }
      // RFC 7628: the reason comes as a challenge.
      let round = 0
      const error = yield* refused(mechanisms[1]!, (sent) =>
        round++ === 0 ? { authBytes: Buffer.from(`{"status":"${sent.toString("utf8")}"}`) } : { errorCode: 58 }
      )
      assert.include(error.message, "status")
      assert.notInclude(JSON.stringify(error), "S3cr3t")
    })
  )

  it.effect("is not shown where a broker of Amazon MSK repeats the signed request, or a part of it", () =>
    Effect.gen(function* () {
      const credentials = {
        accessKeyId: "AKID",
        secretAccessKey: Redacted.make("k3y+/ of AWS"),
        sessionToken: Redacted.make("S3ss1on+/=")
      }
      const sasl = {
        mechanism: "AWS_MSK_IAM",
        region: "eu-central-1",
        credentials: Effect.succeed(credentials)
      } as const
      let signature = ""
      const error = yield* refused(
        sasl,
        (sent) => {
          const token = /Bearer ([\w-]+)/.exec(sent.toString())![1]!
          const url = Buffer.from(token, "base64url").toString()
          signature = /X-Amz-Signature=(\w+)/.exec(url)![1]!
          return { errorCode: 58, errorMessage: `bad: ${url}, ${decodeURIComponent(url)}, S3ss1on+/=` }
        },
        { tls: true }
      )
      assert.include(error.message, "bad: ")
      assert.isAbove(signature.length, 60)
      for (const form of ["S3ss1on", signature]) assert.notInclude(JSON.stringify(error), form)
    })
  )
})

describe("what a broker says of a refusal", () => {
  it.effect("is shown by its beginning, however long it is", () =>
    Effect.gen(function* () {
      for (const answer of [
        { errorCode: 58, errorMessage: "no".repeat(16_000) },
        { authBytes: Buffer.alloc(500_000, "no") }
      ]) {
        let round = 0
        const error = yield* refused(mechanisms[1]!, () => (round++ % 2 === 0 ? answer : { errorCode: 58 }))
        assert.strictEqual(error.reason._tag, "Unauthenticated")
        assert.isBelow(error.message.length, 1200)
        assert.match(error.message, /nonono… \((32|500)000 characters\)/)
      }
    })
  )
})
