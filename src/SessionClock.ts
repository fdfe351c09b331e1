/**
 * The time by which a member judges its session: the monotonic clock, and the time in which the machine was suspended.
 *
 * On Linux the monotonic clock stands still while a machine sleeps; the coordinator's does not. Only the wall clock
 * tells: where it has run ahead of the monotonic one by more than `leap` between two looks, so much is added. A wall
 * clock that was set forward looks the same, and costs a rebalance at worst; one that is set back changes nothing, and
 * one that drifts leaps never, since a member looks at least once a heartbeat.
 */
import type * as Clock from "effect/Clock"
import * as Backoff from "./Backoff.ts"

/** How long a coordinator may leave a member's question unanswered before it is left, in milliseconds. */
export const answersWithin = (sessionTimeout: number): number => Math.ceil(sessionTimeout / 3)

/** Milliseconds between two looks that no correction by little steps and no reading of two clocks explains. */
const leap = 1_000

/** Gives milliseconds that never go back. Pure, but for the clocks that it reads. */
export const make = (clock: Clock.Clock): (() => number) => {
  let suspended = 0
  let ahead: number | undefined
  let [wallBefore, before] = [NaN, 0]
  return () => {
    const wall = clock.currentTimeMillisUnsafe()
    // Asked before every record: 57 ns a clock, and the same millisecond for many of them.
    if (wall === wallBefore) return before
    const monotonic = Backoff.monotonic(clock)
    const difference = wall - monotonic
    if (ahead !== undefined && difference - ahead > leap) suspended += difference - ahead
    ahead = difference
    wallBefore = wall
    return (before = monotonic + suspended)
  }
}
