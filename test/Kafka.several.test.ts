import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, type Context, Effect, Layer, Redacted, Schema } from "effect"
import {
  Admin,
  Bootstrap,
  type Broker,
  Cluster,
  Kafka,
  KafkaConfig,
  type KafkaError,
  NativeBrokers,
  NativeCluster,
  NativeGroupOffsets,
  NativeTransport,
  Network,
  Producer,
  Telemetry,
  Topic,
  Transaction
} from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"

const names = Effect.flatMap(Cluster.Cluster, (cluster) =>
  Effect.map(cluster.topics(null), (topics) => topics.map(({ name }) => name))
)

// Layers are built once in a program, by identity: the parts of a client are constants, so the second client of a
// program was given those of the first, with its addresses and its password.
it.effect("a second client in a program is its own: another cluster, within the first one's scope", () =>
  Effect.gen(function* () {
    const inner = Effect.provide(names, KafkaTest.layer({ topics: ["b"] }))
    assert.deepStrictEqual([yield* names, yield* inner, yield* names], [["a"], ["b"], ["a"]])
  }).pipe(Effect.provide(KafkaTest.layer({ topics: ["a"] })))
)

it.effect("… beside it, in one Layer", () =>
  Effect.gen(function* () {
    const of = (topic: string) =>
      Layer.effectDiscard(Effect.map(names, (found) => assert.deepStrictEqual(found, [topic])))
    const both = Layer.merge(
      Layer.provide(of("a"), KafkaTest.layer({ topics: ["a"] })),
      Layer.provide(of("b"), KafkaTest.layer({ topics: ["b"] }))
    )
    yield* Effect.scoped(Layer.build(both))
  })
)

it.effect("… and another password: who is not let in is not let in by what the first one said", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({ topics: ["a"], sasl: { users: { alice: "right" } } })
    const network = Layer.succeed(Network.Network, { connect: broker.connect })
    const client = (password: string) =>
      Kafka.layerWithoutNetwork({
        bootstrap: broker.bootstrap,
        bootstrapTimeout: "1 second",
        sasl: { mechanism: "PLAIN", username: "alice", password: Redacted.make(password) }
      }).pipe(Layer.provide(network))
    const refused = Effect.flip(Effect.provide(names, client("wrong")))
    const error = yield* Effect.provide(refused, client("right"))
    assert.strictEqual(error.reason._tag, "Unauthenticated")
  }).pipe(Effect.scoped)
)

it.effect("one Layer that two parts of a program are given is built once", () =>
  Effect.gen(function* () {
    const kafka = KafkaTest.layer({ topics: ["a"] })
    const seen: Array<Cluster.Cluster["Service"]> = []
    const part = Layer.effectDiscard(Effect.map(Cluster.Cluster, (cluster) => void seen.push(cluster)))
    const other = Layer.effectDiscard(Effect.map(Cluster.Cluster, (cluster) => void seen.push(cluster)))
    yield* Effect.scoped(Layer.build(Layer.merge(Layer.provide(part, kafka), Layer.provide(other, kafka))))
    assert.strictEqual(seen.length, 2)
    assert.strictEqual(seen[0], seen[1])
  })
)

