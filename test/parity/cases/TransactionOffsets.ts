/** Offsets that groups commit in transactions: who may, and who hears of it when. */
import { Effect } from "effect"
import * as AddOffsetsToTxn from "../../../src/protocol/messages/AddOffsetsToTxn.ts"
import * as DeleteGroups from "../../../src/protocol/messages/DeleteGroups.ts"
import * as OffsetCommit from "../../../src/protocol/messages/OffsetCommit.ts"
import * as OffsetDelete from "../../../src/protocol/messages/OffsetDelete.ts"
import * as OffsetFetch from "../../../src/protocol/messages/OffsetFetch.ts"
import * as TxnOffsetCommit from "../../../src/protocol/messages/TxnOffsetCommit.ts"
import { ages } from "../../TransactionalProducer.ts"
import type { Client } from "../Client.ts"
import type { Ask, Case } from "../Lab.ts"
import { until } from "../Lab.ts"
import * as Members from "../Members.ts"
import { nobody, producer, settled } from "../Transactor.ts"

const offsetsOf = (client: Client, groupId: string, topic: string | null, requireStable: boolean) =>
  Effect.map(
    client.send(OffsetFetch, 7, {
      groupId,
      topics: topic === null ? null : [{ name: topic, partitionIndexes: [0] }],
      requireStable
    }),
    ({ errorCode, topics }) => [
      errorCode,
      ...topics.flatMap(({ partitions }) =>
        partitions.map((each) => [each.errorCode, each.committedOffset, each.committedLeaderEpoch, each.metadata])
      )
    ]
  )

/** Waits until no commit of the group is pending. */
const awaitStable = (client: Client, groupId: string, topic: string) =>
  until(
    "nothing is pending",
    offsetsOf(client, groupId, topic, true),
    (answer) => (answer[1] as Array<number>)[0] === 0
  )

const groupsOf = (ask: Ask, id: string) => Effect.flatMap(ask.coordinatorOf(id, 0), (broker) => ask.broker(broker))

