/**
 * Who waits for one thing of a partition: woken once, all of them. No Latch: it is fired where a condition has come to
 * hold, and who comes later looks at the condition itself.
 */
import * as Effect from "effect/Effect"

export class Signal {
  private readonly waiting = new Set<() => void>()
  private readonly isDue: () => boolean

  /** `isDue`: nobody need wait. */
  constructor(isDue: () => boolean) {
    this.isDue = isDue
  }

  /** Completes when it is due, or fired. */
  readonly await: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.isDue()) return resume(Effect.void)
    const f = () => resume(Effect.void)
    this.waiting.add(f)
    return Effect.sync(() => this.waiting.delete(f))
  })

  fire(): void {
    const all = [...this.waiting]
    this.waiting.clear()
    for (const f of all) f()
  }
}
