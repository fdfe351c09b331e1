/** The golden bytes of the Java client: `test/golden`. */
import type * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"
import * as Api from "../../../src/protocol/Api.ts"
import * as ConsumerProtocol from "../../../src/protocol/messages/ConsumerProtocol.ts"
import * as Header from "../../../src/protocol/messages/Header.ts"
import type * as Wire from "../../../src/protocol/Wire.ts"

export interface Line {
  readonly api: string
  readonly key?: number
  readonly type: "request" | "response" | "header" | "data"
  readonly version: number
  readonly variant: string
  readonly headerVersion?: number
  readonly unstable?: boolean
  /** Of `reject` and `ignored`: the path of the field that the version lacks, in Java's spelling. */
  readonly field?: string
  readonly json: unknown
  readonly hex: string
}

/** Every message of the library. */
export const messages: ReadonlyArray<Wire.Message<Schema.Top>> = [
  ...Api.all.flatMap((api) => [api.Request, api.Response]),
  ...Object.values(Header),
  ...Object.values(ConsumerProtocol)
]

const byName = new Map(messages.map((message) => [message.name, message]))

/** The message of a line: by key, because APIs were renamed. */
export const messageOf = (line: Line): Wire.Message<Schema.Top> => {
  const api = line.key === undefined ? undefined : Api.byKey(line.key)
  const message = api === undefined ? byName.get(line.api) : line.type === "request" ? api.Request : api.Response
  if (message === undefined) throw new Error(`no message for ${line.api} ${line.type}`)
  return message
}

export const lines: ReadonlyArray<Line> = gunzipSync(
  readFileSync(new URL("../../golden/messages.jsonl.gz", import.meta.url))
)
  .toString()
  .trimEnd()
  .split("\n")
  .map((line) => JSON.parse(line))

export const show = (line: Line): string =>
  `${messageOf(line).name} v${line.version} ${line.variant}${line.field === undefined ? "" : ` ${line.field}`}`

/** Java's spelling of a path to the library's: `Topics.TopicId` to `topics`, `topicId`. */
export const pathOf = (field: string): ReadonlyArray<string> =>
  field.split(".").map((name) => name[0]!.toLowerCase() + name.slice(1))
