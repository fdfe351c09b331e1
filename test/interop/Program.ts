/** A foreign program that prints lines: read as they come, waited for, told to end, and gone with the Scope. */
import { spawn } from "node:child_process"
import { Effect, Exit, type Scope } from "effect"
import * as Processes from "../integration/Processes.ts"

/** How long anything may take that a program is waited for. */
export const patience = "60 seconds"

export interface Options<E> {
  readonly command: ReadonlyArray<string>
  readonly env?: Readonly<Record<string, string>>
  /** Of a line of its output; undefined where it says nothing. */
  readonly parse: (line: string) => E | undefined
}

export interface Program<E> {
  readonly events: ReadonlyArray<E>
  /** Waits until this holds, looked at after each line; dies where it does not in time, or the program ends before. */
  readonly until: (what: string, holds: () => boolean) => Effect.Effect<void>
  /** How it ended: `exit 0`, `SIGKILL`. Dies where it does not end in time. */
  readonly end: Effect.Effect<string>
  readonly signal: (signal: NodeJS.Signals) => Effect.Effect<void>
}

/** Starts a program; killed with the Scope, its error output shown where the Scope fails. */
export const start = <E>(options: Options<E>): Effect.Effect<Program<E>, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => launch(options)),
      ({ ended, kill, log }, exit) =>
        Effect.suspend(() => {
          kill()
          if (Exit.isFailure(exit)) process.stderr.write(log())
          return ended
        })
    ),
    ({ program }) => program
  )

const launch = <E>({ command, env, parse }: Options<E>) => {
  const child = spawn(command[0]!, command.slice(1), {
    detached: true,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  Processes.guard(child)
  const events: Array<E> = []
  const errors: Array<string> = []
  const waiting = new Set<() => void>()
  let end: string | undefined
  const changed = () => {
    for (const look of Array.from(waiting)) look()
  }
  const lines = (stream: NodeJS.ReadableStream, each: (line: string) => void) => {
    let rest = ""
    stream.setEncoding("utf8")
    stream.on("data", (chunk: string) => {
      const parts = (rest + chunk).split("\n")
      rest = parts.pop()!
      parts.forEach(each)
      changed()
    })
  }
  const note = (line: string) => {
    errors.push(line)
    if (errors.length > 200) errors.splice(0, 100)
  }
  lines(child.stdout, (line) => {
    let event: E | undefined
    try {
      event = parse(line)
    } catch (error) {
      note(`cannot be read (${String(error)}): ${line.slice(0, 500)}`)
    }
    if (event !== undefined) events.push(event)
  })
  lines(child.stderr, note)
  child.once("error", (error) => {
    note(error.message)
    end = "not started"
    changed()
  })
  child.once("close", (code, signal) => {
    end = signal ?? `exit ${code}`
    changed()
  })

  const log = () => `--- ${command.join(" ").slice(0, 300)}\n${errors.slice(-60).join("\n")}\n--- ${end ?? "running"}\n`
  const wait = (holds: () => boolean) =>
    Effect.callback<void>((resume) => {
      const look = () => {
        if (!holds()) return
        waiting.delete(look)
        resume(Effect.void)
      }
      waiting.add(look)
      look()
      return Effect.sync(() => waiting.delete(look))
    })
  const within = (what: string, holds: () => boolean, mayEnd: boolean) =>
    Effect.suspend(() => {
      const fail = (why: string) =>
        Effect.die(
          new Error(`${what}: ${why}; last of ${events.length}: ${JSON.stringify(events.slice(-3))}\n${log()}`)
        )
      return wait(() => holds() || end !== undefined).pipe(
        Effect.andThen(Effect.suspend(() => (mayEnd || holds() ? Effect.void : fail(`it ended before (${end})`)))),
        Effect.timeoutOrElse({ duration: patience, orElse: () => fail(`not within ${patience}`) })
      )
    })
  const program: Program<E> = {
    events,
    until: (what, holds) => within(what, holds, false),
    end: Effect.map(
      within("it ends", () => end !== undefined, true),
      () => end!
    ),
    signal: (signal) =>
      Effect.sync(() => {
        if (end === undefined) child.kill(signal)
      })
  }
  return {
    program,
    log,
    kill: () => void (end === undefined && child.kill("SIGKILL")),
    ended: wait(() => end !== undefined)
  }
}
