/**
 * What is told to all who listen, each at his own pace, until there is nothing more. Not a PubSub: one who does not read
 * keeps nothing from the others (a full one takes nothing new by `publishUnsafe`, for nobody), and who waits is resumed
 * apart, since it is told within steps of others.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Signal } from "./Signal.ts"

/** How many are kept for one who reads slowly: beyond that he misses the oldest. And how many who comes later hears. */
export interface Kept {
  readonly unread: number
  readonly replayed: number
}

interface Listener<A> {
  unread: Array<A>
  readonly signal: Signal
}

export class Broadcast<A> {
  readonly #kept: Kept
  readonly #listeners = new Set<Listener<A>>()
  readonly #replayed: Array<A> = []
  #isOver = false

  constructor(kept: Kept) {
    this.#kept = kept
  }

  tell(one: A): void {
    if (this.#isOver) return
    this.#replayed.push(one)
    if (this.#replayed.length > this.#kept.replayed) this.#replayed.shift()
    for (const { unread } of this.#listeners) {
      unread.push(one)
      if (unread.length > this.#kept.unread) unread.shift()
    }
    this.#fire()
  }

  /** Nothing more is told. */
  end(): void {
    this.#isOver = true
    this.#fire()
  }

  // Once all have it: who is resumed runs on here, and may have more told, which others then have read, too.
  #fire(): void {
    for (const { signal, unread } of Array.from(this.#listeners)) if (this.#isOver || unread.length > 0) signal.fire()
  }

  /** From the moment at which it is pulled, behind what is replayed. */
  readonly stream: Stream.Stream<A> = Stream.unwrap(
    Effect.map(
      Effect.acquireRelease(
        Effect.sync(() => {
          const listener: Listener<A> = {
            unread: this.#replayed.slice(),
            signal: new Signal(() => this.#isOver || listener.unread.length > 0)
          }
          this.#listeners.add(listener)
          return listener
        }),
        (listener) => Effect.sync(() => this.#listeners.delete(listener))
      ),
      (listener) =>
        Stream.fromPull(
          Effect.succeed(
            Effect.flatMap(listener.signal.await, () => {
              const { unread } = listener
              if (!Arr.isArrayNonEmpty(unread)) return Cause.done()
              listener.unread = []
              return Effect.succeed(unread)
            })
          )
        )
    )
  )
}
