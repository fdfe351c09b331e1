import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Redacted, Result, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Admin from "../src/Admin.ts"
import * as Failure from "../src/admin/Failure.ts"
import * as Cluster from "../src/Cluster.ts"
import * as Consumer from "../src/Consumer.ts"
import { codes } from "../src/ErrorCode.ts"
import type { Broker } from "../src/Broker.ts"
import * as Kafka from "../src/Kafka.ts"
import { type KafkaError, make } from "../src/KafkaError.ts"
import * as Membership from "../src/Memberships.ts"
import * as Network from "../src/Network.ts"
import * as Offset from "../src/Offset.ts"
import * as Producer from "../src/Producer.ts"
import * as OffsetCommit from "../src/protocol/messages/OffsetCommit.ts"
import * as OffsetDelete from "../src/protocol/messages/OffsetDelete.ts"
import * as ShareGroupDescribe from "../src/protocol/messages/ShareGroupDescribe.ts"
import * as Topic from "../src/Topic.ts"
import { EmbeddedKafka, Fault, KafkaTest } from "../src/testing/index.ts"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })

const on = (options: KafkaTest.Options, admin?: Admin.Options) =>
  Layer.merge(Producer.layer(), Admin.layer(admin)).pipe(Layer.provideMerge(KafkaTest.layer(options)))

const inCluster = <A, E, R>(options: KafkaTest.Options, self: Effect.Effect<A, E, R>, admin?: Admin.Options) =>
  self.pipe(Effect.scoped, Effect.provide(on({ strict: true, ...options }, admin)))

/** Lets time pass until it is done. */
const passing = <A, E, R>(self: Effect.Effect<A, E, R>, seconds = 90) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    for (let i = 0; i < seconds * 10 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
    assert.isDefined(fiber.pollUnsafe(), `not done after ${seconds} s`)
    return yield* Fiber.join(fiber)
  })

const value = <A>(answer: Admin.Answer<A> | undefined): A => {
  if (answer === undefined || Result.isFailure(answer)) assert.fail(`failed: ${answer?.failure.message}`)
  return answer.success
}

const failure = (answer: Admin.Answer<unknown> | undefined): KafkaError => {
  if (answer === undefined || Result.isSuccess(answer)) assert.fail("it did not fail")
  return answer.failure
}

const codeOf = ({ reason }: KafkaError): number | string =>
  reason._tag === "Server" || reason._tag === "GroupRefused" ? reason.code : reason._tag

const send = (count: number, partition = 0) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    yield* producer.sendAll(
      orders,
      Array.from({ length: count }, (_, i) => ({ key: null, value: `v${i}`, partition, timestamp: 1000 + i }))
    )
  })

/** A broker as 4.4.0 answers of a share group that has a member `m`, which the embedded broker has not. */
const withShared = (broker: Broker, name: string, versions: readonly [number, number] = [1, 1]): Broker => ({
  ...broker,
  version: (api, options) => broker.version(api, options),
  hangUp: (channel) => broker.hangUp(channel),
  offer: (options) =>
    Effect.map(broker.offer(options), (offer) => ({
      ...offer,
      ranges: new Map([...offer.ranges, [ShareGroupDescribe.Request.key, versions]])
    })),
  send: (api, request, options) => {
    const asked = request(1)
    const here = (asked as { readonly groupId?: string }).groupId === name
    const none = codes.GROUP_ID_NOT_FOUND
    const made: unknown =
      api.Request.key === ShareGroupDescribe.Request.key
        ? {
            groups: (asked as { readonly groupIds: ReadonlyArray<string> }).groupIds.map((groupId) => ({
              groupId,
              errorCode: groupId === name ? codes.NONE : none,
              errorMessage: null,
              groupState: "Stable",
              assignorName: "simple",
              members: [
                { memberId: "m", memberEpoch: 1, clientId: "c", clientHost: "h", assignment: { topicPartitions: [] } }
              ],
              authorizedOperations: -2147483648
            }))
          }
        : api.Request.key === OffsetCommit.Request.key && here
          ? { topics: [{ name: "orders", partitions: [{ partitionIndex: 0, errorCode: none }] }] }
          : api.Request.key === OffsetDelete.Request.key && here
            ? { errorCode: none, topics: [] }
            : undefined
    return made === undefined ? broker.send(api, request, options) : Effect.succeed(made as never)
  }
})

