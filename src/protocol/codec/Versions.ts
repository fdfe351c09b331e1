/** Pure. Ranges of versions, in the notation of Kafka's published definitions. */

/** A range of versions, both ends included; `Infinity` for no upper end. */
export type Versions = readonly [from: number, to: number]

/** Reads a range: `"4+"`, `"0-8"`, `"3"`, `"none"`. */
export const parse = (range: string): Versions => {
  if (range === "none") return [Infinity, -Infinity]
  const parts = /^(\d+)(?:(\+)|-(\d+))?$/.exec(range)
  if (parts === null) throw new Error(`not a range of versions: ${range}`)
  return [Number(parts[1]), parts[2] === "+" ? Infinity : Number(parts[3] ?? parts[1])]
}

/** Whether a range holds a version. */
export const within = (version: number, range: Versions): boolean => version >= range[0] && version <= range[1]

/** The inverse of `parse`. */
export const format = ([from, to]: Versions): string =>
  from > to ? "none" : to === Infinity ? `${from}+` : from === to ? `${from}` : `${from}-${to}`
