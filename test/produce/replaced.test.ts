/** A cluster that is made anew, at the same addresses, under a producer that lives on. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Kafka, Network, Producer } from "samsa"
import { EmbeddedKafka } from "samsa/testing"
import { text } from "./Helpers.ts"

const cluster = (clusterId: string) => EmbeddedKafka.make({ topics: [{ name: text, partitions: 1 }], clusterId })

it.effect("it has given the producer's id to another: nothing of either is taken for the other's", () =>
  Effect.gen(function* () {
    const first = yield* Scope.make()
    let now = yield* Scope.provide(cluster("first"), first)
    const network = Layer.succeed(
      Network.Network,
      Network.Network.of({ connect: (address, handler) => Effect.suspend(() => now.connect(address, handler)) })
    )
    const producer = Effect.gen(function* () {
      const kafka = Layer.provide(Kafka.layerWithoutNetwork({ bootstrap: now.bootstrap }), network)
      return Context.get(yield* Layer.build(Producer.layer().pipe(Layer.provideMerge(kafka))), Producer.Producer)
    })
    const outcomes: Array<string> = []
    const send = Effect.fnUntraced(function* (to: Producer.Producer["Service"], value: string) {
      const sending = yield* Effect.forkChild(to.send(text, { value }), { startImmediately: true })
      for (let i = 0; i < 100 && sending.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
      outcomes[(yield* Fiber.join(sending)).offset] = value
    })

    const old = yield* producer
    for (const value of ["a", "b", "c", "d", "e"]) yield* send(old, value)
    yield* Scope.close(first, Exit.void)
    now = yield* cluster("second")
    const young = yield* producer
    outcomes.length = 0
    yield* send(young, "f")
    for (const value of ["g", "i", "k"]) {
      yield* send(old, value)
      yield* send(young, `${value} too`)
    }

    const log = (yield* now.log(text, 0)).map(({ value }) => value)
    assert.deepStrictEqual(log, ["f", "g", "g too", "i", "i too", "k", "k too"])
    assert.deepStrictEqual(outcomes, log)
  }).pipe(Effect.scoped)
)
