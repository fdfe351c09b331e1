/** The consumer on brokers of every age: produce, consume, commit, restart; and a member that is frozen beyond its session. */
import { assert, describe, layer } from "@effect/vitest"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import * as Path from "node:path"
import { Effect, Layer, Result, Schema, Stream } from "effect"
import { Kafka, Membership, Offset, Producer, Topic } from "samsa"
import * as Consumer from "samsa/Consumer"
import { connected, seen, twice } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import { matrix, type Version } from "./KafkaVersion.ts"

/** With a client of its own, which knows the release where the broker cannot tell it. */
const asClient = <A, E, R>(version: Version, self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(KafkaServer.KafkaServer, ({ bootstrap }) => {
    const kafka = Kafka.layer({
      bootstrap,
      ...(version.startsWith("0.8") || version.startsWith("0.9") ? { brokerVersion: version } : {})
    })
    return self.pipe(
      Effect.scoped,
      Effect.provide(Producer.layer({ idempotent: !version.startsWith("0.") }).pipe(Layer.provideMerge(kafka)))
    )
  })

for (const { mode, version } of matrix) {
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    const hasGroups = version !== "0.8.2.2"

    it.effect("what is produced is consumed, committed, and gone on from after a restart", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic("aged", { partitions: 2 })
        const topic = Topic.make("aged", { key: Schema.NullOr(Schema.String), value: Schema.String })
        const send = (from: number, count: number) =>
          asClient(
            version,
            Effect.gen(function* () {
              const producer = yield* Producer.Producer
              const entries = Array.from({ length: count }, (_, i) => ({
                key: null,
                value: `v${from + i}`,
                partition: i % 2
              }))
              for (const result of yield* producer.sendAll(topic, entries)) {
                if (Result.isFailure(result)) return yield* result.failure
              }
            })
          )
        const read = (from: Offset.Position | "committed", count: number) =>
          asClient(
            version,
            Effect.gen(function* () {
              const consumer: Consumer.Consumer<Consumer.RecordOf<typeof topic>> = hasGroups
                ? yield* Consumer.subscribe({ group: "aged", topics: [topic], from })
                : yield* Consumer.assign({ topic, group: "aged", from })
              const handled = seen<string>()
              yield* Effect.forkScoped(consumer.run(({ value }) => Effect.sync(() => handled.add(value))))
              yield* handled.until(`${count} records`, (all) => all.length >= count)
              // A record is marked when its handler has ended.
              yield* Effect.sleep("200 millis")
              yield* consumer.commit()
              const committed = (yield* consumer.committed).reduce((sum, { offset }) => sum + offset, 0)
              return { values: [...handled.all].sort(), committed }
            })
          )
        yield* send(0, 20)
        const first = yield* read("earliest", 20)
        assert.deepStrictEqual(first.values, Array.from({ length: 20 }, (_, i) => `v${i}`).sort())
        assert.strictEqual(first.committed, 20)
        yield* send(20, 10)
        const second = yield* read("committed", 10)
        assert.deepStrictEqual(second.values, Array.from({ length: 10 }, (_, i) => `v${20 + i}`).sort())
        assert.strictEqual(second.committed, 30)
      })
    )

    if (!hasGroups) {
      it.effect("a group is refused typed", () =>
        asClient(
          version,
          Effect.gen(function* () {
            const consumer = yield* Consumer.subscribe({ group: "none", topics: ["aged"], from: "earliest" })
            const error = yield* Effect.flip(Stream.runDrain(consumer.stream)).pipe(Effect.timeout("30 seconds"))
            assert(error._tag === "KafkaError")
            assert.strictEqual(error.reason._tag, "Unsupported")
          })
        )
      )
    }
  })
}

describe("a member that is frozen beyond its session", () => {
  layer(KafkaServer.layer({ version: "4.4.0", mode: "kraft" }), { excludeTestServices: true })("Kafka 4.4.0", (it) => {
    it.effect("commits and delivers nothing more of what it lost when it goes on", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic("frozen", { partitions: 4 })
        const topic = Topic.make("frozen", { key: Schema.NullOr(Schema.String), value: Schema.String })
        const program = Path.join(fileURLToPath(new URL(".", import.meta.url)), "frozen-member.ts")
        const said = seen<string>()
        const child = yield* Effect.acquireRelease(
          Effect.sync(() => {
            const child = spawn(process.execPath, ["--conditions=samsa-source", program, server.bootstrap.join()], {
              stdio: ["ignore", "pipe", "inherit"]
            })
            let rest = ""
            child.stdout.on("data", (data: Buffer) => {
              const lines = (rest + data.toString()).split("\n")
              rest = lines.pop()!
              for (const line of lines) said.add(line)
            })
            return child
          }),
          (child) =>
            Effect.sync(() => {
              child.kill("SIGCONT")
              child.kill("SIGKILL")
            })
        )
        yield* connected(
          Effect.gen(function* () {
            const producer = yield* Producer.Producer
            let sent = 0
            const send = (count: number) =>
              Effect.suspend(() =>
                producer.sendAll(
                  topic,
                  Array.from({ length: count }, () => ({ key: null, value: `v${sent++}`, partition: sent % 4 }))
                )
              )
            yield* send(40)
            yield* said.until("the child reads", (all) => all.filter((line) => line.startsWith("done ")).length >= 40)
            child.kill("SIGSTOP")
            const handled = seen<string>()
            const consumer = yield* Consumer.subscribe({
              group: "frozen",
              topics: [topic],
              from: "earliest",
              membership: Membership.classic({ sessionTimeout: "6 seconds", heartbeatInterval: "2 seconds" })
            })
            yield* Effect.forkScoped(
              consumer.run(({ partition, offset }) => Effect.sync(() => handled.add(`${partition}:${offset}`)))
            )
            yield* send(40)
            yield* handled.until("the other has it all", (all) => all.length >= 40)
            yield* consumer.commit()
            const before = said.all.length
            child.kill("SIGCONT")
            yield* said.until("it hears of its loss", (all) => all.slice(before).includes("Lost"))
            yield* send(40)
            yield* Effect.sleep("8 seconds")
            const later = said.all.slice(before)
            const lost = later.indexOf("Lost")
            const again = later
              .slice(lost)
              .filter((line) => line.startsWith("done "))
              .map((line) => line.slice(5))
            // What it handles after its return are records of partitions that it was given anew.
            assert.deepStrictEqual(twice([...handled.all, ...again]), [])
            const committed = yield* consumer.committed
            for (const { offset } of committed) assert.isAtLeast(offset, 20)
          })
        )
      }).pipe(Effect.scoped)
    )
  })
})
