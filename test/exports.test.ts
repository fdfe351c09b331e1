/** What can be imported from the package: the public modules, and nothing else. */
import * as Fs from "node:fs"
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"

const root = fileURLToPath(new URL("..", import.meta.url))
const { exports } = JSON.parse(Fs.readFileSync(`${root}/package.json`, "utf8")) as {
  readonly exports: { readonly [path: string]: string | { readonly [condition: string]: string } }
}
/** The public modules: their names, and their files in `src`. */
const modules = [
  ...Fs.readFileSync(`${root}/src/index.ts`, "utf8").matchAll(/^export \* as (\w+) from "\.\/(.+)\.ts"$/gm)
].map(([, name, file]) => [name!, file!] as const)

const entry = (file: string) => ({
  "samsa-source": `./src/${file}.ts`,
  types: `./dist/${file}.d.ts`,
  default: `./dist/${file}.js`
})

describe("exports", () => {
  it("are the modules of the index, the testing modules, the wire notation and the messages", () => {
    assert.isAbove(modules.length, 20)
    const wanted = {
      ".": entry("index"),
      "./testing": entry("testing/index"),
      ...Object.fromEntries(modules.map(([name, file]) => [`./${name}`, entry(file)])),
      "./protocol/Wire": entry("protocol/Wire"),
      "./protocol/messages/*": entry("protocol/messages/*"),
      "./package.json": "./package.json"
    }
    assert.deepStrictEqual(exports, wanted)
    for (const [, file] of modules) assert.isTrue(Fs.existsSync(`${root}/src/${file}.ts`), file)
  })

  it("lead to nothing inside", () => {
    // Node's own resolution, as of an installed package.
    const { resolve } = createRequire(import.meta.url)
    const refusal = (name: string): unknown => {
      try {
        return resolve(`samsa/${name}`) && undefined
      } catch (error) {
        return (error as { readonly code?: unknown }).code
      }
    }
    for (const name of [
      "Backoff",
      "Checks",
      "engine/Loop",
      "produce/Accumulator",
      "protocol/records/Crc32c",
      "testing/embedded/Produce",
      "testing/EmbeddedKafka",
      "zookeeper/Client"
    ]) {
      assert.strictEqual(refusal(name), "ERR_PACKAGE_PATH_NOT_EXPORTED", name)
    }
    assert.notStrictEqual(refusal("Topic"), "ERR_PACKAGE_PATH_NOT_EXPORTED")
  })
})