describe("topics", () => {
  it.effect("are created, listed, described and deleted, each answered for", () =>
    inCluster(
      { brokers: 3 },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const created = yield* admin.createTopics([
          {
            name: "a",
            partitions: 3,
            replicationFactor: 2,
            config: { "cleanup.policy": "compact", "retention.ms": 5 }
          },
          { name: "bad name" },
          {
            name: "b",
            assignments: [
              [2, 1],
              [1, 2]
            ]
          },
          { name: "c", partitions: 0 },
          { name: "d", partitions: 1, assignments: [[1]] }
        ])
        assert.strictEqual(value(created[0]).partitions, 3)
        assert.strictEqual(value(created[0]).replicationFactor, 2)
        assert.strictEqual(value(created[0]).config?.find(({ name }) => name === "cleanup.policy")?.value, "compact")
        assert.strictEqual(codeOf(failure(created[1])), "InvalidTopic")
        assert.include(failure(created[1]).message, ` is refused: names are 1 to 249 of a-z`)
        assert.strictEqual(codeOf(failure(created[3])), "Misconfigured")
        assert.strictEqual(codeOf(failure(created[4])), "Misconfigured")

        const listed = yield* admin.listTopics()
        assert.deepStrictEqual(
          listed.map(({ name, partitions, replicationFactor }) => [name, partitions, replicationFactor]),
          [
            ["a", 3, 2],
            ["b", 2, 2]
          ]
        )
        const [a, b, none] = yield* admin.describeTopics(["a", { id: value(created[2]).id! }, "none"])
        assert.strictEqual(value(a).partitions.length, 3)
        assert.deepStrictEqual(
          value(b).partitions.map(({ isr, leader, replicas }) => [leader, replicas, isr]),
          [
            [2, [2, 1], [2, 1]],
            [1, [1, 2], [1, 2]]
          ]
        )
        assert.strictEqual(codeOf(failure(none)), "UnknownTopic")

        const [more, fewer] = yield* admin.createPartitions([
          { topic: "a", count: 5 },
          { topic: "b", count: 1 }
        ])
        value(more)
        assert.strictEqual(codeOf(failure(fewer)), codes.INVALID_PARTITIONS)
        assert.strictEqual((yield* admin.listTopics())[0]?.partitions, 5)

        const deleted = yield* admin.deleteTopics(["a", { id: value(created[2]).id! }, "none"])
        value(deleted[0])
        value(deleted[1])
        assert.strictEqual(codeOf(failure(deleted[2])), "UnknownTopic")
        assert.deepStrictEqual(yield* admin.listTopics(), [])
      })
    )
  )

  it.effect("that are only validated are not there", () =>
    inCluster(
      {},
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        yield* admin.createTopics([{ name: "a", partitions: 2 }], { validateOnly: true }).pipe(Admin.orFail)
        assert.deepStrictEqual(yield* admin.listTopics(), [])
      })
    )
  )

  it.effect("that are asked for are not created, whatever the broker's age", () =>
    Effect.forEach(["0.10.2", "0.11", "4.4"] as const, (asVersion) =>
      inCluster(
        { asVersion, autoCreate: true },
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const [none] = yield* admin.describeTopics(["none"])
          assert.strictEqual(codeOf(failure(none)), "UnknownTopic")
          assert.deepStrictEqual(yield* admin.listTopics(), [])
        })
      )
    )
  )

  it.effect("are created again, by another controller, when it has moved", () =>
    inCluster(
      { brokers: 3 },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const fault = yield* broker.inject(Fault.on("CreateTopics", { times: 2 }).error(codes.NOT_CONTROLLER))
        const [a] = yield* passing(admin.createTopics([{ name: "a", partitions: 1 }]))
        value(a)
        assert.strictEqual(yield* fault.hits, 2)
      })
    )
  )

  it.effect("are created where a Cluster of one's own ends interrupted by itself as it looks for the controller", () =>
    inCluster(
      {},
      Effect.gen(function* () {
        const cluster = yield* Cluster.Cluster
        let asked = 0
        const controller = Effect.suspend(() => (++asked === 1 ? Effect.interrupt : cluster.controller))
        const admin = yield* Effect.provideService(Admin.make(), Cluster.Cluster, { ...cluster, controller })
        const [a] = yield* passing(admin.createTopics([{ name: "a", partitions: 1 }]))
        value(a)
        assert.strictEqual(asked, 2)
      })
    )
  )

  it.effect("whose answer was lost say so when they are there already", () =>
    inCluster(
      {},
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(Fault.on("CreateTopics", { nth: 1 }).loseResponse)
        const [a] = yield* passing(admin.createTopics([{ name: "a", partitions: 1 }]))
        assert.strictEqual(codeOf(failure(a)), codes.TOPIC_ALREADY_EXISTS)
        assert.include(failure(a).message, "an earlier try of this call, whose answer was lost, may have done it")
        assert.deepInclude(failure(a).reason, { perhapsDone: true })
        yield* broker.inject(Fault.on("DeleteTopics", { nth: 1 }).loseResponse)
        const [gone] = yield* passing(admin.deleteTopics(["a"]))
        assert.strictEqual(codeOf(failure(gone)), codes.UNKNOWN_TOPIC_OR_PARTITION)
        assert.include(failure(gone).message, "an earlier try of this call")
        // … and not where nothing was lost.
        const [never] = yield* admin.deleteTopics(["a"])
        assert.notInclude(failure(never).message, "earlier try")
        assert.notProperty(failure(never).reason, "perhapsDone")
      })
    )
  )

  it.effect("that are there already are not told as of an earlier try that was not sent, or only looked", () =>
    inCluster(
      { topics: ["a"] },
      Effect.gen(function* () {
        const cluster = yield* Cluster.Cluster
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        let asked = 0
        const gone = Effect.fail(make({ _tag: "Unreachable", attempts: [{ address: "b:1", cause: "ECONNREFUSED" }] }))
        const controller = Effect.map(cluster.controller, (broker) =>
          ++asked === 1 ? { ...broker, send: () => gone } : broker
        )
        const admin = yield* Effect.provideService(Admin.make(), Cluster.Cluster, { ...cluster, controller })
        const [unsent] = yield* passing(admin.createTopics([{ name: "a" }]))
        assert.strictEqual(codeOf(failure(unsent)), codes.TOPIC_ALREADY_EXISTS)
        assert.notInclude(failure(unsent).message, "earlier try")
        assert.strictEqual(asked, 2)
        yield* broker.inject(Fault.on("CreateTopics", { times: 1 }).loseResponse)
        const [looked] = yield* passing(admin.createTopics([{ name: "a" }], { validateOnly: true }))
        assert.strictEqual(codeOf(failure(looked)), codes.TOPIC_ALREADY_EXISTS)
        assert.notInclude(failure(looked).message, "earlier try")
      })
    )
  )

  it.effect("need their numbers where the broker has no defaults", () =>
    inCluster(
      { asVersion: "0.11" },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const [a, b] = yield* admin.createTopics([{ name: "a" }, { name: "b", partitions: 1, replicationFactor: 1 }])
        assert.strictEqual(codeOf(failure(a)), "Unsupported")
        assert.include(failure(a).message, "CreateTopics v4")
        value(b)
      })
    )
  )

  it.effect("that are too many for one request are asked for in several (KRaft refused all of them)", () =>
    inCluster(
      { asVersion: "4.4" },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const some = [4000, 4000, 10_001, 1].map((partitions, i) => ({
          name: `t${i}`,
          partitions,
          replicationFactor: 1
        }))
        const made = yield* admin.createTopics(some)
        assert.deepEqual(
          made.map((one) => (Result.isSuccess(one) ? one.success.partitions : codeOf(one.failure))),
          [4000, 4000, codes.POLICY_VIOLATION, 1]
        )
        const grown = yield* admin.createPartitions([
          { topic: "t0", count: 9000 },
          { topic: "t1", count: 9500 },
          { topic: "t3", count: 1 }
        ])
        assert.deepEqual(
          grown.map((one) => (Result.isSuccess(one) ? "grown" : codeOf(one.failure))),
          ["grown", "grown", codes.INVALID_PARTITIONS]
        )
      })
    )
  )

  it.effect("of one name twice are asked for in two requests, in order", () =>
    inCluster(
      {},
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const [first, second] = yield* admin.createTopics([
          { name: "a", partitions: 2 },
          { name: "a", partitions: 3 }
        ])
        assert.strictEqual(value(first).partitions, 2)
        assert.strictEqual(codeOf(failure(second)), codes.TOPIC_ALREADY_EXISTS)
      })
    )
  )
})

describe("what is changed twice", () => {
  const place = { topic: "orders", partition: 0, offset: 0 }
  const resource = { type: "topic", name: "orders" } as const
  const settled = Effect.gen(function* () {
    const admin = yield* Admin.Admin
    const [offsets] = yield* admin.groupOffsets([{ group: "g" }]).pipe(Admin.orFail)
    const [configs] = yield* admin.describeConfigs([{ ...resource, keys: ["retention.ms"] }]).pipe(Admin.orFail)
    return [offsets?.[0]?.metadata, configs?.entries[0]?.value]
  })

  it.effect("is as the last has it, where the first had to be asked for again (that came after the last)", () =>
    inCluster(
      { topics: ["orders"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(Fault.on("OffsetCommit", { times: 1 }).error(codes.COORDINATOR_LOAD_IN_PROGRESS))
        yield* broker.inject(Fault.on("IncrementalAlterConfigs", { times: 1 }).error(codes.REQUEST_TIMED_OUT))
        yield* passing(
          admin
            .alterGroupOffsets("g", [
              { ...place, metadata: "first" },
              { ...place, metadata: "last" }
            ])
            .pipe(Admin.orFail)
        )
        yield* passing(
          admin
            .alterConfigs([
              { ...resource, set: { "retention.ms": 1 } },
              { ...resource, set: { "retention.ms": 2 } }
            ])
            .pipe(Admin.orFail)
        )
        assert.deepStrictEqual(yield* settled, ["last", "2"])
      })
    )
  )

  it.effect("is not changed by the last where the first failed for now: both have failed with what that did", () =>
    inCluster(
      { topics: ["orders"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(Fault.on("OffsetCommit", { times: 1 }).error(codes.COORDINATOR_LOAD_IN_PROGRESS))
        const answers = yield* passing(admin.alterGroupOffsets("g", [place, place]))
        assert.deepStrictEqual(
          answers.map((answer) => codeOf(failure(answer))),
          [codes.COORDINATOR_LOAD_IN_PROGRESS, codes.COORDINATOR_LOAD_IN_PROGRESS]
        )
      }),
      { retry: Schedule.recurs(0) }
    )
  )
})

