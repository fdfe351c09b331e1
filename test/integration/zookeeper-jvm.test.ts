/**
 * The JVM's high-level consumer, as the console consumer has it, and members of ours in one group in ZooKeeper, offsets
 * in ZooKeeper too. The records say where they are, since the console consumer does not.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Cluster, Kafka, ZooKeeper, ZooKeeperGroup } from "samsa"
import * as OffsetCommit from "../../src/protocol/messages/OffsetCommit.ts"
import * as OffsetFetch from "../../src/protocol/messages/OffsetFetch.ts"
import * as Program from "../interop/Program.ts"
import * as Balanced from "./Balanced.ts"
import * as KafkaNode from "./KafkaNode.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Version } from "./KafkaVersion.ts"
import * as Processes from "./Processes.ts"

const full = process.env.SAMSA_FULL !== undefined
const versions: ReadonlyArray<Version> = full ? ["0.8.2.2", "0.10.2.2"] : ["0.10.2.2"]

const membership = { layout: "jvm", offsets: "zooKeeper", rebalanceBackoff: "1 second" } as const

/** A console consumer: what it printed is what it delivered. */
const consoleConsumer = (group: Balanced.Group, name: string, more: ReadonlyArray<string> = []) =>
  Effect.gen(function* () {
    const one = new Balanced.Member(name, false)
    group.members.push(one)
    const config = Path.join(yield* Processes.folder(name), "consumer.properties")
    const settings = {
      "group.id": group.group,
      "consumer.id": name,
      "zookeeper.connect": group.server.zooKeeper!,
      "zookeeper.session.timeout.ms": 4000,
      "auto.commit.interval.ms": 200,
      "rebalance.backoff.ms": 500,
      "rebalance.max.retries": 20,
      ...Object.fromEntries(more.map((line) => line.split("=") as [string, string]))
    }
    Fs.writeFileSync(
      config,
      Object.entries(settings)
        .map(([key, value]) => `${key}=${value}\n`)
        .join("")
    )
    one.program = yield* Program.start<never>({
      command: KafkaNode.tool(group.server.classPath, "kafka.tools.ConsoleConsumer", [
        "--zookeeper",
        group.server.zooKeeper!,
        "--topic",
        group.topic,
        "--consumer.config",
        config,
        // where offsets are kept already it would not start so
        ...(group.members.length === 1 ? ["--from-beginning"] : [])
      ]),
      parse: (line) => {
        if (/^\d+:\d+$/.test(line)) one.delivered.push(line)
        return undefined
      }
    })
    return one
  })

/** What the members of the JVM have, by ZooKeeper, since they do not tell: to wait for, not to assert. */
const follow = (group: Balanced.Group) =>
  Effect.gen(function* () {
    const zk = yield* ZooKeeper.make({ connect: group.server.zooKeeper! })
    const path = `/consumers/${group.group}/owners/${group.topic}`
    const look = Effect.gen(function* () {
      const owners = new Map<string, string>()
      for (const partition of (yield* zk.children(path)) ?? []) {
        const data = yield* zk.get(`${path}/${partition}`)
        if (data !== undefined) owners.set(partition, new TextDecoder().decode(data))
      }
      for (const one of group.members) {
        if (one.ours) continue
        one.owns.clear()
        for (const [partition, owner] of owners)
          if (owner === `${group.group}_${one.name}-0`) one.owns.add(Number(partition))
      }
    })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.ignore(look), Effect.sleep(100))))
  })

/** Who delivered the same record, where no member of the JVM had a part in it. */
const amongOurs = (twice: ReadonlyArray<readonly [string, ReadonlyArray<string>]>) =>
  twice.filter(([, by]) => by.every((name) => name.startsWith("ours")))

