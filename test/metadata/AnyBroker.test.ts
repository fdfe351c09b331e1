/** Who is asked first, where what the last one told does not help. */
import { assert, it } from "@effect/vitest"
import { Clock, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { Broker, Brokers } from "../../src/Broker.ts"
import * as AnyBroker from "../../src/metadata/AnyBroker.ts"
import { MetadataState } from "../../src/metadata/MetadataState.ts"

const make = Effect.fnUntraced(function* (ids: ReadonlyArray<number> = [1, 2, 3]) {
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const state = new MetadataState()
  state.nodes = ids.map((id) => ({ id, host: "b", port: id, rack: null }))
  const brokers = { get: (id: number) => Effect.succeed({ id } as Broker) } as unknown as Brokers["Service"]
  const anyBroker = AnyBroker.make(brokers, Effect.succeed([]), state, now, new AnyBroker.Asked(now))
  const silent = new Set<number>()
  const ask = Effect.gen(function* () {
    const from = now()
    const asked = anyBroker.ask(({ id }) => (silent.has(id) ? Effect.never : Effect.succeed(id)))
    const fiber = yield* Effect.forkChild(asked, { startImmediately: true })
    for (let i = 0; i < 100 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust(100)
    return { id: yield* Fiber.join(fiber), millis: now() - from }
  })
  return { anyBroker, ask, silent }
})

it.effect("another is asked where the last answer has not helped", () =>
  Effect.gen(function* () {
    const { anyBroker, ask } = yield* make()
    const { id } = yield* ask
    assert.strictEqual((yield* ask).id, id)
    anyBroker.turn()
    const other = yield* ask
    assert.notStrictEqual(other.id, id)
    assert.strictEqual((yield* ask).id, other.id)
  })
)

it.effect("and not those that stand still, until seconds later (each question took a second longer, or two)", () =>
  Effect.gen(function* () {
    const { anyBroker, ask, silent } = yield* make()
    silent.add(2).add(3)
    anyBroker.turn()
    assert.strictEqual((yield* ask).id, 1)
    anyBroker.turn()
    assert.strictEqual((yield* ask).id, 1)
    for (let i = 0; i < 10; i++) {
      anyBroker.turn()
      assert.deepStrictEqual(yield* ask, { id: 1, millis: 0 })
    }
    silent.clear()
    yield* TestClock.adjust("5 seconds")
    anyBroker.turn()
    assert.notStrictEqual((yield* ask).id, 1)
  })
)

it.effect("each of those that answer has its turn (by chance one had none for many questions)", () =>
  Effect.gen(function* () {
    const ids = [1, 2, 3, 4, 5]
    const { anyBroker, ask } = yield* make(ids)
    for (let i = 0; i < 10; i++) {
      const asked: Array<number> = []
      for (const _ of ids) {
        anyBroker.turn()
        asked.push((yield* ask).id)
      }
      assert.deepStrictEqual(asked.toSorted(), ids)
    }
  })
)
