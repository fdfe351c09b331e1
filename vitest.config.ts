import { defineConfig } from "vitest/config"

const report = process.env.SAMSA_TEST_REPORT

// `samsa` resolves to the sources here, by the `samsa-source` condition of package.json's exports.
export default defineConfig({
  ssr: { resolve: { conditions: ["samsa-source", "node", "import", "default"] } },
  resolve: { conditions: ["samsa-source", "node", "import", "default"] },
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/integration/**", "test/packaging/**", "test/interop/**", "test/bench/**", "**/node_modules/**"],
    testTimeout: 20_000,
    // `.ci/run` counts by it
    reporters: report === undefined ? ["default"] : ["default", ["json", { outputFile: report }]]
  }
})
