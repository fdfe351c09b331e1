/**
 * What a consumer says while it cannot start: at `Debug` as long as it may cure itself, as a coordinator does that loads or
 * moves, and as a warning once it lasts.
 */
import * as Effect from "effect/Effect"
import type * as KafkaError from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import type { ConsumerState } from "./ConsumerState.ts"
import { whoIs } from "./Told.ts"

interface Context {
  readonly state: ConsumerState
  readonly inBackground: (self: Effect.Effect<void>) => Effect.Effect<unknown>
}

interface Waits {
  /** Tells of it; `again`: of what has lasted, by whoever counts how long. */
  readonly waits: (error: KafkaError.KafkaError, again?: boolean) => Effect.Effect<void>
  /** It is over, where it is what was told last. */
  readonly cured: (error: KafkaError.KafkaError) => Effect.Effect<void>
}

/** Makes what is told of it. */
export const make = ({ inBackground, state }: Context): Waits => {
  const { group } = state.settings
  const who = whoIs(group)
  /** Of the trouble that there is now. */
  let isWarned = false
  let count = 0
  const told = (error: KafkaError.KafkaError, level: "Debug" | "Warn") => {
    if (level === "Warn") isWarned = state.warned = true
    return LogEvent.log("waiting", `${who} waits: ${error.message}`, { group }, level)
  }
  const cured = (error: KafkaError.KafkaError) =>
    Effect.suspend(() => {
      if (state.trouble !== error) return Effect.void
      state.trouble = undefined
      if (!isWarned) return Effect.void
      isWarned = state.warned = false
      return LogEvent.log("goesOn", `${who} waits no more: its coordinator has answered`, { group })
    })
  const waits = (error: KafkaError.KafkaError, again = false): Effect.Effect<void> =>
    Effect.suspend(() => {
      const isNew = state.trouble === undefined
      state.trouble = error
      // Who leaves waits for nothing: what its coordinator answers then is no trouble.
      if (state.closing || (!isNew && !again)) return Effect.void
      if (isNew) {
        isWarned = false
        count++
        state.publish({ _tag: "Waiting", group, partition: undefined, error })
      }
      if (again || error.reason._tag === "TimedOut") return told(error, "Warn")
      const mine = count
      const lasts = Effect.suspend(() =>
        mine !== count || isWarned || state.closing || state.trouble === undefined
          ? Effect.void
          : told(state.trouble, "Warn")
      )
      return Effect.andThen(told(error, "Debug"), inBackground(Effect.delay(lasts, LogEvent.lastsAfter)))
    })
  return { waits, cured }
}
