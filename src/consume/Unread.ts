/**
 * Says that a member keeps partitions which nobody reads any more: what read them has failed, or has ended, in a Scope
 * that lives on. It can be read by nobody else, its heartbeats go on, and no other member is given what it has.
 */
import * as Effect from "effect/Effect"
import * as LogEvent from "../LogEvent.ts"
import type { ConsumerState } from "./ConsumerState.ts"

/** By then a Scope that ends with its reader has closed, in milliseconds; told again by doubling. */
const first = 30_000

/** Looks on from the end of the reading, until the consumer closes. */
export const watch = (state: ConsumerState, isMember: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { now, partitions, reading, settings } = state
    yield* reading.ended
    const since = now()
    for (let wait = first; ; wait *= 2) {
      yield* Effect.sleep(wait)
      if (state.closing || state.stopped || state.failure !== undefined || reading.isOver || !isMember()) return
      if (partitions.size === 0) continue
      const count = partitions.size === 1 ? "1 partition" : `${partitions.size} partitions`
      yield* LogEvent.log(
        "unread",
        `a consumer of group ${settings.group} keeps ${count} that nobody reads since ${Math.round((now() - since) / 1000)} s: what read it has failed or ended, and its Scope is open still; close it, so that the group gives them to others`,
        { group: settings.group }
      )
    }
  })
