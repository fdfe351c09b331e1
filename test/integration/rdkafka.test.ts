/**
 * librdkafka as the transport: the contract on real brokers, from the oldest that it speaks to; the main program, the demo,
 * groups over both transports, and what ends well. 0.10.2.2 where `SAMSA_FULL` is set.
 */
import { spawn } from "node:child_process"
import { createRequire } from "node:module"
import { assert, beforeAll, describe, it, layer } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Latch, Layer, Schema, Stream } from "effect"
import type { Library, Producer as NodeRdkafkaProducer, RdError } from "node-rdkafka"
import { Cluster, Consumer, Kafka, Producer, RdKafka, Topic, Transport, ZooKeeper } from "samsa"
import { EmbeddedKafka } from "samsa/testing"
import * as Contract from "../transport/contract.ts"
import { seen, type Seen } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Mode, Version } from "./KafkaVersion.ts"
import * as MainProgram from "./MainProgram.ts"
import * as NodeRdkafka from "./NodeRdkafka.ts"

beforeAll(() => Effect.runPromise(NodeRdkafka.install), 600_000)

describe("librdkafka on the embedded broker", () => {
  Contract.suite((title, body) =>
    it.live(title, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.createTopic({ name: "contract", partitions: 3 })
        yield* Effect.provide(Effect.scoped(body("contract")), RdKafka.layer({ bootstrap: broker.bootstrap }))
      }).pipe(Effect.provide(EmbeddedKafka.layer({ listen: true })))
    )
  )

  const refused = (options: Partial<RdKafka.Options>) =>
    Effect.flip(Effect.scoped(Layer.build(RdKafka.layer({ bootstrap: ["127.0.0.1:1"], ...options }))))

  it.live("tells a property that contradicts a setting, or that librdkafka does not know", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { bootstrap } = broker
        const twice = yield* refused({ bootstrap, properties: { "enable.idempotence": false } })
        assert.strictEqual(twice.reason._tag, "Misconfigured")
        assert.include(twice.message, "enable.idempotence")
        const unknown = yield* refused({ bootstrap, properties: { "no.such.property": 1 } })
        assert.strictEqual(unknown.reason._tag, "Misconfigured")
        assert.include(unknown.message, "no.such.property")
        const nowhere = yield* refused({ bootstrap, sourceAddress: "127.0.0.1" })
        assert.strictEqual(nowhere.reason._tag, "Misconfigured")
        assert.include(nowhere.message, "sourceAddress")
      }).pipe(Effect.provide(EmbeddedKafka.layer({ listen: true })))
    })
  )

  const sendsOne = Effect.flatMap(Producer.make({}), (producer) =>
    producer.send(Topic.make("one", { key: Schema.String, value: Schema.String }), { key: "k", value: "v" })
  ).pipe(Effect.scoped)

  it.live("takes its settings, and librdkafka's properties, from Config", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.createTopic({ name: "one", partitions: 1 })
      const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(), KAFKA_CLIENT_ID: "ours", NODELAY: "true" }
      const provided = Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(env))
      const own = RdKafka.layerConfig({
        bootstrap: Config.Array(Schema.String, "KAFKA_BOOTSTRAP"),
        properties: Config.map(Config.Boolean("NODELAY"), (is) => ({ "socket.nagle.disable": is }))
      })
      for (const live of [RdKafka.layerConfig(), own])
        assert.isDefined(yield* provided(Effect.provide(sendsOne, live, { local: true })))
      assert.lengthOf(yield* broker.log("one"), 2)
      const unknown = RdKafka.layerConfig({
        bootstrap: Config.Array(Schema.String, "KAFKA_BOOTSTRAP"),
        properties: Config.succeed({ "no.such.property": 1 })
      })
      const error = yield* provided(Effect.flip(Effect.scoped(Layer.build(unknown))))
      assert.include(error.message, "no.such.property")
    }).pipe(Effect.provide(EmbeddedKafka.layer({ listen: true })))
  )

  it.live("a process that produces and consumes ends by itself, twenty times", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.createTopic({ name: "ends", partitions: 2 })
      const program = new URL("rdkafka-ends.ts", import.meta.url).pathname
      for (let run = 0; run < 20; run++) {
        const { signal, status, stderr } = yield* Effect.promise(() => ended(program, broker.bootstrap[0]!))
        assert.deepStrictEqual([status, signal], [0, null], stderr)
      }
    }).pipe(Effect.provide(EmbeddedKafka.layer({ listen: true })))
  )
})

