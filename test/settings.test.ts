/**
 * Every setting of every way to make something, given what is no such value: it is refused by its name, with
 * `Misconfigured`, unless the value is one that the documentation allows. Whoever adds a setting adds it here: the types
 * ask for it.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Redacted } from "effect"
import {
  Admin,
  Consumer,
  KafkaConfig,
  KafkaError,
  Membership,
  Producer,
  RdKafka,
  type Security,
  Telemetry,
  Topic,
  Transaction,
  ZooKeeper
} from "samsa"
import { KafkaTest } from "../src/testing/index.ts"

const wrong: ReadonlyArray<unknown> = [null, "x", 5, {}, Number.NaN, [], true]

/** Of what is `wrong`, that which each setting may be all the same. */
type Legal<O> = { readonly [name in keyof O]-?: ReadonlyArray<unknown> }

type Make = (options: any) => Effect.Effect<unknown, any, any>

const none: ReadonlyArray<unknown> = []
/** Milliseconds. */
const duration = [5]
const count = [5]
const flag = [true]
const text = ["x"]

const mistakesOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<string> | undefined => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  return KafkaError.isKafkaError(error) && error.reason._tag === "Misconfigured" ? error.reason.mistakes : undefined
}

/** What of it is not refused by name. `at`: the setting whose settings these are. */
const taken = <O>(make: Make, base: object, legal: Legal<O>, at = "", put = (one: object): object => one) =>
  Effect.gen(function* () {
    const found: Array<string> = []
    for (const [name, allowed] of Object.entries<ReadonlyArray<unknown>>(legal)) {
      for (const value of wrong) {
        if (allowed.includes(value)) continue
        const exit = yield* Effect.exit(Effect.scoped(make(put({ ...base, [name]: value }))))
        const mistakes = mistakesOf(exit)
        const shown = `${at}${name}: ${typeof value === "number" ? value : JSON.stringify(value)}`
        if (mistakes === undefined) found.push(`${shown}: ${Exit.isSuccess(exit) ? "taken" : String(exit.cause)}`)
        else if (!mistakes.some((one) => one.includes(`${at}${name}`))) found.push(`${shown}: ${mistakes.join("; ")}`)
      }
    }
    return found
  })

/** The same for what is no object of settings at all. */
const takenWhole = (make: Make) =>
  Effect.gen(function* () {
    const found: Array<string> = []
    for (const options of wrong.filter((one) => JSON.stringify(one) !== "{}")) {
      const exit = yield* Effect.exit(Effect.scoped(Effect.suspend(() => make(options))))
      if (mistakesOf(exit) === undefined) found.push(`${String(options)}: ${String(exit)}`)
    }
    return found
  })

const fetch: Legal<Consumer.FetchOptions> = {
  maxWait: duration,
  minBytes: count,
  maxBytes: count,
  maxPartitionBytes: count,
  bufferBytes: count,
  clientRack: text,
  onCorrupt: none,
  checkCrcs: flag
}

const common = {
  isolation: none,
  onOutOfRange: none,
  commitInterval: duration,
  commitEvery: count,
  commitTimeout: duration,
  drainTimeout: duration,
  closeTimeout: duration,
  apiTimeout: duration,
  maxRecords: count,
  maxPartitions: count,
  progressTimeout: duration,
  onStalled: none,
  fetch: [wrong[3]],
  from: none,
  onUndecodable: none
}

const group = {
  ...common,
  group: text,
  resetOnStart: flag,
  membership: none,
  onAssigned: none,
  onRevoked: none,
  onLost: none
}

const subscribe: Legal<Consumer.SubscribeOptions<any>> = { ...group, topics: none }
const subscribePattern: Legal<Consumer.SubscribePatternOptions> = { ...group, pattern: none }
const assign: Legal<Consumer.AssignOptions<any>> = {
  ...common,
  group: text,
  until: none,
  topic: text,
  topics: none,
  partitions: [wrong[5]]
}

const client: Legal<KafkaConfig.Options> = {
  bootstrap: none,
  clientId: text,
  connect: none,
  bootstrapTimeout: duration,
  connectTimeout: duration,
  requestTimeout: duration,
  metadataTimeout: duration,
  metadataMaxAge: duration,
  allowAutoTopicCreation: flag,
  maxResponseBytes: count,
  maxPendingResponseBytes: count,
  keepAlive: duration,
  connectionsMaxIdle: duration,
  tls: [wrong[3], true],
  sasl: none,
  sourceAddress: none,
  brokerVersion: none,
  retry: none
}

const tls: Legal<Security.Tls> = {
  ca: none,
  cert: none,
  key: none,
  passphrase: none,
  servername: text,
  checkServerName: flag
}

