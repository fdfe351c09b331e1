/** CreateTopics, DeleteTopics, CreatePartitions and DeleteRecords. */
import { Effect } from "effect"
import * as CreatePartitions from "../../../src/protocol/messages/CreatePartitions.ts"
import * as CreateTopics from "../../../src/protocol/messages/CreateTopics.ts"
import * as DeleteRecords from "../../../src/protocol/messages/DeleteRecords.ts"
import * as DeleteTopics from "../../../src/protocol/messages/DeleteTopics.ts"
import * as Metadata from "../../../src/protocol/messages/Metadata.ts"
import { zeroId } from "../../../src/testing/embedded/Runtime.ts"
import type { Client } from "../Client.ts"
import { type Ask, awaitLeaders, type Case, until } from "../Lab.ts"
import { batch } from "../Records.ts"
import { fetch, produce } from "./Fetch.ts"

/** A connection to the broker that takes changes: any in KRaft. */
export const controller = (ask: Ask) =>
  Effect.gen(function* () {
    const client = yield* ask.broker()
    if (ask.release !== "2.8.2") return client
    return yield* ask.broker((yield* client.send(Metadata, 1, { topics: [] })).controllerId)
  })

type Asked = NonNullable<(typeof CreateTopics.Request.schema)["~type.make.in"]["topics"]>[number] & {
  readonly name: string
}

const topicOf = (name: string, options: Partial<Asked> = {}): Asked => ({
  name,
  numPartitions: 1,
  replicationFactor: 1,
  assignments: [],
  configs: [],
  ...options
})

const manual = (...replicas: ReadonlyArray<ReadonlyArray<number>>): Partial<Asked> => ({
  numPartitions: -1,
  replicationFactor: -1,
  assignments: replicas.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }))
})

const create = (
  client: Client,
  version: number,
  topics: ReadonlyArray<Asked>,
  validateOnly = false,
  timeoutMs = 15_000
) =>
  Effect.map(
    client.send(CreateTopics, version, { timeoutMs, topics, ...(version >= 1 ? { validateOnly } : {}) }),
    ({ topics }) =>
      topics
        .map(({ configs, ...rest }) => ({
          ...rest,
          // which settings there are is asked of DescribeConfigs
          configs:
            configs === null
              ? null
              : configs.filter((each) =>
                  ["cleanup.policy", "max.message.bytes", "min.insync.replicas"].includes(each.name)
                )
        }))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
  )

const codes = (client: Client, topics: ReadonlyArray<Asked>, timeoutMs?: number) =>
  Effect.map(create(client, 7, topics, false, timeoutMs), (created) =>
    created.map((each) => [each.name, each.errorCode])
  )

const remove = (
  client: Client,
  version: number,
  topics: ReadonlyArray<{ readonly name?: string; readonly id?: string }>
) =>
  Effect.map(
    client.ask(DeleteTopics, version, {
      timeoutMs: 15_000,
      ...(version >= 6
        ? { topics: topics.map(({ id, name }) => ({ name: name ?? null, topicId: id ?? zeroId })) }
        : { topicNames: topics.map((each) => each.name!) })
    }),
    (answer) =>
      answer === "closed"
        ? answer
        : Array.from(answer.responses).sort((a, b) => (String(a.name) < String(b.name) ? -1 : 1))
  )

const grow = (
  client: Client,
  version: number,
  topics: ReadonlyArray<{
    readonly name: string
    readonly count: number
    readonly replicas?: ReadonlyArray<ReadonlyArray<number>>
  }>,
  validateOnly = false
) =>
  Effect.map(
    client.send(CreatePartitions, version, {
      timeoutMs: 15_000,
      validateOnly,
      topics: topics.map(({ count, name, replicas }) => ({
        name,
        count,
        assignments: replicas?.map((brokerIds) => ({ brokerIds })) ?? null
      }))
    }),
    ({ results }) => Array.from(results).sort((a, b) => (a.name < b.name ? -1 : 1))
  )

const trim = (
  ask: Ask,
  version: number,
  name: string,
  partitions: ReadonlyArray<readonly [partition: number, offset: number]>,
  broker = 1
) =>
  Effect.gen(function* () {
    const client = yield* ask.broker(broker)
    const { topics } = yield* client.send(DeleteRecords, version, {
      timeoutMs: 15_000,
      topics: [{ name, partitions: partitions.map(([partitionIndex, offset]) => ({ partitionIndex, offset })) }]
    })
    return topics
  })

