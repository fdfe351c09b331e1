/**
 * Mutants: `npm run mutants [-- --only produce,halves] [--seeds 8] [--from 1] [--workers 2] [--cpu 30] [--results FILE]
 * [--again] [--table]`. Breaks the client one place at a time (`list.ts`), each in a copy of the project, and looks who
 * notices: first scripts of the simulator, then the unit tests that mirror the folder. What is known already is not looked
 * at again: results are lines of JSON, in `.cache/mutants.jsonl`. `--table` prints them as a table.
 *
 * Time is that of the processor, so that a busy machine lets nothing survive, or be caught, by its own slowness.
 */
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { options } from "../options.ts"
import { mutants } from "./list.ts"
import { applied, type Mutant } from "./Mutant.ts"
import type { Told } from "./seeds.ts"

interface Result {
  readonly name: string
  /** What was changed into what: another edit of the same name is looked at anew. */
  readonly edit: string
  readonly date: string
  /** Undefined: it survives. */
  readonly by: "simulator" | "tests" | undefined
  /** How many scripts it took, or has survived. */
  readonly seeds: number
  /** The problem, or the test. */
  readonly what: string
}

const root = fileURLToPath(new URL("../..", import.meta.url))
const { flag, number, text } = options(
  "mutants",
  ["only", "seeds", "from", "workers", "cpu", "results"],
  ["again", "table"]
)
const seeds = number("seeds", 8)
const from = number("from", 1)
const cpu = number("cpu", 30)
const workers = number("workers", Math.min(2, availableParallelism()))
const only = text("only")?.split(",")
const results = text("results") ?? Path.join(root, ".cache/mutants.jsonl")

/** The tests that mirror a folder: its own, then those of the modules that it stands behind, and of brokers that lie. */
const testsOf: { readonly [folder: string]: ReadonlyArray<string> } = {
  produce: ["test/produce", "test/Producer"],
  fetch: ["test/fetch", "test/Consumer.partitions", "test/Consumer.contract", "test/hostile"],
  consume: ["test/consume", "test/Consumer"],
  group: ["test/group", "test/ConsumerGroup", "test/Membership", "test/GroupOffsets"],
  connection: ["test/connection", "test/Broker", "test/Network", "test/Security", "test/hostile"],
  metadata: ["test/metadata", "test/Cluster", "test/Bootstrap", "test/hostile"],
  engine: ["test/engine", "test/produce", "test/fetch", "test/group"],
  transact: ["test/transact", "test/Transaction"],
  balance: ["test/balance", "test/ZooKeeperGroup"]
}
const folderOf = ({ name }: { readonly name: string }): string => name.slice(0, name.indexOf("/"))
const editOf = ({ find, replace }: Mutant): string => `${find}\n=>\n${replace}`

const known = new Map<string, Result>()
if (Fs.existsSync(results))
  for (const line of Fs.readFileSync(results, "utf8").split("\n"))
    if (line !== "") {
      const result = JSON.parse(line) as Result
      known.set(result.name, result)
    }
const current = (mutant: Mutant): Result | undefined => {
  const result = known.get(mutant.name)
  return result?.edit === editOf(mutant) ? result : undefined
}

if (flag("table")) {
  const cell = (words: string) => words.replaceAll("|", "\\|").replaceAll("<", "&lt;").replaceAll("\n", " ")
  const shortened = (words: string) => (words.length > 110 ? `${words.slice(0, 109)}…` : words)
  const how = ({ by, seeds, what }: Result): string => {
    if (by === undefined) return `**survives** ${seeds} scripts and the tests`
    return by === "simulator" ? `simulator, script ${seeds}: ${shortened(what)}` : `test: ${shortened(what)}`
  }
  const found = mutants.flatMap((mutant) => {
    const result = current(mutant)
    return result === undefined ? [] : [{ mutant, result }]
  })
  const count = (by: Result["by"]) => found.filter(({ result }) => result.by === by).length
  console.log(
    `${new Date().toISOString().slice(0, 10)}: ${found.length} of ${mutants.length} were run; ${count("simulator")} are caught by the simulator, ${count("tests")} by tests, ${count(undefined)} survive.\n`
  )
  console.log("| mutant | what it breaks | caught by |\n|---|---|---|")
  for (const { mutant, result } of found)
    console.log(`| ${mutant.name} | ${cell(mutant.breaks)} | ${cell(how(result))} |`)
  process.exit(0)
}

// ── one mutant

/** Ends each program that is under way, with what it has started. */
const running = new Set<() => void>()

/** Runs a program with so many seconds of the processor, and a bound on time where it does nothing at all. */
const run = (dir: string, seconds: number, args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly out: string }>((resolve) => {
    const child = spawn("bash", ["-c", `ulimit -t ${seconds}; exec "$@"`, "_", process.execPath, ...args], {
      cwd: dir,
      detached: true,
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, NODE_OPTIONS: "--max-old-space-size=2000 --no-warnings", NO_COLOR: "1" }
    })
    let out = ""
    const add = (chunk: Buffer) => (out = (out + chunk.toString()).slice(-100_000))
    child.stdout.on("data", add)
    child.stderr.on("data", add)
    const end = () => {
      running.delete(end)
      try {
        process.kill(-child.pid!, "SIGKILL")
      } catch {
        // It has ended.
      }
    }
    running.add(end)
    const bound = setTimeout(end, seconds * 30_000)
    child.on("close", (code) => {
      clearTimeout(bound)
      end()
      resolve({ code, out })
    })
  })

