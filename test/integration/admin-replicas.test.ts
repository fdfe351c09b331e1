/** Replicas, elections, directories, producers, transactions, features and the quorum by `Admin`, on clusters of three. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Result, Schema } from "effect"
import { Admin, ErrorCode, Producer, Topic } from "samsa"
import { begin, codeOf, eventually, newTool, tool, value, withAdmin, write } from "./Admins.ts"
import * as ControllerKilled from "./ControllerKilled.ts"
import * as JavaTools from "./JavaTools.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Mode, Version } from "./KafkaVersion.ts"
import * as KafkaVersion from "./KafkaVersion.ts"

const { codes } = ErrorCode

const clusters: ReadonlyArray<readonly [Version, Mode]> = [
  ...(process.env.SAMSA_FULL === "1" ? ([["2.8.2", "zookeeper"]] as const) : []),
  ["4.4.0", "kraft"]
]

const text = (name: string) => Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.String })

/** What a tool of Java's prints by some of its subcommands: the cells of each row, of a table without its head. */
const javaTables = (name: string, subcommands: ReadonlyArray<string>) =>
  Effect.forEach(
    subcommands,
    (words) =>
      Effect.map(newTool(name, ...words.split(" ")), (text) => {
        const rows = text
          .split("\n")
          .filter((line) => line.trim() !== "")
          .map((line) => line.split("\t").flatMap((cell) => (cell.trim() === "" ? [] : [cell.trim()])))
        return rows[0]!.length > 1 ? rows.slice(1) : rows
      }),
    { concurrency: 3 }
  )

const sorted = (rows: ReadonlyArray<ReadonlyArray<string>>) => rows.map((row) => row.join(" ")).sort()

/** Who writes to a partition, in the columns of Java's tool. */
const producersOf = ({ producers }: Admin.PartitionProducers) =>
  sorted(
    producers.map((one) =>
      [
        one.producerId,
        one.producerEpoch,
        one.coordinatorEpoch,
        one.lastSequence ?? -1,
        one.lastTimestamp ?? -1,
        one.transactionStart ?? "None"
      ].map(String)
    )
  )

