/** Pure. Where a record waits: in one line at a time, of its topic, then of its partition, then of the buffer. */

/** A place in a line. */
export class PlaceInLine {
  #leave: (() => void) | undefined
  #turn = 0

  /**
   * Waits: `line` calls `goOn` as its turn has come, perhaps at once, and gives what leaves it. `goOn` is false where it has
   * left.
   */
  for(line: (goOn: () => boolean) => () => void): void {
    const turn = ++this.#turn
    this.#leave = undefined
    const leave = line(() => {
      if (turn !== this.#turn) return false
      this.#turn++
      this.#leave = undefined
      return true
    })
    // Who goes on at once may wait in the next line by now.
    if (turn === this.#turn) this.#leave = leave
  }

  leave(): void {
    this.#turn++
    this.#leave?.()
    this.#leave = undefined
  }
}
