/**
 * The codec bench: our record batches, checksum, murmur2 and Metadata response beside those of kafkajs and
 * @platformatic/kafka, in one process and in turns. No network. docs/benchmarks.md says how to run and to read it.
 *
 * node test/bench/codec.ts [--quick] [--only <part of a case's name>] [--markdown]
 */
import * as os from "node:os"
import * as Cases from "./codec-cases.ts"
import * as Load from "./codec-load.ts"
import { type Contender, measure, type Result } from "./codec-measure.ts"

const flag = (name: string): boolean => process.argv.includes(name)
const only = flag("--only") ? process.argv[process.argv.indexOf("--only") + 1]! : ""
const budget = flag("--quick") ? { rounds: 5, millis: 30, warmUp: 100 } : { rounds: 12, millis: 40, warmUp: 200 }
const markdown = flag("--markdown")

const measured = new Map<string, ReadonlyArray<Result>>()

const human = (rate: number): string =>
  rate >= 1e6
    ? `${(rate / 1e6).toFixed(rate >= 1e8 ? 0 : 2)} M`
    : rate >= 1e3
      ? `${(rate / 1e3).toFixed(rate >= 1e5 ? 0 : 1)} k`
      : rate.toFixed(0)

const table = async (
  title: string,
  unit: string,
  columns: ReadonlyArray<string>,
  rows: ReadonlyArray<readonly [name: string, count: number, make: () => ReadonlyArray<Contender>]>
): Promise<void> => {
  const wanted = rows.filter(([name]) => `${title} ${name}`.includes(only))
  if (wanted.length === 0) return
  console.log(`\n### ${title} (${unit} of CPU)\n`)
  if (markdown) {
    console.log(`| | ${columns.join(" | ")} |`)
    console.log(`|---|${columns.map(() => "---").join("|")}|`)
  }
  for (const [name, count, make] of wanted) {
    const results = await measure(make(), count, budget)
    measured.set(`${title} ${name}`, results)
    const ours = results[0]!
    const cell = (result: Result | undefined): string =>
      result === undefined
        ? "–"
        : `${human(result.rate)}${result.name.startsWith("samsa") ? "" : ` (${(ours.rate / result.rate).toFixed(1)})`} +${(result.spread * 100).toFixed(0)} %`
    if (markdown)
      console.log(`| ${name} | ${columns.map((c) => cell(results.find((r) => r.name === c))).join(" | ")} |`)
    else console.log(`${name}: ${results.map((r) => `${r.name} ${cell(r)}`).join(" · ")}`)
  }
}

console.log(
  `node ${process.version}, ${os.cpus()[0]?.model ?? "unknown processor"}, ${os.cpus().length} cores, ${process.platform} ${os.release()}`
)

// Only the last one is kept: what lies in memory is what the collector has to look at.
let kept: { readonly name: string; readonly load: Load.Load } | undefined
const keep = (name: string, make: () => Load.Load): Load.Load => {
  if (kept?.name !== name) kept = { name, load: make() }
  return kept.load
}

const loads = ([100, 1024] as const).flatMap((bytes) =>
  ([0, 1] as const).map((headers) => {
    const name = `${bytes} B, ${headers === 0 ? "no header" : "one header"}`
    return { name, load: () => keep(name, () => Load.make(bytes, headers)) }
  })
)
const recordRows = (make: typeof Cases.encode) =>
  loads.flatMap(({ load, name }) =>
    Cases.codecs.map((codec) => {
      // A call of a compressing codec would take half a second with all of them.
      const count = codec.id === 0 ? Load.batches : Load.batches / 4
      return [`${name}, ${codec.name}`, count * Load.perBatch, () => make(load().slice(0, count), codec)] as const
    })
  )

await table("encode", "records/s", ["samsa", "samsa, native CRC", "platformatic", "kafkajs"], recordRows(Cases.encode))
await table(
  "decode",
  "records/s",
  ["samsa", "samsa, native CRC", "samsa, CRC unchecked", "platformatic", "platformatic, deltas only", "kafkajs"],
  recordRows(Cases.decode)
)
await table(
  "CRC-32C",
  "bytes/s",
  ["samsa", "@node-rs/crc32", "platformatic", "kafkajs"],
  [100, 1024, 16384, 1 << 20].map((n) => [`${n} B`, Math.floor((1 << 20) / n) * n, () => Cases.crc32c(n)] as const)
)
await table(
  "murmur2",
  "keys/s",
  ["samsa", "platformatic", "kafkajs"],
  [7, 36, 100, 1000].map((n) => [`${n} B`, 1000, () => Cases.murmur2(n)] as const)
)
await table(
  "Metadata response",
  "partitions/s",
  ["samsa", "platformatic", "kafkajs"],
  ([12, 6] as const).map((v) => [`v${v}`, Load.metadataPartitions, () => Cases.metadata(v)] as const)
)

// What docs/benchmarks.md promises, on batches of 1000 × 100 B without headers.
const targets = [
  ["encode", "samsa", "kafkajs", 8],
  ["encode", "samsa", "platformatic", 4],
  ["decode", "samsa", "platformatic", 1.2],
  ["decode", "samsa, native CRC", "platformatic", 2]
] as const
console.log()
for (const [work, ours, theirs, least] of targets) {
  const results = measured.get(`${work} 100 B, no header, none`)
  if (results === undefined) continue
  const rate = (name: string): number => results.find((r) => r.name === name)!.rate
  const times = rate(ours) / rate(theirs)
  console.log(
    `${work}, ${ours}: ${times.toFixed(1)} times ${theirs}, at least ${least}${times < least ? ": MISSED" : ""}`
  )
}

if (Cases.sink === 0) throw new Error("nothing was measured")
