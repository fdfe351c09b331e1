/** The mutants apply to the sources as they are: one that does not is to be written anew, or taken out. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { assert, it } from "vitest"
import { mutants } from "./list.ts"
import { applied } from "./Mutant.ts"

const root = fileURLToPath(new URL("../..", import.meta.url))

it("every mutant applies, at one place, and changes something", () => {
  const wrong = mutants.flatMap((mutant) => {
    const source = Fs.readFileSync(Path.join(root, mutant.file), "utf8")
    try {
      return applied(mutant, source) === source ? [`${mutant.name} changes nothing`] : []
    } catch (error) {
      return [String(error)]
    }
  })
  assert.deepStrictEqual(wrong, [])
})

it("each has a name of its own, and there are some of every flow", () => {
  const names = mutants.map(({ name }) => name)
  assert.strictEqual(new Set(names).size, names.length)
  assert.isAtLeast(names.length, 150)
  const folders = new Set(names.map((name) => name.slice(0, name.indexOf("/"))))
  const flows = ["produce", "fetch", "consume", "group", "connection", "metadata", "engine", "transact", "balance"]
  assert.deepStrictEqual([...folders], flows)
})
