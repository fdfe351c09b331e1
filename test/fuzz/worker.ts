/**
 * One process of the fuzzer: hostile brokers and the clients that ask them, until so many hostile answers went out.
 * node --conditions=samsa-source test/fuzz/worker.ts <answers> <seed> <seconds>; prints one line of JSON.
 */
import { Cause, Context, Effect, Exit, Layer, Logger, References, Redacted, Schema, Stream } from "effect"
import { monitorEventLoopDelay } from "node:perf_hooks"
import * as Consumer from "../../src/Consumer.ts"
import { Brokers } from "../../src/Broker.ts"
import * as Cluster from "../../src/Cluster.ts"
import * as Kafka from "../../src/Kafka.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as KafkaConfig from "../../src/KafkaConfig.ts"
import * as NativeBrokers from "../../src/NativeBrokers.ts"
import * as NodeNetwork from "../../src/NodeNetwork.ts"
import * as Producer from "../../src/Producer.ts"
import { all } from "../../src/protocol/Api.ts"
import * as Topic from "../../src/Topic.ts"
import { certificates } from "../network/Certificates.ts"
import { type Hostile, listen, type Target } from "./Broker.ts"
import { chance } from "./Grammar.ts"

const wanted = Number(process.argv[2] ?? 1000)
const seed = Number(process.argv[3] ?? 1)
/** When it stops, whatever is wanted. */
const until = performance.now() + Number(process.argv[4] ?? Infinity) * 1000
const goesOn = () => hostile.answers < wanted && performance.now() < until
const r = chance(seed)

/** Time that may pass beyond every time-out before an end is called a hang. */
const hangMillis = 30_000
const requestTimeout = 250

const ends: { [how: string]: number } = { value: 0, typed: 0, defect: 0, hang: 0, uncaught: 0 }
const worst = { millis: 0, what: "" }
const found: Array<string> = []
const tags: { [reason: string]: number } = {}
const hostile: Hostile = { answers: 0, last: [] }

const shown = () =>
  hostile.last.map(
    ({ api, bytes, version }) => `${api} v${version} ${Buffer.from(bytes.subarray(0, 400)).toString("hex")}`
  )

process.on("uncaughtException", (error) => {
  ends["uncaught"]!++
  found.push(`uncaught: ${error.stack ?? error}; ${shown().join(" | ")}`)
})
process.on("unhandledRejection", (error) => {
  ends["uncaught"]!++
  found.push(`unhandled: ${String(error)}`)
})

/** Runs something to its end, and notes how that was and how long it took. */
const noted = <A, R>(what: string, effect: Effect.Effect<A, unknown, R>) =>
  Effect.gen(function* () {
    const from = performance.now()
    const exit = yield* Effect.exit(Effect.timeoutOption(effect, hangMillis))
    const millis = performance.now() - from
    let how = "value"
    let tag = how
    if (Exit.isSuccess(exit)) how = exit.value._tag === "None" ? "hang" : "value"
    else {
      how = Cause.hasDies(exit.cause) ? "defect" : "typed"
      const error = Cause.squash(exit.cause)
      tag = error instanceof KafkaError.KafkaError ? error.reason._tag : how
    }
    ends[how]!++
    if (millis > worst.millis) Object.assign(worst, { millis, what })
    if (how === "defect" || how === "hang")
      found.push(`${how} of ${what}: ${Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""}; ${shown().join(" | ")}`)
    return tag
  })

const sasl = { mechanism: "PLAIN", username: "u", password: Redacted.make("p") } as const
const settings = (port: number, secure: boolean, authenticates: boolean): Kafka.Options => ({
  bootstrap: [`127.0.0.1:${port}`],
  requestTimeout,
  // Long enough for a machine that has much to do.
  connectTimeout: 5000,
  metadataTimeout: 400,
  bootstrapTimeout: 1500,
  ...(secure ? { tls: { ca: certificates.ca } } : {}),
  ...(authenticates ? { sasl } : {})
})

/** Every API at every version, asked of one broker on a connection of one's own. */
const lane = (port: number, secure: boolean, authenticates: boolean, name: string) =>
  Effect.gen(function* () {
    const broker = yield* (yield* Brokers).at("127.0.0.1", port)
    const asked = all.filter(
      ({ Request, name }) => Request.key >= 0 && !name.startsWith("Sasl") && name !== "ApiVersions"
    )
    let channel = 0
    while (goesOn()) {
      const api = r.pick(asked)
      const [min, max] = api.Request.stable
      const version = min + r.below(max - min + 1)
      const on = `${name}-${channel}`
      const how = yield* noted(
        `${secure ? "TLS " : ""}${authenticates ? "SASL " : ""}${api.name} v${version}`,
        broker.send(api as never, () => ({}) as never, {
          channel: on,
          maxVersion: version,
          minVersion: version,
          timeout: requestTimeout
        })
      )
      tags[how] = (tags[how] ?? 0) + 1
      // A connection that has ended in vain would be made again ever later.
      if (!["value", "Misuse", "Unsupported", "Server"].includes(how) || r.below(50) === 0) {
        broker.hangUp(on)
        channel++
      }
    }
  })

