/** Requests that are repeated: how many there are in a second of the test's clock, where nothing helps. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Cluster } from "../../src/Cluster.ts"
import * as Consumer from "../../src/Consumer.ts"
import * as Kafka from "../../src/Kafka.ts"
import { Network } from "../../src/Network.ts"
import * as Producer from "../../src/Producer.ts"
import * as Topic from "../../src/Topic.ts"
import { fake } from "../connection/Fakes.ts"
import * as Answers from "./Answers.ts"
import type { Answer, Options } from "./Answers.ts"
import * as InProcess from "./InProcess.ts"

/** Runs for some seconds, and gives how many requests of each API there were in a second of the last half of them. */
const ratesOf = <A, E>(
  answers: Options["answers"],
  use: Effect.Effect<A, E, Kafka.Kafka>,
  { partitions, seconds = 10 }: { readonly partitions?: number; readonly seconds?: number } = {}
) =>
  Effect.gen(function* () {
    const { broker, layer } = yield* InProcess.make({ answers, partitions }, { metadataTimeout: "1 minute" })
    return yield* Effect.gen(function* () {
      yield* Cluster
      yield* Effect.forkScoped(Effect.ignore(use), { startImmediately: true })
      let before: { readonly [api: string]: number } = {}
      for (let second = 0; second < seconds; second++) {
        if (second === seconds >>> 1) before = { ...broker.counts }
        for (let i = 0; i < 100; i++) yield* TestClock.adjust("10 millis")
      }
      const rate = (api: string) => (broker.counts[api]! - (before[api] ?? 0)) / (seconds - (seconds >>> 1))
      return Object.fromEntries(Object.keys(broker.counts).map((api) => [api, rate(api)]))
    }).pipe(Effect.provide(Layer.fresh(layer)), Effect.scoped)
  })

const inASecond = <A, E>(api: string, answers: Options["answers"], use: Effect.Effect<A, E, Kafka.Kafka>) =>
  Effect.map(ratesOf(answers, use), (rates) => {
    assert.isDefined(rates[api])
    return rates[api] ?? 0
  })

const notLeader = 6
const notAvailable = 15
const unknownTopicId = 100

describe("in a second there are few", () => {
  it.effect("ListOffsets, and metadata, where a leader says that it is none", () =>
    Effect.gen(function* () {
      const answers: Options["answers"] = {
        ListOffsets: ({ body }) => ({
          topics: body.topics.map(({ name, partitions }: any) => ({
            name,
            partitions: partitions.map(({ partitionIndex }: any) => ({ partitionIndex, errorCode: notLeader }))
          }))
        })
      }
      const offsets = Effect.flatMap(Cluster, (c) => c.offsets([{ topic: "t", partition: 0, at: "latest" }]))
      assert.isAtMost(yield* inASecond("ListOffsets", answers, offsets), 2)
      assert.isAtMost(yield* inASecond("Metadata", answers, offsets), 2)
    })
  )

  it.effect("Metadata for a partition that its topic does not have", () =>
    Effect.gen(function* () {
      const leader = Effect.flatMap(Cluster, (c) => c.leader({ topic: "t", partition: 7 }))
      assert.isAtMost(yield* inASecond("Metadata", {}, leader), 4)
    })
  )

  const unknownTopic = 3
  for (const [why, topic] of [
    ["is not there", { errorCode: unknownTopic, partitions: [] }],
    ["has no leader", { partitions: [{ partitionIndex: 0, leaderId: -1, leaderEpoch: 1 }] }]
  ] as const)
    it.effect(`Metadata where many wait for a topic that ${why} (each asked for itself, 200 in a second)`, () =>
      Effect.gen(function* () {
        const answers: Options["answers"] = {
          Metadata: (_, healthy) => {
            const told = healthy() as { readonly topics: ReadonlyArray<object> }
            return { ...told, topics: told.topics.map((one) => ({ ...one, ...topic })) }
          }
        }
        const one = Effect.flatMap(Cluster, (c) => c.leader({ topic: "t", partition: 0 }))
        const many = Effect.forEach(
          Array.from({ length: 200 }, (_, i) => i),
          (i) => Effect.delay(Effect.ignore(one), i * 10),
          { concurrency: "unbounded", discard: true }
        )
        assert.isAtMost(yield* inASecond("Metadata", answers, many), 25)
      })
    )

  it.effect("FindCoordinator, where there is none", () =>
    Effect.gen(function* () {
      const answers: Options["answers"] = {
        FindCoordinator: ({ body }) => ({
          coordinators: body.coordinatorKeys.map((key: string) => ({ key, errorCode: notAvailable }))
        })
      }
      const coordinator = Effect.flatMap(Cluster, (c) => c.coordinator("group", "g"))
      assert.isAtMost(yield* inASecond("FindCoordinator", answers, coordinator), 2)
    })
  )

  it.effect("FindCoordinator, where whoever wants it forgets it at once, and it is the same again", () =>
    Effect.gen(function* () {
      const again = Effect.flatMap(Cluster, (c) =>
        Effect.forever(
          Effect.andThen(
            c.coordinator("group", "g"),
            Effect.sync(() => c.forgetCoordinator("group", "g"))
          )
        )
      )
      assert.isAtMost(yield* inASecond("FindCoordinator", {}, again), 2)
    })
  )
})

