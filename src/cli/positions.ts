/** Pure. Positions as words: `earliest`, `latest`, an offset, a time (ISO 8601, UTC where it does not say), `1h` ago, `+10`, `-10`. */
import type { ResetTo } from "../Admin.ts"
import * as Offset from "../Offset.ts"

const units: { readonly [unit: string]: number } = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

const timeOf = (text: string): number | undefined => {
  if (!/^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?$/.test(text)) return undefined
  const zoned = /(Z|[+-]\d{2}:?\d{2})$/.test(text.slice(10)) || text.length === 10
  const time = Date.parse(zoned ? text : `${text}Z`)
  if (Number.isNaN(time)) return undefined
  // February 30 is parsed as one of March.
  const day = text.slice(0, 10)
  return new Date(Date.parse(day)).toISOString().startsWith(day) ? time : undefined
}

/** What is looked up in a log: an offset is known already. */
export const lookedUp = "earliest, latest, a time such as 2026-01-31T12:00:00, or 90m (ago)"

/** What a position is like, for messages. */
export const likeThis = lookedUp.replace("latest, ", "latest, an offset, ")

/** A position; undefined for what is none. */
export const position = (text: string): Offset.Position | { readonly ago: number } | undefined => {
  const lower = text.toLowerCase()
  if (lower === "earliest" || lower === "latest") return lower
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Offset.at(Number(text))
  const ago = /^(\d+)([smhdw])$/.exec(lower)
  if (ago !== null) {
    const millis = Number(ago[1]) * units[ago[2]!]!
    return Number.isSafeInteger(millis) ? { ago: millis } : undefined
  }
  const time = timeOf(text)
  return time === undefined ? undefined : Offset.atTime(time)
}

/** Where a reset goes: a position, or so many records on or back. */
export const reset = (text: string): ResetTo | undefined =>
  /^[+-]\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? { shift: Number(text) } : position(text)
