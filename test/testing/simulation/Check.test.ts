import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { type Producer, Topic } from "samsa"
import { EmbeddedKafka, Oracle, Simulation } from "samsa/testing"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const copies = Topic.make("copies", { key: Schema.NullOr(Schema.String), value: Schema.String })
const entries = Array.from({ length: 50 }, (_, i) => ({ value: `${i}` }))

/** Copies all orders, one after the other; `send` says how it takes what cannot be sent. */
const copying = (send: (producer: Producer.Producer["Service"], value: string) => Effect.Effect<unknown, unknown>) =>
  Effect.gen(function* () {
    const oracle = yield* Oracle.Oracle
    const producer = yield* oracle.makeProducer({ deliveryTimeout: "1 second" })
    const left = new Set(entries)
    while (left.size > 0)
      for (const entry of left)
        yield* producer.send(orders, entry).pipe(
          Effect.tap(() => Effect.sync(() => left.delete(entry))),
          Effect.ignore
        )
    const consumer = yield* oracle.assign({ topic: orders, from: "earliest", until: "latest" })
    yield* Stream.runForEach(consumer.stream, ({ value }) => Effect.andThen(send(producer, value), Effect.sleep(2000)))
  })

const nothingIsMissing = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  const there = new Set((yield* broker.log(copies)).map(({ value }) => value))
  return entries.filter(({ value }) => !there.has(value)).map(({ value }) => `the copy of ${value} is missing`)
})

describe("a program of one's own", () => {
  it.live("that sends again what was not delivered keeps what it should, whatever happens", () =>
    Simulation.check(
      copying((producer, value) => Effect.eventually(producer.send(copies, { value }))),
      nothingIsMissing,
      { topics: [orders, copies], seeds: 6 }
    )
  )

  it.live("that takes a failure for a success is found out, by a script of few steps", () =>
    Effect.gen(function* () {
      const broken = yield* Effect.flip(
        Simulation.check(
          copying((producer, value) => Effect.ignore(producer.send(copies, { value }))),
          nothingIsMissing,
          { topics: [orders, copies], seeds: 40 }
        )
      )
      assert.match(broken.message, /the copy of \d+ is missing/)
      const { steps } = yield* Simulation.parse(broken.script)
      assert.isAbove(steps.length, 0)
      assert.isAtMost(steps.length, 3)
    })
  )
})