/** A whole client, of which the group or the producer meets with nothing but that. */
const consuming = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({ group: "g", topics: ["t"], from: "earliest" })
  yield* Stream.runDrain(consumer.stream)
}).pipe(Effect.scoped)
const reading = Effect.gen(function* () {
  const consumer = yield* Consumer.assign({ topic: "t", from: "earliest" })
  yield* Stream.runDrain(consumer.stream)
}).pipe(Effect.scoped)
const producing = Effect.gen(function* () {
  const producer = yield* Producer.make({ deliveryTimeout: "1 minute" })
  yield* producer.send(Topic.bytes("t"), { value: Buffer.from("a") })
}).pipe(Effect.scoped)

const empty = new Uint8Array(0)
const none = {
  JoinGroup: { generationId: -1, protocolName: "", leader: "", members: [] },
  SyncGroup: { assignment: empty },
  InitProducerId: { producerId: -1, producerEpoch: -1 }
}
/** What an API answers, again and again, and how many requests of it, or of another, may be in a second then. */
const storms: ReadonlyArray<
  readonly [what: string, api: string, answer: Answer, use: Effect.Effect<unknown, unknown, Kafka.Kafka>, most?: number]
> = [
  ...[15, 51, 14, 7, -1].map((errorCode) => {
    const answer = () => ({ ...none.InitProducerId, errorCode })
    return [`InitProducerId of ${errorCode}`, "InitProducerId", answer, producing] as const
  }),
  // A member is to come again with this id, and is always given another one.
  [
    "JoinGroup of MEMBER_ID_REQUIRED",
    "JoinGroup",
    ({ count }) => ({ ...none.JoinGroup, errorCode: 79, memberId: `m-${count}` }),
    consuming,
    3
  ],
  ...[25, 22, 27, 14, 16].flatMap((errorCode) => [
    [
      `JoinGroup of ${errorCode}`,
      "JoinGroup",
      () => ({ ...none.JoinGroup, errorCode, memberId: "m" }),
      consuming,
      3
    ] as const,
    [`SyncGroup of ${errorCode}`, "SyncGroup", () => ({ ...none.SyncGroup, errorCode }), consuming, 3] as const
  ]),
  ["Fetch that leaves all out", "Fetch", () => ({ responses: [] }), reading],
  ["Fetch that has nothing, at once", "Fetch", (_, healthy) => healthy(), reading],
  ...[6, 3, 1, 74, 70, 71, 9, 56].map((errorCode) => {
    const answer: Answer = (_, healthy) => {
      const usual = healthy() as { responses: Array<{ partitions: Array<{ errorCode: number }> }> }
      for (const { partitions } of usual.responses) for (const one of partitions) one.errorCode = errorCode
      return usual
    }
    return [`Fetch of ${errorCode}`, "Fetch", answer, reading] as const
  })
]

describe("in a second there are few requests of a whole client that is answered", () => {
  for (const [what, api, answer, use, most = 2] of storms)
    it.effect(what, () =>
      Effect.gen(function* () {
        const counts = yield* ratesOf({ [api]: answer }, use)
        const seen = `${what}: ${JSON.stringify(counts)}`
        assert.isDefined(counts[api], seen)
        assert.isAtMost(counts[api] ?? 0, most, seen)
        // Nor does what it leads to become a storm.
        for (const [other, count] of Object.entries(counts)) assert.isAtMost(count, other === api ? most : 5, seen)
      })
    )
})

describe("a topic whose id is another one in each answer, and of which nothing can be fetched", () => {
  it.effect("is joined for about once in a second", () =>
    Effect.gen(function* () {
      let told = 0
      const answers: Options["answers"] = {
        Metadata: (_, healthy) => {
          const usual = healthy() as { topics: Array<{ topicId: string }> }
          for (const topic of usual.topics)
            topic.topicId = Buffer.from(String(++told).padStart(16, "0")).toString("base64url")
          return usual
        },
        Fetch: (_, healthy) => {
          const usual = healthy() as { responses: Array<{ partitions: Array<{ errorCode: number }> }> }
          for (const { partitions } of usual.responses) for (const one of partitions) one.errorCode = unknownTopicId
          return usual
        }
      }
      const counts = yield* ratesOf(answers, consuming)
      const seen = JSON.stringify(counts)
      for (const api of ["JoinGroup", "SyncGroup", "OffsetFetch", "ListOffsets", "Fetch"])
        assert.isAtMost(counts[api] ?? 0, 5, seen)
      assert.isAtMost(counts["Metadata"] ?? 0, 30, seen)
    })
  )
})

