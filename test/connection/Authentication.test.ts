/** What a broker says of how we authenticate, and what of it is shown. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { Cluster } from "../../src/Cluster.ts"
import { codes } from "../../src/ErrorCode.ts"
import * as Kafka from "../../src/Kafka.ts"
import { Network } from "../../src/Network.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import type { Sasl } from "../../src/Security.ts"
import * as Answers from "../hostile/Answers.ts"
import * as InProcess from "../hostile/InProcess.ts"
import { fake } from "./Fakes.ts"

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

/** A client whose sessions last so long; what came of each of its connections, as `seconds api`, by the test's clock. */
const limited = (
  lifetime: number,
  answers: Answers.Options["answers"],
  delayOf: (api: string) => number,
  options: Partial<Kafka.Options> = {}
) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const run = Effect.runForkWith(yield* Effect.context<never>())
    let api = ""
    const named =
      (name: string, usual?: Answers.Answer): Answers.Answer =>
      (request, healthy) => {
        api = name
        return usual === undefined ? healthy() : usual(request, healthy)
      }
    const broker = Answers.make({
      answers: {
        ApiVersions: named("ApiVersions"),
        SaslHandshake: named("SaslHandshake", answers?.SaslHandshake),
        SaslAuthenticate: named("SaslAuthenticate", () => ({ sessionLifetimeMs: lifetime })),
        Metadata: named("Metadata")
      }
    })
    const connections: Array<Array<string>> = []
    const network = yield* fake((peer, { host, port }) => {
      const heard: Array<string> = []
      connections.push(heard)
      return (request) => {
        const response = broker.answer(request, { host, port })
        if (Frame.readRequestHeader(request).apiKey !== 15)
          heard.push(`${clock.currentTimeMillisUnsafe() / 1000} ${api}`)
        if (response === undefined) return
        run(
          Effect.andThen(
            Effect.sleep(delayOf(api)),
            Effect.sync(() => peer.send(response))
          )
        )
      }
    })
    const sasl: Sasl = { mechanism: "PLAIN", username: "u", password: Redacted.make("secret") }
    const layer = Layer.provide(
      Kafka.layerWithoutNetwork({ bootstrap: ["b:9092"], connect: "lazily", sasl, ...options }),
      Layer.succeed(Network, network.network)
    )
    return { connections, layer }
  })

/** Asks so many times, with a pause before each. */
const asking = (times: number, pause: number, layer: Layer.Layer<Kafka.Kafka, unknown>) =>
  Effect.gen(function* () {
    const asked = Effect.flatMap(Cluster, (cluster) =>
      Effect.forEach(Array.from({ length: times }), () => Effect.andThen(Effect.sleep(pause), cluster.topics(["t"])))
    )
    const fiber = yield* Effect.forkChild(Effect.exit(Effect.provide(asked, layer)), { startImmediately: true })
    while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(100)
    return yield* Fiber.join(fiber)
  })

describe("another authentication of a session", () => {
  it.effect("comes a second after the end of the last, however long that has taken", () =>
    Effect.gen(function* () {
      const { connections, layer } = yield* limited(2000, {}, (api) => (api === "SaslAuthenticate" ? 1000 : 1))
      assert.strictEqual((yield* asking(60, 100, layer))._tag, "Success")
      const again = connections.find((heard) => heard.filter((one) => one.endsWith("SaslHandshake")).length > 1)!
      const [, second] = again.filter((one) => one.endsWith("SaslHandshake")).map(parseFloat)
      const [first] = again.filter((one) => one.endsWith("SaslAuthenticate")).map(parseFloat)
      assert.isAtLeast(second! - (first! + 1), 1)
    })
  )

  it.effect("that comes at a wrong time for the broker says nothing of our credentials", () =>
    Effect.gen(function* () {
      const SaslHandshake: Answers.Answer = ({ count }, healthy) =>
        count === 3 ? { errorCode: codes.ILLEGAL_SASL_STATE, mechanisms: [] } : healthy()
      const { connections, layer } = yield* limited(10_000, { SaslHandshake }, () => 1)
      assert.strictEqual((yield* asking(30, 1000, layer))._tag, "Success")
      assert.isAtLeast(connections.length, 3)
    })
  )

  it.effect("that is not answered is the end of its connection: no request goes into the middle of it", () =>
    Effect.gen(function* () {
      const SaslHandshake: Answers.Answer = ({ count }, healthy) => (count === 3 ? undefined : healthy())
      const options = { connectTimeout: 500, requestTimeout: 60_000 }
      const { connections, layer } = yield* limited(10_000, { SaslHandshake }, () => 1, options)
      assert.strictEqual((yield* asking(100, 200, layer))._tag, "Success")
      const stuck = connections.filter((heard) => heard.at(-1)!.endsWith("SaslHandshake"))
      assert.lengthOf(stuck, 1, JSON.stringify(connections))
    })
  )
})