const other = (ask: Ask) =>
  Effect.gen(function* () {
    const client = yield* ask.broker()
    const { controllerId } = yield* client.send(Metadata, 1, { topics: [] })
    return yield* ask.broker(3 - controllerId)
  })

export const cases: ReadonlyArray<Case> = [
  {
    api: "CreateTopics",
    behaviour: "by numbers, and once more, at each version",
    ask: (ask) =>
      ask.atEach(CreateTopics, (version) =>
        Effect.gen(function* () {
          const client = yield* controller(ask)
          const topic = topicOf(`${ask.id}-v${version}`, {
            numPartitions: 2,
            replicationFactor: 2,
            configs: [{ name: "max.message.bytes", value: "5000" }]
          })
          return { created: yield* create(client, version, [topic]), again: yield* create(client, version, [topic]) }
        })
      )
  },
  {
    api: "CreateTopics",
    behaviour: "by assignment, with the defaults of the broker, and only to see whether it could be",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* controller(ask)
        const name = (suffix: string) => `${ask.id}-${suffix}`
        const made = yield* create(client, 7, [
          topicOf(name("assigned"), manual([2, 1], [1, 2])),
          topicOf(name("default"), { numPartitions: -1, replicationFactor: -1 })
        ])
        const validated = yield* create(client, 7, [topicOf(name("validated"))], true)
        yield* awaitLeaders(ask, name("assigned"), [[2], [1]])
        const { topics } = yield* client.send(Metadata, 8, {
          topics: [{ name: name("validated") }, { name: name("assigned") }],
          allowAutoTopicCreation: false
        })
        return {
          made,
          validated,
          then: topics
            .map((each) => [
              each.name,
              each.errorCode,
              Array.from(each.partitions, (p) => [p.partitionIndex, p.leaderId, p.replicaNodes]).sort()
            ])
            .sort()
        }
      })
  },
  {
    api: "CreateTopics",
    behaviour: "of names that are not legal",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* controller(ask)
        const out: { [name: string]: unknown } = {}
        for (const name of ["", ".", "..", "a b", "a/b", "ä", "x".repeat(250)])
          out[name.length > 20 ? `${name.length} letters` : `"${name}"`] = (yield* create(
            client,
            7,
            [topicOf(name)],
            true
          )).map((each) => each.errorCode)
        return out
      })
  },
  {
    api: "CreateTopics",
    behaviour: "of names that differ by dot and underscore",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* controller(ask)
        return [yield* codes(client, [topicOf(`${ask.id}.x`)]), yield* codes(client, [topicOf(`${ask.id}_x`)])]
      })
  },
  {
    api: "CreateTopics",
    behaviour: "with numbers that cannot be",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* controller(ask)
        const out: { [what: string]: unknown } = {}
        for (const [what, options] of [
          ["no partitions", { numPartitions: 0 }],
          ["-2 partitions", { numPartitions: -2 }],
          ["no replicas", { replicationFactor: 0 }],
          ["-2 replicas", { replicationFactor: -2 }],
          ["more replicas than brokers", { replicationFactor: 3 }]
        ] as const)
          out[what] = yield* create(client, 7, [topicOf(`${ask.id}`, options)])
        return out
      })
  },
  {
    api: "CreateTopics",
    behaviour: "with assignments that cannot be",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* controller(ask)
        const out: { [what: string]: unknown } = {}
        for (const [what, options] of [
          ["a broker that is not there", manual([9])],
          ["a broker twice", manual([1, 1])],
          ["no broker", manual([])],
          ["different numbers of replicas", manual([1], [1, 2])],
          ["with a number of partitions", { ...manual([1]), numPartitions: 1 }],
          ["with a number of replicas", { ...manual([1]), replicationFactor: 1 }],
          ["not from 0 on", { ...manual(), assignments: [{ partitionIndex: 1, brokerIds: [1] }] }],
          [
            "with a gap",
            {
              ...manual(),
              assignments: [
                { partitionIndex: 0, brokerIds: [1] },
                { partitionIndex: 2, brokerIds: [1] }
              ]
            }
          ],
          [
            "a partition twice",
            {
              ...manual(),
              assignments: [
                { partitionIndex: 0, brokerIds: [1] },
                { partitionIndex: 0, brokerIds: [2] }
              ]
            }
          ]
        ] as const)
          out[what] = yield* codes(client, [topicOf(`${ask.id}-${what.replaceAll(" ", "-")}`, options)], 300)
        return out
      })
  },
  {
    api: "CreateTopics",
    behaviour: "defaults before v4 that are not known there",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* controller(ask)
        return {
          partitions: yield* create(client, 3, [topicOf(`${ask.id}-a`, { numPartitions: -1 })]),
          replicas: yield* create(client, 3, [topicOf(`${ask.id}-b`, { replicationFactor: -1 })])
        }
      })
  },
  {
    api: "CreateTopics",
    behaviour: "with settings that are not known or not legal",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* controller(ask)
        const out: { [what: string]: unknown } = {}
        for (const [name, value] of [
          ["no.such.setting", "1"],
          ["max.message.bytes", "many"],
          ["max.message.bytes", "-1"],
          ["cleanup.policy", "keep"],
          ["cleanup.policy", "delete,compact"],
          ["message.timestamp.type", "Never"],
          ["min.insync.replicas", "0"],
          ["unclean.leader.election.enable", "maybe"],
          ["compression.type", "zip"],
          ["max.message.bytes", null]
        ] as const)
          out[`${name}=${value}`] = (yield* create(
            client,
            7,
            [topicOf(ask.id, { configs: [{ name, value }] })],
            true
          )).map((each) => [each.errorCode, each.errorMessage !== null])
        return out
      })
  },
  {
    api: "CreateTopics",
    behaviour: "of one name twice, beside another",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* controller(ask)
        const [a, b] = [topicOf(`${ask.id}-a`), topicOf(`${ask.id}-b`)]
        return yield* create(client, 7, [a, b, a])
      })
  },
  {
    api: "CreateTopics",
    behaviour: "of the broker that is not the controller, and others that change",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* other(ask)
        return {
          create: yield* codes(client, [topicOf(`${ask.id}-new`)]),
          grow: (yield* grow(client, 1, [{ name: topic.name, count: 2 }])).map((each) => each.errorCode),
          remove: yield* remove(client, 4, [topic])
        }
      })
  },
  {
    api: "DeleteTopics",
    behaviour: "by name, at each version; what is not there, is not",
    ask: (ask) =>
      ask.atEach(DeleteTopics, (version) =>
        Effect.gen(function* () {
          const { name } = yield* ask.topic(`-v${version}`)
          const client = yield* controller(ask)
          const removed = yield* remove(client, version, [{ name }, { name: `${ask.id}-absent` }])
          const observer = yield* ask.broker(2)
          yield* until(
            "it is gone",
            observer.send(Metadata, 8, { topics: [{ name }], allowAutoTopicCreation: false }),
            ({ topics }) => topics[0]!.errorCode === 3
          )
          return { removed, again: yield* remove(client, version, [{ name }]) }
        })
      )
  },
  {
    api: "DeleteTopics",
    behaviour: "by id from v6 on",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const another = yield* ask.topic("-another")
        const client = yield* controller(ask)
        return {
          unknown: yield* remove(client, 6, [{ id: "AAAAAAAAAAAAAAAAAAAAAQ" }]),
          both: yield* remove(client, 6, [topic]),
          neither: yield* remove(client, 6, [{}]),
          known: yield* remove(client, 6, [{ id: another.id }])
        }
      })
  },
  {
    api: "DeleteTopics",
    behaviour: "of one name twice, and of names that are not legal",
    ask: (ask) =>
      Effect.gen(function* () {
        const { name } = yield* ask.topic("")
        const client = yield* controller(ask)
        return {
          twice: yield* remove(client, 4, [{ name }, { name }]),
          illegal: yield* remove(client, 4, [{ name: "a b" }, { name: "" }])
        }
      })
  },
  {
    api: "CreatePartitions",
    behaviour: "at each version",
    ask: (ask) =>
      ask.atEach(CreatePartitions, (version) =>
        Effect.gen(function* () {
          const { name } = yield* ask.topic(`-v${version}`)
          const client = yield* controller(ask)
          const validated = yield* grow(client, version, [{ name, count: 3 }], true)
          const grown = yield* grow(client, version, [{ name, count: 3 }])
          const { topics } = yield* until(
            "there are three",
            client.send(Metadata, 8, { topics: [{ name }], allowAutoTopicCreation: false }),
            ({ topics }) => topics[0]!.partitions.length === 3
          )
          return { validated, grown, then: topics[0]!.partitions.length }
        })
      )
  },
  {
    api: "CreatePartitions",
    behaviour: "to no more than there are, of a topic that is not there, or twice",
    ask: (ask) =>
      Effect.gen(function* () {
        const { name } = yield* ask.topic("", { replicas: [[1], [2]] })
        const client = yield* controller(ask)
        const out: { [what: string]: unknown } = {}
        for (const count of [2, 1, 0, -1]) out[`${count}`] = yield* grow(client, 1, [{ name, count }])
        out["absent"] = yield* grow(client, 1, [{ name: `${ask.id}-absent`, count: 3 }])
        out["twice"] = yield* grow(client, 1, [
          { name, count: 3 },
          { name, count: 4 }
        ])
        return out
      })
  },
  {
    api: "CreatePartitions",
    behaviour: "with assignments",
    ask: (ask) =>
      Effect.gen(function* () {
        const { name } = yield* ask.topic("", { replicas: [[1, 2]] })
        const client = yield* controller(ask)
        const out: { [what: string]: unknown } = {}
        for (const [what, replicas] of [
          ["too few", [[1, 2]]],
          [
            "too many",
            [
              [1, 2],
              [1, 2],
              [1, 2]
            ]
          ],
          [
            "a broker that is not there",
            [
              [1, 9],
              [1, 2]
            ]
          ],
          ["another number of replicas", [[1], [2]]],
          [
            "a broker twice",
            [
              [1, 1],
              [1, 2]
            ]
          ],
          ["an empty one", [[], [1, 2]]],
          [
            "as it should be",
            [
              [2, 1],
              [1, 2]
            ]
          ]
        ] as const)
          out[what] = (yield* grow(client, 1, [{ name, count: 3, replicas }])).map((each) => each.errorCode)
        yield* awaitLeaders(ask, name, [[1], [2], [1]])
        return out
      })
  },
  {
    api: "DeleteRecords",
    behaviour: "to an offset, and to the high watermark, at each version",
    ask: (ask) =>
      ask.atEach(DeleteRecords, (version) =>
        Effect.gen(function* () {
          const topic = yield* ask.topic(`-v${version}`)
          yield* produce(ask, topic, batch(["a", "b", "c"]))
          yield* produce(ask, topic, batch(["d"]))
          const client = yield* ask.broker()
          const toOffset = yield* trim(ask, version, topic.name, [[0, 2]])
          const back = yield* trim(ask, version, topic.name, [[0, 1]])
          const read = yield* fetch(client, 11, [{ topic, offset: 2 }])
          const toEnd = yield* trim(ask, version, topic.name, [[0, -1]])
          const empty = yield* fetch(client, 11, [{ topic, offset: 4 }])
          return { toOffset, back, read: read.responses[0]!.partitions, toEnd, empty: empty.responses[0]!.partitions }
        })
      )
  },
  {
    api: "DeleteRecords",
    behaviour: "beyond the end, below zero, of what is not there, and of a broker that does not lead",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        yield* produce(ask, topic, batch(["a", "b"]))
        return {
          beyond: yield* trim(ask, 1, topic.name, [[0, 3]]),
          below: yield* trim(ask, 1, topic.name, [[0, -2]]),
          partition: yield* trim(ask, 1, topic.name, [[9, 0]]),
          topic: yield* trim(ask, 1, `${ask.id}-absent`, [[0, 0]]),
          leader: yield* trim(ask, 1, topic.name, [[0, 1]], 2)
        }
      })
  },
  {
    api: "DeleteRecords",
    behaviour: "of a topic that is compacted",
    ask: (ask) =>
      Effect.gen(function* () {
        const compacted = yield* ask.topic("-compact", { config: { "cleanup.policy": "compact" } })
        const both = yield* ask.topic("-both", { config: { "cleanup.policy": "compact,delete" } })
        for (const topic of [compacted, both]) yield* produce(ask, topic, batch(["a"], { key: "k" }))
        return [yield* trim(ask, 1, compacted.name, [[0, 1]]), yield* trim(ask, 1, both.name, [[0, 1]])]
      })
  }
]
