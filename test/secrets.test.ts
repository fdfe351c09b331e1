/** Errors print well, and secrets are in nothing that is printed: errors, settings, spans, metrics, the log. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Metric, Redacted, References, Schema, Tracer } from "effect"
import * as Util from "node:util"
import { Admin, Consumer, Kafka, KafkaConfig, KafkaError, Producer, Topic, ZooKeeper } from "samsa"
import { EmbeddedKafka } from "samsa/testing"
import { Network } from "../src/Network.ts"
import { fake } from "./connection/Fakes.ts"
import { moving, scoped } from "./consume/Harness.ts"
import * as Answers from "./hostile/Answers.ts"
import { certificates } from "./network/Certificates.ts"
import { keeping } from "./Observing.ts"

/** Everything that an error can be printed as. */
const printsOf = (error: KafkaError.KafkaError): ReadonlyArray<string> => [
  String(error),
  Util.inspect(error),
  Util.inspect(error, { depth: 10 }),
  Cause.pretty(Cause.fail(error)),
  JSON.stringify(error),
  error.stack ?? "",
  JSON.stringify(Schema.encodeSync(Schema.toCodecJson(KafkaError.KafkaError))(error))
]

describe("an error", () => {
  const inner = new TypeError("the disk is full")
  const error = KafkaError.make({ _tag: "UnknownTopic", topic: "orders", api: "Metadata", broker: "b1:9092" }, inner)

  it("prints its message, reason, place, cause and stack, by console.log and Cause.pretty", () => {
    for (const text of [Util.inspect(error), Cause.pretty(Cause.fail(error))]) {
      assert.include(text, 'KafkaError: UnknownTopic: there is no topic "orders"')
      assert.include(text, "[Metadata, orders, broker b1:9092]")
      assert.include(text, "secrets.test.ts")
      assert.include(text, "the disk is full")
    }
    assert.include(Util.inspect(error), "_tag: 'UnknownTopic'")
    assert.strictEqual(String(error).split("\n").length, 1)
  })

  it("is JSON with its message and its cause, that its Schema reads again", () => {
    const parsed = JSON.parse(JSON.stringify(error))
    assert.strictEqual(parsed.message, error.message)
    assert.deepStrictEqual(parsed.cause, { name: "TypeError", message: "the disk is full" })
    const again = Schema.decodeUnknownSync(Schema.toCodecJson(KafkaError.KafkaError))(parsed)
    assert.strictEqual(again.message, error.message)
    assert.strictEqual((again.cause as Error).message, "the disk is full")
    const nested = KafkaError.make({ _tag: "Misuse", message: "m" }, error)
    assert.strictEqual(JSON.parse(JSON.stringify(nested)).cause.reason.topic, "orders")
    assert.include(Util.inspect(nested), "the disk is full")
  })
})

