/** The scenarios by their numbers. */
import { fetching } from "./fetching.ts"
import { grouping } from "./grouping.ts"
import { producing } from "./producing.ts"
import type { Scenario } from "./Scenario.ts"
import { transacting } from "./transacting.ts"

export const all: ReadonlyArray<Scenario> = [...producing, ...fetching, ...grouping, ...transacting]

/** Those of which the client has nothing: what would have to be tested is not there. */
export const without: ReadonlyArray<{ readonly number: number; readonly words: string; readonly module: string }> = [
  {
    number: 50,
    words: "share groups: each record is accepted, rejected or archived in the end",
    module: "ShareConsumer"
  }
]

/** What a seed goes on from: of several beginnings of a scenario one after the other; nothing where it has none. */
export const beginningOf = (number: number, seed: number): string => {
  const scripts = all.find((one) => one.number === number)?.scripts ?? []
  return scripts[seed % scripts.length] ?? ""
}
