import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const report = process.env.SAMSA_TEST_REPORT
const conditions = ["samsa-source", "node", "import", "default"]

// Two files at a time: each has real brokers of its own, and most of the time is waiting for them.
export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  ssr: { resolve: { conditions } },
  resolve: { conditions },
  test: {
    include: ["test/integration/**/*.test.ts"],
    maxWorkers: 2,
    testTimeout: 120_000,
    // what a file needs is fetched and built in a hook, and another file may be at it
    hookTimeout: 600_000,
    teardownTimeout: 30_000,
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]]
  }
})
