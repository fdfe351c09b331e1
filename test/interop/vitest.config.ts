import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { Table } from "./Table.ts"

const report = process.env.SAMSA_TEST_REPORT
const conditions = ["samsa-source", "node", "import", "default"]

// One file a client, each with a broker of its own. Two at a time: most of the time is waiting for a client's timers.
export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  ssr: { resolve: { conditions } },
  resolve: { conditions },
  test: {
    include: ["test/interop/**/*.test.ts"],
    maxWorkers: 2,
    testTimeout: 180_000,
    // what a client needs is fetched and built in a hook
    hookTimeout: 600_000,
    teardownTimeout: 30_000,
    reporters:
      report === undefined ? ["default", new Table()] : ["default", new Table(), ["json", { outputFile: report }]]
  }
})
