/** What walks have in common: a cluster, an oracle that watches, and a clock that is moved until the walk is over. */
import { Effect, Fiber, Layer, Logger, Random, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { EmbeddedKafka, KafkaTest, Oracle } from "samsa/testing"

/** What a walk has come to. */
export interface Run {
  readonly history: ReadonlyArray<Oracle.Event>
  readonly violations: ReadonlyArray<Oracle.Violation>
  readonly misuses: ReadonlyArray<string>
  readonly defects: ReadonlyArray<unknown>
  /** Virtual milliseconds. */
  readonly took: number
}

type Services = Layer.Success<ReturnType<typeof KafkaTest.layer>> | Oracle.Oracle | Scope.Scope

export const brokers = 3

const step = 250

/** What a thousand walks log is read by nobody; that of a seed which was asked for is. */
const logs = process.env.SAMSA_SEED === undefined ? Logger.layer([]) : Layer.empty

/** Walks under TestClock, for at most `limit` virtual milliseconds; the same seed walks the same way. */
export const run = (
  seed: number,
  options: { readonly kafka: Parameters<typeof KafkaTest.layer>[0]; readonly limit: number },
  walk: Effect.Effect<void, unknown, Services>
): Effect.Effect<Run, unknown> =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const oracle = yield* Oracle.Oracle
    const fiber = yield* Effect.forkChild(Effect.scoped(walk))
    let took = 0
    while (fiber.pollUnsafe() === undefined && took < options.limit) {
      for (let i = 0; i < 8; i++) yield* Effect.yieldNow
      yield* TestClock.adjust(step)
      took += step
    }
    if (fiber.pollUnsafe() === undefined) yield* Fiber.interrupt(fiber)
    else yield* Fiber.join(fiber)
    return {
      history: yield* oracle.history,
      violations: yield* oracle.check,
      misuses: yield* broker.misuses,
      defects: yield* broker.defects,
      took
    }
  }).pipe(
    Effect.provide(Oracle.layer().pipe(Layer.provideMerge(KafkaTest.layer({ brokers, seed, ...options.kafka })))),
    Effect.provide(Layer.merge(TestClock.layer(), logs)),
    Random.withSeed(`${seed}`)
  )
