/** The verbs of `Admin` on brokers of every age, and what Java's tools say of the same cluster before and after. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Result, Schema } from "effect"
import { Admin, ErrorCode, Offset, Producer, Topic } from "samsa"
import * as Consumer from "samsa/Consumer"
import { seen } from "./Client.ts"
import { codeOf, eventually, failure, tool, value, withAdmin } from "./Admins.ts"
import * as JavaTools from "./JavaTools.ts"
import * as KafkaNode from "./KafkaNode.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Mode, Version } from "./KafkaVersion.ts"
import * as KafkaVersion from "./KafkaVersion.ts"
import * as Processes from "./Processes.ts"

const { codes } = ErrorCode

const brokers: ReadonlyArray<readonly [Version, Mode]> = [
  ["0.10.2.2", "zookeeper"],
  ["2.8.2", "zookeeper"],
  ["4.4.0", "kraft"]
]

const text = (name: string) => Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.String })

const send = (topic: string, count: number, partition = 0) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    for (const result of yield* producer.sendAll(
      text(topic),
      Array.from({ length: count }, (_, i) => ({
        key: null,
        value: `v${i}`,
        partition,
        timestamp: 1_700_000_000_000 + i
      }))
    ))
      if (Result.isFailure(result)) return yield* result.failure
  })

/**
 * What Java's tool prints of a group, by partition: topic, partition, committed offset, end, lag, member. That of 2.8
 * does not describe groups before 0.11, where the release's own does.
 */
const describedByJava = (group: string, topic: string) =>
  Effect.gen(function* () {
    const { bootstrap, classPath, version } = yield* KafkaServer.KafkaServer
    const args = ["--describe", "--group", group]
    const table = KafkaVersion.atLeast(version, 0, 11)
      ? yield* tool("ConsumerGroupCommand", ...args)
      : yield* Processes.run(
          KafkaNode.tool(classPath, "kafka.admin.ConsumerGroupCommand", [
            "--new-consumer",
            "--bootstrap-server",
            bootstrap.join(","),
            ...args
          ])
        )
    return table
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter((words) => words.includes(topic))
      .map((words) => words.slice(words.indexOf(topic)))
      .sort(([, a], [, b]) => Number(a) - Number(b))
  })

