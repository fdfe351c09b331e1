/** The producing half over a client of librdkafka that a test plays. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Producer } from "node-rdkafka"
import * as RdError from "../../src/librdkafka/RdError.ts"
import * as RdProducer from "../../src/librdkafka/RdProducer.ts"
import type { Delivery } from "../../src/Record.ts"
import type { ProduceSettings } from "../../src/Transport.ts"
import { produceSettings } from "../transport/contract.ts"

const settings: ProduceSettings = {
  ...produceSettings,
  maxRequestBytes: 1_048_576,
  maxMessageBytes: 1_048_576,
  requestTimeout: 30_000,
  ackTimeout: 30_000,
  deliveryTimeout: 120_000,
  closeTimeout: 1000
}

type Listener = (error: { readonly message: string } | null, report: object) => void

/** A client that keeps what it is given until it is polled with an answer for it. */
const fake = () => {
  const held: Array<number> = []
  let listener: Listener = () => {}
  const state = { held, isFatal: false, answer: undefined as { readonly message: string } | null | undefined }
  const client = {
    on: (_: string, heard: Listener) => (listener = heard),
    produce: (_topic: string, _partition: number, _value: unknown, _key: unknown, _time: number, opaque: number) => {
      if (state.isFatal) throw Object.assign(new Error("Local: Fatal error"), { code: RdError.codes.FATAL })
      held.push(opaque)
    },
    poll: () => {
      const { answer } = state
      if (answer === undefined) return
      for (const opaque of held.splice(0)) listener(answer, { opaque, offset: opaque, timestamp: 1 })
    },
    flush: (_: number, done: () => void) => done()
  }
  return { client: client as unknown as Producer, state }
}

const record = { key: null, value: Buffer.from("a"), headers: [], timestamp: 1 }

describe("a producer of librdkafka that has met a fatal error", () => {
  it.effect(
    "is polled for what it had, and another takes its place at once (each send waited for deliveryTimeout)",
    () =>
      Effect.gen(function* () {
        const clients = [fake(), fake()]
        let opened = 0
        const producer = yield* RdProducer.make({
          open: Effect.sync(() => clients[opened++]!.client),
          settings,
          headers: true
        })
        const told: Array<string> = []
        const delivery = (name: string): Delivery => ({
          acknowledged: () => void told.push(`${name} acknowledged`),
          failed: (_from, _count, { message }) => void told.push(`${name} ${message}`)
        })
        const at = { topic: "t", partition: 0 }
        const [first, second] = [clients[0]!.state, clients[1]!.state]
        producer.append(at, [record], delivery("a"))
        first.isFatal = true
        // It is found out by a record that is handed over, before what was under way is told.
        producer.append(at, [record], delivery("b"))
        yield* TestClock.adjust("50 millis")
        first.answer = { message: "Broker: Broker received an out of order sequence number" }
        second.answer = null
        for (let i = 0; i < 20; i++) yield* TestClock.adjust("50 millis")
        assert.strictEqual(opened, 2)
        assert.lengthOf(told, 2)
        assert.include(told[0], "a NotDelivered: not delivered (possibly persisted)")
        assert.strictEqual(told[1], "b acknowledged")
      }).pipe(Effect.scoped)
  )
})