/** Runs a program of ours to its end, which must come by itself. */
const ended = (program: string, ...args: ReadonlyArray<string>) => {
  const child = spawn(process.execPath, ["--conditions=samsa-source", program, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 110_000
  })
  let [stdout, stderr] = ["", ""]
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()))
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()))
  return new Promise<{ status: number | null; signal: string | null; stdout: string; stderr: string }>((resolve) =>
    child.once("close", (status, signal) => resolve({ status, signal, stdout, stderr }))
  )
}

/** The demo, over librdkafka. */
const demo = (...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const program = new URL("../../docs/examples/demo.ts", import.meta.url).pathname
    const run = yield* Effect.promise(() => ended(program, "--transport", "rdkafka", "--records", "2000", ...args))
    assert.include(run.stdout, "ok: 2000 produced, 2000 handled, 0 missing", run.stderr)
    assert.deepStrictEqual([run.status, run.signal], [0, null], run.stderr)
  })

const fetchSettings: Transport.FetchSettings = {
  isolation: "committed",
  maxWait: 100,
  minBytes: 1,
  maxBytes: 4_194_304,
  maxPartitionBytes: 65_536,
  bufferBytes: 4_194_304,
  checkCrcs: true
}

/** Commits three records, aborts three, commits three, aborts three, and leaves a transaction of three open. */
const transactions = async (bootstrap: string, topic: string) => {
  type Done = (error: RdError | null) => void
  interface Transactional extends NodeRdkafkaProducer {
    readonly initTransactions: (timeout: number, done: Done) => void
    readonly beginTransaction: (done: Done) => void
    readonly commitTransaction: (timeout: number, done: Done) => void
    readonly abortTransaction: (timeout: number, done: Done) => void
  }
  const library = createRequire(import.meta.url)("node-rdkafka") as Library
  const properties = { "metadata.broker.list": bootstrap, "transactional.id": topic, "transaction.timeout.ms": 60_000 }
  const producer = new library.Producer(properties, {}) as Transactional
  const call = (what: (done: Done) => void) =>
    new Promise<void>((resolve, reject) => what((error) => (error ? reject(new Error(error.message)) : resolve())))
  await call((done) => producer.connect({ timeout: 10_000 }, done))
  await call((done) => producer.initTransactions(30_000, done))
  const three = async () => {
    await call((done) => producer.beginTransaction(done))
    for (let i = 0; i < 3; i++) producer.produce(topic, 0, Buffer.from(`${i}`), null, Date.now(), i, undefined)
    await call((done) => producer.flush(10_000, done))
  }
  for (const end of ["commit", "abort", "commit", "abort"] as const) {
    await three()
    await call((done) => producer[`${end}Transaction`](30_000, done))
  }
  await three()
  // Its transaction is not ended, and so stays open.
  await new Promise<void>((resolve) => producer.disconnect(0, resolve))
}

const brokers: ReadonlyArray<readonly [version: Version, mode: Mode, magic: 0 | 1 | 2]> = [
  ["0.8.2.2", "zookeeper", 0],
  ...(process.env.SAMSA_FULL === undefined ? [] : ([["0.10.2.2", "zookeeper", 1]] as const)),
  ["0.11.0.3", "zookeeper", 2],
  ["2.8.2", "zookeeper", 2],
  ["4.4.0", "kraft", 2]
]

