/** How long functions and files are: what is longer cannot be taken in at once. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"

const src = fileURLToPath(new URL("../src", import.meta.url))

const longestFunction = 150
const longestFile = 400

/** Tables of data, which are read a row at a time, and files that say at their head why they are one. */
const tables = new Set(["ErrorCode.ts", "KafkaError.ts", "protocol/messages/index.ts"])
const reason = /one file because/i

/** Files with functions that are longer as yet: nothing is added here, and what is short by now is taken out. */
const longFunctions: ReadonlySet<string> = new Set([
  "Producer.ts",
  "ZooKeeper.ts",
  "balance/BalancedDriver.ts",
  "balance/Registrations.ts",
  "consume/Committer.ts",
  "consume/Engine.ts",
  "consume/Opening.ts",
  "fetch/Fetcher.ts",
  "group/ClassicDriver.ts",
  "produce/Sender.ts",
  "testing/embedded/Fetch.ts",
  "zookeeper/Ensemble.ts",
  "zookeeper/NodeClient.ts",
  "zookeeper/Operations.ts",
  "zookeeper/Sessions.ts"
])

/** Files that are longer as yet: the same. */
const longFiles: ReadonlySet<string> = new Set([
  "Producer.ts",
  "balance/BalancedMember.ts",
  "consume/AssignedPartition.ts",
  "fetch/FetchedPartition.ts",
  "fetch/Fetcher.ts",
  "librdkafka/RdConsumer.ts",
  "produce/Accumulator.ts",
  "protocol/records/RecordBatch.ts"
])

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

describe("sizes", () => {
  it("of functions", () => {
    const long = files.flatMap((file) => {
      const lines = Math.max(0, ...functionsOf(read(file)).map((one) => one.lines))
      return lines > longestFunction && !longFunctions.has(file) ? [`${file}: ${lines}`] : []
    })
    assert.deepStrictEqual(long, [])
  })

  it("of files", () => {
    const long = files.filter((file) => {
      const source = read(file)
      const head = /^\/\*\*[\s\S]*?\*\//.exec(source)?.[0] ?? ""
      return (
        source.split("\n").length - 1 > longestFile && !longFiles.has(file) && !tables.has(file) && !reason.test(head)
      )
    })
    assert.deepStrictEqual(long, [])
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
