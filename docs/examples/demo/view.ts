/** What `npm run demo` shows: a picture for a terminal, a line for a pipe. Pure. */
import * as Output from "../../../src/cli/Output.ts"

/** A partition, as far as it was seen: offsets of the next record to be written, and to be handled. */
export interface Partition {
  end: number
  next: number
  /** The member that reads it; undefined while none does. */
  owner: string | undefined
}

/** Something that happened, and when, in milliseconds since the start. */
export interface Note {
  readonly at: number
  readonly text: string
}

/** What was seen of the run. */
export interface Seen {
  readonly total: number
  readonly title: string
  produced: number
  /** How often each record was handled, by its id. */
  readonly handled: Map<number, number>
  readonly byMember: Map<string, number>
  readonly partitions: ReadonlyArray<Partition>
  readonly notes: Array<Note>
}

/** How much was done up to a time; two of them are a rate. */
export interface Sample {
  readonly at: number
  readonly produced: number
  readonly handled: number
}

export const sample = (seen: Seen, at: number): Sample => ({ at, produced: seen.produced, handled: seen.handled.size })

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`.padStart(7)

/** What happened, in a line. */
export const noted = ({ at, text }: Note): string => `${seconds(at)}  ${text}`

const rate = (count: number, millis: number): string => `${Output.grouped(millis <= 0 ? 0 : (count * 1000) / millis)}/s`

const lag = ({ end, next }: Partition): number => Math.max(0, end - next)

const owned = (seen: Seen, member: string): string =>
  seen.partitions.flatMap(({ owner }, i) => (owner === member ? [i] : [])).join(" ") || "none"

/** The picture; `before` is a sample of about a second ago. */
export const picture = (seen: Seen, before: Sample, at: number, columns: number, color: boolean): Array<string> => {
  const now = sample(seen, at)
  const width = Math.max(8, Math.min(60, columns - 40))
  const line = (name: string, part: number, whole: number, rest: string) =>
    `${name.padEnd(13)}${Output.bar(whole <= 0 ? 0 : part / whole, width).padEnd(width)} ${rest}`
  const totals = (name: "produced" | "handled") =>
    line(
      name,
      now[name],
      seen.total,
      `${Output.grouped(now[name]).padStart(8)} ${rate(now[name] - before[name], at - before.at).padStart(9)}`
    )
  return [
    Output.paint(`${seen.title} ${seconds(at)}`, "head", color),
    totals("produced"),
    totals("handled"),
    "",
    ...seen.partitions.map((one, i) => {
      const text = line(
        `${i} of ${one.owner ?? "nobody"}`,
        one.next,
        seen.total / seen.partitions.length,
        `${Output.grouped(one.next).padStart(8)} lag ${Output.grouped(lag(one))}`
      )
      return Output.paint(text, one.owner === undefined ? "warn" : undefined, color)
    }),
    "",
    ...[...seen.byMember].map(
      ([name, count]) => `member ${name}: partitions ${owned(seen, name)}, ${Output.grouped(count)} handled`
    ),
    "",
    ...seen.notes.slice(-6).map((note) => Output.paint(noted(note), "dim", color))
  ].map((text) => (color ? text : text.slice(0, columns)))
}

/** The same in a line. */
export const line = (seen: Seen, before: Sample, at: number): string => {
  const members = [...seen.byMember.keys()].map((name) => `${name}: ${owned(seen, name)}`).join(", ")
  const behind = seen.partitions.reduce((sum, one) => sum + lag(one), 0)
  const now = sample(seen, at)
  return `${seconds(at)}  produced ${now.produced} (${rate(now.produced - before.produced, at - before.at)}), handled ${now.handled} (${rate(now.handled - before.handled, at - before.at)}), lag ${behind}; ${members}`
}

/** What was produced beside what was handled: nothing may be missing. */
export const comparison = (seen: Seen): { readonly ok: boolean; readonly text: string } => {
  let again = 0
  for (const times of seen.handled.values()) again += times - 1
  const missing = seen.produced - seen.handled.size
  const ok = missing === 0 && seen.produced === seen.total
  const of = seen.produced === seen.total ? "" : ` of ${seen.total}`
  return {
    ok,
    text: `${ok ? "ok" : "FAILED"}: ${seen.produced}${of} produced, ${seen.handled.size} handled, ${missing} missing, ${again} handled again`
  }
}
