/** Batches whose answer was lost, and that are refused for a record of theirs when they are sent again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { ErrorCode, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { kafka } from "./Helpers.ts"

const compacted = Topic.make("compacted", { key: Schema.NullOr(Schema.String), value: Schema.String })
const releases = ["0.11", "1.1", "4.4"] as const
const cluster = (asVersion: (typeof releases)[number]) =>
  kafka({ asVersion, topics: [{ name: compacted, partitions: 1, config: { "cleanup.policy": "compact" } }] })

/**
 * Sends batches, `b` a record without a key that the topic does not take, and `g` a good one, while what is sent is struck
 * by a fault once for each, and refused after that; gives what became of each record, by its place and kind.
 */
const sent = Effect.fnUntraced(function* (shape: string, fault: (on: Fault.On) => Fault.Fault, refusal?: number) {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  const producer = yield* Producer.make({ batchBytes: 1000, linger: 0 })
  yield* producer.send(compacted, { key: "k", value: "warm" })
  const batches = shape.split(" ")
  const times = batches.length
  yield* broker.inject(fault(Fault.on("Produce", { times })))
  if (refusal !== undefined) yield* broker.inject(Fault.on("Produce", { times: 1 }).error(refusal))
  let place = 0
  const sending = batches.map((batch) => {
    const rest = "x".repeat(Math.floor(700 / batch.length))
    return Array.from(batch, (kind) => ({ key: kind === "g" ? "k" : null, value: `${place++}${kind}${rest}` }))
  })
  const all = yield* Effect.forkChild(
    Effect.forEach(sending, (entries) => producer.sendAll(compacted, entries), { concurrency: "unbounded" }),
    { startImmediately: true }
  )
  yield* TestClock.adjust("10 minutes")
  const outcomes = (yield* Fiber.join(all)).flat()
  const log = (yield* broker.log(compacted, 0)).slice(1).map(({ value }) => value.slice(0, value.indexOf("x")))
  return { outcomes, log, places: sending.flat().map(({ value }) => value.slice(0, value.indexOf("x"))) }
})

describe("a batch that was lost, and then refused for one record", () => {
  for (const release of releases) {
    for (const shape of ["gb", "bg", "gbg", "bbgg", "gb gb", "bg bg", "bgg gbg gg"]) {
      it.effect(`costs no good record of it or behind it (they failed): ${shape}, ${release}`, () =>
        Effect.gen(function* () {
          const { log, outcomes, places } = yield* sent(shape, (on) => on.loseRequest)
          const good = places.filter((place) => place.endsWith("g"))
          assert.deepStrictEqual(log, good)
          assert.deepStrictEqual(
            places.filter((_, i) => Result.isSuccess(outcomes[i]!)),
            good
          )
        }).pipe(Effect.provide(cluster(release)))
      )
    }
    it.effect(`and is there all the same, is not written twice: ${release}`, () =>
      Effect.gen(function* () {
        const { log, outcomes, places } = yield* sent("gggg", (on) => on.loseResponse, ErrorCode.codes.INVALID_RECORD)
        assert.deepStrictEqual(log, places)
        for (const outcome of outcomes) {
          const reason = Result.isFailure(outcome) ? outcome.failure.reason : undefined
          assert.strictEqual(reason?._tag === "NotDelivered" ? reason.persistence : reason, "possibly")
        }
      }).pipe(Effect.provide(cluster(release)))
    )
  }
})
