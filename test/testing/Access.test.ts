/** Rules, quotas and users of the embedded broker: made by `Admin`, and in force for whom they are about. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Result, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Admin, Consumer, Kafka, Membership, Producer, Topic } from "samsa"
import * as AlterClientQuotas from "../../src/protocol/messages/AlterClientQuotas.ts"
import * as DescribeClientQuotas from "../../src/protocol/messages/DescribeClientQuotas.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { batch, connect } from "./RawClient.ts"

const text = Topic.make("ruled", { key: Schema.NullOr(Schema.String), value: Schema.String })

const secured = EmbeddedKafka.layer({
  topics: [text, "other"],
  sasl: { users: { root: "root" } },
  superUsers: ["User:root"]
})

/** With a client that logs in. */
const as = <A, E, R>(username: string, password: string, self: Effect.Effect<A, E, R>) =>
  Effect.scoped(self).pipe(
    Effect.provide(
      Layer.mergeAll(Admin.layer({ timeout: "5 seconds" }), Producer.layer({ deliveryTimeout: "5 seconds" })).pipe(
        Layer.provideMerge(
          Kafka.layerWithoutNetwork({
            bootstrap: ["embedded-1:9092"],
            clientId: "app",
            sasl: { mechanism: "SCRAM-SHA-256", username, password: Redacted.make(password) }
          }).pipe(Layer.provide(EmbeddedKafka.layerNetwork))
        )
      )
    )
  )

const sends = Effect.flatMap(Producer.Producer, (producer) => producer.send(text, { key: null, value: "v" }))
const reads = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({ group: "g", topics: [text], from: "earliest" })
  return yield* Stream.runCollect(Stream.take(consumer.stream, 1))
})

it.live("who asks for all that a group has committed is not told of topics that he may not see (it was an error)", () =>
  Effect.gen(function* () {
    const admin = Admin.Admin
    yield* as(
      "root",
      "root",
      Effect.gen(function* () {
        const a = yield* admin
        yield* Admin.orFail(a.alterUsers([{ user: "alice", mechanism: "SCRAM-SHA-256", password: "secret" }]))
        const places = ["ruled", "other"].map((topic) => ({ topic, partition: 0, offset: 0 }))
        yield* Admin.orFail(a.alterGroupOffsets("g", places))
        yield* Admin.orFail(
          a.createAcls([{ resource: "topic", name: "ruled", principal: "User:bob", operation: "read" }])
        )
      })
    )
    const asked = Effect.flatMap(admin, (a) => Admin.orFail(a.groupOffsets([{ group: "g" }])))
    const [offsets] = yield* as("alice", "secret", asked)
    assert.deepStrictEqual(
      offsets!.map(({ topic }) => topic),
      ["other"]
    )
  }).pipe(Effect.scoped, Effect.provide(secured))
)

