/**
 * How long a consumer of a group has been without partitions, and why: its group is shared out and does not come to an
 * end, or it was given none. Whoever tells of it waits for `silence`.
 */
import * as Effect from "effect/Effect"
import { Signal } from "../Signal.ts"

const first = {
  // By then a group has formed, where anything answers; Kafka lets the first members wait 3 s for others.
  forming: 5_000,
  // By then what others had to give back first has come: they hear of it, and we of them, by heartbeats of 5 s at most.
  none: 10_000
}

/** `forming`: no assignment has come yet, told by doubling. `none`: one without partitions, told once until there are some. */
export interface Silence {
  readonly why: "forming" | "none"
  readonly millis: number
  /** It has been shared out meanwhile, or is shared out anew. */
  readonly isOver: () => boolean
  /** Somebody has told of it. What could not be told, since nothing could be found out, comes again, by doubling. */
  readonly told: () => void
}

export class Forming {
  readonly #now: () => number
  #why: Silence["why"] | undefined = undefined
  #since = 0
  #next = 0
  #toldOfNone = false
  /** How often it began, or came to an end. */
  #turns = 0
  readonly #begins = new Signal(() => this.#why !== undefined)

  constructor(now: () => number) {
    this.#now = now
  }

  /** The group shares out anew. */
  begun(): void {
    if (this.#why !== "forming") this.#begin("forming")
  }

  /** It has been shared out. */
  assigned(hasAny: boolean): void {
    this.#why = undefined
    this.#turns++
    if (hasAny) this.#toldOfNone = false
    else if (!this.#toldOfNone) this.#begin("none")
  }

  #begin(why: Silence["why"]): void {
    this.#why = why
    this.#next = first[why]
    this.#since = this.#now()
    this.#turns++
    this.#begins.fire()
  }

  /** Completes when it has lasted. */
  readonly silence: Effect.Effect<Silence> = Effect.gen({ self: this }, function* () {
    while (true) {
      yield* this.#begins.await
      const [why, since] = [this.#why, this.#since]
      yield* Effect.sleep(Math.max(1, since + this.#next - this.#now()))
      if (why === undefined || this.#why !== why || this.#since !== since) continue
      this.#next *= 2
      const turns = this.#turns
      const isOver = () => this.#turns !== turns
      const told = () => {
        if (why === "forming" || isOver()) return
        this.#why = undefined
        this.#toldOfNone = true
      }
      return { why, millis: Math.round(this.#now() - since), isOver, told }
    }
  })
}
