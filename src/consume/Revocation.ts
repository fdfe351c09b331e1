/**
 * How partitions are given back, the same for every membership: stop fetching and drop what was not delivered, end the
 * streams, wait for work in flight, let the application have its word, commit with the old generation, and only then
 * release. Bounded by `drainTimeout`, once: what is not through by then is interrupted, and comes again elsewhere.
 *
 * What is lost is not revoked: it is released at once, what handles it is interrupted, and nothing is committed.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { listed, toldAtMost } from "../Listed.ts"
import * as LogEvent from "../LogEvent.ts"
import { effectOf } from "../Abandon.ts"
import * as Backoff from "../Backoff.ts"
import * as Resume from "../Resume.ts"
import { Signal } from "../Signal.ts"
import * as Apart from "./Apart.ts"
import type { Partition } from "./AssignedPartition.ts"
import type { Committer } from "./Committer.ts"
import type { ConsumerEvent, Unfinished } from "./Events.ts"
import type { OnGone, Settings } from "./Settings.ts"

/** What the steps need of their consumer. */
export interface Context {
  readonly settings: Settings
  readonly clock: Clock.Clock
  readonly committer: Committer
  readonly publish: (event: ConsumerEvent) => void
  /** Nobody shall take what the partition has ready any more. */
  readonly withdraw: (partition: Partition) => void
  /** It is ours no longer. */
  readonly forget: (partition: Partition) => void
  /** Whether the application ever marked a record: who never does forgets it, and is not interrupted for it. */
  readonly everMarked: () => boolean
  /** Whether whoever reads is to mark, and may forget it. */
  readonly marksByHand: () => boolean
  readonly provide: <A, E>(self: Effect.Effect<A, E, any>) => Effect.Effect<A, E>
}

// The rest is kept for the commit, and the way back.
const drainShare = 0.9
const hookShare = 0.95

const lesser = (a: Backoff.Limit, b: Backoff.Limit): Backoff.Limit => (a.millis <= b.millis ? a : b)

/** How long the steps of a revocation may take, and which setting says so. Pure. */
export const budgetOf = (
  { commitTimeout, drainTimeout }: Pick<Settings, "commitTimeout" | "drainTimeout">,
  { millis, name }: Backoff.Limit
): { readonly drain: Backoff.Limit; readonly commit: (left: number) => Backoff.Limit } => ({
  drain: lesser({ name: "drainTimeout", millis: drainTimeout }, { name, millis: millis * drainShare }),
  commit: (left) => lesser({ name: "commitTimeout", millis: commitTimeout }, { name, millis: Math.max(1_000, left) })
})

/** What is in flight, as text. Pure. */
export const textOf = (unfinished: ReadonlyArray<Unfinished>): string =>
  unfinished
    .slice(0, toldAtMost)
    .map(
      ({ count, lowest, partition, topic }) =>
        `${topic}-${partition}: ${count === 1 ? "1 record is" : `${count} records are`} delivered and not done, from offset ${lowest} on`
    )
    .concat(unfinished.length > toldAtMost ? `${unfinished.length - toldAtMost} more partitions` : [])
    .join("; ")

// How long what was interrupted may clean up, while others wait for the partition, in milliseconds.
const cleanUp = 100

/** Interrupts at once what handles these; gives whom to wait for. */
const cut = (list: ReadonlyArray<Partition>): ReadonlyArray<Fiber.Fiber<unknown, unknown>> => {
  const fibers = new Set(list.flatMap(({ workers }) => workers))
  const current = Fiber.getCurrent()
  for (const fiber of fibers) fiber.interruptUnsafe()
  return [...fibers].filter((fiber) => fiber !== current)
}
const cleanedUp = (fibers: ReadonlyArray<Fiber.Fiber<unknown, unknown>>): Effect.Effect<void> =>
  Effect.asVoid(Effect.timeoutOption(Fiber.awaitAll(fibers), cleanUp))

const interrupt = (list: ReadonlyArray<Partition>): Effect.Effect<void> => Effect.suspend(() => cleanedUp(cut(list)))

