/** Transactions in logs: what is written, what readers see, what is told of producers, and markers by hand. */
import { Effect } from "effect"
import * as DescribeProducers from "../../../src/protocol/messages/DescribeProducers.ts"
import * as Fetch from "../../../src/protocol/messages/Fetch.ts"
import * as ListOffsets from "../../../src/protocol/messages/ListOffsets.ts"
import * as Produce from "../../../src/protocol/messages/Produce.ts"
import * as WriteTxnMarkers from "../../../src/protocol/messages/WriteTxnMarkers.ts"
import { ages } from "../../TransactionalProducer.ts"
import type { Client } from "../Client.ts"
import type { Ask, Case } from "../Lab.ts"
import { until } from "../Lab.ts"
import { batch } from "../Records.ts"
import { nobody, producer, settled } from "../Transactor.ts"

const endOf = (client: Client, name: string, isolationLevel: number) =>
  Effect.map(
    client.send(ListOffsets, 4, {
      replicaId: -1,
      isolationLevel,
      topics: [{ name, partitions: [{ partitionIndex: 0, timestamp: -1 }] }]
    }),
    ({ topics }) => topics[0]!.partitions[0]!.offset
  )

const awaitEnd = (client: Client, name: string, end: number) =>
  until(`${name} ends at ${end}`, endOf(client, name, 0), (offset) => offset >= end)

const read = (client: Client, topic: string, fetchOffset = 0) =>
  Effect.map(
    client.send(Fetch, 11, {
      maxWaitMs: 0,
      minBytes: 0,
      maxBytes: 1_000_000,
      isolationLevel: 1,
      sessionEpoch: -1,
      topics: [{ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }] }],
      forgottenTopicsData: [],
      rackId: ""
    }),
    ({ responses }) => responses[0]!.partitions[0]!
  )

const newest = (ask: Ask) => (ask.release === "2.8.2" ? ages.old : ages.v1)

