/**
 * What the drivers of memberships have in common: what a member does in the background for as long as it lives, and how
 * it tells what holds it up.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as KafkaError from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import type { Owner } from "../Membership.ts"

export interface MemberWork {
  /** Runs until it ends or the Scope closes. What fails there without a name ends the consumer: it must not vanish. */
  readonly inBackground: (self: Effect.Effect<void>) => Fiber.Fiber<void>
  /** What goes wrong and is tried again: told each time; or else logged, once of a kind until `calmed`. */
  readonly troubled: (error: KafkaError.KafkaError) => Effect.Effect<void>
  readonly calmed: () => void
}

/** What cannot be read is told as itself; whatever else a bug or code of the application threw, as `Misuse`. */
export const broken = (what: string, cause: unknown, group: string): KafkaError.KafkaError =>
  cause instanceof KafkaError.KafkaError
    ? cause
    : KafkaError.make({ _tag: "Misuse", message: `${what} failed: ${String(cause)}`, group }, cause)

/** The work of a member of a group. */
export const make = (group: string, owner: Owner): Effect.Effect<MemberWork, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const told = new Set<string>()
    return {
      inBackground: (self) =>
        Fiber.runIn(
          runFork(Effect.catchDefect(self, (defect) => owner.failed(broken("the group's machinery", defect, group)))),
          scope
        ),
      troubled: (error) =>
        Effect.suspend(() => {
          if (owner.waits !== undefined) return owner.waits(error)
          const kind = error.reason._tag === "Server" ? error.reason.name : error.reason._tag
          if (told.has(kind)) return Effect.void
          told.add(kind)
          return LogEvent.log("waiting", `group ${group} waits: ${error.message}`, { group })
        }),
      calmed: () => told.clear()
    }
  })
