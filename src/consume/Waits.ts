/**
 * What a consumer says while it cannot start: at `Debug` as long as it may cure itself, as a coordinator does that loads or
 * moves, and as a warning once it lasts.
 */
import * as Effect from "effect/Effect"
import type * as KafkaError from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import type { Partition } from "./AssignedPartition.ts"
import type { ConsumerState } from "./ConsumerState.ts"
import type { ConsumerEvent } from "./Events.ts"
import { whoIs } from "./Told.ts"

interface Context {
  readonly state: ConsumerState
  readonly inBackground: (self: Effect.Effect<void>) => Effect.Effect<unknown>
}

interface Waits {
  /** Tells of it; `again`: of what has lasted, by whoever counts how long. */
  readonly waits: (error: KafkaError.KafkaError, again?: boolean) => Effect.Effect<void>
  /** It is over, where it is what was told last. */
  readonly cured: (error: KafkaError.KafkaError) => Effect.Effect<void>
  /** It is over, whatever it was: partitions were assigned, be it none that is new. */
  readonly over: Effect.Effect<void>
}

/** Makes what is told of it. */
export const make = ({ inBackground, state }: Context): Waits => {
  const { group } = state.settings
  const who = whoIs(group)
  /** Of the trouble that there is now. */
  let isWarned = false
  let count = 0
  const told = (error: KafkaError.KafkaError, level: "Debug" | "Warn") => {
    if (level === "Warn") isWarned = state.warned = true
    return LogEvent.log("waiting", `${who} waits: ${error.message}`, { group }, level)
  }
  const cured = (error: KafkaError.KafkaError) =>
    Effect.suspend(() => {
      if (state.trouble !== error) return Effect.void
      state.trouble = undefined
      return isWarned ? over : Effect.void
    })
  const over = Effect.suspend(() => {
    if (!state.warned) return Effect.void
    isWarned = state.warned = false
    return LogEvent.log("goesOn", `${who} waits no more`, { group })
  })
  const waits = (error: KafkaError.KafkaError, again = false): Effect.Effect<void> =>
    Effect.suspend(() => {
      const isNew = state.trouble === undefined
      state.trouble = error
      // Who leaves waits for nothing: what its coordinator answers then is no trouble.
      if (state.closing || (!isNew && !again)) return Effect.void
      if (isNew) {
        isWarned = false
        count++
        state.publish({ _tag: "Waiting", group, partition: undefined, error })
      }
      if (again || error.reason._tag === "TimedOut") return told(error, "Warn")
      const mine = count
      const lasts = Effect.suspend(() =>
        mine !== count || isWarned || state.closing || state.trouble === undefined
          ? Effect.void
          : told(state.trouble, "Warn")
      )
      return Effect.andThen(told(error, "Debug"), inBackground(Effect.delay(lasts, LogEvent.lastsAfter)))
    })
  return { waits, cured, over }
}

interface CommitContext {
  readonly group: string | undefined
  readonly publish: (event: ConsumerEvent) => void
  readonly inBackground: (self: Effect.Effect<void>) => Effect.Effect<unknown>
}

interface CommitWaits {
  /** Why nothing is known yet of where these begin. */
  readonly waits: (list: ReadonlyArray<Partition>) => (error: KafkaError.KafkaError) => Effect.Effect<void>
  /** It is known. */
  readonly found: (list: ReadonlyArray<Partition>) => Effect.Effect<void>
}

/** What is said while that is waited for which partitions begin with: the group's commits, and what the application chooses. */
export const ofCommits = ({ group, inBackground, publish }: CommitContext): CommitWaits => {
  const who = whoIs(group)
  /** Of which somebody was warned: also those that were given back before it was known. */
  const warned = new Set<Partition>()
  /** By what each is held up now. */
  const heldUp = new WeakMap<Partition, object>()
  const told = (error: KafkaError.KafkaError, level: "Debug" | "Warn") => {
    // What `onAssigned` does is no matter of commits.
    const what = error.reason._tag === "Misuse" ? "waits" : "waits for its commits"
    return LogEvent.log("waiting", `${who} ${what}: ${error.message}`, { group }, level)
  }
  const warn = (list: ReadonlyArray<Partition>, error: KafkaError.KafkaError) => {
    for (const partition of list) warned.add(partition)
    return told(error, "Warn")
  }
  return {
    waits: (list) => (error) =>
      Effect.suspend(() => {
        const isNew = list.every(({ trouble }) => trouble === undefined)
        for (const partition of list) partition.trouble = error
        if (!isNew) return Effect.void
        const wait = {}
        for (const partition of list) heldUp.set(partition, wait)
        publish({ _tag: "Waiting", group, partition: undefined, error })
        // It has lasted by now.
        if (error.reason._tag === "TimedOut" || error.reason._tag === "Misuse") return warn(list, error)
        const lasts = Effect.suspend(() => {
          const waiting = list.filter((one) => one.status === "opening" && heldUp.get(one) === wait)
          const last = waiting[0]?.trouble
          return last === undefined ? Effect.void : warn(waiting, last)
        })
        return Effect.andThen(told(error, "Debug"), inBackground(Effect.delay(lasts, LogEvent.lastsAfter)))
      }),
    found: (list) =>
      Effect.suspend(() => {
        for (const partition of list) {
          partition.trouble = undefined
          heldUp.delete(partition)
        }
        const wasWarned = warned.size > 0
        for (const partition of warned) if (list.includes(partition) || !partition.isLive) warned.delete(partition)
        return wasWarned && warned.size === 0
          ? LogEvent.log("goesOn", `${who} waits for its commits no more`, { group })
          : Effect.void
      })
  }
}
