/** What the tests of `Admin` on real brokers share: a client, Java's tools, and how answers are read. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Result, Schedule } from "effect"
import { Admin, type Broker, Cluster, ErrorCode, Kafka, type KafkaError, Producer } from "samsa"
import * as AddPartitionsToTxn from "samsa/protocol/messages/AddPartitionsToTxn"
import * as InitProducerId from "samsa/protocol/messages/InitProducerId"
import * as Produce from "samsa/protocol/messages/Produce"
import * as Cache from "../interop/Cache.ts"
import * as Java from "../interop/Java.ts"
import { batch } from "../parity/Records.ts"
import * as JavaTools from "./JavaTools.ts"
import * as KafkaServer from "./KafkaServer.ts"
import * as Processes from "./Processes.ts"

/** What one of Java's tools says of the cluster. */
export const tool = (name: string, ...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { bootstrap } = yield* KafkaServer.KafkaServer
    const tools = yield* JavaTools.JavaTools
    return yield* tools.run(`kafka.admin.${name}`, "--bootstrap-server", bootstrap.join(","), ...args)
  })

/** What one of the newest release's tools says of the cluster, in a process of its own: those that 2.8 has not. */
export const newTool = (name: string, ...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { bootstrap } = yield* KafkaServer.KafkaServer
    const classPath = yield* Cache.javaTools
    return yield* Processes.run(Java.command(classPath, name, ["--bootstrap-server", bootstrap.join(","), ...args]))
  })

/** Until it holds: brokers take some changes after they have answered. */
export const eventually = <A, E, R>(self: Effect.Effect<A, E, R>, holds: (value: A) => boolean, times = 200) =>
  self.pipe(
    Effect.flatMap((value) => (holds(value) ? Effect.succeed(value) : Effect.fail(value))),
    Effect.retry({ schedule: Schedule.spaced("50 millis"), times })
  )

export const withAdmin = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(KafkaServer.KafkaServer, ({ bootstrap, version }) =>
    self.pipe(
      Effect.scoped,
      Effect.provide(
        Layer.merge(
          Admin.layer({ timeout: "30 seconds" }),
          Producer.layer({ idempotent: !version.startsWith("0.") })
        ).pipe(Layer.provideMerge(Kafka.layer({ bootstrap, clientId: "samsa-admin" })))
      )
    )
  )

export const value = <A>(answer: Admin.Answer<A> | undefined): A => {
  if (answer === undefined || Result.isFailure(answer)) assert.fail(`failed: ${answer?.failure.message}`)
  return answer.success
}
export const failure = <A>(answer: Admin.Answer<A> | undefined) => {
  if (answer === undefined || Result.isSuccess(answer)) assert.fail("it did not fail")
  return answer.failure
}
export const codeOf = <A>(answer: Admin.Answer<A> | undefined): number | string => {
  const { reason } = failure(answer)
  return reason._tag === "Server" || reason._tag === "GroupRefused" ? reason.code : reason._tag
}

/**
 * Opens a transaction with a partition in it, by hand: gives its producer id and epoch. A coordinator that has just
 * begun to lead, and loads its log, is asked again, as producers do.
 */
export const begin = (id: string, topic: string) =>
  Effect.gen(function* () {
    const cluster = yield* Cluster.Cluster
    const ask = <A>(
      send: (broker: Broker.Broker) => Effect.Effect<A, KafkaError.KafkaError>,
      code: (answer: A) => number
    ) =>
      eventually(
        Effect.tap(Effect.flatMap(cluster.coordinator("transaction", id), send), (answer) =>
          Effect.sync(() => {
            if (ErrorCode.isTransient(code(answer))) cluster.forgetCoordinator("transaction", id)
          })
        ),
        (answer) => !ErrorCode.isTransient(code(answer))
      )
    const { errorCode, producerEpoch, producerId } = yield* ask(
      (coordinator) => coordinator.send(InitProducerId, () => ({ transactionalId: id, transactionTimeoutMs: 60_000 })),
      (answer) => answer.errorCode
    )
    assert.strictEqual(errorCode, 0)
    const codeOfFirst = (answer: (typeof AddPartitionsToTxn.Response.schema)["Type"]) =>
      answer.resultsByTopicV3AndBelow[0]?.resultsByPartition[0]?.partitionErrorCode ?? -1
    const added = yield* ask(
      (coordinator) =>
        coordinator.send(
          AddPartitionsToTxn,
          () => ({
            v3AndBelowTransactionalId: id,
            v3AndBelowProducerId: producerId,
            v3AndBelowProducerEpoch: producerEpoch,
            v3AndBelowTopics: [{ name: topic, partitions: [0] }]
          }),
          { maxVersion: 3 }
        ),
      codeOfFirst
    )
    assert.strictEqual(codeOfFirst(added), 0)
    return { producerId, producerEpoch }
  })

/** Writes a record within a transaction that `begin` opened. */
export const write = (
  id: string,
  to: {
    readonly topic: string
    readonly partition: number
    readonly producerId: number
    readonly producerEpoch: number
  }
) =>
  Effect.gen(function* () {
    const cluster = yield* Cluster.Cluster
    const { broker } = yield* cluster.leader(to)
    const { producerEpoch, producerId } = to
    const records = batch(["open"], { producerId, producerEpoch, baseSequence: 0, transactional: true })
    const { responses } = yield* broker.send(
      Produce,
      () => ({
        transactionalId: id,
        acks: -1,
        timeoutMs: 10_000,
        topicData: [{ name: to.topic, partitionData: [{ index: to.partition, records }] }]
      }),
      { maxVersion: 8 }
    )
    assert.strictEqual(responses[0]!.partitionResponses[0]!.errorCode, 0)
  })
