import { assert, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Consumer, Membership, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { moving, pass, scoped, until } from "../consume/Harness.ts"

const layer = Producer.layer().pipe(
  Layer.provideMerge(
    KafkaTest.layer({
      topics: [
        { name: "t1", partitions: 2 },
        { name: "u1", partitions: 2 }
      ]
    })
  )
)

// A classic member tried it once, and then every five minutes, and nobody was told.
it.effect.each(["classic", "consumer"] as const)(
  "what is subscribed to anew while nothing can be told of topics is read when it can (%s)",
  (kind) =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.Producer
      const consumer = yield* Consumer.subscribePattern({
        group: "g",
        pattern: /^t/,
        from: "earliest",
        membership: Membership[kind]()
      })
      const events: Array<string> = []
      const read: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(consumer.events, ({ _tag }) => Effect.sync(() => events.push(_tag))))
      yield* Effect.forkScoped(consumer.run(({ topic }) => Effect.sync(() => read.push(topic))))
      yield* until("it is read", () => events.includes("CaughtUp"))
      yield* Effect.forkScoped(producer.send(Topic.bytes("u1"), { key: null, value: new Uint8Array(1) }))
      yield* pass(1_000)
      const fault = yield* broker.inject(Fault.on("Metadata").loseRequest)
      yield* consumer.resubscribe(/^[tu]/)
      yield* pass(70_000)
      assert.include(events, "Waiting")
      yield* fault.remove
      assert.isBelow(yield* until("it is read", () => read.includes("u1")), 30_000)
    }).pipe(Effect.scoped, Effect.provide(layer))
)

const twoTopics = Producer.layer().pipe(
  Layer.provideMerge(
    KafkaTest.layer({ autoCreate: false, topics: ["t1", "t2"].map((name) => ({ name, partitions: 2 })) })
  )
)

// They were looked for again and again, as if a broker did not know of them yet: for 4 s, of an eager group for 8 s.
for (const kind of ["classic", "consumer"] as const)
  for (const [way, first, next] of [
    ["by names", ["t1", "t2"], ["t1"]],
    ["by a pattern", /^t/, /^t1/]
  ] as const)
    it.effect(`topics that are left by resubscribe are given back at once (${way}, ${kind})`, () =>
      Effect.gen(function* () {
        const options = { group: "g", from: "earliest", membership: Membership[kind]() } as const
        const consumer =
          first instanceof RegExp
            ? yield* Consumer.subscribePattern({ ...options, pattern: first })
            : yield* Consumer.subscribe({ ...options, topics: first })
        const left: Array<string> = []
        const events: Array<string> = []
        yield* Effect.forkScoped(
          Stream.runForEach(consumer.events, (event) =>
            Effect.sync(() => {
              events.push(event._tag)
              if (event._tag === "Revoked") for (const { topic } of event.partitions) left.push(topic)
            })
          )
        )
        yield* Effect.forkScoped(consumer.run(() => Effect.void))
        yield* until("it is read", () => events.filter((tag) => tag === "CaughtUp").length === 4)
        yield* pass(5_000)
        yield* Effect.forkScoped(consumer.resubscribe(next as never))
        const millis = yield* until("it is given back", () => left.filter((topic) => topic === "t2").length === 2)
        assert.isBelow(millis, 2_000)
      }).pipe(scoped, Effect.provide(twoTopics))
    )

it.effect("of two resubscribes at a time the one that was begun last holds, in whichever order they end", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const producer = yield* Producer.Producer
    const consumer = yield* Consumer.subscribePattern({ group: "g", pattern: /^t1$/, from: "earliest" })
    const read = new Set<string>()
    yield* Effect.forkScoped(consumer.run(({ topic }) => Effect.sync(() => read.add(topic))))
    const first = yield* Effect.forkScoped(consumer.resubscribe(["later"]))
    yield* pass(1_000)
    assert.isUndefined(first.pollUnsafe())
    yield* moving(consumer.resubscribe(["t2"]))
    yield* broker.createTopic({ name: "later", partitions: 1 })
    yield* until("the first has ended", () => first.pollUnsafe() !== undefined)
    for (const name of ["t1", "t2", "later"]) yield* moving(producer.send(Topic.bytes(name), { value: null }))
    yield* pass(20_000)
    assert.deepStrictEqual([...read], ["t2"])
  }).pipe(scoped, Effect.provide(twoTopics))
)
