import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import { linked } from "./Linked.ts"

const version = 8

/** A connection with two questions under way, what is told of it, and its broker. */
const asking = Effect.gen(function* () {
  const { session, taken, told } = yield* linked({ ranges: new Map([[3, [version, version]]]), requestTimeout: 30_000 })
  const ask = Effect.forkChild(Effect.exit(session.send(Metadata, () => ({ topics: [] }), {})), {
    startImmediately: true
  })
  yield* Effect.andThen(ask, ask)
  const answer = (correlationId: number, throttleTimeMs: number) => {
    const body = { throttleTimeMs, brokers: [], clusterId: null, controllerId: -1, topics: [] }
    for (const chunk of Frame.encodeResponse(Metadata.Response, version, correlationId, body)) session.onData(chunk)
  }
  return { answer, taken, told }
})

it.effect(
  "a broker that throttles us reads what was sent before that later: it owes nothing (it was called slow)",
  () =>
    Effect.gen(function* () {
      const { answer, taken, told } = yield* asking
      for (const written of taken) written()
      answer(1, 8_000)
      yield* TestClock.adjust(10_500)
      assert.deepStrictEqual(told, [])
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(told, ["owes the answer to Metadata"])
    })
)

it.effect(
  "a request that is not written out for long is no answer that is owed (a slow network was a slow broker)",
  () =>
    Effect.gen(function* () {
      const { taken, told } = yield* asking
      yield* TestClock.adjust(2_500)
      taken[0]!()
      yield* TestClock.adjust(2_500)
      assert.deepStrictEqual(told, [])
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(told, ["owes the answer to Metadata"])
      const other = yield* asking
      yield* TestClock.adjust(3_500)
      assert.deepStrictEqual(other.told, ["has not taken Metadata"])
    })
)
