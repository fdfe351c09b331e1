/** librdkafka over TLS and SASL on a real broker; OAUTHBEARER's token is renewed by our Effect. */
import { assert, beforeAll, layer } from "@effect/vitest"
import { Effect, Fiber, Redacted, Result, Stream } from "effect"
import { Admin, Consumer, Producer, RdKafka } from "samsa"
import { eventually, withAdmin } from "./Admins.ts"
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

layer(
  KafkaServer.layer({
    version,
    listeners: ["SASL_PLAINTEXT"],
    properties: {
      "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
      "super.users": "User:ANONYMOUS;User:admin"
    }
  }),
  { excludeTestServices: true }
)(`what librdkafka is refused, Kafka ${version}`, (it) => {
  const login = (username: string, password: string) =>
    ({ mechanism: "SCRAM-SHA-256", username, password: Redacted.make(password) }) as const

  /** With a client that logs in, and has no rights but those that rules give. */
  const as = <A, E, R>(username: string, password: string, self: Effect.Effect<A, E, R>) =>
    Effect.flatMap(KafkaServer.KafkaServer, (server) =>
      Effect.provide(
        Effect.scoped(self),
        RdKafka.layer({
          bootstrap: server.addresses("SASL_PLAINTEXT"),
          bootstrapTimeout: "10 seconds",
          metadataTimeout: "5 seconds",
          sasl: login(username, password)
        }),
        { local: true }
      )
    )

  const ruled = text("ruled")
  const send = Effect.scoped(
    Effect.flatMap(Producer.make({ deliveryTimeout: "20 seconds" }), (producer) =>
      producer.send(ruled, { key: "k", value: "v" })
    )
  )
  const tag = <A, R>(self: Effect.Effect<A, { readonly reason: { readonly _tag: string } }, R>) =>
    Effect.match(self, { onFailure: ({ reason }) => reason._tag, onSuccess: () => "done" })

  it.effect("rights that are missing are Unauthorized, each of them, until they are given", () =>
    withAdmin(
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const server = yield* KafkaServer.KafkaServer
        const { password, username } = server.sasl
        yield* server.createTopic("ruled")
        const rule = { resource: "topic", name: "ruled", principal: `User:${username}` } as const
        const allow = (operation: "describe" | "write" | "read") =>
          Admin.orFail(admin.createAcls([{ ...rule, operation }]))
        const read = Effect.flatMap(Consumer.assign({ topic: ruled, from: "earliest" }), (consumer) =>
          Stream.runHead(consumer.stream)
        )
        const join = Effect.flatMap(Consumer.subscribe({ group: "g", topics: [ruled], from: "earliest" }), (consumer) =>
          Stream.runHead(consumer.stream)
        )
        assert.strictEqual(yield* as(username, password, tag(send)), "Unauthorized")
        yield* allow("describe")
        // It is known now, and may be neither written nor read.
        yield* eventually(as(username, password, Effect.flip(send)), ({ message }) => message.includes("Produce"))
        assert.strictEqual(yield* as(username, password, tag(send)), "Unauthorized")
        assert.strictEqual(yield* as(username, password, tag(read)), "Unauthorized")
        yield* allow("write")
        yield* eventually(as(username, password, tag(send)), (told) => told === "done")
        assert.strictEqual(yield* as(username, password, tag(read)), "Unauthorized")
        yield* allow("read")
        yield* eventually(as(username, password, tag(read)), (told) => told === "done")
        assert.strictEqual(yield* as(username, password, tag(join)), "Unauthorized")
      })
    ).pipe(KafkaServer.diagnosed)
  )

  it.effect("credentials that are wrong, or were taken away meanwhile, are Unauthenticated, by their mechanism", () =>
    withAdmin(
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        yield* Admin.orFail(
          admin.alterUsers([{ user: "bob", mechanism: "SCRAM-SHA-256", password: Redacted.make("right") }])
        )
        const make = Effect.scoped(Producer.make())
        yield* eventually(as("bob", "right", tag(make)), (told) => told === "done")
        assert.strictEqual(yield* tag(as("bob", "wrong", make)), "Unauthenticated")
        yield* as(
          "bob",
          "right",
          Effect.gen(function* () {
            yield* make
            yield* Admin.orFail(admin.alterUsers([{ user: "bob", mechanism: "SCRAM-SHA-256", delete: true }]))
            // This client's own connections go on: it is librdkafka that is refused.
            const error = yield* eventually(Effect.flip(make), () => true)
            assert.deepInclude(error.reason, { _tag: "Unauthenticated", mechanism: "SCRAM-SHA-256" })
            const reading = yield* Effect.flip(Consumer.assign({ topic: ruled, from: "earliest" }))
            assert.strictEqual(reading.reason._tag, "Unauthenticated")
          })
        )
      })
    ).pipe(KafkaServer.diagnosed)
  )
})