describe("many partitions of one broker that fail, each of them", () => {
  for (const errorCode of [notLeader, 56, 9])
    it.effect(`with ${errorCode}, are asked for together`, () =>
      Effect.gen(function* () {
        const answers: Options["answers"] = {
          Fetch: (_, healthy) => {
            const usual = healthy() as { responses: Array<{ partitions: Array<{ errorCode: number }> }> }
            for (const { partitions } of usual.responses) for (const one of partitions) one.errorCode = errorCode
            return usual
          }
        }
        const counts = yield* ratesOf(answers, reading, { partitions: 200 })
        assert.isAtMost(counts["Fetch"] ?? 0, 12, JSON.stringify(counts))
      })
    )

  for (const errorCode of [notLeader, 56, 19])
    it.effect(`with ${errorCode}, are sent to together`, () =>
      Effect.gen(function* () {
        const answers: Options["answers"] = {
          Produce: (_, healthy) => {
            const usual = healthy() as { responses: Array<{ partitionResponses: Array<object> }> }
            for (const { partitionResponses } of usual.responses)
              for (const one of partitionResponses) Object.assign(one, { errorCode, baseOffset: -1 })
            return usual
          }
        }
        const sending = Effect.gen(function* () {
          // Its end is not waited for: the test's clock stands still then.
          const producer = yield* Effect.provideService(
            Producer.make({ deliveryTimeout: "1 minute" }),
            Scope.Scope,
            yield* Scope.make()
          )
          const entries = Array.from({ length: 200 }, (_, partition) => ({ value: Buffer.from("a"), partition }))
          yield* producer.sendAll(Topic.bytes("t"), entries)
        })
        const counts = yield* ratesOf(answers, sending, { partitions: 200 })
        assert.isAbove(counts["Produce"] ?? 0, 0)
        assert.isAtMost(counts["Produce"] ?? 0, 12, JSON.stringify(counts))
        assert.isAtMost(counts["Metadata"] ?? 0, 12, JSON.stringify(counts))
      })
    )
})

describe("many partitions that are all out of range", () => {
  const outOfRange: Answer = (_, healthy) => {
    const usual = healthy() as { responses: Array<{ partitions: Array<{ errorCode: number }> }> }
    for (const { partitions } of usual.responses) for (const one of partitions) one.errorCode = 1
    return usual
  }
  const refusing: Answer = (_, healthy) => {
    const usual = healthy() as { topics: Array<{ partitions: Array<object> }> }
    for (const { partitions } of usual.topics) for (const one of partitions) Object.assign(one, { errorCode: 56 })
    return usual
  }
  for (const [what, ListOffsets] of [
    ["and a position that is out of range again", undefined],
    ["and a broker that refuses each of them", refusing]
  ] as const)
    it.effect(`${what}, are asked for together`, () =>
      Effect.gen(function* () {
        const answers = { Fetch: outOfRange, ...(ListOffsets === undefined ? {} : { ListOffsets }) }
        const goingOn = Effect.gen(function* () {
          const consumer = yield* Consumer.assign({ topic: "t", from: "earliest", onOutOfRange: "earliest" })
          yield* Stream.runDrain(consumer.stream)
        }).pipe(Effect.scoped)
        const counts = yield* ratesOf(answers, goingOn, { partitions: 200 })
        assert.isAbove(counts["ListOffsets"] ?? 0, 0)
        assert.isAtMost(counts["ListOffsets"] ?? 0, 12, JSON.stringify(counts))
      })
    )
})

