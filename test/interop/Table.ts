/** Prints what the clients did as a table: a row a client, a column a feature, which is what a test's name begins with. */
import type { Reporter, TestModule } from "vitest/node"

export class Table implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    const features: Array<string> = []
    const rows = new Map<string, Map<string, boolean>>()
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state === "skipped" || state === "pending") continue
        const [feature] = test.name.split(": ") as [string]
        const client = test.parent.type === "suite" ? test.parent.name : module.relativeModuleId
        const row = rows.get(client) ?? new Map<string, boolean>()
        rows.set(client, row)
        if (!features.includes(feature)) features.push(feature)
        row.set(feature, (row.get(feature) ?? true) && state === "passed")
      }
    }
    const line = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |\n`
    const mark = (passed: boolean | undefined) => (passed === undefined ? "–" : passed ? "ok" : "FAILED")
    process.stdout.write(
      "\n" +
        line(["client", ...features]) +
        line(["client", ...features].map(() => "---")) +
        [...rows]
          .sort(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))
          .map(([client, row]) => line([client, ...features.map((feature) => mark(row.get(feature)))]))
          .join("") +
        "\n"
    )
  }
}
