/** The API reference, made as `npm run docs:api` makes it: every public module has its page, and no link is dead. */
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { assert, it } from "vitest"
import * as Llms from "../reference/llms.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))
const textOf = (file: string): string => Fs.readFileSync(Path.join(root, file), "utf8")

it("npm run docs:api makes a page of every public module, whose links lead somewhere", () => {
  // it fails at a dead link
  const printed = execFileSync("npm", ["run", "docs:api"], { cwd: root, encoding: "utf8" })
  assert.match(printed, /pages of \d+ modules/)
  const names = ["src/index.ts", "src/testing/index.ts"].flatMap((index) =>
    [...textOf(index).matchAll(/^export \* as (\w+) /gm)].map(([, name]) => name!)
  )
  assert.isAbove(names.length, 35)
  const index = textOf("docs/api/README.md")
  assert.deepStrictEqual(
    names.filter((name) => !new RegExp(`\\[(testing/)?${name}\\]\\(`).test(index)),
    []
  )
  // what stands at the head of a file, and the members of a service with their comments
  const producer = textOf("docs/api/Producer.md")
  for (const text of ["one accumulator behind", "#### send\n", "Sends one record and waits for its acknowledgement."])
    assert.include(producer, text)
  const guides = textOf("docs/llms.txt")
  assert.deepStrictEqual(
    Llms.guides().filter((name) => !guides.includes(`<!-- docs/${name} -->`)),
    []
  )
}, 300_000)
