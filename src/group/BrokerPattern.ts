/**
 * Pure. A pattern of topics as brokers read it (RE2/J, which has to match a whole name), of a `RegExp`, which has to match
 * within it. Only where both mean the same: everything of a `RegExp` that RE2 has not, or reads otherwise, has no pattern.
 */

/** Kafka's own topics: a `RegExp` does not pick them, a broker would. */
const internal = ["__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"]

/** The most that RE2 counts to. */
const mostRepeats = 1000

const quantifier = /^\{(\d+)(?:,(\d*))?\}/

/** Escapes that are the same in both, for names of topics: what they match beyond ASCII cannot be in one. */
const escapes = /^\\(?:[dDwWbB]|[-.*+?^$|()[\]{}\\/])/
const classEscapes = /^\\(?:[dDwW]|[-.*+?^$|()[\]{}\\/])/

/** What follows a class of characters; undefined where it is not one that both read alike. */
const afterClass = (text: string): string | undefined => {
  let rest = text.slice(1)
  if (rest.startsWith("^")) rest = rest.slice(1)
  // Empty, or a bracket as its first character.
  if (rest.startsWith("]")) return undefined
  while (rest !== "" && !rest.startsWith("]")) {
    if (rest.startsWith("\\")) {
      const escape = classEscapes.exec(rest)
      if (escape === null) return undefined
      rest = rest.slice(escape[0].length)
    } else if (rest.startsWith("[") || rest.startsWith("&&")) return undefined
    else rest = rest.slice(1)
  }
  return rest === "" ? undefined : rest.slice(1)
}

const isSame = (source: string): boolean => {
  let rest = source
  while (rest !== "") {
    const first = rest[0]!
    if (first === "\\") {
      const escape = escapes.exec(rest)
      if (escape === null) return false
      rest = rest.slice(escape[0].length)
    } else if (first === "[") {
      const after = afterClass(rest)
      if (after === undefined) return false
      rest = after
    } else if (first === "(") {
      // Look-around, and names of groups.
      if (rest[1] === "?" && rest[2] !== ":") return false
      rest = rest.slice(rest[1] === "?" ? 3 : 1)
    } else if (first === "{") {
      const repeats = quantifier.exec(rest)
      if (repeats === null || Number(repeats[1]) > mostRepeats || Number(repeats[2] ?? 0) > mostRepeats) return false
      rest = rest.slice(repeats[0].length)
    } else if (first === "]" || first === "}") return false
    else rest = rest.slice(1)
  }
  return true
}

/** The pattern for brokers; undefined where there is none that means the same. */
export const of = (pattern: RegExp): string | undefined => {
  if (/[vu]/.test(pattern.flags) || !isSame(pattern.source)) return undefined
  if (internal.some((name) => pattern.test(name))) return undefined
  const flags = `s${pattern.ignoreCase ? "i" : ""}${pattern.multiline ? "m" : ""}`
  return `(?${flags}).*(?:${pattern.source}).*`
}
