/**
 * Questions to a broker, each with what of its answer must be the same for every broker of a release. What is a broker's
 * own choice, such as ids and times, is left out or replaced.
 */
import { Effect, Fiber, Schedule, type Scope } from "effect"
import * as AlterConfigs from "../../../src/protocol/messages/AlterConfigs.ts"
import * as ApiVersions from "../../../src/protocol/messages/ApiVersions.ts"
import * as CreatePartitions from "../../../src/protocol/messages/CreatePartitions.ts"
import * as CreateTopics from "../../../src/protocol/messages/CreateTopics.ts"
import * as DeleteGroups from "../../../src/protocol/messages/DeleteGroups.ts"
import * as DeleteRecords from "../../../src/protocol/messages/DeleteRecords.ts"
import * as DeleteTopics from "../../../src/protocol/messages/DeleteTopics.ts"
import * as DescribeCluster from "../../../src/protocol/messages/DescribeCluster.ts"
import * as DescribeConfigs from "../../../src/protocol/messages/DescribeConfigs.ts"
import * as DescribeGroups from "../../../src/protocol/messages/DescribeGroups.ts"
import * as Fetch from "../../../src/protocol/messages/Fetch.ts"
import * as FindCoordinator from "../../../src/protocol/messages/FindCoordinator.ts"
import * as Heartbeat from "../../../src/protocol/messages/Heartbeat.ts"
import * as IncrementalAlterConfigs from "../../../src/protocol/messages/IncrementalAlterConfigs.ts"
import * as InitProducerId from "../../../src/protocol/messages/InitProducerId.ts"
import * as JoinGroup from "../../../src/protocol/messages/JoinGroup.ts"
import * as LeaveGroup from "../../../src/protocol/messages/LeaveGroup.ts"
import * as ListGroups from "../../../src/protocol/messages/ListGroups.ts"
import * as ListOffsets from "../../../src/protocol/messages/ListOffsets.ts"
import * as Metadata from "../../../src/protocol/messages/Metadata.ts"
import * as OffsetCommit from "../../../src/protocol/messages/OffsetCommit.ts"
import * as OffsetDelete from "../../../src/protocol/messages/OffsetDelete.ts"
import * as OffsetFetch from "../../../src/protocol/messages/OffsetFetch.ts"
import * as OffsetForLeaderEpoch from "../../../src/protocol/messages/OffsetForLeaderEpoch.ts"
import * as Produce from "../../../src/protocol/messages/Produce.ts"
import * as SaslHandshake from "../../../src/protocol/messages/SaslHandshake.ts"
import * as SyncGroup from "../../../src/protocol/messages/SyncGroup.ts"
import * as Compression from "../../../src/Compression.ts"
import * as MessageSet from "../../../src/protocol/records/MessageSet.ts"
import * as RecordBatch from "../../../src/protocol/records/RecordBatch.ts"
import * as Records from "../../../src/protocol/records/Records.ts"
import { batch, bytes, text } from "../../testing/RawClient.ts"
import * as Ask from "./Ask.ts"

export interface Case {
  readonly api: string
  readonly name: string
  readonly run: (ask: Ask.Ask) => Effect.Effect<unknown, unknown, Scope.Scope>
}

const cases: Array<Case> = []
const about = (api: string, name: string, run: Case["run"]): void => {
  cases.push({ api, name, run })
}

// ── questions that many cases ask

/** A batch as a message set, for Produce below v3; what cannot be read stays as it is. */
const old = (records: Uint8Array | null): Uint8Array | null => {
  const { batches, failure } = Records.decode(records ?? new Uint8Array(0))
  const [first] = batches
  if (failure !== undefined || first === undefined || batches.length > 1 || first.isControl) return records
  const compression = first.compression === 0 ? undefined : Compression.builtIn.get(first.compression)
  return MessageSet.encode(
    first.records.map(({ key, timestamp, value }) => ({ key, value, headers: [], timestamp })),
    { magic: 1, compression }
  )
}

const produce = (
  client: Ask.Client,
  topic: string,
  records: Uint8Array | null,
  options: { readonly acks?: number; readonly partition?: number; readonly most?: number } = {}
) =>
  Effect.map(
    client.ask(
      Produce,
      (version) => ({
        acks: options.acks ?? -1,
        timeoutMs: 3000,
        topicData: [
          {
            name: topic,
            partitionData: [{ index: options.partition ?? 0, records: version < 3 ? old(records) : records }]
          }
        ]
      }),
      Math.min(options.most ?? 12, 12)
    ),
    (response) => {
      const answer = response.responses[0]!.partitionResponses[0]!
      return { errorCode: answer.errorCode, baseOffset: answer.baseOffset, logStartOffset: answer.logStartOffset }
    }
  )

interface FetchOptions {
  readonly offset?: number
  readonly maxWait?: number
  readonly minBytes?: number
  readonly maxBytes?: number
  readonly partitionMaxBytes?: number
  readonly isolation?: number
  readonly epoch?: number
  readonly lastFetchedEpoch?: number
  readonly most?: number
  readonly partition?: number
}
const fetch = (client: Ask.Client, topic: string, options: FetchOptions = {}) =>
  Effect.map(
    client.ask(
      Fetch,
      (version) => ({
        maxWaitMs: options.maxWait ?? 0,
        minBytes: options.minBytes ?? 1,
        ...(version >= 3 ? { maxBytes: options.maxBytes ?? 50_000_000 } : undefined),
        ...(version >= 4 ? { isolationLevel: options.isolation ?? 0 } : undefined),
        topics: [
          {
            topic,
            partitions: [
              {
                partition: options.partition ?? 0,
                fetchOffset: options.offset ?? 0,
                partitionMaxBytes: options.partitionMaxBytes ?? 1_000_000,
                ...(version >= 9 && options.epoch !== undefined ? { currentLeaderEpoch: options.epoch } : undefined),
                ...(version >= 12 && options.lastFetchedEpoch !== undefined
                  ? { lastFetchedEpoch: options.lastFetchedEpoch }
                  : undefined)
              }
            ]
          }
        ]
      }),
      Math.min(options.most ?? 12, 12)
    ),
    (response) => {
      const answer = response.responses[0]!.partitions[0]!
      const decoded = Records.decode(answer.records ?? new Uint8Array(0))
      return {
        error: response.errorCode,
        errorCode: answer.errorCode,
        highWatermark: answer.highWatermark,
        lastStableOffset: answer.lastStableOffset,
        logStartOffset: answer.logStartOffset,
        aborted: answer.abortedTransactions,
        diverging: answer.divergingEpoch,
        bytes: answer.records?.length ?? null,
        partial: decoded.partial !== undefined,
        failure: decoded.failure?.reason._tag,
        batches: decoded.batches.map((b) => ({
          magic: b.magic,
          baseOffset: b.baseOffset,
          lastOffset: b.lastOffset,
          epoch: b.partitionLeaderEpoch,
          compression: b.compression,
          timestampType: b.timestampType,
          records: b.records.map((r) => [r.offset, text(r.key), text(r.value), r.headers.length])
        }))
      }
    }
  )

