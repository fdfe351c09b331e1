/**
 * With `exactOptionalPropertyTypes` an application passes on what may not be set, `resetOnStart: config.reset` of
 * `boolean | undefined`, and means its default. That this file compiles is half of the test.
 */
import { assert, it } from "@effect/vitest"
import { Effect, type Schedule, Schema, Stream } from "effect"
import { Consumer, type Membership, type Offset, Producer, Topic } from "samsa"
import { KafkaTest } from "samsa/testing"

const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })

/** A setting of the application's own that nobody has set. */
const unset = <A>(): A | undefined => undefined

const inGroup = {
  resetOnStart: unset<boolean>(),
  onUndecodable: unset<"skip">(),
  membership: unset<Membership.Membership>(),
  onAssigned: unset<() => Effect.Effect<void>>(),
  onRevoked: unset<() => Effect.Effect<void>>(),
  onLost: unset<() => Effect.Effect<void>>()
}
const byHand = {
  until: unset<Offset.Position>(),
  group: unset<string>(),
  onUndecodable: unset<"skip">()
}
const policy = {
  order: unset<"key">(),
  concurrency: unset<number>(),
  maxConcurrency: unset<number>(),
  retry: unset<Schedule.Schedule<unknown>>()
}

it.effect("settings that may be undefined are passed on, and undefined is their default", () =>
  Effect.gen(function* () {
    const producer = yield* Producer.make()
    const entry = { value: "a", key: unset<string>(), timestamp: unset<number>(), partition: unset<number>() }
    yield* producer.send(orders, { ...entry, headers: unset<Topic.Headers>() })

    const options = { group: "g", from: "earliest", ...inGroup } as const
    const consumer = yield* Consumer.subscribe({ ...options, topics: [orders] })
    const seen: Array<string> = []
    yield* consumer.run(
      (record) =>
        Effect.andThen(
          Effect.sync(() => seen.push(record.value)),
          consumer.stop
        ),
      policy
    )
    assert.deepStrictEqual(seen, ["a"])
    yield* consumer.commit([{ topic: "orders", partition: 0, offset: 1, metadata: unset<string>() }])
    const pattern = yield* Consumer.subscribePattern({ ...options, group: "h", pattern: /^orders$/ })
    assert.lengthOf(yield* Stream.runCollect(Stream.take(pattern.stream, 1)), 1)

    const one = yield* Consumer.assign({
      topic: orders,
      from: "earliest",
      partitions: unset<ReadonlyArray<number>>(),
      ...byHand
    })
    assert.lengthOf(yield* Stream.runCollect(Stream.take(one.stream, 1)), 1)
    const several = yield* Consumer.assign({
      topics: [orders],
      from: "earliest",
      partitions: unset<ReadonlyArray<{ readonly topic: string; readonly partition: number }>>(),
      ...byHand
    })
    assert.lengthOf(yield* Stream.runCollect(Stream.take(several.stream, 1)), 1)
  }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: orders, partitions: 1 }] })))
)
