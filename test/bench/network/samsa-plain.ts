/** Samsa without idempotence: one batch of a partition under way at a time. */
process.env.BENCH_PLAIN = "1"
export const { contender } = await import("./samsa.ts")
