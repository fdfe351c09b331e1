import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Cluster, Consumer, GroupOffsets, Membership, Producer, Topic } from "samsa"
import * as InProcess from "./hostile/InProcess.ts"
import { EmbeddedKafka, KafkaTest } from "../src/testing/index.ts"

const topic = Topic.bytes("t")

/** A membership whose group is one member that has every partition, and keeps its offsets elsewhere. */
const alone = (offsets: GroupOffsets.GroupOffsets["Service"]): Membership.Membership => ({
  name: "alone",
  mistakes: [],
  rebalanceTimeout: undefined,
  offsets: Effect.succeed(offsets),
  join: ({ owner }) =>
    Effect.as(owner.assigned([{ topic: "t", partition: 0 }]), {
      identity: () => ({ memberId: "me", generation: 7, instanceId: null }),
      commitRefused: () => {},
      closing: Effect.void,
      leave: Effect.void
    })
})

describe("GroupOffsets", () => {
  it.effect("are kept where the membership says, if it says so: read there and committed there", () =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      yield* producer.sendAll(
        topic,
        [0, 1, 2, 3].map((n) => ({ value: Uint8Array.of(n), partition: 0 }))
      )
      const committed: Array<readonly [string, GroupOffsets.Identity, ReadonlyArray<GroupOffsets.Commit>]> = []
      const keeper = GroupOffsets.GroupOffsets.of({
        fetch: (group, partitions) =>
          Effect.succeed(
            new Map(group === "g" ? partitions.map(() => ["t-0", { offset: 2, leaderEpoch: -1, metadata: "" }]) : [])
          ),
        commit: (group, { isCurrent, ...as }, commits) =>
          Effect.sync(() => {
            assert.isTrue(isCurrent?.())
            committed.push([group, as, commits.map(({ topicId: _, ...one }) => one)])
            return commits.map(() => 0)
          })
      })
      const read = yield* Effect.scoped(
        Effect.gen(function* () {
          const consumer = yield* Consumer.subscribe({
            group: "g",
            topics: [topic],
            from: "earliest",
            membership: alone(keeper)
          })
          return yield* consumer.stream.pipe(
            Stream.take(2),
            Stream.tap((record) => Consumer.done(record)),
            Stream.runCollect
          )
        })
      )
      assert.deepStrictEqual(
        read.map((record) => record.offset),
        [2, 3]
      )
      assert.deepStrictEqual(committed, [
        [
          "g",
          { memberId: "me", generation: 7, instanceId: null },
          [{ topic: "t", partition: 0, offset: 4, leaderEpoch: 0 }]
        ]
      ])
      // Where the client itself keeps offsets, there are none.
      const own = yield* GroupOffsets.GroupOffsets
      assert.strictEqual((yield* own.fetch("g", [{ topic: "t", partition: 0 }])).size, 0)
    }).pipe(Effect.provide(Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: ["t"] })))))
  )

  for (const [asVersion, spoken] of [
    [undefined, "by id"],
    ["3.9", "by name"]
  ] as const) {
    it.effect(`are those of a topic, not of another that has its name by now (${asVersion ?? "newest"})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const cluster = yield* Cluster.Cluster
        const offsets = yield* GroupOffsets.GroupOffsets
        const place = { topic: "t", partition: 0 }
        const { id: topicId } = yield* cluster.topic("t")
        const commit = (commit: GroupOffsets.Commit) => offsets.commit("g", GroupOffsets.anonymous, [commit])
        assert.deepStrictEqual(yield* commit({ ...place, offset: 0, leaderEpoch: 0, metadata: "m" }), [0])
        assert.deepStrictEqual(yield* offsets.fetch("g", [place, { ...place, partition: 1 }]), committedAt0)
        assert.deepStrictEqual(yield* offsets.fetch("g", [{ ...place, topicId }]), committedAt0)

        yield* broker.recreateTopic("t")
        // Whoever means the old one learns that it is gone; whoever means the name is heard when its id is known.
        if (spoken === "by id") {
          assert.deepStrictEqual(yield* commit({ ...place, topicId, offset: 0 }), [unknownTopicId])
          assert.notStrictEqual(cluster.known("t")?.id, topicId)
        }
        assert.deepStrictEqual(yield* commit({ ...place, offset: 0 }), [0])
      }).pipe(Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 2 }], asVersion })))
    )
  }

  it.effect("of a partition that the answer leaves out are not taken for none", () =>
    Effect.gen(function* () {
      const { layer } = yield* InProcess.make({
        partitions: 2,
        answers: {
          OffsetFetch: ({ body }) => ({
            groups: body.groups.map(({ groupId, topics }: any) => ({
              groupId,
              topics: topics.map((topic: any) => ({
                ...topic,
                partitions: [{ partitionIndex: 0, committedOffset: 5 }]
              }))
            }))
          })
        },
        versions: { OffsetFetch: 9 }
      })
      const { reason } = yield* Effect.gen(function* () {
        const consumer = yield* Consumer.subscribe({ group: "g", topics: [topic], from: "latest" })
        return yield* Effect.flip(Stream.runDrain(consumer.stream))
      }).pipe(Effect.provide(layer), Effect.scoped)
      assert.deepInclude(reason, { _tag: "Corrupt", problem: "the partition is left out", topic: "t", partition: 1 })
    })
  )
})

const unknownTopicId = 100
const committedAt0 = new Map([["t-0", { offset: 0, leaderEpoch: 0, metadata: "m" }]])
