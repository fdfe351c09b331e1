// The programs of the guides that are tests, run as they stand there.
import * as fs from "node:fs"
import * as path from "node:path"
import { describe } from "@effect/vitest"

const root = path.join(import.meta.dirname, "..")
const out = path.join(root, "test/.guides")
fs.rmSync(out, { recursive: true, force: true })
fs.mkdirSync(out)

const guides = ["README.md", ...fs.readdirSync(path.join(root, "docs")).map((name) => `docs/${name}`)]
for (const guide of guides.filter((name) => name.endsWith(".md"))) {
  const text = fs.readFileSync(path.join(root, guide), "utf8")
  const programs = [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, program]) => program!)
  for (const [i, program] of programs.entries()) {
    if (!program.includes(`from "@effect/vitest"`)) continue
    const file = path.join(out, `${path.basename(guide, ".md")}-${i + 1}.ts`)
    fs.writeFileSync(file, program)
    describe(`${guide} (${i + 1})`, async () => {
      await import(/* @vite-ignore */ file)
    })
  }
}
