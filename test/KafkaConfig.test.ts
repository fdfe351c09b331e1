import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Duration, Effect, Logger, Redacted } from "effect"
import * as Kafka from "../src/Kafka.ts"
import * as KafkaConfig from "../src/KafkaConfig.ts"
import * as KafkaError from "../src/KafkaError.ts"

const mistakes = (options: unknown) =>
  Effect.map(Effect.flip(KafkaConfig.make(options as KafkaConfig.Options)), ({ reason }) =>
    reason._tag === "Misconfigured" ? reason.mistakes : assert.fail(reason._tag)
  )

describe("settings", () => {
  it.effect("take host:port, IPv6 addresses and hosts alone", () =>
    Effect.gen(function* () {
      const { bootstrap } = yield* KafkaConfig.make({ bootstrap: ["b1:9093", "b2", "[::1]:9094", "[fe80::1%eth0]"] })
      assert.deepStrictEqual(bootstrap, [
        { host: "b1", port: 9093 },
        { host: "b2", port: 9092 },
        { host: "::1", port: 9094 },
        { host: "fe80::1%eth0", port: 9092 }
      ])
    })
  )

  it.effect("name every mistake at once", () =>
    Effect.gen(function* () {
      const found = yield* mistakes({
        bootstrap: ["b1:0", "http://b2:9092", "::1:9092"],
        requestTimeout: "-1 seconds",
        connectTimeout: "soon",
        maxResponseBytes: 0.5,
        tls: { ca: "not a certificate", cert: { file: "/nowhere/cert.pem" } },
        sasl: { mechanism: "PLAIN", username: "", password: "secret" },
        sourceAddress: "10.0.0.1:port",
        brokerVersion: "latest",
        bootstrapServers: "b1:9092"
      })
      assert.deepStrictEqual(found.toSorted(), [
        '"bootstrapServers" is no setting',
        'bootstrap: "::1:9092" is not host:port',
        'bootstrap: "b1:0" is not host:port',
        'bootstrap: "http://b2:9092" is not host:port',
        'brokerVersion: "latest" is not a release such as "0.9.0" or "2.8"',
        'connectTimeout is not a duration: "soon"',
        "maxResponseBytes must be a whole number above 0, not 0.5",
        'requestTimeout must be more than 0, not "-1 seconds"',
        "sasl.password is missing, or not Redacted",
        "sasl.username is missing",
        'sourceAddress: "10.0.0.1:port" is not an address of IPv4 or IPv6 (without a port)',
        'tls.ca is not PEM text; a file is given as { file: "…" }',
        "tls.cert needs tls.key",
        "tls.cert: /nowhere/cert.pem cannot be read (ENOENT)"
      ])
      assert.deepStrictEqual(yield* mistakes({}), [
        "bootstrap names no broker (in the environment: KAFKA_BOOTSTRAP, such as b1:9092,b2:9092)"
      ])
    })
  )

  it.effect("do not show a secret in what they complain of", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        KafkaConfig.make({
          bootstrap: [],
          sasl: { mechanism: "SCRAM-SHA-256", username: "", password: Redacted.make("hunter2") }
        })
      )
      assert.notInclude(error.message + JSON.stringify(error), "hunter2")
    })
  )

  it.effect("take an address of this machine to connect from, and no port, which only one connection could have", () =>
    Effect.gen(function* () {
      const source = (sourceAddress: string) =>
        Effect.map(KafkaConfig.make({ bootstrap: ["b"], sourceAddress }), (config) => config.sourceAddress)
      assert.deepStrictEqual(yield* source("10.0.0.1"), { host: "10.0.0.1", port: 0 })
      assert.deepStrictEqual(yield* source("::1"), { host: "::1", port: 0 })
      assert.deepStrictEqual(yield* source("[::1]"), { host: "::1", port: 0 })
      for (const sourceAddress of ["localhost", "10.0.0.1:4000", "[::1]:4000", "a.example", "", 5 as never])
        assert.lengthOf(yield* mistakes({ bootstrap: ["b"], sourceAddress }), 1)
    })
  )

  it.effect("pin brokers that cannot be asked, and hold against what these cannot do", () =>
    Effect.gen(function* () {
      const pinned = (brokerVersion: string) =>
        Effect.map(KafkaConfig.make({ bootstrap: ["b"], brokerVersion }), (config) => config.pinned)
      assert.strictEqual(yield* pinned("0.8.2.2"), "0.8")
      assert.strictEqual(yield* pinned("0.9"), "0.9")
      assert.strictEqual(yield* pinned("0.10.0"), "modern")
      assert.strictEqual(yield* pinned("4.1"), "modern")
      const sasl = { mechanism: "PLAIN", username: "u", password: Redacted.make("p") }
      assert.deepStrictEqual(yield* mistakes({ bootstrap: ["b"], brokerVersion: "0.9", sasl }), [
        "sasl: brokers of 0.9 have none of its mechanisms"
      ])
      assert.lengthOf(yield* mistakes({ bootstrap: ["b"], brokerVersion: "0.7" }), 1)
    })
  )

  it.effect("take an infinite connectionsMaxIdle", () =>
    Effect.gen(function* () {
      const config = yield* KafkaConfig.make({ bootstrap: ["b"], connectionsMaxIdle: Duration.infinity })
      assert.strictEqual(config.connectionsMaxIdle, Infinity)
      assert.strictEqual((yield* KafkaConfig.make({ bootstrap: ["b"] })).connectionsMaxIdle, 540_000)
    })
  )

  it.effect("bring a token's needs with them", () =>
    Effect.gen(function* () {
      class Identity extends Context.Service<Identity, { readonly token: Effect.Effect<Redacted.Redacted<string>> }>()(
        "test/Identity"
      ) {}
      const options: Kafka.Options<Identity> = {
        bootstrap: ["b"],
        sasl: { mechanism: "OAUTHBEARER", token: Effect.flatMap(Identity, (identity) => identity.token) }
      }
      const { sasl } = yield* KafkaConfig.make(options).pipe(
        Effect.provideService(Identity, { token: Effect.succeed(Redacted.make("abc")) })
      )
      assert.strictEqual(sasl?.mechanism === "OAUTHBEARER" ? Redacted.value(yield* sasl.token) : "", "abc")
      // @ts-expect-error the Layer asks for what the token needs
      const _layer: import("effect").Layer.Layer<Kafka.Kafka, unknown> = Kafka.layer(options)
    })
  )
})

