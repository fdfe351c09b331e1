/**
 * Finds faults by itself: from a seed follows a script of what a cluster, its network, and the producers and consumers of
 * several processes go through; it is run on the embedded cluster, in a time of its own, and judged by the oracle. A script
 * is plain data: it can be printed, read, changed, run again to the same end, and made shorter as long as it fails.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Simulation } from "samsa/testing"
 *
 * export const program = Effect.gen(function*() {
 *   const script = Simulation.script(7)
 *   const { problems } = yield* Simulation.run(script)
 *   if (problems.length === 0) return "all is well"
 *   return Simulation.print(yield* Simulation.shrink(script, problems[0]!))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as KafkaError from "../KafkaError.ts"
import * as Grammar from "./simulation/Grammar.ts"
import * as Runner from "./simulation/Runner.ts"
import type * as Script_ from "./simulation/Script.ts"
import * as Shrink from "./simulation/Shrink.ts"
import * as Text from "./simulation/Text.ts"

/**
 * What happens in a simulation: a cluster, topics, processes with producers and consumers, and steps, each at its time in
 * milliseconds. A step stands for itself: any of them may be left out.
 *
 * @since 0.1.0
 * @category models
 */
export type Script = Script_.Script

/**
 * One thing that happens.
 *
 * @since 0.1.0
 * @category models
 */
export type Step = Script_.Step

/**
 * What a run has come to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run extends Runner.Run {}

/**
 * The script of a seed: always the same.
 *
 * @since 0.1.0
 * @category constructors
 */
export const script: (seed: number) => Script = Grammar.script

/**
 * Runs a script. Two runs of one script have the same history and the same trace. It never fails: what does not hold is
 * among its problems.
 *
 * @since 0.1.0
 * @category running
 */
export const run: (script: Script) => Effect.Effect<Run> = Runner.run

/**
 * A script as lines, which `parse` reads back.
 *
 * @since 0.1.0
 * @category text
 */
export const print: (script: Script) => string = Text.print

/**
 * The script that lines are; fails with `Misuse` where they are none.
 *
 * @since 0.1.0
 * @category text
 */
export const parse = (text: string): Effect.Effect<Script, KafkaError.KafkaError> =>
  Effect.try({
    try: () => Text.parse(text),
    catch: (error) => KafkaError.make({ _tag: "Misuse", message: `this is no script: ${String(error)}` })
  })

/**
 * A shorter script that has a problem of the same kind. It tries at most `most` scripts (400 by default), each of which is
 * run.
 *
 * @since 0.1.0
 * @category running
 */
export const shrink = (
  script: Script,
  problem: string,
  options: { readonly most?: number | undefined } = {}
): Effect.Effect<Script> => {
  const kind = Shrink.kindOf(problem)
  const fails: Shrink.Fails = (one) =>
    Effect.map(Runner.run(one), ({ problems }) => problems.some((each) => Shrink.kindOf(each) === kind))
  return Shrink.shrink(script, fails, options.most)
}
