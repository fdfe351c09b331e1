/**
 * The responses of a connection, read in their order: what is short at once, what is long in turns that let the event
 * loop run. What comes behind a long one waits for it.
 */
import * as Effect from "effect/Effect"
import type { Turns } from "../compression/Turns.ts"
import type { InFlightRequest } from "./InFlightRequest.ts"

interface Reading {
  readonly pending: InFlightRequest
  readonly turns: Turns<unknown>
  readonly bytes: number
}

export interface Owner {
  readonly fork: (effect: Effect.Effect<void>) => void
  /** Told how many bytes more, or less, wait here; may throw. */
  readonly onHeld: (bytes: number) => void
  readonly onRead: (pending: InFlightRequest, value: unknown) => void
  /** It cannot be read: whoever waits is to be told, and the line to be cleared. */
  readonly onUnreadable: (pending: InFlightRequest, error: unknown) => void
}

export class ResponseLine {
  readonly #owner: Owner
  readonly #line: Array<Reading> = []

  constructor(owner: Owner) {
    this.#owner = owner
  }

  get length(): number {
    return this.#line.length
  }

  add(pending: InFlightRequest, frame: Uint8Array): void {
    const reading: Reading = { pending, turns: pending.read(frame), bytes: frame.length }
    if (this.#line.length === 0 && this.#hasRead(reading)) return
    try {
      this.#owner.onHeld(reading.bytes)
    } catch (error) {
      return this.#owner.onUnreadable(pending, error)
    }
    if (this.#line.push(reading) > 1) return
    this.#owner.fork(
      Effect.catchDefect(Effect.andThen(Effect.yieldNow, this.#readOn), (defect) =>
        Effect.sync(() => this.#owner.onUnreadable(pending, defect))
      )
    )
  }

  /** Takes out what is not read, for whoever tells those that wait. */
  clear(): Array<InFlightRequest> {
    const left = this.#line.splice(0)
    for (const { bytes } of left) this.#owner.onHeld(-bytes)
    return left.map(({ pending }) => pending)
  }

  readonly #readOn: Effect.Effect<void> = Effect.suspend(() => {
    const [reading] = this.#line
    if (reading === undefined) return Effect.void
    // Nothing is read on for nobody.
    const isDone = reading.pending.resume === undefined || this.#hasRead(reading)
    if (isDone && this.#line[0] === reading) {
      this.#line.shift()
      this.#owner.onHeld(-reading.bytes)
    }
    return Effect.andThen(Effect.yieldNow, this.#readOn)
  })

  /** Reads a turn of a response; whether it was the last. */
  #hasRead({ pending, turns }: Reading): boolean {
    try {
      const turn = turns.next()
      if (turn.done !== true) {
        pending.onProgress?.()
        return false
      }
      this.#owner.onRead(pending, turn.value)
    } catch (error) {
      this.#owner.onUnreadable(pending, error)
    }
    return true
  }
}
