/** A process of the simulator: runs one script after the other, as it is told. */
import { Effect } from "effect"
import { Simulation } from "samsa/testing"
import { beginningOf } from "./scenarios/all.ts"

export interface Job {
  readonly seed: number
  /** Instead of the seed's. */
  readonly script?: string
  /** The number of a scenario that it goes on from. */
  readonly scenario?: number
}

export type Told =
  | { readonly tag: "ready" }
  | { readonly tag: "done"; readonly seed: number; readonly took: number }
  /** Something is wrong; what is short of it comes later. */
  | { readonly tag: "found"; readonly seed: number; readonly problem: string }
  | {
      readonly tag: "failed"
      readonly seed: number
      readonly took: number
      readonly problems: ReadonlyArray<string>
      readonly shrunk: string
    }

const tell = (told: Told) => process.send!(told)

const work = ({ scenario, script: text, seed }: Job) =>
  Effect.gen(function* () {
    const script =
      scenario !== undefined
        ? Simulation.continued(yield* Simulation.parse(beginningOf(scenario, seed)), seed)
        : text === undefined
          ? Simulation.script(seed)
          : yield* Simulation.parse(text)
    const { problems, took } = yield* Simulation.run(script)
    const [problem] = problems
    if (problem === undefined) return tell({ tag: "done", seed, took })
    tell({ tag: "found", seed, problem })
    const shrunk = text === undefined ? yield* Simulation.shrink(script, problem, { most: 300 }) : script
    return tell({ tag: "failed", seed, took, problems, shrunk: Simulation.print(shrunk) })
  })

process.on("message", (job: Job) => void Effect.runPromise(work(job)))
tell({ tag: "ready" })
