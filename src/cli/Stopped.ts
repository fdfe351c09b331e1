/** What goes on until a signal ends it has done its work then: exit code 0. What a signal ends before it is done has not. */
import * as Effect from "effect/Effect"
import type { Failed } from "./Failed.ts"

const state = {
  serves: false,
  signal: 130,
  forReader: true,
  outputEnded: false,
  owed: undefined as Failed | undefined
}

/** From here on a signal is the end that was meant. */
export const untilStopped: Effect.Effect<void> = Effect.sync(() => {
  state.serves = true
})

/** From here on the work is not for who reads the output: that he has gone is no end that was meant. */
export const toItsEnd: Effect.Effect<void> = Effect.sync(() => {
  state.forReader = false
})

/** What was refused, and is told once the output has what was not: also where nobody reads that to its end. */
export const owing = (failure: Failed | undefined): Effect.Effect<void> =>
  Effect.sync(() => {
    state.owed = failure
  })

/** What is still to be told. */
export const owed = (): Failed | undefined => state.owed

/** Whether it is done once nobody reads the output any more. */
export const isForReader = (): boolean => state.forReader

/** The signal that came, as shells tell it: 128 and its number. */
export const signalled = (signal: "SIGINT" | "SIGTERM"): void => {
  state.signal = signal === "SIGINT" ? 130 : 143
}

/** The exit code of a command that a signal ended. */
export const exitCode = (): number => (state.serves ? 0 : state.signal)

/** The output takes no more: whoever reads it has gone, or it is a file on a disk that is full. */
export const outputEnded = (): void => {
  state.outputEnded = true
}

/** Waits until whoever reads the output has taken what was printed, or takes no more. */
export const taken: Effect.Effect<void> = Effect.callback((resume) => {
  // Pipes of slow readers take it later; what is written in order comes behind all of it.
  process.stdout.write("", () => resume(Effect.void))
})

/** The same; where the output takes no more, nothing comes after it: the command ends. */
export const written: Effect.Effect<void> = Effect.andThen(
  taken,
  Effect.callback((resume) => {
    // What failed of it is told before this.
    const turn = setImmediate(() => {
      if (!state.outputEnded) resume(Effect.void)
    })
    return Effect.sync(() => clearImmediate(turn))
  })
)
