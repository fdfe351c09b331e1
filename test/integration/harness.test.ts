/** The harness itself, with kcat: what the other suites stand on. */
import { assert, layer } from "@effect/vitest"
import { Effect, Result } from "effect"
import * as KafkaServer from "./KafkaServer.ts"
import { atLeast, matrix } from "./KafkaVersion.ts"
import * as Kcat from "./Kcat.ts"
import * as Probe from "./Probe.ts"

const values = (codec: string) => Array.from({ length: 20 }, (_, i) => `${codec}-${i}`)

for (const { version, mode } of matrix) {
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    const target = Effect.map(KafkaServer.KafkaServer, (server) => ({
      bootstrap: server.bootstrap,
      settings: Kcat.old(version)
    }))

    it.effect("has a leader for every partition of a topic that was created", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic("orders", { partitions: 3, config: { "retention.ms": "100000" } })
        const answer = yield* Probe.metadata(version, server.nodes[0]!.port, ["orders"])
        const leaders = answer.topics[0]!.partitions.map((p) => [p.partition, p.leader])
        assert.deepStrictEqual(
          leaders.sort(([a], [b]) => a! - b!),
          [
            [0, 1],
            [1, 1],
            [2, 1]
          ]
        )
      }).pipe(KafkaServer.diagnosed)
    )

    it.effect("gives kcat back what kcat wrote, by every codec", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic("codecs")
        const codecs = ["none", "gzip", "snappy", "lz4", ...(atLeast(version, 2, 1) ? ["zstd"] : [])] as const
        for (const codec of codecs) {
          yield* Kcat.produce(
            { ...(yield* target), topic: "codecs", codec: codec as "none" },
            values(codec).map((value) => ({ key: "k", value }))
          )
        }
        const records = yield* Kcat.consume({ ...(yield* target), topic: "codecs" })
        assert.deepStrictEqual(
          records.map((r) => r.value),
          codecs.flatMap(values)
        )
        assert.deepStrictEqual(
          records.map((r) => r.offset),
          records.map((_, i) => i)
        )
      }).pipe(KafkaServer.diagnosed)
    )

    it.effect("a broker that was killed comes back with its records", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const node = server.nodes[0]!
        yield* server.createTopic("kept")
        yield* Kcat.produce({ ...(yield* target), topic: "kept" }, [{ value: "before" }])
        yield* node.kill
        assert.isTrue(Result.isFailure(yield* Effect.result(Probe.metadata(version, node.port, []))))
        yield* node.start
        yield* Kcat.produce({ ...(yield* target), topic: "kept" }, [{ value: "after" }])
        const records = yield* Kcat.consume({ ...(yield* target), topic: "kept" })
        assert.deepStrictEqual(
          records.map((r) => r.value),
          ["before", "after"]
        )
      }).pipe(KafkaServer.diagnosed)
    )

    it.effect("a paused broker answers nothing until it is resumed", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const node = server.nodes[0]!
        yield* node.pause
        const silent = yield* Effect.result(Probe.metadata(version, node.port, []))
        yield* node.resume
        assert.include(Result.isFailure(silent) ? silent.failure.message : "", "no answer")
        yield* Probe.metadata(version, node.port, [])
      }).pipe(KafkaServer.diagnosed)
    )
  })
}

layer(KafkaServer.layer({ version: "4.4.0", brokers: 3 }), { excludeTestServices: true })("three nodes", (it) => {
  it.effect("keep a topic while one of them is down", () =>
    Effect.gen(function* () {
      const server = yield* KafkaServer.KafkaServer
      yield* server.createTopic("replicated", { partitions: 3, replication: 3 })
      yield* server.nodes[2]!.stop
      yield* Kcat.produce({ bootstrap: server.bootstrap, topic: "replicated" }, [{ value: "a" }])
      yield* server.nodes[2]!.start
      assert.lengthOf(yield* Kcat.consume({ bootstrap: server.bootstrap, topic: "replicated" }), 1)
    }).pipe(KafkaServer.diagnosed)
  )
})
