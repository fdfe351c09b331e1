/**
 * Says once that records are delivered and none was ever marked: then nothing is ever committed, which shows nowhere
 * else until the next start. Where marks are the application's to set; `run` and transactions see to it by themselves.
 */
import * as Effect from "effect/Effect"
import * as LogEvent from "../LogEvent.ts"
import type { Partition } from "./AssignedPartition.ts"
import type { ConsumerState } from "./ConsumerState.ts"

const looksEvery = 5_000

// So many are more than a window holds, mostly.
const many = 10_000

// Longer than most windows: by then who waits for more has done with what he was given.
const long = 30_000

/** Whether marks are forgotten, `millis` after the first delivery. Pure. */
export const isForgotten = (
  partitions: Iterable<Pick<Partition, "inFlight" | "isAwaited">>,
  millis: number
): boolean => {
  let unfinished = 0
  let isAwaited = true
  for (const partition of partitions) {
    unfinished += partition.inFlight
    isAwaited &&= partition.inFlight === 0 || partition.isAwaited()
  }
  return unfinished >= many || (unfinished > 0 && isAwaited && millis >= long)
}

/** Looks on from the first delivery; ends with the first mark, or when it is told. */
export const watch = (state: ConsumerState): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { now, partitions, reading, settings } = state
    const since = now()
    while (true) {
      yield* Effect.sleep(looksEvery)
      const isOver = state.everMarked || state.closing || state.failure !== undefined || reading.isOver
      const isByHand =
        reading.isForTransactions || [...partitions.values()].some(({ everDoneByHand }) => everDoneByHand)
      if (isOver || isByHand) return
      if (!isForgotten(partitions.values(), now() - since)) continue
      const count = [...partitions.values()].reduce((sum, { inFlight }) => sum + inFlight, 0)
      return yield* LogEvent.log(
        "neverMarked",
        `a consumer of group ${settings.group}: ${count} ${count === 1 ? "record was" : "records were"} delivered, and none was ever marked as done: nothing is committed, and all comes again at the next start; who reads \`stream\`, \`partitions\` or \`eachPartition\` marks with \`Consumer.done\`, and \`run\` marks by itself`,
        { group: settings.group }
      )
    }
  })
