/** Client telemetry (KIP-714) to a receiver of Apache Kafka, which reads it with OpenTelemetry's own classes. */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { afterAll, assert, layer } from "@effect/vitest"
import { Effect, Layer, Schedule, Schema } from "effect"
import { Admin, Kafka, NodeNetwork, Producer, Telemetry, Topic } from "samsa"
import * as Names from "../../src/telemetry/Names.ts"
import * as Client from "../parity/Client.ts"
import * as Script from "../testing/TelemetryScript.ts"
import * as Admins from "./Admins.ts"
import * as KafkaNode from "./KafkaNode.ts"
import * as KafkaServer from "./KafkaServer.ts"
import * as Processes from "./Processes.ts"

const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "samsa-telemetry-"))
const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })

afterAll(() => Fs.rmSync(folder, { recursive: true, force: true }))

/** A line of the receiver. */
const pushesIn = (file: string) =>
  Effect.sync(() =>
    (Fs.existsSync(file) ? Fs.readFileSync(file, "utf8") : "")
      .split("\n")
      .slice(0, -1)
      .map((line) => {
        const [instance, terminating, clientId, contentType, ...points] = line.split("\t")
        return {
          instance,
          terminating: terminating === "true",
          clientId,
          contentType,
          points: points.map((point) => {
            const [name, temporality, value, ...labels] = point.split(" ")
            return { name: name!, temporality: Number(temporality), value: Number(value), labels }
          })
        }
      })
  )
type Push = Effect.Success<ReturnType<typeof pushesIn>>[number]
const pushIn = (file: string, what: string, is: (push: Push) => boolean) =>
  Effect.flatMap(pushesIn(file), (all) => {
    const found = all.find(is)
    return found === undefined
      ? Effect.fail(new Error(`${what} never came; ${all.length} others did`))
      : Effect.succeed(found)
  }).pipe(Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 1200 }))

const clientOf = ({ bootstrap: [address] }: KafkaServer.KafkaServer["Service"], clientId: string) => {
  const [host, port] = address!.split(":") as [string, string]
  const network = NodeNetwork.make()
  return Client.connect((handler) => network.connect({ host, port: Number(port) }, handler), {
    clientId,
    transcript: []
  })
}

/** Subscribes to all of that client, and waits until it would hear of that. */
const subscribeTo = (name: string, clientId: string) =>
  Effect.gen(function* () {
    yield* subscribe(name, ["*"], 200, `client_id=${clientId}`)
    yield* Script.firstWanted(yield* clientOf(yield* KafkaServer.KafkaServer, clientId))
  }).pipe(Effect.scoped)

const subscribe = (name: string, metrics: ReadonlyArray<string>, interval: number, match: string) =>
  Effect.gen(function* () {
    const admin = yield* Admin.Admin
    yield* admin
      .alterConfigs([
        { type: "client-metrics", name, set: { metrics: metrics.join(","), "interval.ms": interval, match } }
      ])
      .pipe(Admin.orFail)
  }).pipe(Admins.withAdmin)

/** A client that is told of, with a producer. */
const shop = Layer.unwrap(
  Effect.map(KafkaServer.KafkaServer, ({ bootstrap }) =>
    Producer.layer().pipe(
      Layer.provideMerge(Telemetry.layer()),
      Layer.provideMerge(Kafka.layer({ bootstrap, clientId: "shop" }))
    )
  )
)

