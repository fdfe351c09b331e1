/** Choices from a seed: the same seed makes the same. Pure. */
import { randomOf } from "../embedded/Runtime.ts"

export interface Choices {
  /** A whole number from 0 up to `n`, without it. */
  readonly below: (n: number) => number
  /** A whole number from `from` up to `to`, without it. */
  readonly between: (from: number, to: number) => number
  readonly chance: (p: number) => boolean
  readonly of: <A>(list: ReadonlyArray<A>) => A
  /** One of them, each as often as its weight says. */
  readonly weighted: <A>(list: ReadonlyArray<readonly [weight: number, value: A]>) => A
  /** Choices of its own: what it takes changes nothing for those beside it. */
  readonly fork: () => Choices
}

export const choices = (seed: number): Choices => {
  const next = randomOf(seed)
  const below = (n: number) => Math.floor(next() * n)
  return {
    below,
    between: (from, to) => from + Math.floor(next() * (to - from)),
    chance: (p) => next() < p,
    of: (list) => list[Math.floor(next() * list.length)]!,
    weighted: (list) => {
      let left = next() * list.reduce((sum, [weight]) => sum + weight, 0)
      for (const [weight, value] of list) if ((left -= weight) < 0) return value
      return list[list.length - 1]![1]
    },
    fork: () => choices(below(2 ** 31))
  }
}
