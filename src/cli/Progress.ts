/** How far long work has come: one line of the error stream that is written over, where that is a terminal. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"

/** Writes over the line of before, at most five times a second. */
export interface Progress {
  readonly show: (text: () => string) => Effect.Effect<void>
  /** Takes the line away. */
  readonly clear: Effect.Effect<void>
}

const nothing: Progress = { show: () => Effect.void, clear: Effect.void }

/** Nothing is shown where nobody sees it, or where `quiet` says that the terminal has other lines. */
export const make = (quiet: boolean = false): Effect.Effect<Progress> =>
  Effect.sync(() => {
    if (quiet || process.stderr.isTTY !== true || process.env["TERM"] === "dumb") return nothing
    let [last, shown] = [-Infinity, false]
    return {
      show: (text) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (now - last < 200) return
          last = now
          shown = true
          process.stderr.write(`\r\u001b[K${text().slice(0, Math.max(1, (process.stderr.columns ?? 80) - 1))}`)
        }),
      clear: Effect.sync(() => {
        if (shown) process.stderr.write("\r\u001b[K")
        shown = false
        last = -Infinity
      })
    }
  })