type Verdict = Pick<Result, "by" | "seeds" | "what">

const bySimulator = async (dir: string): Promise<Verdict> => {
  const args = ["--conditions=samsa-source", "test/mutants/seeds.ts", String(from), String(seeds), String(cpu)]
  const { code, out } = await run(dir, cpu * 3, args)
  const told = out.split("\n").flatMap((line): ReadonlyArray<Told> => {
    try {
      return line.startsWith("{") ? [JSON.parse(line) as Told] : []
    } catch {
      return []
    }
  })
  const last = told.at(-1)
  switch (last?.tag) {
    case "survived":
      return { by: undefined, seeds: last.index, what: "" }
    case "caught":
      return { by: "simulator", seeds: last.index + 1, what: last.problem.split("\n")[0]! }
    case "begins":
      return { by: "simulator", seeds: last.index + 1, what: `the script has no end (${code ?? "killed"})` }
    default:
      throw new Error(`the mutant does not even load:\n${out.slice(-2000)}`)
  }
}

const byTests = async (dir: string, tests: string): Promise<Verdict> => {
  const report = Path.join(dir, "report.json")
  Fs.rmSync(report, { force: true })
  const options = ["--bail", "1", "--maxWorkers", "1", "--no-isolate", "--reporter", "json", "--outputFile", report]
  const { code, out } = await run(dir, 200, ["node_modules/vitest/vitest.mjs", "run", ...options, tests])
  if (code === 0) return { by: undefined, seeds: 0, what: "" }
  const failed = Fs.existsSync(report)
    ? (JSON.parse(Fs.readFileSync(report, "utf8")).testResults as ReadonlyArray<any>).flatMap((file) =>
        file.assertionResults.flatMap((test: any) =>
          test.status === "failed" ? [`${Path.relative(dir, file.name)}: ${test.title}`] : []
        )
      )
    : []
  return { by: "tests", seeds: 0, what: failed[0] ?? `the tests have no end (${code ?? "killed"}) ${out.slice(-200)}` }
}

const look = async (dir: string, folder: string): Promise<Verdict> => {
  const first = await bySimulator(dir)
  if (first.by !== undefined) return first
  for (const tests of testsOf[folder]!) {
    const verdict = await byTests(dir, tests)
    if (verdict.by !== undefined) return { ...verdict, seeds: first.seeds }
  }
  return first
}

// ── all of them

/** A copy of the project, whose sources may be broken. */
const copy = (index: number): string => {
  const dir = Fs.mkdtempSync(Path.join(tmpdir(), `mutants-${index}-`))
  for (const name of ["package.json", "tsconfig.json", "vitest.config.ts", "src", "test", "docs"])
    Fs.cpSync(Path.join(root, name), Path.join(dir, name), {
      recursive: true,
      filter: (path) => !path.includes("node_modules") && Path.relative(root, path) !== "test/zz"
    })
  Fs.symlinkSync(Path.join(root, "node_modules"), Path.join(dir, "node_modules"))
  return dir
}

const chosen = mutants.filter(
  (mutant) =>
    (only === undefined || only.some((part) => mutant.name.includes(part))) &&
    (flag("again") || current(mutant) === undefined)
)
// A part of each folder at a time: what was run of them tells of all.
const share = (mutant: Mutant): number => {
  const beside = mutants.filter((other) => folderOf(other) === folderOf(mutant))
  return beside.indexOf(mutant) / beside.length
}
chosen.sort((a, b) => share(a) - share(b))
console.log(`${chosen.length} of ${mutants.length} mutants, each on ${seeds} scripts from ${from} on`)
Fs.mkdirSync(Path.dirname(results), { recursive: true })
const copies: Array<string> = []
process.on("exit", () => {
  for (const end of running) end()
  for (const dir of copies) Fs.rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
})
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1))

let next = 0
const counts = { simulator: 0, tests: 0, survived: 0 }
const work = async (index: number): Promise<void> => {
  const dir = copy(index)
  copies.push(dir)
  if (index === 0 && chosen.length > 0) {
    const sane = await bySimulator(dir)
    if (sane.by !== undefined) throw new Error(`script ${sane.seeds} fails without any mutant: ${sane.what}`)
  }
  for (let mutant = chosen[next++]; mutant !== undefined; mutant = chosen[next++]) {
    const path = Path.join(dir, mutant.file)
    const source = Fs.readFileSync(path, "utf8")
    Fs.writeFileSync(path, applied(mutant, source))
    const verdict = await look(dir, folderOf(mutant))
    Fs.writeFileSync(path, source)
    const { name } = mutant
    const result: Result = { name, edit: editOf(mutant), date: new Date().toISOString(), ...verdict }
    Fs.appendFileSync(results, `${JSON.stringify(result)}\n`)
    counts[verdict.by ?? "survived"]++
    const how =
      verdict.by === undefined ? "SURVIVES" : `${verdict.by}${verdict.by === "tests" ? "" : ` ${verdict.seeds}`}`
    console.log(`${name}: ${how} ${verdict.what.slice(0, 150)}`)
  }
}
await Promise.all(Array.from({ length: workers }, (_, i) => work(i)))
console.log(`${counts.simulator} caught by the simulator, ${counts.tests} by tests, ${counts.survived} survive`)
