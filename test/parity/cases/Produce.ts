/** Produce: formats by version, sequences, limits, acknowledgements, and who may be asked. */
import { Effect } from "effect"
import * as Compression from "../../../src/Compression.ts"
import * as Fetch from "../../../src/protocol/messages/Fetch.ts"
import * as ListOffsets from "../../../src/protocol/messages/ListOffsets.ts"
import * as Produce from "../../../src/protocol/messages/Produce.ts"
import * as RecordBatch from "../../../src/protocol/records/RecordBatch.ts"
import type { Client } from "../Client.ts"
import type { Ask, Case, Topic } from "../Lab.ts"
import { batch, bytes, damaged, fitting, join, messages, time } from "../Records.ts"

/** A request for one partition. */
export const request = (
  version: number,
  topic: Topic,
  records: Uint8Array | null,
  options: { readonly acks?: number; readonly index?: number } = {}
) => ({
  acks: options.acks ?? 1,
  timeoutMs: 10_000,
  topicData: [
    {
      ...(version >= 13 ? { topicId: topic.id } : { name: topic.name }),
      partitionData: [{ index: options.index ?? 0, records }]
    }
  ]
})

const send = (
  client: Client,
  version: number,
  topic: Topic,
  records: Uint8Array | null,
  options?: { readonly acks?: number; readonly index?: number }
) => client.ask(Produce, version, request(version, topic, records, options))

/** What is told of the one partition. */
const only = (answer: (typeof Produce.Response.schema)["Type"] | "closed") =>
  answer === "closed" ? answer : answer.responses[0]!.partitionResponses[0]!
const codeOf = (answer: (typeof Produce.Response.schema)["Type"] | "closed") => {
  const partition = only(answer)
  return partition === "closed" ? partition : [partition.errorCode, partition.baseOffset]
}

/** What lies in the log, as the newest common Fetch reads it. */
export const log = (ask: Ask, topic: Topic, from = 0) =>
  Effect.gen(function* () {
    const client = yield* ask.broker()
    const { responses } = yield* client.send(Fetch, 11, {
      maxWaitMs: 0,
      minBytes: 0,
      topics: [{ topic: topic.name, partitions: [{ partition: 0, fetchOffset: from, partitionMaxBytes: 10_000_000 }] }]
    })
    return { records: responses[0]!.partitions[0]!.records }
  })

const endOf = (ask: Ask, topic: Topic) =>
  Effect.gen(function* () {
    const client = yield* ask.broker()
    const { topics } = yield* client.send(ListOffsets, 4, {
      replicaId: -1,
      topics: [{ name: topic.name, partitions: [{ partitionIndex: 0, timestamp: -1 }] }]
    })
    return topics[0]!.partitions[0]!.offset
  })

const newest = (ask: Ask) => ask.newest(Produce)
/** The version that both have in common, for what does not depend on it. */
const common = 9

const codec = (name: "gzip" | "snappy" | "lz4" | "zstd") => Compression.builtIn.get(Compression.ids[name])!

/** A batch with some bytes put in the place of others, and its checksum made right again. */
const altered = (given: Uint8Array, put: (view: DataView) => void): Uint8Array => {
  const out = Uint8Array.from(given)
  put(new DataView(out.buffer))
  RecordBatch.sign(out)
  return out
}

/** Batches of one idempotent producer, one after the other, and what each was answered. */
const sequence = (
  ask: Ask,
  batches: ReadonlyArray<{
    readonly epoch?: number
    readonly sequence: number
    readonly count?: number
    readonly value?: string
  }>,
  version = common
) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic("")
    const client = yield* ask.broker()
    const answers: Array<unknown> = []
    for (const { count = 1, epoch = 0, sequence, value = "v" } of batches) {
      const records = batch(
        Array.from({ length: count }, (_, i) => `${value}${i}`),
        { producerId: 4000, producerEpoch: epoch, baseSequence: sequence }
      )
      answers.push(only(yield* send(client, version, topic, records)))
    }
    return { answers, end: yield* endOf(ask, topic) }
  })

