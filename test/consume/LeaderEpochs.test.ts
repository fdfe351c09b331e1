import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Consumer, Transaction } from "samsa"
import { EmbeddedKafka } from "samsa/testing"
import { LeaderEpochs } from "../../src/consume/LeaderEpochs.ts"
import { fill, layer, member, moving, orders, scoped, until } from "./Harness.ts"

describe("LeaderEpochs", () => {
  it("gives the epoch of the record before an offset", () => {
    const epochs = new LeaderEpochs()
    assert.isUndefined(epochs.before(5))
    epochs.note(3, 0)
    epochs.note(5, 0)
    epochs.note(9, 2)
    epochs.note(12, undefined)
    assert.isUndefined(epochs.before(3))
    assert.strictEqual(epochs.before(4), 0)
    assert.strictEqual(epochs.before(9), 0)
    assert.strictEqual(epochs.before(10), 2)
    epochs.reset()
    assert.isUndefined(epochs.before(10))
  })

  it.effect("are committed, so that the group notices a truncated log when it comes again", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(3)
      const a = yield* member()
      yield* Effect.forkScoped(Stream.runForEach(a.consumer.stream, Consumer.done))
      const epochOf = Effect.map(broker.committed("g"), (list) => list[0]?.leaderEpoch)
      yield* until("it is committed", () => Effect.map(epochOf, (epoch) => epoch === 0))
      yield* broker.moveLeader(orders, 0)
      yield* moving(fill(1, 0, 3))
      yield* until("in the new epoch", () => Effect.map(epochOf, (epoch) => epoch === 1))
    }).pipe(
      scoped,
      Effect.provide(layer({ brokers: 2, topics: [{ name: orders, partitions: 1, replicationFactor: 2 }] }))
    )
  )

  it.effect(
    "are those of what was not delivered, too (a log that ends with an aborted one's marker was taken for cut)",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const end = Effect.map(broker.topic(orders), (found) => found![0]!.endOffset)
        const written = until("it is written", () => Effect.map(end, (offset) => offset === 2))
        yield* moving(fill(1))
        const aborted = Transaction.run(
          Effect.gen(function* () {
            yield* fill(1, 0, 1)
            yield* written
            yield* broker.moveLeader(orders, 0)
            return yield* Effect.fail("no")
          })
        ).pipe(Effect.provide(Transaction.layer({ transactionalId: "t" })))
        const a = yield* member()
        yield* Effect.forkScoped(Stream.runForEach(a.consumer.stream, Consumer.done))
        const committed = Effect.map(broker.committed("g"), (list) => list[0])
        yield* until("it is committed", () => Effect.map(committed, (one) => one?.offset === 1))
        yield* moving(Effect.exit(aborted))
        const behind = Effect.orDie(Effect.map(a.consumer.positions, ([one]) => one?.offset === 3))
        yield* until("it is behind the marker", () => behind)
        yield* moving(a.close)
        const { leaderEpoch, offset } = (yield* committed)!
        assert.deepStrictEqual({ leaderEpoch, offset }, { leaderEpoch: 1, offset: 3 })
      }).pipe(
        scoped,
        Effect.provide(layer({ brokers: 2, topics: [{ name: orders, partitions: 1, replicationFactor: 2 }] }))
      )
  )
})
