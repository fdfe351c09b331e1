/**
 * What a broker said, as a value that can be compared with what another said: names in the place of ids, in the order in
 * which they occur; `now` in the place of the present; records as text. Codes, offsets, epochs, shapes and order stay.
 */
import { zeroId } from "../../src/testing/embedded/Runtime.ts"
import * as Records from "../../src/protocol/records/Records.ts"

export type Answer = null | boolean | number | string | ReadonlyArray<Answer> | { readonly [name: string]: Answer }

const dropped = new Set(["throttleTimeMs", "host", "port"])
/** Texts are written for people: only whether there is one. */
const messages = new Set(["errorMessage", "batchIndexErrorMessage", "documentation"])
const symbols: { readonly [field: string]: string } = {
  topicId: "topic",
  memberId: "member",
  leader: "member",
  producerId: "producer",
  sessionId: "session",
  clusterId: "cluster"
}
/** Records that tests send are of 2023: what is later is the present. */
const present = 1_750_000_000_000
const farFuture = 4_000_000_000_000

const text = (bytes: Uint8Array | null): string => (bytes === null ? "null" : new TextDecoder().decode(bytes))
const time = (millis: number): Answer => (millis > present && millis < farFuture ? "now" : millis)

/** Turns values into answers; what it has named once keeps its name. */
export const normaliser = (): ((value: unknown) => Answer) => {
  const names = new Map<string, Map<string, string>>()
  const named = (kind: string, id: string): string => {
    let known = names.get(kind)
    if (known === undefined) names.set(kind, (known = new Map()))
    let name = known.get(id)
    if (name === undefined) known.set(id, (name = `${kind}-${known.size + 1}`))
    return name
  }

  const symbol = (field: string, value: unknown): Answer | undefined => {
    const kind = symbols[field]
    if (kind === undefined || value === null || value === "" || value === -1) return undefined
    if (value === 0 && field !== "producerId") return undefined
    if (typeof value !== "string" && (typeof value !== "number" || field === "leader")) return undefined
    return value === zeroId ? "zero" : named(kind, String(value))
  }

  /** The order of members has no meaning: who is known first comes first, then by what is told of them. */
  const ordered = (members: ReadonlyArray<any>): ReadonlyArray<unknown> => {
    const keyOf = ({ memberId, ...rest }: { readonly memberId?: string }) =>
      `${names.get("member")?.get(memberId ?? "") ?? "~"} ${JSON.stringify(rest)}`
    return Array.from(members).sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  }

  const records = (bytes: Uint8Array): Answer => {
    if (bytes.length === 0) return "none"
    const { batches, failure, partial } = Records.decode(bytes)
    const read: Array<Answer> = batches.map((batch) => ({
      magic: batch.magic,
      offsets: `${batch.baseOffset}-${batch.lastOffset}`,
      codec: batch.compression,
      times: batch.timestampType,
      ...(batch.magic === 2
        ? {
            epoch: batch.partitionLeaderEpoch,
            producer: batch.producerId < 0 ? -1 : named("producer", String(batch.producerId)),
            producerEpoch: batch.producerEpoch,
            sequence: batch.baseSequence
          }
        : {}),
      ...(batch.isTransactional ? { transactional: true } : {}),
      records: batch.isControl
        ? batch.records.map((record) => `${record.offset} ${Records.controlType(record)}`)
        : batch.records.map((record) => {
            const headers = record.headers.map(([name, value]) => ` ${name}:${text(value)}`).join("")
            return `${record.offset} ${text(record.key)}=${shorten(text(record.value))} @${time(record.timestamp)}${headers}`
          })
    }))
    if (failure !== undefined) read.push({ failure: failure.reason._tag })
    if (partial !== undefined)
      read.push({ partial: partial.bytes, ...(partial.size === undefined ? {} : { size: partial.size }) })
    return read
  }

  const answer = (value: unknown, field = ""): Answer => {
    if (value === undefined) return null
    if (messages.has(field) && typeof value === "string") return value === "" ? "" : "…"
    const known = symbol(field, value)
    if (known !== undefined) return known
    if (value === null || typeof value === "boolean" || typeof value === "string") return value
    if (typeof value === "number") return time(value)
    if (value instanceof Uint8Array) return field === "records" ? records(value) : text(value)
    if (Array.isArray(value)) return (field === "members" ? ordered(value) : value).map((each) => answer(each, field))
    if (typeof value === "object") {
      const out: { [name: string]: Answer } = {}
      for (const [name, inner] of Object.entries(value)) if (!dropped.has(name)) out[name] = answer(inner, name)
      return out
    }
    throw new Error(`no answer can be made of ${String(value)}`)
  }
  return answer
}

const shorten = (value: string): string => (value.length > 40 ? `${value.slice(0, 8)}…${value.length}` : value)

/** One entry for each run of versions with the same answer: `{ "0-2": …, "3": … }`. */
export const byVersion = (answers: ReadonlyArray<readonly [version: number, answer: Answer]>): Answer => {
  const out: { [versions: string]: Answer } = {}
  for (let from = 0; from < answers.length;) {
    const same = JSON.stringify(answers[from]![1])
    let to = from
    while (to + 1 < answers.length && JSON.stringify(answers[to + 1]![1]) === same) to++
    const [first, last] = [answers[from]![0], answers[to]![0]]
    out[first === last ? `v${first}` : `v${first}-v${last}`] = answers[from]![1]
    from = to + 1
  }
  return out
}
