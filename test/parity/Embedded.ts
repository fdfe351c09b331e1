/** The embedded broker as a `Lab`: time is virtual, and moves on whenever nothing else can. */
import { Effect, Fiber, Layer } from "effect"
import type { Scope } from "effect"
import { TestClock } from "effect/testing"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import type { KafkaError } from "../../src/KafkaError.ts"
import * as Lab from "./Lab.ts"
import { noHeaders } from "../../src/Record.ts"

/** The present of these tests. */
const start = 1_767_225_600_000

const asVersion: { readonly [R in Lab.Release]: EmbeddedKafka.Options["asVersion"] } = {
  "2.8.2": "2.8",
  "3.9.2": "3.9",
  "4.0.2": "4.0",
  "4.4.0": "4.4"
}

/** As the real brokers of these tests are started. */
const options = (release: Lab.Release): EmbeddedKafka.Options => ({
  asVersion: asVersion[release],
  brokers: Lab.brokers.length,
  groupMinSessionTimeout: 100,
  groupInitialRebalanceDelay: 0,
  ...(release === "3.9.2" ? { groupRebalanceProtocols: ["classic", "consumer"] } : undefined),
  replicationFactor: 1
})

const bytes = (text: string) => new TextEncoder().encode(text)

/** A cluster of its own. `fresh`: nobody has asked it for a coordinator yet. */
export const make = (
  release: Lab.Release,
  fresh: boolean
): Effect.Effect<Lab.Lab["Service"], KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    yield* TestClock.setTime(start)
    const plain = yield* EmbeddedKafka.make({ ...options(release), coldStart: fresh })
    const secure = yield* EmbeddedKafka.make({ ...options(release), sasl: { users: { alice: "alice-secret" } } })
    let producers = 500
    return Lab.Lab.of({
      release,
      connect: (broker, listener, handler) => {
        const kafka = listener === "PLAINTEXT" ? plain : secure
        const [host, port] = kafka.bootstrap[broker - 1]!.split(":") as [string, string]
        return kafka.connect({ host, port: Number(port) }, handler)
      },
      gather: (key, type) => (type === 1 ? plain.moveTransactionCoordinator(key, 1) : plain.moveCoordinator(key, 1)),
      moveLeader: (_ask, topic, partition, to) => plain.moveLeader(topic, partition, to),
      transaction: (_ask, topic, values, end) =>
        Effect.gen(function* () {
          const producerId = producers++
          const [{ endOffset }] = (yield* plain.topic(topic))! as [EmbeddedKafka.PartitionInfo]
          const identity = { producerId, producerEpoch: 0, transactional: true }
          const batch = RecordBatch.encode(
            values.map((value, i) => ({
              key: null,
              value: bytes(value),
              headers: noHeaders,
              timestamp: 1_700_000_000_000 + i
            })),
            { ...identity, baseSequence: 0 }
          )
          yield* plain.append(topic, 0, batch)
          if (end === "open") return
          const marker = RecordBatch.encode([RecordBatch.endMarker(end, 0, start)], {
            ...identity,
            baseSequence: -1,
            control: true
          })
          const lastOffset = endOffset + values.length
          yield* plain.append(topic, 0, marker, {
            aborted: end === "abort" ? [{ producerId, firstOffset: endOffset, lastOffset }] : []
          })
        })
    })
  })

export const layer = (release: Lab.Release, fresh = false): Layer.Layer<Lab.Lab, KafkaError> =>
  Layer.effect(Lab.Lab, make(release, fresh))

/** Moves the clock on, by a little, whenever the effect waits and nothing else is left to do. */
export const driven = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(effect, { startImmediately: true })
    let turns = 0
    while (fiber.pollUnsafe() === undefined) {
      yield* Effect.yieldNow
      if (++turns % 3 === 0) yield* TestClock.adjust("5 millis")
    }
    return yield* Fiber.join(fiber)
  })
