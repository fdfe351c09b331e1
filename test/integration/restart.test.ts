/** A broker that is killed and started again in the middle of producing and consuming. */
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Result, Schema } from "effect"
import { Producer, Topic } from "samsa"
import * as Consumer from "samsa/Consumer"
import { connected, seen, twice } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Mode, Version } from "./KafkaVersion.ts"
import * as Kcat from "./Kcat.ts"

const brokers: ReadonlyArray<readonly [Version, Mode]> = [
  ["4.4.0", "kraft"],
  ["2.8.2", "zookeeper"]
]
const keys = 16

for (const [version, mode] of brokers) {
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    for (const end of ["kill", "stop"] as const) {
      it.effect(
        `${end === "kill" ? "SIGKILL" : "a stop"} and a start: nothing acknowledged is missing, nothing is twice in the log, the order is kept`,
        () =>
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            const node = server.nodes[0]!
            const name = `restarted-${end}`
            yield* server.createTopic(name, { partitions: 4 })
            const topic = Topic.make(name, { key: Schema.String, value: Schema.FiniteFromString })

            yield* connected(
              Effect.gen(function* () {
                const producer = yield* Producer.Producer
                const acknowledged = seen<{
                  readonly value: number
                  readonly partition: number
                  readonly offset: number
                }>()
                const failures: Array<string> = []
                const handled = seen<number>()
                let sent = 0
                let producing = true

                // single sends and calls of many beside each other, as an application has them
                const entry = () => ({ key: `k${sent % keys}`, value: sent++ })
                const took = (value: number, result: Result.Result<Producer.RecordMetadata, Error>) => {
                  if (Result.isSuccess(result)) {
                    acknowledged.add({ value, partition: result.success.partition, offset: result.success.offset! })
                  } else failures.push(`${value}: ${result.failure.message}`)
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
                const loop = (body: Effect.Effect<void>) =>
                  Effect.whileLoop({
                    while: () => producing,
                    body: () => Effect.andThen(body, Effect.sleep("2 millis")),
                    step: () => {}
                  })
                const producers = yield* Effect.forEach([single, single, single, many, many], (body) =>
                  Effect.forkScoped(loop(body))
                )
                const consumer = yield* Consumer.subscribe({ group: name, topics: [topic], from: "earliest" })
                const consuming = yield* Effect.forkScoped(
                  consumer.run(({ value }) => Effect.sync(() => handled.add(value)))
                )

                const more = (count: number) =>
                  Effect.suspend(() => {
                    const goal = [acknowledged.all.length, handled.all.length].map((n) => n + count)
                    return Effect.andThen(
                      acknowledged.until(`${goal[0]} acknowledged`, (all) => all.length >= goal[0]!),
                      handled.until(`${goal[1]} handled`, (all) => all.length >= goal[1]!)
                    )
                  })
                yield* more(1000)
                yield* node[end]
                yield* node.start
                yield* more(1000)
                producing = false
                yield* Fiber.joinAll(producers)
                yield* handled.until("all that was sent is handled", (all) => new Set(all).size === sent)
                assert.isUndefined(consuming.pollUnsafe(), "the consumer has ended")

                const log = (yield* Kcat.consume({ bootstrap: server.bootstrap, topic: name })).map((record) => ({
                  ...record,
                  number: Number(record.value)
                }))
                assert.deepStrictEqual(failures, [])
                assert.lengthOf(acknowledged.all, sent)
                assert.deepStrictEqual(twice(log.map((r) => r.number)), [], "twice in the log")
                const at = new Map(log.map((r) => [r.number, `${r.partition}:${r.offset}`]))
                for (const { value, partition, offset } of acknowledged.all) {
                  assert.strictEqual(at.get(value), `${partition}:${offset}`, `where ${value} is`)
                }
                // by partition: a number is taken when it is handed over, so the log must grow
                for (let partition = 0; partition < 4; partition++) {
                  const numbers = log.filter((r) => r.partition === partition).map((r) => r.number)
                  assert.deepStrictEqual(
                    numbers.filter((n, i) => i > 0 && n < numbers[i - 1]!),
                    [],
                    `out of order in partition ${partition}`
                  )
                }
              })
            )
          }).pipe(KafkaServer.diagnosed)
      )
    }
  })
}
