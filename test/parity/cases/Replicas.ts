/**
 * DescribeTopicPartitions, DescribeLogDirs, AlterPartitionReassignments, ListPartitionReassignments, ElectLeaders,
 * ListConfigResources and DescribeQuorum.
 */
import { Effect } from "effect"
import * as AlterPartitionReassignments from "../../../src/protocol/messages/AlterPartitionReassignments.ts"
import * as DescribeLogDirs from "../../../src/protocol/messages/DescribeLogDirs.ts"
import * as DescribeQuorum from "../../../src/protocol/messages/DescribeQuorum.ts"
import * as DescribeTopicPartitions from "../../../src/protocol/messages/DescribeTopicPartitions.ts"
import * as ElectLeaders from "../../../src/protocol/messages/ElectLeaders.ts"
import * as ListConfigResources from "../../../src/protocol/messages/ListConfigResources.ts"
import * as ListPartitionReassignments from "../../../src/protocol/messages/ListPartitionReassignments.ts"
import * as Metadata from "../../../src/protocol/messages/Metadata.ts"
import { type Ask, awaitLeaders, type Case, until } from "../Lab.ts"
import { batch } from "../Records.ts"
import { produce } from "./Fetch.ts"
import { controller } from "./Topics.ts"

const replicasOf = (ask: Ask, name: string, partition = 0) =>
  Effect.gen(function* () {
    const client = yield* ask.broker()
    const { topics } = yield* client.send(Metadata, 9, { topics: [{ name }], allowAutoTopicCreation: false })
    const found = topics[0]!.partitions.find(({ partitionIndex }) => partitionIndex === partition)
    return { replicas: found?.replicaNodes ?? [], isr: Array.from(found?.isrNodes ?? []).sort() }
  })

const reassign = (
  ask: Ask,
  version: number,
  topics: ReadonlyArray<readonly [name: string, partition: number, replicas: ReadonlyArray<number> | null]>,
  allowReplicationFactorChange?: boolean
) =>
  Effect.gen(function* () {
    const client = yield* controller(ask)
    const { errorCode, errorMessage, responses } = yield* client.send(AlterPartitionReassignments, version, {
      timeoutMs: 15_000,
      ...(version >= 1 && allowReplicationFactorChange !== undefined ? { allowReplicationFactorChange } : {}),
      topics: [...new Set(topics.map(([name]) => name))].map((name) => ({
        name,
        partitions: topics
          .filter(([other]) => other === name)
          .map(([, partitionIndex, replicas]) => ({ partitionIndex, replicas }))
      }))
    })
    return {
      errorCode,
      errorMessage: errorMessage === "" ? null : errorMessage,
      responses: responses.map(({ name, partitions }) => ({
        name,
        partitions: Array.from(partitions).sort((a, b) => a.partitionIndex - b.partitionIndex)
      }))
    }
  })

const elect = (
  ask: Ask,
  version: number,
  electionType: number,
  topics: ReadonlyArray<readonly [topic: string, partitions: ReadonlyArray<number>]> | null
) =>
  Effect.gen(function* () {
    const client = yield* controller(ask)
    const { errorCode, replicaElectionResults } = yield* client.send(ElectLeaders, version, {
      ...(version >= 1 ? { electionType } : {}),
      timeoutMs: 15_000,
      topicPartitions: topics === null ? null : topics.map(([topic, partitions]) => ({ topic, partitions }))
    })
    return {
      errorCode,
      results: replicaElectionResults
        .map(({ partitionResult, topic }) => ({
          topic,
          partitionResult: Array.from(partitionResult).sort((a, b) => a.partitionId - b.partitionId)
        }))
        .sort((a, b) => (a.topic < b.topic ? -1 : 1))
    }
  })

