/**
 * A fiber's end is told to its observers within the step that resumed it: what they throw is the application's, and
 * nothing to whoever stands behind it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, type Fiber, Logger, References, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { inLine, tagOf, throwing } from "../Throwing.ts"
import { kafka, logOf, text, withProducer } from "./Helpers.ts"

const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const one = (value: string) => ({ key: null, value, partition: 0 })

describe("who stands behind one whose observer throws", () => {
  it.effect("has his acknowledgement, and so has a flush, and it is told in the log (they waited for ever)", () =>
    Effect.gen(function* () {
      const told: Array<unknown> = []
      const logger = Logger.make(({ fiber }) => {
        told.push(fiber.getRef(References.CurrentLogAnnotations)["kafka.event"])
      })
      const run = Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.send(text, one("warm"))
        const offer = Effect.flatten(producer.offer(text, one("c")))
        const sendAll = producer.sendAll(text, [one("b"), one("b")])
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        for (const call of [producer.send(text, one("a")), sendAll, offer, producer.flush])
          fibers.push(yield* throwing<unknown, unknown, never>(call), yield* fork<unknown, unknown, never>(call))
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(fibers.map(tagOf), Array<"Success">(8).fill("Success"))
      })
      yield* Effect.provide(run, Logger.layer([logger]))
      assert.deepStrictEqual((yield* logOf(0)).join(""), "warmaabbbbcc")
      assert.lengthOf(
        told.filter((event) => event === "observerFailed"),
        4
      )
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("has the outcome of the same offer (he waited for ever)", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const outcome = yield* producer.offer(text, one("a"))
      const fibers = yield* inLine(outcome)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(fibers.map(tagOf), ["Success", "Success"])
    }).pipe(Effect.provide(withProducer()))
  )

  it.effect("hears that the topic is not there", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const absent = Topic.bytes("absent")
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = [
        yield* throwing(producer.send(absent, { value: null })),
        yield* fork(producer.send(absent, { value: null })),
        yield* fork(producer.sendAll(absent, [{ value: null }]))
      ]
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(fibers.map(tagOf), ["Failure", "Failure", "Success"])
    }).pipe(Effect.provide(withProducer({}, { autoCreate: false })))
  )

  it.effect("hears in the line for room that the producer closes, and so does what is under way", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const scope = yield* Scope.make()
      const producer = yield* Scope.provide(Producer.make({ bufferRecords: 2, closeTimeout: 1000 }), scope)
      yield* producer.send(text, one("warm"))
      yield* broker.inject(Fault.on("Produce").loseRequest)
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let i = 0; i < 2; i++)
        for (const run of [throwing, fork])
          fibers.push(yield* run<unknown, unknown, never>(producer.send(text, one("a"))))
      fibers.push(yield* fork(producer.flush))
      const closing = yield* fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(fibers.map(tagOf), ["Failure", "Failure", "Failure", "Failure", "Success"])
      assert.deepStrictEqual(tagOf(closing), "Success")
    }).pipe(Effect.provide(kafka()))
  )

  it.effect("has his end where a sink fails of the same batch", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      yield* producer.send(text, one("warm"))
      // POLICY_VIOLATION
      yield* broker.inject(Fault.on("Produce").error(44))
      yield* throwing(Stream.run(Stream.make(one("a")), producer.sink(text)))
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = [
        yield* fork(producer.send(text, one("b"))),
        yield* fork(producer.flush)
      ]
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(fibers.map(tagOf), ["Failure", "Success"])
    }).pipe(Effect.provide(withProducer()))
  )
})
