/** A broker that is killed and started again in the middle of producing and consuming. */
import { assert, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Topic } from "samsa"
import * as Consumer from "samsa/Consumer"
import { connected, seen, twice } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Mode, Version } from "./KafkaVersion.ts"
import * as Kcat from "./Kcat.ts"
import * as Load from "./Load.ts"

const brokers: ReadonlyArray<readonly [Version, Mode]> = [
  ["4.4.0", "kraft"],
  ["2.8.2", "zookeeper"]
]
const keys = 16

for (const [version, mode] of brokers) {
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    for (const how of ["kill", "stop"] as const) {
      it.effect(
        `${how === "kill" ? "SIGKILL" : "a stop"} and a start: nothing acknowledged is missing, nothing is twice in the log, the order is kept`,
        () =>
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            const node = server.nodes[0]!
            const name = `restarted-${how}`
            yield* server.createTopic(name, { partitions: 4 })
            const topic = Topic.make(name, { key: Schema.String, value: Schema.FiniteFromString })

            yield* connected(
              Effect.gen(function* () {
                const { acknowledged, end, failures, more, sent } = yield* Load.make(
                  topic,
                  (value) => ({ key: `k${value % keys}`, value }),
                  3
                )
                const handled = seen<number>()
                const consumer = yield* Consumer.subscribe({ group: name, topics: [topic], from: "earliest" })
                const consuming = yield* Effect.forkScoped(
                  consumer.run(({ value }) => Effect.sync(() => handled.add(value)))
                )

                const both = Effect.suspend(() => {
                  const goal = handled.all.length + 1000
                  return Effect.andThen(
                    more(1000),
                    handled.until(`${goal} handled`, (all) => all.length >= goal)
                  )
                })
                yield* both
                yield* node[how]
                yield* node.start
                yield* both
                yield* end
                yield* handled.until("all that was sent is handled", (all) => new Set(all).size === sent())
                assert.isUndefined(consuming.pollUnsafe(), "the consumer has ended")

                const log = Load.numbered(yield* Kcat.consume({ bootstrap: server.bootstrap, topic: name }))
                assert.deepStrictEqual(failures, [])
                assert.lengthOf(acknowledged.all, sent())
                assert.deepStrictEqual(twice(log.map((r) => r.number)), [], "twice in the log")
                const at = new Map(log.map((r) => [r.number, `${r.partition}:${r.offset}`]))
                for (const { value, partition, offset } of acknowledged.all) {
                  assert.strictEqual(at.get(value), `${partition}:${offset}`, `where ${value} is`)
                }
                Load.assertOrder(log, 4)
              })
            )
          }).pipe(KafkaServer.diagnosed)
      )
    }
  })
}