it.live("a user that the API has made logs in, may what rules allow, and is gone when it takes him away", () =>
  Effect.gen(function* () {
    const root = <A, E>(self: Effect.Effect<A, E, Admin.Admin>) => as("root", "root", self)
    const admin = Admin.Admin
    const refused = (self: Effect.Effect<unknown, unknown, Producer.Producer>) =>
      Effect.map(Effect.flip(as("alice", "secret", self)), String)
    assert.match(
      String(
        yield* Effect.flip(
          as(
            "alice",
            "secret",
            Effect.flatMap(admin, (a) => a.listTopics())
          )
        )
      ),
      /Unauthenticated/
    )
    yield* root(
      Effect.flatMap(admin, (a) =>
        Admin.orFail(
          a.alterUsers([{ user: "alice", mechanism: "SCRAM-SHA-256", password: "secret", iterations: 4096 }])
        )
      )
    )
    // Without a rule about it a topic is open to all.
    yield* as("alice", "secret", sends)
    yield* root(
      Effect.flatMap(admin, (a) =>
        Admin.orFail(
          a.createAcls([
            { resource: "topic", name: "rul", pattern: "prefixed", principal: "User:alice", operation: "describe" },
            { resource: "group", name: "g", principal: "User:bob", operation: "read" },
            { resource: "cluster", name: "kafka-cluster", principal: "User:bob", operation: "alter" }
          ])
        )
      )
    )
    assert.match(yield* refused(sends), /TOPIC_AUTHORIZATION_FAILED|Unauthorized/)
    const [listed, changed, described] = yield* as(
      "alice",
      "secret",
      Effect.gen(function* () {
        const a = yield* admin
        return [
          (yield* a.listTopics()).map(({ name }) => name),
          yield* a.createAcls([{ resource: "topic", name: "*", principal: "User:alice", operation: "all" }]),
          yield* a.describeGroups(["g"])
        ] as const
      })
    )
    assert.deepStrictEqual(listed, ["other", "ruled"])
    assert.match(String(changed[0]), /CLUSTER_AUTHORIZATION_FAILED|Unauthorized/)
    assert.match(String(described[0]), /GROUP_AUTHORIZATION_FAILED|Unauthorized/)
    yield* root(
      Effect.flatMap(admin, (a) =>
        Admin.orFail(
          a.createAcls([
            { resource: "topic", name: "ruled", principal: "User:*", operation: "all" },
            { resource: "topic", name: "ruled", principal: "User:alice", operation: "read", permission: "deny" },
            { resource: "group", name: "*", principal: "User:alice", operation: "read" }
          ])
        )
      )
    )
    yield* as("alice", "secret", sends)
    assert.match(String(yield* Effect.flip(as("alice", "secret", reads))), /TOPIC_AUTHORIZATION_FAILED|Unauthorized/)
    yield* root(
      Effect.gen(function* () {
        const a = yield* admin
        const [deleted] = yield* Admin.orFail(a.deleteAcls([{ permission: "deny" }]))
        assert.strictEqual(deleted!.length, 1)
      })
    )
    assert.strictEqual((yield* as("alice", "secret", reads)).length, 1)
    yield* root(
      Effect.gen(function* () {
        const a = yield* admin
        assert.deepStrictEqual(
          (yield* a.listUsers()).map(({ credentials, user }) => [user, credentials.length]),
          [
            ["alice", 1],
            ["root", 2]
          ]
        )
        yield* Admin.orFail(a.alterUsers([{ user: "alice", mechanism: "SCRAM-SHA-256", delete: true }]))
      })
    )
    assert.isTrue(Result.isFailure(yield* Effect.result(as("alice", "secret", sends))))
  }).pipe(Effect.provide(secured))
)

it.live("a member needs READ of its group and DESCRIBE of its topics by the consumer protocol, too", () =>
  Effect.gen(function* () {
    yield* as("root", "root", sends)
    const root = <A, E>(self: (admin: Admin.Admin["Service"]) => Effect.Effect<A, E>) =>
      as("root", "root", Effect.flatMap(Admin.Admin, self))
    const allow = (resource: "group" | "topic", name: string, principal: string, operation: "read" | "describe") =>
      root((a) => Admin.orFail(a.createAcls([{ resource, name, principal: `User:${principal}`, operation }])))
    yield* root((a) =>
      Admin.orFail(a.alterUsers([{ user: "bob", mechanism: "SCRAM-SHA-256", password: "bob", iterations: 4096 }]))
    )
    const joined = (membership: Membership.Membership) =>
      Effect.gen(function* () {
        const consumer = yield* Consumer.subscribe({ group: "g", topics: [text], from: "earliest", membership })
        return yield* Stream.runCollect(Stream.take(consumer.stream, 1))
      })
    const refused = (membership: Membership.Membership) =>
      Effect.map(Effect.flip(as("bob", "bob", joined(membership))), String)
    yield* allow("group", "g", "bob", "describe")
    for (const membership of [Membership.classic(), Membership.consumer()]) {
      assert.match(yield* refused(membership), /GROUP_AUTHORIZATION_FAILED/, membership.name)
    }
    yield* allow("group", "g", "bob", "read")
    assert.strictEqual((yield* as("bob", "bob", joined(Membership.consumer()))).length, 1)
    yield* allow("topic", "ruled", "root", "read")
    assert.match(yield* refused(Membership.consumer()), /TOPIC_AUTHORIZATION_FAILED/)
  }).pipe(Effect.provide(secured))
)

