// The programs of the guides that are tests, run as they stand there.
import * as fs from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"

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

it("getting started shows the service and its test as they are", () => {
  const guide = fs.readFileSync(path.join(root, "docs/getting-started.md"), "utf8")
  const program = fs.readFileSync(path.join(root, "docs/examples/service.ts"), "utf8")
  const test = fs.readFileSync(path.join(root, "test/programs/service.test.ts"), "utf8")
  assert.include(guide, program)
  assert.include(guide, test.slice(test.indexOf("\n") + 1).replace("../../docs/examples/service.ts", "./service.ts"))
})

const slug = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-")

it("links between the guides lead to what is there", () => {
  const broken: Array<string> = []
  for (const guide of guides.filter((name) => name.endsWith(".md"))) {
    const text = fs.readFileSync(path.join(root, guide), "utf8").replaceAll(/^```[\s\S]*?^```/gm, "")
    for (const [, to] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(to!)) continue
      const [file, anchor] = to!.split("#")
      const target = file === "" ? path.join(root, guide) : path.join(root, path.dirname(guide), file!)
      if (!fs.existsSync(target)) broken.push(`${guide}: ${to}`)
      else if (anchor !== undefined) {
        const headings = [...fs.readFileSync(target, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
          slug(heading!)
        )
        if (!headings.includes(anchor)) broken.push(`${guide}: ${to}`)
      }
    }
  }
  assert.deepStrictEqual(broken, [])
})
