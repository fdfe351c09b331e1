/**
 * kcat (librdkafka) as the other client: it writes what we read, reads what we write, and is a member of our groups.
 * Keys, values and headers are text here.
 */
import { spawn } from "node:child_process"
import { Effect, Schema, type Scope } from "effect"
import * as Processes from "./Processes.ts"

export interface Record {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly headers: ReadonlyArray<readonly [name: string, value: string | null]>
  readonly key: string | null
  readonly value: string | null
}

/** What is the same for every use: where, and settings of librdkafka (`-X`). */
export interface Target {
  readonly bootstrap: ReadonlyArray<string>
  readonly topic: string
  readonly settings?: Readonly<globalThis.Record<string, string | number>>
}

const line = Schema.fromJsonString(
  Schema.Struct({
    topic: Schema.String,
    partition: Schema.Int,
    offset: Schema.Int,
    ts: Schema.optionalKey(Schema.Int),
    headers: Schema.optionalKey(Schema.Array(Schema.NullOr(Schema.String))),
    key: Schema.NullOr(Schema.String),
    payload: Schema.NullOr(Schema.String)
  })
)
const decode = Schema.decodeUnknownSync(line)

const parse = (text: string): Record => {
  const { topic, partition, offset, ts, headers = [], key, payload } = decode(text)
  const pairs = Array.from({ length: headers.length / 2 }, (_, i) => [headers[2 * i]!, headers[2 * i + 1]!] as const)
  return { topic, partition, offset, timestamp: ts ?? -1, headers: pairs, key, value: payload }
}

const base = (target: Target): ReadonlyArray<string> => [
  "kcat",
  "-b",
  target.bootstrap.join(","),
  ...Object.entries(target.settings ?? {}).flatMap(([key, value]) => ["-X", `${key}=${value}`])
]

/** Settings for brokers before 0.10, which cannot be asked for their versions. */
export const old = (version: string): globalThis.Record<string, string> =>
  version.startsWith("0.8") || version.startsWith("0.9")
    ? { "api.version.request": "false", "broker.version.fallback": version.startsWith("0.8") ? "0.8.2.2" : "0.9.0.1" }
    : {}

/** Writes records and waits for their acknowledgement. Headers are the same for all. */
export const produce = (
  target: Target & {
    readonly codec?: "none" | "gzip" | "snappy" | "lz4" | "zstd"
    readonly partition?: number
    readonly headers?: ReadonlyArray<readonly [name: string, value: string]>
  },
  records: ReadonlyArray<{ readonly key?: string; readonly value: string }>
): Effect.Effect<void, Processes.ProcessError> =>
  Processes.run(
    [
      ...base(target),
      "-P",
      "-t",
      target.topic,
      "-K",
      "\t",
      "-z",
      target.codec ?? "none",
      // an empty key or value is none
      "-Z",
      ...(target.partition === undefined ? [] : ["-p", String(target.partition)]),
      ...(target.headers ?? []).flatMap(([name, value]) => ["-H", `${name}=${value}`])
    ],
    { input: records.map((record) => `${record.key ?? ""}\t${record.value}\n`).join("") }
  ).pipe(Effect.asVoid)

/** A transaction of kcat's, which lasts for as long as its input. */
export interface Open {
  /** Hands records over. It reads blocks of some KiB: of a last one that is not full nothing is sent before its end. */
  readonly write: (values: ReadonlyArray<string>) => Effect.Effect<void>
  /** Ends its input: it commits. Gives how it has ended, and what it has said. */
  readonly commit: Effect.Effect<string>
  /** Ends it by SIGTERM: it aborts, or leaves that to whoever has its id next. */
  readonly abort: Effect.Effect<string>
  /** Ends it by SIGKILL: what it has begun is left open. */
  readonly kill: Effect.Effect<string>
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
}

/** Begins a transaction. It ends with the Scope by SIGKILL, if it has not by then. */
export const transaction = (
  target: Target & { readonly transactionalId: string }
): Effect.Effect<Open, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync((): Open => {
      const command = [...base(target), "-X", `transactional.id=${target.transactionalId}`, "-P", "-t", target.topic]
      const child = spawn(command[0]!, command.slice(1), { detached: true, stdio: ["pipe", "ignore", "pipe"] })
      Processes.guard(child)
      let log = ""
      let how: string | undefined
      child.stdin.on("error", () => {})
      child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()))
      child.once("close", (code, signal) => (how = `${signal ?? `exit ${code}`}\n${log}`))
      const end = Effect.callback<string>((resume) => {
        if (how !== undefined) return resume(Effect.succeed(how))
        child.once("close", () => resume(Effect.succeed(how!)))
      })
      const by = (signal: NodeJS.Signals) =>
        Effect.andThen(
          Effect.sync(() => void child.kill(signal)),
          end
        )
      return {
        write: (values) => Effect.sync(() => void child.stdin.write(values.map((value) => `${value}\n`).join(""))),
        commit: Effect.andThen(
          Effect.sync(() => void child.stdin.end()),
          end
        ),
        // It reads on when it has heard the signal: until there is an end.
        abort: Effect.suspend(() => {
          child.kill("SIGTERM")
          child.stdin.end()
          return end
        }),
        kill: by("SIGKILL"),
        freeze: Effect.sync(() => void child.kill("SIGSTOP")),
        thaw: Effect.sync(() => void child.kill("SIGCONT"))
      }
    }),
    (it) => it.kill
  )