for (const [version, mode] of brokers) {
  layer(
    Layer.merge(
      KafkaServer.layer({ version, mode, properties: { "auto.create.topics.enable": "false" } }),
      JavaTools.layer
    ),
    {
      excludeTestServices: true
    }
  )(`Admin on Kafka ${version} (${mode})`, (it) => {
    const has = (...other: ReadonlyArray<number>) => KafkaVersion.atLeast(version, ...other)

    it.effect("topics: created, described, given partitions, deleted, as Java's tool sees them", () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const created = yield* admin.createTopics([
            { name: "t-a", partitions: 3, replicationFactor: 1, config: { "retention.ms": 123456 } },
            { name: "t-b", assignments: [[1], [1]] },
            { name: "t c", partitions: 1, replicationFactor: 1 },
            { name: "t-d", partitions: 1, replicationFactor: 3 },
            { name: "t-e", partitions: 1, replicationFactor: 1, config: { "no.such": 1 } },
            { name: "t-f" }
          ])
          assert.strictEqual(value(created[0]).id !== undefined, has(2, 8))
          assert.strictEqual(value(created[0]).partitions, has(2, 4) ? 3 : undefined)
          value(created[1])
          assert.strictEqual(codeOf(created[2]), "InvalidTopic")
          assert.strictEqual(codeOf(created[3]), codes.INVALID_REPLICATION_FACTOR)
          assert.strictEqual(codeOf(created[4]), codes.INVALID_CONFIG)
          if (has(2, 4)) assert.strictEqual(value(created[5]).partitions, 1)
          else assert.strictEqual(codeOf(created[5]), "Unsupported")
          assert.strictEqual(
            codeOf((yield* admin.createTopics([{ name: "t-a", partitions: 1, replicationFactor: 1 }]))[0]),
            codes.TOPIC_ALREADY_EXISTS
          )
          const validated = yield* admin.createTopics([{ name: "t-v", partitions: 1, replicationFactor: 1 }], {
            validateOnly: true
          })
          value(validated[0])

          const listed = yield* admin.listTopics()
          assert.deepStrictEqual(
            listed.map(({ name, partitions, replicationFactor }) => [name, partitions, replicationFactor]),
            [["t-a", 3, 1], ["t-b", 2, 1], ...(has(2, 4) ? [["t-f", 1, 1]] : [])]
          )
          const java = (yield* tool("TopicCommand", "--list")).trim().split("\n").sort()
          assert.deepStrictEqual(
            listed.map(({ name }) => name),
            java.filter((name) => name.startsWith("t-"))
          )
          const [a, none] = yield* admin.describeTopics(["t-a", "none"])
          assert.deepStrictEqual(
            value(a).partitions.map((one) => [one.partition, one.leader, one.replicas, one.isr]),
            [0, 1, 2].map((partition) => [partition, 1, [1], [1]])
          )
          assert.strictEqual(codeOf(none), "UnknownTopic")
          if (has(1, 0)) {
            const described = yield* tool("TopicCommand", "--describe", "--topic", "t-a")
            assert.include(described, "PartitionCount: 3")
            assert.include(described, "retention.ms=123456")
            if (has(2, 8)) assert.strictEqual(/TopicId: (\S+)/.exec(described)?.[1], value(a).id)
            const more = yield* admin.createPartitions([
              { topic: "t-a", count: 5 },
              { topic: "t-b", count: 3, assignments: [[1]] },
              { topic: "t-f", count: 1 },
              { topic: "none", count: 2 }
            ])
            value(more[0])
            value(more[1])
            assert.strictEqual(codeOf(more[2]), codes.INVALID_PARTITIONS)
            assert.strictEqual(codeOf(more[3]), "UnknownTopic")
            assert.include(yield* tool("TopicCommand", "--describe", "--topic", "t-a"), "PartitionCount: 5")
          } else {
            assert.strictEqual(codeOf((yield* admin.createPartitions([{ topic: "t-a", count: 5 }]))[0]), "Unsupported")
          }
          const b = listed.find(({ name }) => name === "t-b")!
          const deleted = yield* admin.deleteTopics(["t-a", has(2, 8) ? { id: b.id! } : "t-b", "none"])
          value(deleted[0])
          value(deleted[1])
          assert.strictEqual(codeOf(deleted[2]), "UnknownTopic")
          const left = (yield* tool("TopicCommand", "--list")).trim().split("\n")
          assert.deepStrictEqual(
            left.filter((name) => name === "t-a" || name === "t-b"),
            []
          )
        })
      )
    )

    it.effect("records and offsets: deleted and looked up", () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("r", { partitions: 2 })
          yield* send("r", 10)
          const partition = { topic: "r", partition: 0 }
          if (has(0, 11)) {
            const deleted = yield* admin.deleteRecords([
              { ...partition, before: 4 },
              { topic: "r", partition: 1, before: "latest" },
              { topic: "r", partition: 9, before: 1 },
              { topic: "none", partition: 0, before: 1 },
              { ...partition, before: 99 }
            ])
            assert.strictEqual(value(deleted[0]).lowWatermark, 4)
            assert.strictEqual(value(deleted[1]).lowWatermark, 0)
            assert.strictEqual(codeOf(deleted[2]), "UnknownTopic")
            assert.strictEqual(codeOf(deleted[3]), "UnknownTopic")
            assert.strictEqual(codeOf(deleted[4]), codes.OFFSET_OUT_OF_RANGE)
          } else {
            assert.strictEqual(codeOf((yield* admin.deleteRecords([{ ...partition, before: 4 }]))[0]), "Unsupported")
          }
          const first = has(0, 11) ? 4 : 0
          const [start, end, time, late, newest] = yield* admin.listOffsets([
            { ...partition, at: "earliest" },
            { ...partition, at: "latest" },
            { ...partition, at: Offset.atTime(1_700_000_000_006) },
            { ...partition, at: Offset.atTime(1_800_000_000_000) },
            { ...partition, at: "max-timestamp" }
          ])
          assert.strictEqual(value(start).offset, first)
          assert.strictEqual(value(end).offset, 10)
          assert.deepInclude(value(time), { offset: 6, timestamp: 1_700_000_000_006 })
          assert.strictEqual(value(late).offset, undefined)
          if (has(3, 0)) assert.deepInclude(value(newest), { offset: 9, timestamp: 1_700_000_000_009 })
          else assert.strictEqual(codeOf(newest), "Unsupported")
        })
      )
    )

    it.effect("settings: described, changed and replaced, as Java's tool sees them", () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const server = yield* KafkaServer.KafkaServer
          const resource = { type: "topic", name: "s" } as const
          yield* server.createTopic("s")
          if (!has(0, 11)) {
            assert.strictEqual(codeOf((yield* admin.describeConfigs([resource]))[0]), "Unsupported")
            return
          }
          const java = tool("ConfigCommand", "--entity-type", "topics", "--entity-name", "s", "--describe")
          const entry = (name: string) =>
            Effect.map(
              admin.describeConfigs([resource], { synonyms: true, documentation: true }).pipe(Admin.orFail),
              ([one]) => one!.entries.find((entry) => entry.name === name)!
            )
          assert.deepInclude(yield* entry("delete.retention.ms"), { isDefault: true, source: "default", type: "long" })
          assert.isString((yield* entry("delete.retention.ms")).documentation)
          yield* admin
            .alterConfigs([{ ...resource, set: { "delete.retention.ms": 1000, "cleanup.policy": "compact" } }])
            .pipe(Admin.orFail)
          // With KRaft the controller answers, and brokers hear of it a moment later.
          const set = yield* eventually(entry("delete.retention.ms"), ({ value }) => value === "1000")
          assert.deepInclude(set, { source: "topic", isDefault: false })
          assert.include(yield* java, "delete.retention.ms=1000")
          yield* admin
            .alterConfigs([{ ...resource, append: { "cleanup.policy": "delete" }, delete: ["delete.retention.ms"] }])
            .pipe(Admin.orFail)
          const after = yield* eventually(java, (told) => told.includes("cleanup.policy=compact,delete"))
          assert.notInclude(after, "delete.retention.ms=1000")
          yield* admin.replaceConfigs([{ ...resource, config: { "max.message.bytes": 5000 } }]).pipe(Admin.orFail)
          const replaced = yield* eventually(java, (told) => told.includes("max.message.bytes=5000"))
          assert.notInclude(replaced, "cleanup.policy=")
          const refused = yield* admin.alterConfigs([
            { ...resource, set: { "no.such": 1 } },
            { type: "topic", name: "none", set: { "retention.ms": 1 } }
          ])
          assert.strictEqual(codeOf(refused[0]), codes.INVALID_CONFIG)
          assert.strictEqual(codeOf(refused[1]), "UnknownTopic")
          yield* admin
            .alterConfigs([{ ...resource, set: { "delete.retention.ms": 9 } }], { validateOnly: true })
            .pipe(Admin.orFail)
          assert.deepInclude(yield* entry("delete.retention.ms"), { isDefault: true })

          const own = { type: "broker", name: "1" } as const
          const all = { type: "broker", name: "" } as const
          yield* admin
            .alterConfigs([
              { ...own, set: { "log.cleaner.threads": 2 } },
              { ...all, set: { "message.max.bytes": 2_000_000 } }
            ])
            .pipe(Admin.orFail)
          const [mine, common] = yield* eventually(
            admin.describeConfigs([own, all]).pipe(Admin.orFail),
            ([mine, common]) =>
              mine!.entries.some(
                ({ name, source, value }) => name === "log.cleaner.threads" && source === "broker" && value === "2"
              ) && common!.entries.length > 0
          )
          assert.deepInclude(
            mine!.entries.find(({ name }) => name === "log.cleaner.threads")!,
            {
              value: "2",
              source: "broker"
            }
          )
          assert.deepStrictEqual(common!.entries.find(({ name }) => name === "message.max.bytes")?.value, "2000000")
          const [logger] = yield* admin.describeConfigs([{ type: "broker-logger", name: "1" }])
          assert.isAbove(value(logger).entries.length, 1)
          yield* admin
            .alterConfigs([
              { ...own, delete: ["log.cleaner.threads"] },
              { ...all, delete: ["message.max.bytes"] }
            ])
            .pipe(Admin.orFail)
          if (has(4, 1)) {
            const topics = yield* admin.listConfigResources(["topic", "broker"])
            assert.deepInclude(topics, { type: "topic", name: "s" })
            assert.deepInclude(topics, { type: "broker", name: "1" })
          } else {
            assert.strictEqual((yield* Effect.flip(admin.listConfigResources(["topic"]))).reason._tag, "Unsupported")
          }
        })
      )
    )

    it.effect("groups: lag, members, offsets and resets, as Java's tool sees them", () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("g", { partitions: 2 })
          yield* send("g", 10)
          yield* send("g", 4, 1)
          yield* Effect.scoped(
            Effect.gen(function* () {
              const consumer = yield* Consumer.subscribe({ group: "billing", topics: [text("g")], from: "earliest" })
              const handled = seen<string>()
              yield* Effect.forkScoped(consumer.run((record) => Effect.sync(() => handled.add(record.value))))
              yield* handled.until("14 records", (all) => all.length >= 14)
              yield* Effect.sleep("200 millis")
              yield* consumer.commit()
              yield* send("g", 3)
              yield* handled.until("17 records", (all) => all.length >= 17)

              const [described] = yield* admin.describeGroups(["billing"]).pipe(Admin.orFail)
              assert.deepInclude(described!, { state: "Stable", type: "classic", protocolType: "consumer" })
              assert.deepStrictEqual(
                described!.members.map(({ assignment, clientId }) => [clientId, assignment.length]),
                [["samsa-admin", 2]]
              )
              const listed = yield* admin.listGroups({ states: ["Stable"] })
              assert.deepStrictEqual(
                listed.map(({ group, state, type }) => [group, state, type]),
                [["billing", "Stable", "classic"]]
              )
              const refusals = [
                Result.fail(yield* Effect.flip(admin.resetGroupOffsets("billing", { to: "earliest" }))),
                ...(yield* admin.alterGroupOffsets("billing", [{ topic: "g", partition: 0, offset: 1 }])),
                ...(has(1, 1) ? yield* admin.deleteGroups(["billing"]) : [])
              ]
              for (const refused of refusals) {
                assert.strictEqual(codeOf(refused), codes.NON_EMPTY_GROUP)
                assert.match(
                  failure(refused).message,
                  /members, which have to be stopped first: .*client "samsa-admin"/
                )
              }
              const [lag] = yield* admin.groupLag(["billing"]).pipe(Admin.orFail)
              const java = yield* describedByJava("billing", "g")
              assert.deepStrictEqual(
                lag!.partitions.map((one) => [one.topic, one.partition, one.end, one.member?.memberId].map(String)),
                java.map(([topic, partition, , end, , member]) => [topic!, partition!, end!, member!])
              )
            })
          )
          // Nobody is there any more: the offsets stay.
          const [idle] = yield* admin.describeGroups(["billing"]).pipe(Admin.orFail)
          assert.strictEqual(idle!.state, "Empty")
          const reset = yield* admin.resetGroupOffsets("billing", { to: Offset.at(6) }).pipe(Admin.orFail)
          assert.deepStrictEqual(
            reset.map(({ from, partition, to }) => [partition, from, to]),
            [
              [0, 13, 6],
              [1, 4, 4]
            ]
          )
          const java = yield* describedByJava("billing", "g")
          assert.deepStrictEqual(
            java.map(([, partition, committed, end, lag]) => [partition, committed, end, lag].map(Number)),
            [
              [0, 6, 13, 7],
              [1, 4, 4, 0]
            ]
          )
          const [lag] = yield* admin.groupLag(["billing"]).pipe(Admin.orFail)
          assert.deepStrictEqual(
            lag!.partitions.map((one) => [one.partition, one.committed, one.end, one.lag]),
            [
              [0, 6, 13, 7],
              [1, 4, 4, 0]
            ]
          )
          assert.strictEqual(lag!.total, 7)
          const times = yield* admin
            .resetGroupOffsets("billing", { to: Offset.atTime(1_700_000_000_002), dryRun: true })
            .pipe(Admin.orFail)
          assert.deepStrictEqual(
            times.map(({ to }) => to),
            [2, 2]
          )

          yield* admin
            .alterGroupOffsets("other", [
              { topic: "g", partition: 0, offset: 3, metadata: "by hand" },
              { topic: "g", partition: 1, offset: 2 }
            ])
            .pipe(Admin.orFail)
          const [all, some, none] = yield* admin
            .groupOffsets([
              { group: "other" },
              { group: "other", partitions: [{ topic: "g", partition: 1 }] },
              { group: "nobody" }
            ])
            .pipe(Admin.orFail)
          assert.deepStrictEqual(
            all!.map(({ metadata, offset, partition }) => [partition, offset, metadata]),
            [
              [0, 3, "by hand"],
              [1, 2, ""]
            ]
          )
          assert.deepStrictEqual(
            some!.map(({ offset }) => offset),
            [2]
          )
          assert.deepStrictEqual(none, [])
          assert.strictEqual(codeOf((yield* admin.describeGroups(["nobody"]))[0]), codes.GROUP_ID_NOT_FOUND)
          if (has(2, 4)) {
            yield* admin.deleteGroupOffsets("other", [{ topic: "g", partition: 0 }]).pipe(Admin.orFail)
            const left = yield* describedByJava("other", "g")
            assert.deepStrictEqual(
              left.map(([, partition]) => partition),
              ["1"]
            )
          }
          if (has(1, 1)) {
            const deleted = yield* admin.deleteGroups(["other", "nobody"])
            value(deleted[0])
            assert.strictEqual(codeOf(deleted[1]), codes.GROUP_ID_NOT_FOUND)
            const left = (yield* tool("ConsumerGroupCommand", "--list")).trim().split("\n")
            assert.deepStrictEqual(left, ["billing"])
          }
        })
      )
    )

    it.effect("the cluster: its brokers, and what they speak", () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const server = yield* KafkaServer.KafkaServer
          const cluster = yield* admin.describeCluster({ operations: true })
          assert.isString(cluster.clusterId)
          assert.strictEqual(cluster.controller, 1)
          assert.deepStrictEqual(
            cluster.brokers.map(({ fenced, host, id, port }) => [id, `${host}:${port}`, fenced]),
            [[1, server.bootstrap[0], false]]
          )
          if (has(2, 3)) assert.includeMembers([...(cluster.operations ?? [])], ["create", "alter", "describe"])
          else assert.isUndefined(cluster.operations)
          const [apis] = yield* admin.brokerApis([1]).pipe(Admin.orFail)
          const fetch = apis!.apis.find(({ name }) => name === "Fetch")
          assert.strictEqual(fetch?.max, { "0.10.2.2": 3, "2.8.2": 12, "4.4.0": fetch?.ours?.max }[version as string])
          if (has(4, 0)) assert.isAbove(apis!.features.find(({ name }) => name === "metadata.version")?.level ?? 0, 20)
        })
      )
    )
  })
}
