/**
 * `npm run demo`: a producer stream, three members of one group of which one leaves half way, and in the end a
 * comparison of what was produced with what was handled. It runs on the embedded broker, or with
 * `--bootstrap host:port` on a real cluster; `--transport rdkafka` takes librdkafka instead of the native engine, by the
 * package node-rdkafka. `--lose` makes a member drop one record: the comparison then fails.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Broker, Cluster, Consumer, Kafka, KafkaError, Producer, RdKafka, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { Console, Deferred, Duration, Effect, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { parseArgs } from "node:util"
import * as CreateTopics from "samsa/protocol/messages/CreateTopics"

const { values: flags } = parseArgs({
  options: {
    bootstrap: { type: "string" },
    transport: { type: "string", default: "native" },
    records: { type: "string", default: "20000" },
    lose: { type: "boolean", default: false }
  }
})
const total = Math.max(100, Math.floor(Number(flags.records) / 100) * 100)
const partitions = 6
const arraysPerSecond = 40

const Tick = Schema.Struct({ id: Schema.Int, text: Schema.String })
const ticks = Topic.make(`samsa-demo-${process.pid}`, { key: Schema.String, value: Schema.fromJsonString(Tick) })

const handled = new Map<number, number>()
const byMember = { a: 0, b: 0, c: 0 }
type Member = keyof typeof byMember
let produced = 0

const produce = Effect.gen(function* () {
  const size = Math.max(10, Math.floor(total / (8 * arraysPerSecond)))
  yield* Stream.range(1, total).pipe(
    Stream.rechunk(size),
    Stream.mapArrayEffect((ids) => Effect.as(Effect.sleep(Duration.millis(1000 / arraysPerSecond)), ids)),
    Producer.through(ticks, (id) => ({ key: `customer-${id % 97}`, value: { id, text: `tick ${id}` } })),
    Stream.runForEachArray((ids) => Effect.sync(() => (produced += ids.length)))
  )
})

const member = (name: Member) =>
  Effect.gen(function* () {
    const consumer = yield* Consumer.subscribe({ group: ticks.name, topics: [ticks], from: "earliest" })
    yield* consumer.run(({ value: { id } }) =>
      Effect.sync(() => {
        if (flags.lose && id === total / 2) return
        handled.set(id, (handled.get(id) ?? 0) + 1)
        byMember[name]++
      })
    )
  }).pipe(Effect.scoped)

const counts = () =>
  `produced ${produced}  handled ${handled.size}  by member ${Object.entries(byMember)
    .map(([name, n]) => `${name} ${n}`)
    .join(", ")}`

const show = Effect.suspend(() =>
  process.stdout.isTTY ? Effect.sync(() => process.stdout.write(`\r${counts()}   `)) : Console.log(counts())
)

const until = (done: () => boolean) =>
  Effect.repeat(Effect.sync(done), { schedule: Schedule.spaced("20 millis"), until: (is) => is })

const program = Effect.gen(function* () {
  yield* Console.log(`${total} records to ${partitions} partitions of ${ticks.name}, three members in one group`)
  yield* Effect.forkScoped(Effect.repeat(show, Schedule.spaced(process.stdout.isTTY ? "100 millis" : "1 second")))
  const failed = yield* Deferred.make<never, KafkaError.KafkaError>()
  const start = (name: Member) =>
    Effect.forkScoped(Effect.tapError(member(name), (error) => Deferred.fail(failed, error)))
  yield* start("a")
  yield* start("b")
  const leaving = yield* start("c")
  const producing = yield* Effect.forkScoped(produce)
  yield* until(() => produced >= total / 2)
  // Interrupting it drains, commits and leaves the group.
  yield* Fiber.interrupt(leaving)
  yield* Console.log(`\n${counts()}\nmember c has left`)
  yield* Fiber.join(producing)
  yield* Effect.raceFirst(
    Effect.timeoutOption(
      until(() => handled.size === total),
      "5 seconds"
    ),
    Deferred.await(failed)
  )
})

const compare = Effect.suspend(() => {
  let again = 0
  for (const times of handled.values()) again += times - 1
  const missing = produced - handled.size
  process.exitCode = missing === 0 && produced === total ? 0 : 1
  return Console.log(
    `\n${missing === 0 ? "ok" : "FAILED"}: ${produced} produced, ${handled.size} handled, ${missing} missing, ${again} handled again`
  )
})

/** On a real cluster only the controller creates topics, where brokers do not forward to it. */
const createTopic = Effect.gen(function* () {
  const brokers = yield* Broker.Brokers
  const cluster = yield* Cluster.Cluster
  const notController = 41
  for (const { id } of yield* cluster.brokers) {
    const broker = yield* brokers.get(id)
    const { topics } = yield* broker.send(CreateTopics, () => ({
      topics: [{ name: ticks.name, numPartitions: partitions, replicationFactor: 1 }],
      timeoutMs: 10_000
    }))
    const code = topics[0]?.errorCode ?? 0
    if (code === notController) continue
    if (code !== 0) return yield* KafkaError.fromCode(code, { topic: ticks.name })
    return
  }
})

const overRdkafka = flags.transport === "rdkafka"
if (!overRdkafka && flags.transport !== "native") throw new Error("--transport is native or rdkafka")

/** librdkafka has connections of its own, so that the embedded broker must listen for them. */
const embedded = overRdkafka
  ? Layer.unwrap(
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.createTopic({ name: ticks, partitions })
        return RdKafka.layer({ bootstrap: broker.bootstrap })
      })
    ).pipe(Layer.provide(EmbeddedKafka.layer({ listen: true })))
  : KafkaTest.layer({ topics: [{ name: ticks, partitions }] })

const live = (bootstrap: string) => {
  const options = { bootstrap: bootstrap.split(",") }
  return Layer.effectDiscard(createTopic).pipe(
    Layer.provideMerge(overRdkafka ? RdKafka.layer(options) : Kafka.layer(options))
  )
}
const kafka: Layer.Layer<Kafka.Kafka, KafkaError.KafkaError> =
  flags.bootstrap === undefined ? embedded : live(flags.bootstrap)

program.pipe(
  Effect.scoped,
  Effect.andThen(compare),
  Effect.provide(Producer.layer().pipe(Layer.provideMerge(kafka))),
  NodeRuntime.runMain
)