const producer: Legal<Producer.Options> = {
  acks: [5],
  idempotent: flag,
  compression: none,
  compressionLevel: none,
  linger: duration,
  minQueued: count,
  batchBytes: count,
  maxRequestBytes: count,
  maxMessageBytes: count,
  maxInFlight: count,
  requestTimeout: duration,
  ackTimeout: duration,
  deliveryTimeout: duration,
  retry: none,
  closeTimeout: duration,
  bufferBytes: count,
  bufferRecords: count,
  whenFull: none,
  partitioner: none
}

const { acks: _acks, idempotent: _idempotent, ...sending } = producer
const telemetry: Legal<Telemetry.Options> = { closeTimeout: duration, timeout: duration }

const transaction: Legal<Transaction.Options> = {
  ...sending,
  transactionalId: text,
  transactionTimeout: duration,
  apiTimeout: duration
}
const processing: Legal<Transaction.ProcessOptions<never>> = { maxRecords: count, maxTime: duration, retry: none }

const classic: Legal<Membership.ClassicOptions> = {
  assignors: none,
  sessionTimeout: none,
  heartbeatInterval: duration,
  rebalanceTimeout: duration,
  instanceId: text,
  metadataMaxAge: duration,
  heartbeat: none,
  rejoin: none,
  leaveTimeout: duration
}

const consumerGroup: Legal<Membership.ConsumerOptions> = {
  assignor: text,
  rebalanceTimeout: duration,
  sessionTimeout: duration,
  instanceId: text,
  rack: text,
  metadataMaxAge: duration,
  heartbeat: none,
  rejoin: none,
  leaveTimeout: duration
}

const inZooKeeper: Legal<Membership.ZooKeeperOptions> = {
  layout: none,
  assignor: none,
  claim: none,
  rebalanceMaxRetries: count,
  rebalanceBackoff: duration,
  offsets: none,
  metadataMaxAge: duration,
  leaveTimeout: duration
}

const timeouts: Legal<ZooKeeper.Timeouts> = {
  sessionTimeout: duration,
  connectTimeout: duration,
  requestTimeout: duration,
  retry: none
}

const zooKeeper: Legal<ZooKeeper.Options> = { ...timeouts, connect: text, auth: none, acl: none }

const policy: Legal<Consumer.RunPolicy<never>> = {
  order: none,
  concurrency: count,
  maxConcurrency: count,
  retry: none,
  deadLetter: none
}

const inGroup = { group: "g", from: "earliest", topics: ["t"] }
const within = (effect: Effect.Effect<void, unknown, any>) =>
  Effect.scoped(Effect.provide(effect, KafkaTest.layer({ topics: ["t"] }))) as Effect.Effect<void, unknown>

const joined =
  (membership: (options: any) => Membership.Membership<any>): Make =>
  (options) =>
    Effect.suspend(() => Consumer.subscribe({ ...inGroup, from: "earliest", membership: membership(options) })) as never

