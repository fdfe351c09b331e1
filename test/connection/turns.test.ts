/** Responses that take long to be read: what else there is goes on meanwhile, and all are told in their order. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import type { Broker } from "../../src/Broker.ts"
import * as Heartbeat from "../../src/protocol/messages/Heartbeat.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Answers from "../hostile/Answers.ts"
import { brokers, fake } from "./Fakes.ts"
import { turnsOfTheLoop } from "../TurnsOfTheLoop.ts"

const partitions = [{ partitionIndex: 0, leaderId: 1, replicaNodes: [1], isrNodes: [1] }]
const topics = Array.from({ length: 50_000 }, (_, i) => ({ name: `topic-${i}`, partitions }))

/** A broker that answers Metadata with many topics, and what a test does with each connection's answers. */
const large = (settings: { readonly maxPendingResponseBytes?: number } = {}, closes = false) =>
  Effect.gen(function* () {
    const answers = Answers.make({ answers: { Metadata: (_, healthy) => ({ ...healthy(), topics }) } })
    const network = yield* fake((peer, { host, port }) => (request) => {
      const response = answers.answer(request, { host, port })
      if (response !== undefined) peer.send(response)
      if (closes && (response?.length ?? 0) > 1e6) peer.close("gone")
    })
    const service = yield* brokers(network.network, settings)
    return { broker: yield* service.at("b", 1), network }
  })

const metadata = (broker: Broker) => broker.send(Metadata, () => ({ topics: [] }))
const heartbeat = (broker: Broker) => broker.send(Heartbeat, () => ({ groupId: "g" }))

describe("a response of many elements", () => {
  it.live("lets the event loop run while it is read", () =>
    Effect.gen(function* () {
      const { broker } = yield* large()
      yield* heartbeat(broker)
      const turns = turnsOfTheLoop()
      const { topics: told } = yield* metadata(broker)
      assert.lengthOf(told, topics.length)
      // Two elements of a topic, some thousand a turn.
      assert.isAtLeast(turns.stop(), 20)
    }).pipe(Effect.scoped)
  )

  it.effect("is told before what comes behind it", () =>
    Effect.gen(function* () {
      const { broker } = yield* large()
      yield* heartbeat(broker)
      const order: Array<string> = []
      const note = (name: string) => () => void order.push(name)
      yield* Effect.all(
        [
          Effect.map(metadata(broker), note("large 1")),
          Effect.map(heartbeat(broker), note("small 1")),
          Effect.map(metadata(broker), note("large 2")),
          Effect.map(heartbeat(broker), note("small 2"))
        ],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(order, ["large 1", "small 1", "large 2", "small 2"])
    }).pipe(Effect.scoped)
  )

  it.effect("fails with its connection, and with its client, and leaves nothing waiting", () =>
    Effect.gen(function* () {
      const { broker } = yield* large({}, true)
      const exits = yield* Effect.all([Effect.exit(metadata(broker)), Effect.exit(heartbeat(broker))], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(exits.map(Exit.isFailure), [true, true])
      const closed = yield* Effect.scoped(
        Effect.gen(function* () {
          const { broker } = yield* large()
          yield* heartbeat(broker)
          return yield* Effect.forkDetach(metadata(broker), { startImmediately: true })
        })
      )
      const error = yield* Effect.flip(Fiber.join(closed))
      assert.strictEqual(error.reason._tag, "Closed")
    }).pipe(Effect.scoped)
  )

  it.effect("counts with all that is not read, and is given back when it is", () =>
    Effect.gen(function* () {
      const small = yield* large({ maxPendingResponseBytes: 1_000_000 })
      const error = yield* Effect.flip(metadata(small.broker))
      assert.include(error.message, "maxPendingResponseBytes")
      const { broker } = yield* large({ maxPendingResponseBytes: 6_000_000 })
      for (let i = 0; i < 5; i++) assert.lengthOf((yield* metadata(broker)).topics, topics.length)
    }).pipe(Effect.scoped)
  )

  it.live("is not read on for nobody", () =>
    Effect.gen(function* () {
      const { broker } = yield* large()
      yield* heartbeat(broker)
      const asking = yield* Effect.forkChild(metadata(broker), { startImmediately: true })
      const behind = yield* Effect.forkChild(heartbeat(broker), { startImmediately: true })
      yield* Effect.yieldNow
      const turns = turnsOfTheLoop()
      yield* Fiber.interrupt(asking)
      yield* Fiber.join(behind)
      assert.isAtMost(turns.stop(), 10)
    }).pipe(Effect.scoped)
  )
})
