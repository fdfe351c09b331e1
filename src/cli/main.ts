#!/usr/bin/env node
/**
 * The command `samsa`: one file a subcommand, of which the one that is asked for is loaded. This is the only place that
 * needs a platform; the library imports none.
 *
 * Exit codes: 0 it is done; 1 it has failed, wholly or for some of what was asked, as the lines of the error stream say;
 * what serves until it is told to stop (`embedded`, `consume`) ends with 0 at SIGINT or SIGTERM.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import { readFileSync } from "node:fs"
import { run } from "./commands.ts"

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

// Who reads what is printed may have had enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1))

run(process.argv.slice(2), version).pipe(
  Effect.provide(NodeServices.layer),
  (self) => self as Effect.Effect<void, unknown>,
  NodeRuntime.runMain({
    // What serves until it is told to stop has done its work when it is: a signal is no failure.
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
  })
)
