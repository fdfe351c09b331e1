/**
 * The producer, and a consumer beside it, on three brokers (RF 3, min ISR 2) under load, while the leader is killed,
 * stopped beyond the request time-out and resumed, and all are bounced in turn; over each transport. From 0.11 on, of the
 * native one every acknowledged record is there once and in order, with records that the broker refuses in between, and
 * no good record fails; below, and over librdkafka (`docs/transports.md` has why), none is lost and the order is kept.
 * The consumer has what is in the log, each record once and in order.
 * One release; all of them where `SAMSA_FULL` is set.
 */
import { assert, beforeAll, layer } from "@effect/vitest"
import { Effect, Fiber, Result, Schema, Stream } from "effect"
import { Cluster, Consumer, Producer, Topic } from "samsa"
import { connected, type Engine, seen, twice } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import { atLeast, defaultMode, type Version } from "./KafkaVersion.ts"
import * as Kcat from "./Kcat.ts"
import * as NodeRdkafka from "./NodeRdkafka.ts"

const full = process.env.SAMSA_FULL !== undefined
const versions: ReadonlyArray<Version> = full ? ["0.10.2.2", "2.8.2", "4.4.0"] : ["4.4.0"]
const engines: ReadonlyArray<Engine> = ["native", "librdkafka"]
const partitions = 6
/** Records acknowledged between two events. */
const between = full ? 5000 : 1000

beforeAll(() => Effect.runPromise(NodeRdkafka.install), 600_000)

