/** Runs the command `samsa` with the words of this process. Exit codes: `docs/cli.md`. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { readFileSync } from "node:fs"
import { run } from "./commands.ts"
import * as Stopped from "./Stopped.ts"

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

// Who reads what is printed may have had enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))
process.stderr.on("error", () => {})

// The first signal has it end in order; the second does not wait for that.
let signals = 0
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => {
    Stopped.signalled(signal)
    if (++signals > 1) process.exit(Stopped.exitCode())
  })

run(process.argv.slice(2), version).pipe(
  Effect.provide(NodeServices.layer),
  (self) => self as Effect.Effect<void, unknown>,
  NodeRuntime.runMain({
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
        ? onExit(Stopped.exitCode())
        : Runtime.defaultTeardown(exit, onExit)
  })
)