const listOffset = (
  client: Ask.Client,
  topic: string,
  timestamp: number,
  options: { readonly most?: number; readonly partition?: number; readonly epoch?: number } = {}
) =>
  Effect.map(
    client.ask(
      ListOffsets,
      (version) => ({
        replicaId: -1,
        topics: [
          {
            name: topic,
            partitions: [
              {
                partitionIndex: options.partition ?? 0,
                timestamp,
                ...(version >= 4 && options.epoch !== undefined ? { currentLeaderEpoch: options.epoch } : undefined)
              }
            ]
          }
        ]
      }),
      options.most
    ),
    (response) => response.topics[0]!.partitions[0]!
  )

interface JoinOptions {
  readonly memberId?: string
  readonly instanceId?: string
  readonly protocols?: ReadonlyArray<readonly [name: string, metadata: string]>
  readonly protocolType?: string
  readonly session?: number
  readonly most?: number
}
/** A subscription to nothing in particular, as ConsumerProtocol v0 writes it: brokers look inside. */
const subscription = (topics: ReadonlyArray<string>): string =>
  Buffer.concat([
    Buffer.from([0, 0, 0, 0, 0, topics.length]),
    ...topics.map((topic) => Buffer.concat([Buffer.from([0, topic.length]), Buffer.from(topic)])),
    Buffer.from([255, 255, 255, 255])
  ]).toString("latin1")

const join = (client: Ask.Client, group: string, options: JoinOptions = {}) =>
  client.ask(
    JoinGroup,
    (version) => ({
      groupId: group,
      sessionTimeoutMs: options.session ?? 6000,
      ...(version >= 1 ? { rebalanceTimeoutMs: 6000 } : undefined),
      memberId: options.memberId ?? "",
      ...(options.instanceId === undefined ? undefined : { groupInstanceId: options.instanceId }),
      protocolType: options.protocolType ?? "consumer",
      protocols: (options.protocols ?? [["range", subscription([])]]).map(([name, metadata]) => ({
        name,
        metadata: Uint8Array.from(Buffer.from(metadata, "latin1"))
      }))
    }),
    options.most
  )
/** Joins in two steps where the version asks for it. */
const enter = (client: Ask.Client, group: string, options: JoinOptions = {}) =>
  Effect.gen(function* () {
    const first = yield* join(client, group, options)
    return first.errorCode === 79 ? yield* join(client, group, { ...options, memberId: first.memberId }) : first
  })
const sync = (
  client: Ask.Client,
  group: string,
  memberId: string,
  generationId: number,
  assignments: ReadonlyArray<readonly [id: string, text: string]> = [],
  names: { readonly protocolType?: string; readonly protocolName?: string } = {}
) =>
  client.ask(SyncGroup, (version) => ({
    groupId: group,
    generationId,
    memberId,
    ...(version >= 5
      ? { protocolType: names.protocolType ?? "consumer", protocolName: names.protocolName ?? "range" }
      : undefined),
    assignments: assignments.map(([id, assignment]) => ({ memberId: id, assignment: bytes(assignment) }))
  }))
const heartbeat = (client: Ask.Client, group: string, memberId: string, generationId: number, instanceId?: string) =>
  Effect.map(
    client.ask(Heartbeat, (version) => ({
      groupId: group,
      generationId,
      memberId,
      ...(version >= 3 && instanceId !== undefined ? { groupInstanceId: instanceId } : undefined)
    })),
    (response) => response.errorCode
  )
const commit = (
  client: Ask.Client,
  group: string,
  topic: string,
  offset: number,
  options: {
    readonly generation?: number
    readonly memberId?: string
    readonly metadata?: string
    readonly partition?: number
    readonly most?: number
  } = {}
) =>
  Effect.map(
    client.ask(
      OffsetCommit,
      (version) => ({
        groupId: group,
        ...(version >= 1
          ? { generationIdOrMemberEpoch: options.generation ?? -1, memberId: options.memberId ?? "" }
          : undefined),
        topics: [
          {
            name: topic,
            partitions: [
              {
                partitionIndex: options.partition ?? 0,
                committedOffset: offset,
                committedMetadata: options.metadata ?? ""
              }
            ]
          }
        ]
      }),
      Math.min(options.most ?? 9, 9)
    ),
    (response) => response.topics[0]!.partitions[0]!.errorCode
  )
const committed = (client: Ask.Client, group: string, topic: string, most = 7) =>
  Effect.map(
    client.ask(OffsetFetch, () => ({ groupId: group, topics: [{ name: topic, partitionIndexes: [0, 1] }] }), most),
    (response) => ({
      errorCode: response.errorCode,
      partitions: response.topics[0]?.partitions.map((p) => [
        p.partitionIndex,
        p.committedOffset,
        p.metadata,
        p.errorCode
      ])
    })
  )
const leave = (client: Ask.Client, group: string, memberId: string) =>
  Effect.map(
    client.ask(LeaveGroup, (version) =>
      version >= 3 ? { groupId: group, members: [{ memberId }] } : { groupId: group, memberId }
    ),
    (response) => [response.errorCode, response.members.map((m) => m.errorCode)]
  )
/** A broker that just started has no ids yet. */
const producer = (client: Ask.Client) =>
  client
    .ask(InitProducerId, () => ({ transactionalId: null, transactionTimeoutMs: 60_000 }))
    .pipe(Effect.repeat({ until: (answer) => answer.errorCode !== 14, schedule: Schedule.spaced(50) }))
const fork = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })
const closes = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.map(Effect.exit(Effect.timeout(effect, 3000)), (exit) => (exit._tag === "Success" ? "answered" : "closed"))

// ── ApiVersions, Metadata

about("ApiVersions", "an unknown version is answered in the layout of version 0", (ask) =>
  Effect.gen(function* () {
    const { raw } = yield* ask.connect
    const answer = yield* fork(raw.frame)
    yield* raw.write(Uint8Array.from([0, 0, 0, 11, 0, 18, 0, 99, 0, 0, 0, 77, 255, 255, 0]))
    return Buffer.from(yield* Fiber.join(answer)).toString("hex")
  })
)
about("ApiVersions", "names no error at any version", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    const codes: Array<number> = []
    for (let v = 0; v <= client.version(ApiVersions); v++)
      codes.push(
        (yield* client.raw.send(
          ApiVersions,
          v,
          v >= 3 ? { clientSoftwareName: "case", clientSoftwareVersion: "1" } : {}
        )).errorCode
      )
    return codes
  })
)
about("ApiVersions", "refuses a software name that is not legal", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    if (client.version(ApiVersions) < 3) return "no such field"
    return (yield* client.raw.send(ApiVersions, 3, { clientSoftwareName: "", clientSoftwareVersion: "1" })).errorCode
  })
)
for (const version of [1, 4, 7, 9, 12])
  about("Metadata", `v${version} of a topic, and of one that is not there`, (ask) =>
    Effect.gen(function* () {
      const topic = yield* ask.topic({ partitions: 2 })
      const client = yield* ask.connect
      const response = yield* client.ask(
        Metadata,
        (v) => ({
          topics: [{ name: topic }, { name: "not legal!" }],
          ...(v >= 4 ? { allowAutoTopicCreation: false } : undefined)
        }),
        version
      )
      return response.topics
        .map((t) => ({
          name: t.name === topic ? "topic" : t.name,
          errorCode: t.errorCode,
          internal: t.isInternal,
          partitions: t.partitions
            .map((p) => [
              p.partitionIndex,
              p.errorCode,
              p.leaderId,
              p.leaderEpoch,
              p.replicaNodes,
              p.isrNodes,
              p.offlineReplicas
            ])
            .sort((a, b) => Number(a[0]) - Number(b[0]))
        }))
        .sort((a, b) => (a.name! < b.name! ? -1 : 1))
    })
  )
