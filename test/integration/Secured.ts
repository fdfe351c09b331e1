/** What the tests of TLS and SASL share: a client of some settings on a listener, and what it must be able to do. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Redacted, Result, Schema, Stream } from "effect"
import { Cluster, Consumer, type Kafka, Producer, Topic } from "samsa"
import { type Engine, kafka } from "./Client.ts"
import type * as KafkaProperties from "./KafkaProperties.ts"
import * as KafkaServer from "./KafkaServer.ts"
import { atLeast, type Version } from "./KafkaVersion.ts"

export type Options = Omit<Kafka.Options, "bootstrap">

export const text = (name: string) => Topic.make(name, { key: Schema.String, value: Schema.String })

/** With a client of these settings on a listener. */
export const through = <A, E, R>(
  listener: KafkaProperties.Listener,
  options: Options,
  effect: Effect.Effect<A, E, R>,
  host = "127.0.0.1",
  engine: Engine = "native"
) =>
  Effect.flatMap(KafkaServer.KafkaServer, (server) => {
    const bootstrap = server.addresses(listener).map((address) => address.replace("127.0.0.1", host))
    return effect.pipe(
      Effect.scoped,
      Effect.provide(
        Producer.layer().pipe(
          Layer.provideMerge(kafka({ bootstrap, bootstrapTimeout: "20 seconds", ...options }, engine))
        )
      )
    )
  })

/** Asks for a topic and, where the broker takes our batches, writes to it and reads it. */
export const works = (version: Version, name: string) =>
  Effect.gen(function* () {
    const cluster = yield* Cluster.Cluster
    const info = yield* cluster.topic(name)
    assert.lengthOf(info.partitions, 1)
    assert.deepStrictEqual(yield* cluster.offsets([{ topic: name, partition: 0, at: "latest" }]), [0])
    if (!atLeast(version, 0, 11)) return
    const producer = yield* Producer.Producer
    const topic = text(name)
    const results = yield* producer.sendAll(
      topic,
      Array.from({ length: 100 }, (_, i) => ({ key: "k", value: `v${i}` }))
    )
    assert.isTrue(results.every(Result.isSuccess))
    const consumer = yield* Consumer.assign({ topic, from: "earliest", until: "latest" })
    const records = yield* Stream.runCollect(consumer.stream)
    assert.deepStrictEqual(
      records.map((r) => r.value),
      results.map((_, i) => `v${i}`)
    )
  })

/** An unsecured JWS, which lives so many seconds. */
export const token = (seconds = 3600) => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
  const now = Math.floor(performance.timeOrigin / 1000 + performance.now() / 1000)
  return Redacted.make(`${part({ alg: "none" })}.${part({ sub: "alice", iat: now, exp: now + seconds })}.`)
}
