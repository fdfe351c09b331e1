/** What real brokers of each release answered to raw requests, asked of the embedded broker that plays them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Frame from "../../src/protocol/Frame.ts"
import * as ApiVersions from "../../src/protocol/messages/ApiVersions.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as FindCoordinator from "../../src/protocol/messages/FindCoordinator.ts"
import * as JoinGroup from "../../src/protocol/messages/JoinGroup.ts"
import * as ListGroups from "../../src/protocol/messages/ListGroups.ts"
import * as ListOffsets from "../../src/protocol/messages/ListOffsets.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as OffsetCommit from "../../src/protocol/messages/OffsetCommit.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import * as MessageSet from "../../src/protocol/records/MessageSet.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import * as Compression from "../../src/Compression.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { batch, bytes, connect, type RawClient, text } from "./RawClient.ts"

type Release = NonNullable<EmbeddedKafka.Options["asVersion"]>
const releases: ReadonlyArray<Release> = ["0.8.2", "0.9", "0.10.2", "0.11", "1.1", "2.8", "3.9", "4.0", "4.4"]

/** What became of a request: answered, closed without a byte, or neither after five seconds. */
const outcome = <A, E>(client: RawClient, answer: Effect.Effect<A, E>): Effect.Effect<"ok" | "FIN" | "silent"> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.exit(answer), { startImmediately: true })
    yield* TestClock.adjust("5 seconds")
    yield* Effect.yieldNow
    if (client.isClosed()) return "FIN"
    const exit = fiber.pollUnsafe()
    if (exit === undefined) return "silent"
    yield* Fiber.join(fiber)
    return "ok"
  })

const ask = (release: Release, request: (client: RawClient) => Effect.Effect<unknown, unknown>) =>
  Effect.scoped(
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ asVersion: release, topics: ["probe-t"] })
      const client = yield* connect(broker)
      const result = yield* outcome(client, request(client))
      assert.deepStrictEqual(yield* broker.defects, [])
      return result
    })
  )

const set = MessageSet.encode([{ key: null, value: bytes("v"), headers: [], timestamp: 0 }], { magic: 0 })
const produceV = (version: number) => (client: RawClient) =>
  client.send(Produce, version, {
    acks: 1,
    timeoutMs: 1000,
    topicData: [{ name: "probe-t", partitionData: [{ index: 0, records: set }] }]
  })

type Row = readonly [name: string, request: (client: RawClient) => Effect.Effect<unknown, unknown>, expected: string]

// as in the table: one column for each of `releases`
const rows: ReadonlyArray<Row> = [
  ["ApiVersions v0", (c) => c.send(ApiVersions, 0, {}), "FIN silent ok ok ok ok ok ok ok"],
  ["Metadata v0", (c) => c.send(Metadata, 0, { topics: [] }), "ok ok ok ok ok ok ok ok ok"],
  ["Metadata v1", (c) => c.send(Metadata, 1, { topics: null }), "FIN silent ok ok ok ok ok ok ok"],
  ["Produce v0", produceV(0), "ok ok ok ok ok ok ok FIN FIN"],
  [
    "Fetch v0",
    (c) => c.send(Fetch, 0, { replicaId: -1, maxWaitMs: 0, minBytes: 0, topics: [] }),
    "ok ok ok ok ok ok ok FIN FIN"
  ],
  ["ListOffsets v0", (c) => c.send(ListOffsets, 0, { replicaId: -1, topics: [] }), "ok ok ok ok ok ok ok FIN FIN"],
  ["ListGroups v0", (c) => c.send(ListGroups, 0, {}), "FIN ok ok ok ok ok ok ok ok"],
  [
    "JoinGroup v0",
    (c) =>
      c.send(JoinGroup, 0, {
        groupId: "g",
        sessionTimeoutMs: 10_000,
        memberId: "",
        protocolType: "consumer",
        protocols: [{ name: "range", metadata: bytes("") }]
      }),
    "FIN ok ok ok ok ok ok ok ok"
  ],
  [
    "key 999",
    (c) => Effect.andThen(c.write(Uint8Array.from([0, 0, 0, 10, 3, 231, 0, 0, 0, 0, 0, 9, 255, 255])), c.frame),
    "FIN silent FIN FIN FIN FIN FIN FIN FIN"
  ],
  [
    "a TLS ClientHello",
    (c) => Effect.andThen(c.write(Uint8Array.from([0x16, 3, 1, 0, 4, 1, 0, 0, 0])), c.frame),
    "FIN FIN FIN FIN FIN FIN FIN FIN FIN"
  ]
]