describe("bounds", () => {
  it.effect("are those of the whole verb, however many steps it takes (each step had as long)", () =>
    inCluster(
      { topics: ["orders"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* passing(admin.alterGroupOffsets("g", [{ topic: "orders", partition: 0, offset: 0 }]))
        const spent = (self: Effect.Effect<unknown, KafkaError>) =>
          Effect.gen(function* () {
            const before = yield* Clock.currentTimeMillis
            yield* passing(Effect.result(self))
            return (yield* Clock.currentTimeMillis) - before
          })
        yield* Effect.scoped(
          Effect.gen(function* () {
            for (const api of ["DescribeGroups", "OffsetFetch", "Metadata", "ListOffsets", "OffsetCommit"] as const)
              yield* broker.inject(Fault.on(api).delay("900 millis"))
            for (const self of [
              admin.resetGroupOffsets("g", { to: "latest", topics: ["orders"], timeout: "1 second" }),
              admin.groupLag(["g"], { timeout: "1 second" })
            ])
              assert.isAtMost(yield* spent(self), 1000)
          })
        )
        yield* broker.inject(Fault.on("DeleteGroups").error(codes.NON_EMPTY_GROUP))
        yield* broker.inject(Fault.on("DeleteGroups").delay("900 millis"))
        yield* broker.inject(Fault.on("DescribeGroups").withhold)
        assert.isAtMost(yield* spent(admin.deleteGroups(["g"], { timeout: "1 second" })), 1000)
      })
    )
  )

  it.effect("a group that has no coordinator takes none of the others with it (none was asked about before)", () =>
    inCluster(
      { topics: ["orders"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const place = { topic: "orders", partition: 0 }
        yield* Admin.orFail(admin.alterGroupOffsets("b", [{ ...place, offset: 0 }]))
        yield* broker.inject(Fault.on("FindCoordinator", { group: "a" }).error(codes.COORDINATOR_NOT_AVAILABLE))
        const bounds = { timeout: "4 seconds" } as const
        for (const asked of [
          admin.groupOffsets([{ group: "a" }, { group: "b" }], bounds),
          admin.describeGroups(["a", "b"], bounds),
          admin.groupLag(["a", "b"], bounds),
          admin.deleteGroups(["a", "b"], bounds)
        ]) {
          const [without, other] = yield* passing<ReadonlyArray<Admin.Answer<unknown>>, KafkaError, never>(asked)
          assert.strictEqual(codeOf(failure(without)), codes.COORDINATOR_NOT_AVAILABLE)
          value(other)
        }
      })
    )
  )

  it.effect("what one step waits for in vain takes nothing of the others with it (the next step had 1 ms)", () =>
    inCluster(
      { brokers: 3, topics: [{ name: "orders", partitions: 3 }] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const place = { topic: "orders", partition: 0 }
        for (const [i, group] of ["a", "b"].entries()) {
          yield* broker.moveCoordinator(group, i + 1)
          yield* passing(admin.alterGroupOffsets(group, [{ ...place, offset: 0 }]).pipe(Admin.orFail))
        }
        const bounds = { timeout: "4 seconds" } as const
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* broker.inject(Fault.on("OffsetFetch", { group: "a" }).error(codes.COORDINATOR_LOAD_IN_PROGRESS))
            yield* broker.inject(Fault.on("ListOffsets").delay("100 millis"))
            const [loading, there] = yield* passing(admin.groupLag(["a", "b"], bounds))
            assert.strictEqual(codeOf(failure(loading)), codes.COORDINATOR_LOAD_IN_PROGRESS)
            assert.strictEqual(value(there).partitions.length, 1)
          })
        )
        // Nor where the first answer comes when the others' time is over.
        yield* TestClock.adjust("1 minute")
        yield* Effect.scoped(
          Effect.gen(function* () {
            const loading = (group: string) =>
              broker.inject(Fault.on("OffsetFetch", { group }).error(codes.COORDINATOR_LOAD_IN_PROGRESS))
            yield* loading("a")
            const late = yield* loading("b")
            yield* broker.inject(Fault.on("ListOffsets").delay("100 millis"))
            yield* Effect.forkScoped(Effect.andThen(Effect.sleep("16 seconds"), late.remove))
            const [without, there] = yield* passing(admin.groupLag(["a", "b"], { timeout: "20 seconds" }))
            assert.strictEqual(codeOf(failure(without)), codes.COORDINATOR_LOAD_IN_PROGRESS)
            assert.strictEqual(value(there).partitions.length, 1)
          })
        )
        yield* broker.inject(
          Fault.on("ListOffsets", { topic: "orders", partition: 1 }).error(codes.LEADER_NOT_AVAILABLE)
        )
        yield* broker.inject(Fault.on("OffsetCommit").delay("100 millis"))
        const reset = yield* passing(admin.resetGroupOffsets("b", { to: "latest", topics: ["orders"], ...bounds }))
        assert.deepStrictEqual(reset.map(Result.isSuccess), [true, false, true])
        assert.strictEqual(codeOf(failure(reset[1])), codes.LEADER_NOT_AVAILABLE)
      })
    )
  )

  it.effect(
    "what has moved is asked for again beside a broker that is frozen (it waited for that one, to the end)",
    () =>
      inCluster(
        { brokers: 3, topics: [{ name: "orders", partitions: 3, replicationFactor: 1 }] },
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const broker = yield* EmbeddedKafka.EmbeddedKafka
          const places = [0, 1, 2].map((partition) => ({ topic: "orders", partition }))
          for (const [i, group] of ["a", "b"].entries()) {
            yield* broker.moveCoordinator(group, i + 1)
            yield* passing(admin.alterGroupOffsets(group, [{ ...places[0]!, offset: 0 }]).pipe(Admin.orFail))
          }
          const bounds = { timeout: "10 seconds" } as const
          const beside = (api: "OffsetFetch" | "ListOffsets", code: number) =>
            Effect.all([
              broker.inject(Fault.on(api, { broker: 1 }).withhold),
              broker.inject(Fault.on(api, { broker: 2, times: 2 }).error(code))
            ])
          yield* beside("OffsetFetch", codes.NOT_COORDINATOR)
          const [frozen, moved] = yield* passing(admin.groupOffsets([{ group: "a" }, { group: "b" }], bounds))
          assert.strictEqual(codeOf(failure(frozen)), "TimedOut")
          assert.deepEqual(
            value(moved).map(({ offset }) => offset),
            [0]
          )
          yield* beside("ListOffsets", codes.NOT_LEADER_OR_FOLLOWER)
          const ends = yield* passing(
            admin.listOffsets(
              places.map((place) => ({ ...place, at: "latest" })),
              bounds
            )
          )
          assert.deepEqual(
            ends.map((end) => (Result.isSuccess(end) ? end.success.offset : codeOf(end.failure))),
            ["TimedOut", 0, 0]
          )
        })
      )
  )

  it.effect("what is not settled in time has failed with what failed last, the rest has not", () =>
    inCluster(
      { topics: ["a", "b"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(Fault.on("DeleteRecords", { topic: "a" }).error(codes.NOT_LEADER_OR_FOLLOWER))
        const [a, b] = yield* passing(
          admin.deleteRecords(
            [
              { topic: "a", partition: 0, before: "latest" },
              { topic: "b", partition: 0, before: "latest" }
            ],
            { timeout: "3 seconds" }
          )
        )
        assert.strictEqual(codeOf(failure(a)), codes.NOT_LEADER_OR_FOLLOWER)
        assert.strictEqual(value(b).lowWatermark, 0)
      })
    )
  )

  it.effect("what may be done when the time is over is not told as refused", () =>
    inCluster(
      {},
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(Fault.on("CreateTopics", { times: 1 }).error(codes.NOT_CONTROLLER))
        yield* broker.inject(Fault.on("CreateTopics", { times: 1 }).delay("5 seconds"))
        const [under] = yield* passing(admin.createTopics([{ name: "a" }], { timeout: "2 seconds" }))
        assert.strictEqual(codeOf(failure(under)), "TimedOut")
        assert.strictEqual(codeOf(failure(under).cause as KafkaError), codes.NOT_CONTROLLER)
        yield* TestClock.adjust("10 seconds")
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* broker.inject(Fault.on("CreateTopics", { times: 1 }).loseResponse)
            yield* broker.inject(Fault.on("CreateTopics").error(codes.NOT_CONTROLLER))
            const [before] = yield* passing(admin.createTopics([{ name: "b" }], { timeout: "2 seconds" }))
            assert.strictEqual(codeOf(failure(before)), codes.NOT_CONTROLLER)
            assert.include(failure(before).message, "an earlier try of this call")
          })
        )
        const topics = yield* admin.listTopics()
        assert.deepStrictEqual(topics.map(({ name }) => name).sort(), ["a", "b"])
      })
    )
  )

  it.effect("what only looks is not told as what an earlier try may have done", () =>
    inCluster(
      { topics: ["a"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const bounds = { timeout: "2 seconds" } as const
        for (const [api, unsaid, since, verb] of [
          [
            "CreateTopics",
            codes.REQUEST_TIMED_OUT,
            codes.NOT_CONTROLLER,
            admin.createTopics([{ name: "b" }], { ...bounds, validateOnly: true })
          ],
          [
            "ConsumerGroupDescribe",
            codes.NOT_COORDINATOR,
            codes.COORDINATOR_LOAD_IN_PROGRESS,
            admin.describeGroups(["g"], bounds)
          ],
          [
            "OffsetFetch",
            codes.NOT_COORDINATOR,
            codes.COORDINATOR_LOAD_IN_PROGRESS,
            admin.groupOffsets([{ group: "g" }], bounds)
          ]
        ] as const)
          yield* Effect.scoped(
            Effect.gen(function* () {
              yield* broker.inject(Fault.on(api, { times: 1 }).error(unsaid))
              yield* broker.inject(Fault.on(api).error(since))
              const [refused] = yield* passing<ReadonlyArray<Admin.Answer<unknown>>, KafkaError, never>(verb)
              assert.strictEqual(codeOf(failure(refused)), since, api)
              assert.notInclude(failure(refused).message, "earlier try", api)
            })
          )
      })
    )
  )

  it.effect("a broker that is silent ends with the time", () =>
    inCluster(
      {},
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(Fault.on("CreateTopics").withhold)
        const [a] = yield* passing(admin.createTopics([{ name: "a" }], { timeout: "2 seconds" }))
        assert.strictEqual(codeOf(failure(a)), "TimedOut")
        assert.include(failure(a).message, "timeout: 2000 ms were spent waiting for the answer to CreateTopics")
      })
    )
  )

  it.effect("a time that is none is refused", () =>
    inCluster(
      {},
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const error = yield* Effect.flip(admin.createTopics([{ name: "a" }], { timeout: 0 }))
        assert.strictEqual(error.reason._tag, "Misconfigured")
      })
    )
  )

  it.effect("one that cannot be sent, or not to this release, takes none with it that can", () =>
    inCluster(
      { topics: ["orders", "other"], asVersion: "1.1" },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const long = "x".repeat(40_000)
        const told = (answers: ReadonlyArray<Admin.Answer<unknown>>) =>
          answers.map((one) => (Result.isSuccess(one) ? "done" : codeOf(one.failure)))
        assert.deepStrictEqual(told(yield* admin.describeTopics(["orders", long, "other", { id: "none" }])), [
          "done",
          "Misconfigured",
          "done",
          "Unsupported"
        ])
        const place = { topic: "orders", partition: 0, offset: 0 }
        const altered = yield* admin.alterGroupOffsets("g", [
          { ...place, metadata: long },
          { ...place, topic: "other" }
        ])
        assert.deepStrictEqual(told(altered), ["Misuse", "done"])
        const rule = { resource: "topic", name: "orders", principal: "User:a", operation: "read" } as const
        const ruled = yield* admin.createAcls([rule, { ...rule, pattern: "prefixed" }])
        assert.deepStrictEqual(told(ruled), ["done", "Unsupported"])
        const deleted = yield* admin.deleteTopics([{ id: "AAAAAAAAAAAAAAAAAAAAAQ" }, "orders", long])
        assert.deepStrictEqual(told(deleted), ["Unsupported", "done", "Misconfigured"])
      })
    )
  )

  it.effect("what a release has not is told with both sides' offers", () =>
    inCluster(
      { asVersion: "0.10.2", topics: ["orders"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const refused = [
          failure((yield* admin.deleteRecords([{ topic: "orders", partition: 0, before: "latest" }]))[0]),
          failure((yield* admin.describeConfigs([{ type: "topic", name: "orders" }]))[0]),
          failure((yield* admin.alterConfigs([{ type: "topic", name: "orders", delete: ["retention.ms"] }]))[0]),
          failure((yield* admin.createPartitions([{ topic: "orders", count: 2 }]))[0]),
          failure((yield* admin.deleteGroups(["g"]))[0]),
          yield* Effect.flip(admin.listConfigResources(["topic"]))
        ]
        for (const error of refused) {
          assert.strictEqual(error.reason._tag, "Unsupported", error.message)
          assert.match(error.message, /this client offers .*, the broker /)
        }
      })
    )
  )

  it.effect("groups are not described as missing by a broker that describes none (0.8.2)", () =>
    inCluster(
      { asVersion: "0.8.2", client: { brokerVersion: "0.8.2" }, topics: ["orders"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const place = { topic: "orders", partition: 0 }
        yield* Admin.orFail(admin.alterGroupOffsets("g", [{ ...place, offset: 0 }]))
        for (const answer of yield* admin.describeGroups(["g", "none"])) {
          assert.strictEqual(failure(answer).reason._tag, "Unsupported", failure(answer).message)
          assert.match(failure(answer).message, /DescribeGroups .*this client offers .*, the broker none/)
        }
        // Offsets it has.
        const [lag, none] = yield* admin.groupLag(["g", "none"])
        assert.deepInclude(value(lag), { state: "Empty", total: 0 })
        assert.strictEqual(failure(none).reason._tag, "GroupRefused")
        const [reset] = yield* admin.resetGroupOffsets("g", { to: "earliest" })
        assert.deepInclude(value(reset), place)
      })
    )
  )

  it.effect("a broker that is not there is not waited for", () =>
    inCluster(
      { brokers: 2 },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const [none] = yield* admin.describeConfigs([{ type: "broker", name: "9" }])
        assert.include(failure(none).message, "no broker 9 is up, or has replicas; those that are up: 1, 2")
      })
    )
  )

  it.effect("a broker that was down before, and has replicas, is waited for, and not told as none", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({
        brokers: 3,
        topics: [{ name: "orders", partitions: 3, replicationFactor: 3 }]
      })
      yield* broker.stop(2)
      const kafka = Kafka.layerWithoutNetwork({ bootstrap: broker.bootstrap }).pipe(
        Layer.provide(Layer.succeed(Network.Network, { connect: broker.connect }))
      )
      yield* Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const asked = admin.describeConfigs([{ type: "broker", name: "2" }], { timeout: "3 seconds" })
        const [down] = yield* passing(asked)
        assert.strictEqual(failure(down).reason._tag, "Unreachable")
        assert.include(failure(down).message, "broker 2 (it is not up; those that are: 1, 3)")
        const fiber = yield* Effect.forkChild(asked, { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* broker.start(2)
        const [back] = yield* passing(Fiber.join(fiber))
        assert.strictEqual(value(back).name, "2")
      }).pipe(Effect.provide(Layer.provideMerge(Admin.layer(), kafka)))
    }).pipe(Effect.scoped)
  )
})

