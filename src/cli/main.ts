#!/usr/bin/env node
/**
 * The command `samsa`: one file a subcommand, of which the one that is asked for is loaded. This is the only place that
 * needs a platform; the library imports none.
 *
 * What is here comes before everything else is loaded: compiled code is kept in Node.js's compile cache, which halves
 * the time that a command takes to start. `NODE_DISABLE_COMPILE_CACHE=1` does without.
 */
import { enableCompileCache } from "node:module"

enableCompileCache()

await import("./samsa.ts")