describe("a broker of a release", () => {
  for (const [name, request, expected] of rows)
    it.effect(`answers ${name} as the real one`, () =>
      Effect.gen(function* () {
        const seen: Array<string> = []
        for (const release of releases) seen.push(yield* ask(release, request))
        assert.deepStrictEqual(seen, expected.split(" "))
      })
    )

  it.effect("answers a version of ApiVersions that it does not know in the layout of version 0", () =>
    Effect.gen(function* () {
      const raw: { readonly [release: string]: string } = {
        "0.10.2": "002300000000",
        "0.11": "002300000000",
        "1.1": "002300000000",
        "2.8": "002300000001001200000003",
        "3.9": "002300000001001200000004",
        "4.0": "002300000001001200000004",
        "4.4": "002300000001001200000005"
      }
      for (const [release, expected] of Object.entries(raw)) {
        const broker = yield* EmbeddedKafka.make({ asVersion: release as Release })
        const client = yield* connect(broker)
        const frame = yield* Effect.forkChild(client.frame, { startImmediately: true })
        yield* client.write(Uint8Array.from([0, 0, 0, 10, 0, 18, 0, 99, 0, 0, 0, 77, 255, 255]))
        const answer = Buffer.from(yield* Fiber.join(frame))
        assert.strictEqual(answer.readInt32BE(0), 77)
        assert.strictEqual(answer.subarray(4).toString("hex"), expected)
        // and the connection goes on
        assert.strictEqual((yield* client.send(ApiVersions, 0, {})).errorCode, 0)
      }
    })
  )

  it.effect("a broker that is started as a newer release lists that one's versions, what is finalized stays", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ asVersion: "3.9", brokers: 1 })
      const look = Effect.gen(function* () {
        const client = yield* connect(broker)
        const { apiKeys, finalizedFeatures, supportedFeatures } = yield* client.send(ApiVersions, 4, {
          clientSoftwareName: "a",
          clientSoftwareVersion: "1"
        })
        return {
          produce: apiKeys.find(({ apiKey }) => apiKey === 0)!.maxVersion,
          supported: supportedFeatures.map(({ name }) => name),
          finalized: finalizedFeatures.map(({ maxVersionLevel, name }) => `${name} ${maxVersionLevel}`)
        }
      })
      const before = yield* look
      assert.deepStrictEqual([before.produce, before.finalized], [11, ["metadata.version 21"]])
      assert.notInclude(before.supported, "transaction.version")
      yield* broker.stop(1)
      yield* broker.start(1, "4.4")
      const after = yield* look
      assert.deepStrictEqual([after.produce, after.finalized], [13, ["metadata.version 21"]])
      assert.include(after.supported, "transaction.version")
      // and as what it is when it starts again
      yield* broker.stop(1)
      yield* broker.start(1)
      assert.strictEqual((yield* look).produce, 13)
      yield* broker.stop(1)
      yield* broker.start(1, "3.9")
      assert.strictEqual((yield* look).produce, 11)
    }).pipe(Effect.scoped)
  )

  it.effect("a cluster of 2.8 has the consumer protocol when all of its brokers are of 4.4, and it is raised", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ asVersion: "2.8", brokers: 2, topics: ["t"] })
      const finalized = Effect.gen(function* () {
        const client = yield* connect(broker)
        const asked = { clientSoftwareName: "a", clientSoftwareVersion: "1" }
        const { finalizedFeatures } = yield* client.send(ApiVersions, 3, asked)
        return finalizedFeatures.map(({ maxVersionLevel, name }) => `${name} ${maxVersionLevel}`)
      })
      yield* broker.stop(1)
      yield* broker.start(1, "4.4")
      assert.strictEqual((yield* Effect.flip(broker.raise("4.4"))).reason._tag, "Misuse")
      yield* broker.stop(2)
      yield* broker.start(2, "4.4")
      assert.deepStrictEqual(yield* finalized, [])
      yield* broker.raise("4.4")
      assert.deepStrictEqual(yield* finalized, ["metadata.version 33", "group.version 1"])
      assert.strictEqual((yield* Effect.flip(broker.raise("3.9"))).reason._tag, "Misuse")
      yield* broker.raise("4.4")
      assert.deepStrictEqual(yield* finalized, ["metadata.version 33", "group.version 1"])
    }).pipe(Effect.scoped)
  )

  it.effect("0.9 answers only Metadata of a pipelined ApiVersions and Metadata, 0.8 nothing", () =>
    Effect.gen(function* () {
      const pipeline = (release: Release) =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.make({ asVersion: release, topics: ["t"] })
          const client = yield* connect(broker)
          const head = (correlationId: number) => ({ correlationId, clientId: null })
          const frames = [
            yield* Effect.forkChild(Effect.exit(client.frame), { startImmediately: true }),
            yield* Effect.forkChild(Effect.exit(client.frame), { startImmediately: true })
          ]
          yield* client.write(
            ...Frame.encodeRequest(ApiVersions.Request, 0, head(101), {}),
            ...Frame.encodeRequest(Metadata.Request, 0, head(102), { topics: [] })
          )
          yield* TestClock.adjust("5 seconds")
          return frames.flatMap((fiber) => {
            const exit = fiber.pollUnsafe()
            return exit?._tag === "Success" && exit.value._tag === "Success"
              ? [Frame.readCorrelationId(exit.value.value)]
              : []
          })
        })
      assert.deepStrictEqual(yield* pipeline("0.8.2"), [])
      assert.deepStrictEqual(yield* pipeline("0.9"), [102])
      assert.deepStrictEqual(yield* pipeline("0.10.2"), [101, 102])
    })
  )

  it.effect("4.x lists Produce from 0, closes on what is below 3, and refuses an old message set in v3", () =>
    Effect.gen(function* () {
      for (const release of ["4.0", "4.4"] as const) {
        const broker = yield* EmbeddedKafka.make({ asVersion: release, topics: ["probe-t"] })
        const client = yield* connect(broker)
        const { apiKeys } = yield* client.send(ApiVersions, 0, {})
        assert.strictEqual(apiKeys.find((api) => api.apiKey === 0)!.minVersion, 0)
        const response = yield* produceV(3)(client)
        assert.strictEqual(response.responses[0]!.partitionResponses[0]!.errorCode, 87)
        yield* Effect.flip(produceV(2)(client))
        assert.isTrue(client.isClosed())
      }
    })
  )

  it.effect("checks the cluster and the broker that ApiVersions v5 names", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ asVersion: "4.4" })
      const client = yield* connect(broker)
      const code = (clusterId: string | null, nodeId: number) =>
        Effect.map(
          client.send(ApiVersions, 5, { clientSoftwareName: "raw", clientSoftwareVersion: "1.0", clusterId, nodeId }),
          (response) => response.errorCode
        )
      assert.strictEqual(yield* code(null, -1), 0)
      assert.strictEqual(yield* code(broker.clusterId, 1), 0)
      assert.strictEqual(yield* code("another", 1), 129)
      assert.strictEqual(yield* code(broker.clusterId, 2), 129)
      // both are named, or neither
      assert.strictEqual(yield* code("another", -1), 42)
      assert.strictEqual(yield* code(null, 1), 42)
    })
  )

  it.effect("0.8 names no broker until there is a topic", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ asVersion: "0.8.2" })
      const client = yield* connect(broker)
      const brokers = Effect.map(client.send(Metadata, 0, { topics: [] }), (response) => response.brokers.length)
      assert.strictEqual(yield* brokers, 0)
      yield* broker.createTopic("t")
      assert.strictEqual(yield* brokers, 1)
    })
  )

  it.effect("that was never used has no coordinator at first", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ coldStart: true })
      const client = yield* connect(broker)
      const code = Effect.map(client.send(FindCoordinator, 0, { key: "g" }), (response) => response.errorCode)
      assert.deepStrictEqual([yield* code, yield* code], [15, 0])
    })
  )
})

