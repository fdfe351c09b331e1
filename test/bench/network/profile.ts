/** Where the time of a CPU profile goes: `node profile.ts FILE.cpuprofile [COUNT]` prints self times by function. */
import * as Fs from "node:fs"
import * as Path from "node:path"

interface Profile {
  readonly nodes: ReadonlyArray<{
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }>
  readonly samples: ReadonlyArray<number>
  readonly timeDeltas: ReadonlyArray<number>
}

const { nodes, samples, timeDeltas } = JSON.parse(Fs.readFileSync(process.argv[2]!, "utf8")) as Profile
const names = new Map(
  nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
    const file = url.replace(/^.*\/node_modules\//, "").replace(/^file:.*\/(src|test)\//, "$1/")
    return [id, `${functionName || "(anonymous)"} ${file === "" ? "" : `${file}:${lineNumber + 1}`}`] as const
  })
)
const times = new Map<string, number>()
let total = 0
samples.forEach((id, i) => {
  const name = names.get(id)!
  if (name.startsWith("(idle)") || name.startsWith("(program)")) return
  times.set(name, (times.get(name) ?? 0) + timeDeltas[i]!)
  total += timeDeltas[i]!
})
const rows = [...times].sort(([, a], [, b]) => b - a).slice(0, Number(process.argv[3] ?? 30))
const lines = rows.map(([name, time]) => `${((time / total) * 100).toFixed(1).padStart(5)} %  ${name}`)
process.stdout.write(`${Path.basename(process.argv[2]!)}: ${(total / 1e6).toFixed(2)} s\n${lines.join("\n")}\n`)
