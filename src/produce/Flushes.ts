/**
 * Pure. What a flush waits for: everything that was handed over so far, and nothing that comes later. Records are
 * counted by how many flushes had begun when their batch was made.
 */
export class Flushes {
  /** Flushes that have begun. */
  generation = 0
  /** Records without an outcome, by generation, ascending. */
  readonly #left = new Map<number, number>()
  outstanding = 0

  /** Records came, or have their outcome. */
  add(generation: number, count: number): void {
    this.outstanding += count
    const left = (this.#left.get(generation) ?? 0) + count
    if (left === 0) this.#left.delete(generation)
    else this.#left.set(generation, left)
  }

  /** A flush begins; gives its number. */
  begin(): number {
    return this.generation++
  }

  /** Whether nothing of what was there before is left. */
  isOver(flush: number): boolean {
    for (const generation of this.#left.keys()) if (generation <= flush) return false
    return true
  }
}
