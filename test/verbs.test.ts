/** What JavaScript, or settings from a file, may give to verbs: it is said what is wrong, by a `KafkaError`, and nothing hangs. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Schema, Stream } from "effect"
import { Consumer, Offset, Producer, Topic } from "samsa"
import { isKafkaError } from "samsa/KafkaError"
import { KafkaTest } from "samsa/testing"

const topic = Topic.make("t", { key: Schema.String, value: Schema.String })
const entry = { key: "k", value: "v" }
const p0 = { topic: "t", partition: 0 }

const odd: ReadonlyArray<any> = [
  undefined,
  null,
  5,
  NaN,
  "x",
  true,
  {},
  Object.create(null),
  [5],
  () => 1,
  1n,
  Symbol("s")
]

describe("a verb that is given what it cannot take says so: it died of a TypeError, or hung", () => {
  it.effect("of consumers", () =>
    Effect.gen(function* () {
      const consumer = yield* Consumer.subscribe({ group: "g", topics: [topic], from: "earliest" })
      const verbs: Record<string, (value: any) => Effect.Effect<unknown, unknown>> = {
        position: (value) => consumer.position(value),
        seek: (value) => consumer.seek(value, Offset.at(0)),
        "seek to": (value) => consumer.seek(p0, value),
        pause: (value) => consumer.pause(value),
        "pause one": (value) => consumer.pause([value]),
        resume: (value) => consumer.resume(value),
        commit: (value) => consumer.commit(value),
        "commit one": (value) => consumer.commit([value]),
        "commit offset": (value) => consumer.commit([{ ...p0, offset: value === 5 ? -5 : value }]),
        resubscribe: (value) => consumer.resubscribe(value)
      }
      yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
      yield* consumer.position(p0)
      yield* refusedBy(verbs)
    }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [topic] })))
  )

  it.effect("of producers", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.make({ linger: 0 })
      const verbs: Record<string, (value: any) => Effect.Effect<unknown, unknown>> = {
        send: (value) => producer.send(value as typeof topic, entry),
        "send an entry": (value) => producer.send(topic, value),
        "send to a partition": (value) =>
          producer.send(topic, { ...entry, partition: value === undefined ? -1 : value }),
        offer: (value) => producer.offer(value as typeof topic, entry),
        "sendAll to": (value) => producer.sendAll(value as typeof topic, [entry]),
        sendAll: (value) => producer.sendAll(topic, Array.isArray(value) ? (5 as never) : value),
        offerAll: (value) => producer.offerAll(topic, Array.isArray(value) ? (5 as never) : value)
      }
      yield* refusedBy(verbs)
    }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [topic] })))
  )
})

const refusedBy = (verbs: Record<string, (value: any) => Effect.Effect<unknown, unknown>>) =>
  Effect.gen(function* () {
    for (const [name, verb] of Object.entries(verbs))
      for (const value of odd) {
        // A commit of all that is done.
        if (name === "commit" && value === undefined) continue
        const what = `${name}(${typeof value === "object" ? JSON.stringify(value) : String(value)})`
        const ended = yield* Effect.exit(verb(value)).pipe(KafkaTest.advanceUntil)
        assert(Exit.isFailure(ended), `${what} is taken`)
        assert(isKafkaError(Cause.squash(ended.cause)), `${what}: ${String(ended.cause)}`)
      }
  })