for (const version of versions) {
  const mode = defaultMode(version)
  const server = KafkaServer.layer({
    version,
    mode,
    brokers: 3,
    properties: { "controlled.shutdown.enable": "true", "replica.lag.time.max.ms": "5000" }
  })
  layer(server, { excludeTestServices: true })(`Kafka ${version} (${mode}), three brokers`, (it) => {
    const exact = atLeast(version, 0, 11)

    it.effect.each(engines)(
      "a leader killed, one stopped and resumed, all bounced in turn: what is acknowledged is there, in order (%s)",
      (engine) =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          const config = { "min.insync.replicas": "2" }
          // After a refusal librdkafka begins a new epoch, and sends under it what it has no answer for.
          const refuses = exact && engine === "native"
          const [loaded, refusing] = [`load-${engine}`, `compacted-${engine}`]
          yield* server.createTopic(loaded, { partitions, replication: 3, config })
          yield* server.createTopic(refusing, {
            partitions: 1,
            replication: 3,
            config: { "cleanup.policy": "compact" }
          })
          const topic = Topic.make(loaded, { key: Schema.NullOr(Schema.String), value: Schema.FiniteFromString })
          const compacted = Topic.make(refusing, { key: Schema.NullOr(Schema.String), value: Schema.String })

          yield* connected(
            Effect.gen(function* () {
              const producer = yield* Producer.Producer
              const cluster = yield* Cluster.Cluster
              const acknowledged = seen<{
                readonly value: number
                readonly partition: number
                readonly offset: number
              }>()
              const failures: Array<string> = []
              let sent = 0
              let refused = 0
              let producing = true
              const entry = () => {
                const value = sent++
                return { value, partition: value % partitions }
              }
              const took = (value: number, result: Result.Result<Producer.RecordMetadata, Error>) => {
                if (Result.isSuccess(result)) acknowledged.add({ value, ...result.success })
                else failures.push(`${value}: ${result.failure.message}`)
              }
              const single = Effect.suspend(() => {
                const one = entry()
                return Effect.map(Effect.result(producer.send(topic, one)), (result) => took(one.value, result))
              })
              const many = Effect.suspend(() => {
                const entries = Array.from({ length: 50 }, entry)
                return Effect.map(producer.sendAll(topic, entries), (results) =>
                  results.forEach((result, i) => took(entries[i]!.value, result))
                )
              })
              // Without a key, which a compacted topic wants.
              const bad = Effect.map(Effect.exit(producer.send(compacted, { value: "no key" })), () => refused++)
              const loop = (body: Effect.Effect<unknown>) =>
                Effect.whileLoop({
                  while: () => producing,
                  body: () => Effect.andThen(body, Effect.sleep("2 millis")),
                  step: () => {}
                })
              const read = seen<{ readonly value: number; readonly partition: number; readonly offset: number }>()
              const there = new Set<number>()
              const consumer = yield* Consumer.assign({ topic, from: "earliest" })
              const reading = yield* Effect.forkScoped(
                Stream.runForEach(consumer.stream, (record) =>
                  Effect.sync(() => {
                    there.add(record.value)
                    read.add(record)
                  })
                )
              )
              const bodies = [single, single, single, many, many, ...(refuses ? [bad] : [])]
              const producers = yield* Effect.forEach(bodies, (body) => Effect.forkScoped(loop(body)))
              const more = Effect.suspend(() => {
                const goal = acknowledged.all.length + between
                return acknowledged.until(`${goal} acknowledged`, (all) => all.length >= goal)
              })
              const leader = Effect.suspend(() => {
                const id = cluster.known(loaded)!.partitions[0]!.leader
                return Effect.succeed(server.nodes.find((node) => node.id === id)!)
              })

              yield* more
              const killed = yield* leader
              yield* killed.kill
              yield* more
              yield* killed.start
              yield* more
              const stopped = yield* leader
              yield* stopped.pause
              yield* Effect.sleep("7 seconds")
              yield* more
              yield* stopped.resume
              yield* more
              for (const node of server.nodes) {
                yield* node.stop
                yield* node.start
                yield* more
              }
              producing = false
              yield* Fiber.joinAll(producers)

              yield* read.until("all that was acknowledged is read", () =>
                acknowledged.all.every(({ value }) => there.has(value))
              )
              assert.isUndefined(reading.pollUnsafe(), "the consumer has ended")

              const log = (yield* Kcat.consume({ bootstrap: server.bootstrap, topic: loaded })).map((record) => ({
                ...record,
                number: Number(record.value)
              }))
              const inLog = new Map(log.map((r) => [`${r.partition}:${r.offset}`, r.number]))
              // librdkafka acknowledges a batch whose first answer was lost without an offset.
              for (const { offset, partition, value } of acknowledged.all)
                if (engine === "native" || offset >= 0)
                  assert.strictEqual(inLog.get(`${partition}:${offset}`), value, `what is at ${partition}:${offset}`)
              if (exact && engine === "native") {
                assert.isAbove(refused, 0)
                assert.deepStrictEqual(failures, [])
                assert.deepStrictEqual(twice(log.map(({ number }) => number)), [], "twice in the log")
              } else {
                const kept = new Set(log.map(({ number }) => number))
                assert.deepStrictEqual(
                  acknowledged.all.filter(({ value }) => !kept.has(value)),
                  [],
                  "lost"
                )
              }
              // The consumer has every offset once, in order, and none is another record's.
              for (let partition = 0; partition < partitions; partition++) {
                const mine = read.all.filter((one) => one.partition === partition)
                assert.deepStrictEqual(
                  mine.map(({ offset }) => offset),
                  mine.map((_, i) => i),
                  `read of partition ${partition}`
                )
                for (const { offset, value } of mine) assert.strictEqual(inLog.get(`${partition}:${offset}`), value)
              }
              // A number is taken when it is handed over, so by partition the log must grow: the first of each, where some are there twice.
              for (let partition = 0; partition < partitions; partition++) {
                const numbers = [...new Set(log.filter((r) => r.partition === partition).map(({ number }) => number))]
                assert.deepStrictEqual(
                  numbers.filter((n, i) => i > 0 && n < numbers[i - 1]!),
                  [],
                  `out of order in partition ${partition}`
                )
              }
            }),
            { requestTimeout: "5 seconds" },
            engine
          )
        }).pipe(KafkaServer.diagnosed),
      300_000
    )
  })
}
