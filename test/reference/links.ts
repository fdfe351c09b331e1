/** Links between Markdown files: which of them lead to nothing. */
import * as Fs from "node:fs"
import * as Path from "node:path"

/** The anchor that a heading gets, as GitHub makes it. */
const slug = (heading: string): string =>
  heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .trim()
    .replaceAll(/\s/g, "-")

const withoutCode = (text: string): string => text.replaceAll(/^( *)```[\s\S]*?^\1```/gm, "")

/** The anchors of a file; of headings that are the same the second is `name-1`. */
const anchorsOf = (text: string): ReadonlySet<string> => {
  const found = new Map<string, number>()
  const anchors = new Set([...text.matchAll(/<a id="([^"]+)"/g)].map(([, id]) => id!))
  for (const [, heading] of withoutCode(text).matchAll(/^#+ (.*)$/gm)) {
    const name = slug(heading!)
    const before = found.get(name) ?? 0
    found.set(name, before + 1)
    anchors.add(before === 0 ? name : `${name}-${before}`)
  }
  return anchors
}

/** Each dead link of the files, as `file: link`. Links to other hosts are not looked at. */
export const dead = (root: string, files: ReadonlyArray<string>): ReadonlyArray<string> => {
  const anchors = new Map<string, ReadonlySet<string>>()
  const broken: Array<string> = []
  for (const file of files) {
    const text = withoutCode(Fs.readFileSync(Path.join(root, file), "utf8"))
    for (const [, to] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(to!)) continue
      const [path, anchor] = to!.split("#")
      const target = path === "" ? Path.join(root, file) : Path.join(root, Path.dirname(file), path!)
      if (!Fs.existsSync(target)) broken.push(`${file}: ${to}`)
      else if (anchor !== undefined) {
        if (!anchors.has(target)) anchors.set(target, anchorsOf(Fs.readFileSync(target, "utf8")))
        if (!anchors.get(target)!.has(anchor)) broken.push(`${file}: ${to}`)
      }
    }
  }
  return broken
}
