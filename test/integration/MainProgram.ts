/** The main program of `docs/examples/billing.ts`: what is sent is handled and committed, and a second run goes on from the commit. */
import { assert } from "@effect/vitest"
import { Effect, Result, Schedule, Schema } from "effect"
import { Consumer, Producer, Topic } from "samsa"
import { connected, type Engine, seen } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"

class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Int }) {}
const order = (i: number) => new Order({ id: `o-${i}`, total: i })
const ids = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `o-${from + i}`)
const sorted = (texts: ReadonlyArray<string>) => [...texts].sort()

/** Runs it twice, on a topic and a group of its own. */
export const run = (name: string, group: string, engine: Engine, options: Producer.Options = {}) =>
  Effect.gen(function* () {
    const server = yield* KafkaServer.KafkaServer
    const orders = Topic.make(name, { key: Schema.String, value: Schema.fromJsonString(Order) })
    yield* server.createTopic(name, { partitions: 4 })

    /** A run of the main program's consumer until it has handled so many orders, and then its orderly end. */
    const billing = (count: number) =>
      Effect.gen(function* () {
        const billed = seen<string>()
        const consumer = yield* Consumer.subscribe({ group, topics: [orders], from: "earliest" })
        const running = consumer.run((record) => Effect.sync(() => billed.add(record.value.id)), {
          retry: Schedule.exponential("100 millis").pipe(Schedule.upTo({ times: 5 }))
        })
        yield* Effect.raceFirst(
          running,
          billed.until(`${count} orders billed`, (all) => all.length >= count)
        )
        return billed.all
      }).pipe(Effect.scoped)

    yield* connected(
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const first = yield* producer.send(orders, { key: "o-0", value: order(0) })
        assert.strictEqual(first.topic, name)
        assert.strictEqual(first.offset, 0)
        const entries = Array.from({ length: 499 }, (_, i) => ({ key: `o-${i + 1}`, value: order(i + 1) }))
        const results = yield* producer.sendAll(orders, entries)
        assert.lengthOf(results, 499)
        assert.isTrue(results.every(Result.isSuccess))
        assert.deepStrictEqual(sorted(yield* billing(500)), sorted(ids(0, 500)))
      }),
      options,
      engine
    )
    // another client, as after a restart of the application
    yield* connected(
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        for (let i = 500; i < 510; i++) yield* producer.send(orders, { key: `o-${i}`, value: order(i) })
        assert.deepStrictEqual(sorted(yield* billing(10)), sorted(ids(500, 510)))
      }),
      options,
      engine
    )
  })
