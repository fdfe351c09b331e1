/**
 * What the drivers of memberships have in common: what a member does in the background for as long as it lives, and how
 * it tells what holds it up.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { orDied } from "../Abandon.ts"
import * as Backoff from "../Backoff.ts"
import * as KafkaError from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import type { Member, Owner } from "../Membership.ts"
import * as Resume from "../Resume.ts"

export interface MemberWork {
  /** Who has the partitions: what is given back, or lost, is so behind what was given before, however fibers take turns. */
  readonly owner: Owner
  /**
   * Runs until it ends or the Scope closes. What dies there, or interrupts itself, ends the consumer: it must not vanish;
   * `died` hears of it after that.
   */
  readonly inBackground: (self: Effect.Effect<void>, died?: (error: KafkaError.KafkaError) => void) => Fiber.Fiber<void>
  /** What goes wrong and is tried again: told each time; or else logged, once of a kind until `calmed`. */
  readonly troubled: (error: KafkaError.KafkaError) => Effect.Effect<void>
  readonly calmed: () => void
  /**
   * The same of one thing that is tried again; `cured`: it is over, though nothing may be assigned anew. Who is held up by
   * another thing, too, waits on for that.
   */
  readonly trouble: () => Trouble
}

export interface Trouble extends Pick<MemberWork, "troubled"> {
  readonly cured: Effect.Effect<void>
}

/** What cannot be read is told as itself; whatever else code of the application threw, as `Misuse`. */
export const broken = (what: string, cause: unknown, group: string): KafkaError.KafkaError =>
  cause instanceof KafkaError.KafkaError
    ? cause
    : KafkaError.make({ _tag: "Misuse", message: `${what} failed: ${String(cause)}`, group }, cause)

/** How a member hears that it is to end: the verbs of `Member`, as events of its machine. */
export const ends = (
  machine: {
    readonly post: (event: { readonly _tag: "Close" }) => void
    readonly advance: (event: { readonly _tag: "Closing" }) => void
    readonly ended: Effect.Effect<void>
  },
  leaveTimeout: number
): Pick<Member, "closing" | "leave"> => ({
  // At once: a process that has slept through its session has lost what it would give back.
  closing: Effect.sync(() => machine.advance({ _tag: "Closing" })),
  leave: Effect.sync(() => machine.post({ _tag: "Close" })).pipe(
    Effect.andThen(machine.ended),
    Effect.timeoutOption(leaveTimeout),
    Effect.asVoid
  )
})

/**
 * Whether what a member holds is its own. Looks at the clock, too: a process that has stood still for longer than its
 * session may wake in any of its fibers first.
 */
export const alive =
  <State>(
    machine: {
      readonly now: () => number
      readonly state: () => State
      readonly advance: (event: { readonly _tag: "Tick" }) => void
    },
    isLosing: (state: State) => boolean,
    expiresAt: (state: State) => number
  ): NonNullable<Member["isAlive"]> =>
  () => {
    // Lost for all of it at once, though whoever reads it hears of that a turn later.
    if (isLosing(machine.state())) return false
    if (machine.now() < expiresAt(machine.state())) return true
    machine.advance({ _tag: "Tick" })
    return false
  }

// However late a member hears of it, so much is left for what is at work, in milliseconds.
const leastWithin = 1_000

/**
 * How long a group waits for what a member gives back, in milliseconds, at the least: it has counted since before the
 * member heard of it, up to so `late`.
 */
export const within = (rebalanceTimeout: number, late: number): number =>
  Math.min(rebalanceTimeout, Math.max(leastWithin, rebalanceTimeout - late))

/** What the application has asked for: not given up for lack of an answer, which is told; fails with what nothing cures. */
export const insisted = <A>(
  self: Effect.Effect<A, KafkaError.KafkaError>,
  retry: Backoff.Retry,
  { cured, troubled }: Trouble,
  isWanted: () => boolean
): Effect.Effect<A, KafkaError.KafkaError> =>
  self.pipe(
    Effect.tapError((error) => (error.isRetryable ? troubled(error) : Effect.void)),
    Effect.retry({ schedule: Backoff.unending(retry), while: (error) => error.isRetryable && isWanted() }),
    Effect.tap(cured)
  )

/** The work of a member of a group. */
export const make = (group: string, owner: Owner): Effect.Effect<MemberWork, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const told = new Set<string>()
    /** What holds it up since it was given partitions last, and why; what was told last is the last one. */
    const held = new Map<object, KafkaError.KafkaError>()
    let given: Effect.Effect<void> = Effect.void
    const calmed = () => told.clear()
    const troubledBy = (thing: object) => (error: KafkaError.KafkaError) =>
      Effect.suspend(() => {
        held.delete(thing)
        held.set(thing, error)
        if (owner.waits !== undefined) return owner.waits(error)
        const kind = error.reason._tag === "Server" ? error.reason.name : error.reason._tag
        if (told.has(kind)) return Effect.void
        told.add(kind)
        return LogEvent.log("waiting", `group ${group} waits: ${error.message}`, { group })
      })
    return {
      owner: {
        ...owner,
        assigned: (list) => {
          const taken = Deferred.makeUnsafe<void>()
          const mine = (given = Effect.andThen(given, Resume.awaiting(taken)))
          return Effect.ensuring(
            Effect.suspend(() => {
              held.clear()
              return owner.assigned(list)
            }),
            Effect.sync(() => {
              if (given === mine) given = Effect.void
              Deferred.doneUnsafe(taken, Exit.void)
            })
          )
        },
        // What it has by then: not what it has now.
        revoke: (list, within) =>
          Effect.suspend(() =>
            Effect.andThen(
              given,
              Effect.suspend(() => owner.revoke(list, within))
            )
          ),
        lost: Effect.suspend(() => Effect.andThen(given, owner.lost))
      },
      inBackground: (self, died) => {
        const told = (defect: unknown) =>
          Effect.andThen(
            owner.died(defect),
            Effect.sync(() => died?.(broken("the group's machinery", defect, group)))
          )
        return Fiber.runIn(runFork(orDied(self, told)), scope)
      },
      // What is told so is over with the next assignment alone.
      troubled: troubledBy({}),
      calmed,
      trouble: () => {
        const thing = {}
        return {
          troubled: troubledBy(thing),
          cured: Effect.suspend(() => {
            const error = held.get(thing)
            if (error === undefined) return Effect.void
            held.delete(thing)
            calmed()
            const other = [...held.values()].at(-1)
            return (other === undefined ? owner.cured?.(error) : owner.waits?.(other)) ?? Effect.void
          })
        }
      }
    }
  })
