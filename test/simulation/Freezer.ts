/**
 * A process that can be stopped and gone on (SIGSTOP, SIGCONT): its timers do not fire and it hears nothing while it is
 * frozen, and then all of it at once, in either order.
 */
import { Clock, Effect } from "effect"
import type { Network } from "samsa"

export class Freezer {
  private frozen = false
  private sleepers: Array<() => void> = []
  private heard: Array<() => void> = []

  freeze(): void {
    this.frozen = true
  }

  thaw(timersFirst: boolean): void {
    this.frozen = false
    const { heard, sleepers } = this
    this.heard = []
    this.sleepers = []
    for (const wake of timersFirst ? [...sleepers, ...heard] : [...heard, ...sleepers]) wake()
  }

  private readonly thawed: Effect.Effect<void> = Effect.callback((resume) => {
    if (!this.frozen) return resume(Effect.void)
    this.sleepers.push(() => resume(Effect.void))
  })

  private hear(f: () => void): void {
    if (this.frozen) this.heard.push(f)
    else f()
  }

  clock(own: Clock.Clock): Clock.Clock {
    return { ...own, sleep: (duration) => Effect.andThen(own.sleep(duration), this.thawed) }
  }

  network(own: Network.Network["Service"]): Network.Network["Service"] {
    return {
      connect: (address, handler) =>
        Effect.andThen(
          this.thawed,
          own.connect(address, {
            onData: (chunk) => this.hear(() => handler.onData(chunk)),
            onClose: (...why) => this.hear(() => handler.onClose(...why))
          })
        )
    }
  }
}
