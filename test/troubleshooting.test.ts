/**
 * The mistakes of a first program: each prints, within 5 seconds, a line that names the cause and what to do. The lines of
 * `docs/troubleshooting.md` are those of this test: `SAMSA_WRITE=1 npx vitest run test/troubleshooting.test.ts` writes them.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Logger, Redacted, Schema, type Scope } from "effect"
import * as Fs from "node:fs"
import { Assignor, Consumer, Kafka, KafkaError, Membership, Network, Producer, Topic, ZooKeeper } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { pass, scoped, until } from "./consume/Harness.ts"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const elsewhere = Topic.make("oders", { key: Schema.NullOr(Schema.String), value: Schema.String })

/**
 * What is printed within 5 s, by the log at its usual level and by the error that the program ends with. A program that
 * has to get somewhere first says when it is there.
 */
const printed = <A, R>(program: Effect.Effect<A, unknown, R | Scope.Scope>, isThere?: Deferred.Deferred<void>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      if (logLevel !== "Debug") lines.push(String(message))
    })
    const exit = Effect.map(Effect.exit(Effect.scoped(program)), (exit) => {
      if (Exit.isFailure(exit))
        lines.push(String(exit.cause.reasons.map((one) => ("error" in one ? one.error : one)).at(0)))
    })
    yield* Effect.forkScoped(exit.pipe(Effect.provide(Logger.layer([logger]))))
    if (isThere !== undefined) yield* until("it is there", () => Deferred.isDoneUnsafe(isThere))
    yield* pass(5_000, 100)
    return lines
  })

/** A network as TCP is, with what one host does instead of answering. */
const network = (hosts: { readonly [host: string]: "ECONNREFUSED" | "ENOTFOUND" | "silent" | "TLS" }) =>
  Layer.effect(
    Network.Network,
    Effect.map(Network.Network, (network) =>
      Network.Network.of({
        connect: (address, handler) => {
          const { host, port } = address
          const way = hosts[host]
          if (way === undefined) return network.connect(address, handler)
          if (way === "silent") return Effect.never
          if (way === "TLS")
            return Effect.succeed({
              // An alert, as of a port that speaks TLS.
              write: () => handler.onData(Uint8Array.from([21, 3, 3, 0, 2, 2, 22])),
              close: () => {}
            })
          const attempts = [{ address: `${host}:${port}`, cause: way }]
          return Effect.fail(KafkaError.make({ _tag: "Unreachable", attempts }))
        }
      })
    )
  ).pipe(Layer.provide(Layer.fresh(EmbeddedKafka.layerNetwork)))

const client = (options: Kafka.Options, hosts: Parameters<typeof network>[0] = {}) =>
  Layer.fresh(Kafka.layerWithoutNetwork(options)).pipe(Layer.provide(network(hosts)))

const bootstrap = ["embedded-1:9092"]
const sending = (topic: typeof orders | typeof elsewhere = orders) =>
  Effect.flatMap(Producer.make(), (producer) => producer.send(topic as typeof orders, { key: null, value: "v" }))
const reading = (topic: typeof orders | typeof elsewhere = orders, membership = Membership.classic()) =>
  Effect.flatMap(Consumer.subscribe({ topics: [topic], group: "billing", from: "earliest", membership }), (consumer) =>
    consumer.run(() => Effect.void)
  )
const sasl = (username: string, password: string) =>
  ({ mechanism: "SCRAM-SHA-256", username, password: Redacted.make(password) }) as const

const working = Deferred.makeUnsafe<void>()

/** A mistake, the program that makes it, and what its line must say. */
const mistakes: ReadonlyArray<
  readonly [
    title: string,
    program: Effect.Effect<unknown, unknown, EmbeddedKafka.EmbeddedKafka | Scope.Scope>,
    says: RegExp,
    isThere?: Deferred.Deferred<void>
  ]
