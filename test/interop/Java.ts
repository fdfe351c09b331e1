/** The tools of `org.apache.kafka:kafka-tools`, each run in a JVM of its own, together as a client. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Effect, type Scope } from "effect"
import type { EmbeddedKafka } from "samsa/testing"
import * as Processes from "../integration/Processes.ts"
import type { Client, Member, Received } from "./Client.ts"
import { inOrder } from "./Client.ts"
import * as Program from "./Program.ts"

export interface Java extends Client {
  /** Runs a tool of `org.apache.kafka.tools` and gives what it printed. */
  readonly tool: (
    name: string,
    args: ReadonlyArray<string>,
    input?: string
  ) => Effect.Effect<string, Processes.ProcessError>
}

/** The command of a tool of `org.apache.kafka.tools`. */
export const command = (classPath: string, name: string, args: ReadonlyArray<string>): ReadonlyArray<string> => [
  "java",
  "-Xmx128m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-XX:-UsePerfData",
  "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
  "-cp",
  classPath,
  `org.apache.kafka.tools.${name}`,
  ...args
]

const marker = "\\N"
const orMarker = (text: string | null): string => text ?? marker
const orNull = (text: string): string | null => (text === marker ? null : text)

/** A line of ConsoleConsumer: `CreateTime:1 Partition:0 Offset:5 name:value,… key value`, with tabs between. */
const received = (line: string): Received => {
  const [timestamp, partition, offset, headers, key, value] = line.split("\t") as [
    string,
    string,
    string,
    string,
    string,
    string
  ]
  const after = (text: string) => text.slice(text.indexOf(":") + 1)
  return {
    partition: Number(after(partition)),
    offset: Number(after(offset)),
    timestamp: Number(after(timestamp)),
    key: orNull(key),
    value: orNull(value),
    headers:
      headers === "NO_HEADERS"
        ? []
        : headers.split(",").map((each) => [each.slice(0, each.indexOf(":")), orNull(after(each))] as const)
  }
}

interface Place {
  readonly topic: string
  readonly partition: number
}

/** What VerifiableConsumer says. */
type Said =
  | {
      readonly name: "partitions_assigned" | "partitions_revoked"
      readonly timestamp: number
      readonly partitions: ReadonlyArray<Place>
    }
  | (Place & {
      readonly name: "record_data"
      readonly offset: number
      readonly key: string | null
      readonly value: string | null
    })
  | { readonly name: "startup_complete" | "shutdown_complete" | "records_consumed" | "offsets_committed" }

/** A holding of a partition, by the member's own clock: milliseconds since 1970. */
export interface Held {
  readonly partition: number
  readonly from: number
  to: number | undefined
}

export interface JavaMember extends Member {
  /** What it held, from when to when; undefined: it holds it now. */
  readonly held: ReadonlyArray<Held>
}

/**
 * VerifiableConsumer as a member of a group; the assignor is a class of `org.apache.kafka.clients.consumer`; undefined: by
 * the consumer protocol.
 */
export const member =
  (classPath: string, bootstrap: ReadonlyArray<string>, assignor: string | undefined) =>
  (topic: string, group: string): Effect.Effect<JavaMember, never, Scope.Scope> =>
    Effect.gen(function* () {
      const folder = yield* Processes.folder("verifiable-consumer")
      const config = Path.join(folder, "consumer.properties")
      const beats = assignor === undefined ? "" : "heartbeat.interval.ms=300\n"
      Fs.writeFileSync(config, `${beats}max.poll.interval.ms=20000\n`)
      const records: Array<Received> = []
      const assigned = new Set<number>()
      const held: Array<Held> = []
      const { end, events, signal, until } = yield* Program.start({
        command: command(classPath, "VerifiableConsumer", [
          "--bootstrap-server",
          bootstrap.join(","),
          "--topic",
          topic,
          "--group-id",
          group,
          "--reset-policy",
          "earliest",
          ...(assignor === undefined
            ? ["--group-protocol", "consumer"]
            : ["--session-timeout", "6000", "--assignment-strategy", `org.apache.kafka.clients.consumer.${assignor}`]),
          "--verbose",
          "--command-config",
          config
        ]),
        parse: (line) => {
          if (!line.startsWith("{")) return undefined
          const said = JSON.parse(line) as Said
          if (said.name === "partitions_assigned") {
            for (const { partition } of said.partitions) {
              assigned.add(partition)
              held.push({ partition, from: said.timestamp, to: undefined })
            }
          }
          if (said.name === "partitions_revoked") {
            for (const { partition } of said.partitions) {
              assigned.delete(partition)
              const one = held.findLast((each) => each.partition === partition)
              if (one !== undefined) one.to = said.timestamp
            }
          }
          // it says nothing of timestamps and headers
          if (said.name === "record_data") {
            const { key, offset, partition, value } = said
            records.push({ partition, offset, timestamp: -1, key, value, headers: [] })
          }
          return said
        }
      })
      const member: JavaMember = {
        held,
        records,
        assigned: () => [...assigned],
        until,
        leave: Effect.gen(function* () {
          yield* signal("SIGTERM")
          yield* end
          if (!events.some(({ name }) => name === "shutdown_complete"))
            return yield* Effect.die(new Error("VerifiableConsumer did not shut down"))
        }),
        kill: Effect.andThen(signal("SIGKILL"), Effect.asVoid(end))
      }
      return member
    })