describe("the environment", () => {
  const from = (env: { readonly [name: string]: string }) =>
    KafkaConfig.environment.pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))))

  it.effect("needs no more than the bootstrap servers", () =>
    Effect.gen(function* () {
      const options = yield* from({ KAFKA_BOOTSTRAP: "b1:9092,b2:9092" })
      assert.deepStrictEqual((yield* KafkaConfig.make(options)).bootstrap, [
        { host: "b1", port: 9092 },
        { host: "b2", port: 9092 }
      ])
      assert.isUndefined((yield* KafkaConfig.make(options)).tls)
      assert.deepStrictEqual((yield* from({})).bootstrap, [])
    })
  )

  it.effect("names TLS, SASL and the rest", () =>
    Effect.gen(function* () {
      const options = yield* from({
        KAFKA_BOOTSTRAP: "b1",
        KAFKA_CLIENT_ID: "billing",
        KAFKA_TLS_CA_FILE: "/etc/ca.pem",
        KAFKA_SASL_MECHANISM: "SCRAM-SHA-512",
        KAFKA_SASL_USERNAME: "alice",
        KAFKA_SASL_PASSWORD: "secret",
        KAFKA_BROKER_VERSION: "2.8"
      })
      assert.strictEqual(options.clientId, "billing")
      assert.strictEqual(options.brokerVersion, "2.8")
      assert.deepInclude(options.tls, { ca: { file: "/etc/ca.pem" } })
      const { sasl } = options
      assert.strictEqual(sasl?.mechanism, "SCRAM-SHA-512")
      if (sasl?.mechanism === "SCRAM-SHA-512") assert.strictEqual(Redacted.value(sasl.password), "secret")
      assert.notInclude(JSON.stringify(options), "secret")
    })
  )

  it.effect("without KAFKA_BOOTSTRAP is told by that name", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(Effect.provide(Effect.void, Kafka.layerConfig())).pipe(
          Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({})))
        )
      )
      assert.match(String(error), /KAFKA_BOOTSTRAP/)
      assert.strictEqual(error._tag, "KafkaError")
    })
  )

  it.effect("may be laid out otherwise", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(
          Effect.provide(
            Effect.void,
            Kafka.layerConfig({
              bootstrap: Config.succeed(["no address:0"]),
              tls: Config.Boolean("SECURE"),
              connectionsMaxIdle: Config.succeed("1 minute" as const)
            })
          )
        ).pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ SECURE: "false" }))))
      )
      assert.strictEqual(error._tag, "KafkaError")
    })
  )
})

