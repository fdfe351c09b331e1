/**
 * Makes docs/llms.txt: all guides in one file, in the order of docs/README.md, for assistants that read one address.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** What a user does not build with. */
const left = new Set(["CHANGELOG.md", "benchmarks.md", "contributing.md"])

/** The guides, each once, as docs/README.md names them. */
export const guides = (): ReadonlyArray<string> => {
  const index = Fs.readFileSync(Path.join(root, "docs/README.md"), "utf8")
  const names = [...index.matchAll(/\]\(([\w-]+\.md)\)/g)].map(([, name]) => name!)
  return [...new Set(names)].filter((name) => !left.has(name))
}

export const render = (): string =>
  [
    ["README.md", Fs.readFileSync(Path.join(root, "README.md"), "utf8")],
    ...guides().map((name) => [`docs/${name}`, Fs.readFileSync(Path.join(root, "docs", name), "utf8")])
  ]
    .map(([name, text]) => `<!-- ${name} -->\n\n${text}`)
    .join("\n")

export const write = (): void => Fs.writeFileSync(Path.join(root, "docs/llms.txt"), render())

if (process.argv[1] === fileURLToPath(import.meta.url)) write()