describe("a setting of the wrong kind is refused by its name", () => {
  it.effect("of consumers, each way", () =>
    within(
      Effect.gen(function* () {
        const { pattern, ...byPattern } = { ...inGroup, topics: undefined, pattern: /t/ }
        assert.deepStrictEqual(yield* taken(Consumer.subscribe, inGroup, subscribe), [])
        assert.deepStrictEqual(yield* taken(Consumer.subscribePattern, { ...byPattern, pattern }, subscribePattern), [])
        assert.deepStrictEqual(yield* taken(Consumer.assign, { topic: "t", from: "earliest" }, assign), [])
        for (const [make, base] of [
          [Consumer.subscribe, inGroup],
          [Consumer.assign, { topic: "t", from: "earliest" }]
        ] as ReadonlyArray<[Make, object]>) {
          const put = (one: object) => ({ ...base, fetch: one })
          assert.deepStrictEqual(yield* taken(make, {}, fetch, "fetch.", put), [])
        }
        for (const make of [Consumer.subscribe, Consumer.subscribePattern, Consumer.assign] as ReadonlyArray<Make>)
          assert.deepStrictEqual(yield* takenWhole(make), [])
      })
    )
  )

  it.effect("of telemetry", () =>
    within(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* taken(Telemetry.make, {}, telemetry), [])
        assert.deepStrictEqual(yield* takenWhole(Telemetry.make), [])
      })
    )
  )

  it.effect("of transactions", () =>
    within(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* taken(Transaction.make, { transactionalId: "id" }, transaction), [])
        assert.deepStrictEqual(yield* takenWhole(Transaction.make), [])
        for (const name of ["acks", "idempotent"]) {
          const exit = yield* Effect.exit(Transaction.make({ transactionalId: "id", [name]: true }))
          assert.include(mistakesOf(exit)?.join("; "), `"${name}" is no setting here`)
        }
        const transactions = yield* Transaction.make({ transactionalId: "id" })
        const consumer = yield* Consumer.subscribe({ ...inGroup, from: "earliest" })
        const process: Make = (options) => transactions.process(consumer, () => Effect.void, options)
        assert.deepStrictEqual(yield* taken(process, {}, processing), [])
        assert.deepStrictEqual(yield* takenWhole(process), [])
        const none = yield* Effect.exit(transactions.process(consumer, undefined as never))
        assert.include(mistakesOf(none)?.join("; "), "no function")
      })
    )
  )

  it.effect("of a topic, and of partitions, one by one", () =>
    within(
      Effect.gen(function* () {
        const refused = (make: Make, options: object, mistake: string) =>
          Effect.map(Effect.exit(Effect.scoped(make(options))), (exit) =>
            assert.include(mistakesOf(exit)?.join("; "), mistake, JSON.stringify(options))
          )
        for (const one of wrong.filter((one) => one !== "x")) {
          yield* refused(Consumer.subscribe, { ...inGroup, topics: ["t", one] }, "topics is a list of Topics")
          if (one !== 5)
            yield* refused(Consumer.assign, { topic: "t", from: "earliest", partitions: [one] }, "partitions")
        }
        for (const name of ["x".repeat(40_000), "\ud800"]) {
          const named = "is no topic's name: 1 to 249 letters"
          yield* refused(Consumer.assign, { topic: name, from: "earliest" }, named)
          yield* refused(Consumer.assign, { topic: Topic.bytes(name), from: "earliest" }, named)
          yield* refused(Consumer.subscribe, { ...inGroup, topics: ["t", name] }, named)
        }
        const several = { topics: ["t", "u"], from: "earliest" }
        yield* refused(
          Consumer.assign,
          { ...several, partitions: [0] },
          "partitions of topics are { topic, partition }"
        )
        yield* refused(Consumer.assign, { ...several, topic: "t" }, "topic or topics")
        yield* refused(Consumer.assign, { from: "earliest" }, "topic or topics")
      })
    )
  )

  it.effect("where it has no text: a Symbol, or an object without a prototype", () =>
    within(
      Effect.gen(function* () {
        const textless: ReadonlyArray<unknown> = [
          Symbol("s"),
          Object.create(null),
          {
            [Symbol.toPrimitive]() {
              throw new Error("has no text")
            }
          }
        ]
        const assign = { topic: "t", from: "earliest" }
        const at = (offset: unknown) => ({ _tag: "At", offset })
        const ways: ReadonlyArray<readonly [Make, (value: unknown) => object, string]> = [
          [Producer.make, (acks) => ({ acks }), "acks"],
          [Producer.make, (level) => ({ compression: "gzip", compressionLevel: level }), "compressionLevel"],
          [Consumer.subscribe, (from) => ({ ...inGroup, from }), "from"],
          [Consumer.subscribe, (offset) => ({ ...inGroup, from: at(offset) }), "from"],
          [Consumer.assign, (until) => ({ ...assign, until }), "until"],
          [Consumer.assign, (offset) => ({ ...assign, until: at(offset) }), "until"]
        ]
        for (const value of textless)
          for (const [make, options, name] of ways) {
            const exit = yield* Effect.exit(Effect.scoped(Effect.suspend(() => make(options(value)))))
            assert.include(mistakesOf(exit)?.join("; ") ?? String(exit), name)
            assert.isDefined(mistakesOf(exit), String(exit))
          }
        const producer = yield* Producer.make()
        const consumer = yield* Consumer.assign({ topic: "t", from: "earliest" })
        for (const value of textless) {
          const entry = { key: null, value: null, timestamp: value as number }
          const sent = yield* Effect.exit(producer.send(Topic.bytes("t"), entry))
          assert.include(String(sent), "Misuse: a timestamp is")
          const sought = yield* Effect.exit(consumer.seek({ topic: "t", partition: 0 }, at(value) as never))
          assert.include(String(sought), "an offset must be a whole number")
        }
      })
    )
  )

  it.effect("what another way to read knows is none here", () =>
    within(
      Effect.gen(function* () {
        const refused = (make: Make, options: object, mistake: string) =>
          Effect.map(Effect.exit(Effect.scoped(make(options))), (exit) =>
            assert.deepStrictEqual(mistakesOf(exit), [mistake])
          )
        for (const name of ["topic", "partitions", "until"])
          yield* refused(
            Consumer.subscribe,
            { ...inGroup, [name]: "x" },
            `"${name}" is no setting here: it is one of Consumer.assign`
          )
        for (const name of ["membership", "resetOnStart", "onRevoked"])
          yield* refused(
            Consumer.assign,
            { topic: "t", from: "earliest", [name]: "x" },
            `"${name}" is no setting here: it is one of Consumer.subscribe and of Consumer.subscribePattern`
          )
        yield* refused(
          Consumer.subscribe,
          { ...inGroup, pattern: /t/ },
          `"pattern" is no setting here: it is one of Consumer.subscribePattern`
        )
      })
    )
  )

  it.effect("of run", () =>
    within(
      Effect.gen(function* () {
        const consumer = yield* Consumer.subscribe({ group: "g", topics: ["t"], from: "earliest" })
        const run: Make = (options) => consumer.run(() => Effect.void, options)
        assert.deepStrictEqual(yield* taken(run, {}, policy), [])
        assert.deepStrictEqual(yield* takenWhole(run), [])
        for (const handler of wrong)
          assert.isDefined(mistakesOf(yield* Effect.exit(consumer.run(handler as never))), String(handler))
      })
    )
  )

  it.effect("of clients, and of their security", () =>
    within(
      Effect.gen(function* () {
        const base = { bootstrap: ["b:9092"] }
        assert.deepStrictEqual(yield* taken(KafkaConfig.make, base, client), [])
        assert.deepStrictEqual(yield* taken(KafkaConfig.makeWithoutBootstrap, {}, client), [])
        assert.deepStrictEqual(yield* taken(KafkaConfig.make, {}, tls, "tls.", (tls) => ({ ...base, tls })), [])
        const password = { username: "a", password: Redacted.make("b") }
        for (const [settings, legal] of [
          [
            { mechanism: "PLAIN", ...password },
            { mechanism: none, username: text, password: none }
          ],
          [
            { mechanism: "SCRAM-SHA-256", ...password },
            { mechanism: none, username: text, password: none, maxIterations: none }
          ],
          [
            { mechanism: "OAUTHBEARER", token: Effect.succeed(Redacted.make("t")) },
            { mechanism: none, token: none, extensions: [wrong[3]] }
          ],
          [
            { mechanism: "AWS_MSK_IAM", region: "x", credentials: Effect.never },
            { mechanism: none, region: text, credentials: none }
          ]
        ] as ReadonlyArray<[object, Legal<object>]>) {
          const put = (sasl: object) => ({ ...base, tls: true, sasl })
          assert.deepStrictEqual(yield* taken(KafkaConfig.make, settings, legal, "sasl.", put), [])
        }
        assert.deepStrictEqual(yield* takenWhole(KafkaConfig.make), [])
        assert.deepStrictEqual(yield* takenWhole(KafkaConfig.makeWithoutBootstrap), [])
      })
    )
  )

  it.effect("of producers", () =>
    within(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* taken(Producer.make, {}, producer), [])
        assert.deepStrictEqual(yield* takenWhole(Producer.make), [])
      })
    )
  )

  it.effect("of groups", () =>
    within(
      Effect.gen(function* () {
        for (const [membership, legal] of [
          [Membership.classic, classic],
          [Membership.consumer, consumerGroup],
          [Membership.auto, { ...consumerGroup, ...classic }],
          [Membership.zooKeeper, inZooKeeper]
        ] as ReadonlyArray<[(options: any) => Membership.Membership<any>, Legal<object>]>) {
          assert.deepStrictEqual(yield* taken(joined(membership), {}, legal), [])
          assert.deepStrictEqual(yield* takenWhole(joined(membership)), [])
          assert.include(membership({ nonsense: 1 }).mistakes, `"nonsense" is no setting`)
        }
      })
    )
  )

  it.effect("of ZooKeeper", () =>
    within(
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* taken(ZooKeeper.make, { connect: "z:2181" }, zooKeeper), [])
        assert.deepStrictEqual(yield* takenWhole(ZooKeeper.make), [])
        const memory: Make = (options) => Effect.flatMap(ZooKeeper.makeMemory, ({ connect }) => connect(options))
        assert.deepStrictEqual(yield* taken(memory, {}, timeouts), [])
        assert.deepStrictEqual(yield* takenWhole(memory), [])
      })
    )
  )

  it.effect("of librdkafka", () =>
    Effect.gen(function* () {
      const legal: Legal<RdKafka.Native> = { properties: wrong }
      const build: Make = (options) => Layer.build(RdKafka.layer(options))
      const base = { bootstrap: ["b:9092"], connect: "lazily" }
      assert.deepStrictEqual(yield* taken(build, base, { ...legal, properties: [wrong[3]] }), [])
      assert.deepStrictEqual(yield* taken(build, base, { clientId: text, properties: [wrong[3]] }), [])
      assert.deepStrictEqual(yield* takenWhole(build), [])
    })
  )

  it.effect("of an Admin", () =>
    within(
      Effect.gen(function* () {
        const legal: Legal<Admin.Options> = { timeout: duration, retry: none }
        assert.deepStrictEqual(yield* taken(Admin.make, {}, legal), [])
        assert.deepStrictEqual(yield* takenWhole(Admin.make), [])
        assert.isDefined(mistakesOf(yield* Effect.exit(Admin.make({ nonsense: 1 } as never))))
      })
    )
  )
})
