/** Brokers found in ZooKeeper, and reading it through trouble. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import * as Cluster from "../../src/Cluster.ts"
import * as Kafka from "../../src/Kafka.ts"
import type * as KafkaConfig from "../../src/KafkaConfig.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as BrokerProxy from "./broker-proxy.ts"
import * as KafkaServer from "./KafkaServer.ts"
import { atLeast, matrix, type Version } from "./KafkaVersion.ts"

/** Those that register themselves differently: host and port alone, endpoints, listeners with protocols. */
const releases = new Set<Version>(["0.8.2.2", "0.9.0.1", "2.8.2", "3.9.2"])

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes)
const port = (address: string) => Number(address.split(":").at(-1))

for (const { version, mode } of matrix.filter((one) => releases.has(one.version) && one.mode === "zookeeper")) {
  const sasl = atLeast(version, 0, 10, 2)
  const listeners = atLeast(version, 0, 9)
    ? (["SSL", ...(sasl ? (["SASL_SSL"] as const) : [])] as const)
    : ([] as const)
  layer(KafkaServer.layer({ version, mode, listeners }), { excludeTestServices: true })(
    `Kafka ${version} (${mode})`,
    (it) => {
      const through = <A, E, R>(options: KafkaConfig.OptionsWithoutBootstrap, effect: Effect.Effect<A, E, R>) =>
        Effect.flatMap(KafkaServer.KafkaServer, (server) =>
          effect.pipe(
            Effect.scoped,
            Effect.provide(
              Kafka.layerZooKeeper(options).pipe(Layer.provideMerge(ZooKeeper.layer({ connect: server.zooKeeper! })))
            )
          )
        ).pipe(KafkaServer.diagnosed)

      it.effect("is found by its registration, at the listener that fits", () =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("found")
          const works = Effect.gen(function* () {
            const cluster = yield* Cluster.Cluster
            assert.lengthOf((yield* cluster.topic("found")).partitions, 1)
            assert.deepStrictEqual(yield* cluster.offsets([{ topic: "found", partition: 0, at: "latest" }]), [0])
            return (yield* cluster.brokers)[0]!.port
          })
          assert.strictEqual(yield* through({}, works), port(server.bootstrap[0]!))
          if (!atLeast(version, 0, 9)) return
          const tls = { ca: server.certificates!.ca }
          assert.strictEqual(yield* through({ tls }, works), port(server.addresses("SSL")[0]!))
          if (!sasl) return
          const login = {
            mechanism: "SCRAM-SHA-256",
            username: "alice",
            password: Redacted.make(server.sasl.password)
          } as const
          assert.strictEqual(yield* through({ tls, sasl: login }, works), port(server.addresses("SASL_SSL")[0]!))
        })
      )

      it.effect("without a listener that fits is not found, and that is said", () =>
        Effect.gen(function* () {
          const sasl = { mechanism: "PLAIN", username: "alice", password: Redacted.make("x") } as const
          const error = yield* Effect.flip(through({ sasl, bootstrapTimeout: "1 second" }, Effect.void))
          assert.include(error.message, "none of 1 registered brokers has a listener for SASL_PLAINTEXT")
        })
      )
    }
  )
}

layer(KafkaServer.layer({ version: "2.8.2" }), { excludeTestServices: true })("ZooKeeper", (it) => {
  it.effect("is read, below a chroot too; a node that is not there is undefined", () =>
    Effect.gen(function* () {
      const server = yield* KafkaServer.KafkaServer
      const at = (connect: string) => ZooKeeper.make({ connect })
      const whole = yield* at(server.zooKeeper!)
      assert.deepStrictEqual(yield* whole.children("/brokers/ids"), ["1"])
      assert.strictEqual(JSON.parse(text(yield* whole.get("/brokers/ids/1"))).port, port(server.bootstrap[0]!))
      assert.isUndefined(yield* whole.get("/nothing"))
      assert.isUndefined(yield* whole.children("/nothing/here"))
      assert.strictEqual((yield* Effect.flip(whole.get("no path"))).reason._tag, "Misuse")

      const below = yield* at(`${server.zooKeeper},127.0.0.1:1/brokers`)
      assert.deepStrictEqual(yield* below.children("/ids"), ["1"])
      assert.deepStrictEqual(yield* below.brokers, [])
    }).pipe(Effect.scoped, KafkaServer.diagnosed)
  )

  it.effect("that is not there fails the Layer within connectTimeout, with every address", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        Effect.scoped(ZooKeeper.make({ connect: "127.0.0.1:1,[::1]:2", connectTimeout: "500 millis" }))
      )
      assert.strictEqual(error.reason._tag, "Unreachable")
      assert.include(error.message, "127.0.0.1:1")
      assert.include(error.message, "[::1]:2")
      const mistakes = yield* Effect.flip(Effect.scoped(ZooKeeper.make({ connect: "h:0,a b/x//y" })))
      assert.strictEqual(mistakes.reason._tag === "Misconfigured" ? mistakes.reason.mistakes.length : 0, 3)
    })
  )

  it.effect("that hangs fails what is asked within requestTimeout, and is asked again when it is back", () =>
    Effect.gen(function* () {
      const server = yield* KafkaServer.KafkaServer
      const proxy = yield* BrokerProxy.to(port(server.zooKeeper!))
      const zooKeeper = yield* ZooKeeper.make({
        connect: `127.0.0.1:${proxy.port}`,
        sessionTimeout: "2 seconds",
        requestTimeout: "1 second"
      })
      yield* zooKeeper.children("/brokers/ids")
      yield* proxy.pause
      const started = performance.now()
      // Its time is up, or the connection was silent for a third of the session before that, and is given up.
      assert.include(["TimedOut", "Unreachable"], (yield* Effect.flip(zooKeeper.children("/brokers/ids"))).reason._tag)
      assert.isBelow(performance.now() - started, 2000)
      // longer than the session lasts: it has expired, and is followed by another
      yield* Effect.sleep("4 seconds")
      yield* proxy.resume
      const again = Effect.retry(zooKeeper.children("/brokers/ids"), { times: 5 })
      assert.deepStrictEqual(yield* again, ["1"])
      assert.isAbove(yield* proxy.cut, 0)
      assert.deepStrictEqual(yield* again, ["1"])
    }).pipe(Effect.scoped, KafkaServer.diagnosed)
  )

  it.effect("leaves no socket and no timer behind", () =>
    Effect.gen(function* () {
      const server = yield* KafkaServer.KafkaServer
      const sockets = () =>
        process.getActiveResourcesInfo().filter((one) => /TCPSocket|TCPConnect|Timeout/.test(one)).length
      const before = sockets()
      for (let i = 0; i < 5; i++) {
        yield* Effect.scoped(
          Effect.flatMap(ZooKeeper.make({ connect: server.zooKeeper! }), (zooKeeper) => zooKeeper.brokers)
        )
        yield* Effect.ignore(Effect.scoped(ZooKeeper.make({ connect: "127.0.0.1:1", connectTimeout: "100 millis" })))
      }
      yield* Effect.sleep("100 millis")
      // the timer of this test's own limit may have come in between
      assert.isAtMost(sockets(), before + 1)
    }).pipe(KafkaServer.diagnosed)
  )
})
