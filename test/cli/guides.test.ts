/** The command lines of the guides are ones that `samsa` knows. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { run } from "../../src/cli/commands.ts"

const root = Path.join(import.meta.dirname, "../..")
const guides = ["README.md", ...Fs.readdirSync(Path.join(root, "docs")).map((name) => `docs/${name}`)].filter(
  (name) => name.endsWith(".md") && !name.endsWith("CHANGELOG.md")
)

/** What is written behind `samsa`, in blocks and within lines. */
const linesOf = (text: string): ReadonlyArray<string> => [
  ...[...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block]) =>
    block!.split(/\n|\|/).flatMap((line) => /^\s*(?:npx )?samsa ([^#]*)/.exec(line)?.[1] ?? [])
  ),
  ...[...text.matchAll(/`(?:npx )?samsa ([^`]+)`/g)].map(([, line]) => line!)
]

const wordsOf = (line: string): ReadonlyArray<string> =>
  [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, single, double, bare]) => single ?? double ?? bare!)

/** Nothing is run: there is always one flag that nobody knows. */
const unknown = "--no-such-flag"

it.effect("the command lines of the guides have the commands and flags that there are", () =>
  Effect.gen(function* () {
    const lines = guides.flatMap((guide) =>
      linesOf(Fs.readFileSync(Path.join(root, guide), "utf8")).map((line) => ({ guide, line }))
    )
    assert.isAbove(lines.length, 12)
    const wrong: Array<string> = []
    for (const { guide, line } of lines) {
      const said = yield* Effect.match(run([...wordsOf(line), unknown], "0"), {
        onFailure: (error) => String((error as Error).message),
        // the help was asked for
        onSuccess: () => ""
      })
      const mistakes = said.split("; ").filter((one) => one !== "" && !one.includes(unknown))
      if (mistakes.length > 0) wrong.push(`${guide}: samsa ${line}: ${mistakes.join("; ")}`)
    }
    assert.deepStrictEqual(wrong, [])
  }).pipe(Effect.provide(NodeServices.layer))
)
