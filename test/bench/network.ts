/**
 * The network bench: Samsa beside kafkajs and @platformatic/kafka on one real broker, in one run. The broker (full
 * JIT) has one processor, the client the other; each client runs in a process of its own and is warmed first.
 *
 * node test/bench/network.ts [--quick] [--only sendAll,sendAll1k,send,first,transactions,consume,run,text,json,consume1,consume1000,idle] [--clients samsa,…]
 *                            [--rounds 3] [--profile DIR] [--version 4.4.0] [--floor PROGRAM]
 *                            [--produce-floor PROGRAM]
 *
 * `--floor` (or BENCH_FLOOR) names a program that consumes by the least that JavaScript needs, run beside the clients as
 * `node PROGRAM PORT TOPIC PARTITIONS RECORDS js`; the last line that it prints is JSON, with recPerSec, cpuSPerM and n.
 * `--produce-floor` names one that produces, run as `node PROGRAM PORT TOPIC PARTITIONS RECORDS 1000 js`. `samsa-plain` is
 * without idempotence; `samsa-rdkafka` is Samsa over librdkafka, for which node-rdkafka is built where it
 * is not yet (3 minutes); `rdkafka` is node-rdkafka itself (BENCH_RDKAFKA names its folder).
 */
import { spawn } from "node:child_process"
import * as Os from "node:os"
import * as Path from "node:path"
import { createRequire } from "node:module"
import { parseArgs } from "node:util"
import { Effect } from "effect"
import * as KafkaJars from "../integration/KafkaJars.ts"
import * as KafkaServer from "../integration/KafkaServer.ts"
import type { Version } from "../integration/KafkaVersion.ts"
import * as NodeRdkafka from "../integration/NodeRdkafka.ts"
import * as Processes from "../integration/Processes.ts"
import { json, perCall, value } from "./network/Contender.ts"
import type { Result } from "./network/Meter.ts"

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: {
      type: "string",
      default: "sendAll,sendAll1k,send,first,transactions,consume,run,text,json,consume1,consume1000,idle"
    },
    clients: { type: "string", default: "kafkajs,platformatic,samsa,samsa-rdkafka" },
    rounds: { type: "string" },
    profile: { type: "string" },
    floor: { type: "string", default: process.env.BENCH_FLOOR },
    "produce-floor": { type: "string", default: process.env.BENCH_PRODUCE_FLOOR },
    version: { type: "string", default: "4.4.0" }
  }
})
const works = options.only.split(",")
/** These are measured at producing alone. */
const producersOnly: ReadonlySet<string> = new Set(["samsa-plain", "rdkafka"])
const withTransactions: ReadonlySet<string> = new Set(["kafkajs", "platformatic", "samsa"])
const isThere = (client: string): boolean => {
  if (client !== "rdkafka") return true
  try {
    return createRequire(import.meta.url).resolve(process.env.BENCH_RDKAFKA ?? "node-rdkafka") !== ""
  } catch {
    process.stdout.write("node-rdkafka is not installed (BENCH_RDKAFKA names its folder): it is left out\n")
    return false
  }
}
const clients = options.clients.split(",").filter(isThere)
const clientsAt = (work: string): ReadonlyArray<string> =>
  work === "transactions"
    ? [...clients.filter((client) => withTransactions.has(client)), "java"]
    : isConsuming(work)
      ? clients.filter((client) => !producersOnly.has(client))
      : clients
const rounds = Number(options.rounds ?? (options.quick ? 1 : 3))
/** Partitions of the topic of each work. */
const partitionsOf: Readonly<Record<string, number>> = { consume1: 1, consume1000: 1000, idle: 1000 }
/** Works that consume bytes array by array, and all that consume. */
const consumesArrays = (work: string): boolean => work.startsWith("consume")
const isConsuming = (work: string): boolean => consumesArrays(work) || ["run", "text", "json"].includes(work)
const consumed = options.quick ? 1_000_000 : 4_000_000
const folder = import.meta.dirname
const kafkajs = createRequire(import.meta.url)("kafkajs")

const print = (text: string) => Effect.sync(() => void process.stdout.write(`${text}\n`))

