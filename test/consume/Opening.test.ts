/** Partitions between their assignment and their first record. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { Cluster, Consumer, type Membership, type Producer } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import * as ErrorCode from "../../src/ErrorCode.ts"
import { Transport } from "../../src/Transport.ts"
import { fill, member, moving, one, orders, p0, pass, tags, two, until } from "./Harness.ts"

const p1 = { topic: "orders", partition: 1 }

for (const [what, given] of [
  ["one of two (opened-though-given-back)", [p0, p1]],
  ["all that there is (its reader stayed for as long as the consumer)", [p0]]
] as const)
  it.effect(`what is given back while it is being opened is fetched no more: ${what}`, () =>
    Effect.gen(function* () {
      yield* fill(3)
      const real = yield* Transport
      const open: Array<number> = []
      /** An engine that takes its time after it has begun to fetch a partition. */
      const slow: Transport["Service"] = {
        ...real,
        consumer: (settings) =>
          Effect.map(real.consumer(settings), (fetching) => ({
            open: (place, ...from) =>
              Effect.acquireRelease(
                Effect.sync(() => void open.push(place.partition)),
                () => Effect.sync(() => void open.splice(open.indexOf(place.partition), 1))
              ).pipe(Effect.andThen(fetching.open(place, ...from)), Effect.tap(Effect.sleep("1 second")))
          }))
      }
      let owner: Membership.Owner | undefined
      const membership: Membership.Membership = {
        name: "by hand",
        mistakes: [],
        rebalanceTimeout: undefined,
        join: (joined) =>
          Effect.sync(() => {
            owner = joined.owner
            return {
              identity: () => ({ memberId: "me", generation: 1, instanceId: null }),
              commitRefused: () => {},
              closing: Effect.void,
              leave: Effect.void
            }
          })
      }
      const read: Array<number> = []
      const options = { group: "g", topics: [orders], from: "earliest", membership } as const
      const consumer = yield* Effect.provideService(Consumer.subscribe(options), Transport, slow)
      yield* Effect.forkScoped(Stream.runForEach(consumer.stream, ({ offset }) => Effect.sync(() => read.push(offset))))
      yield* pass(1000)
      yield* Effect.forkScoped(owner!.assigned(given))
      yield* pass(500)
      assert.strictEqual(open[0], 0)
      yield* Effect.forkScoped(owner!.revoke([p0], 60_000))
      yield* pass(5000)
      assert.deepStrictEqual([read, open], [[], given.slice(1).map(({ partition }) => partition)])
      yield* Effect.forkScoped(owner!.assigned([p0]))
      yield* pass(5000)
      assert.deepStrictEqual(read, [0, 1, 2])
    }).pipe(Effect.scoped, Effect.provide(two))
  )

it.effect(
  "a topic that is gone by the word of some answers, and not of the next one, is read on (gone-by-one-word)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* fill(3)
      const { consumer, events } = yield* member()
      const read: Array<number> = []
      yield* Effect.forkScoped(Stream.runForEach(consumer.stream, ({ offset }) => Effect.sync(() => read.push(offset))))
      yield* until("it is read", () => read.length === 3)
      const unknown = Fault.on("Metadata", { topic: orders.name, times: 3 })
      yield* broker.inject(unknown.error(ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION))
      yield* Effect.forkScoped(Effect.exit(Effect.flatMap(Cluster.Cluster, (cluster) => cluster.topics([orders.name]))))
      yield* pass(10_000)
      yield* fill(3, 0, 3)
      yield* until("it is read on", () => read.length >= 6)
      assert.deepStrictEqual(read, [0, 1, 2, 3, 4, 5])
      assert.notInclude(tags(events), "Deleted")
    }).pipe(Effect.scoped, Effect.provide(one))
)

it.effect("a topic made again between its start and its reader is read from its first record (opened-in-another)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const cluster = yield* Cluster.Cluster
    yield* fill(5)
    const before = yield* member()
    yield* until("it has it", () => tags(before.events).includes("Assigned"))
    yield* moving(before.consumer.commit([{ ...p0, offset: 3 }]))
    yield* moving(before.close)
    const real = yield* Transport
    let isFirst = true
    const madeAgain = Effect.gen(function* () {
      if (!isFirst) return
      isFirst = false
      yield* broker.deleteTopic(orders)
      const asking = yield* Effect.forkChild(Effect.exit(cluster.topics([orders.name])))
      yield* Effect.repeat(Effect.sleep("100 millis"), { until: () => cluster.known(orders.name) === undefined })
      yield* broker.createTopic({ name: orders, partitions: 1 })
      yield* Fiber.interrupt(asking)
      yield* fill(10)
    })
    const context = yield* Effect.context<Producer.Producer>()
    const slow: Transport["Service"] = {
      ...real,
      consumer: (settings) =>
        Effect.map(real.consumer(settings), (fetching) => ({
          open: (...from) => Effect.andThen(Effect.provide(Effect.orDie(madeAgain), context), fetching.open(...from))
        }))
    }
    const { consumer, events } = yield* Effect.provideService(member(), Transport, slow)
    const read: Array<number> = []
    yield* Effect.forkScoped(Stream.runForEach(consumer.stream, ({ offset }) => Effect.sync(() => read.push(offset))))
    yield* until("it is read", () => read.includes(9))
    assert.deepStrictEqual([...new Set(read)].sort(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert.include(tags(events), "Recreated")
  }).pipe(Effect.scoped, Effect.provide(one))
)
