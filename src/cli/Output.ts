/** Pure. How answers are shown: tables for people, lines of JSON for programs. */

/** A cell; what is undefined is shown as `-`. */
export type Cell = string | number | boolean | undefined

const textOf = (cell: Cell): string => (cell === undefined ? "-" : String(cell))

/** Columns under their heads, numbers to the right; two spaces between them. */
export const table = (heads: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<Cell>>): string => {
  const texts = rows.map((row) => heads.map((_, i) => textOf(row[i])))
  const numeric = heads.map((_, i) => rows.some((row) => typeof row[i] === "number"))
  const widths = heads.map((head, i) => Math.max(head.length, ...texts.map((row) => row[i]!.length)))
  const line = (cells: ReadonlyArray<string>) =>
    cells
      .map((cell, i) => (numeric[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd()
  return [line(heads), ...texts.map(line)].join("\n")
}

/** One value as a line of JSON. */
export const json = (value: unknown): string => JSON.stringify(value)

/** Bytes as a number that a person reads: `12.3 MiB`. */
export const bytes = (count: number): string => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
  let [value, unit] = [count, 0]
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return unit === 0 ? `${count} B` : `${value.toFixed(1)} ${units[unit]}`
}
