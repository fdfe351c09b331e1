/**
 * A chain of groups, one for each assignor of either protocol: each reads a topic and writes what it read to the next, while its members
 * join and leave. Every record comes out at the end, once. 200 000 records where `SAMSA_FULL` is set, else a sample.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Result, Schema, Scope, Stream } from "effect"
import { Assignor, Consumer, Membership, Producer, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"

const count = process.env.SAMSA_FULL === undefined ? 8_000 : 200_000
const stages: ReadonlyArray<readonly [group: string, membership: Membership.Membership]> = [
  ...[Assignor.range, Assignor.roundRobin, Assignor.sticky, Assignor.cooperativeSticky].map(
    (assignor) =>
      [assignor.name, Membership.classic({ assignors: [assignor], heartbeatInterval: "50 millis" })] as const
  ),
  ...["uniform", "range"].map((assignor) => [`the brokers' ${assignor}`, Membership.consumer({ assignor })] as const)
]
const partitions = 7
const links = Array.from({ length: stages.length + 1 }, (_, i) =>
  Topic.make(`link-${i}`, { key: Schema.NullOr(Schema.String), value: Schema.String })
)
const layer = Producer.layer().pipe(
  Layer.provideMerge(
    KafkaTest.layer({
      brokers: 3,
      groupConsumerHeartbeatInterval: "50 millis",
      topics: links.map((name) => ({ name, partitions, replicationFactor: 1 }))
    })
  )
)

const send = (topic: (typeof links)[number], values: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const results = yield* producer.sendAll(
      topic,
      values.map((value) => ({ key: null, value, partition: Number(value) % partitions }))
    )
    for (const result of results) assert.isTrue(Result.isSuccess(result))
  })

describe("a chain of groups", () => {
  it.live(
    `hands on every record once, whatever shares the partitions out (${count} records)`,
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        let rebalances = 0
        const stage = (i: number) =>
          Effect.gen(function* () {
            const [group, membership] = stages[i]!
            let seen = 0
            let onSeen: (() => void) | undefined
            const reach = (least: number) =>
              Effect.callback<void>((resume) => {
                onSeen = () => {
                  if (seen < least) return
                  onSeen = undefined
                  resume(Effect.void)
                }
                onSeen()
              })
            const join = Effect.gen(function* () {
              const scope = yield* Scope.make()
              const consumer = yield* Scope.provide(
                Consumer.subscribe({
                  group,
                  topics: [links[i]!],
                  from: "earliest",
                  commitInterval: "200 millis",
                  membership
                }),
                scope
              )
              yield* Effect.forkDetach(
                Stream.runForEach(consumer.events, (event) =>
                  Effect.sync(() => {
                    if (event._tag === "Revoked") rebalances++
                  })
                )
              )
              yield* Effect.forkDetach(
                consumer.eachPartition(({ records }) =>
                  Stream.runForEachArray(records, (array) =>
                    send(
                      links[i + 1]!,
                      array.map(({ value }) => value)
                    ).pipe(
                      Effect.andThen(Consumer.done(array)),
                      Effect.andThen(Effect.sync(() => ((seen += array.length), onSeen?.())))
                    )
                  )
                )
              )
              return Scope.close(scope, Exit.void)
            })
            // Members come and go as the records do.
            const leaving = [yield* join, yield* join]
            for (let part = 1; part <= 4; part++) {
              yield* reach((count * part) / 5)
              leaving.push(yield* join)
              if (part % 2 === 0) yield* leaving.shift()!
            }
            yield* reach(count)
            for (const leave of leaving) yield* leave
          })
        const all = yield* Effect.forkChild(
          Effect.forEach(stages, (_, i) => stage(i), { concurrency: "unbounded", discard: true })
        )
        for (let from = 0; from < count; from += 1_000)
          yield* send(
            links[0]!,
            Array.from({ length: Math.min(1_000, count - from) }, (_, i) => `${from + i}`)
          )
        yield* Fiber.join(all)
        for (const link of links) {
          const values = (yield* broker.log(link)).map(({ value }) => value)
          assert.strictEqual(values.length, count, link.name)
          assert.strictEqual(new Set(values).size, count, link.name)
        }
        assert.isAbove(rebalances, stages.length * 2)
      }).pipe(Effect.scoped, Effect.provide(layer)),
    { timeout: 300_000 }
  )
})
