/**
 * A process that runs scripts of the simulator on a mutant: `node seeds.ts FROM COUNT CPU_SECONDS`. It ends with the first
 * problem, or when there is no processor time left for another script. Each line says which script begins, or the end.
 */
import { Effect } from "effect"
import { Simulation } from "samsa/testing"

/** A line of the process. */
export type Told =
  | { readonly tag: "begins"; readonly index: number }
  | { readonly tag: "caught"; readonly index: number; readonly problem: string }
  | { readonly tag: "survived"; readonly index: number }

const [from, count, seconds] = process.argv.slice(2).map(Number) as [number, number, number]
const spent = () => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1e6
}
const tell = (told: Told) => process.stdout.write(`${JSON.stringify(told)}\n`)

/** What is thrown beside the script is the client's as well. */
let index = 0
process.on("uncaughtException", (error) => {
  tell({ tag: "caught", index, problem: `uncaught: ${String(error)}` })
  process.exit(0)
})

while (index < count && (index === 0 || spent() < seconds)) {
  tell({ tag: "begins", index })
  const { problems } = await Effect.runPromise(Simulation.run(Simulation.script(from + index)))
  if (problems.length > 0) {
    tell({ tag: "caught", index, problem: problems[0]! })
    process.exit(0)
  }
  index++
}
tell({ tag: "survived", index })
process.exit(0)
