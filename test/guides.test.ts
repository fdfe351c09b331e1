// The programs of the guides that are tests, run as they stand there.
import * as fs from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Links from "./reference/links.ts"

const root = path.join(import.meta.dirname, "..")
const out = path.join(root, "test/.guides")
fs.rmSync(out, { recursive: true, force: true })
fs.mkdirSync(out)

const guides = ["README.md", ...fs.readdirSync(path.join(root, "docs")).map((name) => `docs/${name}`)]
for (const guide of guides.filter((name) => name.endsWith(".md"))) {
  const text = fs.readFileSync(path.join(root, guide), "utf8")
  const programs = [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, program]) => program!)
  for (const [i, program] of programs.entries()) {
    // What imports a file beside it is the test of an example, which runs as such.
    if (!program.includes(`from "@effect/vitest"`) || program.includes(`from "./`)) continue
    const file = path.join(out, `${path.basename(guide, ".md")}-${i + 1}.ts`)
    fs.writeFileSync(file, program)
    describe(`${guide} (${i + 1})`, async () => {
      await import(/* @vite-ignore */ file)
    })
  }
}

/** A guide that shows a program of the examples, and its test as a file beside it. */
const shows = (guide: string, program: string, test: string) => {
  const text = fs.readFileSync(path.join(root, guide), "utf8")
  const source = fs.readFileSync(path.join(root, "test/programs", test), "utf8")
  assert.include(text, fs.readFileSync(path.join(root, "docs/examples", program), "utf8"))
  assert.include(text, source.slice(source.indexOf("\n") + 1).replace(`../../docs/examples/${program}`, `./${program}`))
}

it("the README shows the first program and its test as they are", () => {
  shows("README.md", "billing.ts", "billing.test.ts")
})

it("getting started shows the service and its test as they are", () => {
  shows("docs/getting-started.md", "service.ts", "service.test.ts")
})

it("links between the guides lead to what is there", () => {
  assert.deepStrictEqual(
    Links.dead(
      root,
      guides.filter((name) => name.endsWith(".md"))
    ),
    []
  )
})
