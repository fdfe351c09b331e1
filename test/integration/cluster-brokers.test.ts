/** Three brokers of which one is killed, paused, or the leader of what is asked for. */
import { assert, layer } from "@effect/vitest"
import { Effect, Schedule, Stream } from "effect"
import * as Cluster from "../../src/Cluster.ts"
import * as Kafka from "../../src/Kafka.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Mode, Version } from "./KafkaVersion.ts"

const cases: ReadonlyArray<readonly [Version, Mode]> = [
  ["0.9.0.1", "zookeeper"],
  ["2.8.2", "zookeeper"],
  ["4.4.0", "kraft"]
]

const connected = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(KafkaServer.KafkaServer, (server) =>
    effect.pipe(Effect.scoped, Effect.provide(Kafka.layer({ bootstrap: server.bootstrap })))
  ).pipe(KafkaServer.diagnosed)

const within = (seconds: number) => ({
  schedule: Schedule.spaced("100 millis").pipe(Schedule.upTo({ duration: `${seconds} seconds` }))
})

for (const [version, mode] of cases) {
  layer(KafkaServer.layer({ version, mode, brokers: 3 }), { excludeTestServices: true })(
    `three brokers of ${version}`,
    (it) => {
      it.effect("are all known, whichever was asked first", () =>
        connected(
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            yield* server.createTopic("spread", { partitions: 3, replication: 3 })
            const cluster = yield* Cluster.Cluster
            const topic = yield* cluster.topic("spread")
            assert.lengthOf(new Set(topic.partitions.map((p) => p.leader)), 3)
            const ids = (yield* cluster.brokers).map((broker) => broker.id).toSorted()
            assert.deepStrictEqual(ids, [1, 2, 3])
            const at = [0, 1, 2].map((partition) => ({ topic: "spread", partition, at: "latest" as const }))
            assert.deepStrictEqual(yield* cluster.offsets(at), [0, 0, 0])
          })
        )
      )

      it.effect("of which one hangs still answer, after about a second and then at once", () =>
        connected(
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            const cluster = yield* Cluster.Cluster
            // the one that would be asked first
            const { id } = yield* cluster.any
            const hangs = server.nodes.find((node) => node.id === id)!
            yield* hangs.pause
            const started = performance.now()
            yield* cluster.topics(["spread"])
            const first = performance.now()
            yield* cluster.topics(["spread"])
            const second = performance.now()
            yield* hangs.resume
            assert.isBelow(first - started, 2500)
            assert.isBelow(second - first, 500)
          })
        )
      )

      it.effect("of which the leader is killed have another, and its change is told", () =>
        connected(
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            yield* server.createTopic("moves", { replication: 3 })
            const cluster = yield* Cluster.Cluster
            const partition = { topic: "moves", partition: 0 }
            const { broker, epoch } = yield* cluster.leader(partition)
            const told: Array<Cluster.Change> = []
            yield* Effect.forkScoped(
              Stream.runForEach(cluster.changes, (change) => Effect.sync(() => void told.push(change))),
              { startImmediately: true }
            )
            const node = server.nodes.find((node) => node.id === broker.id)!
            yield* node.kill
            const moved = yield* Effect.retry(
              Effect.gen(function* () {
                yield* cluster.refresh
                const leader = yield* cluster.leader(partition)
                if (leader.broker.id === broker.id) return yield* Effect.fail("not yet")
                return leader
              }),
              within(40)
            )
            if (epoch >= 0) assert.isAbove(moved.epoch, epoch)
            assert.deepStrictEqual(yield* cluster.offsets([{ ...partition, at: "latest" }]), [0])
            yield* Effect.yieldNow
            assert.isTrue(told.some((change) => change._tag === "Topic" && change.topic.name === "moves"))

            yield* node.start
            const back = yield* Effect.retry(
              Effect.filterOrFail(cluster.brokers, (brokers) => brokers.length === 3),
              within(20)
            )
            assert.lengthOf(back, 3)
            for (const { host, port, id } of back) {
              assert.strictEqual(host, "127.0.0.1")
              assert.strictEqual(port, server.nodes.find((node) => node.id === id)!.port)
            }
            const any = yield* cluster.any
            yield* any.send(Metadata, () => ({ topics: [] }))
          })
        )
      )
    }
  )
}
