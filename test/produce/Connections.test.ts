/** Brokers that are not to be had: the wait between two attempts, and who hears of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { KafkaError } from "samsa"
import type { Brokers } from "../../src/Broker.ts"
import type * as Loop from "../../src/engine/Loop.ts"
import { makeQueue } from "../../src/produce/Batch.ts"
import * as Connections from "../../src/produce/Connections.ts"
import * as ProducerIds from "../../src/produce/ProducerIds.ts"

const settled = Effect.forEach(Array.from({ length: 50 }), () => Effect.yieldNow, { discard: true })

/** A loop that looks again at once, and brokers that all end the same way. */
const setUp = (get: Effect.Effect<never, KafkaError.KafkaError>, look: () => void) =>
  Effect.gen(function* () {
    const run = Effect.runForkWith(yield* Effect.context<never>())
    let attempts = 0
    const brokers = {
      get: () =>
        Effect.suspend(() => {
          attempts++
          return get
        })
    } as unknown as Brokers["Service"]
    // Bounded, so that one that spins ends.
    const wake = () => void (attempts < 1000 && look())
    const loop = { fork: run, wake, now: () => 0 } as unknown as Loop.Loop
    return { brokers, loop: () => loop, attempts: () => attempts }
  })

describe("a defect is a failure", () => {
  it.effect("of a connection: it is told, and waited for before the next", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const connect = () => connections.connect(1, (error) => told.push(error.reason._tag))
      const { attempts, brokers, loop } = yield* setUp(Effect.die("bad network"), () => connect())
      const connections = Connections.make(brokers, loop, "c")
      connect()
      yield* settled
      assert.strictEqual(attempts(), 1, "at once again")
      assert.deepStrictEqual(told, ["Unreachable"])
      assert.include(connections.versionOf(1), "bad network")
      yield* TestClock.adjust(50)
      assert.strictEqual(attempts(), 2)
    })
  )

  it.effect("of a question for a producer id", () =>
    Effect.gen(function* () {
      const queue = makeQueue("t", 0, 100)
      const told: Array<boolean> = []
      const ask = () => asks(new Map([[1, [queue]]]))
      const { attempts, brokers, loop } = yield* setUp(Effect.die("bad network"), () => ask())
      const asks = ProducerIds.make(
        brokers,
        loop,
        () => {},
        (error) => told.push(error.isRetryable)
      )
      ask()
      yield* settled
      assert.strictEqual(attempts(), 1, "at once again")
      assert.deepStrictEqual(told, [true], "a defect may pass")
      yield* TestClock.adjust(50)
      assert.strictEqual(attempts(), 2)
    })
  )
})

it.effect("that a producer id is refused concerns those that asked", () =>
  Effect.gen(function* () {
    const error = KafkaError.fromCode(31, { api: "InitProducerId" })
    const { brokers, loop } = yield* setUp(Effect.fail(error), () => {})
    const failed: Array<unknown> = []
    const asks = ProducerIds.make(
      brokers,
      loop,
      () => {},
      (error, queues) => failed.push(error, ...queues)
    )
    const [a, b] = [makeQueue("t", 0, 100), makeQueue("t", 1, 100)]
    asks(
      new Map([
        [1, [a!]],
        [2, [b!]]
      ])
    )
    yield* settled
    assert.deepStrictEqual(failed, [error, a, b])
  })
)
