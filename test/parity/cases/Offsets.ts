/** OffsetCommit, OffsetFetch and OffsetDelete. */
import { Effect, Fiber } from "effect"
import * as OffsetCommit from "../../../src/protocol/messages/OffsetCommit.ts"
import * as OffsetDelete from "../../../src/protocol/messages/OffsetDelete.ts"
import * as OffsetFetch from "../../../src/protocol/messages/OffsetFetch.ts"
import type { Client } from "../Client.ts"
import type { Ask, Case, Topic } from "../Lab.ts"
import * as Members from "../Members.ts"

interface CommitOptions {
  readonly memberId?: string
  readonly instanceId?: string
  readonly generation?: number
  readonly offset?: number
  readonly partition?: number
  readonly metadata?: string | null
  readonly leaderEpoch?: number
}

const commitRequest = (version: number, groupId: string, topic: Topic, options: CommitOptions = {}) => ({
  groupId,
  ...(version >= 1 ? { generationIdOrMemberEpoch: options.generation ?? -1, memberId: options.memberId ?? "" } : {}),
  ...(version >= 7 && options.instanceId !== undefined ? { groupInstanceId: options.instanceId } : {}),
  topics: [
    {
      ...(version >= 10 ? { topicId: topic.id } : { name: topic.name }),
      partitions: [
        {
          partitionIndex: options.partition ?? 0,
          committedOffset: options.offset ?? 5,
          ...(version >= 6 ? { committedLeaderEpoch: options.leaderEpoch ?? -1 } : {}),
          committedMetadata: options.metadata === undefined ? "note" : options.metadata
        }
      ]
    }
  ]
})

const commit = (client: Client, version: number, groupId: string, topic: Topic, options?: CommitOptions) =>
  Effect.map(
    client.send(OffsetCommit, version, commitRequest(version, groupId, topic, options)),
    ({ topics }) => topics
  )

const codeOf = (topics: (typeof OffsetCommit.Response.schema)["Type"]["topics"]) => topics[0]!.partitions[0]!.errorCode

const fetch = (
  client: Client,
  version: number,
  groupId: string,
  topics: ReadonlyArray<{ readonly topic: Topic; readonly partitions: ReadonlyArray<number> }> | null,
  requireStable = false
) =>
  Effect.map(
    client.send(OffsetFetch, version, {
      ...(version >= 8
        ? {
            groups: [
              {
                groupId,
                topics:
                  topics?.map(({ partitions, topic }) => ({
                    ...(version >= 10 ? { topicId: topic.id } : { name: topic.name }),
                    partitionIndexes: partitions
                  })) ?? null
              }
            ]
          }
        : {
            groupId,
            topics: topics?.map(({ partitions, topic }) => ({ name: topic.name, partitionIndexes: partitions })) ?? null
          }),
      ...(version >= 7 ? { requireStable } : {})
    }),
    (response) => (version >= 8 ? response.groups : { errorCode: response.errorCode, topics: response.topics })
  )

const remove = (client: Client, groupId: string, names: ReadonlyArray<readonly [name: string, partition: number]>) =>
  Effect.map(
    client.send(OffsetDelete, 0, {
      groupId,
      topics: names.map(([name, partitionIndex]) => ({ name, partitions: [{ partitionIndex }] }))
    }),
    (response) => ({ ...response, topics: Array.from(response.topics).sort((a, b) => (a.name < b.name ? -1 : 1)) })
  )

const absent: Topic = { name: "absent", id: "AAAAAAAAAAAAAAAAAAAAAQ" }
const background = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.forkChild(effect, { startImmediately: true })

const newest = (ask: Ask) => Math.min(ask.newest(OffsetCommit), 9)