describe("the record formats", () => {
  const fetchAll = (client: RawClient, version: number) =>
    Effect.map(
      client.send(Fetch, version, {
        replicaId: -1,
        maxWaitMs: 0,
        minBytes: 0,
        topics: [{ topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000_000 }] }]
      }),
      (response) => {
        const decoded = Records.decode(response.responses[0]!.partitions[0]!.records ?? new Uint8Array(0))
        assert.isUndefined(decoded.failure)
        return decoded.batches.flatMap((b) =>
          b.records.map((r) => [b.magic, r.offset, text(r.key), text(r.value), r.timestamp] as const)
        )
      }
    )
  const send = (client: RawClient, version: number, records: Uint8Array) =>
    Effect.map(
      client.send(Produce, version, {
        acks: 1,
        timeoutMs: 1000,
        topicData: [{ name: "t", partitionData: [{ index: 0, records }] }]
      }),
      (response) => response.responses[0]!.partitionResponses[0]!
    )
  const texts = (values: ReadonlyArray<string>, timestamp: number) =>
    values.map((value) => ({ key: bytes("k"), value: bytes(value), headers: [], timestamp }))

  it.effect("become what each Fetch can read, compressed or not", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const client = yield* connect(broker)
      const gzip = Compression.builtIn.get(1)
      yield* send(client, 0, MessageSet.encode(texts(["a", "b"], 0), { magic: 0 }))
      yield* send(client, 2, MessageSet.encode(texts(["c", "d"], 7), { magic: 1, compression: gzip }))
      yield* send(client, 9, batch(["e", "f"], { key: "k", timestamp: 8, compression: gzip }))
      const values = ["a", "b", "c", "d", "e", "f"]
      const times = [-1, -1, 7, 7, 8, 9]
      const expected = (magic: number) =>
        values.map(
          (value, i) => [magic, i, "k" as string | null, value as string | null, magic === 0 ? -1 : times[i]!] as const
        )
      for (const version of [0, 1]) assert.deepStrictEqual(yield* fetchAll(client, version), expected(0))
      for (const version of [2, 3]) assert.deepStrictEqual(yield* fetchAll(client, version), expected(1))
      for (const version of [4, 11]) assert.deepStrictEqual(yield* fetchAll(client, version), expected(2))
    })
  )

  it.effect("are kept as the release keeps them", () =>
    Effect.gen(function* () {
      for (const [release, magic, version] of [
        ["0.8.2", 0, 0],
        ["0.9", 0, 1],
        ["0.10.2", 1, 2],
        ["0.11", 2, 4]
      ] as const) {
        const broker = yield* EmbeddedKafka.make({ asVersion: release, topics: ["t"] })
        const client = yield* connect(broker)
        for (const id of [0, 1, 2, 3]) {
          const compression = id === 0 ? undefined : Compression.builtIn.get(id)
          const sent = yield* send(
            client,
            0,
            MessageSet.encode(texts([`${id}a`, `${id}b`], 0), { magic: 0, compression })
          )
          assert.deepStrictEqual([sent.errorCode, sent.baseOffset], [0, id * 2])
        }
        assert.deepStrictEqual(
          (yield* fetchAll(client, version)).map(([m, offset, , value]) => [m, offset, value]),
          [0, 1, 2, 3].flatMap((id) => [
            [magic, id * 2, `${id}a`],
            [magic, id * 2 + 1, `${id}b`]
          ])
        )
      }
    })
  )
})

it.effect("a release has its topic of offsets, as an internal one, once a group has committed", () =>
  Effect.gen(function* () {
    for (const [release, has] of [
      ["2.8", true],
      ["4.4", true],
      [undefined, false]
    ] as const) {
      const broker = yield* EmbeddedKafka.make({ asVersion: release, topics: ["t"] })
      const client = yield* connect(broker)
      const internal = Effect.map(client.send(Metadata, 9, { topics: null }), ({ topics }) =>
        topics.filter(({ isInternal }) => isInternal).map(({ name, partitions }) => `${name} ${partitions.length}`)
      )
      assert.deepStrictEqual(yield* internal, [])
      const { topics } = yield* client.send(OffsetCommit, 7, {
        groupId: "g",
        generationIdOrMemberEpoch: -1,
        memberId: "",
        topics: [{ name: "t", partitions: [{ partitionIndex: 0, committedOffset: 0, committedMetadata: "" }] }]
      })
      assert.strictEqual(topics[0]!.partitions[0]!.errorCode, 0)
      assert.deepStrictEqual(yield* internal, has ? ["__consumer_offsets 50"] : [])
    }
  }).pipe(Effect.scoped)
)
