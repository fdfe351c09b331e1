/**
 * A client in a program of ours in another language: `COMMAND VERB OPTIONS`, where the options are JSON, the records
 * to write come in a file, and everything it says is a line of JSON. Bytes are in base64. The programs are in `python` and `go`.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Effect, type Scope } from "effect"
import * as Processes from "../integration/Processes.ts"
import {
  inOrder,
  type Administration,
  type Client,
  type Member,
  type Metadata,
  type Received,
  type Record
} from "./Client.ts"
import * as Program from "./Program.ts"

export interface Options {
  readonly command: ReadonlyArray<string>
  readonly bootstrap: ReadonlyArray<string>
  readonly can: Client["can"]
  /** Its session time-out cannot be set below half a minute: who is killed would be waited for too long. */
  readonly longSession?: boolean
  /** What the program is told beside the rest. */
  readonly settings?: Readonly<globalThis.Record<string, unknown>>
}

interface WireRecord {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: ReadonlyArray<readonly [string, string | null]>
}

type Said =
  | ({ readonly event: "record" } & WireRecord)
  | { readonly event: "assigned"; readonly partitions: ReadonlyArray<number> }
  | ({ readonly event: "metadata" } & Metadata)
  | ({ readonly event: "admin" } & Administration)
  | { readonly event: "offsets"; readonly offsets: ReadonlyArray<number> }
  | { readonly event: "done" }

type Of<E extends Said["event"]> = Extract<Said, { readonly event: E }>

export interface Worker extends Client {
  /** Runs a verb to its end and gives the records that it read. */
  readonly records: (
    verb: string,
    options: Readonly<globalThis.Record<string, unknown>>
  ) => Effect.Effect<ReadonlyArray<Received>, Processes.ProcessError>
}

const encode = (text: string | null) => (text === null ? null : Buffer.from(text, "latin1").toString("base64"))
const decode = (text: string | null) => (text === null ? null : Buffer.from(text, "base64").toString("latin1"))

const parse = (line: string): Said | undefined => (line.startsWith("{") ? (JSON.parse(line) as Said) : undefined)

const received = ({ headers, key, offset, partition, timestamp, value }: WireRecord): Received => ({
  partition,
  offset,
  timestamp,
  key: decode(key),
  value: decode(value),
  headers: headers.map(([name, value]) => [name, decode(value)] as const)
})

const sent = (records: ReadonlyArray<Record>): string =>
  JSON.stringify(
    records.map(({ headers, key, partition, timestamp, value }) => ({
      partition,
      timestamp: timestamp ?? null,
      key: encode(key),
      value: encode(value),
      headers: headers.map(([name, value]) => [name, encode(value)])
    }))
  )

const is =
  <E extends Said["event"]>(event: E) =>
  (said: Said): said is Of<E> =>
    said.event === event

export const make = (options: Options): Worker => {
  const { bootstrap, can, command, settings } = options
  const line = (verb: string, more: object) => [
    ...command,
    verb,
    JSON.stringify({ ...settings, bootstrap: bootstrap.join(","), ...more })
  ]
  const call = (verb: string, more: object): Effect.Effect<ReadonlyArray<Said>, Processes.ProcessError> =>
    Processes.run(line(verb, more)).pipe(
      Effect.timeoutOrElse({
        duration: Program.patience,
        orElse: () =>
          Effect.fail(new Processes.ProcessError({ message: `${verb} does not end within ${Program.patience}` }))
      }),
      Effect.map((text) => text.split("\n").flatMap((each) => parse(each) ?? []))
    )
  const one = <E extends Said["event"]>(verb: string, event: E, more: object) =>
    Effect.map(call(verb, more), (all) => all.find(is(event))!)

  const records = (verb: string, more: object) =>
    Effect.map(call(verb, more), (all) => all.filter(is("record")).map(received))

  return {
    can,
    records,
    produce: (topic, records, { codec = "none", idempotent = false } = {}) =>
      Effect.gen(function* () {
        const folder = yield* Processes.folder("records")
        const file = Path.join(folder, "records.json")
        Fs.writeFileSync(file, sent(records))
        yield* call("produce", { topic, codec, idempotent, records: file })
      }).pipe(Effect.scoped),
    consume: (topic, { committed = false } = {}) => Effect.map(records("consume", { topic, committed }), inOrder),
    copy: (copy) => Effect.asVoid(call("copy", copy)),
    member: (topic, group): Effect.Effect<Member, never, Scope.Scope> =>
      Effect.gen(function* () {
        const records: Array<Received> = []
        let assigned: ReadonlyArray<number> = []
        const { end, signal, until } = yield* Program.start({
          command: line("member", { topic, group }),
          parse: (text) => {
            const said = parse(text)
            if (said?.event === "record") records.push(received(said))
            if (said?.event === "assigned") assigned = said.partitions
            return said
          }
        })
        return {
          records,
          assigned: () => assigned,
          until,
          leave: Effect.gen(function* () {
            yield* signal("SIGTERM")
            const how = yield* end
            if (how !== "exit 0") return yield* Effect.die(new Error(`the member that was to leave ended so: ${how}`))
          }),
          ...(options.longSession === true ? {} : { kill: Effect.andThen(signal("SIGKILL"), Effect.asVoid(end)) })
        }
      }),
    metadata: (topic) => one("metadata", "metadata", { topic }),
    administer: (topic, group) => Effect.map(one("admin", "admin", { topic, group }), ({ event, ...seen }) => seen),
    offsetsFor: (topic, timestamp) =>
      Effect.map(one("offsets", "offsets", { topic, timestamp }), ({ offsets }) => offsets)
  }
}
