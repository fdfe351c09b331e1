/**
 * The seeds that a random walk takes: `byDefault` of them, in CI `inCi`, from 1 on. `SAMSA_SEEDS=1000` takes as many,
 * `SAMSA_SEED=7` only that one, both together so many from that one on.
 */
export const seedsOf = (byDefault: number, inCi = byDefault): ReadonlyArray<number> => {
  const { CI, SAMSA_SEED, SAMSA_SEEDS } = process.env
  const usual = SAMSA_SEED === undefined ? (CI === undefined ? byDefault : inCi) : 1
  const first = Number(SAMSA_SEED ?? 1)
  return Array.from({ length: Number(SAMSA_SEEDS ?? usual) }, (_, i) => first + i)
}
