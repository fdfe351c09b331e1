/**
 * Groups of the consumer protocol (KIP-848) on real brokers: members of ours come and go, are killed with their sessions,
 * and lose their coordinator, while records flow.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Membership, Producer, Topic } from "samsa"
import * as Schema from "effect/Schema"
import { connected, twice } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Version } from "./KafkaVersion.ts"
import * as Party from "./Party.ts"

const partitions = 8
/** Hearts that beat as quickly as those of the classic members of these tests. */
export const quick = {
  "group.consumer.min.heartbeat.interval.ms": 300,
  "group.consumer.heartbeat.interval.ms": 300,
  "group.consumer.min.session.timeout.ms": 1_000,
  "group.consumer.session.timeout.ms": 6_000
}
const versions: ReadonlyArray<Version> = ["4.0.2", "4.4.0"]
const consumer = (options: Membership.ConsumerOptions = {}) =>
  Membership.consumer({ sessionTimeout: "6 seconds", ...options })

for (const version of versions) {
  layer(KafkaServer.layer({ version, properties: quick }), { excludeTestServices: true })(`Kafka ${version}`, (it) => {
    for (const assignor of ["uniform", "range"]) {
      it.effect(
        `members come and go while records flow: each is handled once (${assignor})`,
        () =>
          Effect.gen(function* () {
            const records = 4_000
            const server = yield* KafkaServer.KafkaServer
            const name = `churn-${assignor}`
            yield* server.createTopic(name, { partitions })
            const topic = Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.String })
            const party = Party.make({ group: name, topic, as: () => consumer({ assignor }) })
            const producer = yield* Producer.Producer
            let sent = 0
            const send = Effect.suspend(() => {
              const count = Math.min(100, records - sent)
              const entries = Array.from({ length: count }, () => ({
                key: null,
                value: `${sent++}`,
                partition: sent % partitions
              }))
              return producer.sendAll(topic, entries)
            })
            let joined = 0
            const join = Effect.suspend(() => party.join(`m${joined++}`))
            const members: Array<Effect.Effect<void>> = [yield* join, yield* join]
            const flow = yield* Effect.forkScoped(
              Effect.whileLoop({
                while: () => sent < records,
                body: () => Effect.andThen(send, Effect.sleep(100)),
                step: () => {}
              })
            )
            for (let turn = 0; flow.pollUnsafe() === undefined; turn++) {
              if (members.length < 4 && turn % 3 !== 2) members.push(yield* join)
              else yield* members.shift()!
              yield* Effect.sleep("500 millis")
            }
            yield* party.handled.until("all are handled", (all) => all.length >= records)
            yield* Effect.forEach(members, (leave) => leave, { concurrency: "unbounded" })
            const values = party.handled.all.map((one) => one.value)
            assert.deepStrictEqual(twice(values), [], "handled twice")
            assert.strictEqual(new Set(values).size, records)
            assert.deepStrictEqual(Party.overlaps(party.held.all), [], "in two hands at a time")
            assert.isAbove(joined, 4)
          }).pipe(connected, KafkaServer.diagnosed),
        120_000
      )
    }
  })
}
