import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schedule } from "effect"
import { KafkaConfig } from "samsa"
import * as Properties from "../../src/librdkafka/Properties.ts"
import * as RdError from "../../src/librdkafka/RdError.ts"
import type { FetchSettings, ProduceSettings } from "../../src/Transport.ts"

const produce = { acks: "all", idempotent: true, compression: "lz4", linger: 5, maxInFlight: 5 } as ProduceSettings
const fetch = { isolation: "committed", bufferBytes: 1_048_576, maxPartitionBytes: 65_536 } as FetchSettings

const connection = (options: Omit<KafkaConfig.Options, "bootstrap">) =>
  Effect.map(KafkaConfig.make({ bootstrap: ["b:9092"], ...options }), (settings) => {
    const mistakes: Array<string> = []
    return { properties: Properties.ofConnection(settings, options, mistakes), mistakes }
  })

/** What counts without librdkafka. */
const ours = Symbol("this client's own")

/** Of each setting another value than that of the test. */
type Others<S> = { readonly [K in keyof S]-?: S[K] | typeof ours }

const pem = "-----BEGIN CERTIFICATE-----"
const ofConnections: Others<KafkaConfig.Settings> = {
  bootstrap: ours,
  clientId: "other",
  connect: ours,
  bootstrapTimeout: ours,
  connectTimeout: 1,
  requestTimeout: 1,
  metadataTimeout: ours,
  metadataMaxAge: 1,
  allowAutoTopicCreation: true,
  maxResponseBytes: 10_000,
  maxPendingResponseBytes: ours,
  keepAlive: Infinity,
  connectionsMaxIdle: 1,
  tls: { ca: pem } as never,
  sasl: { mechanism: "PLAIN", username: "u", password: Redacted.make("p") },
  sourceAddress: { host: "127.0.0.1", port: 0 },
  pinned: "0.9",
  retry: ours
}
const ofProducers: Others<ProduceSettings> = {
  acks: 1,
  idempotent: false,
  insistent: ours,
  compression: "gzip",
  compressionLevel: 1,
  linger: 1,
  minQueued: 2,
  batchBytes: 1,
  maxRequestBytes: 1,
  maxMessageBytes: ours,
  maxInFlight: 2,
  requestTimeout: 1,
  ackTimeout: 1,
  deliveryTimeout: 1,
  closeTimeout: ours,
  retry: Schedule.spaced(1000)
}
const ofConsumers: Others<FetchSettings> = {
  isolation: "uncommitted",
  maxWait: 1,
  minBytes: 2,
  maxBytes: 10_000,
  maxPartitionBytes: 1000,
  bufferBytes: 100_000,
  checkCrcs: false,
  clientRack: "r",
  onCorrupt: "skip"
}

