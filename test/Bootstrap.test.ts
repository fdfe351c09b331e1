import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Cluster, Kafka, KafkaConfig, KafkaError, type Network, ZooKeeper } from "samsa"
import * as Bootstrap from "../src/Bootstrap.ts"
import { Network as NetworkService } from "../src/Network.ts"
import { EmbeddedKafka } from "../src/testing/index.ts"

const registered = (...endpoints: ReadonlyArray<ZooKeeper.Endpoint>): ReadonlyArray<ZooKeeper.Registration> => [
  { id: 1, endpoints }
]
const endpoint = (protocol: string, host: string, port: number): ZooKeeper.Endpoint => ({
  listener: protocol,
  protocol,
  host,
  port
})
/** ZooKeeper, where these brokers are registered. */
const zooKeeper = (brokers: () => ReadonlyArray<ZooKeeper.Registration>) =>
  Layer.succeed(ZooKeeper.ZooKeeper, {
    get: () => Effect.undefined,
    children: () => Effect.undefined,
    brokers: Effect.sync(brokers)
  } as unknown as ZooKeeper.ZooKeeper["Service"])

describe("Bootstrap", () => {
  it.effect("is the list of the settings", () =>
    Effect.gen(function* () {
      const { addresses } = yield* Bootstrap.Bootstrap
      assert.deepStrictEqual(yield* addresses, [
        { host: "b1", port: 9092 },
        { host: "b2", port: 1 }
      ])
    }).pipe(Effect.provide(Bootstrap.layer.pipe(Layer.provide(KafkaConfig.layer({ bootstrap: ["b1", "b2:1"] })))))
  )

  it.effect("that names no broker says so", () =>
    Effect.gen(function* () {
      const kafka = Kafka.layerNative.pipe(
        Layer.provide(Layer.succeed(Bootstrap.Bootstrap, { addresses: Effect.succeed([]) })),
        Layer.provide(KafkaConfig.layerWithoutBootstrap({ connect: "lazily", metadataTimeout: "1 second" }))
      )
      const health = yield* Effect.forkChild(Effect.provide(Kafka.health, kafka), { startImmediately: true })
      for (let i = 0; i < 40 && health.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
      const it = yield* Fiber.join(health)
      assert.include(it._tag === "Down" ? it.error.message : "", "Bootstrap (it names no broker)")
    }).pipe(Effect.provide(EmbeddedKafka.layerNetwork.pipe(Layer.provide(EmbeddedKafka.layer()))))
  )

  it.effect("in ZooKeeper, is the listener for the protocol that is spoken", () =>
    Effect.gen(function* () {
      const brokers = registered(endpoint("PLAINTEXT", "plain", 1), endpoint("SSL", "tls", 2))
      const from = (options: KafkaConfig.OptionsWithoutBootstrap) =>
        Effect.flatMap(Bootstrap.Bootstrap, ({ addresses }) => addresses).pipe(
          Effect.provide(
            Bootstrap.layerZooKeeper.pipe(
              Layer.provide([KafkaConfig.layerWithoutBootstrap(options), zooKeeper(() => brokers)])
            )
          ),
          Effect.map((found) => found.map(({ host }) => host))
        )
      assert.deepStrictEqual(yield* from({}), ["plain"])
      assert.deepStrictEqual(yield* from({ tls: true }), ["tls"])
      const error = yield* Effect.flip(
        from({ sasl: { mechanism: "OAUTHBEARER", token: Effect.die("is not asked for") } })
      )
      assert.include(error.message, "SASL_PLAINTEXT")
    })
  )

  it.effect("in ZooKeeper, needs no TCP: any Network does", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ topics: ["t"] })
      const [host, port] = embedded.bootstrap[0]!.split(":") as [string, string]
      const context = yield* Layer.build(
        Kafka.layerZooKeeperWithoutNetwork({}).pipe(
          Layer.provide([
            zooKeeper(() => registered(endpoint("PLAINTEXT", host, Number(port)))),
            Layer.succeed(NetworkService, embedded satisfies Network.Network["Service"])
          ])
        )
      )
      assert.strictEqual((yield* Context.get(context, Cluster.Cluster).topic("t")).name, "t")
    }).pipe(Effect.scoped)
  )

  it.effect("in ZooKeeper, an address that cannot be ends nothing, and is told where there is no other", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({ topics: ["t"] })
      const [host, port] = embedded.bootstrap[0]!.split(":") as [string, string]
      const good = endpoint("PLAINTEXT", host, Number(port))
      const client = (places: ReadonlyArray<ZooKeeper.Endpoint>, options: KafkaConfig.OptionsWithoutBootstrap) =>
        Kafka.layerZooKeeperWithoutNetwork(options).pipe(
          Layer.provide([
            zooKeeper(() => places.map((place, id) => ({ id, endpoints: [place] }))),
            Layer.succeed(NetworkService, embedded satisfies Network.Network["Service"])
          ])
        )
      for (const [host, port, problem] of [
        ["b", 70_000, "port 70000 is none"],
        ["b", -1, "port -1 is none"],
        ["a\0b", 9092, "its host holds what no name does"]
      ] as const) {
        const bad = endpoint("PLAINTEXT", host, port)
        for (const places of [
          [bad, good],
          [good, bad]
        ]) {
          const topic = Effect.flatMap(Cluster.Cluster, (cluster) => cluster.topic("t"))
          assert.strictEqual((yield* Effect.provide(topic, Layer.fresh(client(places, {})))).name, "t")
        }
        const lazily = client([bad], { connect: "lazily", metadataTimeout: "1 second" })
        const health = yield* Effect.forkChild(Effect.provide(Kafka.health, lazily), { startImmediately: true })
        for (let i = 0; i < 40 && health.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
        const it = yield* Fiber.join(health)
        assert.deepInclude(it._tag === "Down" ? it.error.reason : {}, { _tag: "Unreachable" })
        assert.include(it._tag === "Down" ? it.error.message : "", problem)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("that fails for good fails the client, and is not asked again", () =>
    Effect.gen(function* () {
      const embedded = yield* EmbeddedKafka.make({})
      let asked = 0
      const refusal = KafkaError.make({ _tag: "Misuse", message: "no such service" })
      const error = yield* Effect.flip(
        Layer.build(
          Kafka.layerNative.pipe(
            Layer.provide([
              KafkaConfig.layerWithoutBootstrap({}),
              Layer.succeed(NetworkService, embedded),
              Layer.succeed(Bootstrap.Bootstrap, {
                addresses: Effect.suspend(() => {
                  asked++
                  return Effect.fail(refusal)
                })
              })
            ])
          )
        )
      )
      assert.strictEqual(error.reason._tag, "Misuse")
      assert.strictEqual(asked, 1)
    }).pipe(Effect.scoped)
  )

  for (const connect of ["eagerly", "lazily"] as const)
    it.effect(`that was interrupted once is asked again, and is no closed client: ${connect}`, () =>
      Effect.gen(function* () {
        const embedded = yield* EmbeddedKafka.make({ topics: ["t"] })
        let asked = 0
        const found = embedded.bootstrap.map((text) => KafkaConfig.parseAddress(text)!)
        const kafka = Kafka.layerNative.pipe(
          Layer.provide([
            KafkaConfig.layerWithoutBootstrap({ connect }),
            Layer.succeed(NetworkService, embedded),
            Layer.succeed(Bootstrap.Bootstrap, {
              addresses: Effect.suspend(() => (asked++ === 0 ? Effect.interrupt : Effect.succeed(found)))
            })
          ])
        )
        const asking = yield* Effect.forkChild(
          Effect.exit(
            Effect.provide(
              Effect.flatMap(Cluster.Cluster, (cluster) => cluster.topic("t")),
              kafka
            )
          ),
          { startImmediately: true }
        )
        for (let i = 0; i < 40 && asking.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
        const exit = yield* Fiber.join(asking)
        assert.strictEqual(Exit.isSuccess(exit) ? exit.value.name : String(exit), "t")
        assert.strictEqual(asked, 2)
      }).pipe(Effect.scoped)
    )

  it.effect("that is always interrupted says so", () =>
    Effect.gen(function* () {
      const kafka = Kafka.layerNative.pipe(
        Layer.provide(Layer.succeed(Bootstrap.Bootstrap, { addresses: Effect.interrupt })),
        Layer.provide(KafkaConfig.layerWithoutBootstrap({ bootstrapTimeout: "1 second" }))
      )
      const building = yield* Effect.forkChild(Effect.flip(Effect.scoped(Layer.build(kafka))), {
        startImmediately: true
      })
      for (let i = 0; i < 40 && building.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
      const error = yield* Fiber.join(building)
      assert.include(error.message, "Bootstrap (it was interrupted)")
      assert.isTrue(error.isRetryable)
    }).pipe(Effect.provide(EmbeddedKafka.layerNetwork.pipe(Layer.provide(EmbeddedKafka.layer()))))
  )
})