for (const [version, mode, magic] of brokers) {
  const release = magic === 0 ? { brokerVersion: version } : {}
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    let topics = 0
    Contract.suite(
      (title, body) =>
        it.effect(title, () =>
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            const topic = `contract-${++topics}`
            yield* server.createTopic(topic, { partitions: 3 })
            const live = RdKafka.layer({ bootstrap: server.bootstrap, ...release })
            yield* Effect.provide(Effect.scoped(body(topic)), live)
          }).pipe(Effect.scoped, KafkaServer.diagnosed)
        ),
      magic
    )

    // It has no groups.
    if (magic === 0) return

    it.effect("the main program goes on from its commits", () =>
      MainProgram.run("orders", "billing", "librdkafka").pipe(KafkaServer.diagnosed)
    )

    if (magic < 2) return

    it.effect("the demo runs over it", () =>
      Effect.flatMap(KafkaServer.KafkaServer, ({ bootstrap }) => demo("--bootstrap", bootstrap.join())).pipe(
        KafkaServer.diagnosed
      )
    )

    it.effect("aborted and open transactions of librdkafka's own are bridged as by the native engine", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const { bootstrap } = server
        yield* server.createTopic("transactions")
        yield* Effect.promise(() => transactions(bootstrap.join(), "transactions"))
        /** What is read from an offset to the end, and where it is then. */
        const read = (from: number, isolation: "committed" | "uncommitted") =>
          Effect.gen(function* () {
            const transport = yield* Transport.Transport
            const cluster = yield* Cluster.Cluster
            const partition = { topic: "transactions", partition: 0 }
            const [latest = 0] = yield* cluster.offsets([{ ...partition, at: "latest" }])
            // The last transaction is open: its three records are there, and not yet to be read.
            const end = isolation === "committed" ? latest - 3 : latest
            const consumer = yield* transport.consumer({ ...fetchSettings, isolation })
            const reader = yield* consumer.open(partition, from)
            const offsets: Array<number> = []
            while (reader.position() < end) {
              offsets.push(...(yield* reader.pull).records.map(({ offset }) => offset))
            }
            return { offsets, position: reader.position(), end, latest }
          }).pipe(Effect.scoped)
        for (const isolation of ["committed", "uncommitted"] as const) {
          for (const from of [0, 3, 10]) {
            const ours = yield* Effect.provide(read(from, isolation), Kafka.layer({ bootstrap }), { local: true })
            const theirs = yield* Effect.provide(read(from, isolation), RdKafka.layer({ bootstrap }), { local: true })
            assert.deepStrictEqual(theirs, ours, `${isolation} from ${from}`)
            assert.isNotEmpty(ours.offsets)
            assert.strictEqual(ours.position, ours.end)
          }
        }
      }).pipe(Effect.scoped, KafkaServer.diagnosed)
    )

    if (mode === "zookeeper")
      it.effect("brokers are found in ZooKeeper", () =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("found")
          const topic = Topic.make("found", { key: Schema.String, value: Schema.String })
          const zooKeeper = ZooKeeper.layer({ connect: server.zooKeeper! })
          yield* Effect.gen(function* () {
            const producer = yield* Producer.Producer
            const { offset } = yield* producer.send(topic, { key: "k", value: "v" })
            assert.strictEqual(offset, 0)
            const consumer = yield* Consumer.assign({ topic, from: "earliest", until: "latest" })
            const values = yield* Stream.runCollect(Stream.map(consumer.stream, ({ value }) => value))
            assert.deepStrictEqual([...values], ["v"])
          }).pipe(
            Effect.scoped,
            Effect.provide(
              Producer.layer().pipe(Layer.provideMerge(RdKafka.layerZooKeeper({})), Layer.provide(zooKeeper))
            )
          )
        }).pipe(KafkaServer.diagnosed)
      )

    it.effect("two members of a group, one over each transport, handle each record once", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const { bootstrap } = server
        yield* server.createTopic("shared", { partitions: 4 })
        const topic = Topic.make("shared", { key: Schema.String, value: Schema.String })
        const handled = seen<{ readonly member: string; readonly value: string }>()
        const member = (name: string) =>
          Effect.gen(function* () {
            const consumer = yield* Consumer.subscribe({ group: "both", topics: [topic], from: "earliest" })
            yield* consumer.run(({ value }) => Effect.sync(() => handled.add({ member: name, value })))
          }).pipe(Effect.scoped)
        const native = Kafka.layer({ bootstrap })
        const other = RdKafka.layer({ bootstrap })
        yield* Effect.forkScoped(Effect.provide(member("native"), native, { local: true }))
        yield* Effect.forkScoped(Effect.provide(member("librdkafka"), other, { local: true }))
        yield* Effect.gen(function* () {
          const producer = yield* Producer.Producer
          for (let round = 0; handled.all.every(({ member }) => member === handled.all[0]?.member); round++) {
            const entries = Array.from({ length: 100 }, (_, i) => ({ key: `${i}`, value: `${round}-${i}` }))
            yield* producer.sendAll(topic, entries)
            yield* handled.until(`round ${round} handled`, (all) => all.length >= (round + 1) * 100)
          }
        }).pipe(Effect.provide(Producer.layer().pipe(Layer.provide(other))))
        const values = handled.all.map(({ value }) => value)
        assert.strictEqual(new Set(values).size, values.length)
      }).pipe(Effect.scoped, KafkaServer.diagnosed)
    )

    it.effect("a broker that is stopped and started in the middle of consuming: all is handled, in order", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const { bootstrap } = server
        const [node] = server.nodes
        const [partitions, before, after] = [4, 4000, 400]
        yield* server.createTopic("bounced", { partitions })
        const topic = Topic.make("bounced", { key: Schema.NullOr(Schema.String), value: Schema.String })
        const send = (from: number, count: number) =>
          Effect.gen(function* () {
            const producer = yield* Producer.Producer
            const padding = ".".repeat(1000)
            const entries = Array.from({ length: count }, (_, i) => from + i).map((i) => ({
              key: null,
              value: `${i}${padding}`,
              partition: i % partitions
            }))
            for (const result of yield* producer.sendAll(topic, entries)) yield* Effect.fromResult(result)
          })
        const stopped = yield* Latch.make()
        // So little is read ahead that most is still to be fetched when the broker stops.
        const fetch = { bufferBytes: 200_000, maxPartitionBytes: 50_000 }
        /** Handles a part, and waits for the broker to be stopped. */
        const handler =
          (handled: Seen<number>) =>
          ({ value }: { readonly value: string }) =>
            Effect.suspend(() => {
              handled.add(Number.parseInt(value, 10))
              return handled.all.length > before / 10 ? stopped.await : Effect.void
            })
        yield* Effect.gen(function* () {
          yield* send(0, before)
          const assigned = yield* Consumer.assign({ topic, from: "earliest", fetch })
          const joined = yield* Consumer.subscribe({ group: "bounced", topics: [topic], from: "earliest", fetch })
          const [byAssigned, byJoined] = [seen<number>(), seen<number>()]
          const running = [
            yield* Effect.forkScoped(assigned.run(handler(byAssigned))),
            yield* Effect.forkScoped(joined.run(handler(byJoined)))
          ]
          for (const handled of [byAssigned, byJoined]) {
            yield* handled.until("a part is handled", (all) => all.length > before / 10)
          }
          yield* node!.stop
          yield* stopped.open
          yield* node!.start
          yield* send(before, after)
          for (const handled of [byAssigned, byJoined]) {
            yield* handled.until("all is handled", (all) => new Set(all).size === before + after)
          }
          for (const fiber of running) assert.isUndefined(fiber.pollUnsafe(), "a consumer has ended")
          // A group may read again from its last commit; who has none reads each once.
          assert.lengthOf(byAssigned.all, before + after)
          for (const handled of [byAssigned, byJoined]) {
            for (let partition = 0; partition < partitions; partition++) {
              const first = [...new Set(handled.all)].filter((i) => i % partitions === partition)
              const inOrder = first.every((i, at) => i === at * partitions + partition)
              assert.isTrue(inOrder, `the order of partition ${partition}`)
            }
          }
        }).pipe(Effect.scoped, Effect.provide(Producer.layer().pipe(Layer.provideMerge(RdKafka.layer({ bootstrap })))))
      }).pipe(KafkaServer.diagnosed)
    )
  })
}
