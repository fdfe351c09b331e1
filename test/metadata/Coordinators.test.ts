import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Schedule } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../../src/Backoff.ts"
import type { Broker, Brokers } from "../../src/Broker.ts"
import * as KafkaConfig from "../../src/KafkaConfig.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import type { AnyBroker } from "../../src/metadata/AnyBroker.ts"
import * as Budgets from "../../src/metadata/Budgets.ts"
import * as Coordinators from "../../src/metadata/Coordinators.ts"

describe("a coordinator that is known", () => {
  it.effect("is looked up anew where metadata tell of its broker no more (it had no address for ever)", () =>
    Effect.gen(function* () {
      let coordinator = 2
      let gone = 0
      const brokers = {
        get: (id: number) =>
          id === gone
            ? Effect.fail(
                KafkaError.make({ _tag: "Unreachable", attempts: [{ address: `broker ${id}`, cause: "no address" }] })
              )
            : Effect.succeed({ id } as Broker),
        learn: () => {}
      } as unknown as Brokers["Service"]
      const broker = {
        send: (_: unknown, request: (version: number) => unknown) => {
          request(4)
          return Effect.succeed({ coordinators: [{ key: "g", errorCode: 0, nodeId: coordinator, host: "b", port: 1 }] })
        }
      } as unknown as Broker
      const anyBroker: AnyBroker = { ask: (use) => use(broker, () => {}), turn: () => {}, bootstrap: () => [] }
      const budgets = Budgets.make(yield* KafkaConfig.make({ bootstrap: ["b:1"] }))
      const coordinators = yield* Coordinators.make(yield* Effect.scope, brokers, anyBroker, budgets, Backoff.schedule)
      assert.strictEqual((yield* coordinators.get("group", "g")).id, 2)
      coordinator = 1
      assert.strictEqual((yield* coordinators.get("group", "g")).id, 2)
      gone = 2
      assert.strictEqual((yield* coordinators.get("group", "g")).id, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("is the one that was asked for, wherever it stands in the answer, and has an id and an address", () =>
    Effect.gen(function* () {
      const good = { key: "g", errorCode: 0, nodeId: 2, host: "b", port: 1 }
      let answer: ReadonlyArray<typeof good> = [{ ...good, key: "another's", nodeId: 1 }, good]
      const brokers = {
        get: (id: number) => Effect.succeed({ id } as Broker),
        learn: () => {}
      } as unknown as Brokers["Service"]
      const broker = {
        host: "b",
        port: 1,
        send: (_: unknown, request: (version: number) => unknown) => {
          request(4)
          return Effect.succeed({ coordinators: answer })
        }
      } as unknown as Broker
      const anyBroker: AnyBroker = { ask: (use) => use(broker, () => {}), turn: () => {}, bootstrap: () => [] }
      const budgets = Budgets.make(yield* KafkaConfig.make({ bootstrap: ["b:1"] }))
      const once = Schedule.recurs(0)
      const make = Coordinators.make(yield* Effect.scope, brokers, anyBroker, budgets, once)
      assert.strictEqual((yield* Effect.flatMap(make, ({ get }) => get("group", "g"))).id, 2)
      for (const bad of [
        [],
        [{ ...good, key: "another's" }],
        [{ ...good, nodeId: -1 }],
        [{ ...good, host: "" }],
        [{ ...good, port: 0 }]
      ]) {
        answer = bad
        const error = yield* Effect.flip(Effect.flatMap(make, ({ get }) => get("group", "g")))
        assert.strictEqual(error.reason._tag, "Corrupt", JSON.stringify(bad))
      }
    }).pipe(Effect.scoped)
  )

  it.effect("is remembered of ten thousand groups (of each that was ever asked for, for ever)", () =>
    Effect.gen(function* () {
      let questions = 0
      const brokers = {
        get: (id: number) => Effect.succeed({ id } as Broker),
        learn: () => {}
      } as unknown as Brokers["Service"]
      const broker = {
        send: (_: unknown, request: (version: number) => { readonly coordinatorKeys: ReadonlyArray<string> }) => {
          const [key] = request(4).coordinatorKeys
          questions++
          return Effect.succeed({ coordinators: [{ key, errorCode: 0, nodeId: 2, host: "b", port: 1 }] })
        }
      } as unknown as Broker
      const anyBroker: AnyBroker = { ask: (use) => use(broker, () => {}), turn: () => {}, bootstrap: () => [] }
      const budgets = Budgets.make(yield* KafkaConfig.make({ bootstrap: ["b:1"] }))
      const coordinators = yield* Coordinators.make(yield* Effect.scope, brokers, anyBroker, budgets, Backoff.schedule)
      const ask = (i: number) => coordinators.get("group", `g${i}`)
      for (let i = 0; i < 10_001; i++) yield* ask(i)
      yield* ask(1)
      assert.strictEqual(questions, 10_001)
      yield* ask(0)
      assert.strictEqual(questions, 10_002)
      // What was found again is the newest.
      coordinators.forget("group", "g2")
      yield* ask(2)
      yield* ask(10_001)
      yield* ask(2)
      assert.strictEqual(questions, 10_004)
    }).pipe(Effect.scoped)
  )

  it.effect("is looked for ever more seldom where it is of no use, and the same is found again", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const asked: Array<number> = []
      let turns = 0
      const brokers = {
        get: (id: number) => Effect.succeed({ id } as Broker),
        learn: () => {}
      } as unknown as Brokers["Service"]
      const broker = {
        send: (_: unknown, request: (version: number) => unknown) => {
          request(4)
          asked.push(clock.currentTimeMillisUnsafe())
          return Effect.succeed({ coordinators: [{ key: "g", errorCode: 0, nodeId: 2, host: "b", port: 1 }] })
        }
      } as unknown as Broker
      const anyBroker: AnyBroker = {
        ask: (use) => use(broker, () => {}),
        turn: () => void turns++,
        bootstrap: () => []
      }
      const budgets = Budgets.make(yield* KafkaConfig.make({ bootstrap: ["b:1"] }))
      const retry = Schedule.exponential(100)
      const coordinators = yield* Coordinators.make(yield* Effect.scope, brokers, anyBroker, budgets, retry)
      const once = Effect.andThen(
        coordinators.get("group", "g"),
        Effect.sync(() => coordinators.forget("group", "g"))
      )
      yield* Effect.forkScoped(Effect.repeat(once, { times: 4 }), { startImmediately: true })
      for (let i = 0; i < 50; i++) yield* TestClock.adjust(100)
      assert.deepStrictEqual(asked, [0, 0, 100, 300, 700])
      // Who says so may be cut off from the others: another is asked.
      assert.strictEqual(turns, 4)
    }).pipe(Effect.scoped)
  )
})
