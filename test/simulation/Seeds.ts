/** Which seeds a walk takes: as many as `SAMSA_SEEDS` says, or else `byDefault`; one of them again by `SAMSA_SEED=1234`. */
export const seedsOf = (byDefault: number): { readonly count: number; readonly seeds: ReadonlyArray<number> } => {
  const count = Number(process.env.SAMSA_SEEDS ?? byDefault)
  const chosen = process.env.SAMSA_SEED
  return { count, seeds: chosen === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(chosen)] }
}
