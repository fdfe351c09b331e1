/**
 * A random walk over `Transaction.process`: members of a group copy a topic, each in transactions of its own, while members
 * come, leave in peace or without a word, answers are lost or late, brokers stop, leaders and coordinators move. In the end
 * each record has been copied exactly once.
 */
import { Cause, Effect, Exit, Fiber, Layer, Schedule, Schema, Scope } from "effect"
import { Kafka, Membership, Network, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, Oracle } from "samsa/testing"
import { type Choices, choices } from "../../src/testing/simulation/Choices.ts"
import { trouble } from "./TransactionWalk.ts"
import * as Walk from "./Walk.ts"

const input = Topic.make("input", { key: Schema.NullOr(Schema.String), value: Schema.String })
const copies = Topic.make("bills", { key: Schema.NullOr(Schema.String), value: Schema.String })
const partitions = 4

interface Member {
  readonly name: string
  readonly scope: Scope.Closeable
  readonly fiber: Fiber.Fiber<unknown, unknown>
}

const walk = (choose: Choices, failures: Array<string>) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const oracle = yield* Oracle.Oracle
    const producer = yield* Producer.Producer
    const outer = yield* Effect.scope
    const down = new Set<number>()
    const sent: Array<string> = []
    const members: Array<Member> = []
    let named = 0

    const send = (count: number) =>
      Effect.suspend(() => {
        const entries = Array.from({ length: count }, () => {
          const value = `v${sent.length}`
          sent.push(value)
          return { key: null, value, partition: choose.below(partitions) }
        })
        return Effect.forEach(entries, (entry) =>
          Effect.andThen(
            Effect.retry(producer.send(input, entry), Schedule.spaced("1 second")),
            Effect.sleep(choose.of([0, 0, 50, 400]))
          )
        )
      })

    /** A member with a client of its own. */
    const join = Effect.gen(function* () {
      const name = `member-${named++}`
      const scope = yield* Scope.fork(outer)
      const client = Layer.provide(
        Kafka.layerWithoutNetwork({ bootstrap: broker.bootstrap, clientId: name }),
        Layer.succeed(Network.Network, { connect: broker.connect })
      )
      const maxRecords = choose.of([1, 5, 100])
      const pause = choose.of([0, 20, 500, 2_000])
      const working = Effect.gen(function* () {
        const consumer = yield* oracle.subscribe({
          group: "chain",
          topics: [input],
          from: "earliest",
          drainTimeout: "3 seconds",
          membership: Membership.classic({ sessionTimeout: "10 seconds", rebalanceTimeout: "15 seconds" })
        })
        const transactions = yield* oracle.makeTransactions({
          transactionalId: name,
          transactionTimeout: "20 seconds",
          apiTimeout: "15 seconds"
        })
        const copied = (records: ReadonlyArray<{ readonly value: string; readonly partition: number }>) =>
          Effect.gen(function* () {
            const own = yield* Producer.Producer
            if (pause > 0) yield* Effect.sleep(pause)
            yield* own.sendAll(
              copies,
              records.map(({ partition, value }) => ({ key: null, value, partition }))
            )
          })
        yield* transactions.process(consumer, copied, { maxRecords, maxTime: "50 millis" })
      })
      const context = yield* Layer.buildWithScope(client, scope)
      const fiber = yield* working.pipe(
        // its process would be started again
        (self) => Effect.retry(Effect.scoped(self), Schedule.spaced("2 seconds")),
        Effect.provide(context),
        Effect.onExit((exit) =>
          Effect.sync(() => {
            if (Exit.isFailure(exit) && !Cause.hasInterrupts(exit.cause)) failures.push(Cause.pretty(exit.cause))
          })
        ),
        Effect.forkIn(outer)
      )
      members.push({ name, scope, fiber })
    })
    const end = ({ fiber, name, scope }: Member) =>
      oracle.within(
        `the end of ${name}`,
        "1 minute"
      )(Effect.andThen(Fiber.interrupt(fiber), Scope.close(scope, Exit.void)))
    const leave = Effect.suspend(() => (members.length < 2 ? Effect.void : end(members.shift()!)))
    /** Nothing that it sends arrives any more. */
    const die = Effect.suspend((): Effect.Effect<void, never, Scope.Scope> => {
      if (members.length < 2) return Effect.void
      const dead = members.shift()!
      return Effect.andThen(
        broker.inject(Fault.on("*", { clientId: dead.name }).loseRequest),
        Effect.asVoid(Effect.forkIn(end(dead), outer))
      )
    })

    for (let i = choose.between(1, 4); i > 0; i--) yield* join
    for (let phase = 0; phase < 3; phase++)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.forkChild(send(choose.between(5, 40)))
          for (let i = choose.between(2, 7); i > 0; i--) {
            yield* Effect.sleep(choose.between(0, 3_000))
            switch (choose.of(["trouble", "trouble", "join", "leave", "die"] as const)) {
              case "trouble":
                yield* trouble(
                  broker,
                  choose,
                  members.map(({ name }) => name),
                  down
                )
                break
              case "join":
                if (members.length < 4) yield* join
                break
              case "leave":
                yield* leave
                break
              case "die":
                yield* die
            }
          }
          yield* Effect.sleep(choose.between(0, 12_000))
        })
      )
    yield* send(10)
    const isCopied = Effect.flatMap(Effect.orDie(broker.log(copies)), (records) => {
      const seen = new Set(records.filter(({ open }) => open !== true).map(({ value }) => value))
      return sent.every((value) => seen.has(value)) ? Effect.void : Effect.fail("not yet")
    })
    yield* oracle.within("everything is copied", "3 minutes")(Effect.retry(isCopied, Schedule.spaced("200 millis")))
    while (members.length > 0) yield* end(members.shift()!)
    const all = (yield* broker.log(copies)).filter(({ open }) => open !== true).map(({ value }) => value)
    const twice = all.filter((value, i) => all.indexOf(value) !== i)
    if (twice.length > 0) failures.push(`copied twice: ${twice.join(", ")}`)
    if (all.length !== sent.length) failures.push(`${all.length} copies of ${sent.length} records`)
  })

/** Walks from a seed. */
export const run = (seed: number): Effect.Effect<Walk.Run & { readonly failures: ReadonlyArray<string> }, unknown> => {
  const choose = choices(seed)
  const failures: Array<string> = []
  const kafka = {
    transactionVersion: choose.of([1, 2] as const),
    topics: [
      { name: input, partitions, replicationFactor: 3 },
      { name: copies, partitions, replicationFactor: 3 }
    ]
  }
  const walked = Effect.provide(walk(choose, failures), Producer.layer())
  return Effect.map(Walk.run(seed, { kafka, limit: 30 * 60_000 }, walked), (it) => ({ ...it, failures }))
}