describe("secrets", () => {
  it.effect("are in nothing that is printed", () => {
    const secrets = [
      "hunter2-right",
      "hunter2-wrong",
      "hunter2-phrase",
      "hunter2-token",
      "hunter2-key",
      "hunter2-session"
    ]
    const printed: Array<string> = []
    const logger = Logger.make((options) => {
      printed.push(Util.inspect(options.message, { depth: 10 }))
      printed.push(Util.inspect(options.cause, { depth: 10 }))
      printed.push(JSON.stringify(options.fiber.getRef(References.CurrentLogAnnotations)))
    })
    const { spans, tracer } = keeping()
    const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
    const failed = (exit: Exit.Exit<unknown, unknown>) => {
      if (Exit.isSuccess(exit)) return
      printed.push(Cause.pretty(exit.cause), Util.inspect(exit, { depth: 10 }))
      const error = Cause.squash(exit.cause)
      if (error instanceof KafkaError.KafkaError) printed.push(...printsOf(error))
    }
    const program = (options: Kafka.Options, network?: Network["Service"]) =>
      Effect.gen(function* () {
        const { sasl, tls } = options
        printed.push(Util.inspect({ sasl, tls }, { depth: 10 }), JSON.stringify({ sasl, tls }))
        const settings = yield* Effect.exit(KafkaConfig.make(options))
        printed.push(Util.inspect(settings, { depth: 10 }), JSON.stringify(settings))
        yield* connecting(options, network)
      })
    const connecting = (options: Kafka.Options, network?: Network["Service"]) =>
      Effect.gen(function* () {
        failed(yield* Effect.exit(KafkaConfig.make(options)))
        const over = network === undefined ? EmbeddedKafka.layerNetwork : Layer.succeed(Network, network)
        const kafka = Kafka.layerWithoutNetwork(options).pipe(Layer.provide(Layer.fresh(over)))
        const works = Effect.gen(function* () {
          const producer = yield* Producer.make()
          yield* producer.send(orders, { key: null, value: "v" })
          const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
          yield* consumer.run(() => Effect.void)
        })
        failed(yield* moving(Effect.scoped(Effect.provide(works, Layer.fresh(kafka)))))
      })
    const plain = (password: string) =>
      ({ mechanism: "PLAIN", username: "app", password: Redacted.make(password) }) as const
    const scram = (password: string) =>
      ({ mechanism: "SCRAM-SHA-512", username: "app", password: Redacted.make(password) }) as const
    return Effect.gen(function* () {
      const { bootstrap } = yield* EmbeddedKafka.EmbeddedKafka
      const common = { bootstrap, bootstrapTimeout: "1 second" } as const
      yield* program({ ...common, sasl: plain("hunter2-right") })
      yield* program({ ...common, sasl: plain("hunter2-wrong") })
      yield* program({ ...common, sasl: scram("hunter2-right") })
      yield* program({ ...common, sasl: scram("hunter2-wrong") })
      const token = Effect.succeed(Redacted.make("hunter2-token"))
      yield* program({ ...common, sasl: { mechanism: "OAUTHBEARER", token } })
      const keys = { secretAccessKey: Redacted.make("hunter2-key"), sessionToken: Redacted.make("hunter2-session") }
      const credentials = Effect.succeed({ accessKeyId: "AKID", ...keys })
      const iam = { mechanism: "AWS_MSK_IAM", region: "eu-central-1", credentials } as const
      const refusing = Answers.make({ answers: { SaslAuthenticate: () => ({ errorCode: 58, errorMessage: "AKID" }) } })
      const { network } = yield* fake((peer, address) => (request) => {
        const response = refusing.answer(request, address)
        if (response !== undefined) peer.send(response)
      })
      yield* program({ ...common, sasl: iam, tls: { ca: certificates.ca } }, network)
      yield* program({ ...common, sasl: iam })
      yield* program({ ...common, bootstrap: ["app:hunter2-wrong@b:9092"] })
      yield* program({
        ...common,
        tls: { passphrase: Redacted.make("hunter2-phrase"), key: Redacted.make("hunter2-phrase") }
      })
      // As of KAFKA_TLS_KEY_FILE="$(cat key.pem)": the name of a file that there is none of is told, otherwise.
      const file = "-----BEGIN PRIVATE KEY-----\nhunter2-phrase\n-----END PRIVATE KEY-----\n"
      for (const tls of [{ cert: { file }, key: { file } }, { ca: { file } }])
        failed(yield* Effect.exit(KafkaConfig.make({ ...common, tls })))
      // What is not Redacted, and what a user's credentials or a token say of themselves where they are refused.
      yield* connecting({ ...common, sasl: { ...plain("hunter2-right"), password: "hunter2-right" as never } })
      const asked = Effect.gen(function* () {
        const admin = yield* Admin.make({ timeout: "5 seconds" })
        const user = { user: "app", mechanism: "SCRAM-SHA-256" } as const
        const broken = [
          { ...user, password: "hunter2-right", iterations: 1 },
          { ...user, password: ["hunter2-right"] as never },
          { ...user, password: Redacted.make("hunter2-right"), mechanism: "hunter3" as never },
          { ...user, password: "hunter2-right" },
          { ...user, password: Redacted.make("hunter2-right") }
        ]
        for (const one of broken) printed.push(Util.inspect(yield* Effect.exit(admin.alterUsers([one])), { depth: 10 }))
        const made = yield* Effect.exit(admin.createTokens([{}]))
        printed.push(Util.inspect(made, { depth: 10 }), JSON.stringify(made))
        const hmac = "hunter2-token" as never
        failed(yield* Effect.exit(admin.renewToken(hmac)))
        failed(yield* Effect.exit(admin.expireToken(hmac)))
      })
      const client = Kafka.layerWithoutNetwork({ bootstrap, sasl: plain("hunter2-right") }).pipe(
        Layer.provide(Layer.fresh(EmbeddedKafka.layerNetwork))
      )
      failed(yield* moving(Effect.scoped(Effect.provide(asked, Layer.fresh(client)))))
      for (const auth of [
        { scheme: "digest", credentials: Redacted.make("app:hunter2-right") },
        { scheme: "digest", credentials: "app:hunter2-right" as never }
      ])
        failed(yield* moving(Effect.scoped(Layer.build(ZooKeeper.layer({ connect: "127.0.0.1:1", auth })))))
      // A text in the place of the settings.
      failed(yield* Effect.exit(KafkaConfig.make("kafka://app:hunter2-wrong@b:9092" as never)))
      for (const span of spans)
        printed.push(
          span.name,
          Util.inspect([...span.attributes], { depth: 10 }),
          Util.inspect(span.status, { depth: 10 })
        )
      printed.push(JSON.stringify(yield* Metric.snapshot))
      const all = printed.join("\n")
      // It was no empty paper that was looked at.
      for (const word of [
        "Unauthenticated",
        "connected to",
        "connect embedded-1:9092",
        "request_latency",
        "Misconfigured",
        "iterations must be",
        'the password of "app" is no text',
        "ZooKeeper at 127.0.0.1:1",
        "the hmac must be Redacted bytes",
        "Unauthenticated: AWS_MSK_IAM"
      ])
        assert.include(all, word)
      // What is signed, and the token in which that goes: a URL.
      for (const text of ["X-Amz-", Buffer.from("https://kafka.eu-").toString("base64url")])
        assert.notInclude(all, text)
      for (const secret of secrets) {
        assert.notInclude(all, secret)
        assert.notInclude(all, Buffer.from(secret).toString("base64").replace(/=+$/, ""))
        assert.notInclude(all, Buffer.from(`\0app\0${secret}`).toString("base64").replace(/=+$/, ""))
      }
    }).pipe(
      scoped,
      Effect.provide(EmbeddedKafka.layer({ topics: [orders], sasl: { users: { app: "hunter2-right" } } })),
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(References.MinimumLogLevel, "All"),
      Effect.provideService(Tracer.Tracer, tracer),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  })
})
