/** Transactions beside those of kcat (librdkafka): each reads what the other has committed, once, and nothing else. */
import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schedule, Schema, Scope, Stream } from "effect"
import { Consumer, Kafka, Producer, Topic, Transaction } from "samsa"
import * as KafkaServer from "./KafkaServer.ts"
import type { Mode, Version } from "./KafkaVersion.ts"
import * as Kcat from "./Kcat.ts"

const brokers: ReadonlyArray<readonly [Version, Mode]> = [
  ["2.8.2", "zookeeper"],
  ["4.4.0", "kraft"]
]

const partitions = 3

const texts = (name: string) => Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.String })

const named = (name: string, count = 30) => Array.from({ length: count }, (_, i) => `${name}-${i}`)

/** Of these kcat sends the first while its input is open: it reads blocks of some KiB. */
const many = (name: string) => named(name, 2000)
const first = (name: string) => named(name, 500)

const send = (topic: ReturnType<typeof texts>, values: ReadonlyArray<string>) =>
  Effect.flatMap(Producer.Producer, (producer) =>
    producer.sendAll(
      topic,
      values.map((value, i) => ({ value, partition: i % partitions }))
    )
  )

type Isolation = "committed" | "uncommitted"

/** What we read to the end. */
const ours = (topic: ReturnType<typeof texts>, isolation: Isolation = "committed") =>
  Effect.gen(function* () {
    const consumer = yield* Consumer.assign({ topic, from: "earliest", until: "latest", isolation })
    return (yield* Stream.runCollect(consumer.stream)).map(({ value }) => value).sort()
  }).pipe(Effect.scoped)

/** What kcat reads to the end. */
const theirs = (topic: ReturnType<typeof texts>, isolation: Isolation = "committed") =>
  Effect.flatMap(KafkaServer.KafkaServer, ({ bootstrap }) =>
    Effect.map(Kcat.consume({ bootstrap, topic: topic.name, isolation: `read_${isolation}` }), (records) =>
      records.map(({ value }) => value!).sort()
    )
  )

/** Waits until they are there, also of what is open. */
const there = (topic: ReturnType<typeof texts>, values: ReadonlyArray<string>) =>
  Effect.repeat(ours(topic, "uncommitted"), {
    until: (read) => {
      const all = new Set(read)
      return values.every((value) => all.has(value))
    },
    schedule: Schedule.spaced("50 millis")
  })

/** Markers follow the answer to a commit: it is waited for so many records, and no others are there. */
const settles = <E, R>(read: Effect.Effect<ReadonlyArray<string>, E, R>, expected: ReadonlyArray<string>) =>
  Effect.map(
    Effect.repeat(read, {
      until: ({ length }) => length >= expected.length,
      schedule: Schedule.spaced("50 millis")
    }),
    (values) => assert.deepStrictEqual(values, expected)
  )

const sorted = (...lists: ReadonlyArray<ReadonlyArray<string>>) => lists.flat().sort()

