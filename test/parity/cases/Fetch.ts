/** Fetch: what is read, how much of it, and when it comes. */
import { Clock, Effect, Fiber } from "effect"
import * as Compression from "../../../src/Compression.ts"
import * as DeleteRecords from "../../../src/protocol/messages/DeleteRecords.ts"
import * as Fetch from "../../../src/protocol/messages/Fetch.ts"
import * as Produce from "../../../src/protocol/messages/Produce.ts"
import type { Client } from "../Client.ts"
import { type Ask, type Case, type Topic, until } from "../Lab.ts"
import { batch, bytes, messages, time } from "../Records.ts"
import { request as produceRequest } from "./Produce.ts"

export interface Wanted {
  readonly topic: Topic
  readonly partition?: number
  readonly offset?: number
  readonly max?: number
  readonly leaderEpoch?: number
  readonly lastEpoch?: number
}

export interface FetchOptions {
  readonly wait?: number
  readonly min?: number
  readonly max?: number
  readonly committed?: boolean
  readonly session?: readonly [id: number, epoch: number]
  readonly forgotten?: ReadonlyArray<{ readonly topic: Topic; readonly partition: number }>
}

export const fetchRequest = (version: number, wanted: ReadonlyArray<Wanted>, options: FetchOptions = {}) => ({
  maxWaitMs: options.wait ?? 0,
  minBytes: options.min ?? 0,
  ...(version >= 3 ? { maxBytes: options.max ?? 50_000_000 } : {}),
  ...(version >= 4 ? { isolationLevel: options.committed === true ? 1 : 0 } : {}),
  ...(version >= 7 && options.session !== undefined
    ? { sessionId: options.session[0], sessionEpoch: options.session[1] }
    : {}),
  topics: wanted.map(({ lastEpoch, leaderEpoch, max, offset, partition, topic }) => ({
    ...(version >= 13 ? { topicId: topic.id } : { topic: topic.name }),
    partitions: [
      {
        partition: partition ?? 0,
        fetchOffset: offset ?? 0,
        partitionMaxBytes: max ?? 10_000_000,
        ...(version >= 9 ? { currentLeaderEpoch: leaderEpoch ?? -1 } : {}),
        ...(version >= 12 ? { lastFetchedEpoch: lastEpoch ?? -1 } : {})
      }
    ]
  })),
  ...(version >= 7
    ? {
        forgottenTopicsData: (options.forgotten ?? []).map(({ partition, topic }) => ({
          ...(version >= 13 ? { topicId: topic.id } : { topic: topic.name }),
          partitions: [partition]
        }))
      }
    : {})
})

export const fetch = (client: Client, version: number, wanted: ReadonlyArray<Wanted>, options: FetchOptions = {}) =>
  client.send(Fetch, version, fetchRequest(version, wanted, options))

type Response = (typeof Fetch.Response.schema)["Type"]
const partitionsOf = (response: Response) =>
  response.responses.flatMap((each) => each.partitions.map((partition) => partition))
const only = (response: Response) => partitionsOf(response)[0]
const recordsOf = (response: Response) => ({ records: only(response)?.records })
/** How many bytes of records each partition gave, and how it went. */
const sizes = (response: Response) =>
  response.responses.flatMap((each) =>
    each.partitions.map((partition) => ({
      partition: partition.partitionIndex,
      errorCode: partition.errorCode,
      bytes: partition.records?.length ?? null
    }))
  )

/** The newest version that names topics, in both releases. */
const common = 12

export const produce = (ask: Ask, topic: Topic, records: Uint8Array, options: { readonly index?: number } = {}) =>
  Effect.gen(function* () {
    const client = yield* ask.broker()
    const { responses } = yield* client.send(Produce, 9, produceRequest(9, topic, records, { acks: -1, ...options }))
    const { errorCode } = responses[0]!.partitionResponses[0]!
    if (errorCode !== 0) return yield* Effect.die(new Error(`nothing was appended: ${errorCode}`))
  })

const codec = (name: "gzip" | "snappy" | "lz4" | "zstd") => Compression.builtIn.get(Compression.ids[name])!

/** What an effect gives, and whether it took at least, and less than, so many milliseconds. */
const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const from = yield* Clock.currentTimeMillis
    const value = yield* effect
    return { value, millis: (yield* Clock.currentTimeMillis) - from }
  })

const trim = (ask: Ask, topic: Topic, offset: number) =>
  Effect.gen(function* () {
    const client = yield* ask.broker()
    yield* client.send(DeleteRecords, 1, {
      timeoutMs: 10_000,
      topics: [{ name: topic.name, partitions: [{ partitionIndex: 0, offset }] }]
    })
  })

