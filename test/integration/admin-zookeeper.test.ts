/** Topics by `Admin.layerZooKeeper` on brokers that have no API for them, as their own tools see them. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Result } from "effect"
import { Admin, ErrorCode, Kafka, ZooKeeper } from "samsa"
import { codeOf, value } from "./Admins.ts"
import * as KafkaNode from "./KafkaNode.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Version } from "./KafkaVersion.ts"
import * as Processes from "./Processes.ts"

const { codes } = ErrorCode

const versions: ReadonlyArray<Version> =
  process.env.SAMSA_FULL === "1" ? ["0.8.2.2", "0.9.0.1", "0.10.0.1"] : ["0.8.2.2"]

for (const version of versions)
  layer(KafkaServer.layer({ version, mode: "zookeeper", brokers: 2, properties: { "delete.topic.enable": "true" } }), {
    excludeTestServices: true
  })(`topics by ZooKeeper on Kafka ${version}`, (it) => {
    it.effect("are created, given partitions and deleted, as the release's own tool sees them", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const zooKeeper = ZooKeeper.layer({ connect: server.zooKeeper! })
        const kafka = Kafka.layer({ bootstrap: server.bootstrap, brokerVersion: version })
        const java = (...args: ReadonlyArray<string>) =>
          Processes.run(
            KafkaNode.tool(server.classPath, "kafka.admin.TopicCommand", ["--zookeeper", server.zooKeeper!, ...args])
          )
        yield* Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const made = yield* admin.createTopics([
            { name: "a", partitions: 4, replicationFactor: 2, config: { "retention.ms": 123456 } },
            { name: "b", assignments: [[2], [1]] },
            { name: "bad name", partitions: 1, replicationFactor: 1 },
            { name: "c", partitions: 1, replicationFactor: 3 },
            { name: "d" },
            { name: "e", partitions: 1, replicationFactor: 1, config: { "no.such": 1 } },
            { name: "f", assignments: [[9]] }
          ])
          assert.deepInclude(value(made[0]), { partitions: 4, replicationFactor: 2 })
          value(made[1])
          assert.strictEqual(codeOf(made[2]), "InvalidTopic")
          assert.strictEqual(codeOf(made[3]), codes.INVALID_REPLICATION_FACTOR)
          assert.strictEqual(codeOf(made[4]), "Misconfigured")
          assert.strictEqual(codeOf(made[5]), "Misconfigured")
          assert.strictEqual(codeOf(made[6]), codes.INVALID_REPLICA_ASSIGNMENT)
          const [again] = yield* admin.createTopics([{ name: "a", partitions: 1, replicationFactor: 1 }])
          assert.strictEqual(codeOf(again), codes.TOPIC_ALREADY_EXISTS)
          const described = yield* java("--describe", "--topic", "a")
          assert.match(described, /PartitionCount:4\s+ReplicationFactor:2\s+Configs:.*retention.ms=123456/)
          const [a, b] = yield* admin.describeTopics(["a", "b"])
          assert.strictEqual(new Set(value(a).partitions.map(({ leader }) => leader)).size, 2)
          assert.deepStrictEqual(
            value(b).partitions.map(({ replicas }) => replicas),
            [[2], [1]]
          )

          const grown = yield* admin.createPartitions([
            { topic: "a", count: 6 },
            { topic: "b", count: 1 },
            { topic: "none", count: 2 }
          ])
          value(grown[0])
          assert.strictEqual(codeOf(grown[1]), codes.INVALID_PARTITIONS)
          assert.strictEqual(codeOf(grown[2]), "UnknownTopic")
          assert.match(yield* java("--describe", "--topic", "a"), /PartitionCount:6\s+ReplicationFactor:2/)

          const deleted = yield* admin.deleteTopics(["a", "b", "none"])
          value(deleted[0])
          value(deleted[1])
          assert.strictEqual(codeOf(deleted[2]), "UnknownTopic")
          const left = (yield* java("--list")).split("\n").map((line) => line.split(" ")[0])
          assert.notInclude(left, "a")
          assert.notInclude(left, "b")
        }).pipe(
          Effect.scoped,
          Effect.provide(
            Admin.layerZooKeeper({ timeout: "30 seconds" }).pipe(Layer.provideMerge(Layer.merge(kafka, zooKeeper)))
          )
        )
        // Without ZooKeeper it is told what is lacking.
        const [refused] = yield* Effect.flatMap(Admin.Admin, (admin) =>
          admin.createTopics([{ name: "x", partitions: 1, replicationFactor: 1 }])
        ).pipe(
          Effect.scoped,
          Effect.provide(
            Admin.layer().pipe(Layer.provideMerge(Kafka.layer({ bootstrap: server.bootstrap, brokerVersion: version })))
          )
        )
        assert.isTrue(Result.isFailure(refused!) && refused.failure.reason._tag === "Unsupported")
      })
    )
  })