/** What a process that runs to its end has printed last. */
const lastLine = (
  name: string,
  command: ReadonlyArray<string>,
  env: NodeJS.ProcessEnv = {},
  executable = process.execPath
) =>
  Effect.callback<string, Error>((resume) => {
    const pinned = Os.availableParallelism() > 1 ? ["taskset", "-c", "1"] : []
    const [first, ...rest] = [...pinned, executable, ...command]
    const child = spawn(first!, rest, {
      detached: true,
      stdio: ["ignore", "pipe", "inherit"],
      cwd: folder,
      env: { ...process.env, ...(options.quick ? { BENCH_QUICK: "1" } : {}), ...env }
    })
    Processes.guard(child)
    let out = ""
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
    child.once("close", (code, signal) =>
      resume(
        code === 0
          ? Effect.succeed(out.trim().split("\n").at(-1)!)
          : Effect.fail(new Error(`${name}: ${signal ?? `exit ${code}`}\n${out}`))
      )
    )
    return Effect.sync(() => void process.kill(-child.pid!, "SIGKILL"))
  }).pipe(Effect.timeout("5 minutes"))

/** Runs the floor: what a client cannot be faster than. */
const runFloor = (program: string, server: KafkaServer.KafkaServer["Service"], topic: string, partitions: number) => {
  const port = server.bootstrap[0]!.split(":").at(-1)!
  const isConsumer = program === options.floor
  const perRequest = isConsumer ? [] : ["1000"]
  const command = [Path.resolve(program), port, topic, String(partitions), String(consumed), ...perRequest, "js"]
  return Effect.map(lastLine("floor", command), (line): Result => {
    const { cpuSPerM, n = consumed, recPerSec } = JSON.parse(line) as Record<"cpuSPerM" | "n" | "recPerSec", number>
    return {
      records: n,
      seconds: n / recPerSec,
      perSecond: recPerSec,
      cpuSecondsPerMillion: cpuSPerM,
      total: n,
      rssMiB: 0
    }
  })
}

/** Runs a client to its end, bound to the second processor. */
const runClient = (client: string, work: string, server: KafkaServer.KafkaServer["Service"], topic: string) => {
  const profile =
    options.profile === undefined
      ? []
      : [
          "--cpu-prof",
          `--cpu-prof-dir=${Path.resolve(options.profile)}`,
          `--cpu-prof-name=${client}-${work}.cpuprofile`
        ]
  const command = [
    "--disable-warning=TimeoutNegativeWarning",
    ...profile,
    Path.join(folder, "network", "client.ts"),
    client,
    consumesArrays(work) ? "consume" : work,
    server.bootstrap[0]!,
    topic,
    String(consumed)
  ]
  const env = work === "sendAll1k" ? { BENCH_VALUE: "1024" } : {}
  return Effect.map(lastLine(`${client} ${work}`, command, env), (line) => JSON.parse(line) as Result)
}

/** Runs Java's own client, as a client. */
const runJava = (server: KafkaServer.KafkaServer["Service"], topic: string) =>
  Effect.gen(function* () {
    const classPath = yield* KafkaJars.classPath(options.version as Version)
    const times = options.quick ? ["1000", "2000"] : ["4000", "8000"]
    const source = Path.join(folder, "network", "Transactions.java")
    const quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    const args = [
      quiet,
      "-cp",
      classPath,
      source,
      server.bootstrap[0]!,
      topic,
      String(perCall),
      ...times,
      value.toString()
    ]
    return JSON.parse(yield* lastLine("java transactions", args, {}, "java")) as Result
  })

/** How many records a topic holds, asked by a client that is not ours. */
const held = (server: KafkaServer.KafkaServer["Service"], topic: string) =>
  Effect.promise(async () => {
    const kafka = new kafkajs.Kafka({ brokers: [server.bootstrap[0]], logLevel: kafkajs.logLevel.ERROR })
    const admin = kafka.admin()
    await admin.connect()
    const offsets: ReadonlyArray<{ high: string; low: string }> = await admin.fetchTopicOffsets(topic)
    await admin.disconnect()
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0)
  })

const median = (numbers: ReadonlyArray<number>): number => [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!
const spread = (numbers: ReadonlyArray<number>, digits: number): string => {
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)].map((n) => n.toFixed(digits))
  return low === high ? low! : `${median(numbers).toFixed(digits)} (${low}–${high})`
}

const titles: Readonly<Record<string, string>> = {
  sendAll: "calls of 1000 records of 100 B, five in flight",
  sendAll1k: "calls of 1000 records of 1 KiB, five in flight",
  send: "100 concurrent sends of one record of 100 B",
  transactions: "transactions of 1000 records of 100 B, one after the other",
  first: "100 concurrent sends: the first 60 000 records of a process",
  consume: "consuming by arrays, records of 100 B, 4 partitions",
  run: "consuming by a handler for each record, records of 100 B, 4 partitions",
  text: "consuming by arrays, keys and values as text of 100 B, 4 partitions",
  json: "consuming by arrays, values as objects of five fields, 4 partitions (parse: JSON.parse alone)",
  consume1: "consuming by arrays, records of 100 B, 1 partition",
  consume1000: "consuming by arrays, records of 100 B, 1000 partitions",
  idle: "1000 partitions in which nothing happens: CPU seconds in 100 seconds, as if they were a million records"
}