const readable = (version: number) => version <= 17

export const cases: ReadonlyArray<Case> = [
  {
    api: "Fetch",
    behaviour: "reads a log of every format, at each version in the format that belongs to it",
    only: "2.8.2",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        yield* client.send(Produce, 1, produceRequest(1, topic, messages(["a", "b"], 0, { key: "k" })))
        yield* client.send(Produce, 2, produceRequest(2, topic, messages(["c", "d"], 1, { key: "k" })))
        yield* produce(ask, topic, batch(["e", "f"], { key: "k" }))
        return yield* ask.atEach(Fetch, (version) => fetch(client, version, [{ topic }]))
      })
  },
  {
    api: "Fetch",
    behaviour: "reads, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        yield* produce(ask, topic, batch(["a", "b"], { key: "k" }))
        yield* produce(ask, topic, batch(["c"], { producerId: 4100, producerEpoch: 0, baseSequence: 0 }))
        return yield* ask.atEach(Fetch, (version) => fetch(client, version, [{ topic }]), readable)
      })
  },
  {
    api: "Fetch",
    behaviour: "records with headers and compressed ones, for versions that know neither",
    only: "2.8.2",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        yield* produce(ask, topic, batch(["a", "b"], { headers: [["h", bytes("1")]] }))
        for (const name of ["gzip", "snappy", "lz4"] as const)
          yield* produce(ask, topic, batch([`${name} 1`, `${name} 2`], { compression: codec(name) }))
        return yield* ask.atEach(
          Fetch,
          (version) => Effect.map(fetch(client, version, [{ topic }]), only),
          (version) => version <= 4
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "zstd, for versions that do not know it",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        yield* produce(ask, topic, batch(["a", "b"], { compression: codec("zstd") }))
        return yield* ask.atEach(
          Fetch,
          (version) => Effect.map(fetch(client, version, [{ topic }]), only),
          (version) => version <= 11
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "from the middle of a batch gives the whole batch, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        yield* produce(ask, topic, batch(["a", "b", "c"]))
        yield* produce(ask, topic, batch(["d", "e"], { compression: codec("gzip") }))
        return yield* ask.atEach(
          Fetch,
          (version) =>
            Effect.gen(function* () {
              return [
                only(yield* fetch(client, version, [{ topic, offset: 1 }])),
                only(yield* fetch(client, version, [{ topic, offset: 4 }]))
              ]
            }),
          readable
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "at the end, of an empty topic, below the start and beyond the end",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const empty = yield* ask.topic("-empty")
        const client = yield* ask.broker()
        yield* produce(ask, topic, batch(["a", "b", "c"]))
        yield* trim(ask, topic, 2)
        return yield* ask.atEach(
          Fetch,
          (version) =>
            Effect.gen(function* () {
              const at = (topic: Topic, offset: number) => Effect.map(fetch(client, version, [{ topic, offset }]), only)
              return {
                end: yield* at(topic, 3),
                empty: yield* at(empty, 0),
                below: yield* at(topic, 1),
                beyond: yield* at(topic, 4),
                negative: yield* at(topic, -1)
              }
            }),
          readable
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "of a topic or partition that is not there, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const absent = { name: `${ask.id}-absent`, id: "AAAAAAAAAAAAAAAAAAAAAQ" }
        const client = yield* ask.broker()
        return yield* ask.atEach(
          Fetch,
          (version) =>
            Effect.gen(function* () {
              return {
                topic: yield* fetch(client, version, [{ topic: absent }], { wait: 10_000, min: 1 }),
                partition: only(yield* fetch(client, version, [{ topic, partition: 5 }], { wait: 10_000, min: 1 }))
              }
            }),
          readable
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "what is not there does not end the wait for what is; what fails does",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1], [2], [1]] })
        const client = yield* ask.broker()
        const answer = (wanted: Wanted, wait: number) =>
          Effect.map(timed(fetch(client, common, [wanted, { topic }], { wait, min: 1 })), ({ millis, value }) => [
            sizes(value),
            millis >= Math.min(wait, 290) ? "waited" : "at once"
          ])
        return {
          topic: yield* answer({ topic: { ...topic, name: `${ask.id}-absent` } }, 300),
          partition: yield* answer({ topic, partition: 9 }, 300),
          "of another broker": yield* answer({ topic, partition: 1 }, 10_000),
          "beyond the end": yield* answer({ topic, partition: 2, offset: 7 }, 10_000)
        }
      })
  },
  {
    api: "Fetch",
    behaviour: "of a broker that does not lead, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker(2)
        return yield* ask.atEach(
          Fetch,
          (version) => fetch(client, version, [{ topic }], { wait: 10_000, min: 1 }),
          readable
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "of a follower, by a consumer",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1, 2]] })
        yield* produce(ask, topic, batch(["a", "b"]))
        const client = yield* ask.broker(2)
        return yield* ask.atEach(
          Fetch,
          (version) =>
            Effect.map(
              until(
                "the follower has it",
                fetch(client, version, [{ topic }]),
                (response) => only(response)?.highWatermark !== 0
              ),
              only
            ),
          (version) => readable(version) && version >= 10
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "with a leader's epoch that is old, or not yet known",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1, 2]] })
        yield* produce(ask, topic, batch(["a", "b"]))
        yield* ask.moveLeader(topic.name, 0, 2)
        yield* ask.moveLeader(topic.name, 0, 1)
        const client = yield* ask.broker()
        return yield* ask.atEach(
          Fetch,
          (version) =>
            Effect.gen(function* () {
              const answer = (leaderEpoch: number) =>
                Effect.map(fetch(client, version, [{ topic, leaderEpoch }]), (response) => {
                  const { currentLeader, errorCode, highWatermark, logStartOffset, records } = only(response)!
                  return {
                    errorCode,
                    highWatermark,
                    logStartOffset,
                    records: records?.length,
                    leader: currentLeader.leaderId,
                    hasEpoch: currentLeader.leaderEpoch > 0,
                    endpoints: response.nodeEndpoints.map((each) => each.nodeId)
                  }
                })
              return { old: yield* answer(0), unknown: yield* answer(1000), none: yield* answer(-1) }
            }),
          (version) => readable(version) && version >= 9
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "with the epoch of the last record tells where logs part",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1, 2]] })
        yield* produce(ask, topic, batch(["a", "b"]))
        yield* ask.moveLeader(topic.name, 0, 2)
        yield* ask.moveLeader(topic.name, 0, 1)
        yield* produce(ask, topic, batch(["c"]))
        const client = yield* ask.broker()
        return yield* ask.atEach(
          Fetch,
          (version) =>
            Effect.gen(function* () {
              const answer = (offset: number, lastEpoch: number) =>
                Effect.map(fetch(client, version, [{ topic, offset, lastEpoch }]), (response) => {
                  const { divergingEpoch, errorCode, highWatermark, records } = only(response)!
                  return { errorCode, divergingEpoch, highWatermark, records: records?.length }
                })
              return {
                agrees: yield* answer(2, 0),
                parts: yield* answer(3, 0),
                unknown: yield* answer(3, 1000)
              }
            }),
          (version) => readable(version) && version >= 12
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "waits for max wait where there is too little, and then gives what there is",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        const nothing = yield* timed(fetch(client, common, [{ topic }], { wait: 300, min: 1 }))
        yield* produce(ask, topic, batch(["a"]))
        const little = yield* timed(fetch(client, common, [{ topic }], { wait: 300, min: 1000 }))
        const enough = yield* timed(fetch(client, common, [{ topic }], { wait: 10_000, min: 1 }))
        const free = yield* timed(fetch(client, common, [{ topic, offset: 1 }], { wait: 10_000, min: 0 }))
        return {
          nothing: [sizes(nothing.value), nothing.millis >= 290],
          little: [sizes(little.value), little.millis >= 290],
          enough: [sizes(enough.value), enough.millis < 5000],
          free: [sizes(free.value), free.millis < 5000]
        }
      })
  },
  {
    api: "Fetch",
    behaviour: "is woken by what is appended, as soon as it is enough",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.connect()
        const waiting = yield* Effect.forkChild(timed(fetch(client, common, [{ topic }], { wait: 15_000, min: 150 })), {
          startImmediately: true
        })
        yield* produce(ask, topic, batch(["a"]))
        yield* produce(ask, topic, batch(["b"]))
        yield* produce(ask, topic, batch(["c"]))
        const { millis, value } = yield* Fiber.join(waiting)
        const got = only(value)!
        return { early: millis < 10_000, enough: got.records!.length >= 150, errorCode: got.errorCode }
      })
  },
  {
    api: "Fetch",
    behaviour: "is woken by an error: its leader moves",
    ask: (ask) =>
      Effect.gen(function* () {
        const moved = yield* ask.topic("", { replicas: [[1, 2]] })
        const client = yield* ask.connect()
        // before v11 nobody reads from a follower
        const waiting = yield* Effect.forkChild(
          timed(fetch(client, 10, [{ topic: moved }], { wait: 15_000, min: 1 })),
          {
            startImmediately: true
          }
        )
        yield* ask.moveLeader(moved.name, 0, 2)
        const { millis, value } = yield* Fiber.join(waiting)
        return { early: millis < 10_000, codes: sizes(value).map((each) => each.errorCode) }
      })
  },
  {
    api: "Fetch",
    behaviour: "the first batch comes whole however large, from v3 on; before it is cut",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        yield* produce(ask, topic, batch(["x".repeat(500)]))
        yield* produce(ask, topic, batch(["y".repeat(500)]))
        const client = yield* ask.broker()
        return yield* ask.atEach(
          Fetch,
          (version) =>
            Effect.gen(function* () {
              return {
                partition: recordsOf(yield* fetch(client, version, [{ topic, max: 100 }])),
                request: version >= 3 ? recordsOf(yield* fetch(client, version, [{ topic }], { max: 100 })) : "none",
                zero: recordsOf(yield* fetch(client, version, [{ topic, max: 0 }]))
              }
            }),
          readable
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "is cut at the partition's limit behind the first batch",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        for (const letter of ["a", "b", "c"]) yield* produce(ask, topic, batch([letter.repeat(100)]))
        const client = yield* ask.broker()
        return yield* ask.atEach(
          Fetch,
          (version) => Effect.map(fetch(client, version, [{ topic, max: 250 }]), recordsOf),
          (version) => readable(version) && version >= 4
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "the limit of the request is shared by the partitions, in their order",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1], [1], [1]] })
        for (const index of [0, 1, 2]) yield* produce(ask, topic, batch(["x".repeat(200)]), { index })
        const client = yield* ask.broker()
        const ordered = (order: ReadonlyArray<number>, max: number) =>
          Effect.map(
            client.send(Fetch, common, {
              ...fetchRequest(common, [], { max }),
              topics: [
                {
                  topic: topic.name,
                  partitions: order.map((partition) => ({
                    partition,
                    fetchOffset: 0,
                    partitionMaxBytes: 1_000_000,
                    lastFetchedEpoch: -1
                  }))
                }
              ]
            }),
            sizes
          )
        return [yield* ordered([0, 1, 2], 100), yield* ordered([2, 0, 1], 300), yield* ordered([1, 2, 0], 600)]
      })
  },
  {
    api: "Fetch",
    behaviour: "of committed data stops at an open transaction",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        yield* produce(ask, topic, batch(["a"]))
        yield* ask.transaction(topic.name, ["open"], "open")
        yield* produce(ask, topic, batch(["b"]))
        return yield* ask.atEach(
          Fetch,
          (version) =>
            Effect.gen(function* () {
              return {
                committed: only(yield* fetch(client, version, [{ topic }], { committed: true })),
                uncommitted: only(yield* fetch(client, version, [{ topic }])),
                behind: only(yield* fetch(client, version, [{ topic, offset: 2 }], { committed: true }))
              }
            }),
          (version) => readable(version) && version >= 4
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "of committed data names the transactions that were aborted",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        yield* ask.transaction(topic.name, ["no", "no"], "abort")
        yield* ask.transaction(topic.name, ["yes"], "commit")
        yield* ask.transaction(topic.name, ["no"], "abort")
        const at = (offset: number, committed: boolean) =>
          Effect.map(fetch(client, common, [{ topic, offset }], { committed }), only)
        return {
          all: yield* at(0, true),
          middle: yield* at(3, true),
          end: yield* at(7, true),
          uncommitted: (yield* at(0, false))?.abortedTransactions
        }
      })
  },
  {
    api: "Fetch",
    behaviour: "control batches are left out of old formats",
    only: "2.8.2",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        yield* ask.transaction(topic.name, ["yes"], "commit")
        yield* produce(ask, topic, batch(["b"]))
        return yield* ask.atEach(
          Fetch,
          (version) => Effect.map(fetch(client, version, [{ topic }]), recordsOf),
          (version) => version <= 3
        )
      })
  },
  {
    api: "Fetch",
    behaviour: "of the same partition with other topics beside it keeps their order",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* ask.topic("-a")
        const b = yield* ask.topic("-b")
        const client = yield* ask.broker()
        yield* produce(ask, a, batch(["a"]))
        yield* produce(ask, b, batch(["b"], { timestamp: time + 5 }))
        const { responses } = yield* fetch(client, common, [{ topic: b }, { topic: a }])
        return responses.map((each) => [each.topic, each.partitions.map((partition) => partition.records?.length)])
      })
  }
]
