/** Who is interrupted for standing still begins again, also where the topic is gone meanwhile and comes back. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Consumer, ErrorCode } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { committed, fill, follow, one, orders, pass, scoped, tags, until } from "./Harness.ts"

type Order = Consumer.RecordOf<typeof orders>

/** Who stands still at offset 1, until it is interrupted, and handles all the others. */
const standing = (way: "run" | "eachPartition") =>
  Effect.gen(function* () {
    yield* fill(5)
    const consumer: Consumer.Consumer<Order> = yield* Consumer.assign({
      topics: [orders],
      group: "g",
      from: "earliest",
      commitInterval: "100 millis",
      progressTimeout: "30 seconds",
      onStalled: "interrupt"
    })
    const events = yield* follow(consumer)
    const seen: Array<string> = []
    let isOver = false
    const handle = ({ offset, value }: Order) =>
      Effect.suspend(() => {
        seen.push(value)
        if (offset !== 1 || isOver) return Effect.void
        return Effect.onInterrupt(Effect.never, () => Effect.sync(() => (isOver = true)))
      })
    const reading = yield* Effect.forkScoped(
      way === "run"
        ? consumer.run(handle)
        : consumer.eachPartition(({ records }) =>
            Stream.runForEach(records, (record) => Effect.andThen(handle(record), Consumer.done(record)))
          )
    )
    yield* until("it stands still", () => seen.length === 2)
    return { events, seen, reading, isOver: () => isOver }
  })

describe("a partition whose handler was interrupted while its topic was gone is read again (it never was)", () => {
  for (const way of ["run", "eachPartition"] as const) {
    it.effect(`${way}: made again, from its first record`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { events, isOver, reading, seen } = yield* standing(way)
        yield* broker.deleteTopic(orders)
        yield* until("it is told", () => tags(events).includes("Deleted"))
        assert.isFalse(isOver())
        yield* until("it is interrupted", isOver)
        // Nobody is at work: that is no standstill.
        yield* pass(90_000, 1_000)
        assert.lengthOf(
          tags(events).filter((tag) => tag === "Stalled"),
          1
        )
        yield* broker.createTopic({ name: orders, partitions: 1 })
        yield* fill(3, 0, 100)
        yield* until("it is read", () => seen.includes("v102"))
        yield* until("and committed", () => Effect.map(committed(), (is) => is["orders-0"] === 3))
        assert.deepStrictEqual(seen, ["v0", "v1", "v100", "v101", "v102"])
        assert.isUndefined(reading.pollUnsafe())
      }).pipe(scoped, Effect.provide(one))
    )

    it.effect(`${way}: the same topic, from what is not done`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const { events, isOver, seen } = yield* standing(way)
        const { UNKNOWN_TOPIC_OR_PARTITION } = ErrorCode.codes
        const faults = [
          yield* broker.inject(Fault.on("Metadata").error(UNKNOWN_TOPIC_OR_PARTITION)),
          yield* broker.inject(Fault.on("Fetch").error(UNKNOWN_TOPIC_OR_PARTITION))
        ]
        yield* until("it is told", () => tags(events).includes("Deleted"))
        assert.isFalse(isOver())
        yield* until("it is interrupted", isOver)
        for (const fault of faults) yield* fault.remove
        yield* until("it is read", () => seen.includes("v4"))
        yield* until("and committed", () => Effect.map(committed(), (is) => is["orders-0"] === 5))
        assert.deepStrictEqual(seen, ["v0", "v1", "v1", "v2", "v3", "v4"])
      }).pipe(scoped, Effect.provide(one))
    )
  }
})