const logDirs = (
  ask: Ask,
  version: number,
  topics: ReadonlyArray<{ readonly topic: string; readonly partitions: ReadonlyArray<number> }> | null,
  mine: (name: string) => boolean
) =>
  Effect.gen(function* () {
    const client = yield* ask.broker()
    const { errorCode, results } = yield* client.send(DescribeLogDirs, version, { topics })
    return {
      errorCode,
      dirs: results.map((one) => ({
        errorCode: one.errorCode,
        absolute: one.logDir.startsWith("/"),
        total: version >= 4 ? one.totalBytes > 0 : one.totalBytes,
        usable: version >= 4 ? one.usableBytes > 0 : one.usableBytes,
        topics: one.topics
          .filter(({ name }) => mine(name))
          .map(({ name, partitions }) => ({
            name,
            partitions: Array.from(partitions).sort((a, b) => a.partitionIndex - b.partitionIndex)
          }))
          .sort((a, b) => (a.name < b.name ? -1 : 1))
      }))
    }
  })

export const cases: ReadonlyArray<Case> = [
  {
    api: "DescribeTopicPartitions",
    behaviour: "of topics by name, in pages, and of what is not there",
    only: "4.4.0",
    ask: (ask) =>
      Effect.gen(function* () {
        const b = yield* ask.topic("-b", {
          replicas: [
            [1, 2],
            [2, 1],
            [1, 2]
          ]
        })
        const a = yield* ask.topic("-a", { replicas: [[2]] })
        const client = yield* ask.broker()
        const describe = (
          names: ReadonlyArray<string>,
          responsePartitionLimit = 2000,
          cursor: { readonly topicName: string; readonly partitionIndex: number } | null = null
        ) =>
          Effect.map(
            client.send(DescribeTopicPartitions, 0, {
              topics: names.map((name) => ({ name })),
              responsePartitionLimit,
              cursor
            }),
            ({ nextCursor, topics }) => ({ topics, nextCursor })
          )
        const all = yield* describe([])
        return {
          named: yield* describe([b.name, a.name, `${ask.id}-absent`, "no/name", a.name]),
          first: yield* describe([b.name, a.name], 2),
          second: yield* describe([b.name, a.name], 2, { topicName: b.name, partitionIndex: 1 }),
          past: yield* describe([b.name, a.name], 2, { topicName: b.name, partitionIndex: 9 }),
          negative: yield* describe([a.name], 0),
          between: yield* describe([a.name, b.name], 9, { topicName: `${ask.id}-aa`, partitionIndex: 0 }),
          all: all.topics.filter(({ name }) => name?.startsWith(ask.id) === true)
        }
      })
  },
  {
    api: "DescribeTopicPartitions",
    behaviour: "a cursor that is not legal",
    only: "4.4.0",
    ask: (ask) =>
      Effect.gen(function* () {
        const a = yield* ask.topic("-a")
        const client = yield* ask.broker()
        const { nextCursor, topics } = yield* client.send(DescribeTopicPartitions, 0, {
          topics: [{ name: a.name }],
          responsePartitionLimit: 5,
          cursor: { topicName: a.name, partitionIndex: -1 }
        })
        return { topics, nextCursor }
      })
  },
  {
    api: "DescribeLogDirs",
    behaviour: "sizes of the replicas that a broker has, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1], [2], [1]] })
        yield* produce(ask, topic, batch(["a", "b"]))
        const mine = (name: string) => name.startsWith(ask.id)
        return yield* ask.atEach(DescribeLogDirs, (version) =>
          Effect.gen(function* () {
            return {
              all: yield* logDirs(ask, version, null, mine),
              some: yield* logDirs(ask, version, [{ topic: topic.name, partitions: [0, 1, 7] }], mine),
              none: yield* logDirs(ask, version, [], mine),
              absent: yield* logDirs(ask, version, [{ topic: `${ask.id}-absent`, partitions: [0] }], mine)
            }
          })
        )
      })
  },
  {
    api: "AlterPartitionReassignments",
    behaviour: "replicas move, at each version",
    ask: (ask) =>
      ask.atEach(AlterPartitionReassignments, (version) =>
        Effect.gen(function* () {
          const topic = yield* ask.topic(`-${version}`, { replicas: [[1], [1]] })
          const settles = (partition: number, expected: ReadonlyArray<number>) =>
            until(
              `the replicas of ${topic.name}-${partition} are ${expected.join()}`,
              replicasOf(ask, topic.name, partition),
              ({ isr, replicas }) => replicas.join() === expected.join() && isr.length === expected.length
            )
          const added = yield* reassign(ask, version, [[topic.name, 0, [1, 2]]])
          yield* settles(0, [1, 2])
          const moved = yield* reassign(ask, version, [
            [topic.name, 0, [2]],
            [topic.name, 1, [2, 1]]
          ])
          yield* settles(0, [2])
          yield* settles(1, [2, 1])
          const same = yield* reassign(ask, version, [[topic.name, 0, [2]]])
          return { added, moved, same, then: yield* replicasOf(ask, topic.name) }
        })
      )
  },
  {
    api: "AlterPartitionReassignments",
    behaviour: "of what is not there or not legal",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const newest = ask.newest(AlterPartitionReassignments)
        return {
          "no topic": yield* reassign(ask, newest, [[`${ask.id}-absent`, 0, [1]]]),
          "no partition": yield* reassign(ask, newest, [[topic.name, 5, [1]]]),
          "no broker": yield* reassign(ask, newest, [[topic.name, 0, [1, 77]]]),
          "broker twice": yield* reassign(ask, newest, [[topic.name, 0, [1, 1]]]),
          "below zero": yield* reassign(ask, newest, [[topic.name, 0, [-1]]]),
          "no replicas": yield* reassign(ask, newest, [[topic.name, 0, []]]),
          "nothing to cancel": yield* reassign(ask, newest, [[topic.name, 0, null]]),
          "cancel nothing that is there": yield* reassign(ask, newest, [[`${ask.id}-absent`, 0, null]]),
          "other number": newest < 1 ? "not asked" : yield* reassign(ask, newest, [[topic.name, 0, [1, 2]]], false),
          nothing: yield* reassign(ask, newest, []),
          then: yield* replicasOf(ask, topic.name)
        }
      })
  },
  {
    api: "ListPartitionReassignments",
    behaviour: "where nothing moves, and of what is not there",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* controller(ask)
        const list = (topics: ReadonlyArray<{ readonly name: string; readonly partitionIndexes: Array<number> }>) =>
          Effect.map(
            client.send(ListPartitionReassignments, 0, { timeoutMs: 15_000, topics }),
            ({ errorCode, errorMessage, topics }) => ({
              errorCode,
              errorMessage: errorMessage === "" ? null : errorMessage,
              topics
            })
          )
        return {
          still: yield* list([{ name: topic.name, partitionIndexes: [0] }]),
          absent: yield* list([{ name: `${ask.id}-absent`, partitionIndexes: [0] }]),
          "no partition": yield* list([{ name: topic.name, partitionIndexes: [9] }]),
          nothing: yield* list([])
        }
      })
  },
  {
    api: "ElectLeaders",
    behaviour: "the preferred leader, at each version",
    ask: (ask) =>
      ask.atEach(ElectLeaders, (version) =>
        Effect.gen(function* () {
          const topic = yield* ask.topic(`-${version}`, {
            replicas: [
              [1, 2],
              [2, 1]
            ]
          })
          const before = yield* elect(ask, version, 0, [[topic.name, [0, 1]]])
          yield* reassign(ask, 0, [[topic.name, 0, [2, 1]]])
          yield* until(
            "the order of the replicas is known",
            replicasOf(ask, topic.name),
            ({ isr, replicas }) => replicas.join() === "2,1" && isr.length === 2
          )
          const elected = yield* elect(ask, version, 0, [[topic.name, [0]]])
          yield* awaitLeaders(ask, topic.name, [
            [2, 1],
            [2, 1]
          ])
          return { before, elected, after: yield* elect(ask, version, 0, [[topic.name, [0, 1]]]) }
        })
      )
  },
  {
    api: "ElectLeaders",
    behaviour: "of what is not there, and where an unclean leader is not needed",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const newest = ask.newest(ElectLeaders)
        return {
          "no topic": yield* elect(ask, newest, 0, [[`${ask.id}-absent`, [0]]]),
          "no partition": yield* elect(ask, newest, 0, [[topic.name, [0, 3]]]),
          unclean: yield* elect(ask, newest, 1, [[topic.name, [0]]]),
          nothing: yield* elect(ask, newest, 0, []),
          all: (yield* elect(ask, newest, 0, null)).errorCode
        }
      })
  },
  {
    api: "ListConfigResources",
    behaviour: "which resources have settings, at each version",
    only: "4.4.0",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        return yield* ask.atEach(ListConfigResources, (version) =>
          Effect.gen(function* () {
            const list = (resourceTypes: ReadonlyArray<number>) =>
              Effect.map(
                client.send(ListConfigResources, version, version >= 1 ? { resourceTypes } : {}),
                ({ configResources, errorCode }) => ({
                  errorCode,
                  resources: configResources
                    .filter(({ resourceName, resourceType }) => resourceType !== 2 || resourceName === topic.name)
                    .filter(({ resourceType }) => resourceType !== 32)
                    .map(({ resourceName, resourceType }) => `${resourceType} ${resourceName}`)
                    .sort()
                })
              )
            return version === 0
              ? { all: yield* list([]) }
              : {
                  all: yield* list([]),
                  topics: yield* list([2]),
                  brokers: yield* list([4]),
                  loggers: yield* list([8]),
                  metrics: yield* list([16]),
                  several: yield* list([4, 2, 4]),
                  unknown: yield* list([3])
                }
          })
        )
      })
  },
  {
    api: "DescribeQuorum",
    behaviour: "who votes and who watches, at each version, and of another topic",
    only: "4.4.0",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* ask.broker()
        return yield* ask.atEach(DescribeQuorum, (version) =>
          Effect.gen(function* () {
            const describe = (topicName: string, partitionIndex: number) =>
              Effect.map(
                client.send(DescribeQuorum, version, { topics: [{ topicName, partitions: [{ partitionIndex }] }] }),
                ({ errorCode, errorMessage, nodes, topics }) => ({
                  errorCode,
                  errorMessage,
                  topics: topics.map(({ partitions, topicName }) => ({
                    topicName,
                    partitions: partitions.map((one) => {
                      const shown = (all: typeof one.currentVoters) =>
                        Array.from(all)
                          .sort((a, b) => a.replicaId - b.replicaId)
                          .map(({ lastCaughtUpTimestamp, lastFetchTimestamp, logEndOffset, replicaId }) => ({
                            replicaId,
                            end: logEndOffset > 0,
                            leads: replicaId === one.leaderId,
                            fetched: version >= 1 ? lastFetchTimestamp > 0 : "not told",
                            caughtUp: version >= 1 ? lastCaughtUpTimestamp > 0 : "not told"
                          }))
                      return {
                        errorCode: one.errorCode,
                        errorMessage: one.errorMessage,
                        leads: one.leaderId > 0,
                        epoch: one.leaderEpoch > 0,
                        highWatermark: one.highWatermark > 0,
                        voters: shown(one.currentVoters).map(({ replicaId }) => replicaId),
                        observers: shown(one.observers).map(({ replicaId }) => replicaId),
                        all: [...shown(one.currentVoters), ...shown(one.observers)].map((each) => ({
                          end: each.end,
                          fetched: version >= 1 ? each.leads || each.fetched : each.fetched,
                          caughtUp: each.caughtUp
                        }))
                      }
                    })
                  })),
                  nodes: version >= 2 ? nodes.map(({ listeners, nodeId }) => [nodeId, listeners.length]) : "not told"
                })
              )
            return {
              quorum: yield* describe("__cluster_metadata", 0),
              "another partition": yield* describe("__cluster_metadata", 1),
              "another topic": yield* describe(`${ask.id}-other`, 0)
            }
          })
        )
      })
  }
]