export const cases: ReadonlyArray<Case> = [
  {
    api: "AddOffsetsToTxn",
    behaviour: "of the producer of the id alone, at each version",
    ask: (ask) =>
      ask.atEach(AddOffsetsToTxn, (version) =>
        Effect.gen(function* () {
          const p = yield* producer(ask, `${ask.id}-v${version}`, "absent", ages.old)
          const send = (
            options: {
              readonly id?: string
              readonly producerId?: number
              readonly epoch?: number
              readonly group?: string
            } = {}
          ) =>
            Effect.map(
              p.brokers.coordinator.send(AddOffsetsToTxn, version, {
                transactionalId: options.id ?? p.id,
                producerId: options.producerId ?? p.producerId,
                producerEpoch: options.epoch ?? p.epoch,
                groupId: options.group ?? p.id
              }),
              ({ errorCode }) => errorCode
            )
          const coordinator = yield* ask.coordinatorOf(p.id, 1)
          const elsewhere = yield* (yield* ask.broker(3 - coordinator)).send(AddOffsetsToTxn, version, {
            transactionalId: p.id,
            producerId: p.producerId,
            producerEpoch: p.epoch,
            groupId: p.id
          })
          return {
            added: yield* send(),
            again: yield* send(),
            "no group": yield* send({ group: "" }),
            "another producer": yield* send({ producerId: p.producerId + 1_000_000 }),
            "another epoch": [yield* send({ epoch: p.epoch + 1 }), yield* send({ epoch: p.epoch - 1 })],
            nobody: yield* send({ id: nobody(ask) }),
            "no id": yield* send({ id: "" }),
            elsewhere: elsewhere.errorCode
          }
        })
      )
  },
  {
    api: "TxnOffsetCommit",
    behaviour: "is told when the transaction has ended, at each version",
    ask: (ask) =>
      ask.atEach(TxnOffsetCommit, (version) =>
        Effect.gen(function* () {
          const topic = yield* ask.topic(`-v${version}`)
          const id = `${ask.id}-v${version}`
          const p = yield* producer(ask, id, topic.name, ages.old)
          const client = yield* groupsOf(ask, id)
          const commit = (
            offset: number,
            options: { readonly metadata?: string; readonly partition?: number; readonly absent?: boolean } = {}
          ) =>
            Effect.map(
              client.send(TxnOffsetCommit, version, {
                transactionalId: id,
                groupId: id,
                producerId: p.producerId,
                producerEpoch: p.epoch,
                topics: [
                  {
                    ...(version >= 6
                      ? { topicId: options.absent === true ? "AAAAAAAAAAAAAAAAAAAAAQ" : topic.id }
                      : { name: options.absent === true ? "absent" : topic.name }),
                    partitions: [
                      {
                        partitionIndex: options.partition ?? 0,
                        committedOffset: offset,
                        committedMetadata: options.metadata ?? "note",
                        ...(version >= 2 ? { committedLeaderEpoch: 0 } : {})
                      }
                    ]
                  }
                ]
              }),
              ({ topics }) =>
                topics.map(({ partitions }) => partitions.map((each) => [each.partitionIndex, each.errorCode]))
            )
          const out: { [what: string]: unknown } = {}
          out["before it is added"] = yield* commit(1)
          if (version < 5) out["added"] = yield* p.addOffsets(id)
          out["committed"] = yield* commit(5)
          out["metadata too large"] = yield* commit(5, { metadata: "x".repeat(5000) })
          out["a partition that is not there"] = yield* commit(5, { partition: 7 })
          out["a topic that is not there"] = yield* commit(5, { absent: true })
          out["pending"] = [
            yield* offsetsOf(client, id, topic.name, false),
            yield* offsetsOf(client, id, topic.name, true),
            yield* offsetsOf(client, id, null, true)
          ]
          out["ended"] = yield* p.end(true)
          yield* awaitStable(client, id, topic.name)
          out["told"] = [yield* offsetsOf(client, id, topic.name, true), yield* offsetsOf(client, id, null, true)]
          yield* settled(p.addOffsets(id), (code) => code)
          yield* commit(9)
          out["pending again"] = [
            yield* offsetsOf(client, id, topic.name, false),
            yield* offsetsOf(client, id, topic.name, true),
            yield* offsetsOf(client, id, null, true)
          ]
          out["aborted"] = yield* p.end(false)
          yield* awaitStable(client, id, topic.name)
          out["as before"] = yield* offsetsOf(client, id, topic.name, true)
          return out
        })
      )
  },
  {
    api: "TxnOffsetCommit",
    behaviour: "of a member, of none, and of one that is not of this generation (KIP-447)",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic()
        const p = yield* producer(ask, ask.id, topic.name, ages.old)
        yield* p.addOffsets(ask.id)
        const commit = p.commitOffset
        const absent = {
          "of a generation": yield* commit(ask.id, 1, { generation: 0 }),
          "of a member": yield* commit(ask.id, 1, { memberId: "somebody" }),
          "of a member of a generation": yield* commit(ask.id, 1, { memberId: "somebody", generation: 0 }),
          "of an instance": yield* commit(ask.id, 1, { instanceId: "i" }),
          "of nobody": yield* commit(ask.id, 1)
        }
        const member = yield* Members.make(ask, ask.id)
        yield* member.join({ instanceId: "i" })
        const joined = {
          member: yield* commit(ask.id, 2, { memberId: member.id(), generation: member.generation(), instanceId: "i" }),
          "of nobody": yield* commit(ask.id, 2)
        }
        yield* member.sync({ instanceId: "i", assignments: [[member.id(), "a"]] })
        const generation = member.generation()
        const memberId = member.id()
        return {
          absent,
          joined,
          member: yield* commit(ask.id, 3, { memberId, generation }),
          instance: yield* commit(ask.id, 3, { memberId, generation, instanceId: "i" }),
          "an instance of another": yield* commit(ask.id, 3, { memberId: "somebody", generation, instanceId: "i" }),
          "an instance that is not there": yield* commit(ask.id, 3, { memberId, generation, instanceId: "j" }),
          "an instance alone": yield* commit(ask.id, 3, { instanceId: "i" }),
          "another member": yield* commit(ask.id, 3, { memberId: "somebody", generation }),
          "a generation before": yield* commit(ask.id, 3, { memberId, generation: generation - 1 }),
          "a generation to come": yield* commit(ask.id, 3, { memberId, generation: generation + 1 }),
          "a member alone": yield* commit(ask.id, 3, { memberId }),
          "a generation alone": [
            yield* commit(ask.id, 3, { generation }),
            yield* commit(ask.id, 3, { generation: generation + 1 })
          ],
          "of nobody": yield* commit(ask.id, 3),
          ended: yield* p.end(false)
        }
      })
  },
  {
    api: "TxnOffsetCommit",
    behaviour: "and a commit without a transaction meanwhile, and the end of the group",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic()
        const p = yield* producer(ask, ask.id, topic.name, ages.old)
        const client = yield* groupsOf(ask, ask.id)
        const plain = (offset: number) =>
          Effect.map(
            client.send(OffsetCommit, 7, {
              groupId: ask.id,
              topics: [
                {
                  name: topic.name,
                  partitions: [{ partitionIndex: 0, committedOffset: offset, committedMetadata: "" }]
                }
              ]
            }),
            ({ topics }) => topics[0]!.partitions[0]!.errorCode
          )
        const out: { [what: string]: unknown } = {}
        yield* p.addOffsets(ask.id)
        yield* p.commitOffset(ask.id, 5)
        out["a plain one later"] = yield* plain(3)
        yield* p.end(true)
        yield* awaitStable(client, ask.id, topic.name)
        out["which holds"] = yield* offsetsOf(client, ask.id, topic.name, true)
        yield* settled(p.addOffsets(ask.id), (code) => code)
        out["a plain one before"] = yield* plain(4)
        yield* p.commitOffset(ask.id, 6)
        yield* p.end(true)
        yield* awaitStable(client, ask.id, topic.name)
        out["which holds then"] = yield* offsetsOf(client, ask.id, topic.name, true)
        yield* settled(p.addOffsets(ask.id), (code) => code)
        yield* p.commitOffset(ask.id, 7)
        const deleted = yield* client.send(OffsetDelete, 0, {
          groupId: ask.id,
          topics: [{ name: topic.name, partitions: [{ partitionIndex: 0 }] }]
        })
        out["offsets deleted"] = [
          deleted.errorCode,
          ...deleted.topics.map(({ partitions }) => partitions[0]!.errorCode),
          yield* offsetsOf(client, ask.id, topic.name, true)
        ]
        yield* p.commitOffset(ask.id, 8)
        out["group deleted"] = (yield* client.send(DeleteGroups, 2, { groupsNames: [ask.id] })).results.map(
          (each) => each.errorCode
        )
        out["ended"] = yield* p.end(true)
        yield* settled(p.addOffsets(ask.id), (code) => code)
        out["in the end"] = yield* offsetsOf(client, ask.id, topic.name, false)
        return out
      })
  }
]
