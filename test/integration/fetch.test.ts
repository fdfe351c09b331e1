/** Fetching from three real brokers: one without which partitions have no leader, one that hangs, and 1200 partitions. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Cluster from "../../src/Cluster.ts"
import * as Kafka from "../../src/Kafka.ts"
import { Transport, type FetchSettings } from "../../src/Transport.ts"
import * as KafkaServer from "./KafkaServer.ts"
import * as Kcat from "./Kcat.ts"

/** As by default. */
const settings: FetchSettings = {
  isolation: "committed",
  maxWait: 500,
  minBytes: 1,
  maxBytes: 52_428_800,
  maxPartitionBytes: 1_048_576,
  bufferBytes: 67_108_864,
  checkCrcs: true
}

const connected = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(KafkaServer.KafkaServer, (server) =>
    effect.pipe(Effect.scoped, Effect.provide(Kafka.layer({ bootstrap: server.bootstrap })))
  ).pipe(KafkaServer.diagnosed)

/** Reads partitions for as long as the Scope is open; counts the records of each. */
const reading = (topic: string, partitions: number) =>
  Effect.gen(function* () {
    const consumer = yield* (yield* Transport).consumer(settings)
    const counts: Array<number> = Array.from({ length: partitions }, () => 0)
    for (const partition of counts.keys()) {
      const reader = yield* consumer.open({ topic, partition }, 0)
      const one = Effect.map(reader.pull, ({ records }) => void (counts[partition]! += records.length))
      yield* Effect.forkScoped(Effect.forever(one))
    }
    return counts
  })

const until = (what: string, is: () => boolean, seconds: number) =>
  Effect.gen(function* () {
    const from = performance.now()
    while (!is()) {
      if (performance.now() - from > seconds * 1000) return assert.fail(`not within ${seconds} s: ${what}`)
      yield* Effect.sleep("50 millis")
    }
    return performance.now() - from
  })

const write = (topic: string, partition: number, value = "v") =>
  Effect.flatMap(KafkaServer.KafkaServer, (server) =>
    Kcat.produce({ bootstrap: server.bootstrap, topic, partition }, [{ value }])
  )

layer(KafkaServer.layer({ version: "4.4.0", mode: "kraft", brokers: 3 }), { excludeTestServices: true })(
  "three brokers of 4.4.0",
  (it) => {
    it.effect("of which one is down: the partitions that it alone has wait, the others are read", () =>
      connected(
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("alone", { partitions: 6, replication: 1 })
          const { partitions } = yield* (yield* Cluster.Cluster).topic("alone")
          for (const { partition } of partitions) yield* write("alone", partition)
          const counts = yield* reading("alone", 6)
          yield* until("all are read", () => counts.every((count) => count === 1), 30)
          const down = server.nodes.find(({ id }) => id === partitions[0]!.leader)!
          yield* down.stop
          const left = partitions.filter(({ leader }) => leader !== down.id).map(({ partition }) => partition)
          for (const partition of left) yield* write("alone", partition)
          yield* until("the others are read on", () => left.every((partition) => counts[partition] === 2), 30)
          yield* down.start
          yield* down.ready(3)
          yield* write("alone", 0)
          yield* until("and the one that is back", () => counts[0] === 2, 60)
        })
      )
    )

    it.effect("of which one hangs: what others lead is read, and what it has led when there is a new leader", () =>
      connected(
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("hangs", { partitions: 3, replication: 3 })
          const { partitions } = yield* (yield* Cluster.Cluster).topic("hangs")
          const counts = yield* reading("hangs", 3)
          for (const { partition } of partitions) yield* write("hangs", partition)
          yield* until("all are read", () => counts.every((count) => count === 1), 30)
          const silent = server.nodes.find(({ id }) => id === partitions[0]!.leader)!
          yield* silent.pause
          const other = partitions.find(({ leader }) => leader !== silent.id)!.partition
          yield* write("hangs", other)
          yield* until("another partition", () => counts[other] === 2, 10)
          yield* write("hangs", 0)
          yield* until("its own, which another leads now", () => counts[0] === 2, 25)
          yield* silent.resume
        })
      )
    )

    it.effect("with 1200 partitions: each is read, with default settings", () =>
      connected(
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("many", { partitions: 1200, replication: 1 })
          for (const partition of [0, 63, 64, 65, 700, 1199]) yield* write("many", partition)
          const counts = yield* reading("many", 1200)
          const isRead = (times: number) => () =>
            [0, 63, 64, 65, 700, 1199].every((partition) => counts[partition] === times)
          yield* until("the records that were there", isRead(1), 60)
          for (const partition of [0, 63, 64, 65, 700, 1199]) yield* write("many", partition)
          yield* until("and those that come", isRead(2), 20)
        })
      )
    )
  }
)