export const cases: ReadonlyArray<Case> = [
  {
    api: "OffsetCommit",
    behaviour: "outside of a group's members, and fetched, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1], [1]] })
        return yield* ask.atEach(OffsetCommit, (version) =>
          Effect.gen(function* () {
            const group = `${ask.id}-v${version}`
            const client = yield* ask.coordinator(group)
            const committed = yield* commit(client, version, group, topic)
            const read = version === 0 ? 0 : 5
            return {
              committed,
              fetched: yield* fetch(client, read, group, [{ topic, partitions: [0, 1] }])
            }
          })
        )
      })
  },
  {
    api: "OffsetFetch",
    behaviour: "of what is committed, what is not, and what is not there, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1], [1]] })
        const client = yield* ask.coordinator(ask.id)
        yield* commit(client, newest(ask), ask.id, topic, { leaderEpoch: 3 })
        return yield* ask.atEach(OffsetFetch, (version) =>
          fetch(client, version, ask.id, [
            { topic, partitions: [1, 0, 7] },
            { topic: absent, partitions: [0] }
          ])
        )
      })
  },
  {
    api: "OffsetFetch",
    behaviour: "of everything, from v2 on",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1], [1], [1]] })
        const client = yield* ask.coordinator(ask.id)
        yield* commit(client, newest(ask), ask.id, topic, { partition: 2, metadata: null })
        const nothing = yield* ask.coordinator(`${ask.id}-nothing`)
        return yield* ask.atEach(
          OffsetFetch,
          (version) =>
            Effect.gen(function* () {
              return {
                all: yield* fetch(client, version, ask.id, null),
                nothing: yield* fetch(nothing, version, `${ask.id}-nothing`, null),
                "no topics": yield* fetch(client, version, ask.id, [])
              }
            }),
          (version) => version >= 2
        )
      })
  },
  {
    api: "OffsetFetch",
    behaviour: "of what was written by v0 is not what was written by others",
    only: "2.8.2",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.coordinator(ask.id)
        const asked = [{ topic, partitions: [0] }]
        yield* commit(client, 0, ask.id, topic, { offset: 1, metadata: "old" })
        const before = [yield* fetch(client, 0, ask.id, asked), yield* fetch(client, 1, ask.id, asked)]
        yield* commit(client, 1, ask.id, topic, { offset: 2, metadata: "new" })
        return { before, after: [yield* fetch(client, 0, ask.id, asked), yield* fetch(client, 1, ask.id, asked)] }
      })
  },
  {
    api: "OffsetFetch",
    behaviour: "of several groups at once",
    only: "4.4.0",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.coordinator(ask.id)
        yield* commit(client, 9, ask.id, topic, { offset: 1 })
        for (const group of [`${ask.id}-b`, `${ask.id}-nothing`, ""]) yield* ask.coordinatorOf(group)
        yield* commit(client, 9, `${ask.id}-b`, topic, { offset: 2 })
        const topics = (version: number) => [
          { ...(version >= 10 ? { topicId: topic.id } : { name: topic.name }), partitionIndexes: [0] }
        ]
        return yield* ask.atEach(
          OffsetFetch,
          (version) =>
            Effect.map(
              client.send(OffsetFetch, version, {
                groups: [
                  { groupId: `${ask.id}-b`, topics: topics(version) },
                  { groupId: `${ask.id}-nothing`, topics: topics(version) },
                  { groupId: ask.id, topics: null },
                  { groupId: "", topics: null }
                ],
                requireStable: true
              }),
              ({ groups }) => groups
            ),
          (version) => version >= 8
        )
      })
  },
  {
    api: "OffsetFetch",
    behaviour: "with a member's id and epoch, of a classic group",
    only: "4.4.0",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.coordinator(ask.id)
        const member = yield* Members.stable(ask, ask.id)
        const answers: Array<unknown> = []
        for (const [memberId, memberEpoch] of [
          [member.id(), 1],
          [member.id(), 7],
          ["nobody", 1],
          [null, -1]
        ] as const) {
          const { groups } = yield* client.send(OffsetFetch, 9, {
            groups: [{ groupId: ask.id, memberId, memberEpoch, topics: [{ name: topic.name, partitionIndexes: [0] }] }]
          })
          answers.push(groups)
        }
        return answers
      })
  },
  {
    api: "OffsetCommit",
    behaviour: "of a member, of nobody, of another generation, of nobody in particular",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const member = yield* Members.stable(ask, ask.id)
        const empty = yield* ask.coordinator(`${ask.id}-empty`)
        const left = yield* Members.stable(ask, `${ask.id}-left`)
        yield* left.leave()
        return yield* ask.atEach(
          OffsetCommit,
          (version) =>
            Effect.gen(function* () {
              const code = (options: CommitOptions) =>
                Effect.map(commit(member.client, version, ask.id, topic, options), codeOf)
              const memberId = member.id()
              yield* ask.coordinatorOf(`${ask.id}-empty-${version}`)
              const other = (client: Client, group: string, options: CommitOptions) =>
                Effect.map(commit(client, version, group, topic, options), codeOf)
              return {
                member: yield* code({ memberId, generation: 1 }),
                older: yield* code({ memberId, generation: 0 }),
                newer: yield* code({ memberId, generation: 2 }),
                "member without generation": yield* code({ memberId }),
                nobody: yield* code({ memberId: "nobody", generation: 1 }),
                "nobody in particular": yield* code({}),
                "a generation of a group that is not there": yield* other(empty, `${ask.id}-empty-${version}`, {
                  generation: 1,
                  memberId: "m"
                }),
                "a generation of an empty group": yield* other(left.client, `${ask.id}-left`, {
                  generation: 1,
                  memberId: left.id()
                }),
                "an empty group": yield* other(left.client, `${ask.id}-left`, {}),
                "a member of an empty group": yield* other(left.client, `${ask.id}-left`, { memberId: "m" })
              }
            }),
          (version) => version >= 1
        )
      })
  },
  {
    api: "OffsetCommit",
    behaviour: "while members join, and while the leader assigns",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const a = yield* Members.stable(ask, ask.id)
        const b = yield* Members.make(ask, ask.id)
        const code = (member: Members.Member, generation: number) =>
          Effect.map(commit(member.client, 7, ask.id, topic, { memberId: member.id(), generation }), codeOf)
        const joining = yield* background(b.join())
        yield* Members.awaitRebalance(a)
        const joins = yield* code(a, 1)
        yield* a.join()
        yield* Fiber.join(joining)
        const assigns = [yield* code(a, 2), yield* code(b, 2), yield* code(a, 1)]
        yield* a.sync()
        yield* b.sync()
        return { joins, assigns, stable: [yield* code(a, 2), yield* code(b, 2), yield* code(a, 1)] }
      })
  },
  {
    api: "OffsetCommit",
    behaviour: "of static members, and of those that were replaced",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const instance = { instanceId: "i-1" }
        const former = yield* Members.stable(ask, ask.id, instance)
        const code = (memberId: string, options: CommitOptions) =>
          Effect.map(commit(former.client, 7, ask.id, topic, { generation: 1, memberId, ...options }), codeOf)
        const before = yield* code(former.id(), instance)
        const later = yield* Members.make(ask, ask.id)
        yield* later.join(instance)
        return {
          before,
          former: yield* code(former.id(), instance),
          later: yield* code(later.id(), instance),
          "without the instance": yield* code(later.id(), {}),
          "another instance": yield* code(later.id(), { instanceId: "i-2" })
        }
      })
  },
  {
    api: "OffsetCommit",
    behaviour: "metadata that is long, too long, or none",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1], [1], [1], [1]] })
        const client = yield* ask.coordinator(ask.id)
        const codes: Array<unknown> = []
        for (const [partition, metadata] of [
          [0, "x".repeat(4096)],
          [1, "x".repeat(4097)],
          [2, "ä".repeat(2049)],
          [3, null]
        ] as const)
          codes.push(codeOf(yield* commit(client, 7, ask.id, topic, { partition, metadata })))
        const { topics } = (yield* fetch(client, 5, ask.id, [{ topic, partitions: [0, 1, 2, 3] }])) as {
          readonly topics: ReadonlyArray<{
            readonly partitions: ReadonlyArray<{ readonly committedOffset: number; readonly metadata: string | null }>
          }>
        }
        return {
          codes,
          fetched: topics[0]!.partitions.map((each) => [each.committedOffset, each.metadata?.length ?? null])
        }
      })
  },
  {
    api: "OffsetCommit",
    behaviour: "of topics and partitions that are not there, beside one that is, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        return yield* ask.atEach(OffsetCommit, (version) =>
          Effect.gen(function* () {
            const client = yield* ask.coordinator(ask.id)
            const parts = [
              commitRequest(version, ask.id, topic, { partition: 3 }),
              commitRequest(version, ask.id, absent),
              commitRequest(version, ask.id, topic)
            ]
            const { topics } = yield* client.send(OffsetCommit, version, {
              ...parts[0]!,
              topics: parts.flatMap((part) => part.topics)
            })
            return topics
              .flatMap((each) =>
                each.partitions.map((partition) => [
                  each.name || (each.topicId === topic.id ? "known" : "not known"),
                  partition.partitionIndex,
                  partition.errorCode
                ])
              )
              .sort()
          })
        )
      })
  },
  {
    api: "OffsetCommit",
    behaviour: "offsets below zero and beyond the end",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.coordinator(ask.id)
        const answers: Array<unknown> = []
        for (const offset of [1_000_000, 0, -1, -5]) {
          const committed = codeOf(yield* commit(client, 7, ask.id, topic, { offset }))
          answers.push([committed, yield* fetch(client, 5, ask.id, [{ topic, partitions: [0] }])])
        }
        return answers
      })
  },
  {
    api: "OffsetCommit",
    behaviour: "of no group, and of a broker that does not coordinate it, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const coordinator = yield* ask.coordinatorOf(ask.id)
        const elsewhere = yield* ask.connect({ broker: 3 - coordinator })
        const client = yield* ask.coordinator("")
        return {
          commit: yield* ask.atEach(
            OffsetCommit,
            (version) =>
              Effect.gen(function* () {
                return {
                  "no group": codeOf(yield* commit(client, version, "", topic)),
                  elsewhere: codeOf(yield* commit(elsewhere, version, ask.id, topic))
                }
              }),
            (version) => version >= 1
          ),
          fetch: yield* ask.atEach(
            OffsetFetch,
            (version) =>
              Effect.gen(function* () {
                return {
                  "no group": yield* fetch(client, version, "", [{ topic, partitions: [0] }]),
                  elsewhere: yield* fetch(elsewhere, version, ask.id, [{ topic, partitions: [0] }])
                }
              }),
            (version) => version >= 1
          )
        }
      })
  },
  {
    api: "OffsetDelete",
    behaviour: "of a group without members, and of what is not there",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.coordinator(ask.id)
        yield* commit(client, 7, ask.id, topic)
        const before = yield* fetch(client, 5, ask.id, [{ topic, partitions: [0] }])
        const answers = [
          yield* remove(client, ask.id, [
            [topic.name, 0],
            ["absent", 0]
          ]),
          yield* remove(client, ask.id, [[topic.name, 9]]),
          yield* remove(client, ask.id, [[topic.name, 0]])
        ]
        return { before, answers, after: yield* fetch(client, 5, ask.id, [{ topic, partitions: [0] }]) }
      })
  },
  {
    api: "OffsetDelete",
    behaviour: "of a group that is not there, has no name, or is of another broker",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.coordinator(ask.id)
        const unnamed = yield* ask.coordinator("")
        const elsewhere = yield* ask.connect({ broker: 3 - (yield* ask.coordinatorOf(ask.id)) })
        return {
          absent: yield* remove(client, ask.id, [[topic.name, 0]]),
          unnamed: yield* remove(unnamed, "", [[topic.name, 0]]),
          elsewhere: yield* remove(elsewhere, ask.id, [[topic.name, 0]])
        }
      })
  },
  {
    api: "OffsetDelete",
    behaviour: "of a group with members: not of topics that they read",
    ask: (ask) =>
      Effect.gen(function* () {
        const read = yield* ask.topic("-read")
        const other = yield* ask.topic("-other")
        const member = yield* Members.stable(ask, ask.id, { protocols: [["range", `topics:${read.name}`]] })
        for (const topic of [read, other])
          yield* commit(member.client, 7, ask.id, topic, { memberId: member.id(), generation: 1 })
        const consumer = yield* remove(member.client, ask.id, [
          [read.name, 0],
          [other.name, 0]
        ])
        const connect = yield* Members.stable(ask, `${ask.id}-connect`, {
          protocolType: "connect",
          protocols: [["v1", "m"]]
        })
        return { consumer, connect: yield* remove(connect.client, `${ask.id}-connect`, [[other.name, 0]]) }
      })
  }
]
