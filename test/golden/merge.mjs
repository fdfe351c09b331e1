// Prints the lines of the first file, and those of the second for messages and versions that the first lacks.
import { readFileSync } from "node:fs"

const [newer, older] = process.argv.slice(2).map((file) => readFileSync(file, "utf8").trimEnd().split("\n"))
const subject = (line) => {
  const { api, key, type, version } = JSON.parse(line)
  // By key, because APIs were renamed.
  return `${key ?? api} ${type} ${version}`
}
const known = new Set(newer.map(subject))
const out = [...newer, ...older.filter((line) => !known.has(subject(line)))]
process.stdout.write(out.join("\n") + "\n")
