import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const report = process.env.SAMSA_TEST_REPORT
const conditions = ["samsa-source", "node", "import", "default"]

// One file after the other: each has real brokers of its own.
export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  ssr: { resolve: { conditions } },
  resolve: { conditions },
  test: {
    include: ["test/integration/**/*.test.ts"],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 240_000,
    teardownTimeout: 30_000,
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]]
  }
})
