import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Producer, Topic } from "samsa"
import { KafkaTest } from "samsa/testing"
import * as HostRuntime from "../../src/testing/host/HostRuntime.ts"

it.effect("a timer of which a trifle is left rings all the same, where the clock stands at a fraction", () =>
  Effect.gen(function* () {
    const runtime = yield* HostRuntime.make(1, () => {})
    yield* TestClock.adjust(13041.007149000001)
    let rung = false
    runtime.after(1.8189894035458565e-12, () => {
      rung = true
    })
    yield* TestClock.adjust(1000)
    assert.isTrue(rung)
  }).pipe(Effect.scoped)
)

const stamped = Topic.bytes("stamped")

it.effect("records get the broker's time where the clock stands at a fraction (each answer was its defect)", () =>
  Effect.gen(function* () {
    yield* TestClock.adjust(1000.25)
    const producer = yield* Producer.make()
    const { timestamp } = yield* producer.send(stamped, { value: new Uint8Array(1) })
    assert.strictEqual(timestamp, 1000)
  }).pipe(
    Effect.provide(
      KafkaTest.layer({ topics: [{ name: stamped, config: { "message.timestamp.type": "LogAppendTime" } }] })
    )
  )
)