> = [
  [
    "The port is wrong, or no broker runs there",
    Effect.provide(sending(), client({ bootstrap: ["kafka-1:9093"] }, { "kafka-1": "ECONNREFUSED" })),
    /kafka-1:9093.*ECONNREFUSED.*is the broker up, and the address right \(that in bootstrap/
  ],
  [
    "The host's name is wrong",
    Effect.provide(sending(), client({ bootstrap: ["kafak-1:9092"] }, { "kafak-1": "ENOTFOUND" })),
    /kafak-1:9092.*ENOTFOUND.*is the address right \(that in bootstrap/
  ],
  [
    "A firewall drops what is sent, or the address is of another network",
    Effect.provide(sending(), client({ bootstrap: ["kafka-1:9092"] }, { "kafka-1": "silent" })),
    /still connecting to kafka-1:9092 after 3 s.*firewall/
  ],
  [
    "The cluster advertises addresses that cannot be reached from here (a producer)",
    Effect.flatMap(Producer.make(), (producer) =>
      producer.sendAll(
        orders,
        [0, 1, 2, 3, 4, 5].map((partition) => ({ key: null, value: "v", partition }))
      )
    ).pipe(Effect.provide(client({ bootstrap }, { "embedded-2": "ENOTFOUND", "embedded-3": "ENOTFOUND" }))),
    /broker [23] at embedded-[23]:9092.*ENOTFOUND.*advertised\.listeners/
  ],
  [
    "The cluster advertises addresses that cannot be reached from here (a consumer)",
    Effect.provide(reading(), client({ bootstrap }, { "embedded-2": "silent", "embedded-3": "silent" })),
    /still connecting to broker [23] at embedded-[23]:9092.*advertised\.listeners/
  ],
  [
    "The broker wants TLS",
    Effect.provide(sending(), client({ bootstrap: ["kafka-1:9093"] }, { "kafka-1": "TLS" })),
    /WrongProtocol.*TLS/
  ],
  [
    "A broker that was connected to does not answer",
    Effect.flatMap(EmbeddedKafka.EmbeddedKafka, (broker) =>
      Effect.andThen(broker.inject(Fault.on("Produce").withhold), sending())
    ).pipe(Effect.provide(client({ bootstrap }))),
    /broker \d at embedded-\d:9092 owes the answer to Produce for 3 s/
  ],
  [
    "The password is wrong",
    Effect.provide(sending(), client({ bootstrap, sasl: sasl("app", "hunter2") })),
    /Unauthenticated.*SCRAM-SHA-256/
  ],
  [
    "The broker wants a name and a password",
    Effect.provide(sending(), client({ bootstrap })),
    /at the first request, as listeners do that want SASL/
  ],
  [
    "The topic is not there (a producer)",
    Effect.provide(sending(elsewhere), client({ bootstrap })),
    /there is no topic "oders"; create it \(Admin.createTopics\), or set allowAutoTopicCreation/
  ],
  [
    "The topic is not there (a consumer)",
    Effect.provide(reading(elsewhere), client({ bootstrap })),
    /there is no topic "oders"; create it \(Admin.createTopics\), or set allowAutoTopicCreation/
  ],
  [
    "Members of a group have no assignor in common",
    Effect.gen(function* () {
      const as = (assignor: Assignor.Assignor) =>
        Effect.flatMap(
          Consumer.subscribe({
            topics: [orders],
            group: "billing",
            from: "earliest",
            membership: Membership.classic({ assignors: [assignor] })
          }),
          (consumer) => consumer.run(() => Effect.void)
        )
      yield* Effect.forkScoped(as(Assignor.range))
      yield* Effect.sleep("1 second")
      return yield* as(Assignor.roundRobin)
    }).pipe(Effect.provide(client({ bootstrap }))),
    /GroupRefused.*group "billing".*INCONSISTENT_GROUP_PROTOCOL/
  ],
  [
    "The session time-out is none that the brokers take",
    Effect.provide(reading(orders, Membership.classic({ sessionTimeout: "1 hour" })), client({ bootstrap })),
    /GroupRefused.*INVALID_SESSION_TIMEOUT.*group\.max\.session\.timeout\.ms/
  ],
  [
    "The brokers have no groups of the consumer protocol",
    Effect.provide(reading(orders, Membership.consumer()), client({ bootstrap })),
    /ConsumerGroupHeartbeat/
  ],
  [
    "Another member of the group does not give back what it holds",
    Effect.gen(function* () {
      const works = Effect.flatMap(
        Consumer.subscribe({ topics: [orders], group: "billing", from: "earliest", drainTimeout: "50 seconds" }),
        (consumer) => consumer.run(() => Effect.andThen(Deferred.succeed(working, undefined), Effect.never))
      )
      yield* sending()
      yield* Effect.forkScoped(works)
      yield* Deferred.await(working)
      return yield* reading()
    }).pipe(Effect.provide(client({ bootstrap }))),
    /group billing waits.*another member is at work and has not given back/,
    working
  ],
  [
    "The address of ZooKeeper is wrong, or it does not run",
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      yield* memory.stop
      return yield* memory.connect()
    }),
    /connecting to ZooKeeper at memory \(ECONNREFUSED\) after 3 s: is ZooKeeper up, and its address right \(that in connect\)/
  ],
  [
    "Settings are out of range, or none",
    Effect.provide(sending(), client({ bootstrap: ["kafka-1"], requestTimeout: -1, clinetId: "app" } as Kafka.Options)),
    /Misconfigured.*requestTimeout/
  ]
]

