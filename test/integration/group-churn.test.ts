/**
 * Members of ours that come and go on real brokers while records flow: through every assignor each record is handled
 * once; and where the group's coordinator is killed, none is missed.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Assignor, Cluster, Producer, Topic } from "samsa"
import * as Schema from "effect/Schema"
import { churn } from "./Churn.ts"
import { connected, twice } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import * as Party from "./Party.ts"

/** Of the whole chain: SAMSA_RECORDS=200000. */
const records = Number(process.env.SAMSA_RECORDS ?? 8_000)
/** How often the coordinator is killed. */
const rounds = records > 8_000 ? 3 : 1
const partitions = 8

layer(KafkaServer.layer({ version: "4.4.0" }), { excludeTestServices: true })("Kafka 4.4.0", (it) => {
  for (const assignor of [Assignor.range, Assignor.roundRobin, Assignor.sticky, Assignor.cooperativeSticky]) {
    it.effect(
      `members come and go while ${records} records flow: each is handled once (${assignor.name})`,
      () =>
        churn({
          name: `churn-${assignor.name}`,
          assignors: [assignor],
          records,
          atOnce: 200,
          // For five seconds at least.
          every: (Math.max(5, records / 2_000) * 1_000) / (records / 200)
        }).pipe(connected, KafkaServer.diagnosed),
      600_000
    )
  }
})

layer(
  KafkaServer.layer({
    version: "4.4.0",
    brokers: 3,
    properties: { "offsets.topic.replication.factor": 3, "offsets.topic.num.partitions": 6 }
  }),
  { excludeTestServices: true }
)("three brokers of Kafka 4.4.0", (it) => {
  for (const assignor of [Assignor.range, Assignor.cooperativeSticky]) {
    it.effect(
      `the coordinator is killed under load, and starts again: no record is missed (${assignor.name})`,
      () =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          const name = `coordinated-${assignor.name}`
          yield* server.createTopic(name, { partitions, replication: 3 })
          const topic = Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.String })
          const party = Party.make({
            group: name,
            topic,
            assignors: [assignor],
            membership: { sessionTimeout: "10 seconds" }
          })
          const producer = yield* Producer.Producer
          const cluster = yield* Cluster.Cluster
          let sent = 0
          let flowing = true
          const send = Effect.suspend(() =>
            producer.sendAll(
              topic,
              Array.from({ length: 40 }, () => ({ key: null, value: `${sent++}`, partition: sent % partitions }))
            )
          )
          yield* Effect.forkScoped(
            Effect.whileLoop({
              while: () => flowing,
              body: () => Effect.andThen(send, Effect.sleep("10 millis")),
              step: () => {}
            })
          )
          const members = [yield* party.join("a"), yield* party.join("b")]
          yield* party.hold(partitions, "a", "b")
          for (let round = 0; round < rounds; round++) {
            const { id } = yield* cluster.coordinator("group", name)
            const node = server.nodes.find((each) => each.id === id)!
            yield* node.kill
            cluster.forgetCoordinator("group", name)
            // a member joins at whoever coordinates then
            members.push(yield* party.join(`c${round}`))
            const mark = party.handled.all.length
            yield* party.handled.until("they go on", (all) => all.length > mark + 2_000)
            yield* party.held.until("the new member has its share", () => party.owned(`c${round}`).length > 0)
            yield* node.start
            const again = party.handled.all.length
            yield* party.handled.until("they go on with the broker back", (all) => all.length > again + 2_000)
          }
          flowing = false
          yield* Effect.sleep("300 millis")
          yield* party.handled.until("none is missed", (all) => new Set(all.map((one) => one.value)).size >= sent)
          yield* Effect.forEach(members, (leave) => leave, { concurrency: "unbounded" })
          const values = party.handled.all.map((one) => one.value)
          // What was done and could not be committed before the coordinator was gone may come again.
          assert.isBelow(twice(values).length, 4_000)
          assert.deepStrictEqual(Party.overlaps(party.held.all), [], "in two hands at a time")
        }).pipe(connected, KafkaServer.diagnosed),
      240_000
    )
  }
})