describe("records and offsets", () => {
  it.effect("are deleted before an offset, and where partitions begin, end and have a time is told", () =>
    inCluster(
      { brokers: 2, topics: [{ name: "orders", partitions: 2 }] },
      Effect.gen(function* () {
        yield* send(10)
        const admin = yield* Admin.Admin
        const deleted = yield* admin.deleteRecords([
          { topic: "orders", partition: 0, before: 4 },
          { topic: "orders", partition: 1, before: "latest" },
          { topic: "orders", partition: 7, before: 0 },
          { topic: "none", partition: 0, before: 0 },
          { topic: "orders", partition: 0, before: 99 }
        ])
        assert.strictEqual(value(deleted[0]).lowWatermark, 4)
        assert.strictEqual(value(deleted[1]).lowWatermark, 0)
        assert.include(failure(deleted[2]).message, `topic "orders" has no partition 7`)
        assert.strictEqual(codeOf(failure(deleted[3])), "UnknownTopic")
        assert.strictEqual(codeOf(failure(deleted[4])), codes.OFFSET_OUT_OF_RANGE)
        const partition = { topic: "orders", partition: 0 }
        const [first, last, time, late, newest] = yield* admin.listOffsets([
          { ...partition, at: "earliest" },
          { ...partition, at: "latest" },
          { ...partition, at: Offset.atTime(1006) },
          { ...partition, at: Offset.atTime(2000) },
          { ...partition, at: "max-timestamp" }
        ])
        assert.strictEqual(value(first).offset, 4)
        assert.strictEqual(value(last).offset, 10)
        assert.deepInclude(value(time), { offset: 6, timestamp: 1006 })
        assert.strictEqual(value(late).offset, undefined)
        assert.deepInclude(value(newest), { offset: 9, timestamp: 1009 })
      })
    )
  )

  it.effect("of a topic that may not be seen are refused so (it was told as none, to be created)", () =>
    inCluster(
      { topics: ["orders"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const place = { topic: "orders", partition: 0 }
        yield* broker.inject(Fault.on("Metadata", { topic: "orders" }).error(codes.TOPIC_AUTHORIZATION_FAILED))
        for (const asked of [
          admin.listOffsets([{ ...place, at: "latest" }]),
          admin.deleteRecords([{ ...place, before: 0 }]),
          admin.describeProducers([place]),
          admin.resetGroupOffsets("g", { to: "latest", partitions: [place] })
        ])
          assert.strictEqual(failure((yield* asked)[0]).reason._tag, "Unauthorized")
        const refused = yield* Effect.flip(admin.resetGroupOffsets("g", { to: "latest", topics: ["orders"] }))
        assert.strictEqual(refused.reason._tag, "Unauthorized")
      })
    )
  )

  it.effect("are told beside one of a topic that is gone, while a broker is frozen (none was in time)", () =>
    inCluster(
      { brokers: 3, autoCreate: false, topics: [{ name: "orders", replicationFactor: 3 }] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.moveLeader("orders", 0, 1)
        // All are connected to.
        yield* admin.listGroups()
        yield* broker.inject(Fault.on("*", { broker: 2 }).withhold)
        const places = ["orders", "gone"].map((topic) => ({ topic, partition: 0, at: "latest" as const }))
        for (let i = 0; i < 6; i++) {
          const [there, gone] = yield* passing(admin.listOffsets(places, { timeout: "10 seconds" }))
          value(there)
          assert.strictEqual(codeOf(failure(gone)), "UnknownTopic")
          yield* TestClock.adjust("3 seconds")
        }
      })
    )
  )

  it.effect("of a topic that has no leader yet are waited for (it was told as none)", () =>
    inCluster(
      { topics: ["orders"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* broker.inject(Fault.on("Metadata", { topic: "orders", times: 4 }).error(codes.LEADER_NOT_AVAILABLE))
        const [end] = yield* passing(admin.listOffsets([{ topic: "orders", partition: 0, at: "latest" }]))
        assert.strictEqual(value(end).offset, 0)
      })
    )
  )

  it.effect("begin where all of the log is later than a time (before 0.10.1 a reset went to the end of it)", () =>
    inCluster(
      { asVersion: "0.9", client: { brokerVersion: "0.9.0.1" }, topics: ["orders"] },
      Effect.gen(function* () {
        yield* TestClock.adjust("3 hours")
        yield* send(3)
        const admin = yield* Admin.Admin
        const place = { topic: "orders", partition: 0 }
        yield* Admin.orFail(admin.alterGroupOffsets("g", [{ ...place, offset: 1 }]))
        const [listed] = yield* admin.listOffsets([{ ...place, at: Offset.atTime(3_600_000) }])
        assert.strictEqual(value(listed).offset, 0)
        for (const to of [{ ago: "1 hour" }, Offset.atTime(3_600_000)] as const) {
          const [reset] = yield* admin.resetGroupOffsets("g", { to, dryRun: true })
          assert.deepStrictEqual(value(reset), { ...place, from: 1, to: 0 })
        }
      })
    )
  )

  it.effect("follow a leader that moves", () =>
    inCluster(
      { brokers: 3, topics: [{ name: "orders", partitions: 1, replicationFactor: 3 }] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const query = [{ topic: "orders", partition: 0, at: "latest" }] as const
        yield* admin.listOffsets(query).pipe(Admin.orFail)
        yield* broker.moveLeader("orders", 0, 2)
        yield* admin.listOffsets(query).pipe(Admin.orFail)
        yield* broker.moveLeader("orders", 0, 3)
        yield* admin.listOffsets(query).pipe(Admin.orFail)
      })
    )
  )
})