it.effect("quotas name the client id before the user, as Kafka does, however they were asked for", () =>
  Effect.gen(function* () {
    const client = yield* connect(yield* EmbeddedKafka.make())
    const entity = [
      { entityType: "user", entityName: "u" },
      { entityType: "client-id", entityName: "c" }
    ]
    const altered = yield* client.send(AlterClientQuotas, 1, {
      entries: [{ entity, ops: [{ key: "producer_byte_rate", value: 1, remove: false }] }],
      validateOnly: false
    })
    const described = yield* client.send(DescribeClientQuotas, 1, { components: [], strict: false })
    for (const [one] of [altered.entries, described.entries ?? []])
      assert.deepStrictEqual(
        one!.entity.map(({ entityName }) => entityName),
        ["c", "u"]
      )
  }).pipe(Effect.scoped)
)

it.effect("a quota's values have the order of Kafka's hash table (they had that of the request)", () =>
  Effect.gen(function* () {
    const client = yield* connect(yield* EmbeddedKafka.make())
    const alter = (...keys: ReadonlyArray<string>) =>
      client.send(AlterClientQuotas, 1, {
        entries: [
          {
            entity: [{ entityType: "user", entityName: "u" }],
            ops: keys.map((key) => ({ key: key.replace("-", ""), value: 1, remove: key.startsWith("-") }))
          }
        ],
        validateOnly: false
      })
    const order = Effect.map(client.send(DescribeClientQuotas, 1, { components: [], strict: false }), ({ entries }) =>
      entries![0]!.values.map(({ key }) => key)
    )
    const [producer, consumer, request, mutation] = [
      "producer_byte_rate",
      "consumer_byte_rate",
      "request_percentage",
      "controller_mutation_rate"
    ] as const
    // As seen of 4.4.0.
    yield* alter(producer, consumer, request)
    assert.deepStrictEqual(yield* order, [consumer, request, producer])
    yield* alter(mutation)
    assert.deepStrictEqual(yield* order, [producer, consumer, mutation, request])
    yield* alter(`-${consumer}`, `-${mutation}`)
    assert.deepStrictEqual(yield* order, [producer, request])
    yield* alter(`-${producer}`)
    yield* alter(producer)
    assert.deepStrictEqual(yield* order, [request, producer])
  }).pipe(Effect.scoped)
)

it.effect("bytes over a quota are waited for, as long as the answer says", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
    const client = yield* connect(broker)
    const alter = (entity: ReadonlyArray<readonly [string, string | null]>, key: string, value: number) =>
      Effect.map(
        client.send(AlterClientQuotas, 1, {
          entries: [
            {
              entity: entity.map(([entityType, entityName]) => ({ entityType, entityName })),
              ops: [{ key, value, remove: false }]
            }
          ],
          validateOnly: false
        }),
        ({ entries }) => entries[0]!.errorCode
      )
    assert.strictEqual(yield* alter([["client-id", null]], "producer_byte_rate", 1000), 0)
    assert.strictEqual(yield* alter([["user", "ANONYMOUS"]], "consumer_byte_rate", 1000), 0)
    const records = batch(["x".repeat(19_900)])
    const produce = Effect.map(
      client.send(Produce, 9, {
        acks: -1,
        timeoutMs: 1000,
        topicData: [{ name: "t", partitionData: [{ index: 0, records }] }]
      }),
      ({ throttleTimeMs }) => throttleTimeMs
    )
    // 20 kB, where 1000 B/s over eleven samples of a second are 10 kB: ten seconds too early.
    const throttled = yield* produce
    assert.isAbove(throttled, 9_900)
    assert.isBelow(throttled, 10_200)
    // The connection is not read meanwhile.
    const next = yield* Effect.forkChild(client.send(Metadata, 9, { topics: [] }))
    yield* TestClock.adjust("9 seconds")
    assert.isUndefined(next.pollUnsafe())
    yield* TestClock.adjust("2 seconds")
    assert.isDefined(next.pollUnsafe())
    const fetched = yield* client.send(Fetch, 11, {
      replicaId: -1,
      maxWaitMs: 0,
      minBytes: 1,
      maxBytes: 1_000_000,
      isolationLevel: 0,
      sessionId: 0,
      sessionEpoch: -1,
      topics: [
        {
          topic: "t",
          partitions: [
            { partition: 0, currentLeaderEpoch: -1, fetchOffset: 0, logStartOffset: -1, partitionMaxBytes: 1_000_000 }
          ]
        }
      ],
      forgottenTopicsData: [],
      rackId: ""
    })
    assert.isAbove(fetched.throttleTimeMs, 9_900)
  }).pipe(Effect.scoped)
)
