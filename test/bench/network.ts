/**
 * The network bench: Samsa beside kafkajs and @platformatic/kafka on one real broker, in one run. The broker (full
 * JIT) has one processor, the client the other; each client runs in a process of its own and is warmed first.
 *
 * node test/bench/network.ts [--quick] [--only sendAll,send,consume] [--clients samsa,…] [--rounds 3] [--profile DIR]
 *                            [--version 4.4.0]
 */
import { spawn } from "node:child_process"
import * as Os from "node:os"
import * as Path from "node:path"
import { createRequire } from "node:module"
import { parseArgs } from "node:util"
import { Effect } from "effect"
import * as KafkaServer from "../integration/KafkaServer.ts"
import type { Version } from "../integration/KafkaVersion.ts"
import * as Processes from "../integration/Processes.ts"
import type { Result } from "./network/Meter.ts"

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", default: "sendAll,send,consume" },
    clients: { type: "string", default: "kafkajs,platformatic,samsa" },
    rounds: { type: "string" },
    profile: { type: "string" },
    version: { type: "string", default: "4.4.0" }
  }
})
const works = options.only.split(",")
const clients = options.clients.split(",")
const rounds = Number(options.rounds ?? (options.quick ? 1 : 3))
const partitions = 4
const consumed = options.quick ? 1_000_000 : 4_000_000
const folder = import.meta.dirname
const kafkajs = createRequire(import.meta.url)("kafkajs")

const print = (text: string) => Effect.sync(() => void process.stdout.write(`${text}\n`))

/** Runs a client to its end, bound to the second processor. */
const runClient = (client: string, work: string, server: KafkaServer.KafkaServer["Service"], topic: string) =>
  Effect.callback<Result, Error>((resume) => {
    const profile =
      options.profile === undefined
        ? []
        : ["--cpu-prof", `--cpu-prof-dir=${options.profile}`, `--cpu-prof-name=${client}-${work}.cpuprofile`]
    const pinned = Os.availableParallelism() > 1 ? ["taskset", "-c", "1"] : []
    const command = [
      ...pinned,
      process.execPath,
      "--disable-warning=TimeoutNegativeWarning",
      ...profile,
      Path.join(folder, "network", "client.ts"),
      client,
      work,
      server.bootstrap[0]!,
      topic,
      String(consumed)
    ]
    const child = spawn(command[0]!, command.slice(1), {
      detached: true,
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...(options.quick ? { BENCH_QUICK: "1" } : {}) }
    })
    Processes.guard(child)
    let out = ""
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()))
    child.once("close", (code, signal) =>
      resume(
        code === 0
          ? Effect.succeed(JSON.parse(out.trim().split("\n").at(-1)!) as Result)
          : Effect.fail(new Error(`${client} ${work}: ${signal ?? `exit ${code}`}\n${out}`))
      )
    )
    return Effect.sync(() => void process.kill(-child.pid!, "SIGKILL"))
  }).pipe(Effect.timeout("5 minutes"))

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
  send: "100 concurrent sends of one record of 100 B",
  consume: "consuming by arrays, records of 100 B"
}

const bench = Effect.gen(function* () {
  const server = yield* KafkaServer.make({
    version: options.version as Version,
    jit: "full",
    heap: "1g",
    processor: 0,
    properties: { "log.retention.check.interval.ms": 86_400_000, "log.segment.bytes": 1_073_741_824 }
  })
  yield* print(
    `Kafka ${options.version} on processor 0, clients on processor 1; ${partitions} partitions, acks all, no compression; Node ${process.version}, ${Os.cpus()[0]?.model}, ${rounds} round(s): median (lowest–highest)`
  )
  const filled = "filled"
  if (works.includes("consume")) {
    yield* server.createTopic(filled, { partitions })
    // by platformatic, whose calls become batches of about 250 records, as those of a producer under load are
    yield* fill(server, filled)
  }
  for (const work of works) {
    const results = new Map<string, Array<Result>>(clients.map((client) => [client, []]))
    for (let round = 0; round < rounds; round++) {
      // there and back, so that what changes with time is nobody's advantage
      for (const client of round % 2 === 0 ? clients : [...clients].reverse()) {
        const topic = work === "consume" ? filled : `${client}-${work}-${round}`
        if (work !== "consume") yield* server.createTopic(topic, { partitions })
        const result = yield* runClient(client, work, server, topic)
        const there = yield* held(server, topic)
        if (work === "consume" ? result.total < consumed : there !== result.total) {
          return yield* Effect.fail(new Error(`${client} ${work}: counted ${result.total}, the topic holds ${there}`))
        }
        results.get(client)!.push(result)
        yield* print(
          `  ${work} ${client}: ${Math.round(result.perSecond)} records/s, ${result.cpuSecondsPerMillion.toFixed(2)} CPU s per million, ${Math.round(result.rssMiB)} MiB; ${result.total} records, all there`
        )
      }
    }
    yield* print(
      `\n${titles[work]}\n\n| client | records/s | CPU s per million records | CPU, samsa = 1 |\n|---|---|---|---|`
    )
    const own = median((results.get("samsa") ?? []).map((r) => r.cpuSecondsPerMillion))
    for (const [client, of] of results) {
      const cpu = of.map((r) => r.cpuSecondsPerMillion)
      yield* print(
        `| ${client} | ${spread(
          of.map((r) => r.perSecond / 1000),
          0
        )} k | ${spread(cpu, 2)} | ${Number.isFinite(own) ? (median(cpu) / own).toFixed(1) : ""} |`
      )
    }
    yield* print("")
  }
})

const fill = (server: KafkaServer.KafkaServer["Service"], topic: string) =>
  Effect.promise(async () => {
    const { contender } = await import("./network/platformatic.ts")
    const { Meter } = await import("./network/Meter.ts")
    await contender.sendAll({ bootstrap: server.bootstrap[0]!, topic }, Meter.byCount(1, consumed))
  })

await Effect.runPromise(Effect.scoped(bench))
process.exit(0)
