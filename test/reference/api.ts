/**
 * `npm run docs:api`: makes docs/api, the reference of the public modules from their doc comments (TypeDoc, with its
 * Markdown plugin), and docs/llms.txt. Fails where a link of the reference leads to nothing.
 */
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Links from "./links.ts"
import * as Llms from "./llms.ts"

const here = fileURLToPath(new URL(".", import.meta.url))
const root = Path.join(here, "../..")
const out = "docs/api"

const modulesOf = (folder: string): ReadonlyArray<string> =>
  [
    ...Fs.readFileSync(Path.join(root, folder, "index.ts"), "utf8").matchAll(/^export \* as \w+ from "\.\/(.+)"$/gm)
  ].map(([, file]) => Path.join(root, folder, file!))

Fs.rmSync(Path.join(root, out), { recursive: true, force: true })
const entries = [...modulesOf("src"), ...modulesOf("src/testing"), Path.join(root, "src/protocol/Wire.ts")]
const { status } = spawnSync(
  process.execPath,
  [
    Path.join(here, "node_modules/typedoc/bin/typedoc"),
    "--options",
    Path.join(here, "typedoc.json"),
    "--out",
    Path.join(root, out),
    ...entries
  ],
  { cwd: here, stdio: "inherit" }
)
if (status !== 0) process.exit(status ?? 1)

const pages = Fs.readdirSync(Path.join(root, out), { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".md")
)
const dead = Links.dead(
  root,
  pages.map((name) => Path.join(out, name))
)
Llms.write()
if (dead.length > 0) {
  process.stderr.write(`${dead.join("\n")}\n${dead.length} links lead to nothing\n`)
  process.exit(1)
}
process.stdout.write(`${pages.length} pages of ${entries.length} modules in ${out}, and docs/llms.txt\n`)