export interface Revocation {
  /** Gives partitions back: answered when they are released. What is being given back already is waited for. */
  readonly giveBack: (list: ReadonlyArray<Partition>, within: number) => Effect.Effect<void>
  /** The same for all, for good: what is being given back already has no more time than this, either. */
  readonly close: (list: ReadonlyArray<Partition>, within: number) => Effect.Effect<void>
  /** Everything is gone, what is being given back included. */
  readonly lost: (list: ReadonlyArray<Partition>) => Effect.Effect<void>
  /** Whether the newest loss has interrupted somebody, who hears of no error any more. */
  readonly hasInterrupted: () => boolean
  /** Interrupts what handles these, waiting a moment for it. */
  readonly interrupt: (list: ReadonlyArray<Partition>) => Effect.Effect<void>
}

/** A hook of the application may not hold up the group; what it dies of is told. */
const hooks =
  (context: Context, where: LogEvent.Where) =>
  (hook: OnGone | undefined, list: ReadonlyArray<Partition>, within: number): Effect.Effect<void> =>
    hook === undefined || list.length === 0
      ? Effect.void
      : Apart.within(
          context.provide(
            Effect.suspend(() =>
              Effect.orDie(effectOf(hook(list.map((partition) => partition.place)), "what onRevoked or onLost gives"))
            )
          ),
          within
        ).pipe(
          Effect.flatMap((hasEnded) =>
            hasEnded
              ? Effect.void
              : LogEvent.log("hookFailed", "onRevoked or onLost has not ended in time, and is left alone", where)
          ),
          Effect.catchDefect((defect) =>
            LogEvent.log("hookFailed", "onRevoked or onLost failed", where, undefined, defect)
          )
        )