/** What is asked before anything else: each time on another connection. */
const strangersLane = (port: number, secure: boolean, authenticates: boolean, name: string) =>
  Effect.gen(function* () {
    let channel = 0
    while (goesOn()) {
      // Another client each time, since what is known of an address is remembered.
      yield* Effect.scoped(
        Effect.gen(function* () {
          const brokers = yield* Layer.build(brokersOf(port, secure, authenticates))
          const broker = yield* Context.get(brokers, Brokers).at("127.0.0.1", port)
          yield* noted(
            `${secure ? "TLS " : ""}${authenticates ? "SASL " : ""}negotiation`,
            broker.offer({ channel: `${name}-${channel++}` })
          )
        })
      )
    }
  })

const brokersOf = (port: number, secure: boolean, authenticates: boolean) =>
  NativeBrokers.layer.pipe(
    Layer.provide(KafkaConfig.layer(settings(port, secure, authenticates))),
    Layer.provide(NodeNetwork.layer),
    Layer.fresh
  )

const topic = Topic.make("t", { key: Schema.NullOr(Schema.String), value: Schema.String })

/** Whole clients: a producer, a member of a group, and who asks the cluster. */
const client = (port: number, secure: boolean, authenticates: boolean) =>
  Effect.gen(function* () {
    while (goesOn()) {
      const what = `${secure ? "TLS " : ""}${authenticates ? "SASL " : ""}client`
      const program = Effect.gen(function* () {
        const cluster = yield* Cluster.Cluster
        yield* Effect.ignore(cluster.topics(null))
        yield* Effect.ignore(cluster.offsets([{ topic: "t", partition: 0, at: "latest" }]))
        const producer = yield* Producer.make({ deliveryTimeout: 700, requestTimeout, closeTimeout: 100 })
        yield* Effect.ignore(producer.send(topic, { value: "x" }))
        const consumer = yield* Consumer.subscribe({
          group: "g",
          topics: [topic],
          from: "earliest",
          drainTimeout: 100,
          commitTimeout: 200,
          commitInterval: 50
        })
        yield* consumer.stream.pipe(
          Stream.runForEach((record) =>
            Effect.andThen(
              Effect.sync(() => JSON.stringify(record)),
              Consumer.done(record)
            )
          ),
          Effect.timeoutOption(300)
        )
      })
      yield* noted(
        what,
        program.pipe(Effect.scoped, Effect.provide(Layer.fresh(Kafka.layer(settings(port, secure, authenticates)))))
      )
    }
  })

const program = Effect.gen(function* () {
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const base = process.memoryUsage.rss()
  let rss = base
  /** What went out last when it was at its most. */
  let atMost = ""
  const watch = setInterval(() => {
    const now = process.memoryUsage.rss()
    if (now <= rss) return
    rss = now
    atMost = hostile.last.map(({ api, bytes, version }) => `${api} v${version} of ${bytes.length}`).join(", ")
  }, 20)
  const from = performance.now()
  const lanes: Array<Effect.Effect<void, unknown, never>> = []
  for (const secure of [false, true])
    for (const authenticates of [false, true]) {
      const open = (target: Target) => listen(target, secure, r, hostile)
      const port = yield* open("all")
      const stranger = yield* open("strangers")
      const direct = Array.from({ length: secure ? 2 : 16 }, (_, i) => lane(port, secure, authenticates, `f${i}`))
      lanes.push(
        Effect.provide(
          Effect.all(direct, { concurrency: "unbounded", discard: true }),
          brokersOf(port, secure, authenticates)
        ),
        ...Array.from({ length: secure ? 1 : 4 }, (_, i) => strangersLane(stranger, secure, authenticates, `s${i}`)),
        client(port, secure, authenticates),
        client(port, secure, authenticates)
      )
    }
  yield* Effect.all(lanes, { concurrency: "unbounded", discard: true })
  clearInterval(watch)
  delay.disable()
  const report = {
    answers: hostile.answers,
    seed,
    ends,
    tags,
    seconds: Math.round((performance.now() - from) / 100) / 10,
    rssMiB: Math.round(rss / 1048576),
    rssAfter: atMost,
    rssAtStartMiB: Math.round(base / 1048576),
    loopDelayMillis: { max: Math.round(delay.max / 1e6), p999: Math.round(delay.percentile(99.9) / 1e6) },
    worst: { what: worst.what, millis: Math.round(worst.millis) },
    found: found.slice(0, 20)
  }
  process.stdout.write(`${JSON.stringify(report)}\n`)
}).pipe(Effect.scoped, Effect.provide(Logger.layer([])), Effect.provideService(References.MinimumLogLevel, "None"))

Effect.runPromise(program).then(
  () => process.exit(0),
  (error) => {
    process.stderr.write(`${String(error)}\n`)
    process.exit(1)
  }
)