describe("settings", () => {
  it.effect("are described with their sources, changed one by one, and replaced by name", () =>
    inCluster(
      { brokers: 2, topics: ["orders"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const resource = { type: "topic", name: "orders" } as const
        const read = (name: string) =>
          Effect.map(admin.describeConfigs([{ ...resource, keys: [name] }]).pipe(Admin.orFail), ([one]) => one!.entries)
        assert.deepInclude((yield* read("retention.ms"))[0]!, { isDefault: true, source: "default" })
        yield* admin
          .alterConfigs([{ ...resource, set: { "retention.ms": 1000, "cleanup.policy": "compact" } }])
          .pipe(Admin.orFail)
        assert.deepInclude((yield* read("retention.ms"))[0]!, { value: "1000", source: "topic", isDefault: false })
        yield* admin.alterConfigs([{ ...resource, append: { "cleanup.policy": "delete" } }]).pipe(Admin.orFail)
        assert.strictEqual((yield* read("cleanup.policy"))[0]!.value, "compact,delete")
        yield* admin
          .alterConfigs([{ ...resource, subtract: { "cleanup.policy": "compact" }, delete: ["retention.ms"] }])
          .pipe(Admin.orFail)
        assert.strictEqual((yield* read("cleanup.policy"))[0]!.value, "delete")
        assert.strictEqual((yield* read("retention.ms"))[0]!.source, "default")
        yield* admin.replaceConfigs([{ ...resource, config: { "retention.ms": 7 } }]).pipe(Admin.orFail)
        assert.strictEqual((yield* read("cleanup.policy"))[0]!.source, "default")
        assert.strictEqual((yield* read("retention.ms"))[0]!.value, "7")

        const refused = yield* admin.alterConfigs([
          { ...resource, set: { "no.such": 1 } },
          { type: "topic", name: "none", set: { "retention.ms": 1 } },
          { ...resource },
          { ...resource, set: { "retention.ms": 1 }, delete: ["retention.ms"] },
          { type: "broker", name: "x", set: { a: 1 } }
        ])
        assert.isTrue(refused.every(Result.isFailure))
        assert.strictEqual(codeOf(failure(refused[1])), "UnknownTopic")
        assert.strictEqual(codeOf(failure(refused[2])), "Misconfigured")
        assert.strictEqual(codeOf(failure(refused[3])), "Misconfigured")
        assert.strictEqual(codeOf(failure(refused[4])), "Misconfigured")
      })
    )
  )

  it.effect("of brokers are asked of each broker itself", () =>
    inCluster(
      { brokers: 2 },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const described = yield* admin
          .describeConfigs([
            { type: "broker", name: "1" },
            { type: "broker", name: "2" }
          ])
          .pipe(Admin.orFail)
        assert.deepStrictEqual(
          described.map(({ name }) => name),
          ["1", "2"]
        )
        for (const { entries } of described) assert.isAbove(entries.length, 5)
      })
    )
  )
})

/** A member that has all of `orders`, and has committed what it was given. */
const member = (count: number) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const consumer = yield* Consumer.subscribe({
      group: "g",
      topics: [orders],
      from: "earliest",
      commitInterval: "1 second"
    })
    yield* Effect.forkScoped(consumer.run(() => Effect.void))
    yield* passing(broker.awaitCommitted("g", { topic: "orders", offset: count }))
  })

