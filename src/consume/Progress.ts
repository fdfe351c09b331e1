/**
 * Watches that partitions with work in flight make progress, where `progressTimeout` is set; heartbeats go on whatever
 * the application does, so nobody else would tell.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as LogEvent from "../LogEvent.ts"
import * as Backoff from "../Backoff.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Partition } from "./AssignedPartition.ts"
import type { ConsumerEvent, Unfinished } from "./Events.ts"
import { textOf } from "./Revocation.ts"
import type { Settings } from "./Settings.ts"

/**
 * Whether a partition has stood still: work in flight, and nothing of it done for so long; or work that a seek, or a log
 * that was cut, has made void, and nobody who comes for what is there since. Pure.
 */
const hasStalled = (
  partition: Pick<
    Partition,
    "inFlight" | "paused" | "isLive" | "progressedAt" | "leftBehind" | "isReady" | "isAwaited"
  >,
  now: number,
  progressTimeout: number
): boolean =>
  partition.isLive &&
  !partition.paused &&
  (partition.inFlight > 0 || (partition.leftBehind > 0 && partition.isReady && !partition.isAwaited())) &&
  now - partition.progressedAt >= progressTimeout

/** What stands still. */
const standing = (partition: Partition): Unfinished =>
  partition.unfinished ?? { ...partition.place, count: partition.leftBehind, lowest: partition.position! }

/** Looks again and again; ends never. */
export const watch = (
  { group, onStalled, progressTimeout }: Settings,
  partitions: ReadonlyMap<string, Partition>,
  publish: (event: ConsumerEvent) => void,
  interrupt: (list: ReadonlyArray<Partition>) => Effect.Effect<void>
): Effect.Effect<never, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    while (true) {
      yield* Effect.sleep(Math.max(1, progressTimeout / 4))
      const now = Backoff.monotonic(clock)
      const stalled = [...partitions.values()].filter((partition) => hasStalled(partition, now, progressTimeout))
      const [first] = stalled
      if (first === undefined) continue
      // Of all in one line: where handlers wait for what is away, each of their partitions stands still.
      const all = stalled.map(standing)
      const where = stalled.length === 1 ? first.place : undefined
      for (const [i, partition] of stalled.entries()) {
        // Told again after the same time, while it lasts.
        partition.progressedAt = now
        publish({ _tag: "Stalled", partition: partition.place, unfinished: all[i]!.count })
      }
      yield* LogEvent.log("stalled", `no progress for ${progressTimeout} ms: ${textOf(all)}`, { group, ...where })
      if (onStalled === "fail") {
        return yield* KafkaError.make({
          _tag: "TimedOut",
          budget: "progressTimeout",
          millis: progressTimeout,
          waitingFor: textOf(all.slice(0, 1)),
          ...first.place
        })
      }
      if (onStalled === "interrupt") {
        for (const partition of stalled) partition.begunAgain = true
        yield* interrupt(stalled)
      }
    }
  })
