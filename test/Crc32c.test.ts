import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Consumer, Crc32c, Producer, Topic } from "samsa"
import { plain } from "../src/protocol/records/Crc32c.ts"
import { KafkaTest } from "../src/testing/index.ts"

const noise = Uint8Array.from({ length: 1000 }, (_, i) => (i * 167) & 255)
const topic = Topic.bytes("t")

describe("Crc32c", () => {
  it.effect("asks another implementation for what is large", () =>
    Effect.gen(function* () {
      const asked: Array<number> = []
      const compute = yield* Crc32c.make((bytes) => {
        asked.push(bytes.length)
        return plain(bytes, 0, bytes.length)
      })
      assert.strictEqual(compute(noise, 10, 900), plain(noise, 10, 900))
      assert.strictEqual(compute(noise, 10, 100), plain(noise, 10, 100))
      assert.deepStrictEqual(asked, [9, 890])
    })
  )

  it.effect("takes one that gives a signed number, and refuses one of another polynomial", () =>
    Effect.gen(function* () {
      const signed = yield* Crc32c.make((bytes) => plain(bytes, 0, bytes.length) | 0)
      assert.strictEqual(signed(noise, 0, 999), plain(noise, 0, 999))
      const { reason } = yield* Effect.flip(Crc32c.make(() => 0xcbf43926))
      assert.strictEqual(reason._tag, "Misconfigured")
    })
  )

  it.effect("of one client is its own: producers and consumers that are made over it use it", () =>
    Effect.suspend(() => {
      let calls = 0
      const counting = Crc32c.layer((bytes) => {
        calls++
        return plain(bytes, 0, bytes.length)
      })
      const over = <A, E>(layer: Layer.Layer<A, E>) => Producer.layer().pipe(Layer.provideMerge(layer))
      const send = Effect.flatMap(Producer.Producer, (producer) => producer.send(topic, { value: noise }))
      const read = Effect.gen(function* () {
        const consumer = yield* Consumer.assign({ topic, from: "earliest", until: "latest" })
        return yield* Stream.runCount(consumer.stream)
      }).pipe(Effect.scoped)
      return Effect.gen(function* () {
        yield* send
        assert.strictEqual(calls, 0)
        const native = yield* Layer.build(counting)
        const checked = calls
        yield* Effect.provideContext(
          Effect.scoped(Effect.flatMap(Producer.make(), (p) => p.send(topic, { value: noise }))),
          native
        )
        assert.strictEqual(calls, checked + 1)
        assert.strictEqual(yield* Effect.provideContext(read, native), 2)
        assert.strictEqual(calls, checked + 3)
        assert.strictEqual(yield* read, 2)
        assert.strictEqual(calls, checked + 3)
      }).pipe(Effect.scoped, Effect.provide(over(KafkaTest.layer({ topics: [topic] }))))
    })
  )
})
