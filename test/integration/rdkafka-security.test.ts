/** librdkafka over TLS and SASL on a real broker; OAUTHBEARER's token is renewed by our Effect. */
import { assert, beforeAll, layer } from "@effect/vitest"
import { Effect, Fiber, Redacted, Result } from "effect"
import { Consumer, Producer } from "samsa"
import { seen } from "./Client.ts"
import type * as KafkaProperties from "./KafkaProperties.ts"
import * as KafkaServer from "./KafkaServer.ts"
import * as NodeRdkafka from "./NodeRdkafka.ts"
import { type Options, text, through, token, works } from "./Secured.ts"

const version = "4.4.0"

beforeAll(() => Effect.runPromise(NodeRdkafka.install), 600_000)

layer(
  KafkaServer.layer({
    version,
    listeners: ["SSL", "SASL_PLAINTEXT", "SASL_SSL"],
    properties: { "ssl.client.auth": "required", "connections.max.reauth.ms": 30_000 }
  }),
  { excludeTestServices: true }
)(`librdkafka, Kafka ${version}`, (it) => {
  const tls = Effect.map(KafkaServer.KafkaServer, ({ certificates }) => {
    const { ca, cert, key } = certificates!
    return { ca, cert, key: Redacted.make(key) }
  })

  const does = (
    title: string,
    listener: KafkaProperties.Listener,
    topic: string,
    options: Effect.Effect<Options, unknown, KafkaServer.KafkaServer>
  ) =>
    it.effect(title, () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic(topic)
        yield* through(listener, yield* options, works(version, topic), "127.0.0.1", "librdkafka")
      }).pipe(KafkaServer.diagnosed)
    )

  does(
    "TLS with a client certificate",
    "SSL",
    "tls",
    Effect.map(tls, (tls) => ({ tls }))
  )

  for (const mechanism of ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const) {
    does(
      `SASL ${mechanism} over TLS`,
      "SASL_SSL",
      mechanism,
      Effect.gen(function* () {
        const { sasl } = yield* KafkaServer.KafkaServer
        const { password, username } = sasl
        return { tls: yield* tls, sasl: { mechanism, username, password: Redacted.make(password) } }
      })
    )
  }

  it.effect("OAUTHBEARER tokens of five seconds are renewed under traffic, and nothing is lost", () =>
    Effect.gen(function* () {
      const server = yield* KafkaServer.KafkaServer
      yield* server.createTopic("renewed")
      const topic = text("renewed")
      let asked = 0
      const options: Options = {
        sasl: {
          mechanism: "OAUTHBEARER",
          token: Effect.sync(() => {
            asked++
            return token(5)
          })
        }
      }
      yield* through(
        "SASL_PLAINTEXT",
        options,
        Effect.gen(function* () {
          const producer = yield* Producer.Producer
          const handled = seen<string>()
          const consumer = yield* Consumer.assign({ topic, from: "earliest" })
          const consuming = yield* Effect.forkScoped(
            consumer.run((record) => Effect.sync(() => handled.add(record.value)))
          )
          const end = performance.now() + 15_000
          let sent = 0
          yield* Effect.whileLoop({
            while: () => performance.now() < end,
            body: () => {
              const entries = Array.from({ length: 4 }, () => ({ key: "k", value: `v${sent++}` }))
              return Effect.andThen(
                Effect.map(producer.sendAll(topic, entries), (results) =>
                  assert.isTrue(results.every(Result.isSuccess), JSON.stringify(results))
                ),
                Effect.sleep("20 millis")
              )
            },
            step: () => {}
          })
          yield* handled.until("all is handled", (all) => all.length >= sent)
          assert.deepStrictEqual(
            handled.all,
            Array.from({ length: sent }, (_, i) => `v${i}`)
          )
          assert.isUndefined(consuming.pollUnsafe())
          yield* Fiber.interrupt(consuming)
        }),
        "127.0.0.1",
        "librdkafka"
      )
      // Two clients of librdkafka, each of which needs four in that time, beside those of this client's own connections.
      assert.isAtLeast(asked, 8)
    }).pipe(KafkaServer.diagnosed)
  )
})