describe("settings that cannot be carried", () => {
  const found = (options: object) => mistakes({ bootstrap: ["b"], ...options })

  it.effect("are refused: what is no number, what is endless, what an int32 or a timer does not hold", () =>
    Effect.gen(function* () {
      for (const name of ["requestTimeout", "connectTimeout", "metadataTimeout", "bootstrapTimeout"])
        for (const value of [NaN, Infinity, -Infinity, 2 ** 31, "25 days", "soon", -1, 0])
          assert.lengthOf(yield* found({ [name]: value }), 1, `${name} ${value}`)
      for (const name of ["connectionsMaxIdle", "metadataMaxAge", "keepAlive"])
        for (const value of [NaN, -Infinity, 2 ** 31, 0])
          assert.lengthOf(yield* found({ [name]: value }), 1, `${name} ${value}`)
      for (const value of [NaN, Infinity, 0, -1, 1.5, 2 ** 31, "5"])
        assert.lengthOf(yield* found({ maxResponseBytes: value }), 1, `maxResponseBytes ${value}`)
    })
  )

  it.effect("are taken where never is a choice, and rounded up where they are parts of a millisecond", () =>
    Effect.gen(function* () {
      const config = yield* KafkaConfig.make({
        bootstrap: ["b"],
        connectionsMaxIdle: Infinity,
        metadataMaxAge: Infinity,
        keepAlive: Infinity,
        requestTimeout: 0.5
      })
      assert.deepStrictEqual(
        [config.connectionsMaxIdle, config.metadataMaxAge, config.keepAlive, config.requestTimeout],
        [Infinity, Infinity, Infinity, 1]
      )
    })
  )

  it.effect("tell of an @ in an address without what stands before it, and take no control characters", () =>
    Effect.gen(function* () {
      for (const entry of ["user:hunter2@b:9092", "hunter2@b", "hunter2@b:9092", "kafka://u:hunter2@b:1"]) {
        const [told] = yield* found({ bootstrap: [entry] })
        assert.include(told, 'bootstrap[0] holds an "@"')
        assert.notInclude(told!, "hunter2")
      }
      for (const entry of ["a\0b:1", "a b:1", "b:70000", "b:0", `${"a".repeat(256)}:1`])
        assert.lengthOf(yield* found({ bootstrap: [entry] }), 1)
    })
  )

  it.effect("warn once where PLAIN goes over plaintext", () =>
    Effect.gen(function* () {
      const warned: Array<unknown> = []
      const logger = Logger.make(({ logLevel, message }) => void (logLevel === "Warn" && warned.push(message)))
      const sasl = { username: "u", password: Redacted.make("hunter2") } as const
      const make = (options: object) =>
        KafkaConfig.make({ bootstrap: ["b"], ...options }).pipe(Effect.provide(Logger.layer([logger])))
      yield* make({ sasl: { mechanism: "PLAIN", ...sasl } })
      assert.lengthOf(warned, 1)
      assert.notInclude(JSON.stringify(warned), "hunter2")
      yield* make({ sasl: { mechanism: "PLAIN", ...sasl }, tls: true })
      yield* make({ sasl: { mechanism: "SCRAM-SHA-256", ...sasl } })
      assert.lengthOf(warned, 1)
    })
  )
})

describe("an error's message", () => {
  it("shows a broker's control characters as escapes", () => {
    const { message } = KafkaError.make({
      _tag: "Unauthenticated",
      mechanism: "PLAIN",
      message: "no\r\n\u001b[31mred\u202e\0"
    })
    assert.include(message, "no\\u000d\\u000a\\u001b[31mred\\u202e\\u0000")
  })
})

