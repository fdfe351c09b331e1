/** What is counted, as it is set where a client is made, and with what. */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Meter from "./Meter.ts"

/**
 * What is counted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Whether anything is counted. Default true. */
  readonly enabled?: boolean | undefined
  /**
   * How many partitions have lag, position and committed offset of their own; those beyond count in the consumer's largest
   * lag alone, until there is room. 0: none has. Default 1000.
   */
  readonly partitions?: number | undefined
}

/**
 * What is counted, of clients, producers and consumers that are made where it is set.
 *
 * @since 0.1.0
 * @category references
 */
export const Settings: Context.Reference<Options> = Context.Reference<Options>("samsa/Metrics/Settings", {
  defaultValue: () => ({})
})

/** What a client counts with. */
export const meter = (clientId: string): Effect.Effect<Meter.Meter> =>
  Effect.withFiber(({ context }) => {
    const { enabled = true } = Context.get(context, Settings)
    return Effect.succeed(enabled ? Meter.make(context, clientId) : Meter.none)
  })

/** How many partitions have gauges of their own. */
export const partitionsAtMost: Effect.Effect<number> = Effect.map(Settings, ({ partitions = 1000 }) => partitions)

/** Seconds on the monotonic clock, finely. */
export const seconds = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e9
