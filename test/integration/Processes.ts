/**
 * Child processes that do not outlive us: each runs in a process group of its own, and a guardian in the shell kills
 * what is left and removes the folder when this process ends in whatever way, by SIGKILL too.
 */
import { spawn, type ChildProcess } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { Data, Deferred, Effect, Exit, Schedule } from "effect"

/** A program could not be started, or ended otherwise than it should. */
export class ProcessError extends Data.TaggedError("ProcessError")<{ readonly message: string }> {}

/** A running (or ended) program. */
export interface Child {
  readonly pid: number
  readonly ended: () => string | undefined
  /** Completes when it has ended, with how: `exit 0`, `SIGKILL`. */
  readonly end: Effect.Effect<string>
  readonly signal: (signal: NodeJS.Signals) => void
}

// Reads "+ PID" and "- PID"; at the end of its input, which is our end, it kills the groups that are left. (The kill of
// dash takes no "--".)
const guardianScript = `
pids=" "
while read -r op pid; do
  case $op in
    +) pids="$pids$pid " ;;
    -) case $pids in *" $pid "*) pids="\${pids%% $pid *} \${pids#* $pid }" ;; esac ;;
  esac
done
for pid in $pids; do kill -KILL "-$pid"; done 2>/dev/null
rm -rf -- "$1"
`

interface Guardian {
  readonly folder: string
  readonly tell: (line: string) => void
}

let guardian: Guardian | undefined

const guarded = (): Guardian => {
  if (guardian === undefined) {
    const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "samsa-"))
    const child = spawn("sh", ["-c", guardianScript, "guardian", folder], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"]
    })
    child.on("error", () => {})
    child.stdin.on("error", () => {})
    child.unref()
    ;(child.stdin as unknown as { unref?: () => void }).unref?.()
    guardian = { folder, tell: (line) => void child.stdin.write(line + "\n") }
  }
  return guardian
}

let folders = 0

/** A new folder, removed with the Scope, or else with this process. */
export const folder = (name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const path = Path.join(guarded().folder, `${name}-${folders++}`)
      Fs.mkdirSync(path, { recursive: true })
      return path
    }),
    (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true, maxRetries: 5 }))
  )

/** Hands a process over to the guardian. */
export const guard = (process: ChildProcess): void => {
  const pid = process.pid
  if (pid === undefined) return
  const { tell } = guarded()
  tell(`+ ${pid}`)
  process.once("exit", () => tell(`- ${pid}`))
}

/** Starts a program whose output goes to a file. It is not stopped with a Scope: that is the caller's. */
export const start = (
  command: ReadonlyArray<string>,
  options: { readonly folder: string; readonly output: string }
): Effect.Effect<Child, ProcessError> =>
  Effect.callback((resume) => {
    const out = Fs.openSync(options.output, "a")
    const child = spawn(command[0]!, command.slice(1), {
      cwd: options.folder,
      detached: true,
      stdio: ["ignore", out, out]
    })
    Fs.closeSync(out)
    child.once("error", (error) =>
      resume(Effect.fail(new ProcessError({ message: `${command[0]} did not start: ${error.message}` })))
    )
    child.once("spawn", () => {
      guard(child)
      child.unref()
      let ended: string | undefined
      const end = Deferred.makeUnsafe<string>()
      child.once("exit", (code, signal) => {
        ended = signal ?? `exit ${code}`
        Deferred.doneUnsafe(end, Exit.succeed(ended))
      })
      resume(
        Effect.succeed({
          pid: child.pid!,
          ended: () => ended,
          end: Deferred.await(end),
          signal: (signal) => {
            if (ended === undefined) process.kill(child.pid!, signal)
          }
        })
      )
    })
  })

/** Whether every thread of a process stands still: the signal is with them some time after `kill` has returned. */
const isPaused = (pid: number): boolean => {
  try {
    return Fs.readdirSync(`/proc/${pid}/task`).every((thread) => {
      const stat = Fs.readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8")
      return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T")
    })
  } catch {
    // A thread has ended while we looked, or there is no /proc: the signal was sent, more is not known.
    return !Fs.existsSync("/proc/self/task")
  }
}

/** Pauses a program, and waits until all of it stands still. */
export const pause = (child: Child): Effect.Effect<void> =>
  Effect.suspend(() => {
    child.signal("SIGSTOP")
    return Effect.repeat(
      Effect.sync(() => isPaused(child.pid)),
      { schedule: Schedule.spaced("5 millis"), until: (paused) => paused }
    )
  }).pipe(Effect.asVoid)

/** Ends a program: SIGTERM, and after the grace SIGKILL. Completes when it has ended. */
export const stop = (child: Child, graceMillis: number): Effect.Effect<void> =>
  Effect.suspend(() => {
    child.signal("SIGCONT")
    child.signal("SIGTERM")
    return child.end.pipe(
      Effect.timeoutOrElse({
        duration: graceMillis,
        orElse: () =>
          Effect.suspend(() => {
            child.signal("SIGKILL")
            return child.end
          })
      }),
      Effect.asVoid
    )
  })

/** Runs a program to its end and gives what it printed; fails with all of it where the exit code is not 0. */
export const run = (
  command: ReadonlyArray<string>,
  options: { readonly folder?: string; readonly input?: string | Uint8Array; readonly env?: NodeJS.ProcessEnv } = {}
): Effect.Effect<string, ProcessError> =>
  Effect.callback((resume) => {
    const child = spawn(command[0]!, command.slice(1), {
      cwd: options.folder,
      env: options.env ?? process.env,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"]
    })
    guard(child)
    const out: Array<Buffer> = []
    const err: Array<Buffer> = []
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
    child.stdin.on("error", () => {})
    child.stdin.end(options.input ?? "")
    child.once("error", (error) =>
      resume(Effect.fail(new ProcessError({ message: `${command[0]} did not start: ${error.message}` })))
    )
    child.once("close", (code, signal) => {
      const text = Buffer.concat(out).toString()
      resume(
        code === 0
          ? Effect.succeed(text)
          : Effect.fail(
              new ProcessError({
                message: `${command.join(" ").slice(0, 400)}: ${signal ?? `exit ${code}`}\n${Buffer.concat(err).toString().slice(-4000)}${text.slice(-4000)}`
              })
            )
      )
    })
    return Effect.sync(() => void child.kill("SIGKILL"))
  })