// What stands on a client was given to a second one as it was built over the first: a constant of ours, or a Layer that a
// program makes once and provides with two clusters. Records went to the wrong one, and a topic of it was deleted.
describe("one Layer over two clusters is two", () => {
  type Client = Layer.Layer<Kafka.Kafka | Broker.Brokers, KafkaError.KafkaError>
  /** What runs over each: merged, and one within the other. */
  const overBoth = <A, I, E>(
    made: Layer.Layer<I, E, Kafka.Kafka | Broker.Brokers>,
    use: Effect.Effect<A, KafkaError.KafkaError, I>,
    clients: readonly [Client, Client]
  ) =>
    Effect.gen(function* () {
      const [one, two] = clients.map((client) => Layer.provide(made, client))
      const told: Array<A> = []
      const telling = (over: Layer.Layer<I, E | KafkaError.KafkaError>, at: number) =>
        Layer.effectDiscard(Effect.map(use, (a) => (told[at] = a))).pipe(Layer.provide(over))
      yield* Effect.scoped(Layer.build(Layer.merge(telling(one!, 0), telling(two!, 1))))
      told.push(yield* Effect.provide(Effect.andThen(use, Effect.provide(use, two!)), one!))
      return told
    })

  const clients = [KafkaTest.layer({ topics: ["a"] }), KafkaTest.layer({ topics: ["b"] })] as const
  const topics = Effect.flatMap(Admin.Admin, (admin) => admin.listTopics())
  it.effect("Admin", () =>
    Effect.gen(function* () {
      const told = yield* overBoth(Admin.layer(), topics, clients)
      assert.deepStrictEqual(
        told.map((infos) => infos.map(({ name }) => name)),
        [["a"], ["b"], ["b"]]
      )
    })
  )

  /** Of a topic that has one partition in the one, and three in the other: told by who refuses a record. */
  const sizes = [
    KafkaTest.layer({ topics: [{ name: "t", partitions: 1 }] }),
    KafkaTest.layer({ topics: [{ name: "t", partitions: 3 }] })
  ] as const
  const sending = Effect.flatMap(Producer.Producer, (producer) =>
    // One that is not there is looked for, for a while.
    KafkaTest.advanceUntil(producer.send(Topic.bytes("t"), { value: null, partition: 9 }))
  )
  const size = <R>(self: Effect.Effect<unknown, KafkaError.KafkaError, R>) =>
    Effect.map(Effect.flip(Effect.asVoid(self)), ({ message }) => /partitions 0 to (\d)/.exec(message)?.[1])
  it.effect("Producer", () =>
    Effect.gen(function* () {
      const told = yield* overBoth(Producer.layer(), Effect.orDie(size(sending)), sizes)
      assert.deepStrictEqual(told, ["0", "2", "2"])
    })
  )
  it.effect("Transactions", () =>
    Effect.gen(function* () {
      const made = Transaction.layer({ transactionalId: "x" })
      const told = yield* overBoth(made, Effect.orDie(size(Transaction.run(sending))), sizes)
      assert.deepStrictEqual(told, ["0", "2", "2"])
    })
  )

  const telling = (seed: number) =>
    KafkaTest.layer({ seed, telemetry: { subscriptions: { all: { metrics: ["*"], interval: 60_000 } } } })
  it.effect("Telemetry", () =>
    Effect.gen(function* () {
      const id = Effect.flatMap(Telemetry.Telemetry, ({ clientInstanceId }) => clientInstanceId)
      const told = yield* overBoth(Telemetry.layer(), id, [telling(1), telling(2)])
      assert.strictEqual(told.length, 3)
      assert.notInclude(told.slice(1), told[0])
    })
  )

  it.effect("settings from Config, over two ConfigProviders", () =>
    Effect.gen(function* () {
      const kafka = Kafka.layerConfig({
        bootstrap: Config.Array(Schema.String, "BOOTSTRAP"),
        connect: Config.succeed("lazily" as const)
      })
      const over = (bootstrap: string) =>
        Layer.provide(kafka, ConfigProvider.layer(ConfigProvider.fromUnknown({ BOOTSTRAP: [bootstrap] })))
      const using = (bootstrap: string) => Effect.provide(Effect.asVoid(Cluster.Cluster), over(bootstrap))
      const error = yield* Effect.flip(using("far:99999")).pipe(Effect.provide(over("near:9092")))
      assert.strictEqual((error as KafkaError.KafkaError).reason._tag, "Misconfigured")
    })
  )

  it.effect("the parts of a client, and the way to an embedded broker", () =>
    Effect.gen(function* () {
      const byHand = (topic: string) =>
        Layer.unwrap(
          Effect.map(EmbeddedKafka.EmbeddedKafka, ({ bootstrap }) =>
            Layer.merge(NativeTransport.layer, NativeGroupOffsets.layer).pipe(
              Layer.provideMerge(NativeCluster.layer),
              Layer.provideMerge(NativeBrokers.layer),
              Layer.provide(Bootstrap.layer),
              Layer.provide(EmbeddedKafka.layerNetwork),
              Layer.provide(KafkaConfig.layer({ bootstrap }))
            )
          )
        ).pipe(Layer.provide(EmbeddedKafka.layer({ topics: [topic] })))
      const one = byHand("a")
      assert.deepStrictEqual(
        yield* Effect.provide(
          Effect.gen(function* () {
            return [yield* names, yield* Effect.provide(names, byHand("b")), yield* names]
          }),
          one
        ),
        [["a"], ["b"], ["a"]]
      )
    })
  )

  it.effect("and one over one cluster is one", () =>
    Effect.gen(function* () {
      const producers: Array<Context.Service.Shape<typeof Producer.Producer>> = []
      const seeing = () => Layer.effectDiscard(Effect.map(Producer.Producer, (producer) => producers.push(producer)))
      const made = Producer.layer()
      const over = () => seeing().pipe(Layer.provide(made), Layer.provide(clients[0]))
      yield* Effect.scoped(Layer.build(Layer.merge(over(), over())))
      assert.strictEqual(producers.length, 2)
      assert.strictEqual(producers[0], producers[1])
    })
  )
})
