/** The driver alone, over a coordinator that answers when the test says so. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schedule } from "effect"
import { KafkaError } from "samsa"
import type { Cluster } from "../../src/Cluster.ts"
import type { TransactionGate } from "../../src/engine/TransactionGate.ts"
import * as TransactionDriver from "../../src/transact/TransactionDriver.ts"

const settings = { transactionalId: "t", transactionTimeout: 60_000, apiTimeout: 60_000 }
const engine: TransactionDriver.Engine = {
  append: () => undefined,
  withdraw: () => false,
  flush: Effect.void,
  wake: () => undefined,
  failAll: () => undefined,
  settled: Effect.void,
  takeGap: () => false
}
const broker = {
  send: (): Effect.Effect<unknown> => Effect.succeed({ errorCode: 0, producerId: 1, producerEpoch: 0 }),
  offer: () => Effect.succeed({ finalizedFeatures: new Map() })
}

/** A driver whose coordinator is this one, or is still asked for. */
const driverOf = (
  coordinator: Effect.Effect<typeof broker, KafkaError.KafkaError>,
  engineOf: (gate: TransactionGate) => TransactionDriver.Engine = () => engine
) =>
  TransactionDriver.make({
    cluster: {
      coordinator: () => coordinator,
      forgetCoordinator: () => undefined,
      retry: Schedule.recurs(0)
    } as unknown as Cluster["Service"],
    clientId: "c",
    closeTimeout: 1000,
    settings,
    engine: (gate) => Effect.succeed(engineOf(gate))
  })

it.live.each(["begin", "initialize"] as const)(
  "what answers somebody who has left is no answer to the next (a transaction was open for ever): %s",
  (what) =>
    Effect.gen(function* () {
      const refused = Deferred.makeUnsafe<never, KafkaError.KafkaError>()
      let coordinator: Effect.Effect<typeof broker, KafkaError.KafkaError> = Deferred.await(refused)
      const driver = yield* driverOf(Effect.suspend(() => coordinator))
      const leaving = yield* Effect.forkChild(driver[what], { startImmediately: true })
      const quiet = Effect.repeat(Effect.yieldNow, { times: 10 })
      // The coordinator is waited for.
      yield* quiet
      // All in one turn: it is refused, who has asked leaves, and the next one begins.
      const soon = <A, E>(self: Effect.Effect<A, E>) =>
        Effect.forkChild(Effect.andThen(Effect.yieldNow, self), { startImmediately: true })
      yield* soon(
        Effect.sync(() => {
          coordinator = Effect.succeed(broker)
          Deferred.doneUnsafe(refused, Exit.fail(KafkaError.make({ _tag: "Misuse", message: "refused" })))
        })
      )
      yield* soon(Effect.sync(() => leaving.interruptUnsafe()))
      const next = yield* soon(driver.begin)
      // It may have joined the question that was refused: then nothing is open.
      if (Exit.isSuccess(yield* Fiber.await(next))) yield* driver.abort
      yield* quiet
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(driver.begin)))
      yield* driver.abort
    }).pipe(Effect.scoped)
)

it.live("what waits for company is sent before a transaction is committed, and its end waits for the answers", () =>
  Effect.gen(function* () {
    const steps: Array<string> = []
    const step = (name: string) => Effect.sync(() => void steps.push(name))
    const driver = yield* driverOf(Effect.succeed(broker), () => ({
      ...engine,
      flush: step("flush"),
      settled: step("settled")
    }))
    yield* driver.begin
    yield* driver.commit
    assert.deepStrictEqual(steps, ["flush", "settled"])
  }).pipe(Effect.scoped)
)

it.live("what fails since the transaction is aborted is no failure of that (failure-after-the-end)", () =>
  Effect.gen(function* () {
    const place = { topic: "t", partition: 0 }
    const answer = { errorCode: 0, producerId: 1, producerEpoch: 0, resultsByTopicV3AndBelow: [] }
    let gate: TransactionGate | undefined
    const driver = yield* driverOf(Effect.succeed({ ...broker, send: () => Effect.succeed(answer) }), (given) => {
      gate = given
      // As the producer's, which says so of each record.
      return { ...engine, failAll: given.failed }
    })
    yield* driver.begin
    gate!.wanted([place])
    yield* Effect.repeat(Effect.yieldNow, { until: () => gate!.admits("t", 0) })
    assert.isTrue(Exit.isSuccess(yield* Effect.exit(driver.abort)))
    assert.isTrue(Exit.isSuccess(yield* Effect.exit(driver.begin)))
    yield* driver.abort
  }).pipe(Effect.scoped)
)