for (const version of versions) {
  layer(KafkaServer.layer({ version, mode: "zookeeper" }), { excludeTestServices: true })(`Kafka ${version}`, (it) => {
    it.effect(
      "members of the JVM and of ours come and go, in turn: no record is skipped, none comes twice from ours",
      () =>
        Balanced.withGroup({ topic: "jvm", partitions: 6, every: 50 }, (group) =>
          Effect.gen(function* () {
            yield* follow(group)
            const j = yield* consoleConsumer(group, "jvm-j")
            yield* group.balanced([j])
            const a = yield* group.join("ours-a", { membership })
            yield* group.balanced([j, a])
            const b = yield* group.join("ours-b", { membership })
            yield* group.balanced([j, a, b])
            const k = yield* consoleConsumer(group, "jvm-k")
            yield* group.balanced([j, a, b, k])
            yield* j.leave
            yield* group.balanced([a, b, k])
            yield* a.leave
            yield* group.balanced([b, k])
            yield* k.leave
            yield* group.balanced([b])
            const l = yield* consoleConsumer(group, "jvm-l")
            yield* group.balanced([b, l])
            const twice = yield* group.all
            assert.deepStrictEqual(amongOurs(twice), [])
          })
        )
    )

    it.effect("offsets in ZooKeeper are those of the brokers' OffsetFetch and OffsetCommit v0, both ways", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic("v0", { partitions: 3 })
        const [id, place] = ["reads-v0", (partition: number) => ({ topic: "v0", partition })]
        yield* Effect.gen(function* () {
          const offsets = yield* ZooKeeperGroup.offsetsInZooKeeper
          const broker = yield* Effect.flatMap(Cluster.Cluster, (cluster) => cluster.any)
          const v0 = { maxVersion: 0 }
          const brokers = Effect.map(
            broker.send(
              OffsetFetch,
              () => ({ groupId: id, topics: [{ name: "v0", partitionIndexes: [0, 1, 2] }] }),
              v0
            ),
            ({ topics }) => topics[0]!.partitions.map(({ committedOffset }) => committedOffset)
          )
          const ours = Effect.map(offsets.fetch(id, [0, 1, 2].map(place)), (found) =>
            [0, 1, 2].map((partition) => found.get(`v0-${partition}`)?.offset ?? -1)
          )
          assert.deepStrictEqual(
            [yield* brokers, yield* ours],
            [
              [-1, -1, -1],
              [-1, -1, -1]
            ]
          )
          const session = yield* Effect.flatMap(ZooKeeper.ZooKeeper, (zooKeeper) => zooKeeper.session)
          const as = { memberId: session.id, generation: -1, instanceId: null }
          const big = 9_007_199_254_740_991
          assert.deepStrictEqual(
            yield* offsets.commit(id, as, [
              { ...place(0), offset: 7 },
              { ...place(1), offset: big }
            ]),
            [0, 0]
          )
          assert.deepStrictEqual(
            [yield* brokers, yield* ours],
            [
              [7, big, -1],
              [7, big, -1]
            ]
          )
          const partitions = [1, 2].map((partitionIndex) => ({
            partitionIndex,
            committedOffset: 40 + partitionIndex,
            committedMetadata: "told to the broker"
          }))
          yield* broker.send(OffsetCommit, () => ({ groupId: id, topics: [{ name: "v0", partitions }] }), v0)
          assert.deepStrictEqual(
            [yield* brokers, yield* ours],
            [
              [7, 41, 42],
              [7, 41, 42]
            ]
          )
        }).pipe(
          Effect.provide(
            Kafka.layerZooKeeper({}).pipe(Layer.provideMerge(ZooKeeper.layer({ connect: server.zooKeeper! })))
          )
        )
      }).pipe(KafkaServer.diagnosed)
    )

    it.effect("by the JVM's round robin as well; of the killed one the others take over", () =>
      Balanced.withGroup({ topic: "jvm-dealt_1.x-2", partitions: 7, every: 50 }, (group) =>
        Effect.gen(function* () {
          yield* follow(group)
          const dealt = { ...membership, assignor: "roundrobin" } as const
          const j = yield* consoleConsumer(group, "jvm-j", ["partition.assignment.strategy=roundrobin"])
          const a = yield* group.join("ours-a", { membership: dealt })
          const b = yield* group.join("ours-b", { membership: dealt })
          yield* group.balanced([j, a, b])
          yield* a.kill
          yield* group.balanced([j, b])
          yield* j.kill
          yield* group.balanced([b])
          for (const [record, by] of amongOurs(yield* group.all)) assert.isTrue(by.includes("ours-a"), record)
        })
      )
    )
  })
}
