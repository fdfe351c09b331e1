/** Transactions on real brokers: all or nothing, fenced producers, and what coordinators of each age do. */
import { assert, layer } from "@effect/vitest"
import { Effect, Exit, Layer, Metric, Schema, Stream } from "effect"
import { Admin, Consumer, Kafka, KafkaError, Metrics, Producer, Topic, Transaction } from "samsa"
import * as KafkaServer from "./KafkaServer.ts"
import type { Mode, Version } from "./KafkaVersion.ts"

const brokers: ReadonlyArray<readonly [Version, Mode]> =
  process.env.SAMSA_FULL === "1"
    ? [
        ["0.11.0.3", "zookeeper"],
        ["2.8.2", "zookeeper"],
        ["3.9.2", "kraft"],
        ["4.4.0", "kraft"]
      ]
    : // The newest is that of the chain (transaction-chain.test.ts).
      [["2.8.2", "zookeeper"]]

const texts = <const N extends string>(name: N) =>
  Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.String })

const send = (topic: ReturnType<typeof texts>, name: string, count = 8) =>
  Effect.flatMap(Producer.Producer, (producer) =>
    producer.sendAll(
      topic,
      Array.from({ length: count }, (_, i) => ({ key: `${i}`, value: `${name}-${i}` }))
    )
  )

/** What is there to be read, by the part before the dash. */
const read = (topic: ReturnType<typeof texts>, isolation: "committed" | "uncommitted" = "committed") =>
  Effect.gen(function* () {
    const consumer = yield* Consumer.assign({ topic, from: "earliest", until: "latest", isolation })
    const values = yield* consumer.stream.pipe(
      Stream.map(({ value }) => value),
      Stream.runCollect
    )
    const counts: Record<string, number> = {}
    for (const value of values) counts[value.split("-")[0]!] = (counts[value.split("-")[0]!] ?? 0) + 1
    return counts
  }).pipe(Effect.scoped)

const reasonOf = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  const error = Exit.isFailure(exit) ? exit.cause.reasons.find((one) => one._tag === "Fail")?.error : undefined
  return KafkaError.isKafkaError(error) ? error.reason._tag : undefined
}

for (const [version, mode] of brokers) {
  const properties = { "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500 }
  layer(KafkaServer.layer({ version, mode, properties }), { excludeTestServices: true })(
    `Kafka ${version} (${mode})`,
    (it) => {
      const connected = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.flatMap(KafkaServer.KafkaServer, ({ bootstrap }) =>
          effect.pipe(Effect.scoped, Effect.provide(Kafka.layer({ bootstrap })))
        )

      it.effect("what is committed is read as a whole, and nothing of what is aborted", () =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("whole", { partitions: 4 })
          const topic = texts("whole")
          yield* connected(
            Effect.gen(function* () {
              const failed = yield* Effect.exit(
                Transaction.run(Effect.andThen(send(topic, "aborted"), Effect.fail("no")))
              )
              assert.deepStrictEqual(failed, Exit.fail("no"))
              for (let i = 0; i < 5; i++) yield* Transaction.run(send(topic, `c${i}`))
              // A record whose failure nobody looks at counts all the same.
              const lost = yield* Effect.exit(
                Transaction.run(
                  Effect.flatMap(Producer.Producer, (producer) =>
                    producer.sendAll(topic, [{ value: "lost-0" }, { value: "x".repeat(2_000_000) }])
                  )
                )
              )
              assert.strictEqual(reasonOf(lost), "RecordTooLarge")
              yield* Transaction.run(send(topic, "last", 400))
            }).pipe(Effect.provide(Transaction.layer({ transactionalId: "whole" })))
          )
          assert.deepStrictEqual(yield* connected(read(topic)), { c0: 8, c1: 8, c2: 8, c3: 8, c4: 8, last: 400 })
          const all = yield* connected(read(topic, "uncommitted"))
          assert.strictEqual(all.aborted, 8)
        })
      )

      it.effect("a producer whose id another one has taken can commit nothing", () =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("fenced", { partitions: 2 })
          const topic = texts("fenced")
          yield* connected(
            Effect.gen(function* () {
              const first = yield* Transaction.make({ transactionalId: "fenced" })
              yield* first.run(send(topic, "first"))
              const second = yield* Transaction.make({ transactionalId: "fenced" })
              yield* second.run(send(topic, "second"))
              for (let i = 0; i < 2; i++)
                assert.strictEqual(reasonOf(yield* Effect.exit(first.run(send(topic, "zombie")))), "Fenced")
              yield* second.run(send(topic, "third"))
              // In the middle of a transaction.
              const third = yield* Effect.exit(
                second.run(
                  Effect.andThen(send(topic, "open"), Effect.scoped(Transaction.make({ transactionalId: "fenced" })))
                )
              )
              assert.strictEqual(reasonOf(third), "Fenced")
            })
          )
          assert.deepStrictEqual(yield* connected(read(topic)), { first: 8, second: 8, third: 8 })
        })
      )

      it.effect("what takes too long is aborted by us, and the next one is not fenced", () =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("late")
          const topic = texts("late")
          yield* connected(
            Effect.gen(function* () {
              const late = yield* Effect.exit(Transaction.run(Effect.andThen(send(topic, "late"), Effect.never)))
              assert.strictEqual(reasonOf(late), "TimedOut")
              yield* Transaction.run(send(topic, "next"))
            }).pipe(Effect.provide(Transaction.layer({ transactionalId: "late", transactionTimeout: "2 seconds" })))
          )
          assert.deepStrictEqual(yield* connected(read(topic)), { next: 8 })
        })
      )
    }
  )
}

