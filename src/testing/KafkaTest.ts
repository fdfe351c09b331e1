/**
 * One line that gives a program its `Kafka`, without a broker: an embedded cluster in process, and the client over it.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Producer } from "samsa"
 * import { KafkaTest } from "samsa/testing"
 *
 * export const TestLayer = Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: ["orders"] })))
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import type { Brokers } from "../Broker.ts"
import * as Kafka from "../Kafka.ts"
import type { KafkaError } from "../KafkaError.ts"
import { Awaited } from "./Awaited.ts"
import * as EmbeddedKafka from "./EmbeddedKafka.ts"
import * as Standstill from "./Standstill.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends EmbeddedKafka.Options {
  /** The client's settings; its bootstrap servers are the embedded brokers. */
  readonly client?: Omit<Kafka.Options, "bootstrap"> | undefined
}

/**
 * An embedded cluster, and `Kafka` over it in process. Where a test fails under TestClock, and so leaves producers or
 * consumers that wait for it to move, they are closed all the same: after a second of real time in which nothing happens
 * the clock moves on.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<Kafka.Kafka | Brokers | EmbeddedKafka.EmbeddedKafka, KafkaError> =>
  Layer.unwrap(
    Effect.map(EmbeddedKafka.EmbeddedKafka, ({ bootstrap }) =>
      Layer.provide(Kafka.layerWithoutNetwork({ ...options.client, bootstrap }), EmbeddedKafka.layerNetwork)
    )
  ).pipe(Layer.provideMerge(Layer.merge(EmbeddedKafka.layer(options), Standstill.layer)))

/** An error with the stack of whoever called: a test finds its own line there. */
const calledAt = () => {
  const at = new Error()
  Error.captureStackTrace(at, advanceUntil)
  return (message: string): Error => {
    const error = new Error(message)
    error.stack = `Error: ${message}${at.stack?.slice(at.stack.indexOf("\n")) ?? ""}`
    return error
  }
}

/**
 * Waits for an Effect, and moves the TestClock on meanwhile, 100 ms at a time (a second, after a minute): for what needs
 * time and no certain amount of it, such as a group that finds together and commits. After `upTo` (10 minutes of that
 * clock by default) it dies, and says what the embedded broker was waiting for, and how that stands. Under another Clock
 * it waits for the Effect alone.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { EmbeddedKafka, KafkaTest } from "samsa/testing"
 *
 * export const billed = Effect.gen(function*() {
 *   const broker = yield* EmbeddedKafka.EmbeddedKafka
 *   yield* KafkaTest.advanceUntil(broker.awaitCommitted("billing", { topic: "orders", offset: 2 }))
 * })
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const advanceUntil = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  options: { readonly upTo?: Duration.Input | undefined } = {}
): Effect.Effect<A, E, R> => {
  const failure = calledAt()
  return Effect.clockWith((clock) => {
    if (!Standstill.isTestClock(clock)) return self
    const upTo = Duration.toMillis(options.upTo ?? "10 minutes")
    return Effect.gen(function* () {
      const waiting = new Set<() => string>()
      const fiber = yield* Effect.forkChild(Effect.provideService(self, Awaited, waiting), { startImmediately: true })
      // What the process itself works at, such as compressing, needs turns of the event loop and no time.
      const turn = TestClock.withLive(Effect.sleep(1))
      let passed = 0
      while (true) {
        if (passed % 1000 === 0) yield* turn
        if (fiber.pollUnsafe() !== undefined) return yield* Fiber.join(fiber)
        if (passed >= upTo) break
        const step = passed < 60_000 ? 100 : 1000
        yield* TestClock.adjust(step)
        passed += step
      }
      const stands = [...waiting].map((describe) => `\n  ${describe()}`).join("")
      yield* Fiber.interrupt(fiber)
      return yield* Effect.die(failure(`KafkaTest.advanceUntil: not so after ${upTo} ms of the TestClock${stands}`))
    })
  })
}
