/** The command lines of the guides are ones that `samsa` knows. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { stripVTControlCharacters } from "node:util"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Console, Effect } from "effect"
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

/** What is wrong with a command line: commands and flags that there are not. */
const mistakesOf = (line: string) =>
  Effect.match(run([...wordsOf(line), unknown], "0"), {
    onFailure: (error) =>
      String((error as Error).message)
        .split("; ")
        .filter((one) => one !== "" && !one.includes(unknown)),
    // the help was asked for
    onSuccess: () => []
  })

it.effect("the help of each command has examples, of commands and flags that there are (eleven had none)", () =>
  Effect.gen(function* () {
    const names = "topics groups lag offsets config brokers apis acls users quotas reassign elect transactions"
    for (const name of `${names} consume produce bench embedded`.split(" ")) {
      const out: Array<string> = []
      const captured = { ...globalThis.console, log: (text: string) => void out.push(text) }
      yield* Effect.provideService(run([name, "--help"], "0"), Console.Console, captured)
      const [, examples] = out.join("\n").split(/^.*EXAMPLES.*$/m)
      const lines = [...stripVTControlCharacters(examples ?? "").matchAll(/^\s+samsa ([^|<\n]+)/gm)].map(
        ([, line]) => line!
      )
      assert.isNotEmpty(lines, name)
      for (const line of lines) assert.deepStrictEqual(yield* mistakesOf(line), [], `samsa ${line}`)
    }
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("the command lines of the guides have the commands and flags that there are", () =>
  Effect.gen(function* () {
    const lines = guides.flatMap((guide) =>
      linesOf(Fs.readFileSync(Path.join(root, guide), "utf8")).map((line) => ({ guide, line }))
    )
    assert.isAbove(lines.length, 12)
    const wrong: Array<string> = []
    for (const { guide, line } of lines) {
      const mistakes = yield* mistakesOf(line)
      if (mistakes.length > 0) wrong.push(`${guide}: samsa ${line}: ${mistakes.join("; ")}`)
    }
    assert.deepStrictEqual(wrong, [])
  }).pipe(Effect.provide(NodeServices.layer))
)
