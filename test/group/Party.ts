/** Members of one group on the embedded broker under TestClock, what they did, and how tests wait. */
import { assert } from "@effect/vitest"
import { Effect, Exit, type Fiber, Layer, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Producer, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"

export const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
export const partitions = 6
const kafka = KafkaTest.layer({ brokers: 2, topics: [{ name: orders, partitions }] })
export const layer = Producer.layer().pipe(Layer.provideMerge(kafka))
export type Order = Consumer.RecordOf<typeof orders>

export const produce = (count: number, to?: number) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const entries = Array.from({ length: count }, (_, i) => ({
      key: null,
      value: `${i}`,
      partition: to ?? i % partitions
    }))
    const results = yield* producer.sendAll(orders, entries)
    for (const result of results) assert.isTrue(Result.isSuccess(result))
  })
export const committed = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  return (yield* broker.committed("g")).reduce((sum, { offset }) => sum + offset, 0)
})
export const calm = Effect.forEach(Array.from({ length: 60 }), () => Effect.yieldNow, { discard: true })
export const until = <R>(what: string, is: Effect.Effect<boolean, never, R>, seconds = 120) =>
  Effect.gen(function* () {
    for (let i = 0; i < seconds * 4; i++) {
      yield* calm
      if (yield* is) return
      yield* TestClock.adjust("250 millis")
    }
    assert.fail(`it never came to pass: ${what}`)
  })
export const happens = (what: string, is: () => boolean, seconds?: number) => until(what, Effect.sync(is), seconds)
export const ended = (what: string, fiber: Fiber.Fiber<unknown, unknown>, seconds?: number) =>
  happens(what, () => fiber.pollUnsafe() !== undefined, seconds)
export const stable = (members: number) =>
  until(
    `the group has ${members} members`,
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const group = yield* broker.group("g")
      return group?.state === "Stable" && group.members.length === members
    })
  )

/** Members of one group, each in a Scope of its own, and what they did. */
export class Party {
  readonly handled: Array<string> = []
  readonly interrupted: Array<string> = []
  readonly events: Array<string> = []
  /** What handlers wait for. */
  work: (record: Order) => Effect.Effect<unknown> = () => Effect.void

  readonly join = Effect.fnUntraced(
    { self: this },
    function* (this: Party, name: string, options: Partial<Consumer.SubscribeOptions<readonly [typeof orders]>> = {}) {
      const scope = yield* Scope.make()
      const consumer = yield* Scope.provide(
        Consumer.subscribe({ group: "g", topics: [orders], from: "earliest", ...options }),
        scope
      )
      yield* Effect.forkDetach(
        Stream.runForEach(consumer.events, (event) =>
          Effect.sync(() => {
            if ("partitions" in event) {
              this.events.push(`${name} ${event._tag} ${event.partitions.map((p) => p.partition).join(" ")}`)
            }
          })
        )
      )
      const running = yield* Effect.forkDetach(
        Effect.result(
          consumer.run((record) =>
            this.work(record).pipe(
              Effect.tap(() => Effect.sync(() => this.handled.push(`${record.partition}:${record.offset}`))),
              Effect.onInterrupt(() => Effect.sync(() => this.interrupted.push(`${record.partition}:${record.offset}`)))
            )
          )
        )
      )
      return { consumer, running, leave: Scope.close(scope, Exit.void) }
    }
  )

  get duplicates() {
    return this.handled.length - new Set(this.handled).size
  }
  all(count: number) {
    return until(
      `${count} records are handled`,
      Effect.sync(() => new Set(this.handled).size >= count)
    )
  }
}
