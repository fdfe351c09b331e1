/**
 * What befalls logs, on brokers that are real: records that an election without the in-sync replicas has cut off, topics
 * that are deleted and made again, grow, and lose their beginning, and a disk that fails.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect, Schema, Stream } from "effect"
import { Admin, Consumer, Offset, Producer, Topic } from "samsa"
import { eventually, withAdmin } from "./Admins.ts"
import { seen } from "./Client.ts"
import { judged } from "./Judged.ts"
import * as KafkaServer from "./KafkaServer.ts"

const numbers = (name: string) =>
  Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.FiniteFromString })

/** Sends the numbers from one up to another. */
const send = (topic: ReturnType<typeof numbers>, from: number, to: number, partition = 0) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const entries = Array.from({ length: to - from }, (_, i) => ({ value: from + i, partition }))
    for (const outcome of yield* producer.sendAll(topic, entries)) yield* Effect.fromResult(outcome)
  })

/** What a consumer reads, and what it tells beside. */
const followed = (consumer: Consumer.Consumer<{ readonly value: number; readonly offset: number }>) =>
  Effect.gen(function* () {
    const read = seen<{ readonly value: number; readonly offset: number }>()
    const events = seen<string>()
    yield* Effect.forkScoped(
      Stream.runForEach(consumer.events, (event) =>
        Effect.sync(() =>
          events.add(event._tag === "DataLoss" ? `DataLoss from ${event.from} to ${event.to}` : event._tag)
        )
      )
    )
    yield* Effect.forkScoped(consumer.run(({ offset, value }) => Effect.sync(() => read.add({ offset, value }))))
    const values = () => read.all.map(({ value }) => value)
    return { read, events, values }
  })

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

