/** What a broker says of how we authenticate, and what of it is shown. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { Cluster } from "../../src/Cluster.ts"
import type { Sasl } from "../../src/Security.ts"
import * as InProcess from "../hostile/InProcess.ts"

const secret = "S3cr3t+/ and more"
const mechanisms: ReadonlyArray<Sasl> = [
  { mechanism: "PLAIN", username: "u", password: Redacted.make(secret) },
  { mechanism: "OAUTHBEARER", token: Effect.succeed(Redacted.make(secret)) }
]
const forms = [
  secret,
  Buffer.from(secret).toString("base64"),
  Buffer.from(secret).toString("base64url"),
  encodeURIComponent(secret)
]

/** How it fails, where the broker answers SaslAuthenticate so. */
const refused = (sasl: Sasl, answer: (sent: Buffer) => object) =>
  Effect.gen(function* () {
    const { layer } = yield* InProcess.make(
      { answers: { SaslAuthenticate: ({ body }) => answer(Buffer.from(body.authBytes)) } },
      { sasl }
    )
    const topics = Effect.flatMap(Cluster, (cluster) => cluster.topics(["t"]))
    return yield* Effect.flip(Effect.scoped(Effect.provide(topics, layer)))
  })

describe("a secret that a broker repeats", () => {
  it.effect("is not shown, in clear or encoded, in its error message or in a challenge", () =>
    Effect.gen(function* () {
      for (const sasl of mechanisms)
        for (const encoding of ["utf8", "base64", "base64url"] as const) {
          const error = yield* refused(sasl, (sent) => ({
            errorCode: 58,
            errorMessage: `bad: ${sent.toString(encoding)}, ${forms.join(", ")}`
          }))
          const shown = `${error.message} ${JSON.stringify(error)}`
          assert.include(shown, "bad: ")
          for (const form of [...forms, "S3cr3t", Buffer.from("S3cr3t").toString("base64").slice(0, 6)])
            assert.notInclude(shown, form, `${sasl.mechanism} ${encoding}`)
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
})
