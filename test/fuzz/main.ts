/**
 * The fuzzer: `npm run fuzz [-- --answers 1000000] [--seed 1 | today] [--workers 2] [--seconds 3600]`. Hostile brokers answer every API at every
 * version, over plaintext and TLS, before authentication and after it, to single requests and to whole clients. Every end
 * is to be a value or a typed error, in time; fails otherwise, and prints the worst of what it has seen.
 */
import { spawn } from "node:child_process"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { options } from "../options.ts"

const told = options("fuzz", ["answers", "seed", "seconds", "workers"])
const answers = told.number("answers", 50_000)
const seed = told.seed("seed", 1)
const seconds = told.number("seconds", 3600)
const workers = told.number("workers", Math.min(2, availableParallelism()))
/** What no run may pass, of a process that is hostile broker and client in one. */
const mostRssMiB = 1000

const run = (i: number): Promise<any> =>
  new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [
        "--conditions=samsa-source",
        fileURLToPath(new URL("./worker.ts", import.meta.url)),
        String(Math.ceil(answers / workers)),
        String(seed * 1000 + i),
        String(seconds)
      ],
      { stdio: ["ignore", "pipe", "inherit"] }
    )
    let out = ""
    child.stdout.on("data", (chunk) => (out += chunk))
    child.on("close", (code) => {
      try {
        resolve(JSON.parse(out.trim().split("\n").at(-1)!))
      } catch {
        reject(new Error(`worker ${i} ended with ${code} and said: ${out.slice(-500)}`))
      }
    })
  })

console.log(`seed ${seed}: again by npm run fuzz -- --answers ${answers} --seed ${seed}`)
const reports = await Promise.all(Array.from({ length: workers }, (_, i) => run(i)))
const sum = (how: string) => reports.reduce((total, { ends }) => total + ends[how], 0)
const max = (f: (report: any) => number) => Math.max(...reports.map(f))
const slowest = reports.toSorted((a, b) => b.worst.millis - a.worst.millis)[0]
const most = reports.toSorted((a, b) => b.rssMiB - a.rssMiB)[0]
const total = reports.reduce((count, report) => count + report.answers, 0)
console.log(`${total} hostile answers in ${max((r) => r.seconds)} s by ${workers} processes, seed ${seed}`)
console.log(`ends: ${["value", "typed", "defect", "hang", "uncaught"].map((how) => `${sum(how)} ${how}`).join(", ")}`)
console.log(`most memory of a process: ${max((r) => r.rssMiB)} MiB (at its start ${max((r) => r.rssAtStartMiB)})`)
console.log(`which came after answers of so many bytes: ${most.rssAfter}`)
console.log(
  `longest delay of the event loop: ${max((r) => r.loopDelayMillis.max)} ms, of 99.9 % at most ${max((r) => r.loopDelayMillis.p999)} ms`
)
console.log(`longest way to an end: ${slowest.worst.millis} ms (${slowest.worst.what})`)
for (const { found } of reports) for (const one of found) console.log(`!! ${one}`)
const bad = sum("defect") + sum("hang") + sum("uncaught")
const over = max((r) => r.rssMiB) > mostRssMiB
if (over) console.log(`!! beyond ${mostRssMiB} MiB`)
process.exit(bad === 0 && !over ? 0 : 1)
