/** The cases of `test/parity`, asked of Apache Kafka: it answers as it did when its answers were recorded. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { NodeNetwork } from "samsa"
import * as AddPartitionsToTxn from "../../src/protocol/messages/AddPartitionsToTxn.ts"
import * as AlterPartitionReassignments from "../../src/protocol/messages/AlterPartitionReassignments.ts"
import * as ElectLeaders from "../../src/protocol/messages/ElectLeaders.ts"
import * as EndTxn from "../../src/protocol/messages/EndTxn.ts"
import * as InitProducerId from "../../src/protocol/messages/InitProducerId.ts"
import * as ListOffsets from "../../src/protocol/messages/ListOffsets.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import * as Book from "../parity/Book.ts"
import { cases } from "../parity/cases/index.ts"
import * as Lab from "../parity/Lab.ts"
import { batch } from "../parity/Records.ts"
import * as KafkaServer from "./KafkaServer.ts"

const network = NodeNetwork.make()

/** ElectLeaders: the leader is the preferred one already. */
const electionNotNeeded = 84

const make = (release: Lab.Release) =>
  Effect.gen(function* () {
    const server = yield* KafkaServer.KafkaServer
    return Lab.Lab.of({
      release,
      connect: (broker, listener, handler) => {
        const [host, port] = server.addresses(listener)[broker - 1]!.split(":") as [string, string]
        return network.connect({ host, port: Number(port) }, handler)
      },
      gather: () => Effect.void,
      moveLeader: (ask, name, partitionIndex, to) =>
        Effect.gen(function* () {
          const end = yield* endOf(ask, name, 0, 3 - to)
          const replicas = [to, ...Lab.brokers.filter((id) => id !== to)]
          for (const id of Lab.brokers) {
            const client = yield* ask.broker(id)
            yield* client.send(AlterPartitionReassignments, 0, {
              timeoutMs: 10_000,
              topics: [{ name, partitions: [{ partitionIndex, replicas }] }]
            })
          }
          yield* Lab.until(
            `${name}-${partitionIndex} is led by ${to}`,
            Effect.gen(function* () {
              const codes: Array<number> = []
              for (const id of Lab.brokers) {
                const client = yield* ask.broker(id)
                const response = yield* client.send(ElectLeaders, 1, {
                  electionType: 0,
                  timeoutMs: 10_000,
                  topicPartitions: [{ topic: name, partitions: [partitionIndex] }]
                })
                for (const result of response.replicaElectionResults)
                  for (const each of result.partitionResult) codes.push(each.errorCode)
              }
              return codes
            }),
            (codes) => codes.includes(electionNotNeeded)
          )
          yield* Lab.awaitLeaders(ask, name, [replicas])
          // a new leader learns the high watermark from its followers
          yield* Lab.until("the records are committed", endOf(ask, name, 0, to), (offset) => offset >= end)
        }),
      transaction: (ask, topic, values, end) =>
        Effect.gen(function* () {
          const transactionalId = `${topic}-${Math.random()}`
          const coordinator = yield* ask.broker(yield* ask.coordinatorOf(transactionalId, 1))
          const { producerEpoch, producerId } = yield* Lab.until(
            "a producer id",
            coordinator.send(InitProducerId, 2, { transactionalId, transactionTimeoutMs: 60_000 }),
            ({ errorCode }) => errorCode === 0
          )
          yield* Lab.until(
            "the partition is in the transaction",
            coordinator.send(AddPartitionsToTxn, 3, {
              v3AndBelowTransactionalId: transactionalId,
              v3AndBelowProducerId: producerId,
              v3AndBelowProducerEpoch: producerEpoch,
              v3AndBelowTopics: [{ name: topic, partitions: [0] }]
            }),
            (response) => response.resultsByTopicV3AndBelow[0]!.resultsByPartition[0]!.partitionErrorCode === 0
          )
          const leader = yield* ask.broker(1)
          const records = batch(values, { producerId, producerEpoch, baseSequence: 0, transactional: true })
          const produced = yield* leader.send(Produce, 8, {
            transactionalId,
            acks: -1,
            timeoutMs: 10_000,
            topicData: [{ name: topic, partitionData: [{ index: 0, records }] }]
          })
          assert.strictEqual(produced.responses[0]!.partitionResponses[0]!.errorCode, 0)
          if (end === "open") return
          const before = yield* endOf(ask, topic, 0)
          yield* Lab.until(
            "the transaction ends",
            coordinator.send(EndTxn, 3, { transactionalId, producerId, producerEpoch, committed: end === "commit" }),
            ({ errorCode }) => errorCode === 0
          )
          yield* Lab.until("the marker is there", endOf(ask, topic, 0), (offset) => offset > before)
        })
    })
  })

/** The consumer protocol: early access in 3.9; from 4.4 on its assignments come once a second, unless it is told otherwise. */
const groupSettings = (release: Lab.Release) =>
  release === "3.9.2"
    ? { "group.coordinator.rebalance.protocols": "classic,consumer" }
    : release === "4.4.0"
      ? { "group.consumer.assignment.interval.ms": 0 }
      : {}

const endOf = (ask: Lab.Ask, name: string, isolationLevel: number, broker = 1) =>
  Effect.gen(function* () {
    const client = yield* ask.broker(broker)
    const { topics } = yield* client.send(ListOffsets, 4, {
      replicaId: -1,
      isolationLevel,
      topics: [{ name, partitions: [{ partitionIndex: 0, timestamp: -1 }] }]
    })
    return topics[0]!.partitions[0]!.offset
  })

/** Groups of the consumer protocol are asked of 4.4.0 each time, and of the others where everything is. */
const releases = Lab.releases.filter((release) => process.env.SAMSA_FULL === "1" || !Lab.few.has(release))

for (const release of releases) {
  const book = Book.open(release)
  const asked = Lab.forRelease(cases, release)
  layer(
    Layer.effect(Lab.Lab, make(release)).pipe(
      Layer.provide(
        KafkaServer.layer({
          version: release,
          brokers: Lab.brokers.length,
          listeners: ["SASL_PLAINTEXT"],
          properties: {
            // the records of the cases are of 2023: none may begin a segment for that
            "log.roll.ms": 4_000_000_000_000,
            // what is over is looked for every ten seconds, else
            "transaction.abort.timed.out.transaction.cleanup.interval.ms": 100,
            "authorizer.class.name":
              release === "2.8.2"
                ? "kafka.security.authorizer.AclAuthorizer"
                : "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "allow.everyone.if.no.acl.found": true,
            ...groupSettings(release)
          }
        })
      )
    ),
    { excludeTestServices: true }
  )(`Apache Kafka ${release}`, (it) => {
    for (const one of asked) {
      const name = Lab.nameOf(one)
      const asked = (attempt: number) =>
        Effect.flatMap(Lab.ask(one, attempt), ({ answer, transcript }) =>
          Effect.try({ try: () => book.real(name, answer, transcript), catch: (error) => error })
        )
      // A coordinator describes what it has written, on a busy machine a moment later than what it has answered: what
      // differs for good differs each time.
      it.effect(name, () =>
        asked(0).pipe(
          Effect.catch(() => asked(1)),
          Effect.catch(() => asked(2))
        )
      )
    }

    it.effect("answers every case that is asked of the embedded broker", () =>
      Effect.sync(() => {
        console.log(
          `${asked.length} cases of ${new Set(asked.map((one) => one.api)).size} APIs on Apache Kafka ${release}`
        )
        assert.sameMembers(book.names as Array<string>, asked.map(Lab.nameOf))
      })
    )
  })
}