export const make = (context: Context): Revocation => {
  const { clock, committer, publish, settings } = context
  const now = () => Backoff.monotonic(clock)
  const where: LogEvent.Where = { group: settings.group }

  /** When closing began, and how long it may take: in the middle of a revocation, perhaps. */
  let closing: { readonly since: number; readonly within: number } | undefined
  const closes = new Signal(() => closing !== undefined)
  /** Cut off when so much of a closing's time is over. */
  const cutAt = <A>(share: number, self: Effect.Effect<A>): Effect.Effect<A | void> =>
    Effect.raceFirst(
      self,
      Effect.andThen(
        closes.await,
        Effect.suspend(() => Effect.sleep(Math.max(0, closing!.since + closing!.within * share - now())))
      )
    )

  const publishOf = (_tag: "Revoked" | "Lost" | "Drained", list: ReadonlyArray<Partition>): void => {
    if (list.length > 0) publish({ _tag, partitions: list.map((partition) => partition.place) })
  }

  const told = hooks(context, where)

  /** Closes the fetching side; a codec of the application's own that cannot be interrupted holds up nobody. */
  const closed = (list: ReadonlyArray<Partition>): Effect.Effect<unknown> =>
    Apart.within(
      Effect.forEach(list, (partition) => partition.close, { concurrency: "unbounded", discard: true }),
      cleanUp
    )

  /** Waits until all are drained; says which are not when the time is over, and which time that was. */
  const drained = (list: ReadonlyArray<Partition>, within: Backoff.Limit) =>
    Effect.gen(function* () {
      const each = Effect.forEach(
        list,
        (partition) => Resume.callback<void>((resume) => partition.whenDrained(() => resume(Effect.void))),
        { concurrency: "unbounded", discard: true }
      )
      const isCut = (yield* cutAt(drainShare, Effect.timeoutOption(each, within.millis))) === undefined
      return {
        late: list.filter((partition) => partition.status === "ending" && !partition.isDrained()),
        spent: isCut ? { name: "closeTimeout", millis: Math.round(now() - closing!.since) } : within
      }
    })

  const timedOut = Effect.fnUntraced(function* (late: ReadonlyArray<Partition>, { millis, name }: Backoff.Limit) {
    const unfinished = late.flatMap((partition) => partition.unfinished ?? [])
    publish({ _tag: "RevokeTimedOut", partitions: late.map((partition) => partition.place), unfinished })
    const mayForget = context.marksByHand() && !context.everMarked()
    const hint = mayForget ? "; no record was ever marked: is `Consumer.done` forgotten?" : ""
    const keys = late.map(({ key }) => key)
    const what = unfinished.length === 0 ? listed(keys, toldAtMost) : textOf(unfinished)
    const text = `${name}: work was not through within ${Math.round(millis)} ms: ${what}${hint}`
    yield* LogEvent.log("drainTimedOut", text, where)
    // A stream that waits for records while nothing was ever marked is at no work.
    yield* interrupt(late.filter((partition) => context.everMarked() || !partition.isAwaited()))
  })

  const revoke = Effect.fnUntraced(function* (list: ReadonlyArray<Partition>, limit: Backoff.Limit) {
    if (list.length === 0) return
    const budget = budgetOf(settings, limit)
    const within = limit.millis
    const begun = now()
    for (const partition of list) {
      context.withdraw(partition)
      partition.stop()
    }
    yield* closed(list)
    const { late, spent } = yield* drained(list, budget.drain)
    if (late.length > 0) yield* timedOut(late, spent)
    publishOf(
      "Drained",
      list.filter((partition) => partition.status === "ending" && !late.includes(partition))
    )
    const ours = () => list.filter((partition) => partition.status !== "ended")
    yield* cutAt(hookShare, told(settings.onRevoked, ours(), begun + within * hookShare - now()))
    let wasLost = false
    if (settings.group !== undefined) {
      const notCommitted = (why: string) => {
        const uncommitted = list.filter((partition) => committer.isBehind(partition) && !late.includes(partition))
        if (uncommitted.length > 0)
          publish({ _tag: "RevokeTimedOut", partitions: uncommitted.map(({ place }) => place), unfinished: [] })
        const what = `the last offsets of group ${settings.group} could not be committed: ${why}`
        return LogEvent.log("commitFailed", what, where)
      }
      const flushed = committer.flush(list, budget.commit(begun + within - now())).pipe(
        Effect.catch((error) => {
          // The group gave them to others before they were given back: what was done is handled there again.
          wasLost = error.reason._tag === "NotOwned" || error.reason._tag === "Fenced"
          return wasLost ? Effect.void : notCommitted(error.message)
        }),
        Effect.as("ended" as const)
      )
      if ((yield* cutAt(1, flushed)) === undefined) yield* notCommitted("closeTimeout was over before they were")
    }
    const left = ours()
    release(left, wasLost ? "Lost" : "Revoked")
    if (wasLost) yield* told(settings.onLost, left, settings.drainTimeout)
  })

  const release = (list: ReadonlyArray<Partition>, _tag: "Revoked" | "Lost"): void => {
    for (const partition of list) {
      partition.release()
      context.forget(partition)
    }
    publishOf(_tag, list)
  }

  const giveBack = (list: ReadonlyArray<Partition>, limit: Backoff.Limit): Effect.Effect<void> =>
    Effect.suspend(() => {
      const live = list.filter((partition) => partition.isLive)
      const others = list.filter((partition) => !partition.isLive)
      return Effect.all([revoke(live, limit), ...others.map((partition) => Resume.awaiting(partition.released))], {
        concurrency: "unbounded",
        discard: true
      })
    })

  let hasInterrupted = false

  return {
    interrupt,
    giveBack: (list, within) => giveBack(list, { name: "rebalanceTimeout", millis: within }),
    hasInterrupted: () => hasInterrupted,
    close: (list, within) =>
      Effect.suspend(() => {
        closing ??= { since: now(), within }
        closes.fire()
        return giveBack(list, { name: "closeTimeout", millis: within })
      }),
    lost: (list) =>
      Effect.suspend(() => {
        // Before the streams end: who waits for records is at no work, unless some are in flight elsewhere.
        const atWork = list.filter((partition) => partition.inFlight > 0 || !partition.isAwaited())
        for (const partition of list) context.withdraw(partition)
        release(list, "Lost")
        // Before anything is waited for: whoever goes on does so beside the next owner.
        const fibers = cut(atWork)
        hasInterrupted = fibers.length > 0
        return Effect.all([closed(list), cleanedUp(fibers)], { concurrency: "unbounded", discard: true }).pipe(
          Effect.andThen(told(settings.onLost, list, settings.drainTimeout))
        )
      })
  }
}
