/**
 * Work in turns: what takes long pauses now and then, and whoever drives it lets the event loop run meanwhile. Pure.
 */

/** Work that pauses by `yield`, and ends with an `A`. */
export type Turns<A> = Generator<void, A, void>

/** How much is decompressed, or hashed, between two pauses: some milliseconds. A multiple of 16. */
export const bytes = 1 << 20

/** Does all of it at once. */
export const finish = <A>(turns: Turns<A>): A => {
  for (;;) {
    const turn = turns.next()
    if (turn.done === true) return turn.value
  }
}
