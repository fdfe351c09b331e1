/**
 * The simulator: `npm run simulate [-- --seeds 1000] [--from 1 | today] [--workers 2] [--seconds 3600]
 * [--patience 120]`. Runs scripts of new seeds in several processes, and stops at the first that has a problem, with a
 * script that is as short as it could be made; after so many seconds it ends with as many seeds as there was time for.
 * `--replay FILE` runs the script of a file, `--seed 7` that of a seed; `--scenario 12` goes on from that scenario, each seed
 * in its own way.
 */
import { spawn, type ChildProcess } from "node:child_process"
import * as Fs from "node:fs"
import { availableParallelism, tmpdir } from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { options } from "../options.ts"
import type { Job, Told } from "./worker.ts"

const {
  number,
  seed: seedOf,
  text
} = options("simulate", ["seeds", "from", "workers", "seconds", "patience", "replay", "seed", "scenario"])

const only = text("seed")
const file = text("replay")
const scenario = text("scenario") === undefined ? undefined : number("scenario", 1)
const seeds = only === undefined && file === undefined ? number("seeds", 1000) : 1
const from = only === undefined ? seedOf("from", 1, 10_000) : number("seed", 1)
const workers = Math.min(seeds, number("workers", Math.min(2, availableParallelism())))
const seconds = number("seconds", 3600)
/** A script of which nothing is heard for so long will never end. */
const patience = number("patience", 120)

const children: Array<ChildProcess> = []
const began = performance.now()
const elapsed = () => (performance.now() - began) / 1000
let done = 0
let virtual = 0
let next = from
let failed = false

const stop = (code: number): never => {
  for (const child of children) child.kill("SIGKILL")
  process.exit(code)
}
const progress = () =>
  `${done} of ${seeds} seeds, ${(done / elapsed()).toFixed(1)} a second, ${(virtual / 3_600_000).toFixed(1)} hours of their time in ${elapsed().toFixed(0)} s`

const nameOf = (seed: number): string => file ?? `seed ${seed}`
const againBy = (seed: number): string =>
  file === undefined ? `--seed ${seed}${scenario === undefined ? "" : ` --scenario ${scenario}`}` : `--replay ${file}`

const tell = (told: Extract<Told, { readonly tag: "failed" }>): void => {
  const { problems, seed, shrunk } = told
  console.log(`!! ${nameOf(seed)}: ${problems.slice(0, 5).join("\n!! ")}`)
  if (file !== undefined) return
  const name = Path.join(tmpdir(), `simulation-${seed}.txt`)
  Fs.writeFileSync(name, `${shrunk}\n`)
  console.log(`\n${shrunk}\n\nagain by: npm run simulate -- --replay ${name} (the whole of it: ${againBy(seed)})`)
}

const worker = (): Promise<void> =>
  new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      ["--conditions=samsa-source", fileURLToPath(new URL("./worker.ts", import.meta.url))],
      { stdio: ["ignore", "inherit", "inherit", "ipc"] }
    )
    children.push(child)
    let seed = -1
    let watch: NodeJS.Timeout | undefined
    const give = () => {
      clearTimeout(watch)
      if (failed || next >= from + seeds || elapsed() > seconds) return void (child.disconnect(), resolve())
      seed = next++
      watch = setTimeout(() => {
        const again = `npm run simulate -- ${againBy(seed)}`
        console.log(`!! ${nameOf(seed)} is still at work after ${patience} s: ${again}`)
        stop(1)
      }, patience * 1000)
      child.send({
        seed,
        ...(file === undefined ? {} : { script: Fs.readFileSync(file, "utf8") }),
        ...(scenario === undefined ? {} : { scenario })
      } satisfies Job)
    }
    child.on("message", (told: Told) => {
      if (told.tag === "ready") return give()
      clearTimeout(watch)
      if (told.tag === "found") {
        failed = true
        if (file === undefined) console.log(`!! seed ${told.seed}: ${told.problem}\nmaking it shorter …`)
        return
      }
      done++
      virtual += told.took
      if (told.tag === "failed") {
        tell(told)
        stop(1)
      }
      give()
    })
    child.on("exit", (code) => {
      if (code === 0 || code === null) return
      console.log(`!! the process of ${nameOf(seed)} ended with ${code}`)
      stop(1)
    })
  })

if (seeds > 1) console.log(`seeds from ${from} on: again by npm run simulate -- --seeds ${seeds} --from ${from}`)
const shows = setInterval(() => console.log(progress()), 10_000)
await Promise.all(Array.from({ length: file === undefined ? workers : 1 }, worker))
clearInterval(shows)
console.log(`${progress()}; nothing is wrong`)
