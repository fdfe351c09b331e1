/** TLS and SASL of ours on real brokers of every age that has them. */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Fiber, Redacted, Result } from "effect"
import { Consumer, type KafkaError, Producer } from "samsa"
import { seen } from "./Client.ts"
import type * as KafkaProperties from "./KafkaProperties.ts"
import * as KafkaServer from "./KafkaServer.ts"
import { atLeast, matrix, mechanisms } from "./KafkaVersion.ts"
import { type Options, text, through, token, works } from "./Secured.ts"

/** The error that a client of these settings ends with, which must not take the whole of `bootstrapTimeout`. */
const refused = (listener: KafkaProperties.Listener, options: Options, host?: string) =>
  Effect.gen(function* () {
    const before = performance.now()
    const exit = yield* Effect.exit(through(listener, options, Effect.void, host))
    assert.isTrue(Exit.isFailure(exit), "it was let in")
    const error = yield* Effect.flip(exit as Exit.Exit<never, KafkaError.KafkaError>)
    return { error, reason: error.reason, millis: performance.now() - before }
  })

for (const { version, mode } of matrix.filter((one) => atLeast(one.version, 0, 9))) {
  const offered = mechanisms(version)
  layer(
    KafkaServer.layer({
      version,
      mode,
      listeners: offered.length === 0 ? ["SSL"] : ["SSL", "SASL_PLAINTEXT", "SASL_SSL"],
      properties: {
        "ssl.client.auth": "required",
        ...(atLeast(version, 2, 2) ? { "connections.max.reauth.ms": 3000 } : {})
      }
    }),
    { excludeTestServices: true }
  )(`Kafka ${version} (${mode})`, (it) => {
    const certificates = Effect.map(KafkaServer.KafkaServer, (server) => server.certificates!)
    const tls = Effect.map(certificates, ({ ca, cert, key }) => ({ ca, cert, key: Redacted.make(key) }))

    it.effect("TLS with a client certificate, its key plain, encrypted, and in a file", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const { folder, encryptedKey, passphrase } = yield* certificates
        const plain = yield* tls
        const keys = {
          plain: { key: plain.key },
          encrypted: { key: Redacted.make(encryptedKey), passphrase: Redacted.make(passphrase) },
          file: { key: { file: `${folder}/client.key` } }
        }
        for (const [name, key] of Object.entries(keys)) {
          yield* server.createTopic(`tls-${name}`)
          yield* through("SSL", { tls: { ...plain, ...key } }, works(version, `tls-${name}`))
        }
      }).pipe(KafkaServer.diagnosed)
    )

    it.effect(
      "another authority, another host name, no certificate, and no TLS at all are refused, typed and at once",
      () =>
        Effect.gen(function* () {
          const settings = yield* tls
          const { otherCa } = yield* certificates
          const otherAuthority = yield* refused("SSL", { tls: { ...settings, ca: otherCa } })
          const otherName = yield* refused("SSL", { tls: { ...settings, servername: "elsewhere.example" } })
          const anonymous = yield* refused("SSL", { tls: { ca: settings.ca }, bootstrapTimeout: "3 seconds" })
          const plain = yield* refused("SSL", { bootstrapTimeout: "3 seconds" })
          const tlsToPlain = yield* refused("PLAINTEXT", { tls: settings, bootstrapTimeout: "3 seconds" })
          for (const { error, millis } of [otherAuthority, otherName, anonymous, plain, tlsToPlain]) {
            process.stdout.write(`${version}: ${Math.round(millis)} ms: ${error.message}\n`)
            assert.isBelow(millis, 5000, error.message)
          }
          assert.match(otherAuthority.error.message, /certificate|authority|issuer/i)
          assert.include(otherName.error.message, "elsewhere.example")
          assert.strictEqual(plain.reason._tag, "WrongProtocol", plain.error.message)
          assert.strictEqual(tlsToPlain.reason._tag, "WrongProtocol", tlsToPlain.error.message)
          // the name is checked against the certificate, not only the address
          yield* through("SSL", { tls: settings }, Effect.void, "localhost")
        }).pipe(KafkaServer.diagnosed)
    )

    for (const mechanism of offered) {
      const login = (password: string): Options =>
        mechanism === "OAUTHBEARER"
          ? { sasl: { mechanism, token: Effect.sync(() => token()) } }
          : { sasl: { mechanism: mechanism as "PLAIN", username: "alice", password: Redacted.make(password) } }

      it.effect(`SASL ${mechanism}, with and without TLS`, () =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          for (const listener of ["SASL_PLAINTEXT", "SASL_SSL"] as const) {
            const topic = `${listener}-${mechanism}`
            yield* server.createTopic(topic)
            const options = { ...login(server.sasl.password), ...(listener === "SASL_SSL" ? { tls: yield* tls } : {}) }
            yield* through(listener, options, works(version, topic))
          }
        }).pipe(KafkaServer.diagnosed)
      )

      if (mechanism === "OAUTHBEARER") continue
      it.effect(`SASL ${mechanism} with a wrong password is refused, typed and at once`, () =>
        Effect.gen(function* () {
          const { error, reason, millis } = yield* refused("SASL_PLAINTEXT", login("wrong"))
          process.stdout.write(`${version}: ${Math.round(millis)} ms: ${error.message}\n`)
          assert.strictEqual(reason._tag, "Unauthenticated", error.message)
          assert.isBelow(millis, 5000)
          assert.notInclude(JSON.stringify(error), "wrong-")
        }).pipe(KafkaServer.diagnosed)
      )
    }

    if (!atLeast(version, 2, 2)) return
    it.effect("sessions of 3 seconds are renewed under traffic, and nothing is lost", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const topic = text("renewed")
        yield* server.createTopic("renewed")
        yield* through(
          "SASL_PLAINTEXT",
          { sasl: { mechanism: "SCRAM-SHA-256", username: "alice", password: Redacted.make(server.sasl.password) } },
          Effect.gen(function* () {
            const producer = yield* Producer.Producer
            const handled = seen<string>()
            const consumer = yield* Consumer.subscribe({ group: "renewed", topics: [topic], from: "earliest" })
            const consuming = yield* Effect.forkScoped(
              consumer.run((record) => Effect.sync(() => handled.add(record.value)))
            )
            const end = performance.now() + 10_000
            let sent = 0
            yield* Effect.whileLoop({
              while: () => performance.now() < end,
              body: () =>
                Effect.map(
                  producer.sendAll(
                    topic,
                    [0, 1, 2, 3].map(() => ({ key: "k", value: `v${sent++}` }))
                  ),
                  (results) => assert.isTrue(results.every(Result.isSuccess), JSON.stringify(results))
                ),
              step: () => {}
            })
            yield* handled.until("all is handled", (all) => all.length >= sent)
            assert.deepStrictEqual(
              handled.all,
              Array.from({ length: sent }, (_, i) => `v${i}`)
            )
            assert.isUndefined(consuming.pollUnsafe())
            yield* Fiber.interrupt(consuming)
          })
        )
      }).pipe(KafkaServer.diagnosed)
    )
  })
}
