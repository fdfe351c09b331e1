import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const report = process.env.SAMSA_TEST_REPORT

export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    include: ["test/packaging/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]]
  }
})
