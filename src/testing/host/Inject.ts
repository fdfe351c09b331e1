/** Puts a fault in force among the rules of who serves requests. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { Rule } from "../embedded/FaultRule.ts"
import { randomOf } from "../embedded/Runtime.ts"
import type { Fault } from "../Fault.ts"
import type { FaultHandle } from "./Contract.ts"

/** `snapshot` is what metadata tells now, for the fault `staleMetadata`. It is removed when the Scope closes. */
export const into = (
  rules: Array<Rule>,
  { action, match }: Fault,
  snapshot: () => Map<string, unknown>
): Effect.Effect<FaultHandle, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const struck = Deferred.makeUnsafe<void>()
      const rule = new Rule(
        match,
        action._tag === "StaleMetadata" ? { ...action, snapshot: snapshot() } : action,
        randomOf(match.seed ?? 1)
      )
      rule.onHit = () => Deferred.doneUnsafe(struck, Exit.void)
      rules.push(rule)
      return {
        hits: Effect.sync(() => rule.hits),
        await: Deferred.await(struck),
        remove: Effect.sync(() => {
          const at = rules.indexOf(rule)
          if (at >= 0) rules.splice(at, 1)
        })
      }
    }),
    (handle) => handle.remove
  )
