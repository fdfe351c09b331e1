/**
 * Whoever waits for a condition of somebody's state: the one waiter of this library. Looking at the condition and
 * beginning to wait are one step, so that nothing that comes between is missed. A Latch costs the same (650 and 800 ns
 * for a fiber to be woken and to wait again) and would be a second state, to be kept in step with the condition.
 *
 * Three things wait in ways of their own: `consume/Mailbox` hands over what was waited for (740 ns; a Queue 5200),
 * `consume/Lanes` gives records that are there without an Effect (45 ns; a Queue 190), and `fetch/Pulls` gives what is
 * there only when it is asked for.
 */
import * as Effect from "effect/Effect"
import * as Resume from "./Resume.ts"

export class Signal {
  readonly #waiting = new Set<() => void>()
  readonly #isDue: () => boolean

  /** `isDue`: nobody need wait. */
  constructor(isDue: () => boolean) {
    this.#isDue = isDue
  }

  /** Completes when it is due, or fired. */
  readonly await: Effect.Effect<void> = Resume.callback((resume) => {
    if (this.#isDue()) return resume(Effect.void)
    const woken = () => resume(Effect.void)
    this.#waiting.add(woken)
    return Effect.sync(() => this.#waiting.delete(woken))
  })

  /** Wakes all that wait: for where the condition has come to hold. */
  fire(): void {
    if (this.#waiting.size === 0) return
    const all = [...this.#waiting]
    this.#waiting.clear()
    for (const woken of all) woken()
  }
}
