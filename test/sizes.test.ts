/** How long functions and files are: what is longer cannot be taken in at once. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"

const src = fileURLToPath(new URL("../src", import.meta.url))

const longestFunction = 150
const longestFile = 400

/** Tables of data, which are read a row at a time. */
const tables: ReadonlySet<string> = new Set(["ErrorCode.ts", "KafkaError.ts"])

/** What is longer says why, at the head of its file; what says so and is not long is to take the sentence out. */
const reasons = { file: /\bone file because/i, function: /\bone function because/i }

/** The source with blanks in the place of comments, texts and regular expressions. */
const blanked = (source: string): string => {
  let out = ""
  let at = 0
  const blank = (to: number) => {
    out += source.slice(at, to).replace(/[^\n]/g, " ")
    at = to
  }
  /** The end of a template; the braces in its expressions are left out with it. */
  const templateEnd = (from: number): number => {
    let i = from + 1
    for (let depth = 0; i < source.length; i++) {
      if (source[i] === "\\") i++
      else if (source.startsWith("${", i)) depth++
      else if (source[i] === "}" && depth > 0) depth--
      else if (source[i] === "`" && depth > 0) i = templateEnd(i) - 1
      else if (source[i] === "`") return i + 1
    }
    return i
  }
  const literal = (pattern: RegExp): boolean => {
    pattern.lastIndex = at
    const end = pattern.test(source) ? pattern.lastIndex : undefined
    if (end !== undefined) blank(end)
    return end !== undefined
  }
  while (at < source.length) {
    switch (source[at]) {
      case "/":
        if (source.startsWith("/*", at)) blank(source.indexOf("*/", at) + 2)
        else if (source.startsWith("//", at)) literal(/\/\/[^\n]*/y)
        else if (
          !/(?:[(,=:?&|![{;+\n]|return)\s*$/.test(out.slice(-40)) ||
          !literal(/\/(?:[^/\\\n[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y)
        )
          out += source[at++]
        break
      case '"':
      case "'":
        if (!literal(/(["'])(?:(?!\1)[^\\\n]|\\.)*\1/y)) out += source[at++]
        break
      case "`":
        blank(templateEnd(at))
        break
      default:
        out += source[at++]
    }
  }
  return out
}

const control =
  /^(?:\}\s*)?(?:else\s+)?(?:export\s+)?(?:default\s+)?(?:abstract\s+)?(?:if|for|while|switch|catch|else|do|try|finally|class|interface|type|import)\b/

/** The functions of a file: their first line, and how many lines they have. */
const functionsOf = (source: string): ReadonlyArray<{ readonly line: number; readonly lines: number }> => {
  const text = blanked(source)
  const found: Array<{ readonly line: number; readonly lines: number }> = []
  const open: Array<{ readonly line: number; readonly isFunction: boolean }> = []
  let line = 1
  let since = 0
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (char === "\n") {
      line++
      if (text[i + 1] === "\n") since = i + 1
    } else if (char === "{") {
      const before = text.slice(since, i).trim()
      const isFunction =
        /=>\s*$/.test(before) ||
        (/\)\s*(?::[^;{}]*)?$/.test(before) && !control.test(before) && !/\bnew\b|=\s*\($/.test(before))
      const startsOn = line - (text.slice(since, i).trimStart().match(/\n/g)?.length ?? 0)
      open.push({ line: startsOn, isFunction })
      since = i + 1
    } else if (char === "}") {
      const from = open.pop()
      if (from?.isFunction === true) found.push({ line: from.line, lines: line - from.line + 1 })
      since = i + 1
    } else if (char === ";") since = i + 1
  }
  return found
}

const files = Fs.readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => /(?<!\.d)\.ts$/.test(file))
  .sort()
const read = (file: string) => Fs.readFileSync(Path.join(src, file), "utf8")

/** The files that are too long without a reason, and those that give one without need. */
const judged = (reason: RegExp, linesOf: (file: string) => number, most: number): ReadonlyArray<string> =>
  files.flatMap((file) => {
    const lines = linesOf(file)
    const head = (/^\/\*\*[\s\S]*?\*\//.exec(read(file))?.[0] ?? "").replace(/\n \* ?/g, " ")
    const says = reason.test(head)
    if (lines > most) return says ? [] : [`${file}: ${lines} lines, and no word why`]
    return says ? [`${file}: ${lines} lines need no excuse`] : []
  })

describe("sizes", () => {
  it("of functions", () => {
    const longest = (file: string) => Math.max(0, ...functionsOf(read(file)).map((one) => one.lines))
    assert.deepStrictEqual(judged(reasons.function, longest, longestFunction), [])
  })

  it("of files", () => {
    const linesOf = (file: string) => (tables.has(file) ? 0 : read(file).split("\n").length - 1)
    assert.deepStrictEqual(judged(reasons.file, linesOf, longestFile), [])
    for (const table of tables) assert.isAbove(read(table).split("\n").length - 1, longestFile, table)
  })

  it("are measured", () => {
    const body = (lines: number) => "  work()\n".repeat(lines)
    const lengths = (source: string) => functionsOf(source).map((one) => one.lines)
    assert.deepStrictEqual(lengths(`const f = () => {\n${body(3)}}\n`), [5])
    assert.deepStrictEqual(lengths(`export function* f(a: A): B {\n${body(1)}}\n`), [3])
    assert.deepStrictEqual(lengths(`class A {\n  m(a: number): void {\n${body(2)}  }\n}\n`), [4])
    assert.deepStrictEqual(lengths(`const f = Effect.gen(function* () {\n  if (a) {\n${body(2)}  }\n})\n`), [6])
    assert.deepStrictEqual(lengths(`const o = {\n${"  a: 1,\n".repeat(9)}}\n`), [])
    assert.deepStrictEqual(lengths("const f = (a: string) => {\n  return `{${a}` + \"{\" + '{' + /{/ // {\n}\n"), [3])
  })
})