export const make = (classPath: string, broker: EmbeddedKafka.Service, assignor: string | undefined): Java => {
  const servers = ["--bootstrap-server", broker.bootstrap.join(",")]
  const bare: Java["tool"] = (name, args, input = "") =>
    Processes.run(command(classPath, name, args), { input }).pipe(
      Effect.timeoutOrElse({
        duration: Program.patience,
        orElse: () =>
          Effect.fail(new Processes.ProcessError({ message: `${name} does not end within ${Program.patience}` }))
      })
    )
  const tool: Java["tool"] = (name, args, input) => bare(name, [...servers, ...args], input)
  const lines = (text: string) => text.split("\n").filter((line) => line !== "")
  const properties = (flag: string, all: Readonly<Record<string, string | number | boolean>>) =>
    Object.entries(all).flatMap(([name, value]) => [flag, `${name}=${value}`])

  return {
    tool,
    // ConsoleProducer cannot choose the partition
    can: { empty: true, binary: false, timestamps: false },
    produce: (topic, records, { codec = "none", idempotent = false } = {}) =>
      tool(
        "ConsoleProducer",
        [
          "--topic",
          topic,
          "--compression-codec",
          codec,
          ...properties("--reader-property", { "parse.key": true, "parse.headers": true, "null.marker": marker }),
          ...properties("--command-property", { "enable.idempotence": idempotent, acks: "all", "linger.ms": 100 })
        ],
        records
          .map(({ headers, key, value }) => {
            const all = headers.map(([name, value]) => `${name}:${orMarker(value)}`).join(",")
            return `${headers.length === 0 ? marker : all}\t${orMarker(key)}\t${orMarker(value)}\n`
          })
          .join("")
      ),
    // it aborts by chance
    copy: ({ count, group, size, target, topic, transactionalId }) =>
      bare("TransactionalMessageCopier", [
        "--broker-list",
        broker.bootstrap.join(","),
        ...`--input-topic ${topic} --input-partition 0 --output-topic ${target} --consumer-group ${group}`.split(" "),
        ...`--transactional-id ${transactionalId} --transaction-size ${size} --max-messages ${count}`.split(" "),
        ..."--enable-random-aborts --group-mode --use-group-metadata".split(" ")
      ]),
    consume: (topic, { committed = false } = {}) =>
      Effect.gen(function* () {
        const count = committed
          ? (yield* Effect.orDie(broker.log(topic))).length
          : (yield* broker.topic(topic))!.reduce((sum, { endOffset }) => sum + endOffset, 0)
        const text = yield* tool("consumer.ConsoleConsumer", [
          "--topic",
          topic,
          "--from-beginning",
          "--max-messages",
          String(count),
          ...(committed ? ["--isolation-level", "read_committed"] : []),
          ...properties("--command-property", { "check.crcs": true }),
          ...properties("--formatter-property", {
            "print.partition": true,
            "print.offset": true,
            "print.timestamp": true,
            "print.headers": true,
            "print.key": true,
            "null.literal": marker
          })
        ])
        return inOrder(
          lines(text)
            .filter((line) => line.includes("\tPartition:"))
            .map(received)
        )
      }),
    member: member(classPath, broker.bootstrap, assignor),
    metadata: (topic) =>
      Effect.gen(function* () {
        const brokers = yield* tool("BrokerApiVersionsCommand", [])
        const topics = yield* tool("TopicCommand", ["--describe", "--topic", topic])
        return {
          brokers: Array.from(brokers.matchAll(/^(\S+) \(id: \d+/gm), ([, address]) => address!),
          partitions: Array.from(topics.matchAll(/\tPartition: (\d+)\tLeader: (\d+)/g), ([, partition, leader]) => ({
            partition: Number(partition),
            leader: Number(leader)
          }))
        }
      }),
    offsetsFor: (topic, time) =>
      Effect.map(tool("GetOffsetShell", ["--topic", topic, "--time", String(time)]), (text) =>
        // "topic:partition:offset"
        lines(text)
          .sort()
          .map((line) => Number(line.split(":")[2]))
      ),
    administer: (topic, group) =>
      Effect.gen(function* () {
        yield* tool("TopicCommand", [
          "--create",
          "--topic",
          topic,
          "--partitions",
          "2",
          "--replication-factor",
          "1",
          "--config",
          "cleanup.policy=compact"
        ])
        yield* tool("TopicCommand", ["--alter", "--topic", topic, "--partitions", "5"])
        const described = yield* tool("TopicCommand", ["--describe", "--topic", topic])
        const groups = yield* tool("consumer.group.ConsumerGroupCommand", ["--list"])
        const offsets = yield* tool("consumer.group.ConsumerGroupCommand", ["--describe", "--group", group])
        const members = yield* tool("consumer.group.ConsumerGroupCommand", [
          "--describe",
          "--members",
          "--group",
          group
        ])
        const cluster = yield* tool("ClusterTool", ["cluster-id"]).pipe(
          // its own subcommand comes first
          Effect.catch(() => Processes.run(command(classPath, "ClusterTool", ["cluster-id", ...servers])))
        )
        const brokers = yield* tool("BrokerApiVersionsCommand", [])
        yield* tool("TopicCommand", ["--delete", "--topic", topic])
        yield* tool("consumer.group.ConsumerGroupCommand", ["--delete", "--group", group])
        return {
          partitions: Number(/PartitionCount: (\d+)/.exec(described)?.[1]),
          policy: /cleanup\.policy=(\w+)/.exec(described)?.[1] ?? "",
          groups: lines(groups),
          members: lines(members).filter((line) => line.startsWith(`${group} `)).length,
          committed: lines(offsets)
            .filter((line) => line.startsWith(`${group} `))
            .map((line) => line.split(/\s+/))
            .map((cells) => [Number(cells[2]), Number(cells[3])] as const)
            .sort(([a], [b]) => a - b),
          cluster: /Cluster ID: (\S+)/.exec(cluster)?.[1] ?? "",
          brokers: Array.from(brokers.matchAll(/ \(id: \d+/g)).length
        }
      })
  }
}