about("Metadata", "does not create what it must not, and says so", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    if (client.version(Metadata) < 4) return "creates always"
    const response = yield* client.ask(
      Metadata,
      () => ({ topics: [{ name: `${ask.name}-absent` }], allowAutoTopicCreation: false }),
      9
    )
    return response.topics.map((t) => [t.errorCode, t.partitions.length])
  })
)
about("Metadata", "by an id that is not known", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    if (client.version(Metadata) < 12) return "no ids"
    const response = yield* client.ask(
      Metadata,
      () => ({ topics: [{ topicId: "AAAAAAAAAAAAAAAAAAAAQQ", name: null }], allowAutoTopicCreation: false }),
      12
    )
    return response.topics.map((t) => [t.errorCode, t.name])
  })
)
about("Metadata", "of authorized operations", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    const response = yield* client.ask(
      Metadata,
      (v) => ({ topics: [{ name: topic }], ...(v >= 8 ? { includeTopicAuthorizedOperations: true } : undefined) }),
      9
    )
    return response.topics[0]!.topicAuthorizedOperations
  })
)

// ── Produce, Fetch

for (const acks of [1, -1])
  about("Produce", `appends with acks ${acks}, one offset after the other`, (ask) =>
    Effect.gen(function* () {
      const topic = yield* ask.topic()
      const client = yield* ask.connect
      return [
        yield* produce(client, topic, batch(["a", "b"]), { acks }),
        yield* produce(client, topic, batch(["c"]), { acks }),
        yield* fetch(client, topic)
      ]
    })
  )
about("Produce", "refuses what is wrong", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    const damaged = batch(["a"])
    damaged[damaged.length - 1]! ^= 1
    const miscounted = batch(["a", "b"])
    miscounted[60] = 1
    RecordBatch.sign(miscounted)
    const control = RecordBatch.encode(
      [{ key: Uint8Array.from([0, 0, 0, 0]), value: Uint8Array.from([0, 0, 0, 0, 0, 0]), headers: [], timestamp: 0 }],
      { control: true }
    )
    const out: { [name: string]: unknown } = {
      damaged: yield* produce(client, topic, damaged),
      miscounted: yield* produce(client, topic, miscounted),
      control: yield* produce(client, topic, control),
      absentTopic: yield* produce(client, `${ask.name}-absent`, batch(["a"])),
      absentPartition: yield* produce(client, topic, batch(["a"]), { partition: 7 }),
      acks: yield* produce(client, topic, batch(["a"]), { acks: 2 })
    }
    return [out, yield* fetch(client, topic)]
  })
)
for (const [name, records] of [
  ["two batches at once", Buffer.concat([batch(["a"]), batch(["b"])])],
  ["no records", new Uint8Array(0)]
] as const)
  about("Produce", `of ${name}`, (ask) =>
    Effect.gen(function* () {
      const topic = yield* ask.topic()
      const client = yield* ask.connect
      const exit = yield* Effect.exit(produce(client, topic, records))
      return exit._tag === "Success" ? exit.value : "closed"
    })
  )
