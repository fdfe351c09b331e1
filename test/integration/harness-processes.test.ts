/** What the harness starts does not outlive the tests, however they end. */
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, it } from "@effect/vitest"
import { Effect, Schedule } from "effect"

const running = (pid: number): boolean => {
  try {
    // a process that nobody has waited for yet is dead all the same
    return !/^\d+ \(.*\) Z/.test(Fs.readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

it.live("a test process that is killed leaves no process and no folder behind", () =>
  Effect.gen(function* () {
    const child = spawn(process.execPath, [Path.join(import.meta.dirname, "orphans.ts")], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    const line = yield* Effect.callback<string>((resume) => {
      child.stdout.once("data", (chunk: Buffer) => resume(Effect.succeed(chunk.toString())))
    })
    const { folder, alive, gone } = JSON.parse(line) as {
      readonly folder: string
      readonly alive: ReadonlyArray<number>
      readonly gone: number
    }
    assert.deepStrictEqual(alive.map(running), [true, true])
    assert.isFalse(running(gone))
    assert.isTrue(Fs.existsSync(folder))
    child.kill("SIGKILL")
    yield* Effect.suspend(() =>
      alive.some(running) || Fs.existsSync(folder) ? Effect.fail("still there") : Effect.void
    ).pipe(Effect.retry({ schedule: Schedule.spaced("20 millis"), times: 250 }))
  })
)