describe("librdkafka's properties", () => {
  it.effect("know each setting: it becomes one, or is told, or is this client's own; and the guide has it", () =>
    Effect.gen(function* () {
      const settings = yield* KafkaConfig.make({ bootstrap: ["b:9092"] })
      const [guide] = Fs.readFileSync(new URL("../../docs/transports.md", import.meta.url), "utf8").split(
        "Other properties"
      )
      const names: { readonly [setting: string]: string } = { pinned: "brokerVersion", insistent: "idempotent" }
      const known = <S extends object>(
        base: S,
        others: Others<S>,
        of: (one: S, mistakes: Array<string>) => unknown
      ) => {
        const before = JSON.stringify(of(base, []))
        for (const [setting, value] of Object.entries(others)) {
          assert.match(guide!, new RegExp(`^\\|.*\`${names[setting] ?? setting}[\`:]`, "m"))
          const mistakes: Array<string> = []
          const after = JSON.stringify(of({ ...base, [setting]: value }, mistakes))
          if (value === ours) assert.deepStrictEqual([after, mistakes], [before, []], setting)
          else assert.isTrue(after !== before || mistakes.length > 0, `${setting} is dropped`)
        }
      }
      known(settings, ofConnections, (one, mistakes) =>
        Properties.ofConnection(one, { tls: one.tls as never, sasl: one.sasl }, mistakes)
      )
      known(produce, ofProducers, Properties.ofProducer)
      known(
        { ...fetch, checkCrcs: true, minBytes: 1, maxWait: 500, maxBytes: 1_000_000 },
        ofConsumers,
        (one, mistakes) => Properties.ofConsumer(one, "g", mistakes)
      )
    })
  )

  it.effect("say what the settings of a connection say", () =>
    Effect.gen(function* () {
      const { mistakes, properties } = yield* connection({
        clientId: "billing",
        connectTimeout: "3 seconds",
        connectionsMaxIdle: Infinity,
        brokerVersion: "0.9"
      })
      assert.deepStrictEqual(mistakes, [])
      assert.strictEqual(properties["client.id"], "billing")
      assert.strictEqual(properties["socket.connection.setup.timeout.ms"], 3000)
      assert.strictEqual(properties["connections.max.idle.ms"], 0)
      assert.strictEqual(properties["api.version.request"], false)
    })
  )

  it.effect("take TLS by text or by file, and SASL with its secret", () =>
    Effect.gen(function* () {
      const pem = "-----BEGIN CERTIFICATE-----"
      const settings = yield* KafkaConfig.make({ bootstrap: ["b:9092"] })
      const properties = Properties.ofConnection(
        settings,
        {
          tls: { ca: pem, cert: { file: "cert.pem" }, key: { file: "key.pem" }, checkServerName: false },
          sasl: { mechanism: "SCRAM-SHA-512", username: "u", password: Redacted.make("p") }
        },
        []
      )
      assert.strictEqual(properties["security.protocol"], "sasl_ssl")
      assert.strictEqual(properties["ssl.ca.pem"], pem)
      assert.strictEqual(properties["ssl.certificate.location"], "cert.pem")
      assert.strictEqual(properties["ssl.key.location"], "key.pem")
      assert.strictEqual(properties["ssl.endpoint.identification.algorithm"], "none")
      assert.notInclude(JSON.stringify(properties), '"p"')
      assert.strictEqual(Properties.plain(properties)[0]["sasl.password"], "p")
    })
  )

  it.effect("have no place for some settings, and say so", () =>
    Effect.gen(function* () {
      const { mistakes } = yield* connection({ sourceAddress: "127.0.0.1", tls: { servername: "other" } })
      assert.lengthOf(mistakes, 2)
      const more: Array<string> = []
      Properties.ofConsumer({ ...fetch, onCorrupt: "skip" }, "g", more)
      assert.lengthOf(more, 1)
    })
  )

  it("have one request under way, so that what is refused is sent again, in its order", () => {
    const name = "max.in.flight.requests.per.connection"
    assert.strictEqual(Properties.ofProducer(produce, [])[name], 1)
    assert.strictEqual(Properties.ofProducer({ ...produce, idempotent: false }, [])[name], 1)
  })

  it("refuse a maxInFlight that would have no effect", () => {
    const mistakesOf = (maxInFlight: number) => {
      const mistakes: Array<string> = []
      Properties.ofProducer({ ...produce, maxInFlight }, mistakes)
      return mistakes
    }
    assert.deepStrictEqual([1, 5].flatMap(mistakesOf), [])
    for (const asked of [2, 4, 100]) assert.match(mistakesOf(asked).join(), /^maxInFlight: .*not \d+/)
  })

  it("are a client's or a topic's", () => {
    const [client, topic] = Properties.plain(Properties.ofProducer(produce, []))
    assert.strictEqual(topic["request.required.acks"], -1)
    assert.strictEqual(topic["compression.codec"], "lz4")
    assert.isUndefined(client["request.required.acks"])
    const [consumer, ofTopic] = Properties.plain(Properties.ofConsumer(fetch, "g", []))
    assert.strictEqual(ofTopic["auto.offset.reset"], "error")
    assert.strictEqual(consumer["isolation.level"], "read_committed")
    assert.strictEqual(consumer["queued.max.messages.kbytes"], 256)
  })

  it("bound an answer by the buffer, since it comes whole (52 MB of each broker, whatever bufferBytes said)", () => {
    const bytes = (settings: Partial<FetchSettings>, most?: number) => {
      const properties = Properties.ofConsumer({ ...fetch, maxBytes: 52_428_800, ...settings }, "g", [], most)
      return [properties["fetch.max.bytes"], properties["message.max.bytes"]]
    }
    assert.deepStrictEqual(bytes({}), [262_144, 262_144])
    assert.deepStrictEqual(bytes({ bufferBytes: 1_000_000_000 }), [52_428_800, 1_000_000])
    assert.deepStrictEqual(bytes({ maxBytes: 100_000 }), [100_000, 100_000])
    assert.deepStrictEqual(bytes({}, 100_512), [100_000, 100_000])
    assert.deepStrictEqual(bytes({ bufferBytes: 1 }), [1000, 1000])
    assert.deepStrictEqual(bytes({}, 1512), [1000, 1000])
  })

  it("tell a maxResponseBytes that no consumer of librdkafka can have (it was Unreachable, after bootstrapTimeout)", () => {
    const mistakes: Array<string> = []
    for (const most of [1511, 1512]) Properties.ofConsumer(fetch, "g", mistakes, most)
    assert.deepStrictEqual(mistakes, ["maxResponseBytes: a consumer of librdkafka needs 1512 bytes at least"])
  })

  it("have room for several partitions in an answer (what one of them had too much was fetched six times)", () => {
    const bytes = (settings: Partial<FetchSettings>) =>
      Properties.ofConsumer({ ...fetch, maxBytes: 52_428_800, maxPartitionBytes: 1_048_576, ...settings }, "g", [])[
        "fetch.message.max.bytes"
      ]
    assert.strictEqual(bytes({ bufferBytes: 67_108_864 }), 1_048_576)
    assert.strictEqual(bytes({ bufferBytes: 4_194_304 }), 131_072)
    assert.strictEqual(bytes({ bufferBytes: 4_194_304, maxPartitionBytes: 1000 }), 1000)
  })

  it("that would end what this client is told, or what it does, are refused", () => {
    const refused = (own: Properties.Properties) => Properties.contradictions(own, {})
    // No success was reported: each record failed after deliveryTimeout, and was written.
    assert.lengthOf(refused({ "delivery.report.only.error": true }), 1)
    assert.lengthOf(refused({ "transactional.id": "x" }), 1)
    assert.lengthOf(refused({ "topic.blacklist": "t" }), 1)
    assert.lengthOf(refused({ "test.mock.num.brokers": 3 }), 1)
    // A text in the place of a function: the first answer ended the process.
    assert.lengthOf(refused({ ut_handle_ProduceResponse: "x" }), 1)
    assert.lengthOf(refused({ constructor: "x", toString: "x" }), 0)
    assert.lengthOf(refused({ "enable.gapless.guarantee": true, "socket.nagle.disable": true }), 0)
  })

  it("of the application's own may not say again what a setting says, by whichever name", () => {
    const own = (properties: Properties.Properties, security = {}) => Properties.contradictions(properties, security)
    assert.lengthOf(own({ "linger.ms": 1, acks: 0, "group.id": "g", "bootstrap.servers": "b" }), 4)
    assert.deepStrictEqual(own({ "sasl.kerberos.service.name": "kafka", "security.protocol": "sasl_plaintext" }), [])
    assert.lengthOf(own({ "security.protocol": "ssl" }, { tls: true }), 1)
  })
})

describe("librdkafka's errors", () => {
  it("are read from their text, with and without their origin", () => {
    assert.strictEqual(RdError.codeOf("Broker: Message size too large"), 10)
    assert.strictEqual(RdError.codeOf("message timed out"), RdError.codes.MSG_TIMED_OUT)
    assert.isUndefined(RdError.codeOf("who knows"))
  })

  it("say of a record what they prove", () => {
    const proves = (code: number | undefined) => {
      const { reason } = RdError.notDelivered({ topic: "t", partition: 0 }, { code, text: "x" })
      return reason._tag === "NotDelivered" ? reason.persistence : reason._tag
    }
    assert.strictEqual(proves(RdError.codes.MSG_TIMED_OUT), "possibly")
    assert.strictEqual(proves(RdError.codes.UNKNOWN_PARTITION), "not")
    assert.strictEqual(proves(10), "not")
    assert.strictEqual(proves(20), "possibly")
    assert.strictEqual(proves(undefined), "possibly")
    assert.strictEqual(proves(29), "Unauthorized")
  })
})