about("Produce", "with acks 0 is not answered, and an error closes the connection", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    const send = (partition: number) =>
      fork(produce(client, topic, batch(["a"]), { acks: 0, partition }).pipe(Effect.exit))
    yield* send(0)
    const after = yield* client.ask(ApiVersions, () => ({}), 0)
    yield* send(9)
    const then = yield* closes(client.raw.closed)
    return [after.errorCode, then]
  })
)
about("Produce", "keeps headers, keys, nulls and every codec as they came", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    const codes: Array<unknown> = []
    for (const id of client.version(Produce) < 3 ? [0, 1, 2, 3] : [0, 1, 2, 3, 4]) {
      const records = RecordBatch.encode(
        [
          {
            key: bytes("k"),
            value: bytes(`v${id}`),
            headers: [
              ["h", bytes("x")],
              ["h", null]
            ],
            timestamp: 5
          },
          { key: null, value: null, headers: [], timestamp: 6 }
        ],
        id === 0 ? {} : { compression: Compression.builtIn.get(id) }
      )
      codes.push(yield* produce(client, topic, records))
    }
    return [codes, yield* fetch(client, topic)]
  })
)
about("Produce", "refuses a batch beyond max.message.bytes", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic({ config: { "max.message.bytes": "200" } })
    const client = yield* ask.connect
    return [yield* produce(client, topic, batch(["x".repeat(300)])), yield* produce(client, topic, batch(["x"]))]
  })
)
about("Produce", "of a compacted topic needs keys", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic({ config: { "cleanup.policy": "compact" } })
    const client = yield* ask.connect
    return [yield* produce(client, topic, batch(["a"])), yield* produce(client, topic, batch(["a"], { key: "k" }))]
  })
)
about("Produce", "stamps its own time where the topic says so", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic({ config: { "message.timestamp.type": "LogAppendTime" } })
    const client = yield* ask.connect
    const { version } = client
    const response = yield* client.raw.send(Produce, Math.min(version(Produce), 9), {
      acks: -1,
      timeoutMs: 3000,
      topicData: [{ name: topic, partitionData: [{ index: 0, records: batch(["a"], { timestamp: 5 }) }] }]
    })
    const answer = response.responses[0]!.partitionResponses[0]!
    const read = yield* fetch(client, topic)
    return [answer.errorCode, answer.logAppendTimeMs > 1_000_000, read.batches.map((b) => b.timestampType)]
  })
)
about("Produce", "needs as many replicas in sync as the topic says", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic({ config: { "min.insync.replicas": "2" } })
    const client = yield* ask.connect
    return [yield* produce(client, topic, batch(["a"])), yield* produce(client, topic, batch(["a"]), { acks: 1 })]
  })
)
about("InitProducerId", "gives an id and epoch 0, and a new id each time", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    const first = yield* producer(client)
    const second = yield* producer(client)
    return [first.errorCode, first.producerEpoch, second.producerEpoch, first.producerId !== second.producerId]
  })
)
about("Produce", "knows batches that come twice, gaps and old epochs", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    const { producerId } = yield* producer(client)
    const send = (baseSequence: number, producerEpoch = 0, id = producerId) =>
      Effect.map(
        produce(client, topic, batch(["a", "b"], { producerId: id, producerEpoch, baseSequence })),
        (answer) => [answer.errorCode, answer.baseOffset]
      )
    const out: Array<unknown> = []
    for (let i = 0; i < 6; i++) out.push(yield* send(i * 2))
    for (const sequence of [2, 10, 0, 11, 14]) out.push([sequence, yield* send(sequence)])
    out.push(["new epoch, not from 0", yield* send(12, 1)])
    out.push(["new epoch", yield* send(0, 1)])
    out.push(["old epoch", yield* send(12, 0)])
    out.push(["unknown producer, from 5", yield* send(5, 0, producerId + 1000)])
    return out
  })
)
about("Produce", "wraps sequences at 2^31 - 1", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    const { producerId } = yield* producer(client)
    const send = (baseSequence: number, count: number) =>
      Effect.map(
        produce(
          client,
          topic,
          batch(
            Array.from({ length: count }, () => "x"),
            { producerId, producerEpoch: 0, baseSequence }
          )
        ),
        (answer) => [answer.errorCode, answer.baseOffset]
      )
    return [yield* send(2147483646, 2), yield* send(0, 1), yield* send(2147483646, 2), yield* send(2, 1)]
  })
)
about("Fetch", "waits for bytes, and is woken by them", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const reader = yield* ask.connect
    const writer = yield* ask.connect
    const waiting = yield* fork(fetch(reader, topic, { maxWait: 5000 }))
    yield* Effect.sleep(200)
    const early = waiting.pollUnsafe() !== undefined
    yield* produce(writer, topic, batch(["a"]))
    const woken = yield* Fiber.join(waiting)
    const before = performance.now()
    const timed = yield* fetch(reader, topic, { offset: 1, maxWait: 300 })
    return [early, woken.batches, timed.batches, performance.now() - before > 250]
  })
)
about("Fetch", "waits for as many bytes as were asked for", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    yield* produce(client, topic, batch(["x".repeat(100)]))
    const before = performance.now()
    const read = yield* fetch(client, topic, { maxWait: 300, minBytes: 10_000 })
    return [read.batches.length, performance.now() - before > 250]
  })
)
about("Fetch", "of an offset out of range, an absent partition, an absent topic", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    yield* produce(client, topic, batch(["a"]))
    return [
      yield* fetch(client, topic, { offset: 2 }),
      yield* fetch(client, topic, { offset: -1 }),
      yield* fetch(client, topic, { offset: 1 }),
      yield* fetch(client, topic, { partition: 5 }),
      yield* fetch(client, `${ask.name}-absent`)
    ]
  })
)
about("Fetch", "gives a first batch whole, and cuts the second", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    yield* produce(client, topic, batch(["x".repeat(500)]))
    yield* produce(client, topic, batch(["y".repeat(500)]))
    const brief = (options: FetchOptions) =>
      Effect.map(fetch(client, topic, options), (read) => [read.bytes, read.batches.length, read.partial])
    return [
      yield* brief({ partitionMaxBytes: 10 }),
      yield* brief({ partitionMaxBytes: 700 }),
      yield* brief({ maxBytes: 700 }),
      yield* brief({ maxBytes: 10 })
    ]
  })
)
about("Fetch", "from the middle of a batch gives the batch", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    yield* produce(client, topic, batch(["a", "b", "c"]))
    return yield* fetch(client, topic, { offset: 2 })
  })
)
about("Fetch", "with another epoch of the leader", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    if (client.version(Fetch) < 9) return "no epochs"
    yield* produce(client, topic, batch(["a"]))
    return [
      (yield* fetch(client, topic, { epoch: 0 })).errorCode,
      (yield* fetch(client, topic, { epoch: 5 })).errorCode
    ]
  })
)
about("Fetch", "after records of an epoch that never was", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    if (client.version(Fetch) < 12) return "no epochs"
    yield* produce(client, topic, batch(["a"]))
    return [
      yield* fetch(client, topic, { offset: 1, lastFetchedEpoch: 0 }),
      (yield* fetch(client, topic, { offset: 1, lastFetchedEpoch: 5 })).errorCode
    ]
  })
)
about("Fetch", "in a session names what changed", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic({ partitions: 2 })
    const client = yield* ask.connect
    if (client.version(Fetch) < 7) return "no sessions"
    const request = (
      sessionId: number,
      sessionEpoch: number,
      partitions: ReadonlyArray<number>,
      forgotten: ReadonlyArray<number> = []
    ) =>
      client.ask(
        Fetch,
        () => ({
          maxWaitMs: 0,
          minBytes: 1,
          sessionId,
          sessionEpoch,
          topics:
            partitions.length === 0
              ? []
              : [
                  {
                    topic,
                    partitions: partitions.map((partition) => ({ partition, fetchOffset: 0, partitionMaxBytes: 1000 }))
                  }
                ],
          forgottenTopicsData: forgotten.length === 0 ? [] : [{ topic, partitions: forgotten }]
        }),
        12
      )
    const brief = (response: {
      readonly errorCode: number
      readonly sessionId: number
      readonly responses: ReadonlyArray<{
        readonly partitions: ReadonlyArray<{ readonly partitionIndex: number; readonly errorCode: number }>
      }>
    }) => [
      response.errorCode,
      response.sessionId === 0 ? "none" : "session",
      response.responses.flatMap((r) => r.partitions.map((p) => [p.partitionIndex, p.errorCode]))
    ]
    const first = yield* request(0, 0, [0, 1])
    const id = first.sessionId
    const out = [brief(first), brief(yield* request(id, 1, []))]
    yield* produce(client, topic, batch(["a"]), { partition: 1 })
    out.push(brief(yield* request(id, 2, [])))
    out.push(brief(yield* request(id, 2, [])))
    out.push(brief(yield* request(id + 7, 1, [])))
    out.push(brief(yield* request(id, 3, [0], [1])))
    out.push(brief(yield* request(id, 4, [9])))
    out.push(brief(yield* request(id, 5, [])))
    out.push(brief(yield* request(id, -1, [0])))
    out.push(brief(yield* request(id, 6, [])))
    out.push(brief(yield* request(0, 3, [])))
    return out
  })
)

// ── ListOffsets, OffsetForLeaderEpoch, DeleteRecords

about("ListOffsets", "by time, at the ends, and by the largest timestamp", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    const empty = [
      yield* listOffset(client, topic, -1),
      yield* listOffset(client, topic, -2),
      yield* listOffset(client, topic, 5)
    ]
    yield* produce(client, topic, batch(["a", "b", "c"], { timestamp: 100 }))
    yield* produce(client, topic, batch(["d", "e"], { timestamp: 50 }))
    yield* produce(client, topic, batch(["f"], { timestamp: 300 }))
    const out: Array<unknown> = [empty]
    for (const timestamp of [-1, -2, 0, 51, 100, 101, 102, 103, 300, 301])
      out.push([timestamp, yield* listOffset(client, topic, timestamp)])
    if (client.version(ListOffsets) >= 7) out.push(yield* listOffset(client, topic, -3))
    if (client.version(ListOffsets) >= 8) out.push(yield* listOffset(client, topic, -4))
    if (client.version(ListOffsets) >= 9) out.push(yield* listOffset(client, topic, -5))
    return out
  })
)
about("ListOffsets", "of what is not there, and of another epoch", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    return [
      yield* listOffset(client, topic, -1, { partition: 4 }),
      yield* listOffset(client, `${ask.name}-absent`, -1),
      yield* listOffset(client, topic, -1, { epoch: 7 })
    ]
  })
)
about("OffsetForLeaderEpoch", "ends where the log ends, and is unknown beyond", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    yield* produce(client, topic, batch(["a", "b"]))
    const end = (leaderEpoch: number, partition = 0) =>
      Effect.map(
        client.ask(OffsetForLeaderEpoch, () => ({ topics: [{ topic, partitions: [{ partition, leaderEpoch }] }] })),
        (response) => response.topics[0]!.partitions[0]!
      )
    return [yield* end(0), yield* end(3), yield* end(-1), yield* end(0, 8)]
  })
)
about("DeleteRecords", "makes an offset the first", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    yield* produce(client, topic, batch(["a", "b", "c"]))
    yield* produce(client, topic, batch(["d"]))
    const remove = (offset: number, partitionIndex = 0) =>
      Effect.map(
        client.ask(DeleteRecords, () => ({
          topics: [{ name: topic, partitions: [{ partitionIndex, offset }] }],
          timeoutMs: 3000
        })),
        (response) => response.topics[0]!.partitions[0]!
      )
    return [
      yield* remove(2),
      yield* fetch(client, topic, { offset: 2 }),
      (yield* fetch(client, topic, { offset: 1 })).errorCode,
      yield* listOffset(client, topic, -2),
      yield* remove(1),
      yield* remove(9),
      yield* remove(-1),
      yield* remove(0, 5),
      yield* fetch(client, topic, { offset: 4 })
    ]
  })
)
about("DeleteRecords", "is refused for a compacted topic", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic({ config: { "cleanup.policy": "compact" } })
    const client = yield* ask.connect
    const response = yield* client.ask(DeleteRecords, () => ({
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, offset: 0 }] }],
      timeoutMs: 3000
    }))
    return response.topics[0]!.partitions[0]!
  })
)

