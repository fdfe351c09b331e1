/**
 * Message sets that Java's producer wrote compressed and Java's broker has compacted: inside a wrapper there are gaps
 * then. What a consumer of ours reads is what Java's DumpLogSegments finds in the files, to each offset, time, key and
 * value. 0.10.2.2, with the times of producers and of the broker; 0.8.2.2 and 0.9.0.1, too, where `SAMSA_FULL` is set.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schedule, Stream } from "effect"
import { Consumer, Kafka } from "samsa"
import * as KafkaNode from "./KafkaNode.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Version } from "./KafkaVersion.ts"
import * as Processes from "./Processes.ts"

const full = process.env.SAMSA_FULL !== undefined
const cases: ReadonlyArray<readonly [Version, ReadonlyArray<"CreateTime" | "LogAppendTime" | "none">]> = [
  ["0.10.2.2", ["CreateTime", "LogAppendTime"]],
  ...(full
    ? ([
        ["0.9.0.1", ["none"]],
        ["0.8.2.2", ["none"]]
      ] as const)
    : [])
]

const count = 6000
/** One of ten keys is there once: each wrapper keeps some records, and loses others. */
const lines = Array.from(
  { length: count },
  (_, i) => `${i % 10 === 3 ? `once-${i}` : `often-${i % 37}`}:value ${i} ${"of some length ".repeat(i % 5)}\n`
).join("")

type Line = readonly [offset: number, timestamp: number, key: string, value: string]

/** What stands in the files of a partition, by Java. */
const dumped = (classPath: string, folder: string) =>
  Effect.map(
    Processes.run(
      KafkaNode.tool(classPath, "kafka.tools.DumpLogSegments", [
        "--files",
        segments(folder)
          .map((name) => Path.join(folder, name))
          .join(","),
        "--deep-iteration",
        "--print-data-log"
      ])
    ),
    (text) =>
      [
        ...text.matchAll(
          /^offset: (\d+) .*?(?:(?:CreateTime|LogAppendTime): (\d+) )?isvalid.* key: (\S+) payload: (.*)$/gm
        )
      ].map(([, offset, time, key, value]): Line => [Number(offset), Number(time ?? -1), key!, value!])
  )

const segments = (folder: string) =>
  Fs.readdirSync(folder)
    .filter((name) => name.endsWith(".log"))
    .sort()

/** What is missing until the log is compacted up to its last segment, which never is; undefined where nothing is. */
const toCompact = (data: string, topic: string): string | undefined => {
  const checkpoint = Path.join(data, "cleaner-offset-checkpoint")
  const told = Fs.existsSync(checkpoint) ? Fs.readFileSync(checkpoint, "utf8") : ""
  const upTo = Number(told.match(new RegExp(`^${topic} 0 (\\d+)$`, "m"))?.[1] ?? 0)
  const names = segments(`${data}/${topic}-0`)
  return upTo > 0 && upTo === Number.parseInt(names.at(-1)!)
    ? undefined
    : `compacted up to ${upTo} of ${names.join(" ")}`
}

const read = (topic: string) =>
  Effect.gen(function* () {
    const consumer = yield* Consumer.assign({ topic, from: "earliest", until: "latest" })
    return (yield* Stream.runCollect(consumer.stream)).map(({ key, offset, timestamp, value }): Line => [
      offset,
      timestamp,
      text(key),
      text(value)
    ])
  })

const text = (bytes: Uint8Array | null): string => Buffer.from(bytes!).toString()

describe.for(cases)("compressed and compacted message sets of %s", ([version, kinds]) => {
  it.live(
    "are read as Java finds them, with gaps in the wrappers",
    () =>
      Effect.gen(function* () {
        const data = Path.join(yield* Processes.folder("compacted"), "data")
        const server = yield* KafkaServer.make({
          version,
          mode: "zookeeper",
          properties: { "log.dirs": data, "log.cleaner.enable": true, "log.cleaner.backoff.ms": 200 }
        })
        for (const kind of kinds) {
          const topic = `compacted-${kind}`
          yield* server.createTopic(topic, {
            config: {
              "cleanup.policy": "compact",
              "segment.bytes": "6000",
              "min.cleanable.dirty.ratio": "0.01",
              ...(kind === "none" ? {} : { "message.timestamp.type": kind })
            }
          })
          const producer = [
            "--broker-list",
            server.bootstrap[0]!,
            "--topic",
            topic,
            "--compression-codec",
            "gzip",
            "--property",
            "parse.key=true",
            "--property",
            "key.separator=:",
            // Bytes of a batch: a segment holds it. That of 0.8.2.2 takes 200 records.
            ...(version === "0.8.2.2" ? [] : ["--max-partition-memory-bytes", "4000"])
          ]
          yield* Processes.run(KafkaNode.tool(server.classPath, "kafka.tools.ConsoleProducer", producer), {
            input: lines
          })
          yield* Effect.suspend(() => {
            const missing = toCompact(data, topic)
            return missing === undefined ? Effect.void : Effect.fail(missing)
          }).pipe(Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 600 }))
          const java = yield* dumped(server.classPath, Path.join(data, `${topic}-0`))
          const ours = yield* read(topic).pipe(
            Effect.scoped,
            Effect.provide(Kafka.layer({ bootstrap: server.bootstrap }))
          )
          assert.isBelow(java.length, count / 2, "something was compacted away")
          assert.isAbove(java.length, count / 10)
          assert.deepStrictEqual(ours, java)
        }
      }).pipe(Effect.scoped),
    180_000
  )
})
