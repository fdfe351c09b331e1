/** Pure. How answers are shown: tables for people, lines of JSON for programs. */
import { printable } from "./printable.ts"

export { printable }

/** How a cell is painted, where there are colours. */
type Style = "good" | "warn" | "bad" | "dim" | "head"

const codes: { readonly [style in Style]: string } = { good: "32", warn: "33", bad: "31", dim: "2", head: "1" }

/** A cell; what is undefined is shown as `-`. */
export type Cell =
  | string
  | number
  | boolean
  | undefined
  | { readonly text: string | number | undefined; readonly style: Style | undefined }

const plain = (cell: Cell): string | number | boolean | undefined => (typeof cell === "object" ? cell.text : cell)

const textOf = (cell: Cell): string => {
  const value = plain(cell)
  return value === undefined ? "-" : printable(String(value))
}

/** A text in a style. */
export const paint = (text: string, style: Style | undefined, color: boolean): string =>
  color && style !== undefined && text !== "" ? `\u001b[${codes[style]}m${text}\u001b[0m` : text

const states: { readonly [word: string]: Style } = {
  Stable: "good",
  Empty: "dim",
  Dead: "bad",
  PreparingRebalance: "warn",
  CompletingRebalance: "warn",
  Assigning: "warn",
  Reconciling: "warn",
  Ongoing: "warn",
  deny: "bad"
}

const styleOf = (cell: Cell): Style | undefined => {
  if (typeof cell === "object") return cell.style
  return cell === undefined ? "dim" : typeof cell === "string" && Object.hasOwn(states, cell) ? states[cell] : undefined
}

/** Columns under their heads, numbers to the right; two spaces between them. */
export const table = (
  heads: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<Cell>>,
  color: boolean = false
): string => {
  const texts = rows.map((row) => heads.map((_, i) => textOf(row[i])))
  const numeric = heads.map((_, i) => rows.some((row) => typeof plain(row[i]) === "number"))
  const widths = heads.map((head, i) => texts.reduce((width, row) => Math.max(width, row[i]!.length), head.length))
  const last = heads.length - 1
  const line = (cells: ReadonlyArray<string>, style: (i: number) => Style | undefined) =>
    cells
      .map((cell, i) => {
        const gap = " ".repeat(widths[i]! - cell.length)
        const painted = paint(cell, style(i), color)
        return numeric[i] ? gap + painted : i === last ? painted : painted + gap
      })
      .join("  ")
      .trimEnd()
  return [line(heads, () => "head"), ...texts.map((row, r) => line(row, (i) => styleOf(rows[r]![i])))].join("\n")
}

/** One value as a line of JSON, in which what would move a terminal's cursor is an escape, which JSON has, too. */
export const json = (value: unknown): string => printable(JSON.stringify(value))

/** Bytes as a number that a person reads: `12.3 MiB`. */
export const bytes = (count: number): string => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
  let [value, unit] = [count, 0]
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return unit === 0 ? `${Math.round(count)} B` : `${value.toFixed(1)} ${units[unit]}`
}

/** A part of a whole as a bar: eighths of a block, `width` wide. */
export const bar = (part: number, width: number): string => {
  const eighths = Math.round(Math.min(1, Math.max(0, part)) * width * 8)
  const rest = eighths % 8
  return "█".repeat(Math.floor(eighths / 8)) + (rest === 0 ? "" : " ▏▎▍▌▋▊▉"[rest]!)
}

/** A number with its thousands apart. */
export const grouped = (value: number): string => value.toLocaleString("en-US", { maximumFractionDigits: 0 })
