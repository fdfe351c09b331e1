/** One group of members of ours and of another client (kcat, by librdkafka): they share the partitions. */
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
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
const partitions = 8

interface Handled {
  readonly member: string
  readonly value: string
  readonly partition: number
}

for (const [version, mode] of brokers) {
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    for (const kcatLeads of [false, true]) {
      const name = kcatLeads ? "kcat-leads" : "we-lead"

      it.effect(`three of ours and one of kcat share the partitions, each record handled once (${name})`, () =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          const { bootstrap } = server
          yield* server.createTopic(name, { partitions })
          const topic = Topic.make(name, { key: Schema.String, value: Schema.String })
          const handled = seen<Handled>()
          const assigned = seen<{ readonly member: string; readonly held: number }>()
          const heldBy = (member: string) => assigned.all.findLast((one) => one.member === member)?.held ?? 0

          const ours = (member: string) =>
            Effect.gen(function* () {
              const consumer = yield* Consumer.subscribe({ group: name, topics: [topic], from: "earliest" })
              yield* consumer.events.pipe(
                Stream.runForEach((event) =>
                  Effect.sync(() => {
                    if (event._tag === "Assigned")
                      assigned.add({ member, held: heldBy(member) + event.partitions.length })
                    if (event._tag === "Revoked" || event._tag === "Lost")
                      assigned.add({ member, held: heldBy(member) - event.partitions.length })
                  })
                ),
                Effect.forkScoped({ startImmediately: true })
              )
              yield* consumer.run(({ value, partition }) =>
                Effect.sync(() => handled.add({ member, value, partition }))
              )
            }).pipe(Effect.scoped)
          const join = (member: string) => Effect.forkScoped(ours(member))
          const holds = (...members: ReadonlyArray<string>) =>
            assigned.until(
              `${members.join()} hold ${partitions} partitions`,
              () =>
                members.every((member) => heldBy(member) > 0) &&
                members.reduce((sum, member) => sum + heldBy(member), 0) === partitions
            )

          yield* connected(
            Effect.gen(function* () {
              const producer = yield* Producer.Producer
              let sent = 0
              let producing = true
              const send = (count: number) =>
                Effect.suspend(() =>
                  producer.sendAll(
                    topic,
                    Array.from({ length: count }, () => ({ key: `k${sent}`, value: `v${sent++}` }))
                  )
                )
              const produce = yield* Effect.whileLoop({
                while: () => producing,
                body: () => Effect.andThen(send(20), Effect.sleep("5 millis")),
                step: () => {}
              }).pipe(Effect.forkScoped)

              const kcat = { bootstrap, topic: name, group: name }
              yield* Effect.scoped(
                Effect.gen(function* () {
                  const early = kcatLeads ? yield* Kcat.member(kcat) : undefined
                  if (early !== undefined) yield* early.until("holds all", () => early.assigned().length === partitions)
                  yield* join("a")
                  yield* join("b")
                  const c = yield* join("c")
                  if (early === undefined) yield* holds("a", "b", "c")
                  const member = early ?? (yield* Kcat.member(kcat))
                  // 8 partitions among four: two each
                  yield* member.until("holds its share", () => member.assigned().length === 2)
                  const mark = { kcat: member.records.length, ours: handled.all.length }
                  yield* member.until("reads more", () => member.records.length > mark.kcat + 200)
                  yield* handled.until("ours read more", (all) => all.length > mark.ours + 200)

                  // one of ours leaves, then kcat; what is left is shared by two
                  yield* Fiber.interrupt(c)
                  yield* member.until("takes over", () => member.assigned().length >= 2 && member.assignments() >= 2)
                  producing = false
                  yield* Fiber.join(produce)
                  const all = () => [...handled.all.map((one) => one.value), ...member.records.map((r) => r.value!)]
                  const lost = Effect.flatMap(Effect.orDie(Kcat.consume({ bootstrap, topic: name })), (log) =>
                    Effect.sync(() => {
                      const got = new Set(all())
                      const missing = log.filter((r) => !got.has(r.value!)).map((r) => `${r.partition}:${r.offset}`)
                      process.stderr.write(`${member.log()}not handled: ${missing.slice(0, 50).join(" ")}\n`)
                    })
                  )
                  const complete = (what: string) =>
                    Effect.raceFirst(
                      handled.until(what, () => new Set(all()).size === sent),
                      member.until(what, () => new Set(all()).size === sent)
                    ).pipe(Effect.onError(() => lost))
                  yield* complete("every record is handled")
                  // kcat has nothing under way now: it drops a record that it has taken and not yet printed when it is told to end
                  yield* member.leave
                  yield* holds("a", "b")
                  yield* send(200)
                  yield* complete("every record is handled after kcat has left")
                  const log = yield* Kcat.consume({ bootstrap, topic: name })
                  assert.lengthOf(log, sent)
                  assert.deepStrictEqual(twice(all()), [], "handled twice")
                  const members = new Set(handled.all.map((one) => one.member))
                  assert.deepStrictEqual([...members].sort(), ["a", "b", "c"])
                })
              )
            })
          )
        }).pipe(Effect.scoped, KafkaServer.diagnosed)
      )
    }
  })
}