describe("groups", () => {
  it.effect("are listed with state and type, described with members, and tell their lag", () =>
    Effect.forEach(["0.10.2", "2.8", "4.4"] as const, (asVersion) =>
      inCluster(
        {
          asVersion,
          topics: [{ name: "orders", partitions: 2, replicationFactor: 1 }],
          client: { clientId: "billing" }
        },
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          yield* send(5)
          yield* member(5)
          yield* send(3)
          yield* admin
            .alterGroupOffsets("other", [{ topic: "orders", partition: 1, offset: 0, metadata: "m" }])
            .pipe(Admin.orFail)
          const listed = yield* admin.listGroups()
          assert.deepStrictEqual(
            listed.map(({ coordinator, group, state, type }) => [group, type, state, coordinator]),
            [
              ["g", "classic", "Stable", 1],
              ["other", "classic", "Empty", 1]
            ]
          )
          assert.deepStrictEqual(
            (yield* admin.listGroups({ states: ["Empty"] })).map(({ group }) => group),
            ["other"]
          )
          const [g, other, none] = yield* admin.describeGroups(["g", "other", "none"])
          assert.deepInclude(value(g), { state: "Stable", protocolType: "consumer" })
          assert.strictEqual(value(g).members[0]?.clientId, "billing")
          assert.deepStrictEqual(value(g).members[0]?.assignment, [
            { topic: "orders", partition: 0 },
            { topic: "orders", partition: 1 }
          ])
          assert.strictEqual(value(other).state, "Empty")
          assert.strictEqual(codeOf(failure(none)), codes.GROUP_ID_NOT_FOUND)
          const [offsets, some, nothing] = yield* admin.groupOffsets([
            { group: "other" },
            { group: "other", partitions: [{ topic: "orders", partition: 0 }] },
            { group: "none" }
          ])
          assert.deepInclude(value(offsets)[0]!, { topic: "orders", partition: 1, offset: 0, metadata: "m" })
          assert.deepStrictEqual(value(some), [])
          assert.deepStrictEqual(value(nothing), [])
          const [lag, otherLag, noLag] = yield* admin.groupLag(["g", "other", "none"])
          assert.strictEqual(value(lag).state, "Stable")
          assert.strictEqual(value(otherLag).total, 0)
          assert.strictEqual(codeOf(failure(noLag)), codes.GROUP_ID_NOT_FOUND)
          assert.strictEqual(value(lag).partitions[0]?.member?.clientId, "billing")
        })
      )
    )
  )

  it.effect("of both protocols are listed and described: what members have, and are to have (KIP-848)", () =>
    inCluster(
      { topics: [{ name: "orders", partitions: 4 }], client: { clientId: "billing" } },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        yield* send(5)
        for (const [group, membership] of [
          ["new", Membership.consumer({ assignor: "range", instanceId: "i1" })],
          ["old", Membership.classic()]
        ] as const) {
          const one = yield* Consumer.subscribe({ group, topics: [orders], from: "earliest", membership })
          yield* Effect.forkScoped(one.run(() => Effect.void))
          yield* passing(one.position({ topic: "orders", partition: 0 }))
        }
        const listed = yield* admin.listGroups()
        assert.deepStrictEqual(
          listed.map(({ group, protocolType, state, type }) => [group, type, state, protocolType]),
          [
            ["new", "consumer", "Stable", "consumer"],
            ["old", "classic", "Stable", "consumer"]
          ]
        )
        assert.deepStrictEqual(
          (yield* admin.listGroups({ types: ["consumer"] })).map(({ group }) => group),
          ["new"]
        )
        const [modern, classic] = yield* admin.describeGroups(["new", "old"]).pipe(Admin.orFail)
        assert.deepInclude(modern!, { type: "consumer", state: "Stable", assignor: "range" })
        assert.deepInclude(classic!, { type: "classic", state: "Stable", assignor: "range" })
        const all = [0, 1, 2, 3].map((partition) => ({ topic: "orders", partition }))
        const [member] = modern!.members
        assert.deepInclude(member!, { clientId: "billing", instanceId: "i1", assignment: all, target: all })
        assert.isAbove(member!.epoch!, 0)
        assert.deepInclude(classic!.members[0]!, { assignment: all, target: undefined, epoch: undefined })
        const [lag] = yield* passing(admin.groupLag(["new"])).pipe(Admin.orFail)
        assert.strictEqual(lag!.partitions[0]?.member?.clientId, "billing")
        const refused = failure((yield* admin.deleteGroups(["new"]))[0])
        assert.match(refused.message, /it has members, which have to be stopped first: .* \(client "billing" at /)
      })
    )
  )

  it.effect("that are active are neither reset, altered nor deleted, and the refusal says who the members are", () =>
    inCluster(
      { topics: [{ name: "orders", partitions: 1 }], client: { clientId: "billing" } },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        yield* send(5)
        yield* member(5)
        const refusals = [
          yield* Effect.flip(admin.resetGroupOffsets("g", { to: "earliest" })),
          failure((yield* admin.alterGroupOffsets("g", [{ topic: "orders", partition: 0, offset: 1 }]))[0]),
          failure((yield* admin.deleteGroups(["g"]))[0])
        ]
        for (const refused of refusals) {
          assert.strictEqual(codeOf(refused), codes.NON_EMPTY_GROUP, refused.message)
          assert.match(refused.message, /it has members, which have to be stopped first: .* \(client "billing" at /)
        }
        const [deleted] = yield* admin.deleteGroupOffsets("g", [{ topic: "orders", partition: 0 }])
        assert.strictEqual(codeOf(failure(deleted)), codes.GROUP_SUBSCRIBED_TO_TOPIC)
        const [offsets] = yield* admin.groupOffsets([{ group: "g" }]).pipe(Admin.orFail)
        assert.strictEqual(offsets?.[0]?.offset, 5)
        const [described] = yield* admin.describeGroups(["g"]).pipe(Admin.orFail)
        const removed = yield* admin.removeMembers("g", [
          // As it is told of, with an instance that is undefined (that was no text with something in it).
          described!.members[0]!,
          { memberId: "nobody" },
          { instanceId: "nobody" }
        ])
        value(removed[0])
        assert.strictEqual(codeOf(failure(removed[1])), codes.UNKNOWN_MEMBER_ID)
        assert.strictEqual(codeOf(failure(removed[2])), codes.UNKNOWN_MEMBER_ID)
      })
    )
  )

  it.effect("that are idle are reset to every kind of position, clamped to the log", () =>
    inCluster(
      { topics: [{ name: "orders", partitions: 2 }] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        yield* send(10)
        yield* admin.deleteRecords([{ topic: "orders", partition: 0, before: 2 }]).pipe(Admin.orFail)
        yield* admin.alterGroupOffsets("g", [{ topic: "orders", partition: 0, offset: 5 }]).pipe(Admin.orFail)
        const to = (to: Admin.ResetTo) =>
          Effect.map(admin.resetGroupOffsets("g", { to }).pipe(Admin.orFail), ([one]) => one)
        assert.deepInclude(yield* to({ shift: 2 }), { topic: "orders", partition: 0, from: 5, to: 7 })
        assert.deepInclude(yield* to({ shift: -99 }), { from: 7, to: 2 })
        assert.deepInclude(yield* to("latest"), { from: 2, to: 10 })
        assert.deepInclude(yield* to(Offset.at(99)), { from: 10, to: 10 })
        assert.deepInclude(yield* to(Offset.atTime(1004)), { from: 10, to: 4 })
        assert.deepInclude(yield* to(Offset.atTime(5000)), { from: 4, to: 10 })
        yield* TestClock.setTime(3_006)
        assert.deepInclude(yield* to({ ago: "2 seconds" }), { from: 10, to: 6 })
        const [dry] = yield* admin.resetGroupOffsets("g", { to: "earliest", dryRun: true }).pipe(Admin.orFail)
        assert.deepInclude(dry!, { from: 6, to: 2 })
        const all = yield* admin.resetGroupOffsets("g", { to: "latest", topics: ["orders"] }).pipe(Admin.orFail)
        assert.deepStrictEqual(
          all.map(({ from, to }) => [from, to]),
          [
            [6, 10],
            [undefined, 0]
          ]
        )
        const [shifted] = yield* admin.resetGroupOffsets("new", {
          to: { shift: 1 },
          partitions: [{ topic: "orders", partition: 0 }]
        })
        assert.include(failure(shifted).message, "no committed offset to be shifted")
        for (const wrong of ["middle", { shift: 0.5 }, { ago: -1 }, Offset.at(-1)])
          assert.strictEqual(
            (yield* Effect.flip(admin.resetGroupOffsets("g", { to: wrong as Admin.ResetTo }))).reason._tag,
            "Misconfigured"
          )
      })
    )
  )

  it.effect("have their offsets deleted, and are deleted", () =>
    inCluster(
      { brokers: 3, topics: [{ name: "orders", partitions: 1 }] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const names = ["a", "b", "c", "d"]
        for (const group of names)
          yield* admin.alterGroupOffsets(group, [{ topic: "orders", partition: 0, offset: 0 }]).pipe(Admin.orFail)
        yield* admin.deleteGroupOffsets("a", [{ topic: "orders", partition: 0 }]).pipe(Admin.orFail)
        assert.deepStrictEqual(yield* admin.groupOffsets([{ group: "a" }]).pipe(Admin.orFail), [[]])
        const deleted = yield* admin.deleteGroups(["b", "none", "c", "d"])
        assert.deepStrictEqual(
          deleted.map((answer) => (Result.isSuccess(answer) ? 0 : codeOf(answer.failure))),
          [0, codes.GROUP_ID_NOT_FOUND, 0, 0]
        )
      })
    )
  )

  it.effect("are asked for again, of the new coordinator, when it has moved or is loading", () =>
    inCluster(
      { brokers: 3, topics: ["orders"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* admin.alterGroupOffsets("g", [{ topic: "orders", partition: 0, offset: 0 }]).pipe(Admin.orFail)
        const fault = yield* broker.inject(
          Fault.on("OffsetFetch", { times: 2 }).error(codes.COORDINATOR_LOAD_IN_PROGRESS)
        )
        const [offsets] = yield* passing(admin.groupOffsets([{ group: "g" }]).pipe(Admin.orFail))
        assert.strictEqual(offsets?.length, 1)
        assert.strictEqual(yield* fault.hits, 2)
        for (const to of [1, 2, 3]) {
          yield* broker.moveCoordinator("g", to)
          const [again] = yield* passing(admin.groupOffsets([{ group: "g" }]).pipe(Admin.orFail))
          assert.strictEqual(again?.length, 1)
        }
      })
    )
  )

  it.effect("that are not there are in doubt where a coordinator that was lost amid it was asked first", () =>
    inCluster(
      {},
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        for (const code of [codes.COORDINATOR_NOT_AVAILABLE, codes.NOT_COORDINATOR]) {
          yield* broker.inject(Fault.on("DeleteGroups", { times: 1 }).error(code))
          const [gone] = yield* passing(admin.deleteGroups(["gone"]))
          assert.include(failure(gone).message, "an earlier try of this call")
        }
      })
    )
  )

  it.effect("that are share groups are named so by what is about offsets (lag of them was 0)", () =>
    inCluster(
      { topics: [{ name: "orders", partitions: 1 }] },
      Effect.gen(function* () {
        const cluster = yield* Cluster.Cluster
        const admin = yield* Effect.provideService(Admin.make(), Cluster.Cluster, {
          ...cluster,
          coordinator: (kind, key) => Effect.map(cluster.coordinator(kind, key), (one) => withShared(one, "shared"))
        })
        const place = { topic: "orders", partition: 0 }
        yield* send(3)
        yield* admin.alterGroupOffsets("g", [{ ...place, offset: 1 }]).pipe(Admin.orFail)
        const [described] = yield* admin.describeGroups(["shared"])
        assert.strictEqual(value(described).type, "share")
        const [lag, own, none] = yield* admin.groupLag(["shared", "g", "none"])
        const [empty, offsets, nothing] = yield* admin.groupOffsets(["shared", "g", "none"].map((group) => ({ group })))
        assert.strictEqual(value(own).total, 2)
        assert.deepStrictEqual([value(offsets).length, value(nothing)], [1, []])
        assert.notProperty(failure(none).reason, "groupType")
        const refused = [
          failure(lag),
          failure(empty),
          failure((yield* admin.groupOffsets([{ group: "shared", partitions: [place] }]))[0]),
          failure((yield* admin.alterGroupOffsets("shared", [{ ...place, offset: 0 }]))[0]),
          failure((yield* admin.deleteGroupOffsets("shared", [place]))[0]),
          yield* Effect.flip(admin.resetGroupOffsets("shared", { to: "latest" }))
        ]
        for (const error of refused) {
          assert.deepInclude(error.reason, { _tag: "GroupRefused", group: "shared", groupType: "share" }, error.message)
          assert.include(error.message, "it is a share group, which commits no offsets")
        }
        const [removed, unknown] = yield* admin.removeMembers("shared", [{ memberId: "m" }, { memberId: "other" }])
        assert.include(failure(removed).message, "it is a member of a share group")
        assert.notProperty(failure(unknown).reason, "groupType")
      })
    )
  )

  it.effect(
    "are told where a broker has share groups in a version that is not spoken (4.0's, for trying: Unsupported)",
    () =>
      inCluster(
        { topics: [{ name: "orders", partitions: 1 }] },
        Effect.gen(function* () {
          const cluster = yield* Cluster.Cluster
          const early = (broker: Broker): Broker => ({
            ...withShared(broker, "none", [0, 0]),
            send: (api, request, options) => broker.send(api, request, options)
          })
          const admin = yield* Effect.provideService(Admin.make(), Cluster.Cluster, {
            ...cluster,
            coordinator: (kind, key) => Effect.map(cluster.coordinator(kind, key), early)
          })
          assert.deepStrictEqual(value((yield* admin.groupOffsets([{ group: "none" }]))[0]), [])
          assert.strictEqual(failure((yield* admin.describeGroups(["none"]))[0]).reason._tag, "GroupRefused")
        })
      )
  )

  it.effect("that have members are in doubt where these may have come after an earlier try", () =>
    inCluster(
      { topics: [{ name: "orders", partitions: 1 }] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* send(5)
        yield* member(5)
        const place = { topic: "orders", partition: 0 }
        for (const [api, verb] of [
          ["OffsetCommit", admin.alterGroupOffsets("g", [{ ...place, offset: 0 }])],
          ["OffsetDelete", admin.deleteGroupOffsets("g", [place])],
          ["DeleteGroups", admin.deleteGroups(["g"])]
        ] as const) {
          yield* broker.inject(Fault.on(api, { times: 1 }).error(codes.COORDINATOR_NOT_AVAILABLE))
          const [refused] = yield* passing<ReadonlyArray<Admin.Answer<void>>, KafkaError, never>(verb)
          assert.include(failure(refused).message, "an earlier try of this call", api)
          assert.deepInclude(failure(refused).reason, { perhapsDone: true }, api)
          if (api !== "OffsetDelete") assert.include(failure(refused).message, "it has members", api)
        }
      })
    )
  )

  it.effect("lag of a hundred is asked for together (it was four requests for each group)", () =>
    inCluster(
      { topics: [{ name: "orders", partitions: 3 }] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* send(10)
        const groups = Array.from({ length: 100 }, (_, i) => `g${i}`)
        for (const [i, group] of groups.entries())
          yield* admin.alterGroupOffsets(group, [{ topic: "orders", partition: 0, offset: i % 10 }]).pipe(Admin.orFail)
        const asked = yield* Effect.forEach(["DescribeGroups", "OffsetFetch", "ListOffsets"] as const, (api) =>
          broker.inject(Fault.on(api).throttle(0))
        )
        const lags = yield* admin.groupLag([...groups, "nobody"])
        assert.deepStrictEqual(
          lags.slice(0, 100).map((one) => value(one).total),
          groups.map((_, i) => 10 - (i % 10))
        )
        assert.strictEqual(codeOf(failure(lags[100])), codes.GROUP_ID_NOT_FOUND)
        assert.deepStrictEqual(yield* Effect.forEach(asked, ({ hits }) => hits), [1, 1, 2])
      })
    )
  )

  it.effect("lag counts what is not read yet, and not topics that are gone", () =>
    inCluster(
      { topics: [{ name: "orders", partitions: 3 }, "gone"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        yield* send(10)
        yield* send(4, 1)
        yield* admin
          .alterGroupOffsets("g", [
            { topic: "orders", partition: 0, offset: 3 },
            { topic: "orders", partition: 1, offset: 4 },
            { topic: "gone", partition: 0, offset: 0 }
          ])
          .pipe(Admin.orFail)
        yield* admin.deleteTopics(["gone"]).pipe(Admin.orFail)
        const [lag] = yield* admin.groupLag(["g"]).pipe(Admin.orFail)
        assert.strictEqual(lag?.total, 7)
        assert.deepStrictEqual(
          lag?.partitions.map((one) => [one.topic, one.partition, one.committed, one.start, one.end, one.lag]),
          [
            ["orders", 0, 3, 0, 10, 7],
            ["orders", 1, 4, 0, 4, 0]
          ]
        )
      })
    )
  )

  it.effect("lag leaves out a topic that goes as it is asked about (of all of the group none was told)", () =>
    inCluster(
      { topics: ["orders", "gone"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* send(10)
        yield* admin
          .alterGroupOffsets("g", [
            { topic: "orders", partition: 0, offset: 3 },
            { topic: "gone", partition: 0, offset: 0 }
          ])
          .pipe(Admin.orFail)
        // The beginnings are asked for again, once at once; then the topic goes.
        const refused = yield* Effect.forEach([1, 2], (nth) =>
          broker.inject(Fault.on("ListOffsets", { topic: "gone", partition: 0, nth }).error(codes.LEADER_NOT_AVAILABLE))
        )
        const lags = yield* Effect.forkChild(admin.groupLag(["g"]).pipe(Admin.orFail), { startImmediately: true })
        while ((yield* refused[1]!.hits) === 0) yield* TestClock.adjust("10 millis")
        yield* broker.deleteTopic("gone")
        const [lag] = yield* passing(Fiber.join(lags))
        assert.deepStrictEqual(
          lag?.partitions.map((one) => [one.topic, one.lag]),
          [["orders", 7]]
        )
      })
    )
  )

  it.effect("lag does not count partitions that a topic no longer has (a group with such had none that was told)", () =>
    inCluster(
      { asVersion: "0.10.2", topics: ["orders"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        yield* send(10)
        // Brokers before 0.11 take what is committed for it, and those that were down as it went remember it.
        yield* admin
          .alterGroupOffsets("g", [
            { topic: "orders", partition: 0, offset: 3 },
            { topic: "orders", partition: 5, offset: 0 }
          ])
          .pipe(Admin.orFail)
        const [lag] = yield* admin.groupLag(["g"]).pipe(Admin.orFail)
        assert.strictEqual(lag?.total, 7)
        assert.strictEqual(lag?.partitions.length, 1)
      })
    )
  )
})