/** What Java's clients tell, and this one does not, as the guide lists it: names, with `…` for either client and `*` for anything. */
const notTold = () => {
  const guide = Fs.readFileSync(new URL("../../docs/observability.md", import.meta.url), "utf8")
  const table = guide.slice(guide.indexOf("These are told by Java's clients, and not by this one"))
  const names = table
    .split("\n")
    .flatMap((line) => (line.startsWith("| `") ? line.split("|")[1]!.match(/[^`, ]+/g)! : []))
  const pattern = (name: string) =>
    name.replaceAll(".", "[.]").replaceAll("*", ".*").replace(/^…/, "(producer|consumer)")
  return new RegExp(`^org[.]apache[.]kafka[.](${names.map(pattern).join("|")})$`)
}

for (const version of ["3.9.2", "4.0.2", "4.4.0"] as const) {
  const file = Path.join(folder, version)
  const pushes = pushesIn(file)
  const pushOf = (what: string, is: (push: Push) => boolean) => pushIn(file, what, is)
  layer(
    KafkaServer.layer({
      version,
      javaClass: "TelemetryReceiver.java",
      properties: {
        "metric.reporters": "TelemetryReceiver",
        "samsa.telemetry.file": file,
        "telemetry.max.bytes": Script.maxBytes
      }
    }),
    { excludeTestServices: true }
  )(`client telemetry, Apache Kafka ${version}`, (it) => {
    it.effect("answers raw requests as the embedded broker does", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const client = yield* clientOf(server, "raw")
        const { interval, metrics } = Script.subscription
        const wanted = Effect.provideService(
          subscribe("some", metrics, interval, "client_id=raw"),
          KafkaServer.KafkaServer,
          server
        )
        const steps = yield* Script.ask(client, wanted)
        assert.deepStrictEqual(steps, version === "3.9.2" ? Script.answersOf3 : Script.answers)
      }).pipe(Effect.scoped)
    )

    it.effect("receives what is counted, and a last push when the client closes", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic("orders")
        yield* subscribeTo("ours", "shop")
        const id = yield* Effect.gen(function* () {
          const producer = yield* Producer.Producer
          yield* producer.sendAll(
            orders,
            Array.from({ length: 10 }, () => ({ key: null, value: "v" }))
          )
          const push = yield* pushOf("a push", ({ clientId }) => clientId === "shop")
          assert.isFalse(push.terminating)
          const { clientInstanceId } = yield* Telemetry.Telemetry
          assert.strictEqual(push.instance, yield* clientInstanceId)
          yield* producer.sendAll(
            orders,
            Array.from({ length: 5 }, () => ({ key: null, value: "v" }))
          )
          return push.instance
        }).pipe(Effect.scoped, Effect.provide(shop))
        const last = yield* pushOf("the last push", ({ instance, terminating }) => instance === id && terminating)
        assert.strictEqual(last.contentType, "OTLP")
        const mine = (yield* pushes).filter(({ instance }) => instance === id)
        assert.deepStrictEqual(mine.at(-1), last)
        const sum = (name: string) =>
          mine.reduce(
            (sum, { points }) =>
              points.reduce((all, one) => (one.name === `org.apache.kafka.${name}` ? all + one.value : all), sum),
            0
          )
        // By delta: each push has what came since the one before.
        assert.strictEqual(sum("producer.record.send.total"), 15)
        assert.isAbove(sum("producer.connection.creation.total"), 0)
        const names = new Set(mine.flatMap(({ points }) => points.map(({ name }) => name)))
        for (const name of ["producer.node.request.latency.avg", "producer.record.queue.time.max"])
          assert.include([...names], `org.apache.kafka.${name}`)
        const latency = mine.flatMap(({ points }) =>
          points.filter(({ name }) => name.endsWith("node.request.latency.avg"))
        )
        assert.deepStrictEqual(latency[0]!.labels, ["node_id=node-1"])
      })
    )

    it.effect("hears of us by the names and labels by which it hears of Java's producer and consumer", () =>
      Effect.gen(function* () {
        const { bootstrap, classPath, createTopic } = yield* KafkaServer.KafkaServer
        yield* createTopic("java")
        yield* subscribeTo("java", "java")
        const ours = Names.rows.flatMap((row) =>
          row.role === "all"
            ? [...Names.namesOf(row, "producer"), ...Names.namesOf(row, "consumer")]
            : Names.namesOf(row, row.role)
        )
        const args = [bootstrap[0]!, "java", file, ...new Set(ours)]
        yield* Processes.run(KafkaNode.tool(classPath, "TelemetryReceiver", args), { folder })
        const java = (yield* pushes).filter(({ clientId }) => clientId === "java").flatMap(({ points }) => points)
        const theirs = new Set(java.map(({ name }) => name))
        assert.deepStrictEqual(
          ours.filter((name) => !theirs.has(name)),
          []
        )
        const isNotTold = notTold()
        assert.deepStrictEqual(
          [...theirs].filter((name) => !ours.includes(name) && !isNotTold.test(name)),
          []
        )
        const labels = (name: string) => java.find((point) => point.name === `org.apache.kafka.${name}`)?.labels
        assert.match(labels("producer.node.request.latency.avg")![0]!, /^node_id=node-/)
        assert.deepStrictEqual(labels("producer.topic.record.send.total"), ["topic=java"])
        assert.match(labels("consumer.node.request.total")![0]!, /^node_id=node-/)
      })
    )
  })
}
