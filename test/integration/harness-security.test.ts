/** The TLS and SASL listeners of the harness, with kcat. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as KafkaServer from "./KafkaServer.ts"
import { atLeast, mechanisms, type Version } from "./KafkaVersion.ts"
import * as Kcat from "./Kcat.ts"
import type { ProcessError } from "./Processes.ts"

const roundTrip = (target: Omit<Kcat.Target, "topic">, topic: string) =>
  Effect.gen(function* () {
    yield* Kcat.produce({ ...target, topic }, [{ key: "k", value: "v" }])
    const records = yield* Kcat.consume({ ...target, topic })
    assert.deepStrictEqual(
      records.map((r) => [r.key, r.value]),
      [["k", "v"]]
    )
  })

const tls = (folder: string): Record<string, string> => ({
  "ssl.ca.location": Path.join(folder, "ca.crt"),
  "ssl.certificate.location": Path.join(folder, "client.crt"),
  "ssl.key.location": Path.join(folder, "client.key")
})

// one of each way to configure it; security.test.ts has every version
const cases: ReadonlyArray<{ readonly version: Version; readonly mode: "zookeeper" | "kraft" }> = [
  { version: "0.10.2.2", mode: "zookeeper" },
  { version: "2.8.2", mode: "zookeeper" },
  { version: "4.4.0", mode: "kraft" }
]

for (const { version, mode } of cases) {
  const sasl = mechanisms(version)
  // librdkafka 2.0 sends its nonce twice, which brokers refuse from 4.0 on (fixed in librdkafka 2.6.1)
  const shown = atLeast(version, 4) ? sasl.filter((mechanism) => !mechanism.startsWith("SCRAM")) : sasl
  layer(
    KafkaServer.layer({
      version,
      mode,
      listeners: sasl.length === 0 ? ["SSL"] : ["SSL", "SASL_PLAINTEXT", "SASL_SSL"],
      properties: { "ssl.client.auth": "required" }
    }),
    { excludeTestServices: true }
  )(`Kafka ${version} (${mode}) with TLS and SASL`, (it) => {
    it.effect("takes a client with a certificate, and none without", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic("tls")
        const folder = server.certificates!.folder
        const settings = { "security.protocol": "ssl", ...tls(folder), ...Kcat.old(version) }
        const bootstrap = server.addresses("SSL")
        yield* roundTrip({ bootstrap, settings }, "tls")

        const anonymous = {
          ...Kcat.old(version),
          "security.protocol": "ssl",
          "ssl.ca.location": tls(folder)["ssl.ca.location"]!
        }
        const refused = yield* Effect.flip(
          Kcat.produce({ bootstrap, settings: { ...anonymous, "message.timeout.ms": 2000 }, topic: "tls" }, [
            { value: "v" }
          ])
        )
        assert.match(refused.message, /ssl|disconnect|timed out/i)
        assert.include(Fs.readFileSync(Path.join(folder, "ca.crt"), "utf8"), "BEGIN CERTIFICATE")
      }).pipe(KafkaServer.diagnosed)
    )

    for (const mechanism of shown) {
      for (const listener of ["SASL_PLAINTEXT", "SASL_SSL"] as const) {
        it.effect(`takes ${mechanism} on ${listener}`, () =>
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            const topic = `${mechanism}.${listener}`
            yield* server.createTopic(topic)
            const login: Record<string, string> =
              mechanism === "OAUTHBEARER"
                ? {
                    "enable.sasl.oauthbearer.unsecure.jwt": "true",
                    "sasl.oauthbearer.config": "principal=alice"
                  }
                : { "sasl.username": server.sasl.username, "sasl.password": server.sasl.password }
            const settings = {
              "security.protocol": listener.toLowerCase(),
              "sasl.mechanism": mechanism,
              ...(listener === "SASL_SSL" ? tls(server.certificates!.folder) : {}),
              ...login
            }
            const bootstrap = server.addresses(listener)
            yield* roundTrip({ bootstrap, settings }, topic)
            if (mechanism === "OAUTHBEARER" || listener === "SASL_SSL") return
            const refused: ProcessError = yield* Effect.flip(
              Kcat.produce(
                { bootstrap, settings: { ...settings, "sasl.password": "wrong", "message.timeout.ms": 2000 }, topic },
                [{ value: "v" }]
              )
            )
            assert.match(refused.message, /auth|timed out|disconnect/i)
          }).pipe(KafkaServer.diagnosed)
        )
      }
    }
  })
}