export const cases: ReadonlyArray<Case> = [
  {
    api: "Produce",
    behaviour: "in a transaction: without an id, of a partition that was not added, at each version",
    ask: (ask) =>
      ask.atEach(
        Produce,
        (version) =>
          Effect.gen(function* () {
            const topic = yield* ask.topic(`-v${version}`)
            const p = yield* producer(ask, `${ask.id}-v${version}`, topic.name, { ...ages.old, produce: version })
            const client = yield* ask.broker(1)
            const send = (
              transactionalId: string | null,
              options: { readonly producerId?: number; readonly epoch?: number }
            ) =>
              Effect.map(
                client.send(Produce, version, {
                  transactionalId,
                  acks: -1,
                  timeoutMs: 10_000,
                  topicData: [
                    {
                      ...(version >= 13 ? { topicId: topic.id } : { name: topic.name }),
                      partitionData: [
                        {
                          index: 0,
                          records: batch(["a"], {
                            producerId: options.producerId ?? p.producerId,
                            producerEpoch: options.epoch ?? p.epoch,
                            baseSequence: 0,
                            transactional: true
                          })
                        }
                      ]
                    }
                  ]
                }),
                ({ responses }) => {
                  const { baseOffset, errorCode, logStartOffset } = responses[0]!.partitionResponses[0]!
                  return [errorCode, baseOffset, logStartOffset]
                }
              )
            return {
              "no id": yield* send(null, {}),
              "an id that nobody has": yield* send(nobody(ask), {}),
              "another producer": yield* send(p.id, { producerId: p.producerId + 1_000_000 }),
              "an epoch too high": yield* send(p.id, { epoch: 5 }),
              "its own": yield* send(p.id, {})
            }
          }),
        // what 2.8.2 takes without asking is a transaction that never ends: another answer each time
        (version) => version >= 3
      )
  },
  {
    api: "Produce",
    behaviour: "outside of a transaction while the producer has one open, and in the next after it",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic()
        const p = yield* producer(ask, ask.id, topic.name, newest(ask))
        yield* p.add(0)
        const written = yield* p.produce(0, ["a", "b"])
        const plain = yield* p.produce(0, ["c"], { plain: true })
        const ended = yield* p.end(true)
        const added = yield* settled(p.add(0), ([code]) => code!)
        const next = yield* p.produce(0, ["d"])
        return { written, plain, ended, added, next, read: yield* read(yield* ask.broker(), topic.name) }
      })
  },
  {
    api: "Produce",
    behaviour: "of transaction version 2: a partition is in by the write, and each transaction has its epoch",
    only: "4.4.0",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic()
        const client = yield* ask.broker()
        const p = yield* producer(ask, ask.id, topic.name, ages.v2)
        const out: Array<unknown> = []
        let end = 0
        for (const commits of [true, false, true]) {
          const { epoch } = p
          const produced = yield* settled(p.produce(0, ["a", "b"]), (code) => code)
          const more = yield* p.produce(0, ["c"])
          const ended = yield* p.end(commits)
          end += 4
          yield* awaitEnd(client, topic.name, end)
          out.push({ epoch, produced, more, ended, after: p.epoch })
        }
        const former = p.epoch
        p.epoch = former - 1
        out.push({ "of the epoch before": yield* p.produce(0, ["zombie"]) })
        return { out, read: yield* read(client, topic.name) }
      })
  },
  {
    api: "Fetch",
    behaviour: "of committed data: transactions of two producers that overlap",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic()
        const client = yield* ask.broker()
        const p = yield* producer(ask, `${ask.id}-p`, topic.name, newest(ask))
        const q = yield* producer(ask, `${ask.id}-q`, topic.name, newest(ask))
        yield* p.add(0)
        yield* q.add(0)
        yield* p.produce(0, ["p1"])
        yield* q.produce(0, ["q1", "q2"])
        yield* p.produce(0, ["p2"])
        const open = yield* read(client, topic.name)
        yield* q.end(false)
        yield* awaitEnd(client, topic.name, 5)
        const behind = yield* read(client, topic.name)
        const ends = [yield* endOf(client, topic.name, 0), yield* endOf(client, topic.name, 1)]
        yield* p.end(true)
        yield* awaitEnd(client, topic.name, 6)
        yield* settled(p.add(0), ([code]) => code!)
        yield* p.produce(0, ["p3"])
        yield* p.end(false)
        yield* awaitEnd(client, topic.name, 8)
        return {
          open,
          behind,
          ends,
          ended: yield* read(client, topic.name),
          "from the middle": yield* read(client, topic.name, 5),
          "from the last": yield* read(client, topic.name, 7)
        }
      })
  },
  {
    api: "DescribeProducers",
    behaviour: "of a transaction that is open, and that has ended; of a partition that is not there, or not led",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1], [2]] })
        const client = yield* ask.broker(1)
        const p = yield* producer(ask, ask.id, topic.name, newest(ask))
        const describe = (broker: Client, name: string, ...partitionIndexes: ReadonlyArray<number>) =>
          Effect.map(
            broker.send(DescribeProducers, 0, { topics: [{ name, partitionIndexes: [...partitionIndexes] }] }),
            ({ topics }) => topics[0]!.partitions
          )
        const nothing = yield* describe(client, topic.name, 0)
        yield* p.add(0)
        yield* p.produce(0, ["a", "b"])
        const open = yield* describe(client, topic.name, 0)
        yield* p.end(true)
        yield* awaitEnd(client, topic.name, 3)
        return {
          nothing,
          open,
          ended: yield* describe(client, topic.name, 0).pipe(withoutCoordinator),
          absent: yield* describe(client, topic.name, 7),
          unknown: yield* describe(client, "absent", 0),
          "not led": yield* describe(client, topic.name, 1)
        }
      })
  },
  {
    api: "WriteTxnMarkers",
    behaviour: "by an admin, at each version: ends what is open; refused for older epochs",
    ask: (ask) =>
      ask.atEach(WriteTxnMarkers, (version) =>
        Effect.gen(function* () {
          const topic = yield* ask.topic(`-v${version}`, { replicas: [[1], [2]] })
          const client = yield* ask.broker(1)
          const p = yield* producer(ask, `${ask.id}-v${version}`, topic.name, newest(ask))
          yield* settled(p.init(), (code) => code)
          yield* p.add(0)
          yield* p.produce(0, ["a"])
          const write = (
            name: string,
            partition: number,
            options: { readonly epoch?: number; readonly coordinator?: number; readonly producerId?: number } = {}
          ) =>
            Effect.map(
              client.send(WriteTxnMarkers, version, {
                markers: [
                  {
                    producerId: options.producerId ?? p.producerId,
                    producerEpoch: options.epoch ?? p.epoch,
                    transactionResult: false,
                    topics: [{ name, partitionIndexes: [partition] }],
                    coordinatorEpoch: options.coordinator ?? 5
                  }
                ]
              }),
              ({ markers }) => markers[0]!.topics[0]!.partitions.map((each) => [each.partitionIndex, each.errorCode])
            )
          return {
            older: yield* write(topic.name, 0, { epoch: p.epoch - 1 }),
            written: yield* write(topic.name, 0),
            again: yield* write(topic.name, 0),
            "of an older coordinator": yield* write(topic.name, 0, { coordinator: 4 }),
            "of nobody": yield* write(topic.name, 0, { producerId: 77_000_000 }),
            "not led": yield* write(topic.name, 1),
            absent: yield* write("absent", 0),
            read: yield* read(client, topic.name),
            // the coordinator does not know of it
            "the producer goes on": yield* p.produce(0, ["b"]),
            "and commits": yield* p.end(true)
          }
        })
      )
  }
]

/** The epoch of a coordinator is how often it has moved: no matter of this case. */
const withoutCoordinator = <E, R>(
  effect: Effect.Effect<
    ReadonlyArray<{ readonly activeProducers: ReadonlyArray<{ readonly coordinatorEpoch: number }> }>,
    E,
    R
  >
) =>
  Effect.map(effect, (partitions) =>
    partitions.map((partition) => ({
      ...partition,
      activeProducers: partition.activeProducers.map(({ coordinatorEpoch, ...rest }) => ({
        ...rest,
        coordinator: coordinatorEpoch >= 0
      }))
    }))
  )
