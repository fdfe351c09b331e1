import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { Assignor, Consumer, Membership, Producer } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import * as ErrorCode from "../../src/ErrorCode.ts"
import { one, orders, p0, pass, until } from "./Harness.ts"

// The code of a commit that is refused while the group rebalances is not one to retry, for Kafka's own clients. Where
// the rebalance outlasted commitTimeout (a leader that died before it had shared out) the whole consumer ended by it.
it.effect("a rebalance that takes longer than commitTimeout ends no consumer", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    const consumer = yield* Consumer.subscribe({
      group: "g",
      topics: [orders],
      from: "earliest",
      commitInterval: "200 millis",
      commitTimeout: "2 seconds",
      membership: Membership.classic({ assignors: [Assignor.cooperativeSticky] })
    })
    let handled = 0
    const running = yield* Effect.forkChild(consumer.run(() => Effect.sync(() => void handled++)))
    const rebalancing = yield* broker.inject(Fault.on("OffsetCommit").error(ErrorCode.codes.REBALANCE_IN_PROGRESS))
    yield* producer.send(orders, { value: "v" })
    yield* until("it is refused", () => Effect.map(rebalancing.hits, (n) => n > 0))
    yield* pass(10_000)
    assert.isUndefined(running.pollUnsafe())
    yield* rebalancing.remove
    yield* until("it is committed", () => Effect.map(broker.committed("g"), ([one]) => one?.offset === 1))
    assert.strictEqual(handled, 1)
    assert.strictEqual(yield* consumer.position(p0), 1)
  }).pipe(Effect.scoped, Effect.provide(one))
)