describe("settings of a program without types, or of a file", () => {
  it.effect("are Misconfigured, each by its name, and never a defect or taken for something else", () =>
    Effect.gen(function* () {
      const password = Redacted.make("S3cr3t")
      const circular: { self?: unknown } = {}
      circular.self = circular
      const scram = { mechanism: "SCRAM-SHA-256", username: "u", password }
      const odd: ReadonlyArray<readonly [object, string]> = [
        [{ bootstrap: "b1:9092" }, "bootstrap is no list"],
        [{ bootstrap: [5] }, "bootstrap: 5 is not host:port"],
        [{ bootstrap: [null] }, "bootstrap: null is not host:port"],
        [{ clientId: 5 }, "clientId"],
        [{ clientId: "\ud800" }, "clientId"],
        [{ clientId: "x".repeat(40_000) }, "clientId"],
        [{ allowAutoTopicCreation: "false" }, "allowAutoTopicCreation is neither"],
        [{ brokerVersion: 0.1 }, "brokerVersion"],
        [{ sourceAddress: "u:S3cr3t@x" }, "sourceAddress"],
        [{ tls: "false" }, "tls is neither"],
        [{ tls: null }, "tls is neither"],
        [{ tls: { rejectUnauthorized: false } }, '"tls.rejectUnauthorized" is no setting'],
        [{ tls: { checkServername: false } }, '"tls.checkServername" is no setting'],
        [{ tls: { checkServerName: "false" } }, "tls.checkServerName is neither"],
        [{ tls: { servername: 5 } }, "tls.servername"],
        [{ tls: { servername: "a\0b" } }, "tls.servername"],
        [{ tls: { ca: { path: "x" } } }, "tls.ca is neither"],
        [{ tls: { ca: ["x"] } }, "tls.ca is neither"],
        [{ tls: { passphrase: "S3cr3t", key: { file: "/nowhere" }, cert: { file: "/nowhere" } } }, "tls.passphrase"],
        [{ sasl: null }, "sasl holds no settings"],
        [{ sasl: "PLAIN" }, "sasl holds no settings"],
        [{ sasl: {} }, "sasl.mechanism is missing"],
        [{ sasl: { mechanism: "toString" } }, 'sasl.mechanism: "toString" is not known'],
        [{ sasl: { ...scram, iterations: 5 } }, '"sasl.iterations" is no setting'],
        // These were defects, or TLS with all its defaults.
        [{ bootstrap: [1n] }, "bootstrap: 1 is not host:port"],
        [{ bootstrap: [circular] }, "bootstrap: an object is not host:port"],
        [{ connect: 1n }, "connect is one of eagerly, lazily, not 1"],
        [{ brokerVersion: Symbol("2.8") }, "brokerVersion: Symbol(2.8) is not a release"],
        [{ requestTimeout: Object.create(null) }, "requestTimeout is not a duration: an object"],
        [{ sourceAddress: 1n }, "sourceAddress: 1 is not an address"],
        [{ tls: { ca: { file: "\0" } } }, "tls.ca is neither PEM text nor"],
        [{ tls: [] }, "tls is neither true nor false nor settings"],
        [{ tls: Promise.resolve({}) }, "tls is neither true nor false nor settings"],
        [{ tls: Effect.succeed({}) }, "tls is neither true nor false nor settings"],
        [
          { tls: true, sasl: { mechanism: "AWS_MSK_IAM", region: 1n, credentials: Effect.never } },
          "sasl.region: 1 is no"
        ],
        [
          { sasl: { mechanism: "OAUTHBEARER", token: Effect.never, extensions: "x" } },
          "sasl.extensions is an object of settings"
        ],
        [{ sasl: { mechanism: "PLAIN", username: "\ud800", password } }, "sasl.username is no text"],
        [{ sasl: { ...scram, password: Redacted.make(5) } }, "sasl.password"],
        [{ sasl: { mechanism: "PLAIN", username: "u\0", password } }, "sasl.username holds a NUL"],
        [
          { sasl: { mechanism: "PLAIN", username: "u", password: Redacted.make("S3\0cr3t") } },
          "sasl.password holds a NUL"
        ]
      ]
      for (const [given, mistake] of odd) {
        const found = yield* mistakes({ bootstrap: ["b"], ...given } as never)
        assert.isTrue(
          found.some((one) => one.startsWith(mistake)),
          `${mistake}: ${found.join("; ")}`
        )
        assert.notInclude(found.join(), "S3cr3t")
      }
      for (const nothing of [undefined, null, 5]) assert.isAbove((yield* mistakes(nothing as never)).length, 0)
    })
  )

  it.effect("of the environment say what is missing, and what is switched off is off", () =>
    Effect.gen(function* () {
      const from = (env: { readonly [name: string]: string }) =>
        Effect.flatMap(
          KafkaConfig.environment.parse(ConfigProvider.fromEnv({ env: { KAFKA_BOOTSTRAP: "b", ...env } })),
          (options) => KafkaConfig.make(options)
        )
      assert.isUndefined((yield* from({ KAFKA_TLS: "false", KAFKA_TLS_SERVERNAME: "x", KAFKA_TLS_CA_FILE: "/x" })).tls)
      assert.isDefined((yield* from({ KAFKA_TLS_SERVERNAME: "x" })).tls)
      assert.isUndefined((yield* from({})).sasl)
      for (const [env, mistake] of [
        [{ KAFKA_SASL_USERNAME: "u", KAFKA_SASL_PASSWORD: "p" }, "sasl.mechanism is missing"],
        [{ KAFKA_SASL_MECHANISM: "OAUTHBEARER" }, "sasl.token is missing"],
        [{ KAFKA_SASL_MECHANISM: "PLAIN", KAFKA_SASL_USERNAME: "u" }, "sasl.password is missing"]
      ] as const)
        assert.include((yield* Effect.flip(from(env))).message, mistake)
    })
  )
})