// ── topics and settings

/** Creates topics, of one partition and replica where nothing else is said. */
const creating = (ask: Ask.Ask) =>
  Effect.map(
    ask.connect,
    (client) =>
      (name: string, more: object, validateOnly = false) =>
        Effect.map(
          client.ask(CreateTopics, (v) => ({
            topics: [{ name, numPartitions: 1, replicationFactor: 1, ...more }],
            timeoutMs: 5000,
            ...(v >= 1 ? { validateOnly } : undefined)
          })),
          (response) => {
            const [answer] = response.topics
            return [answer!.errorCode, answer!.numPartitions, answer!.replicationFactor]
          }
        )
  )
about("CreateTopics", "refuses what cannot be", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const create = yield* creating(ask)
    return [
      yield* create(topic, {}),
      yield* create("not legal!", {}),
      yield* create("", {}),
      yield* create("..", {}),
      yield* create("x".repeat(250), {}),
      yield* create(`${ask.name}-a`, { numPartitions: 0 }),
      yield* create(`${ask.name}-b`, { numPartitions: -5 }),
      yield* create(`${ask.name}-c`, { replicationFactor: 9 }),
      yield* create(`${ask.name}-d`, { replicationFactor: 0 }),
      yield* create(`${ask.name}-e`, { configs: [{ name: "nonsense", value: "1" }] }),
      yield* create(`${ask.name}-f`, { configs: [{ name: "retention.ms", value: "soon" }] }),
      yield* create(`${ask.name}-g`, { assignments: [{ partitionIndex: 0, brokerIds: [1] }] }),
      yield* create(`${ask.name}-i`, {
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [{ partitionIndex: 0, brokerIds: [1] }]
      }),
      yield* create(`${ask.name}-k`, {}, true),
      yield* create(`${ask.name}-k`, { numPartitions: 3 })
    ]
  })
)
about("CreateTopics", "with an assignment to a broker that is not there", (ask) =>
  Effect.gen(function* () {
    const create = yield* creating(ask)
    return yield* create(`${ask.name}-h`, {
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 0, brokerIds: [77] }]
    })
  })
)
about("CreateTopics", "with an assignment that leaves a partition out", (ask) =>
  Effect.gen(function* () {
    const create = yield* creating(ask)
    return yield* create(`${ask.name}-j`, {
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 1, brokerIds: [1] }]
    })
  })
)
about("CreateTopics", "twice in one request", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    const one = { name: `${ask.name}-twice`, numPartitions: 1, replicationFactor: 1 }
    const response = yield* client.ask(CreateTopics, () => ({ topics: [one, one], timeoutMs: 5000 }))
    return response.topics.map((t) => t.errorCode)
  })
)
about("DeleteTopics", "by name, and what is not there", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    const response = yield* client.ask(
      DeleteTopics,
      () => ({ topicNames: [topic, `${ask.name}-absent`], timeoutMs: 5000 }),
      5
    )
    return response.responses.map((r) => [r.name === topic, r.errorCode]).sort()
  })
)
about("DeleteTopics", "by id", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    if (client.version(DeleteTopics) < 6) return "no ids"
    const metadata = yield* client.ask(Metadata, () => ({ topics: [{ name: topic }] }), 10)
    const ids = [metadata.topics[0]!.topicId, "AAAAAAAAAAAAAAAAAAAAQQ"]
    const response = yield* client.ask(DeleteTopics, () => ({
      topics: ids.map((topicId) => ({ name: null, topicId })),
      timeoutMs: 5000
    }))
    return response.responses.map((r) => [r.name === null ? null : "topic", r.errorCode]).sort()
  })
)
about("CreatePartitions", "grows, and refuses what is no growth", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic({ partitions: 2 })
    const client = yield* ask.connect
    const grow = (
      name: string,
      count: number,
      assignments: ReadonlyArray<ReadonlyArray<number>> | null = null,
      validateOnly = false
    ) =>
      Effect.map(
        client.ask(CreatePartitions, () => ({
          topics: [{ name, count, assignments: assignments?.map((brokerIds) => ({ brokerIds })) ?? null }],
          timeoutMs: 5000,
          validateOnly
        })),
        (response) => response.results[0]!.errorCode
      )
    return [
      yield* grow(topic, 2),
      yield* grow(topic, 1),
      yield* grow(`${ask.name}-absent`, 3),
      yield* grow(topic, 3, [[77]]),
      yield* grow(topic, 3, [[1], [1]]),
      yield* grow(topic, 3, null, true),
      yield* grow(topic, 3, [[1]]),
      yield* grow(topic, 4)
    ]
  })
)
about("DescribeConfigs", "of a topic: values, sources, types and synonyms", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic({ config: { "retention.ms": "1000" } })
    const client = yield* ask.connect
    const response = yield* client.ask(DescribeConfigs, (v) => ({
      resources: [
        {
          resourceType: 2,
          resourceName: topic,
          configurationKeys: ["retention.ms", "cleanup.policy", "max.message.bytes", "segment.bytes"]
        },
        { resourceType: 4, resourceName: "77", configurationKeys: null }
      ],
      ...(v >= 1 ? { includeSynonyms: true } : undefined)
    }))
    return Array.from(response.results)
      .sort((a, b) => a.resourceType - b.resourceType)
      .map((r) => [
        r.errorCode,
        r.configs
          .map((c) => [
            c.name,
            c.value,
            c.readOnly,
            c.configSource,
            c.isSensitive,
            c.configType,
            c.synonyms.filter((s) => s.source !== 4)
          ])
          .sort((a, b) => (a[0]! < b[0]! ? -1 : 1))
      ])
  })
)
about("DescribeConfigs", "of a topic that is not there", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    const response = yield* client.ask(DescribeConfigs, () => ({
      resources: [{ resourceType: 2, resourceName: `${ask.name}-absent`, configurationKeys: null }]
    }))
    return response.results.map((r) => [r.errorCode, r.configs.length])
  })
)
about("DescribeConfigs", "names every setting of a topic", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    const response = yield* client.ask(DescribeConfigs, () => ({
      resources: [{ resourceType: 2, resourceName: topic, configurationKeys: null }]
    }))
    return (
      response.results[0]!.configs
        // which the harness makes small
        .filter((c) => c.name !== "segment.index.bytes")
        .map((c) => [c.name, c.configType, c.value])
        .sort()
    )
  })
)
about("AlterConfigs", "replaces all settings", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic({ config: { "retention.ms": "1000" } })
    const client = yield* ask.connect
    const alter = (
      name: string,
      configs: ReadonlyArray<{ readonly name: string; readonly value: string | null }>,
      validateOnly = false
    ) =>
      Effect.map(
        client.ask(AlterConfigs, () => ({
          resources: [{ resourceType: 2, resourceName: name, configs }],
          validateOnly
        })),
        (response) => response.responses[0]!.errorCode
      )
    const own = Effect.map(
      client.ask(DescribeConfigs, () => ({
        resources: [{ resourceType: 2, resourceName: topic, configurationKeys: null }]
      })),
      (response) => response.results[0]!.configs.filter((c) => c.configSource === 1).map((c) => [c.name, c.value])
    )
    return [
      yield* alter(topic, [{ name: "nonsense", value: "1" }]),
      yield* alter(topic, [{ name: "flush.ms", value: "x" }]),
      yield* alter(topic, [{ name: "flush.ms", value: "77" }], true),
      yield* own,
      yield* alter(topic, [{ name: "flush.ms", value: "77" }]),
      yield* Effect.andThen(Effect.sleep(200), own),
      yield* alter(`${ask.name}-absent`, [])
    ]
  })
)
about("IncrementalAlterConfigs", "sets, deletes, appends and subtracts", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    const alter = (name: string, configOperation: number, value: string | null, resourceName = topic) =>
      Effect.map(
        client.ask(IncrementalAlterConfigs, () => ({
          resources: [{ resourceType: 2, resourceName, configs: [{ name, configOperation, value }] }]
        })),
        (response) => response.responses[0]!.errorCode
      )
    const own = Effect.andThen(
      Effect.sleep(200),
      Effect.map(
        client.ask(DescribeConfigs, () => ({
          resources: [{ resourceType: 2, resourceName: topic, configurationKeys: null }]
        })),
        (response) => response.results[0]!.configs.filter((c) => c.configSource === 1).map((c) => [c.name, c.value])
      )
    )
    return [
      yield* alter("cleanup.policy", 2, "compact"),
      yield* own,
      yield* alter("cleanup.policy", 3, "delete"),
      yield* own,
      yield* alter("cleanup.policy", 1, null),
      yield* own,
      yield* alter("retention.ms", 0, "5"),
      yield* alter("retention.ms", 2, "6"),
      yield* alter("retention.ms", 0, "soon"),
      yield* alter("nonsense", 0, "1"),
      yield* alter("retention.ms", 0, "5", `${ask.name}-absent`),
      yield* own
    ]
  })
)
about("DescribeCluster", "names the brokers", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    const response = yield* client.ask(DescribeCluster, () => ({ includeClusterAuthorizedOperations: true }))
    return [
      response.errorCode,
      response.endpointType,
      response.brokers.map((b) => [b.brokerId, b.rack, b.isFenced]),
      response.clusterAuthorizedOperations
    ]
  })
)
about("SaslHandshake", "is refused on a listener without SASL", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    const response = yield* client.ask(SaslHandshake, () => ({ mechanism: "PLAIN" }))
    return [response.errorCode, response.mechanisms]
  })
)