const server = KafkaServer.layer({ version: "4.4.0", brokers: 3, dirs: 2 })
layer(server, { excludeTestServices: true })("Kafka 4.4.0, three brokers", (it) => {
  const partitionsOf = (topic: string) =>
    Effect.flatMap(Admin.Admin, (admin) => Admin.orFail(admin.describeTopics([topic]))).pipe(
      Effect.map(([one]) => one!.partitions)
    )

  it.effect(
    "an election without the in-sync replicas cuts a log: its reader is told from where to where, and misses nothing after",
    () =>
      withAdmin(
        Effect.gen(function* () {
          const { nodes } = yield* KafkaServer.KafkaServer
          const admin = yield* Admin.Admin
          const config = { "unclean.leader.election.enable": "true", "min.insync.replicas": "1" }
          yield* admin.createTopics([{ name: "cut", assignments: [[1, 2]], config }]).pipe(Admin.orFail)
          yield* eventually(partitionsOf("cut"), ([one]) => one!.isr.length === 2 && one!.leader === 1)
          const topic = numbers("cut")
          const consumer = yield* Consumer.assign({ topic, from: "earliest", onOutOfRange: "nearest" })
          const { events, read, values } = yield* followed(consumer)
          yield* send(topic, 0, 50)
          yield* read.until("all are read", (all) => all.length === 50)
          yield* nodes[1]!.kill
          yield* eventually(partitionsOf("cut"), ([one]) => one!.isr.length === 1)
          yield* send(topic, 50, 100)
          yield* read.until("those that will be lost are read", (all) => all.length === 100)
          yield* nodes[0]!.kill
          yield* nodes[1]!.start
          yield* admin.electLeaders([{ topic: "cut", partition: 0 }], { type: "unclean" })
          yield* eventually(partitionsOf("cut"), ([one]) => one!.leader === 2)
          yield* send(topic, 200, 210)
          yield* read.until("it goes on", (all) => all.length >= 110)
          assert.deepStrictEqual(values(), [...range(0, 100), ...range(200, 210)])
          assert.strictEqual(read.all.at(-1)!.offset, 59)
          assert.include(events.all, "DataLoss from 100 to 50")
          yield* nodes[0]!.start
        })
      ).pipe(KafkaServer.diagnosed),
    180_000
  )

  it.effect("a topic that is deleted and made again under its members is read from its first record, once", () =>
    withAdmin(
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const admin = yield* Admin.Admin
        yield* server.createTopic("again", { replication: 3 })
        const topic = numbers("again")
        const consumer = yield* Consumer.subscribe({ group: "again", topics: [topic], from: "latest" })
        const { events, read, values } = yield* followed(consumer)
        yield* events.until("it has it", (all) => all.includes("CaughtUp"))
        yield* send(topic, 0, 50)
        yield* read.until("all are read", (all) => all.length === 50)
        yield* admin.deleteTopics(["again"]).pipe(Admin.orFail)
        yield* eventually(admin.listTopics(), (all) => !all.some(({ name }) => name === "again"))
        yield* server.createTopic("again", { replication: 3 })
        yield* send(topic, 100, 130)
        yield* read.until("all of the new one are read", (all) => all.length >= 80)
        assert.deepStrictEqual(values(), [...range(0, 50), ...range(100, 130)])
        assert.deepStrictEqual(
          read.all.slice(50).map(({ offset }) => offset),
          range(0, 30)
        )
        assert.include(events.all, "Recreated")
      })
    ).pipe(KafkaServer.diagnosed)
  )

  it.effect("partitions are added under load: nothing fails, and they are read from their beginning", () =>
    judged({ name: "grown", partitions: 3, client: { metadataMaxAge: "3 seconds" } }, ({ party, topic }) =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          yield* admin.createPartitions([{ topic: "grown", count: 6 }]).pipe(Admin.orFail)
          yield* eventually(partitionsOf("grown"), (all) => all.length === 6)
          for (const partition of [3, 4, 5]) yield* send(topic, partition * 1e6, partition * 1e6 + 20, partition)
          const added = (all: typeof party.handled.all) => all.filter(({ value }) => Number(value) >= 3e6)
          yield* party.handled.until("what is in the new ones is handled", (all) => added(all).length >= 60)
          assert.lengthOf(added(party.handled.all), 60)
        })
      )
    )
  )

  it.effect("the beginning of a log goes beyond a position: its reader is told, and misses nothing after", () =>
    withAdmin(
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const admin = yield* Admin.Admin
        yield* server.createTopic("trimmed", { replication: 3 })
        const topic = numbers("trimmed")
        const place = { topic: "trimmed", partition: 0 }
        const consumer = yield* Consumer.subscribe({
          group: "trimmed",
          topics: [topic],
          from: "earliest",
          onOutOfRange: "earliest"
        })
        const { events, read, values } = yield* followed(consumer)
        yield* send(topic, 0, 10)
        yield* read.until("all are read", (all) => all.length === 10)
        yield* consumer.pause([place])
        yield* send(topic, 10, 100)
        yield* admin.deleteRecords([{ ...place, before: 60 }]).pipe(Admin.orFail)
        // A request that was out as it was paused may have brought some of what is gone now.
        yield* consumer.seek(place, Offset.at(10))
        yield* consumer.resume([place])
        yield* read.until("it goes on", (all) => all.length >= 50)
        assert.deepStrictEqual(values(), [...range(0, 10), ...range(60, 100)])
        assert.include(events.all, "DataLoss from 10 to 60")
      })
    ).pipe(KafkaServer.diagnosed)
  )

  // The last one: its broker is not what it was.
  it.effect(
    "a disk of a leader fails under load: others lead what was on it, no record fails, and nothing is lost",
    () =>
      judged({ name: "disks", config: { "min.insync.replicas": "2" } }, ({ load }) =>
        withAdmin(
          Effect.gen(function* () {
            const { folderOf, nodes } = yield* KafkaServer.KafkaServer
            // The first one has the broker's own log as well.
            const disk = (id: number) => Path.join(folderOf(nodes[id - 1]!), "data1")
            const led = (yield* partitionsOf("disks")).find(({ leader, partition }) =>
              Fs.existsSync(Path.join(disk(leader!), `disks-${partition}`))
            )!
            const { leader, partition } = led
            const broken = disk(leader!)
            Fs.renameSync(broken, `${broken}.gone`)
            Fs.writeFileSync(broken, "")
            yield* eventually(partitionsOf("disks"), (all) => all[partition]!.leader !== leader).pipe(
              Effect.timeout("60 seconds")
            )
            yield* load.more(1000)
          })
        )
      ),
    180_000
  )
})
