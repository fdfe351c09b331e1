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
  stdin: "pipe" | number = "pipe",
  stdout: "pipe" | number = "pipe"
): Child =>
  spawn(process.execPath, ["--conditions=samsa-source", main, ...args], {
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: [stdin, stdout, "pipe"]
  }) as Child

/** What it ends with, and what it says; interrupted, it is killed. */
export const ended = (child: Child): Effect.Effect<Pick<Ended, "code" | "error">> =>
  Effect.callback((resume) => {
    let error = ""
    child.stderr.on("data", (chunk: Buffer) => void (error += chunk.toString()))
    child.once("close", (code) => resume(Effect.succeed({ code, error })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Runs `samsa` to its end, with an input, or with what is at a path as its input. */
export const samsa = (
  args: ReadonlyArray<string>,
  options: {
    readonly input?: string | Uint8Array
    readonly file?: string
    readonly env?: Readonly<Record<string, string>>
  } = {}
): Effect.Effect<Ended> =>
  Effect.suspend(() => {
    const file = options.file === undefined ? undefined : openSync(options.file, "r")
    const child = spawned(args, options.env, file)
    if (file !== undefined) closeSync(file)
    let out = ""
    child.stdout.on("data", (chunk: Buffer) => void (out += chunk.toString()))
    if (file === undefined) {
      child.stdin.on("error", () => {})
      child.stdin.end(options.input ?? "")
    }
    return Effect.map(ended(child), ({ code, error }) => ({ code, out, error }))
  })

/** The words of each line. */
export const words = (text: string): ReadonlyArray<ReadonlyArray<string>> =>
  text
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/))

/**
 * Runs `samsa` on a terminal (that of script(1), of util-linux): `steps` are what to type once a text is there. Gives
 * all that the terminal was shown; the terminal ends lines by `\r\n`.
 */
export const onTerminal = (
  args: ReadonlyArray<string>,
  steps: ReadonlyArray<readonly [seen: string, type: string]> = [],
  env: Readonly<Record<string, string | undefined>> = {}
): Effect.Effect<Omit<Ended, "error">> =>
  Effect.callback((resume) => {
    const words = [process.execPath, "--conditions=samsa-source", main, ...args]
    const command = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ")
    const child = spawn("script", ["-qefc", `exec ${command}`, "/dev/null"], {
      env: { ...process.env, TERM: "xterm-256color", SHELL: "/bin/sh", CI: undefined, NO_COLOR: undefined, ...env },
      stdio: ["pipe", "pipe", "inherit"]
    })
    let out = ""
    let looked = 0
    const left = [...steps]
    child.stdin.on("error", () => {})
    child.stdout.on("data", (chunk: Buffer) => {
      out += chunk.toString()
      for (let step = left[0]; step !== undefined && out.includes(step[0], looked); step = left[0]) {
        looked = out.indexOf(step[0], looked) + step[0].length
        child.stdin.write(step[1])
        left.shift()
      }
    })
    child.once("close", (code) => {
      child.stdin.destroy()
      resume(Effect.succeed({ code, out }))
    })
    return Effect.sync(() => child.kill("SIGKILL"))
  })
