import { assert, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import * as Cluster from "../src/Cluster.ts"
import * as Kafka from "../src/Kafka.ts"
import { Network } from "../src/Network.ts"
import { EmbeddedKafka, KafkaTest } from "../src/testing/index.ts"

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
    const network = Layer.succeed(Network, Network.of({ connect: broker.connect }))
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
