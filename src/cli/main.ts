#!/usr/bin/env node
/** The command `samsa`: one file a subcommand. This is the only place that needs a platform; the library imports none. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Command from "effect/cli/Command"
import * as Runtime from "effect/Runtime"
import { readFileSync } from "node:fs"
import { embedded } from "./embedded.ts"

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  readonly version: string
}

const samsa = Command.make("samsa").pipe(
  Command.withDescription("Kafka at the command line"),
  Command.withSubcommands([embedded])
)

Command.runWith(samsa, { version })(process.argv.slice(2)).pipe(
  Effect.provide(NodeServices.layer),
  NodeRuntime.runMain({
    // What serves until it is told to stop has done its work when it is: a signal is no failure.
    teardown: (exit, onExit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
  })
)