/** Whose coordinators have both transaction versions (KIP-890). */
layer(KafkaServer.layer({ version: "4.4.0", mode: "kraft" }), { excludeTestServices: true })(
  "Kafka 4.4.0, transaction.version 1 and 2",
  (it) => {
    // 32 767 is the last epoch, and each transaction has one of its own; some minutes.
    it.effect.skipIf(process.env.SAMSA_FULL !== "1")(
      "goes on under another producer id when the epochs are used up",
      () =>
        Effect.gen(function* () {
          const server = yield* KafkaServer.KafkaServer
          yield* server.createTopic("epochs")
          const topic = texts("epochs")
          const transactions = 33_000
          yield* Effect.gen(function* () {
            const admin = yield* Admin.Admin
            const { run } = yield* Transaction.make({ transactionalId: "epochs" })
            const producerId = Effect.map(admin.describeTransactions(["epochs"]), ([one]) =>
              one?._tag === "Success" ? one.success.producerId : undefined
            )
            const first = yield* producerId
            for (let i = 0; i < transactions; i++) {
              const once = send(topic, `${i % 2 === 0 ? "committed" : "aborted"}`, 1)
              if (i % 2 === 0) yield* run(once)
              else yield* Effect.exit(run(Effect.andThen(once, Effect.fail("no"))))
            }
            assert.notStrictEqual(yield* producerId, first)
            assert.deepStrictEqual(yield* read(topic), { committed: transactions / 2 })
          }).pipe(
            Effect.scoped,
            Effect.provide(Layer.provideMerge(Admin.layer(), Kafka.layer({ bootstrap: server.bootstrap })))
          )
        }),
      600_000
    )

    it.effect("the cluster goes from one to the other, and back, under clients that go on", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic("levels", { partitions: 4 })
        const topic = texts("levels")
        const client = Kafka.layer({ bootstrap: server.bootstrap })
        const all: Record<string, number> = {}
        yield* Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const goTo = (level: number, type: "upgrade" | "safe-downgrade") =>
            Effect.andThen(
              Admin.orFail(admin.updateFeatures([{ feature: "transaction.version", level, type }])),
              Effect.repeat(admin.describeFeatures(), {
                until: (features) => features.find(({ name }) => name === "transaction.version")?.level === level
              })
            )
          const some = (name: string, { run }: Transaction.Transactions["Service"]) =>
            Effect.gen(function* () {
              for (let i = 0; i < 5; i++) {
                yield* run(send(topic, `${name}${i}`))
                all[`${name}${i}`] = 8
                const failed = yield* Effect.exit(run(Effect.andThen(send(topic, "aborted"), Effect.fail("no"))))
                assert.deepStrictEqual(failed, Exit.fail("no"))
              }
            })
          /** Of a client that comes now; gives how often it added partitions, which with version 2 add themselves. */
          const fresh = (name: string) =>
            Effect.gen(function* () {
              yield* some(name, yield* Transaction.make({ transactionalId: "fresh" }))
              const added = (yield* Metric.snapshot).find(
                ({ attributes, id }) =>
                  id === Metrics.names.requestLatency && attributes?.["kafka.api.name"] === "AddPartitionsToTxn"
              )
              return added?.type === "Histogram" ? added.state.count : 0
            }).pipe(
              Effect.scoped,
              Effect.provide(client, { local: true }),
              Effect.provideService(Metric.MetricRegistry, new Map())
            )
          const first = yield* Transaction.make({ transactionalId: "first" })
          yield* some("a", first)
          assert.strictEqual(yield* fresh("b"), 0)
          yield* goTo(1, "safe-downgrade")
          yield* some("c", first)
          // Five that commit, and five that abort.
          assert.isAtLeast(yield* fresh("d"), 10)
          const old = yield* Transaction.make({ transactionalId: "old" }).pipe(
            Effect.provide(yield* Layer.build(Layer.fresh(client)))
          )
          yield* some("e", old)
          // In the midst of transactions of both.
          for (const [name, { run }] of [
            ["first", first],
            ["old", old]
          ] as const) {
            yield* run(
              Effect.gen(function* () {
                yield* send(topic, name)
                yield* goTo(2, "upgrade")
                yield* send(topic, name)
              })
            )
            all[name] = 16
            yield* goTo(1, "safe-downgrade")
          }
          yield* goTo(2, "upgrade")
          yield* some("f", first)
          yield* some("g", old)
          assert.strictEqual(yield* fresh("h"), 0)
          assert.deepStrictEqual(yield* read(topic), all)
        }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(Admin.layer(), client)))
      })
    )
  }
)
