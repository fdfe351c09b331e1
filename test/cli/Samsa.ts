/** The command as a process: what it prints on both streams, and its exit code. */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import * as path from "node:path"
import { Effect } from "effect"

const main = path.join(import.meta.dirname, "../../src/cli/main.ts")

export interface Ended {
  readonly code: number | null
  readonly out: string
  readonly error: string
}

export type Child = ChildProcessWithoutNullStreams

/** `samsa` as a process, its streams pipes. */
export const spawned = (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
  stdin: "pipe" | number = "pipe"
): Child =>
  spawn(process.execPath, ["--conditions=samsa-source", main, ...args], {
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: [stdin, "pipe", "pipe"]
  }) as Child

/** Runs `samsa` to its end, with an input, or with what is at a path as its input. */
export const samsa = (
  args: ReadonlyArray<string>,
  options: {
    readonly input?: string | Uint8Array
    readonly file?: string
    readonly env?: Readonly<Record<string, string>>
  } = {}
): Effect.Effect<Ended> =>
  Effect.callback((resume) => {
    const file = options.file === undefined ? undefined : openSync(options.file, "r")
    const child = spawned(args, options.env, file)
    if (file !== undefined) closeSync(file)
    let [out, error] = ["", ""]
    child.stdout.on("data", (chunk: Buffer) => void (out += chunk.toString()))
    child.stderr.on("data", (chunk: Buffer) => void (error += chunk.toString()))
    if (file === undefined) {
      child.stdin.on("error", () => {})
      child.stdin.end(options.input ?? "")
    }
    child.once("close", (code) => resume(Effect.succeed({ code, out, error })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** The words of each line. */
export const words = (text: string): ReadonlyArray<ReadonlyArray<string>> =>
  text
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
