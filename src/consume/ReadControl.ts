/**
 * What an operator at the end of a pipeline says to the consumer at its beginning, through all that lies between: the
 * pipeline's context carries a register, in which the consumer's stream enters itself.
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as LogEvent from "../LogEvent.ts"

/** A consumer whose stream is read. */
export interface Source {
  /** Completes with the first assignment. */
  readonly assigned: Effect.Effect<void>
  /** Ends fetching: the stream ends when what was delivered is through. */
  readonly stop: Effect.Effect<void>
  /** Commits what is marked. */
  readonly commit: Effect.Effect<void>
  /** An operator pulls in fibers of its own, for this one: that handles what comes, and is interrupted for it. */
  readonly pulledFor: (fiber: Fiber.Fiber<unknown, unknown>) => void
}

/** Hears of consumers whose streams begin. */
type Register = (source: Source) => void

/** The register of the pipeline, if an operator asked for one. */
const Registers = Context.Reference<ReadonlyArray<Register>>("samsa/consume/Registers", {
  defaultValue: () => []
})

/** Enters a source where operators have asked for it. */
export const enter = (source: Source): Effect.Effect<void> =>
  Effect.map(Registers, (registers) => {
    for (const register of registers) register(source)
  })

/**
 * A stream that an Effect makes: begun by whoever begins what this is part of. What `Stream.unwrap` gives is begun by
 * whoever pulls first, which may be a fiber of an operator's own.
 */
const begun = <A, E, R, R2>(
  make: Effect.Effect<Stream.Stream<A, E, R>, never, R2 | Scope.Scope>
): Stream.Stream<A, E, R | R2> =>
  Stream.fromChannel(
    Channel.fromTransform((upstream, scope) =>
      Effect.flatMap(Scope.provide(make, scope), (stream) =>
        Channel.toTransform(Stream.toChannel(stream))(upstream, scope)
      )
    )
  ) as Stream.Stream<A, E, R | R2>

const listening = <A, E, R>(self: Stream.Stream<A, E, R>, register: Register): Stream.Stream<A, E, R> =>
  begun(Effect.map(Registers, (registers) => Stream.provideService(self, Registers, [...registers, register])))

/** Ends the stream when nothing came for so long, counted from the first assignment. */
export const takeUntilIdle = <A, E, R>(self: Stream.Stream<A, E, R>, idle: Duration.Input): Stream.Stream<A, E, R> =>
  Stream.suspend(() => {
    const sources: Array<Source> = []
    // Those that are read by whoever pulls here; what another fiber begins is handled there.
    const own: Array<Source> = []
    let isBegun = false
    let puller: Fiber.Fiber<unknown, unknown> | undefined
    let pulling: Fiber.Fiber<unknown, unknown> | undefined
    const assigned = Effect.suspend(() =>
      Effect.forEach(sources, (source) => source.assigned, { concurrency: "unbounded", discard: true })
    )
    return Stream.transformPull(
      listening(self, (source) => {
        sources.push(source)
        if (puller !== undefined && Fiber.getCurrent() !== pulling) return
        own.push(source)
        if (puller !== undefined) source.pulledFor(puller)
      }),
      (pull) =>
        Effect.succeed(
          Effect.withFiber((fiber) => {
            puller = fiber
            for (const source of own) source.pulledFor(fiber)
            // A turn is enough for a source to enter itself: that is done before the first pull waits.
            const over = Effect.andThen(
              isBegun ? Effect.void : Effect.andThen(Effect.yieldNow, assigned),
              Effect.sleep(idle)
            )
            isBegun = true
            const pulled = Effect.withFiber((inner) => {
              pulling = inner
              return pull
            })
            return Effect.raceFirst(pulled, Effect.andThen(over, Cause.done()))
          })
        )
    )
  })

/** How long the streams of a pipeline may take to begin. */
const beginning = "1 second"

/**
 * Ends fetching when `signal` completes; the stream ends when what was delivered is through, and then what is marked is
 * committed.
 */
export const stopWhen = <A, E, R, R2>(
  self: Stream.Stream<A, E, R>,
  signal: Effect.Effect<unknown, never, R2>
): Stream.Stream<A, E, R | R2> =>
  begun(
    Effect.gen(function* () {
      const sources: Array<Source> = []
      let isOver = false
      const run = Effect.runForkWith(yield* Effect.context<never>())
      const unheard = Effect.suspend(() =>
        sources.length > 0
          ? Effect.void
          : LogEvent.log(
              "stopReachesNone",
              "Consumer.stopWhen stops no consumer: none is read in this pipeline itself (behind Stream.broadcast, or a queue that another fiber fills?); use consumer.stop"
            )
      )
      const each = (f: (source: Source) => Effect.Effect<void>) =>
        Effect.suspend(() => Effect.forEach(sources, f, { discard: true }))
      yield* Effect.forkScoped(
        Effect.andThen(
          signal,
          Effect.suspend(() => {
            isOver = true
            // One that begins later is stopped as it begins.
            return sources.length === 0 ? Effect.andThen(Effect.sleep(beginning), unheard) : each(({ stop }) => stop)
          })
        )
      )
      const register: Register = (source) => {
        sources.push(source)
        if (isOver) run(source.stop)
      }
      return Stream.onEnd(
        listening(self, register),
        each(({ commit }) => (isOver ? commit : Effect.void))
      )
    })
  )
