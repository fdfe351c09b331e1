/** Pure. How far groups are behind, as a picture of a terminal's size: bars, and how fast they grow or shrink. */
import type { GroupLag } from "../Admin.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Output from "./Output.ts"

/** What was seen at a time, in milliseconds since 1970. */
export interface Seen {
  readonly at: number
  readonly lags: ReadonlyArray<GroupLag>
}

interface Screen {
  readonly columns: number
  readonly rows: number
  readonly color: boolean
}

/** Records a second by which a lag grew since; undefined where it was not known. */
export const rate = (now: number | undefined, before: number | undefined, millis: number): number | undefined =>
  now === undefined || before === undefined || millis <= 0 ? undefined : ((now - before) * 1000) / millis

const rateOf = (value: number | undefined): string =>
  value === undefined ? "" : `${value > 0 ? "+" : value < 0 ? "-" : "±"}${Output.grouped(Math.abs(value))}/s`

/** When a group has caught up, if it goes on so: `4m 10s`; empty where it does not. */
export const remaining = (lag: number, value: number | undefined): string => {
  if (value === undefined || value >= 0 || lag <= 0) return ""
  const seconds = Math.ceil(lag / -value)
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  return hours > 0 ? `${hours}h ${minutes}m` : minutes > 0 ? `${minutes}m ${seconds % 60}s` : `${seconds}s`
}

/** The tasks of streams are no partitions: what they have not committed yet is not counted. */
const ofWhat = ({ type }: GroupLag): string => (type === "streams" ? " in what is committed" : "")

/** A group in a line. What it has no commit of is no lag, and is not 0 either. */
export const summary = (one: GroupLag): string => {
  const { group, partitions, state, total } = one
  const without = partitions.filter(({ committed }) => committed === undefined).length
  const more = without === 0 ? "" : `; of ${without} of ${partitions.length} partitions nothing is committed`
  return `${group}: ${state}, ${total} ${total === 1 ? "record" : "records"} behind${ofWhat(one)}${more}`
}

/** The lines of the picture, no more than fit. `full` is the lag of a whole bar: the largest seen so far. */
export const lines = (now: Seen, before: Seen | undefined, full: number, screen: Screen): ReadonlyArray<string> => {
  const millis = before === undefined ? 0 : now.at - before.at
  const partitions = now.lags.reduce((sum, one) => sum + one.partitions.length, 0)
  // What every group gets: its partitions that are furthest behind.
  const room = Math.max(0, screen.rows - 2 - 2 * now.lags.length)
  const names = now.lags.flatMap((one) => one.partitions.map(TopicPartition.key))
  const width = Math.min(
    Math.max(12, ...names.slice(0, 1000).map(({ length }) => length)),
    Math.floor(screen.columns / 2)
  )
  const barWidth = Math.max(4, screen.columns - width - 30)
  const out: Array<string> = [
    Output.paint(new Date(now.at).toISOString().slice(0, 19).replace("T", " "), "dim", screen.color)
  ]
  for (const one of now.lags) {
    const was = before?.lags.find(({ group }) => group === one.group)
    const change = rate(one.total, was?.total, millis)
    const eta = remaining(one.total, change)
    const state = `${one.state}, ${Output.grouped(one.total)} behind${ofWhat(one)} ${rateOf(change)}${eta === "" ? "" : `, done in ${eta}`}`
    out.push(Output.paint(Output.printable(`${one.group}: ${state}`).slice(0, screen.columns), "head", screen.color))
    const share = partitions === 0 ? 0 : Math.max(1, Math.floor((room * one.partitions.length) / partitions))
    const earlier = new Map(was?.partitions.map((place) => [TopicPartition.key(place), place.lag]))
    const furthest = [...one.partitions].sort((a, b) => (b.lag ?? -1) - (a.lag ?? -1))
    for (const place of furthest.slice(0, share)) {
      const { lag } = place
      const key = TopicPartition.key(place)
      const then = earlier.get(key)
      const name = Output.printable(key).slice(-width).padEnd(width)
      const drawn = lag === undefined || full <= 0 ? "" : Output.bar(lag / full, barWidth)
      const style = lag === undefined || lag === 0 ? "good" : lag > full / 2 ? "bad" : "warn"
      const number = (lag === undefined ? "-" : Output.grouped(lag)).padStart(12)
      const gap = " ".repeat(barWidth - drawn.length)
      out.push(
        `  ${name} ${Output.paint(drawn, style, screen.color)}${gap} ${number} ${rateOf(rate(lag, then, millis))}`.trimEnd()
      )
    }
    if (furthest.length > share) out.push(Output.paint(`  … ${furthest.length - share} more`, "dim", screen.color))
  }
  return out.slice(0, Math.max(1, screen.rows - 1))
}
