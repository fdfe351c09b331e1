/** Pairs of names and values as words: `NAME=VALUE`. */
import * as Flag from "effect/cli/Flag"

/** What is before the first `=`, and what is behind it; null where there is none. */
type Pair = readonly [name: string, value: string | null]

const pair = (word: string): Pair => {
  const at = word.indexOf("=")
  return at < 0 ? [word, null] : [word.slice(0, at), word.slice(at + 1)]
}

/** A flag that may be given several times; each time is kept, in its order. */
export const flag = (name: string, alias: string, description: string): Flag.Flag<ReadonlyArray<Pair>> =>
  Flag.String(name).pipe(
    Flag.withAlias(alias),
    Flag.withMetavar("NAME=VALUE"),
    Flag.withDescription(description),
    Flag.atLeast(0),
    Flag.map((words) => words.map(pair))
  )

/** Pairs as settings by name; throws where one says nothing, or is said twice. */
export const settings = (pairs: ReadonlyArray<Pair>): { readonly [name: string]: string } => {
  const found = new Map<string, string>()
  for (const [name, value] of pairs) {
    if (name === "" || value === null) throw new Error(`${name}${value === null ? "" : `=${value}`} is no NAME=VALUE`)
    if (found.has(name)) throw new Error(`${name} is given twice`)
    found.set(name, value)
  }
  return Object.fromEntries(found)
}
