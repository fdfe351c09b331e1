/**
 * Every export of a public module says since when it is there and what kind of thing it is, as Effect's own do.
 * `SAMSA_WRITE=1 npx vitest run test/since.test.ts` writes what is missing; the category is a guess to be looked at.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { assert, it } from "vitest"

const src = fileURLToPath(new URL("../src", import.meta.url))
const since = "0.1.0"

const textOf = (file: string): string => Fs.readFileSync(Path.join(src, file), "utf8")
const namespaces = (index: string, folder: string): ReadonlyArray<string> =>
  [...textOf(index).matchAll(/^export \* as \w+ from "\.\/(.+\.ts)"$/gm)].map((match) => Path.join(folder, match[1]!))

const files = [...namespaces("index.ts", ""), ...namespaces("testing/index.ts", "testing"), "protocol/Wire.ts"]

const categoryOf = (declaration: string): string => {
  const name = /(?:const|class|interface|type|function) (\w+)/.exec(declaration)![1]!
  if (/Context\.(Service|Reference)/.test(declaration)) return "services"
  if (/^export class \w+ extends .*Error/.test(declaration)) return "errors"
  if (/^export (interface|type|class)/.test(declaration)) return "models"
  if (name.startsWith("layer") || /: Layer\.Layer/.test(declaration)) return "layers"
  if (/^(is|has)[A-Z]/.test(name)) return "guards"
  if (/^(make|of|at|from|bytes)/.test(name) || /^(key|value|schema)$/.test(name)) return "constructors"
  return "utils"
}

interface Export {
  readonly name: string
  /** Where its doc comment begins and ends; both the same where it has none. */
  readonly from: number
  readonly to: number
  readonly declaration: string
}

/** The declarations that a module exports, with their doc comments. Of overloads the first. */
const exportsOf = (text: string): ReadonlyArray<Export> => {
  const seen = new Set<string>()
  const found: Array<Export> = []
  for (const match of text.matchAll(
    /^export (?:declare )?(?:abstract )?(?:const|class|interface|type|function) (\w+)/gm
  )) {
    const name = match[1]!
    if (seen.has(name)) continue
    seen.add(name)
    const before = text.slice(0, match.index)
    const doc = /\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n$/.exec(before)
    found.push({
      name,
      from: doc === null ? match.index : doc.index,
      to: match.index,
      declaration: text.slice(match.index).split("\n\n", 1)[0]!.slice(0, 300)
    })
  }
  return found
}

const isWhole = (doc: string): boolean => /@since \d/.test(doc) && /@category \w/.test(doc)

const withTags = (doc: string, tags: ReadonlyArray<string>): string => {
  const lines =
    doc === ""
      ? []
      : doc
          .replace(/^\/\*\*\s?/, "")
          .replace(/\s*\*\/\n$/, "")
          .split("\n")
  const body = lines.map((line) => line.replace(/^ ?\* ?/, "").trimEnd()).filter((line, i) => i > 0 || line !== "")
  const kept = body.filter((line) => !/^@(since|category)/.test(line))
  while (kept.at(-1) === "") kept.pop()
  return [
    "/**",
    ...kept.map((line) => ` * ${line}`.trimEnd()),
    ...(kept.length > 0 ? [" *"] : []),
    ...tags,
    " */",
    ""
  ].join("\n")
}

const write = (file: string): void => {
  let text = textOf(file)
  for (const one of exportsOf(text).toReversed()) {
    const doc = text.slice(one.from, one.to)
    if (isWhole(doc)) continue
    const category = /@category (.*)/.exec(doc)?.[1] ?? categoryOf(one.declaration)
    text =
      text.slice(0, one.from) + withTags(doc, [` * @since ${since}`, ` * @category ${category}`]) + text.slice(one.to)
  }
  const head = /^\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n/.exec(text)?.[0] ?? ""
  if (!/@since/.test(head)) text = withTags(head, [` * @since ${since}`]) + text.slice(head.length)
  Fs.writeFileSync(Path.join(src, file), text)
}

it("every public export says since when, and of what kind it is", () => {
  assert.isAbove(files.length, 15)
  if (process.env.SAMSA_WRITE !== undefined) files.forEach(write)
  const missing = files.flatMap((file) => {
    const text = textOf(file)
    const head = /^\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n/.exec(text)?.[0] ?? ""
    const without = exportsOf(text).filter((one) => !isWhole(text.slice(one.from, one.to)))
    return [...(/@since/.test(head) ? [] : [`${file}: the module`]), ...without.map((one) => `${file}: ${one.name}`)]
  })
  assert.deepStrictEqual(missing, [])
})

it("of what is written, what is missing is seen", () => {
  const text =
    "/** A. */\nexport const a = 1\n\nexport interface B {}\n/**\n * C.\n *\n * @since 0.1.0\n * @category x\n */\nexport type C = 1\n"
  assert.deepStrictEqual(
    exportsOf(text).map((one) => [one.name, isWhole(text.slice(one.from, one.to))]),
    [
      ["a", false],
      ["B", false],
      ["C", true]
    ]
  )
  assert.strictEqual(withTags("/** A. */\n", [" * @since 1"]), "/**\n * A.\n *\n * @since 1\n */\n")
})