describe("what is checked before anything is sent", () => {
  it.effect("is told item by item, and takes nothing else with it", () =>
    inCluster(
      { topics: ["orders"] },
      Effect.gen(function* () {
        const admin = yield* Admin.Admin
        const partition = { topic: "orders", partition: 0 }
        const wrong = [
          ...(yield* admin.createAcls([
            { resource: "topic", name: "orders", principal: "alice", operation: "read" },
            { resource: "queue" as "topic", name: "orders", principal: "User:alice", operation: "read" },
            { resource: "topic", name: "orders", principal: "User:alice", operation: "any" as "read" }
          ])),
          ...(yield* admin.deleteAcls([{ pattern: "regex" as "literal" }])),
          ...(yield* admin.alterQuotas([{ entity: {} }, { entity: { user: "a" }, set: { x: NaN } }])),
          ...(yield* admin.alterUsers([
            { user: "", mechanism: "SCRAM-SHA-256", password: "x" },
            { user: "a", mechanism: "SCRAM-SHA-256", password: "" },
            { user: "a", mechanism: "PLAIN" as "SCRAM-SHA-256", password: "x" },
            { user: "a", mechanism: "SCRAM-SHA-256", password: "x", iterations: 1 },
            // Its computation took minutes of a thread, which the process waited for at its end.
            { user: "a", mechanism: "SCRAM-SHA-256", password: "x", iterations: 2 ** 31 - 1 },
            // It was deleted.
            { user: "a", mechanism: "SCRAM-SHA-256", delete: false as true }
          ])),
          ...(yield* admin.reassignPartitions([
            { ...partition, replicas: [] },
            { ...partition, replicas: [1, 1] }
          ])),
          ...(yield* admin.electLeaders([{ topic: "orders", partition: -1 }])),
          ...(yield* admin.moveReplicas([{ ...partition, broker: 1, path: "" }])),
          ...(yield* admin.abortTransactions([
            { ...partition, producerId: 1, producerEpoch: 70_000, coordinatorEpoch: 0 }
          ])),
          ...(yield* admin.updateFeatures([{ feature: "x", level: 0.5 }])),
          ...(yield* admin.createTokens([{ renewers: ["bob"] }, { maxLifetime: -1 }])),
          ...(yield* admin.deleteRecords([{ ...partition, before: -1 }])),
          ...(yield* admin.listOffsets([{ ...partition, at: "middle" as "latest" }])),
          // The broker was blamed for what it says nothing of.
          ...(yield* admin.describeConfigs([{ type: "topic", name: undefined as unknown as string }]))
        ]
        for (const answer of wrong) assert.strictEqual(codeOf(failure(answer)), "Misconfigured")
        const yes = "yes" as unknown as true
        for (const error of [
          // It was a defect.
          yield* Effect.flip(admin.listGroups({ types: 1 as unknown as [] })),
          // It was done.
          yield* Effect.flip(admin.createTopics([{ name: "new" }], { validateOnly: yes })),
          yield* Effect.flip(admin.resetGroupOffsets("g", { to: "earliest", topics: ["orders"], dryRun: yes }))
        ])
          assert.strictEqual(codeOf(error), "Misconfigured")
      })
    )
  )
})