for (const [version, mode] of brokers) {
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    const made = (name: string) =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic(name, { partitions })
        return { topic: texts(name), bootstrap: server.bootstrap }
      })

    it.effect("kcat reads what is committed once, and nothing of what is aborted or open", () =>
      Effect.gen(function* () {
        const { bootstrap, topic } = yield* made("ours")
        yield* Effect.gen(function* () {
          const failing = Transaction.run(Effect.andThen(send(topic, named("failed")), Effect.fail("no")))
          assert.deepStrictEqual(yield* Effect.exit(failing), Exit.fail("no"))
          yield* Transaction.run(send(topic, named("a")))
          const isSent = yield* Deferred.make<void>()
          const endless = send(topic, named("interrupted")).pipe(
            Effect.andThen(Deferred.succeed(isSent, undefined)),
            Effect.andThen(Effect.never)
          )
          const interrupted = yield* Effect.forkChild(Transaction.run(endless))
          yield* Deferred.await(isSent)
          yield* Fiber.interrupt(interrupted)
          yield* Transaction.run(send(topic, named("b")))
          const before = sorted(named("a"), named("b"))
          yield* Transaction.run(
            Effect.gen(function* () {
              yield* send(topic, named("c"))
              yield* there(topic, named("c"))
              yield* settles(theirs(topic), before)
              const all = sorted(before, named("failed"), named("interrupted"), named("c"))
              yield* settles(theirs(topic, "uncommitted"), all)
            })
          )
          yield* settles(theirs(topic), sorted(before, named("c")))
        }).pipe(
          Effect.provide(Transaction.layer({ transactionalId: "ours" })),
          Effect.provide(Kafka.layer({ bootstrap }))
        )
      }).pipe(KafkaServer.diagnosed)
    )

    it.effect("what kcat commits is read once, and nothing of what it aborts", () =>
      Effect.gen(function* () {
        const { bootstrap, topic } = yield* made("theirs")
        const target = { bootstrap, topic: topic.name }
        yield* Effect.gen(function* () {
          const aborted = yield* Kcat.transaction({ ...target, transactionalId: "theirs" })
          yield* aborted.write(many("aborted"))
          yield* there(topic, first("aborted"))
          assert.deepStrictEqual(yield* ours(topic), [])
          yield* aborted.abort
          const committed = yield* Kcat.transaction({ ...target, transactionalId: "theirs" })
          yield* committed.write(many("x"))
          yield* there(topic, first("x"))
          // Beside one of ours, in the same partitions.
          yield* Transaction.run(send(topic, named("a")))
          // That is behind what is open still.
          assert.notInclude(yield* ours(topic), "x-0")
          assert.match(yield* committed.commit, /^exit 0/)
          const expected = sorted(many("x"), named("a"))
          yield* settles(ours(topic), expected)
          yield* settles(theirs(topic), expected)
        }).pipe(
          Effect.provide(Transaction.layer({ transactionalId: "beside" })),
          Effect.scoped,
          Effect.provide(Kafka.layer({ bootstrap }))
        )
      }).pipe(KafkaServer.diagnosed)
    )

    it.effect("whoever takes the id of the other aborts what it has left open, and is the only one", () =>
      Effect.gen(function* () {
        const { bootstrap, topic } = yield* made("taken")
        const id = { transactionalId: "taken" }
        const target = { bootstrap, topic: topic.name, ...id }
        yield* Effect.gen(function* () {
          const killed = yield* Kcat.transaction(target)
          yield* killed.write(many("killed"))
          yield* there(topic, first("killed"))
          yield* killed.kill
          const outer = yield* Effect.scope
          const zombie = yield* Effect.gen(function* () {
            const transactions = yield* Transaction.make(id)
            yield* transactions.run(send(topic, named("a")))
            yield* settles(ours(topic), sorted(named("a")))
            const frozen = yield* Scope.provide(Kcat.transaction(target), outer)
            yield* frozen.write(many("frozen"))
            yield* there(topic, first("frozen"))
            yield* frozen.freeze
            const fenced = yield* Effect.flip(transactions.run(send(topic, named("zombie"))))
            assert.strictEqual(fenced._tag === "KafkaError" ? fenced.reason._tag : "", "Fenced")
            return frozen
          }).pipe(Effect.scoped)
          const transactions = yield* Transaction.make(id)
          yield* transactions.run(send(topic, named("b")))
          yield* zombie.thaw
          // It hears of it by what it sends, or by its commit.
          assert.match(yield* zombie.commit, /fenced|newer|Failed to commit/i)
          yield* transactions.run(send(topic, named("c")))
          const expected = sorted(named("a"), named("b"), named("c"))
          yield* settles(ours(topic), expected)
          yield* settles(theirs(topic), expected)
        }).pipe(Effect.scoped, Effect.provide(Kafka.layer({ bootstrap })))
      }).pipe(KafkaServer.diagnosed)
    )
  })
}
