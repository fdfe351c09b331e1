import { assert, it } from "@effect/vitest"
import { Effect, Layer, Scope } from "effect"
import { Broker, Cluster, Kafka } from "../../src/index.ts"
import * as MetadataBatcher from "../../src/metadata/MetadataBatcher.ts"
import * as SingleFlight from "../../src/metadata/SingleFlight.ts"
import type { KafkaError } from "../../src/KafkaError.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { interruptedAt } from "../Interrupted.ts"

type Ask = Effect.Effect<number, KafkaError>

const late = Effect.as(Effect.yieldNow, 1)
const whoShares: ReadonlyArray<readonly [string, (scope: Scope.Scope) => Effect.Effect<Ask>]> = [
  [
    "a batch",
    (scope) =>
      Effect.map(
        MetadataBatcher.make(scope, () => late),
        (ask) => ask({ names: ["t"], create: false })
      )
  ],
  ["a single flight", (scope) => Effect.sync(() => SingleFlight.make<string, number>(scope)("k", late))]
]

for (const [name, make] of whoShares)
  it.effect(`${name} that an interrupted one has begun, at whichever step, is there for all others`, () =>
    Effect.gen(function* () {
      for (let step = 1, isThere = true; isThere; step++)
        isThere = yield* Effect.scoped(
          Effect.gen(function* () {
            const ask = yield* make(yield* Effect.scope)
            const stood = yield* interruptedAt(ask, step)
            assert.strictEqual(yield* ask, 1, `step ${step}`)
            return stood
          })
        )
    })
  )

it.live("a client of which somebody was interrupted, at whichever step, looks up coordinators and connects", () =>
  Effect.gen(function* () {
    const embedded = yield* EmbeddedKafka.EmbeddedKafka
    const client = Layer.fresh(Kafka.layerWithoutNetwork({ bootstrap: embedded.bootstrap })).pipe(
      Layer.provide(Layer.fresh(EmbeddedKafka.layerNetwork))
    )
    const asked = Effect.gen(function* () {
      const cluster = yield* Cluster.Cluster
      const [info] = yield* cluster.brokers
      const broker = yield* Effect.flatMap(Broker.Brokers, (brokers) => brokers.get(info!.id))
      return [Effect.asVoid(cluster.coordinator("group", "g")), Effect.asVoid(broker.offer({ channel: "another" }))]
    })
    for (const which of [0, 1])
      for (let step = 1, isThere = true; isThere; step++)
        isThere = yield* Effect.gen(function* () {
          const ask = (yield* asked)[which]!
          const stood = yield* interruptedAt(ask, step)
          yield* ask
          return stood
        }).pipe(Effect.provide(client), Effect.scoped)
  }).pipe(Effect.provide(EmbeddedKafka.layer()))
)
