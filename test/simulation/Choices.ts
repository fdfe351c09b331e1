/** Numbers from a seed (mulberry32): the same seed makes the same choices. */
export const choices = (seed: number) => {
  let state = seed | 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
  return {
    below: (n: number) => Math.floor(next() * n),
    between: (from: number, to: number) => from + Math.floor(next() * (to - from)),
    chance: (p: number) => next() < p,
    of: <A>(list: ReadonlyArray<A>): A => list[Math.floor(next() * list.length)]!
  }
}

export type Choices = ReturnType<typeof choices>