/** Reads a whole topic, from the beginning to what is its end now, in the order of partition and offset. */
export const consume = (
  target: Target & { readonly isolation?: "read_committed" | "read_uncommitted" }
): Effect.Effect<ReadonlyArray<Record>, Processes.ProcessError> =>
  Processes.run([
    ...base(target),
    "-C",
    "-t",
    target.topic,
    "-o",
    "beginning",
    "-e",
    "-q",
    "-J",
    "-X",
    "check.crcs=true",
    ...(target.isolation === undefined ? [] : ["-X", `isolation.level=${target.isolation}`])
  ]).pipe(
    Effect.map((text) =>
      text
        .split("\n")
        .filter((each) => each !== "")
        .map(parse)
        .sort((a, b) => a.partition - b.partition || a.offset - b.offset)
    )
  )

/** A member of a group. */
export interface Member {
  /** What it has read so far. */
  readonly records: ReadonlyArray<Record>
  /** What it holds now, as kcat prints it: `orders [0]`. */
  readonly assigned: () => ReadonlyArray<string>
  /** How often it was assigned anything. */
  readonly assignments: () => number
  /** Waits until this holds, looked at whenever it reads or is assigned something. */
  readonly until: (what: string, holds: () => boolean) => Effect.Effect<void>
  /** Leaves the group, with its offsets committed. */
  readonly leave: Effect.Effect<void>
  /** What it wrote to its error output. */
  readonly log: () => string
}

/** Joins a group; leaves it with the Scope. */
export const member = (target: Target & { readonly group: string }): Effect.Effect<Member, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const command = [
        ...base(target),
        "-X",
        "auto.offset.reset=earliest",
        "-X",
        "session.timeout.ms=6000",
        "-X",
        "auto.commit.interval.ms=100",
        "-G",
        target.group,
        "-J",
        "-u",
        target.topic
      ]
      const child = spawn(command[0]!, command.slice(1), { detached: true, stdio: ["ignore", "pipe", "pipe"] })
      Processes.guard(child)
      const records: Array<Record> = []
      const waiting = new Set<() => void>()
      let assigned: ReadonlyArray<string> = []
      let assignments = 0
      let log = ""
      let ended = false
      const changed = () => {
        for (const look of waiting) look()
      }
      const lines = (stream: NodeJS.ReadableStream, each: (text: string) => void) => {
        let rest = ""
        stream.on("data", (chunk: Buffer) => {
          const parts = (rest + chunk.toString()).split("\n")
          rest = parts.pop()!
          parts.forEach(each)
          changed()
        })
      }
      lines(child.stdout, (text) => records.push(parse(text)))
      lines(child.stderr, (text) => {
        log += text + "\n"
        const rebalanced = /rebalanced \(.*\): (assigned|revoked):?\s*(.*)$/.exec(text)
        if (rebalanced === null) return
        assigned = rebalanced[1] === "assigned" ? rebalanced[2]!.split(", ").filter((each) => each !== "") : []
        if (rebalanced[1] === "assigned") assignments++
      })
      const end = Effect.callback<void>((resume) => {
        if (ended) return resume(Effect.void)
        child.once("close", () => resume(Effect.void))
      })
      child.once("close", (code, signal) => {
        log += `ended: ${signal ?? code}\n`
        ended = true
      })
      const member: Member = {
        records,
        assigned: () => assigned,
        assignments: () => assignments,
        until: (what, holds) =>
          Effect.callback<void>((resume) => {
            const look = () => {
              if (!holds()) return
              waiting.delete(look)
              resume(Effect.void)
            }
            waiting.add(look)
            look()
            return Effect.sync(() => waiting.delete(look))
          }).pipe(
            Effect.timeoutOrElse({
              duration: "60 seconds",
              orElse: () =>
                Effect.die(
                  new Error(
                    `kcat: ${what}: not within 60 seconds; it holds ${assigned.join()}, read ${records.length}\n${log}`
                  )
                )
            })
          ),
        leave: Effect.suspend(() => {
          if (ended) return Effect.void
          child.kill("SIGTERM")
          return Effect.timeoutOrElse(end, {
            duration: "10 seconds",
            orElse: () => Effect.sync(() => void child.kill("SIGKILL"))
          })
        }),
        log: () => log
      }
      return member
    }),
    (it) => it.leave
  )
