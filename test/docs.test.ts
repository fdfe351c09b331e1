import { assert, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

const root = path.join(import.meta.dirname, "..")
// Inside node_modules, so that no tool looks at it, and below the package, so that `samsa` resolves to it.
const out = path.join(root, "node_modules/.cache/samsa-snippets")

/** What was made of the doc comments (docs/api) has their snippets again. */
const filesIn = (folder: string, ending: string): ReadonlyArray<string> =>
  fs
    .readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(ending) && !name.startsWith("api/"))
    .map((name) => path.join(folder, name))

interface Snippet {
  readonly from: string
  readonly code: string
}

const snippetsOf = (file: string): ReadonlyArray<Snippet> => {
  const text = fs.readFileSync(path.join(root, file), "utf8")
  const found = [...text.matchAll(/^([ \t]*\*? ?)```ts\n([\s\S]*?)^\1```/gm)]
  return found.map(([, margin, body], i) => ({
    from: `${file} (${i + 1})`,
    code: body!
      .split("\n")
      .map((line) => (line.startsWith(margin!) ? line.slice(margin!.length) : line.replace(/^\s*\*\s?/, "")))
      .join("\n")
  }))
}

it("every snippet of the docs and doc comments compiles", () => {
  const files = ["README.md", ...filesIn("docs", ".md"), ...filesIn("src", ".ts")]
  const snippets = files.flatMap(snippetsOf)
  assert.isAbove(snippets.length, 5)
  fs.rmSync(out, { recursive: true, force: true })
  fs.mkdirSync(out, { recursive: true })
  snippets.forEach(({ code }, i) => fs.writeFileSync(path.join(out, `snippet-${i}.ts`), `${code}\nexport {}\n`))
  // which the tests of them, in the guides, import
  for (const name of ["billing.ts", "service.ts"])
    fs.copyFileSync(path.join(root, "docs/examples", name), path.join(out, name))
  fs.writeFileSync(
    path.join(out, "tsconfig.json"),
    JSON.stringify({
      extends: path.join(root, "tsconfig.json"),
      compilerOptions: { noUnusedLocals: false, typeRoots: [path.join(root, "node_modules/@types")] },
      include: ["*.ts", path.join(root, "src/**/*.d.ts")],
      exclude: []
    })
  )
  const tsc = path.join(root, "node_modules/typescript/bin/tsc")
  const { stdout } = spawnSync(process.execPath, [tsc, "-p", out, "--pretty", "false"], { encoding: "utf8" })
  const errors = stdout
    .split("\n")
    .filter((line) => line.includes("snippet-"))
    .map((line) => line.replace(/[^\n(]*snippet-(\d+)\.ts/, (_, i) => snippets[Number(i)]!.from))
    .join("\n")
  assert.strictEqual(errors, "")
}, 180_000)