const withSasl = new Set(["The password is wrong", "The broker wants a name and a password"])
const file = new URL("../docs/troubleshooting.md", import.meta.url)
const found = new Map<string, string>()

describe("a first program's mistake", () => {
  for (const [title, program, says, isThere] of mistakes) {
    const cluster = EmbeddedKafka.layer({
      brokers: 3,
      topics: [{ name: orders, partitions: 6 }],
      ...(title.includes("consumer protocol") ? { asVersion: "3.9" as const } : {}),
      ...(withSasl.has(title) ? { sasl: { users: { app: "correct horse" } } } : {})
    })
    it.effect(title, () =>
      Effect.gen(function* () {
        const lines = yield* printed(program, isThere)
        const line = lines.find((line) => says.test(line))
        assert.isDefined(line, `${lines.join("\n")}\nsays nothing of ${says}`)
        assert.notInclude(lines.join(), "hunter2")
        found.set(title, line!)
      }).pipe(scoped, Effect.provide(Layer.fresh(cluster)))
    )
  }

  it.effect("is named by brokers that do not know the newest ApiVersions, too (they closed, it said)", () =>
    Effect.gen(function* () {
      const lines = yield* printed(Effect.provide(sending(), client({ bootstrap })))
      assert.match(lines.join("\n"), /at the first request, as listeners do that want SASL/)
    }).pipe(
      scoped,
      Effect.provide(
        EmbeddedKafka.layer({ topics: [orders], asVersion: "3.9", sasl: { users: { app: "correct horse" } } })
      )
    )
  )

  it("is in the guide, with what it prints", () => {
    const text = Fs.readFileSync(file, "utf8")
    const begin = "<!-- printed -->\n"
    const at = text.indexOf(begin)
    assert.isAbove(at, 0)
    const shown = [...found].map(([title, line]) => `### ${title}\n\n\`\`\`\n${line}\n\`\`\`\n`).join("\n")
    const wanted = `${text.slice(0, at)}${begin}\n${shown}`
    if (process.env.SAMSA_WRITE !== undefined) Fs.writeFileSync(file, wanted)
    // Which broker is asked first, and how long a wait is, is drawn by lot.
    const same = (text: string) =>
      text.replace(/(embedded-|broker )\d/g, "$1N").replace(/for \d s so far/g, "for N s so far")
    assert.strictEqual(same(text), same(wanted))
  })
})