export const cases: ReadonlyArray<Case> = [
  {
    api: "Produce",
    behaviour: "appends, at each version and with the format that belongs to it",
    ask: (ask) =>
      ask.atEach(Produce, (version) =>
        Effect.gen(function* () {
          const topic = yield* ask.topic(`-v${version}`)
          const client = yield* ask.connect()
          const first = yield* send(client, version, topic, fitting(version, ["a", "b"], { key: "k" }))
          if (first === "closed") return first
          const second = yield* send(client, version, topic, fitting(version, ["c"]), { acks: -1 })
          return { first, second, log: yield* log(ask, topic) }
        })
      )
  },
  {
    api: "Produce",
    behaviour: "of another format than the version's",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const answers: { [what: string]: unknown } = {}
        for (const version of ask.versions(Produce).filter((version) => version <= 4))
          for (const magic of [0, 1, 2] as const) {
            const client = yield* ask.connect()
            const records = magic === 2 ? batch(["x"]) : messages(["x"], magic)
            answers[`magic ${magic} in v${version}`] = codeOf(yield* send(client, version, topic, records))
          }
        return { answers, log: yield* log(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "of old formats in the newest version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const answers: Array<unknown> = []
        for (const magic of [0, 1] as const) {
          const client = yield* ask.connect()
          answers.push(only(yield* send(client, newest(ask), topic, messages(["x"], magic))))
        }
        return answers
      })
  },
  {
    api: "Produce",
    behaviour: "takes one batch a partition from v3 on",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const answers: { [what: string]: unknown } = {}
        for (const version of [3, newest(ask)]) {
          const client = yield* ask.connect()
          answers[`v${version} two`] = only(yield* send(client, version, topic, join(batch(["a"]), batch(["b"]))))
        }
        return { answers, end: yield* endOf(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "takes several messages before v3, of different formats too, or one set that is compressed",
    only: "2.8.2",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.connect()
        const gzip = (values: ReadonlyArray<string>) => messages(values, 1, { compression: codec("gzip") })
        const answers: Array<unknown> = []
        for (const sets of [
          messages(["a", "b"], 1),
          join(messages(["c"], 1), messages(["d"], 0)),
          gzip(["e", "f"]),
          join(gzip(["g"]), gzip(["h"])),
          join(messages(["i"], 1), gzip(["j"])),
          messages(["k", "l"], 0, { compression: codec("snappy") }),
          messages(["m"], 1, { compression: codec("lz4") })
        ])
          answers.push(codeOf(yield* send(client, 2, topic, sets)))
        return { answers, log: yield* log(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "of no records",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const answers: { [what: string]: unknown } = {}
        for (const version of [2, 3, 8, newest(ask)].filter((version) => ask.release === "2.8.2" || version >= 3)) {
          const client = yield* ask.connect()
          answers[`v${version}`] = only(yield* send(client, version, topic, new Uint8Array(0)))
        }
        return { answers, end: yield* endOf(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "of damaged records",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const good = batch(["abc"])
        const answers: { [what: string]: unknown } = {}
        const damages: ReadonlyArray<readonly [what: string, version: number, records: Uint8Array]> = [
          ["a record's byte", common, damaged(good, good.length - 2)],
          ["the checksum", common, damaged(good, 17)],
          ["the checksum of format 0", 1, damaged(messages(["abc"], 0), 12)],
          ["the checksum of format 1", 2, damaged(messages(["abc"], 1), 12)],
          ["the end is missing", common, good.subarray(0, good.length - 3)],
          ["the end is missing of format 1", 2, messages(["abc"], 1).subarray(0, 20)],
          ["the magic", common, damaged(good, 16)],
          ["a size too small", common, altered(good, (view) => view.setInt32(8, 10))],
          ["a size below zero", common, altered(good, (view) => view.setInt32(8, -5))]
        ]
        for (const [what, version, records] of damages) {
          if (ask.release !== "2.8.2" && version < 3) continue
          const client = yield* ask.connect()
          answers[what] = only(yield* send(client, version, topic, records))
        }
        return { answers, end: yield* endOf(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "of batches whose header does not hold",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const good = batch(["a", "b"])
        const answers: { [what: string]: unknown } = {}
        const batches: ReadonlyArray<readonly [what: string, records: Uint8Array]> = [
          [
            "a base offset of its own",
            RecordBatch.encode([{ key: null, value: bytes("a"), headers: [], timestamp: time }], { baseOffset: 77 })
          ],
          ["a count below the records", altered(good, (view) => view.setInt32(57, 1))],
          ["a count beyond the records", altered(good, (view) => view.setInt32(57, 3))],
          ["a last offset below the count", altered(good, (view) => view.setInt32(23, 0))],
          ["a last offset beyond the count", altered(good, (view) => view.setInt32(23, 5))],
          ["the control bit", batch(["a"], { control: true, producerId: 4001, producerEpoch: 0, baseSequence: 0 })],
          ["codec 5", altered(good, (view) => view.setInt16(21, 5))],
          ["codec 7", altered(good, (view) => view.setInt16(21, 7))],
          ["gzip that is none", altered(good, (view) => view.setInt16(21, 1))],
          ["log append time", altered(good, (view) => view.setInt16(21, 8))],
          ["a leader epoch of its own", batch(["a"], { partitionLeaderEpoch: 9 })],
          ["a producer id without epoch", batch(["a"], { producerId: 4002, producerEpoch: -1, baseSequence: 0 })],
          ["a producer id without sequence", batch(["a"], { producerId: 4003, producerEpoch: 0, baseSequence: -1 })]
        ]
        for (const [what, records] of batches) {
          const client = yield* ask.connect()
          answers[what] = only(yield* send(client, common, topic, records))
        }
        return { answers, log: yield* log(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "to a topic or partition that is not there, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        return yield* ask.atEach(Produce, (version) =>
          Effect.gen(function* () {
            const client = yield* ask.connect()
            const absent = { name: `${ask.id}-absent`, id: "AAAAAAAAAAAAAAAAAAAAAQ" }
            return {
              topic: yield* send(client, version, absent, fitting(version, ["x"])),
              partition: client.isClosed()
                ? "closed"
                : only(yield* send(client, version, topic, fitting(version, ["x"]), { index: 7 }))
            }
          })
        )
      })
  },
  {
    api: "Produce",
    behaviour: "to a broker that does not lead, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const followed = yield* ask.topic("-followed", { replicas: [[1, 2]] })
        return yield* ask.atEach(Produce, (version) =>
          Effect.gen(function* () {
            const client = yield* ask.connect({ broker: 2 })
            const elsewhere = yield* send(client, version, topic, fitting(version, ["x"]))
            if (elsewhere === "closed") return elsewhere
            return { elsewhere, follower: only(yield* send(client, version, followed, fitting(version, ["x"]))) }
          })
        )
      })
  },
  {
    api: "Produce",
    behaviour: "to several partitions, of which some fail",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1], [2], [1]] })
        const other = yield* ask.topic("-other")
        const client = yield* ask.broker()
        const { responses } = yield* client.send(Produce, common, {
          acks: -1,
          timeoutMs: 10_000,
          topicData: [
            {
              name: topic.name,
              partitionData: [
                { index: 2, records: batch(["a"]) },
                { index: 1, records: batch(["b"]) },
                { index: 0, records: damaged(batch(["c"]), 65) },
                { index: 9, records: batch(["d"]) }
              ]
            },
            { name: other.name, partitionData: [{ index: 0, records: batch(["e", "f"]) }] }
          ]
        })
        return responses
          .flatMap((each) => each.partitionResponses.map((partition) => ({ topic: each.name, ...partition })))
          .sort((a, b) => (a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.index - b.index))
      })
  },
  {
    api: "Produce",
    behaviour: "acks 0 has no answer, 1 and -1 have, others are refused",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1, 2]] })
        const client = yield* ask.connect()
        yield* client.tell(Produce, common, request(common, topic, batch(["a"]), { acks: 0 }))
        const answers: { [acks: string]: unknown } = {}
        for (const acks of [1, -1, 2, -2]) {
          const own = acks === 1 ? client : yield* ask.connect()
          answers[`acks ${acks}`] = only(yield* send(own, common, topic, batch(["b"]), { acks }))
        }
        return { answers, log: yield* log(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "acks 0 with an error closes the connection",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        for (const [name, records] of [
          [`${ask.id}-absent`, batch(["a"])],
          [topic.name, damaged(batch(["a"]), 65)]
        ] as const) {
          const client = yield* ask.connect()
          yield* client.tell(Produce, common, request(common, { ...topic, name }, records, { acks: 0 }))
          yield* client.closed
        }
        return "closed"
      })
  },
  {
    api: "Produce",
    behaviour: "acks all with too few replicas in sync",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { config: { "min.insync.replicas": "2" } })
        const client = yield* ask.broker()
        const answers: { [acks: string]: unknown } = {}
        for (const acks of [-1, 1])
          answers[`acks ${acks}`] = only(yield* send(client, common, topic, batch(["a"]), { acks }))
        return answers
      })
  },
  {
    api: "Produce",
    behaviour: "beyond max.message.bytes",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { config: { "max.message.bytes": "200" } })
        const client = yield* ask.broker()
        const fits = batch(["x".repeat(100)])
        const answers: { [what: string]: unknown } = {
          fits: only(yield* send(client, common, topic, fits)),
          exactly: only(yield* send(client, common, topic, batch(["x".repeat(200 - batch([""]).length - 1)]))),
          "one record": only(yield* send(client, common, topic, batch(["x".repeat(300)]))),
          "many records": only(
            yield* send(client, common, topic, batch(Array.from({ length: 40 }, () => "0123456789")))
          ),
          compressed: only(
            yield* send(client, common, topic, batch(["x".repeat(1000)], { compression: codec("gzip") }))
          )
        }
        if (ask.release === "2.8.2") {
          const old = yield* ask.connect()
          answers["messages of format 1"] = only(yield* send(old, 2, topic, messages(["a", "x".repeat(300)], 1)))
          answers["more messages than fit"] = only(
            yield* send(
              old,
              2,
              topic,
              messages(
                Array.from({ length: 20 }, () => "0123456789"),
                1
              )
            )
          )
        }
        return { answers, end: yield* endOf(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "sequences in order",
    ask: (ask) => sequence(ask, [{ sequence: 0, count: 2 }, { sequence: 2 }, { sequence: 3, count: 3 }], newest2(ask))
  },
  {
    api: "Produce",
    behaviour: "a batch that comes twice is there once, while it is among the last five",
    ask: (ask) =>
      sequence(ask, [
        { sequence: 0, count: 2 },
        { sequence: 0, count: 2 },
        { sequence: 2 },
        { sequence: 0, count: 2 },
        { sequence: 3 },
        { sequence: 4 },
        { sequence: 5 },
        { sequence: 0, count: 2 },
        { sequence: 6 },
        { sequence: 0, count: 2 },
        { sequence: 2 },
        { sequence: 7 }
      ])
  },
  {
    api: "Produce",
    behaviour: "a sequence with a gap, or that overlaps, is out of order",
    ask: (ask) =>
      sequence(ask, [
        { sequence: 0, count: 3 },
        { sequence: 4 },
        { sequence: 3 },
        { sequence: 2, count: 2 },
        { sequence: 0, count: 2 },
        { sequence: 4 }
      ])
  },
  {
    api: "Produce",
    behaviour: "the first sequence of a producer that is not known may be any",
    ask: (ask) => sequence(ask, [{ sequence: 5 }, { sequence: 6 }, { sequence: 5 }])
  },
  {
    api: "Produce",
    behaviour: "a producer's epochs: a newer one starts at 0, an older one is fenced",
    ask: (ask) =>
      sequence(ask, [
        { epoch: 1, sequence: 0 },
        { epoch: 0, sequence: 1 },
        { epoch: 2, sequence: 1 },
        { epoch: 2, sequence: 0 },
        { epoch: 2, sequence: 0 },
        { epoch: 1, sequence: 0 },
        { epoch: 2, sequence: 1 }
      ])
  },
  {
    api: "Produce",
    behaviour: "sequences wrap at 2^31 - 1",
    ask: (ask) =>
      sequence(ask, [
        { sequence: 2147483645, count: 2 },
        { sequence: 2147483647, count: 3 },
        { sequence: 2147483647, count: 3 },
        { sequence: 2 },
        { sequence: 0 }
      ])
  },
  {
    api: "Produce",
    behaviour: "timestamps of the producer, or none",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        const answers: Array<unknown> = []
        for (const timestamp of [time, 1, -1])
          answers.push(only(yield* send(client, common, topic, batch(["a", "b"], { timestamp }))))
        return { answers, log: yield* log(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "timestamps of the broker",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { config: { "message.timestamp.type": "LogAppendTime" } })
        const client = yield* ask.connect()
        const answers: Array<unknown> = [
          only(yield* send(client, newest2(ask), topic, batch(["a", "b"]))),
          only(yield* send(client, common, topic, batch(["c", "d"], { compression: codec("lz4") }))),
          only(
            yield* send(client, common, topic, batch(["e"], { producerId: 4005, producerEpoch: 0, baseSequence: 0 }))
          ),
          only(
            yield* send(client, common, topic, batch(["e"], { producerId: 4005, producerEpoch: 0, baseSequence: 0 }))
          )
        ]
        if (ask.release === "2.8.2") answers.push(only(yield* send(client, 2, topic, messages(["f", "g"], 1))))
        return { answers, log: yield* log(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "timestamps far in the future",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        const answers: Array<unknown> = []
        for (const version of [7, 8, common])
          answers.push(only(yield* send(client, version, topic, batch(["a", "b"], { timestamp: 9_000_000_000_000 }))))
        return { answers, end: yield* endOf(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "compressed by each codec",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        const answers: Array<unknown> = []
        for (const name of ["gzip", "snappy", "lz4", "zstd"] as const) {
          const records = batch([`${name} 1`, `${name} 2`], { compression: codec(name), key: "k" })
          answers.push(only(yield* send(client, common, topic, records)))
        }
        return { answers, log: yield* log(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "zstd before v7",
    ask: (ask) =>
      ask.atEach(
        Produce,
        (version) =>
          Effect.gen(function* () {
            const topic = yield* ask.topic(`-v${version}`)
            const client = yield* ask.connect()
            return only(yield* send(client, version, topic, batch(["a"], { compression: codec("zstd") })))
          }),
        (version) => version >= 3 && version <= 8
      )
  },
  {
    api: "Produce",
    behaviour: "to a topic that is compacted every record needs a key, at each version",
    ask: (ask) =>
      ask.atEach(Produce, (version) =>
        Effect.gen(function* () {
          const topic = yield* ask.topic(`-v${version}`, { config: { "cleanup.policy": "compact" } })
          const client = yield* ask.connect()
          const without = yield* send(client, version, topic, fitting(version, ["a", "b"]))
          if (without === "closed") return without
          return { without, with: only(yield* send(client, version, topic, fitting(version, ["a"], { key: "k" }))) }
        })
      )
  },
  {
    api: "Produce",
    behaviour: "a batch of which only some records have a key, to a compacted topic",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { config: { "cleanup.policy": "compact" } })
        const client = yield* ask.broker()
        const record = (key: string | null) => ({
          key: key === null ? null : bytes(key),
          value: bytes("v"),
          headers: [],
          timestamp: time
        })
        const records = RecordBatch.encode([record("a"), record(null), record("b"), record(null)])
        return { answer: only(yield* send(client, common, topic, records)), end: yield* endOf(ask, topic) }
      })
  },
  {
    api: "Produce",
    behaviour: "by topic id in v13",
    only: "4.4.0",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.connect()
        const zero = { ...topic, id: "AAAAAAAAAAAAAAAAAAAAAA" }
        return {
          known: yield* send(client, 13, topic, batch(["a"])),
          partition: only(yield* send(client, 13, topic, batch(["a"]), { index: 3 })),
          zero: yield* send(client, 13, zero, batch(["a"]))
        }
      })
  },
  {
    api: "Produce",
    behaviour: "headers are kept",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        const headers = [["a", bytes("1")] as const, ["a", null] as const, ["", bytes("")] as const]
        return {
          answer: only(yield* send(client, common, topic, batch(["x"], { headers }))),
          log: yield* log(ask, topic)
        }
      })
  }
]

/** The newest version that names topics. */
function newest2(ask: Ask): number {
  return Math.min(ask.newest(Produce), 12)
}