describe("the cluster", () => {
  it.effect("says of voters and tokens, too, that an earlier try may have done it", () =>
    inCluster(
      {},
      Effect.gen(function* () {
        const cluster = yield* Cluster.Cluster
        let errorCode: number = 0
        let asked = 0
        const send: Broker["send"] = (_, __, options) =>
          Effect.suspend(() => {
            options?.onSent?.()
            return ++asked % 2 === 1
              ? Effect.fail(make({ _tag: "Unreachable", attempts: [{ address: "b:1", cause: "it broke" }] }))
              : Effect.succeed({ errorCode, errorMessage: null } as never)
          })
        const controller = Effect.map(cluster.controller, (broker) => ({ ...broker, send }))
        const admin = yield* Effect.provideService(Admin.make(), Cluster.Cluster, { ...cluster, controller })
        const voter = { id: 1, directoryId: "AAAAAAAAAAAAAAAAAAAAAQ" }
        for (const [code, verb] of [
          [codes.DUPLICATE_VOTER, admin.addVoter({ ...voter, listeners: [] })],
          [codes.VOTER_NOT_FOUND, admin.removeVoter(voter)],
          [codes.DELEGATION_TOKEN_NOT_FOUND, admin.expireToken(Redacted.make(new Uint8Array(1)))]
        ] as const) {
          errorCode = code
          const error = yield* passing<KafkaError, unknown, never>(Effect.flip<unknown, KafkaError, never>(verb))
          assert.strictEqual(codeOf(error), code)
          assert.include(error.message, "an earlier try of this call")
        }
      })
    )
  )

  it.effect("says why a legal name is refused (it was told as one that is not legal)", () =>
    Effect.sync(() => {
      const messageOf = (topic: string, said?: string) =>
        Failure.of(codes.INVALID_TOPIC_EXCEPTION, said, { topic }).message
      const said = "Topic 'a_b' collides with existing topic: a.b"
      assert.strictEqual(messageOf("a_b", said), `InvalidTopic: the name "a_b" is refused: ${said} [a_b]`)
      // Metadata says nothing of why, nor does CreateTopics v0.
      assert.match(messageOf("a_b"), /"a_b" is refused: another topic has it but for "." and "_"/)
      for (const topic of ["a/b", ".", "..", "", "x".repeat(250)]) assert.include(messageOf(topic), "is not a legal")
      for (const topic of ["...", "x".repeat(249)]) assert.include(messageOf(topic), "is refused")
    })
  )

  it.effect(
    "asks the quorum again where another leads it (NOT_LEADER_OR_FOLLOWER failed it), which may have done it",
    () =>
      inCluster(
        { asVersion: "4.4" },
        Effect.gen(function* () {
          const cluster = yield* Cluster.Cluster
          const codesOf = [
            codes.NOT_LEADER_OR_FOLLOWER,
            codes.DUPLICATE_VOTER,
            codes.NOT_LEADER_OR_FOLLOWER,
            codes.NONE
          ]
          const send: Broker["send"] = (_, __, options) =>
            Effect.sync(() => {
              options?.onSent?.()
              return { errorCode: codesOf.shift(), errorMessage: null, topics: [] } as never
            })
          const asking = (broker: Broker): Broker => ({ ...broker, send })
          const [any, controller] = [Effect.map(cluster.any, asking), Effect.map(cluster.controller, asking)]
          const admin = yield* Effect.provideService(Admin.make(), Cluster.Cluster, { ...cluster, any, controller })
          const voter = { id: 1, directoryId: "AAAAAAAAAAAAAAAAAAAAAQ", listeners: [] }
          const added = yield* passing(Effect.flip(admin.addVoter(voter)))
          assert.deepInclude(added.reason, { code: codes.DUPLICATE_VOTER, perhapsDone: true })
          const described = yield* passing(Effect.flip(admin.describeQuorum()))
          assert.strictEqual(described.reason._tag, "Corrupt")
          assert.deepStrictEqual(codesOf, [])
        })
      )
  )

  it.effect("tells its brokers and what they speak, of every age", () =>
    Effect.forEach(["0.9", "0.10.2", "2.8", "4.4"] as const, (asVersion) =>
      inCluster(
        { asVersion, brokers: 2, client: asVersion === "0.9" ? { brokerVersion: "0.9" } : {} },
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const cluster = yield* admin.describeCluster()
          assert.deepStrictEqual(
            cluster.brokers.map(({ id }) => id),
            [1, 2]
          )
          assert.strictEqual(cluster.controller === undefined, asVersion === "0.9")
          const [apis, none] = yield* admin.brokerApis([2, 7])
          assert.deepInclude(
            value(apis).apis.map(({ key, name }) => [key, name]),
            [0, "Produce"]
          )
          assert.strictEqual(codeOf(failure(none)), "Misconfigured")
        })
      )
    )
  )
})
