/** Brokers that are not to be had: the wait between two attempts, and who hears of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { KafkaError } from "samsa"
import { codes } from "samsa/ErrorCode"
import * as Backoff from "../../src/Backoff.ts"
import type { Brokers } from "../../src/Broker.ts"
import type * as Loop from "../../src/engine/Loop.ts"
import { makeQueue } from "../../src/produce/Batch.ts"
import * as Connections from "../../src/produce/Connections.ts"
import * as ProducerIds from "../../src/produce/ProducerIds.ts"

/** Connections that are there. */
const limit = { name: "deliveryTimeout", millis: 120_000 }
const connected = { disconnected: () => {}, mustBeSeen: () => {} }

const settled = Effect.forEach(Array.from({ length: 50 }), () => Effect.yieldNow, { discard: true })

const waits = Backoff.waits(Schedule.exponential("100 millis"))

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
      const connections = Connections.make(brokers, loop, "c", yield* waits)
      connect()
      yield* settled
      assert.strictEqual(attempts(), 1, "at once again")
      assert.deepStrictEqual(told, ["Unreachable"])
      assert.include(connections.versionOf(1), "bad network")
      yield* TestClock.adjust(100)
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
        "c",
        (yield* waits)(),
        limit,
        connected,
        () => {},
        (error) => told.push(error.isRetryable)
      )
      ask()
      yield* settled
      assert.strictEqual(attempts(), 1, "at once again")
      assert.deepStrictEqual(told, [true], "a defect may pass")
      yield* TestClock.adjust(100)
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
      "c",
      (yield* waits)(),
      limit,
      connected,
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

describe("connections and producer ids follow a curve of their own, whatever `retry` says: they follow it", () => {
  const gaps = (attempts: () => number) =>
    Effect.gen(function* () {
      const gaps: Array<number> = []
      for (let [before, millis] = [attempts(), 0]; gaps.length < 4; millis += 100) {
        if (attempts() > before) {
          gaps.push(millis)
          before = attempts()
          millis = 0
        }
        yield* settled
        yield* TestClock.adjust(100)
      }
      return gaps
    })

  it.effect("connections", () =>
    Effect.gen(function* () {
      const failure = Effect.fail(KafkaError.make({ _tag: "Unreachable", attempts: [] }))
      const connect = () => connections.connect(1, () => {})
      const { attempts, brokers, loop } = yield* setUp(failure, () => connect())
      const connections = Connections.make(brokers, loop, "c", yield* waits)
      connect()
      yield* settled
      assert.deepStrictEqual(yield* gaps(attempts), [100, 200, 400, 800])
    })
  )

  it.effect("producer ids, of which no other broker is asked in between; after an id they begin anew", () =>
    Effect.gen(function* () {
      let given: Effect.Effect<never, KafkaError.KafkaError> | undefined
      const failure = Effect.suspend(
        () => given ?? Effect.fail(KafkaError.fromCode(codes.COORDINATOR_LOAD_IN_PROGRESS, { api: "InitProducerId" }))
      )
      const queues = new Map([1, 2, 3].map((node) => [node, [makeQueue("t", node, 100)]]))
      const ids: Array<unknown> = []
      const ask = () => asks(queues)
      const { attempts, brokers, loop } = yield* setUp(failure, () => ask())
      const asks = ProducerIds.make(
        brokers,
        loop,
        "c",
        (yield* waits)(),
        limit,
        connected,
        (id) => {
          ids.push(id)
          given = undefined
        },
        () => {}
      )
      ask()
      yield* settled
      assert.deepStrictEqual(yield* gaps(attempts), [100, 200, 400, 800])
      const send = () => Effect.succeed({ errorCode: 0, producerEpoch: 0, producerId: 7 })
      given = Effect.succeed({ send }) as unknown as Effect.Effect<never>
      while (ids.length === 0) yield* TestClock.adjust(100)
      assert.deepStrictEqual(yield* gaps(attempts), [100, 200, 400, 800])
    })
  )
})
