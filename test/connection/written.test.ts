import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Heartbeat from "../../src/protocol/messages/Heartbeat.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import { linked } from "./Linked.ts"

const slowLink = linked({
  ranges: new Map([
    [0, [3, 3]],
    [3, [4, 4]]
  ]),
  requestTimeout: 1000
})

const produce = { acks: 0, timeoutMs: 1, topicData: [] }

it.effect("a request over a slow link is timed from when it is written out", () =>
  Effect.gen(function* () {
    const { session, taken } = yield* slowLink
    const first = yield* Effect.forkChild(Effect.exit(session.send(Metadata, () => ({ topics: [] }), {})), {
      startImmediately: true
    })
    const second = yield* Effect.forkChild(Effect.exit(session.send(Metadata, () => ({ topics: [] }), {})), {
      startImmediately: true
    })
    yield* TestClock.adjust(900)
    taken[0]!()
    yield* TestClock.adjust(900)
    assert.isTrue(session.isOpen, "the link moves")
    assert.isUndefined(first.pollUnsafe())
    taken[1]!()
    yield* TestClock.adjust(100)
    assert.isFalse(session.isOpen, "the first was written out a second ago")
    assert.isTrue(Exit.isFailure(yield* Fiber.join(first)))
    assert.isTrue(Exit.isFailure(yield* Fiber.join(second)))
  })
)

it.effect("a request that needs no answer completes when it is written out, and fails where it is not", () =>
  Effect.gen(function* () {
    const { session, taken } = yield* slowLink
    let lost = 0
    const options = { noResponse: true, onLost: () => void lost++ }
    const send = Effect.forkChild(Effect.exit(session.send(Produce, () => produce, options)), {
      startImmediately: true
    })
    const [first, second] = [yield* send, yield* send]
    assert.isUndefined(first.pollUnsafe())
    taken[0]!()
    assert.isTrue(Exit.isSuccess(yield* Fiber.join(first)))
    session.onClose("closed by the broker")
    assert.isTrue(Exit.isFailure(yield* Fiber.join(second)))
    assert.strictEqual(lost, 1, "once for each connection and function")
  })
)

it.effect("a request that needs no answer has lost its connection where an answer comes that nobody is due", () =>
  Effect.gen(function* () {
    const { session } = yield* linked({
      ranges: new Map([
        [0, [3, 3]],
        [12, [0, 0]]
      ]),
      requestTimeout: 1000
    })
    const beat = yield* Effect.forkChild(
      session.send(Heartbeat, () => ({ groupId: "g" }), {}),
      { startImmediately: true }
    )
    session.onData(Uint8Array.of(0, 0, 0, 6, 0, 0, 0, 1, 0, 0))
    yield* Fiber.join(beat)
    const leaving = yield* Effect.forkChild(Effect.flip(session.send(Produce, () => produce, { noResponse: true })), {
      startImmediately: true
    })
    session.onData(Uint8Array.of(0, 0, 0, 6, 0, 0, 0, 77, 0, 0))
    const { reason } = yield* Fiber.join(leaving)
    assert.strictEqual(reason._tag, "Unreachable")
    assert.include(JSON.stringify(reason), "correlation id 77 came where none was due")
  })
)

it.effect("a link that takes nothing is given up", () =>
  Effect.gen(function* () {
    const { session } = yield* slowLink
    const stuck = yield* Effect.forkChild(Effect.flip(session.send(Produce, () => produce, { noResponse: true })), {
      startImmediately: true
    })
    yield* TestClock.adjust(1000)
    assert.strictEqual((yield* Fiber.join(stuck)).reason._tag, "TimedOut")
    assert.isFalse(session.isOpen)
  })
)

it.effect("the time of a request does not count while it waits in line", () =>
  Effect.gen(function* () {
    const { session } = yield* slowLink
    const exchange = Effect.as(Effect.sleep(900), undefined)
    session.ready({ due: 0, expires: 0, prepare: Effect.succeed(exchange) })
    const sending = yield* Effect.forkChild(Effect.exit(session.send(Metadata, () => ({ topics: [] }), {})), {
      startImmediately: true
    })
    yield* TestClock.adjust(900)
    yield* TestClock.adjust(900)
    assert.isTrue(session.isOpen, "it was written 900 ms ago")
    assert.isUndefined(sending.pollUnsafe())
    yield* TestClock.adjust(100)
    assert.isFalse(session.isOpen)
    assert.isTrue(Exit.isFailure(yield* Fiber.join(sending)))
  })
)