// ── groups

about("FindCoordinator", "finds one, of several keys too", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    const old = yield* client.ask(FindCoordinator, () => ({ key: ask.name }), 2)
    const out: Array<unknown> = [[old.errorCode, old.nodeId]]
    if (client.version(FindCoordinator) >= 4) {
      const many = yield* client.ask(FindCoordinator, () => ({ coordinatorKeys: [ask.name, "other"] }), 5)
      out.push(many.coordinators.map((c) => [c.errorCode, c.nodeId]))
      const odd = yield* client.ask(FindCoordinator, () => ({ keyType: 7, coordinatorKeys: [ask.name] }), 5)
      out.push(odd.coordinators.map((c) => [c.errorCode, c.nodeId]))
    }
    return out
  })
)
about("JoinGroup", "gives an id first, then a generation", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    const first = yield* join(client, ask.name)
    const second = yield* join(client, ask.name, { memberId: first.memberId })
    const strip = (r: typeof first) => ({
      errorCode: r.errorCode,
      generation: r.generationId,
      type: r.protocolType,
      name: r.protocolName,
      leads: r.leader === r.memberId,
      leader: r.leader === "" ? "" : "somebody",
      id: r.memberId.replace(/[0-9a-f-]{36}$/, "UUID"),
      skip: r.skipAssignment,
      members: r.members.map((m) => [
        m.memberId === r.memberId,
        m.groupInstanceId,
        Buffer.from(m.metadata).toString("hex")
      ])
    })
    return [strip(first), strip(second)]
  })
)
about("JoinGroup", "refuses what is wrong", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    const code = (group: string, options: JoinOptions = {}) =>
      Effect.map(join(client, group, options), (r) => [r.errorCode, r.generationId, r.leader, r.members.length])
    const joined = yield* enter(client, ask.name)
    return [
      joined.errorCode,
      yield* code("", {}),
      yield* code(`${ask.name}-new`, { memberId: "nobody" }),
      yield* code(ask.name, { memberId: "nobody" }),
      yield* code(ask.name, { session: 1 }),
      yield* code(ask.name, { session: 100_000_000 }),
      yield* code(ask.name, { protocolType: "connect" }),
      yield* code(ask.name, { protocols: [["other", ""]] })
    ]
  })
)
about("JoinGroup", "without protocols, and without a type", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    const other = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    return [
      (yield* join(client, `${ask.name}-none`, { protocols: [] })).errorCode,
      (yield* join(other, `${ask.name}-type`, { protocolType: "" })).errorCode
    ]
  }).pipe(
    Effect.timeout(5000),
    Effect.catch(() => Effect.succeed("no answer"))
  )
)
about("SyncGroup", "hands out what the leader says, and refuses what is wrong", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    const joined = yield* enter(client, ask.name)
    const brief = (r: {
      readonly errorCode: number
      readonly protocolType: string | null
      readonly protocolName: string | null
      readonly assignment: Uint8Array
    }) => [r.errorCode, r.protocolType, r.protocolName, text(r.assignment)]
    return [
      brief(yield* sync(client, ask.name, "nobody", 1)),
      brief(yield* sync(client, ask.name, joined.memberId, 9)),
      brief(yield* sync(client, ask.name, joined.memberId, 1, [], { protocolName: "other" })),
      brief(yield* sync(client, ask.name, joined.memberId, 1, [[joined.memberId, "mine"]])),
      brief(yield* sync(client, ask.name, joined.memberId, 1)),
      brief(yield* sync(client, `${ask.name}-absent`, "nobody", 1)),
      brief(yield* sync(client, "", "nobody", 1))
    ]
  })
)
about("Heartbeat", "in every state, and of strangers", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    const other = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    const out: Array<unknown> = [
      yield* heartbeat(client, `${ask.name}-absent`, "nobody", 1),
      yield* heartbeat(client, "", "nobody", 1)
    ]
    const { memberId } = yield* enter(client, ask.name)
    out.push(["completing", yield* heartbeat(client, ask.name, memberId, 1)])
    yield* sync(client, ask.name, memberId, 1, [[memberId, "mine"]])
    out.push(["stable", yield* heartbeat(client, ask.name, memberId, 1)])
    out.push(["generation", yield* heartbeat(client, ask.name, memberId, 2)])
    out.push(["stranger", yield* heartbeat(client, ask.name, "nobody", 1)])
    out.push(["instance", yield* heartbeat(client, ask.name, memberId, 1, "i")])
    const first = yield* join(other, ask.name)
    const joining = yield* fork(
      first.errorCode === 79 ? join(other, ask.name, { memberId: first.memberId }) : Effect.succeed(first)
    )
    yield* Effect.sleep(300)
    out.push(["preparing", yield* heartbeat(client, ask.name, memberId, 1)])
    const again = yield* join(client, ask.name, { memberId })
    const joined = yield* Fiber.join(joining)
    out.push([
      again.generationId,
      joined.generationId,
      again.members.length,
      joined.members.length,
      joined.leader === memberId
    ])
    out.push(["before", yield* heartbeat(client, ask.name, memberId, 1)])
    yield* leave(client, ask.name, memberId)
    yield* leave(other, ask.name, joined.memberId)
    out.push(["empty", yield* heartbeat(client, ask.name, memberId, 2)])
    return out
  })
)
about(
  "JoinGroup",
  "while completing gives the same again, and the leader's join of a stable group begins another",
  (ask) =>
    Effect.gen(function* () {
      const client = yield* ask.connect
      yield* Ask.coordinated(client, ask.name)
      const { memberId } = yield* enter(client, ask.name)
      const same = yield* join(client, ask.name, { memberId })
      yield* sync(client, ask.name, memberId, 1, [[memberId, "mine"]])
      const next = yield* join(client, ask.name, { memberId })
      return [same.errorCode, same.generationId, same.members.length, next.errorCode, next.generationId]
    })
)
about("JoinGroup", "elects the protocol that most prefer", (ask) =>
  Effect.gen(function* () {
    const a = yield* ask.connect
    const b = yield* ask.connect
    yield* Ask.coordinated(a, ask.name)
    const meta = subscription([])
    const one = yield* enter(a, ask.name, {
      protocols: [
        ["x", meta],
        ["y", meta]
      ]
    })
    yield* sync(a, ask.name, one.memberId, 1, [], { protocolName: "x" })
    const joining = yield* fork(
      enter(b, ask.name, {
        protocols: [
          ["z", meta],
          ["y", meta]
        ]
      })
    )
    yield* Effect.sleep(300)
    const again = yield* join(a, ask.name, {
      memberId: one.memberId,
      protocols: [
        ["x", meta],
        ["y", meta]
      ]
    })
    const other = yield* Fiber.join(joining)
    return [one.protocolName, again.protocolName, other.protocolName, again.generationId]
  })
)
about("JoinGroup", "of a static member that comes back, and its former self", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    const other = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    if (client.version(JoinGroup) < 5) return "no static members"
    const first = yield* join(client, ask.name, { instanceId: "i" })
    yield* sync(client, ask.name, first.memberId, first.generationId, [[first.memberId, "mine"]])
    const again = yield* join(other, ask.name, { instanceId: "i" })
    const out = [
      [first.errorCode, first.generationId, first.memberId.replace(/[0-9a-f-]{36}$/, "UUID")],
      [
        again.errorCode,
        again.generationId,
        again.memberId !== first.memberId,
        again.leader === again.memberId,
        again.skipAssignment,
        again.members.length
      ],
      yield* heartbeat(client, ask.name, first.memberId, 1, "i"),
      yield* heartbeat(other, ask.name, again.memberId, 1, "i"),
      yield* heartbeat(other, ask.name, again.memberId, 1, "j"),
      (yield* join(client, ask.name, { instanceId: "i", memberId: first.memberId })).errorCode,
      text((yield* sync(other, ask.name, again.memberId, 1)).assignment)
    ]
    const left = yield* other.ask(LeaveGroup, () => ({
      groupId: ask.name,
      members: [
        { memberId: "", groupInstanceId: "i" },
        { memberId: "", groupInstanceId: "k" }
      ]
    }))
    return [...out, left.errorCode, left.members.map((m) => [m.groupInstanceId, m.errorCode])]
  })
)
about("LeaveGroup", "of a member, and of strangers", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    const { memberId } = yield* enter(client, ask.name)
    return [
      yield* leave(client, ask.name, "nobody"),
      yield* leave(client, ask.name, memberId),
      yield* leave(client, ask.name, memberId),
      yield* leave(client, `${ask.name}-absent`, "nobody"),
      yield* leave(client, "", "nobody")
    ]
  })
)
about("JoinGroup", "goes on without a member whose session ended", (ask) =>
  Effect.gen(function* () {
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    const { memberId } = yield* enter(client, ask.name)
    yield* sync(client, ask.name, memberId, 1, [[memberId, "mine"]])
    yield* Effect.sleep(6800)
    return [yield* heartbeat(client, ask.name, memberId, 1), (yield* enter(client, ask.name)).generationId]
  })
)
about("OffsetCommit", "without members, with members, and by strangers", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic({ partitions: 2 })
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    const group = ask.name
    const out: Array<unknown> = [
      ["before", yield* committed(client, group, topic)],
      ["simple", yield* commit(client, group, topic, 5, { metadata: "m" })],
      ["generation", yield* commit(client, `${group}-new`, topic, 5, { generation: 3, memberId: "x" })],
      ["absent partition", yield* commit(client, group, topic, 5, { partition: 9 })],
      ["absent topic", yield* commit(client, group, `${group}-absent`, 5)],
      ["metadata", yield* commit(client, group, topic, 5, { metadata: "x".repeat(5000) })],
      ["no group", yield* commit(client, "", topic, 5)],
      ["after", yield* committed(client, group, topic)]
    ]
    const { memberId } = yield* enter(client, group)
    out.push(["completing", yield* commit(client, group, topic, 6, { generation: 1, memberId })])
    yield* sync(client, group, memberId, 1, [[memberId, "mine"]])
    out.push(["member", yield* commit(client, group, topic, 7, { generation: 1, memberId })])
    out.push(["old", yield* commit(client, group, topic, 8, { generation: 0, memberId })])
    out.push(["stranger", yield* commit(client, group, topic, 8, { generation: 1, memberId: "nobody" })])
    out.push(["simple while there are members", yield* commit(client, group, topic, 8)])
    out.push(["after", yield* committed(client, group, topic)])
    yield* leave(client, group, memberId)
    out.push(["when it left", yield* commit(client, group, topic, 8, { generation: 1, memberId })])
    out.push(["simple again", yield* commit(client, group, topic, 9)])
    return out
  })
)
about("OffsetFetch", "of several groups, of everything, and of nothing", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    yield* commit(client, ask.name, topic, 4, { metadata: "x" })
    const all = yield* client.ask(OffsetFetch, () => ({ groupId: ask.name, topics: null }), 7)
    const out: Array<unknown> = [
      all.errorCode,
      all.topics.map((t) => t.partitions.map((p) => [p.committedOffset, p.committedLeaderEpoch, p.metadata]))
    ]
    if (client.version(OffsetFetch) >= 8) {
      const many = yield* client.ask(
        OffsetFetch,
        () => ({
          groups: [
            { groupId: ask.name, topics: null },
            { groupId: `${ask.name}-absent`, topics: [{ name: topic, partitionIndexes: [0] }] }
          ]
        }),
        9
      )
      out.push(
        many.groups.map((g) => [
          g.errorCode,
          g.topics.map((t) => t.partitions.map((p) => [p.committedOffset, p.metadata, p.errorCode]))
        ])
      )
    }
    return out
  })
)
about("OffsetDelete", "of a group that is subscribed, and of one that is not", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const second = yield* ask.topic()
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    yield* commit(client, ask.name, topic, 1)
    yield* commit(client, ask.name, second, 2)
    const joined = yield* enter(client, ask.name, { protocols: [["range", subscription([topic])]] })
    yield* sync(client, ask.name, joined.memberId, 1)
    const remove = (groupId: string, names: ReadonlyArray<string>) =>
      Effect.map(
        client.ask(OffsetDelete, () => ({
          groupId,
          topics: names.map((name) => ({ name, partitions: [{ partitionIndex: 0 }] }))
        })),
        (r) => [r.errorCode, r.topics.map((t) => t.partitions.map((p) => p.errorCode))]
      )
    return [
      yield* remove(ask.name, [topic]),
      yield* remove(ask.name, [second]),
      yield* remove(`${ask.name}-absent`, [topic]),
      (yield* committed(client, ask.name, second)).partitions?.[0]
    ]
  })
)
about("DescribeGroups", "of a stable group, one without members, and one that is not there", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    const { memberId } = yield* enter(client, ask.name)
    const describe = (group: string) =>
      Effect.map(
        client.ask(DescribeGroups, (v) => ({
          groups: [group],
          ...(v >= 3 ? { includeAuthorizedOperations: true } : undefined)
        })),
        (response) =>
          response.groups.map((g) => [
            g.errorCode,
            g.groupState,
            g.protocolType,
            g.protocolData,
            g.authorizedOperations,
            g.members.map((m) => [
              m.clientId,
              m.clientHost,
              m.groupInstanceId,
              Buffer.from(m.memberMetadata).toString("hex"),
              text(m.memberAssignment)
            ])
          ])
      )
    yield* sync(client, ask.name, memberId, 1, [[memberId, "mine"]])
    yield* commit(client, `${ask.name}-simple`, topic, 1)
    return [
      yield* describe(ask.name),
      yield* describe(`${ask.name}-simple`),
      yield* describe(`${ask.name}-absent`),
      yield* describe("")
    ]
  })
)
about("DescribeGroups", "of a group that was never stable", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    yield* enter(client, ask.name)
    // 4.0 describes only what the offsets topic has: once a later write is there, the group is too
    yield* commit(client, `${ask.name}-simple`, topic, 1)
    const describe = (group: string) =>
      Effect.map(
        client.ask(DescribeGroups, (v) => ({
          groups: [group],
          ...(v >= 3 ? { includeAuthorizedOperations: true } : undefined)
        })),
        (response) =>
          response.groups.map((g) => [
            g.errorCode,
            g.groupState,
            g.protocolType,
            g.protocolData,
            g.authorizedOperations,
            g.members.map((m) => [
              m.clientId,
              m.clientHost,
              m.groupInstanceId,
              Buffer.from(m.memberMetadata).toString("hex"),
              text(m.memberAssignment)
            ])
          ])
      )
    return yield* describe(ask.name)
  })
)
about("ListGroups", "by state and type", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    const { memberId } = yield* enter(client, ask.name)
    yield* sync(client, ask.name, memberId, 1, [[memberId, "mine"]])
    yield* commit(client, `${ask.name}-simple`, topic, 1)
    const list = (states: ReadonlyArray<string>, types: ReadonlyArray<string> = []) =>
      Effect.map(
        client.ask(ListGroups, (v) => ({
          ...(v >= 4 ? { statesFilter: states } : undefined),
          ...(v >= 5 ? { typesFilter: types } : undefined)
        })),
        (r) => [
          r.errorCode,
          r.groups
            .filter((g) => g.groupId.startsWith(ask.name))
            .map((g) => [g.groupId.slice(ask.name.length), g.protocolType, g.groupState, g.groupType])
            .sort()
        ]
      )
    return [
      yield* list([]),
      yield* list(["stable"]),
      yield* list(["Empty"]),
      yield* list(["nonsense"]),
      yield* list([], ["classic"]),
      yield* list([], ["consumer"])
    ]
  })
)
about("DeleteGroups", "without members alone", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    yield* Ask.coordinated(client, ask.name)
    yield* enter(client, ask.name)
    yield* commit(client, `${ask.name}-simple`, topic, 1)
    const remove = (group: string) =>
      Effect.map(
        client.ask(DeleteGroups, () => ({ groupsNames: [group] })),
        (r) => r.results.map((x) => x.errorCode)
      )
    return [
      yield* remove(ask.name),
      yield* remove(`${ask.name}-simple`),
      yield* remove(`${ask.name}-absent`),
      yield* remove(""),
      yield* committed(client, `${ask.name}-simple`, topic)
    ]
  })
)

