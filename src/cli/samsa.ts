/** Runs the command `samsa` with the words of this process. Exit codes: `docs/cli.md`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { readFileSync } from "node:fs"
import { linesOf, run, told } from "./commands.ts"
import { type Failed, failed } from "./Failed.ts"
import * as Stopped from "./Stopped.ts"

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

process.stderr.on("error", () => {})

/**
 * Ends where the output takes no more: in order, so that a consumer leaves its group. Who reads may have had enough; what
 * is not for him, as the lines of produce, is not done then.
 */
const outputEnds = Effect.callback<void, Failed>((resume) => {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    Stopped.outputEnded()
    const enough = error.code === "EPIPE" && Stopped.isForReader()
    const failure = enough ? Stopped.owed() : failed(`the output: ${error.message}`, error)
    resume(
      failure === undefined ? Effect.void : Effect.andThen(Console.error(linesOf(failure)), Effect.fail(told(failure)))
    )
  })
})

// The first signal has it end in order; the second does not wait for that.
let signals = 0
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => {
    Stopped.signalled(signal)
    if (++signals > 1) process.exit(Stopped.exitCode())
  })

run(process.argv.slice(2), version).pipe(
  Effect.andThen(Stopped.written),
  (self) => Effect.raceFirst(outputEnds, self),
  // What was printed of what failed is not lost with it.
  Effect.tapError(() => Stopped.taken),
  Effect.provide(NodeServices.layer),
  (self) => self as Effect.Effect<void, unknown>,
  NodeRuntime.runMain({
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
        ? onExit(Stopped.exitCode())
        : Runtime.defaultTeardown(exit, onExit)
  })
)
