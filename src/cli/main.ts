#!/usr/bin/env node
/**
 * The command `samsa`: one file a subcommand, of which the one that is asked for is loaded. This is the only place that
 * needs a platform; the library imports none.
 *
 * What is here comes before everything else is loaded: compiled code is kept in Node.js's compile cache, which halves
 * the time that a command takes to start. `NODE_DISABLE_COMPILE_CACHE=1` does without.
 */
import * as Module from "node:module"

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
if (major > 22 || (major === 22 && minor >= 19)) {
  Module.enableCompileCache()
  await import("./samsa.ts")
} else {
  process.stderr.write(`samsa needs Node.js 22.19 or newer; this is ${process.versions.node}\n`)
  process.exitCode = 2
}