// ── connections

about("connection", "serves requests in the order in which they came, one at a time", (ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic()
    const client = yield* ask.connect
    const before = performance.now()
    const slow = yield* fork(fetch(client, topic, { maxWait: 400 }))
    yield* client.ask(ApiVersions, () => ({}), 0)
    const waited = performance.now() - before > 350
    yield* Fiber.join(slow)
    return waited
  })
)
for (const [name, frame] of [
  ["an API that nobody knows", [0, 0, 0, 10, 3, 231, 0, 0, 0, 0, 0, 9, 255, 255]],
  ["a version that nobody knows", [0, 0, 0, 10, 0, 3, 0, 99, 0, 0, 0, 9, 255, 255]],
  ["a body that is cut off", [0, 0, 0, 12, 0, 3, 0, 1, 0, 0, 0, 9, 255, 255, 0, 0]],
  ["a count beyond the frame", [0, 0, 0, 14, 0, 3, 0, 1, 0, 0, 0, 9, 255, 255, 127, 255, 255, 255]],
  ["a size below zero", [255, 255, 255, 255, 0, 3]],
  ["a size beyond the limit", [127, 255, 255, 255, 0, 3]],
  ["a TLS ClientHello", [22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3]],
  ["an HTTP request", [71, 69, 84, 32, 47, 32, 72, 84, 84, 80, 47, 49, 46, 49, 13, 10, 13, 10]]
] as const)
  about("connection", `is closed by ${name}`, (ask) =>
    Effect.gen(function* () {
      const { raw } = yield* ask.connect
      yield* raw.write(Uint8Array.from(frame))
      return yield* closes(raw.closed).pipe(Effect.map((how) => (how === "answered" ? "closed" : "open")))
    })
  )
about("connection", "does not mind bytes behind a body", (ask) =>
  Effect.gen(function* () {
    const { raw } = yield* ask.connect
    const answer = yield* fork(closes(raw.frame))
    yield* raw.write(Uint8Array.from([0, 0, 0, 17, 0, 3, 0, 1, 0, 0, 0, 9, 255, 255, 255, 255, 255, 255, 1, 2, 3]))
    return yield* Fiber.join(answer)
  })
)

export const all: ReadonlyArray<Case> = cases
