/**
 * Closes connections that nobody uses: one timer for all of them, that rings when the first of them may have been idle
 * for long enough. It is there only while there are connections.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Backoff from "../Backoff.ts"
import type { BrokerConnection } from "./BrokerConnection.ts"

export interface IdleReaper {
  readonly add: (session: BrokerConnection) => void
  readonly remove: (session: BrokerConnection) => void
}

/** `maxIdle` in milliseconds; `Infinity`: nothing is ever closed. */
export const make = (
  maxIdle: number,
  clock: Clock.Clock,
  fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
): IdleReaper => {
  const sessions = new Set<BrokerConnection>()
  let timer: Fiber.Fiber<void> | undefined

  const look: Effect.Effect<void> = Effect.suspend(() => {
    const now = Backoff.monotonic(clock)
    let wait = maxIdle
    for (const session of sessions) {
      if (!session.isIdle) continue
      const left = session.usedAt + maxIdle - now
      if (left > 0) wait = Math.min(wait, left)
      else session.close("idle", true)
    }
    if (sessions.size === 0) {
      timer = undefined
      return Effect.void
    }
    return Effect.andThen(Effect.sleep(Math.ceil(wait)), look)
  })

  return {
    add: (session) => {
      if (maxIdle === Infinity || !session.isOpen) return
      sessions.add(session)
      // Whatever ends it, the next connection begins anew.
      timer ??= fork(
        Effect.ensuring(
          look,
          Effect.sync(() => (timer = undefined))
        )
      )
    },
    remove: (session) => {
      sessions.delete(session)
      if (sessions.size > 0) return
      timer?.interruptUnsafe()
      timer = undefined
    }
  }
}