describe("many topics, of which none is as it should be,", () => {
  const told =
    (change: object, partitions: object): Answer =>
    (_, healthy) => {
      const usual = healthy() as { topics: Array<{ partitions: Array<object> }> }
      for (const topic of usual.topics) {
        for (const one of topic.partitions) Object.assign(one, partitions)
        Object.assign(topic, change)
      }
      return usual
    }
  const names = Array.from({ length: 300 }, (_, i) => `t${i}`)
  const each = <R>(ask: (topic: string) => Effect.Effect<unknown, unknown, R>) =>
    Effect.forEach(names, (name) => Effect.ignore(ask(name)), { concurrency: "unbounded" })
  const looking = Effect.flatMap(Cluster, (cluster) => each((name) => cluster.topic(name)))
  const positions = Effect.flatMap(Cluster, (cluster) =>
    each((topic) => cluster.offsets([{ topic, partition: 0, at: "latest" }]))
  )
  const sending = Effect.gen(function* () {
    const producer = yield* Producer.make({ deliveryTimeout: "1 minute" })
    yield* each((name) => producer.send(Topic.bytes(name), { value: Buffer.from("a") }))
  }).pipe(Effect.scoped)
  const missing = told({ errorCode: 3, partitions: [] }, {})
  const leaderless = told({}, { leaderId: -1 })
  for (const [what, Metadata, asking] of [
    ["missing, looked for", missing, looking],
    ["missing, sent to", missing, sending],
    ["without leaders, sent to", leaderless, sending],
    ["without leaders, asked for offsets", leaderless, positions]
  ] as const)
    it.effect(`${what}, are asked for together (300 of them were 250 requests for metadata in a second)`, () =>
      Effect.gen(function* () {
        const counts = yield* ratesOf({ Metadata }, asking)
        assert.isAbove(counts["Metadata"] ?? 0, 0)
        assert.isAtMost(counts["Metadata"] ?? 0, 12, JSON.stringify(counts))
      })
    )
})

describe("a broker that is stuck over ListOffsets, and closes its connection over it,", () => {
  it.effect("gives a producer its id all the same (InitProducerId was lost with each of them)", () =>
    Effect.gen(function* () {
      const run = Effect.runForkWith(yield* Effect.context<never>())
      const broker = Answers.make()
      const network = yield* fake((peer, { host, port }) => {
        let isStuck = false
        // A broker works on one request of a connection at a time.
        return (request) => {
          const before = broker.counts["ListOffsets"] ?? 0
          const answer = isStuck ? undefined : broker.answer(request, { host, port })
          if ((broker.counts["ListOffsets"] ?? 0) === before) return answer && peer.send(answer)
          isStuck = true
          run(Effect.andThen(Effect.sleep("4 seconds"), Effect.sync(peer.close)))
        }
      })
      const layer = Layer.provide(
        Kafka.layerWithoutNetwork({ bootstrap: ["b:9092"] }),
        Layer.succeed(Network, network.network)
      )
      const sent = Effect.gen(function* () {
        const cluster = yield* Cluster
        yield* cluster.topic("t")
        yield* Effect.forkScoped(Effect.ignore(cluster.offsets([{ topic: "t", partition: 0, at: "latest" }])))
        yield* Effect.sleep(100)
        const producer = yield* Producer.make({ deliveryTimeout: "3 seconds" })
        yield* producer.send(Topic.bytes("t"), { value: Buffer.from("a") })
      }).pipe(Effect.scoped, Effect.provide(layer))
      const fiber = yield* Effect.forkChild(Effect.exit(sent), { startImmediately: true })
      for (let i = 0; i < 200 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust(100)
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Success")
    })
  )
})

describe("a topic that every second answer says is gone", () => {
  it.effect("is asked for some times in a second, by two consumers that hear each other's answers", () =>
    Effect.gen(function* () {
      let told = 0
      const answers: Options["answers"] = {
        Metadata: (_, healthy) => {
          const usual = healthy() as { topics: Array<{ errorCode?: number; partitions: ReadonlyArray<object> }> }
          if (told++ % 2 === 1) for (const topic of usual.topics) Object.assign(topic, { errorCode: 3, partitions: [] })
          return usual
        },
        Fetch: (_, healthy) => {
          const usual = healthy() as { responses: Array<{ partitions: Array<{ errorCode: number }> }> }
          for (const { partitions } of usual.responses) for (const one of partitions) one.errorCode = 3
          return usual
        }
      }
      const counts = yield* ratesOf(answers, Effect.all([consuming, reading], { concurrency: 2 }))
      // Some 4 to 22, by chance; without a wait between them as many as fit into the test's clock.
      for (const [api, count] of Object.entries(counts)) assert.isAtMost(count, 60, `${api}: ${JSON.stringify(counts)}`)
    })
  )
})

describe("an answer that leaves out what was asked for", () => {
  it.effect("of ListOffsets is Corrupt, not the offset -1", () =>
    Effect.gen(function* () {
      for (const topics of [
        [],
        [{ name: "t", partitions: [] }],
        [{ name: "t", partitions: [{ partitionIndex: 1, offset: 5 }] }],
        [{ name: "t", partitions: [{ partitionIndex: 0, offset: -1 }] }]
      ]) {
        const { layer } = yield* InProcess.make({ answers: { ListOffsets: () => ({ topics }) } })
        const error = yield* Effect.flatMap(Cluster, (c) =>
          c.offsets([{ topic: "t", partition: 0, at: "latest" }])
        ).pipe(Effect.provide(layer), Effect.flip)
        assert.strictEqual(error.reason._tag, "Corrupt")
      }
    })
  )
})
