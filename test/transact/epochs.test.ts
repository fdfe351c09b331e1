import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { EmbeddedKafka } from "samsa/testing"
import { advanceUntil, layerOf, ran, read, send } from "./Helpers.ts"

for (const [transactionVersion, each] of [
  [2, 1],
  [1, 0]
] as const)
  it.effect(
    `version ${transactionVersion}: the epoch of the next transaction is ${each} further (epoch-of-the-old-version)`,
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const epochs: Array<number> = []
        for (const value of ["a", "b", "c"]) {
          yield* ran(send(value))
          yield* advanceUntil(broker.awaitTransaction("t", "CompleteCommit"))
          epochs.push((yield* broker.transactions)[0]!.producerEpoch)
        }
        assert.deepStrictEqual(
          epochs.map((epoch) => epoch - epochs[0]!),
          [0, each, 2 * each]
        )
        assert.deepStrictEqual(yield* read(), ["a", "b", "c"])
      }).pipe(Effect.scoped, Effect.provide(layerOf(transactionVersion)))
  )