for (const [version, mode] of clusters) {
  const has = (...other: ReadonlyArray<number>) => KafkaVersion.atLeast(version, ...other)
  const quorum = mode === "kraft" ? "dynamic" : "static"
  const cluster = KafkaServer.layer({ version, mode, brokers: 3, quorum, dirs: 2 })
  layer(Layer.merge(cluster, JavaTools.layer), { excludeTestServices: true })(
    `replicas by Admin on Kafka ${version} (${mode})`,
    (it) => {
      it.effect("are reassigned, and leaders elected", () =>
        withAdmin(
          Effect.gen(function* () {
            const admin = yield* Admin.Admin
            yield* admin
              .createTopics([
                {
                  name: "moved",
                  assignments: [
                    [1, 2],
                    [2, 1]
                  ]
                }
              ])
              .pipe(Admin.orFail)
            const partition = { topic: "moved", partition: 0 }
            const other = { topic: "moved", partition: 1 }
            yield* eventually(
              admin.describeTopics(["moved"]),
              ([one]) => Result.isSuccess(one!) && one.success.partitions.every(({ isr }) => isr.length === 2)
            )
            const refused = yield* admin.reassignPartitions([
              { ...partition, replicas: [1, 9] },
              { topic: "none", partition: 0, replicas: [1] },
              { ...other, replicas: null },
              { ...other, replicas: [2, 2] }
            ])
            assert.strictEqual(codeOf(refused[0]), codes.INVALID_REPLICA_ASSIGNMENT)
            assert.strictEqual(codeOf(refused[1]), codes.UNKNOWN_TOPIC_OR_PARTITION)
            assert.strictEqual(codeOf(refused[2]), codes.NO_REASSIGNMENT_IN_PROGRESS)
            assert.strictEqual(codeOf(refused[3]), "Misconfigured")
            yield* admin.reassignPartitions([{ ...partition, replicas: [3, 1] }]).pipe(Admin.orFail)
            const [moved] = yield* eventually(admin.describeTopics(["moved"]).pipe(Admin.orFail), ([one]) => {
              const [first] = one!.partitions
              return String(first!.replicas) === "3,1" && first!.isr.length === 2
            })
            assert.deepStrictEqual(moved!.partitions[0]!.replicas, [3, 1])
            yield* eventually(admin.listReassignments(), (ongoing) => ongoing.length === 0)
            assert.include(yield* tool("TopicCommand", "--describe", "--topic", "moved"), "Replicas: 3,1")

            const elected = yield* admin.electLeaders([partition, other, { topic: "none", partition: 0 }])
            assert.oneOf(value(elected[0]), ["elected", "not-needed"])
            assert.strictEqual(value(elected[1]), "not-needed")
            assert.strictEqual(codeOf(elected[2]), codes.UNKNOWN_TOPIC_OR_PARTITION)
            const [after] = yield* eventually(
              admin.describeTopics(["moved"]).pipe(Admin.orFail),
              ([one]) => one!.partitions[0]!.leader === 3
            )
            assert.strictEqual(after!.partitions[0]!.leader, 3)
            const unclean = yield* admin.electLeaders([partition], { type: "unclean" })
            assert.strictEqual(value(unclean[0]), "not-needed")
          })
        )
      )

      it.effect("lie in directories, whose sizes are told", () =>
        withAdmin(
          Effect.gen(function* () {
            const admin = yield* Admin.Admin
            yield* admin.createTopics([{ name: "sized", assignments: [[2]] }]).pipe(Admin.orFail)
            const producer = yield* Producer.Producer
            yield* producer.send(text("sized"), { key: null, value: "x".repeat(1000) })
            const [two, three, none] = yield* admin.describeLogDirs([2, 3, 9])
            const sized = (dirs: Admin.BrokerLogDirs) =>
              dirs.dirs.flatMap(({ replicas }) => replicas.filter(({ topic }) => topic === "sized"))
            assert.deepInclude(sized(value(two))[0]!, { partition: 0, future: false, lag: 0 })
            assert.isAbove(sized(value(two))[0]!.size, 1000)
            assert.deepStrictEqual(sized(value(three)), [])
            assert.strictEqual(value(two).dirs[0]!.total !== undefined, has(3, 3))
            assert.strictEqual(codeOf(none), "Misconfigured")
            const java = yield* tool("LogDirsCommand", "--describe", "--broker-list", "2", "--topic-list", "sized")
            assert.include(java, `"size":${sized(value(two))[0]!.size}`)
            const place = (dirs: Admin.BrokerLogDirs) =>
              dirs.dirs
                .filter(({ replicas }) => replicas.some(({ topic }) => topic === "sized"))
                .map(({ path }) => path)
            const replica = { topic: "sized", partition: 0, broker: 2 }
            const [nowhere, stays] = yield* admin.moveReplicas([
              { ...replica, path: "/no/such/folder" },
              { ...replica, path: place(value(two))[0]! }
            ])
            assert.strictEqual(codeOf(nowhere), codes.LOG_DIR_NOT_FOUND)
            value(stays)
            const other = value(two).dirs.find(({ path }) => path !== place(value(two))[0])!.path
            yield* Admin.orFail(admin.moveReplicas([{ ...replica, path: other }]))
            yield* eventually(
              Effect.map(Admin.orFail(admin.describeLogDirs([2])), ([dirs]) => place(dirs!)),
              (paths) => String(paths) === other
            )
            const later = yield* tool("LogDirsCommand", "--describe", "--broker-list", "2", "--topic-list", "sized")
            const told = JSON.parse(later.split("\n").find((line) => line.startsWith("{"))!).brokers[0].logDirs
            const theirs = told.filter((dir: { partitions: ReadonlyArray<unknown> }) => dir.partitions.length > 0)
            assert.deepStrictEqual(
              theirs.map((dir: { logDir: string }) => dir.logDir),
              [other]
            )
          })
        )
      )

      it.effect("producers and transactions are told, and what hangs is ended", () =>
        withAdmin(
          Effect.gen(function* () {
            const admin = yield* Admin.Admin
            yield* admin.createTopics([{ name: "tx", assignments: [[1]] }]).pipe(Admin.orFail)
            const producer = yield* Producer.Producer
            yield* producer.send(text("tx"), { key: null, value: "v" })
            const [told, none] = yield* admin.describeProducers([
              { topic: "tx", partition: 0 },
              { topic: "none", partition: 0 }
            ])
            assert.strictEqual(value(told).producers.length, 1)
            assert.deepInclude(value(told).producers[0]!, { lastSequence: 0, transactionStart: undefined })
            assert.strictEqual(codeOf(none), "UnknownTopic")
            const aborted = yield* admin.abortTransactions([
              {
                topic: "tx",
                partition: 0,
                producerId: value(told).producers[0]!.producerId,
                producerEpoch: 0,
                coordinatorEpoch: 0
              },
              { topic: "tx", partition: 9, producerId: 1, producerEpoch: 0, coordinatorEpoch: 0 }
            ])
            value(aborted[0])
            assert.strictEqual(codeOf(aborted[1]), "UnknownTopic")
            if (!has(3, 0)) {
              assert.strictEqual((yield* Effect.flip(admin.listTransactions())).reason._tag, "Unsupported")
              return
            }
            const { producerId } = yield* begin("t-1", "tx")
            const [listed] = yield* admin.listTransactions({ states: ["Ongoing"] })
            assert.deepInclude(listed!, { transactionalId: "t-1", producerId, state: "Ongoing" })
            assert.deepStrictEqual(yield* admin.listTransactions({ producerIds: [producerId + 1000] }), [])
            assert.deepStrictEqual(yield* admin.listTransactions({ pattern: "x.*" }), [])
            const wrong = yield* Effect.flip(admin.listTransactions({ states: ["Ongoin"] }))
            assert.strictEqual(wrong.reason._tag, "Misconfigured")
            const [described, missing] = yield* admin.describeTransactions(["t-1", "t-2"])
            assert.deepInclude(value(described), { state: "Ongoing", producerId, timeout: 60_000 })
            assert.deepStrictEqual(value(described).partitions, [{ topic: "tx", partition: 0 }])
            assert.isAbove(value(described).startedAt ?? 0, 1_600_000_000_000)
            assert.strictEqual(codeOf(missing), codes.TRANSACTIONAL_ID_NOT_FOUND)

            // A transaction that nobody ends holds up who reads what is committed, until it is aborted by hand.
            const tx = { topic: "tx", partition: 0 }
            yield* write("t-1", { ...value(described), ...tx })
            const stable = Effect.map(
              Admin.orFail(admin.listOffsets([{ ...tx, at: "latest" }], { isolation: "committed" })),
              ([one]) => one!.offset
            )
            const [open] = yield* Admin.orFail(admin.describeProducers([tx]))
            const hanging = open!.producers.find((one) => one.transactionStart !== undefined)!
            const list = yield* admin.listTransactions()
            const java = yield* javaTables("TransactionsCommand", [
              "list",
              "describe --transactional-id t-1",
              "describe-producers --topic tx --partition 0"
            ])
            assert.deepStrictEqual(
              list.map((one) => [one.transactionalId, one.coordinator, one.producerId, one.state].map(String)),
              java[0]
            )
            const t1 = value(described)
            const from = [t1.coordinator, "t-1", t1.producerId, t1.producerEpoch, t1.state, t1.timeout, t1.startedAt]
            // … and how long it is open by now.
            assert.deepStrictEqual(
              java[1]!.map((row) => [...row.slice(0, 7), row[8]]),
              [[...from, "tx-0"].map(String)]
            )
            assert.deepStrictEqual(producersOf(open!), sorted(java[2]!))
            yield* Admin.orFail(
              admin.abortTransactions([
                {
                  ...tx,
                  producerId,
                  producerEpoch: hanging.producerEpoch,
                  coordinatorEpoch: Math.max(0, hanging.coordinatorEpoch)
                }
              ])
            )
            const [end] = yield* Admin.orFail(admin.listOffsets([{ ...tx, at: "latest" }]))
            yield* eventually(stable, (offset) => offset === end!.offset)
            const [after] = yield* Admin.orFail(admin.describeProducers([tx]))
            assert.isTrue(after!.producers.every(({ transactionStart }) => transactionStart === undefined))
            const [ended] = yield* javaTables("TransactionsCommand", ["describe-producers --topic tx --partition 0"])
            assert.deepStrictEqual(producersOf(after!), sorted(ended!))
          })
        )
      )

      it.effect("features and the quorum are told, and levels that cannot be are refused", () =>
        withAdmin(
          Effect.gen(function* () {
            const admin = yield* Admin.Admin
            const features = yield* admin.describeFeatures()
            const refused = yield* admin.updateFeatures(
              [{ feature: "no.such", level: 1 }],
              has(3, 3) ? { validateOnly: true } : {}
            )
            assert.isTrue(Result.isFailure(refused[0]!))
            if (mode !== "kraft") {
              assert.deepStrictEqual(features, [])
              assert.strictEqual((yield* Effect.flip(admin.describeQuorum())).reason._tag, "Unsupported")
              assert.strictEqual(codeOf((yield* admin.unregisterBrokers([3]))[0]), "Unsupported")
              return
            }
            const metadata = features.find(({ name }) => name === "metadata.version")!
            assert.isAtLeast(metadata.level ?? 0, metadata.supported!.min)
            yield* admin
              .updateFeatures([{ feature: "metadata.version", level: metadata.level! }], { validateOnly: true })
              .pipe(Effect.result)
            // A level goes down and up again, as every broker tells a moment later.
            const streams = (level: number) =>
              eventually(
                Effect.map(
                  admin.describeFeatures(),
                  (all) => all.find(({ name }) => name === "streams.version")?.level ?? 0
                ),
                (now) => now === level
              )
            if (has(4, 4)) {
              yield* streams(1)
              yield* Admin.orFail(
                admin.updateFeatures([{ feature: "streams.version", level: 0, type: "safe-downgrade" }])
              )
              yield* streams(0)
              yield* Admin.orFail(admin.updateFeatures([{ feature: "streams.version", level: 1 }]))
              yield* streams(1)
            }
            const quorum = yield* admin.describeQuorum()
            const [levels, [status, replicas]] = yield* Effect.all(
              [
                newTool("FeatureCommand", "describe"),
                javaTables("MetadataQuorumCommand", ["describe --status", "describe --replication"])
              ],
              { concurrency: 2 }
            )
            // A tool that is older than the cluster has no names for its levels, but the numbers.
            const told = Array.from(
              levels.matchAll(/^Feature: (\S+)\s+SupportedMinVersion: .*?FinalizedVersionLevel: (?:UNKNOWN )?(\S+)/gm),
              ([, name, level]) => [name!, level!]
            )
            assert.deepStrictEqual(
              features.map(({ level, name }) => [name, String(level)]),
              told
            )
            const saying = new Map(status!.map(([line]) => line!.split(/:\s+/, 2) as [string, string]))
            assert.strictEqual(saying.get("LeaderId"), String(quorum.leader))
            assert.strictEqual(saying.get("LeaderEpoch"), String(quorum.leaderEpoch))
            assert.isAtLeast(Number(saying.get("HighWatermark")), quorum.highWatermark)
            assert.deepStrictEqual(
              sorted(replicas!.map(([id, directory, , , , , role]) => [id!, directory!, role!])),
              sorted(
                quorum.voters.map(({ directoryId, id }) => [
                  String(id),
                  directoryId!,
                  id === quorum.leader ? "Leader" : "Follower"
                ])
              )
            )
            assert.oneOf(quorum.leader, [1, 2, 3])
            assert.deepStrictEqual(quorum.voters.map(({ id }) => id).sort(), [1, 2, 3])
            assert.isAbove(quorum.highWatermark, 0)
            assert.strictEqual(codeOf((yield* admin.unregisterBrokers([77]))[0]), codes.BROKER_ID_NOT_REGISTERED)
            const voter = yield* Effect.flip(admin.removeVoter({ id: 77, directoryId: quorum.voters[0]!.directoryId! }))
            assert.strictEqual(voter.reason._tag, "Server")
            const added = yield* Effect.flip(
              admin.addVoter({
                id: 1,
                directoryId: quorum.voters[0]!.directoryId!,
                listeners: [{ name: "CONTROLLER", host: "localhost", port: 1 }]
              })
            )
            assert.oneOf(added.reason._tag, ["Server"])
            // A controller that follows is taken out, and votes again: each time the quorum tells of it.
            const follower = quorum.voters.find(({ id }) => id !== quorum.leader)!
            const { nodes } = yield* KafkaServer.KafkaServer
            const port = nodes.find(({ id }) => id === follower.id)!.controllerPort
            const itself = { id: follower.id, directoryId: follower.directoryId! }
            const voting = (voters: number) => eventually(admin.describeQuorum(), (now) => now.voters.length === voters)
            yield* admin.removeVoter(itself)
            const without = yield* voting(2)
            assert.notInclude(
              without.voters.map(({ id }) => id),
              follower.id
            )
            yield* eventually(admin.describeQuorum(), ({ observers }) =>
              observers.some(({ directoryId, id }) => id === follower.id && directoryId === follower.directoryId)
            )
            yield* admin.addVoter({ ...itself, listeners: [{ name: "CONTROLLER", host: "127.0.0.1", port }] })
            assert.deepStrictEqual((yield* voting(3)).voters.map(({ id }) => id).sort(), [1, 2, 3])
            const cluster = yield* admin.describeCluster({ fenced: true })
            assert.strictEqual(cluster.brokers.length, 3)
          })
        )
      )

      // The last, for one of the nodes is gone after it.
      it.effect("verbs while the controller is killed: what each has answered is so afterwards", () =>
        withAdmin(ControllerKilled.check)
      )
    }
  )
}
