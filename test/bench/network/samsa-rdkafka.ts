/** Samsa over librdkafka: what its own transport costs beside it. */
process.env.BENCH_TRANSPORT = "rdkafka"
export const { contender, idle } = await import("./samsa.ts")
