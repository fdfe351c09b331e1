/**
 * What a client asks of the application, or of a `Network`, and what neither answers nor lets itself be interrupted: an
 * acquisition that hangs. Whoever waits for it is told within the budget, what comes after it is asked anew, and closing
 * does not wait for it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Bootstrap } from "../../src/Bootstrap.ts"
import { Cluster } from "../../src/Cluster.ts"
import * as Kafka from "../../src/Kafka.ts"
import * as KafkaConfig from "../../src/KafkaConfig.ts"
import type { KafkaError } from "../../src/KafkaError.ts"
import { Network } from "../../src/Network.ts"
import type { Sasl } from "../../src/Security.ts"
import * as InProcess from "./InProcess.ts"

const stuck = Effect.uninterruptible(Effect.never)

/** Stuck the first time that it is asked. */
const once = <A, E, R>(then: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  let asked = 0
  return Effect.suspend(() => (asked++ === 0 ? stuck : then))
}

/** Not a child: who is stuck would be waited for. */
const passing = <A, E, R>(effect: Effect.Effect<A, E, R>, seconds = 60) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkDetach(Effect.exit(effect), { startImmediately: true })
    for (let i = 0; i < seconds * 10 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
    assert.isDefined(fiber.pollUnsafe(), "it does not end")
    return yield* Fiber.join(fiber)
  })

const ends = (layer: Layer.Layer<Kafka.Kafka, KafkaError>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(layer, scope)
    const ask = Effect.flatMap(Cluster, (cluster) => cluster.topics(["t"])).pipe(Effect.provide(context))
    assert.isTrue(Exit.isFailure(yield* passing(ask)))
    assert.isTrue(Exit.isSuccess(yield* passing(ask)))
    assert.isTrue(Exit.isSuccess(yield* passing(Scope.close(scope, Exit.void), 1)))
  })

const answers = { SaslAuthenticate: () => ({}) }
const credentials = Effect.succeed({ accessKeyId: "AKIA", secretAccessKey: Redacted.make("s") })

describe("what hangs and cannot be interrupted is left", () => {
  const mechanisms: ReadonlyArray<Sasl> = [
    { mechanism: "OAUTHBEARER", token: once(Effect.succeed(Redacted.make("t"))) },
    { mechanism: "AWS_MSK_IAM", region: "eu-central-1", credentials: once(credentials) }
  ]
  for (const sasl of mechanisms)
    it.effect(`what ${sasl.mechanism} needs of the application`, () =>
      Effect.gen(function* () {
        const { layer } = yield* InProcess.make(
          { answers },
          { connect: "lazily", tls: true, sasl, connectTimeout: "16 seconds" }
        )
        yield* ends(layer)
      })
    )

  it.effect("where the first brokers are", () =>
    Effect.gen(function* () {
      const { network } = yield* InProcess.make()
      yield* ends(
        Kafka.layerNative.pipe(
          Layer.provide(Layer.succeed(Bootstrap, { addresses: once(Effect.succeed([{ host: "b", port: 9092 }])) })),
          Layer.provide(KafkaConfig.layerWithoutBootstrap({ connect: "lazily" })),
          Layer.provide(Layer.succeed(Network, network.network))
        )
      )
    })
  )

  it.effect("a connection of a Network", () =>
    Effect.gen(function* () {
      let isFirst = true
      const { layer, network } = yield* InProcess.make(
        {},
        { connect: "lazily", connectTimeout: "16 seconds" },
        ({ connect }) => ({
          connect: (address, handler) => {
            if (!isFirst) return connect(address, handler)
            isFirst = false
            return stuck
          }
        })
      )
      yield* ends(layer)
      assert.strictEqual(network.open(), 0)
    })
  )
})