const bench = Effect.gen(function* () {
  if (clients.includes("samsa-rdkafka")) yield* NodeRdkafka.install
  const server = yield* KafkaServer.make({
    version: options.version as Version,
    jit: "full",
    heap: "1g",
    processor: 0,
    properties: { "log.retention.check.interval.ms": 86_400_000, "log.segment.bytes": 1_073_741_824 }
  })
  yield* print(
    `Kafka ${options.version} on processor 0, clients on processor 1; 4 partitions where nothing else is said, acks all, no compression; Node ${process.version}, ${Os.cpus()[0]?.model}, ${rounds} round(s): median (lowest–highest)`
  )
  const filled = new Set<string>()
  for (const work of works) {
    const partitions = partitionsOf[work] ?? 4
    const shared = work === "json" ? "filled-json" : `filled-${partitions}`
    const isShared = isConsuming(work) || work === "idle"
    if (isShared && !filled.has(shared)) {
      filled.add(shared)
      // A busy broker takes longer for a thousand partitions than the harness waits; filling fails where they are not there.
      yield* Effect.catch(server.createTopic(shared, { partitions }), () => Effect.sleep("30 seconds"))
      yield* fill(server, shared, partitions)
    }
    const program = consumesArrays(work) ? options.floor : work === "sendAll" ? options["produce-floor"] : undefined
    const floor = work === "json" ? ["parse"] : program === undefined ? [] : ["floor"]
    const contenders =
      work === "idle"
        ? clients.filter((client) => client === "samsa" || client === "samsa-rdkafka")
        : [...clientsAt(work), ...floor]
    const results = new Map<string, Array<Result>>(contenders.map((client) => [client, []]))
    for (let round = 0; round < rounds; round++) {
      // there and back, so that what changes with time is nobody's advantage
      for (const client of round % 2 === 0 ? contenders : [...contenders].reverse()) {
        const topic = isShared ? shared : `${client}-${work}-${round}`
        if (!isShared) yield* server.createTopic(topic, { partitions })
        const result =
          client === "floor"
            ? yield* runFloor(program!, server, topic, partitions)
            : client === "java"
              ? yield* runJava(server, topic)
              : yield* runClient(client, work, server, topic)
        const there = isConsuming(work) ? consumed : work === "idle" ? 0 : yield* held(server, topic)
        // Markers of transactions have offsets too.
        const isShort = work === "transactions" ? there < result.total : there !== result.total
        if (isConsuming(work) ? result.total < consumed : isShort) {
          return yield* Effect.fail(new Error(`${client} ${work}: counted ${result.total}, the topic holds ${there}`))
        }
        results.get(client)!.push(result)
        yield* print(
          `  ${work} ${client}: ${Math.round(result.perSecond)} records/s, ${result.cpuSecondsPerMillion.toFixed(2)} CPU s per million, ${Math.round(result.rssMiB)} MiB; ${result.total} records, all there`
        )
      }
    }
    yield* print(
      `\n${titles[work]}\n\n| client | records/s | CPU s per million records | CPU, samsa = 1 | MiB |\n|---|---|---|---|---|`
    )
    const own = median((results.get("samsa") ?? []).map((r) => r.cpuSecondsPerMillion))
    for (const [client, of] of results) {
      const cpu = of.map((r) => r.cpuSecondsPerMillion)
      yield* print(
        `| ${client} | ${spread(
          of.map((r) => r.perSecond / 1000),
          0
        )} k | ${spread(cpu, 2)} | ${Number.isFinite(own) ? (median(cpu) / own).toFixed(2) : ""} | ${median(of.map((r) => r.rssMiB)).toFixed(0)} |`
      )
    }
    yield* print("")
  }
})

/** By platformatic, whose calls become batches of about 250 records, as those of a producer under load are. */
const fill = (server: KafkaServer.KafkaServer["Service"], topic: string, partitions: number) =>
  Effect.promise(async () => {
    const { contender, fillEvenly } = await import("./network/platformatic.ts")
    const { Meter } = await import("./network/Meter.ts")
    const target = { bootstrap: server.bootstrap[0]!, topic }
    if (topic.endsWith("json")) await fillEvenly(target, partitions, consumed, json)
    else if (partitions > 4) await fillEvenly(target, partitions, consumed)
    else await contender.sendAll(target, Meter.byCount(1, consumed))
  })

// The broker's process does not keep this one alive; its end is awaited all the same.
setInterval(() => {}, 60_000)
await Effect.runPromise(Effect.scoped(bench))
process.exit(0)
