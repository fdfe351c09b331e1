/** A command loads what it needs, and no more: its start is bounded by that, whatever machine it runs on. */
import { mkdtempSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { pathToFileURL } from "node:url"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { samsa } from "./Samsa.ts"

const preloaded = pathToFileURL(path.join(import.meta.dirname, "modules.mjs")).href

/** What a command loads: modules of this package, and those of others. */
const loads = (...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const file = path.join(mkdtempSync(path.join(tmpdir(), "samsa-modules-")), "modules")
    const { code, error } = yield* samsa(args, {
      env: { NODE_OPTIONS: `--import=${preloaded}`, MODULES_FILE: file }
    })
    assert.strictEqual(code, 0, error)
    const all = readFileSync(file, "utf8").split("\n")
    return { ours: all.filter((one) => /^[a-zA-Z]+(\/[a-zA-Z]+)*\.ts$/.test(one)), all }
  })

it.live(
  "samsa --help loads no command, and a command no other",
  () =>
    Effect.gen(function* () {
      const [help, topics, embedded] = yield* Effect.all(
        [loads("--help"), loads("topics", "--help"), loads("embedded", "--help")],
        { concurrency: 2 }
      )
      assert.deepStrictEqual(help.ours.sort(), [
        "cli/Failed.ts",
        "cli/Stopped.ts",
        "cli/commands.ts",
        "cli/main.ts",
        "cli/printable.ts",
        "cli/samsa.ts"
      ])
      // 223 when this was written: effect/cli and what that needs.
      assert.isBelow(help.all.length, 250)
      assert.include(topics.ours, "cli/topics.ts")
      for (const one of topics.ours)
        assert.notMatch(
          one,
          /^(testing|librdkafka|balance|consume|index|Producer|Consumer)|^cli\/(consume|produce|embedded)/
        )
      for (const one of embedded.ours) assert.notMatch(one, /^(admin|produce|librdkafka|zookeeper|index|Admin)/)
    }),
  120_000
)
