/** ListOffsets: the ends, and the record of a time. */
import { Effect } from "effect"
import * as DeleteRecords from "../../../src/protocol/messages/DeleteRecords.ts"
import * as ListOffsets from "../../../src/protocol/messages/ListOffsets.ts"
import type { Ask, Case, Topic } from "../Lab.ts"
import { batch, time } from "../Records.ts"
import { produce } from "./Fetch.ts"

interface Options {
  readonly partition?: number
  readonly committed?: boolean
  readonly leaderEpoch?: number
  readonly most?: number
  readonly broker?: number
}

const request = (version: number, name: string, timestamps: ReadonlyArray<number>, options: Options = {}) => ({
  replicaId: -1,
  ...(version >= 2 ? { isolationLevel: options.committed === true ? 1 : 0 } : {}),
  topics: [
    {
      name,
      partitions: timestamps.map((timestamp) => ({
        partitionIndex: options.partition ?? 0,
        timestamp,
        ...(version === 0 ? { maxNumOffsets: options.most ?? 1 } : {}),
        ...(version >= 4 ? { currentLeaderEpoch: options.leaderEpoch ?? -1 } : {})
      }))
    }
  ],
  ...(version >= 10 ? { timeoutMs: 10_000 } : {})
})

const list = (ask: Ask, version: number, name: string, timestamp: number, options: Options = {}) =>
  Effect.gen(function* () {
    const client = yield* ask.broker(options.broker)
    const answer = yield* client.ask(ListOffsets, version, request(version, name, [timestamp], options))
    return answer === "closed" ? answer : answer.topics[0]!.partitions[0]!
  })

/** Three batches, of which the last is older than the one before. */
const filled = (ask: Ask) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic("")
    yield* produce(ask, topic, batch(["a", "b"], { timestamp: time }))
    yield* produce(ask, topic, batch(["c", "d", "e"], { timestamp: time + 1000 }))
    yield* produce(ask, topic, batch(["f"], { timestamp: time + 500 }))
    return topic
  })

const each = (
  ask: Ask,
  topic: Topic,
  timestamps: { readonly [name: string]: number },
  filter: (version: number) => boolean = () => true,
  options: Options = {}
) =>
  ask.atEach(
    ListOffsets,
    (version) =>
      Effect.gen(function* () {
        const out: { [name: string]: unknown } = {}
        for (const [name, timestamp] of Object.entries(timestamps))
          out[name] = yield* list(ask, version, topic.name, timestamp, options)
        return out
      }),
    filter
  )

export const cases: ReadonlyArray<Case> = [
  {
    api: "ListOffsets",
    behaviour: "the first and the next offset, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* filled(ask)
        const client = yield* ask.broker()
        yield* client.send(DeleteRecords, 1, {
          timeoutMs: 10_000,
          topics: [{ name: topic.name, partitions: [{ partitionIndex: 0, offset: 1 }] }]
        })
        return yield* each(ask, topic, { earliest: -2, latest: -1 })
      })
  },
  {
    api: "ListOffsets",
    behaviour: "of an empty partition, at each version",
    ask: (ask) => Effect.flatMap(ask.topic(""), (topic) => each(ask, topic, { earliest: -2, latest: -1, time }))
  },
  {
    api: "ListOffsets",
    behaviour: "by time: the first record at or after it, from v1 on",
    ask: (ask) =>
      Effect.flatMap(filled(ask), (topic) =>
        each(
          ask,
          topic,
          {
            "before all": 0,
            exact: time,
            within: time + 1,
            between: time + 2,
            "in the second": time + 1001,
            "the last": time + 1002,
            beyond: time + 1003
          },
          (version) => version >= 1
        )
      )
  },
  {
    api: "ListOffsets",
    behaviour: "the record with the largest timestamp, and other marks below zero",
    ask: (ask) =>
      Effect.flatMap(filled(ask), (topic) =>
        each(
          ask,
          topic,
          { "max timestamp": -3, "earliest local": -4, "latest tiered": -5, "earliest pending": -6, other: -7 },
          (version) => version >= 1
        )
      )
  },
  {
    api: "ListOffsets",
    behaviour: "several offsets in v0",
    only: "2.8.2",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* filled(ask)
        const out: { [name: string]: unknown } = {}
        for (const most of [0, 1, 2, 10])
          for (const [name, timestamp] of [
            ["latest", -1],
            ["earliest", -2],
            ["in 1970", 1],
            ["in 2200", 7_258_118_400_000]
          ] as const)
            out[`${name}, at most ${most}`] = yield* list(ask, 0, topic.name, timestamp, { most })
        return out
      })
  },
  {
    api: "ListOffsets",
    behaviour: "of a topic or partition that is not there, and of a broker that does not lead",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        return yield* ask.atEach(ListOffsets, (version) =>
          Effect.gen(function* () {
            return {
              topic: yield* list(ask, version, `${ask.id}-absent`, -1),
              partition: yield* list(ask, version, topic.name, -1, { partition: 4 }),
              leader: yield* list(ask, version, topic.name, -1, { broker: 2 })
            }
          })
        )
      })
  },
  {
    api: "ListOffsets",
    behaviour: "with a leader's epoch that is not the current",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1, 2]] })
        yield* produce(ask, topic, batch(["a"]))
        yield* ask.moveLeader(topic.name, 0, 2)
        yield* ask.moveLeader(topic.name, 0, 1)
        return yield* ask.atEach(
          ListOffsets,
          (version) =>
            Effect.gen(function* () {
              return {
                old: yield* list(ask, version, topic.name, -2, { leaderEpoch: 0 }),
                unknown: yield* list(ask, version, topic.name, -2, { leaderEpoch: 1000 })
              }
            }),
          (version) => version >= 4
        )
      })
  },
  {
    api: "ListOffsets",
    behaviour: "tells the epoch of the record",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1, 2]] })
        yield* produce(ask, topic, batch(["a", "b"]))
        yield* ask.moveLeader(topic.name, 0, 2)
        yield* ask.moveLeader(topic.name, 0, 1)
        yield* produce(ask, topic, batch(["c"], { timestamp: time + 100 }))
        const epochOf = (timestamp: number) =>
          Effect.map(list(ask, 5, topic.name, timestamp), (found) =>
            found === "closed"
              ? found
              : [found.offset, found.leaderEpoch === 0 ? "first" : found.leaderEpoch > 0 ? "later" : "none"]
          )
        return {
          earliest: yield* epochOf(-2),
          old: yield* epochOf(time),
          new: yield* epochOf(time + 50),
          latest: yield* epochOf(-1),
          beyond: yield* epochOf(time + 1000)
        }
      })
  },
  {
    api: "ListOffsets",
    behaviour: "of committed data: the last stable offset",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        yield* produce(ask, topic, batch(["a"]))
        yield* ask.transaction(topic.name, ["open", "open"], "open")
        return {
          committed: yield* each(ask, topic, { latest: -1, within: time + 1 }, (version) => version >= 2, {
            committed: true
          }),
          uncommitted: yield* each(ask, topic, { latest: -1, within: time + 1 }, (version) => version >= 2)
        }
      })
  },
  {
    api: "ListOffsets",
    behaviour: "of one partition twice",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* filled(ask)
        return yield* ask.atEach(ListOffsets, (version) =>
          Effect.gen(function* () {
            const client = yield* ask.broker()
            const { topics } = yield* client.send(ListOffsets, version, request(version, topic.name, [-2, -1]))
            return topics
          })
        )
      })
  }
]
