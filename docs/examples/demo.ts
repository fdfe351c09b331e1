/**
 * `npm run demo`: a producer, three members of one group of which one leaves half way, and in the end what was produced
 * beside what was handled. A live view in a terminal, lines in a pipe; over in about ten seconds. On the embedded broker,
 * or with
 *
 * - `--bootstrap host:port` on a real cluster, where it makes a topic and deletes it;
 * - `--transport rdkafka` over librdkafka, by the package node-rdkafka;
 * - `--membership classic`, `consumer` (KIP-848) or `auto`;
 * - `--lose`, with which a member drops one record: the comparison then fails;
 * - `--seconds 13`: when it ends, whatever there is still to do.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Admin, Cluster, Consumer, Kafka, type KafkaError, Membership, Producer, RdKafka, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { Clock, Console, Effect, Fiber, Layer, Schedule, Schema, Stream } from "effect"
import { parseArgs } from "node:util"
import * as View from "./demo/view.ts"

const { values: flags } = parseArgs({
  options: {
    bootstrap: { type: "string" },
    transport: { type: "string", default: "native" },
    membership: { type: "string", default: "classic" },
    records: { type: "string", default: "20000" },
    seconds: { type: "string", default: "13" },
    lose: { type: "boolean", default: false }
  }
})
const choose = <A>(flag: "transport" | "membership", choices: Readonly<Record<string, A>>): A => {
  const choice = choices[flags[flag]]
  if (choice !== undefined) return choice
  process.stderr.write(`--${flag} is one of ${Object.keys(choices).join(", ")}, not ${flags[flag]}\n`)
  return process.exit(2)
}
const overRdkafka = choose("transport", { native: false, rdkafka: true })
const membership = choose("membership", {
  classic: Membership.classic(),
  consumer: Membership.consumer(),
  auto: Membership.auto()
})
const total = Math.max(100, Math.floor(Number(flags.records) / 100) * 100)
const partitions = 6
const producing = { seconds: 6, arraysPerSecond: 40 }

const Tick = Schema.Struct({ id: Schema.Int, text: Schema.String })
const ticks = Topic.make(`samsa-demo-${process.pid}`, { key: Schema.String, value: Schema.fromJsonString(Tick) })

const members = ["a", "b", "c"]
const seen: View.Seen = {
  total,
  title: `${ticks.name}: a ${flags.membership} group of three, ${flags.transport} transport`,
  produced: 0,
  handled: new Map(),
  byMember: new Map(members.map((name) => [name, 0])),
  partitions: Array.from({ length: partitions }, () => ({ end: 0, next: 0, owner: undefined })),
  notes: []
}

let startedAt = 0
const elapsed = Effect.map(Clock.currentTimeMillis, (now) => now - startedAt)

const note = (text: string) =>
  Effect.flatMap(elapsed, (at) => {
    seen.notes.push({ at, text })
    return process.stdout.isTTY ? Effect.void : Console.log(View.noted({ at, text }))
  })

const produce = Effect.gen(function* () {
  const producer = yield* Producer.Producer
  const send = (ids: ReadonlyArray<number>) =>
    Effect.gen(function* () {
      const entries = ids.map((id) => ({ key: `customer-${id % 97}`, value: { id, text: `tick ${id}` } }))
      for (const result of yield* producer.sendAll(ticks, entries)) {
        const { offset, partition } = yield* Effect.fromResult(result)
        const place = seen.partitions[partition]!
        if (offset !== undefined) place.end = Math.max(place.end, offset + 1)
        seen.produced++
      }
    })
  yield* Stream.range(1, total).pipe(
    Stream.rechunk(Math.max(10, Math.ceil(total / (producing.seconds * producing.arraysPerSecond)))),
    Stream.runForEachArray((ids) =>
      Effect.all([send(ids), Effect.sleep(1000 / producing.arraysPerSecond)], {
        concurrency: "unbounded",
        discard: true
      })
    )
  )
})

const member = (name: string) =>
  Effect.gen(function* () {
    const consumer = yield* Consumer.subscribe({ group: ticks.name, topics: [ticks], from: "earliest", membership })
    yield* consumer.events.pipe(
      Stream.runForEach((event) => {
        if (event._tag !== "Assigned" && event._tag !== "Revoked" && event._tag !== "Lost") return Effect.void
        for (const place of event.partitions.map(({ partition }) => seen.partitions[partition]!))
          if (event._tag === "Assigned") place.owner = name
          else if (place.owner === name) place.owner = undefined
        const which = event.partitions.map(({ partition }) => partition).join(" ")
        return which === "" ? Effect.void : note(`${name}: ${event._tag.toLowerCase()} ${which}`)
      }),
      Effect.forkScoped
    )
    yield* consumer.run(({ offset, partition, value: { id } }) =>
      Effect.sync(() => {
        if (flags.lose && id === total / 2) return
        seen.handled.set(id, (seen.handled.get(id) ?? 0) + 1)
        seen.byMember.set(name, seen.byMember.get(name)! + 1)
        seen.partitions[partition]!.next = offset + 1
      })
    )
  }).pipe(
    Effect.scoped,
    Effect.tapError((error) => note(`${name} has failed: ${error.message}`))
  )

/** Draws over what it drew before, or prints a line each second. */
const show = Effect.gen(function* () {
  const samples = [View.sample(seen, 0)]
  let drawn = 0
  const once = Effect.map(elapsed, (at) => {
    samples.push(View.sample(seen, at))
    while (samples.length > 2 && at - samples[1]!.at >= 1000) samples.shift()
    if (!process.stdout.isTTY) return process.stdout.write(`${View.line(seen, samples[0]!, at)}\n`)
    const { columns = 80, rows = 24 } = process.stdout
    const color = process.env["NO_COLOR"] === undefined
    const lines = View.picture(seen, samples[0]!, at, columns, color).slice(0, rows - 1)
    const up = drawn === 0 ? "" : `\u001b[${drawn}A`
    drawn = lines.length
    return process.stdout.write(`${up}${lines.map((line) => `${line}\u001b[K\n`).join("")}\u001b[J`)
  })
  const every = process.stdout.isTTY ? "100 millis" : "1 second"
  return yield* Effect.repeat(Effect.delay(once, every), Schedule.forever).pipe(Effect.ensuring(once))
})

const until = (isSo: () => boolean) =>
  Effect.repeat(Effect.sync(isSo), { schedule: Schedule.spaced("20 millis"), until: (is) => is })

const program = Effect.gen(function* () {
  startedAt = yield* Clock.currentTimeMillis
  yield* note(`${total} records to ${partitions} partitions`)
  const showing = yield* Effect.forkScoped(show)
  const start = (name: string) => Effect.forkScoped(member(name))
  const [a, b, c] = [yield* start("a"), yield* start("b"), yield* start("c")]
  const work = Effect.gen(function* () {
    const sending = yield* Effect.forkChild(produce)
    yield* Effect.raceFirst(
      until(() => seen.produced >= total / 2 && seen.byMember.get("c")! > 0),
      Fiber.join(sending)
    )
    yield* note("c leaves: it drains, commits, and gives its partitions back")
    yield* Fiber.interrupt(c)
    yield* note("c has left")
    yield* Fiber.join(sending)
    yield* until(() => seen.handled.size === (flags.lose ? total - 1 : total))
  })
  // a and b end only by failing
  yield* Effect.raceAllFirst([work, Fiber.join(a), Fiber.join(b)]).pipe(
    Effect.timeoutOption(Number(flags.seconds) * 1000)
  )
  yield* Fiber.interrupt(showing)
}).pipe(Effect.scoped)

const compare = Effect.gen(function* () {
  const { ok, text } = View.comparison(seen)
  process.exitCode = ok ? 0 : 1
  yield* Console.log(`${text}, in ${((yield* elapsed) / 1000).toFixed(1)} s`)
})

/** On a real cluster: a topic of its own, which is deleted in the end. */
const topicThere = Effect.gen(function* () {
  const admin = yield* Admin.Admin
  const brokers = yield* Effect.flatMap(Cluster.Cluster, (cluster) => cluster.brokers)
  const replicationFactor = Math.min(3, brokers.length)
  yield* Effect.acquireRelease(
    Effect.flatMap(admin.createTopics([{ name: ticks.name, partitions, replicationFactor }]), ([made]) =>
      Effect.fromResult(made!)
    ),
    () => Effect.ignore(Effect.andThen(admin.deleteGroups([ticks.name]), admin.deleteTopics([ticks.name])))
  )
})

const live = (bootstrap: ReadonlyArray<string>) =>
  Layer.effectDiscard(topicThere).pipe(
    Layer.provide(Admin.layer()),
    Layer.provideMerge(overRdkafka ? RdKafka.layer({ bootstrap }) : Kafka.layer({ bootstrap }))
  )

/** librdkafka has connections of its own, so that the embedded broker must listen for them. */
const listening = Layer.unwrap(
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* broker.createTopic({ name: ticks, partitions })
    return RdKafka.layer({ bootstrap: broker.bootstrap })
  })
).pipe(Layer.provide(EmbeddedKafka.layer({ listen: true })))

const kafka: Layer.Layer<Kafka.Kafka, KafkaError.KafkaError> =
  flags.bootstrap !== undefined
    ? live(flags.bootstrap.split(","))
    : overRdkafka
      ? listening
      : KafkaTest.layer({ topics: [{ name: ticks, partitions }] })

program.pipe(
  Effect.andThen(compare),
  Effect.provide(Producer.layer().pipe(Layer.provideMerge(kafka))),
  NodeRuntime.runMain
)
