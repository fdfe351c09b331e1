/**
 * A random walk over transactions: workers that commit, fail, are interrupted or take too long, each with the offsets of a
 * group in its transactions, and successors that come under the same transactional id while the one before still works;
 * meanwhile answers are lost, late or errors, markers are held back, brokers stop, leaders and coordinators move. What is
 * committed must be there as a whole, what is not must not, and in the end, when all is well, everybody can commit.
 */
import { Cause, Effect, Exit, Fiber, Schedule, Schema, Scope, Stream } from "effect"
import { KafkaError, Producer, Topic, Transaction } from "samsa"
import { EmbeddedKafka, Fault, Oracle } from "samsa/testing"
import { type Choices, choices } from "../../src/testing/simulation/Choices.ts"
import * as Walk from "./Walk.ts"

const bills = Topic.make("bills", { key: Schema.NullOr(Schema.String), value: Schema.String })
const partitions = 4

interface Worker {
  readonly id: string
  /** What of it was committed last, where it was told so. */
  offset: number
  transactions: Transaction.Transactions["Service"]
  readonly scope: Scope.Closeable
}

const ends = ["commit", "commit", "commit", "commit", "fail", "interrupt", "late"] as const

const apis = [
  "Produce",
  "InitProducerId",
  "AddPartitionsToTxn",
  "AddOffsetsToTxn",
  "TxnOffsetCommit",
  "EndTxn",
  "EndTxn",
  "WriteTxnMarkers",
  "FindCoordinator"
] as const

/** COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR, CONCURRENT_TRANSACTIONS. */
const ofCoordinators = [14, 15, 16, 51] as const
/** NOT_LEADER_OR_FOLLOWER, REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS. */
const ofLeaders = [6, 7, 19] as const

const faultOf = (choose: Choices) => {
  const api = choose.of(apis)
  const on = Fault.on(api, {
    probability: choose.of([0.2, 0.5, 1]),
    seed: choose.below(1000),
    times: choose.between(1, 6)
  })
  const code = api === "Produce" ? choose.of(ofLeaders) : choose.of(ofCoordinators)
  return choose.of([
    on.loseRequest,
    on.loseResponse,
    on.loseResponse,
    on.error(code),
    on.delay(choose.of([50, 500, 5_000])),
    on.withhold
  ])
}

export const trouble = (
  broker: EmbeddedKafka.Service,
  choose: Choices,
  ids: ReadonlyArray<string>,
  /** Brokers that are down: never all of them. */
  down: Set<number>
) =>
  Effect.suspend((): Effect.Effect<unknown, KafkaError.KafkaError, Scope.Scope> => {
    const node = choose.between(1, Walk.brokers + 1)
    switch (choose.of(["fault", "fault", "fault", "stop", "leader", "coordinator"] as const)) {
      case "fault":
        return broker.inject(faultOf(choose))
      case "stop":
        if (down.size === Walk.brokers - 1) return Effect.void
        down.add(node)
        return Effect.acquireRelease(broker.stop(node), () =>
          Effect.andThen(
            broker.start(node),
            Effect.sync(() => down.delete(node))
          )
        )
      case "leader":
        return broker.moveLeader(bills, choose.below(partitions))
      case "coordinator":
        return broker.moveTransactionCoordinator(choose.of(ids))
    }
  })

const isFenced = (exit: Exit.Exit<unknown, unknown>): boolean => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return KafkaError.isKafkaError(error) && error.reason._tag === "Fenced"
}

const walk = (choose: Choices, failures: Array<string>) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const oracle = yield* Oracle.Oracle
    const outer = yield* Effect.scope
    const down = new Set<number>()
    let sent = 0

    const begin = (id: string, offset: number) =>
      Effect.gen(function* () {
        const scope = yield* Scope.fork(outer)
        const made = oracle.makeTransactions({
          transactionalId: id,
          transactionTimeout: "20 seconds",
          apiTimeout: "15 seconds"
        })
        const transactions = yield* Effect.retry(Scope.provide(made, scope), Schedule.spaced("1 second"))
        const worker: Worker = { id, offset, transactions, scope }
        return worker
      })

    /** One transaction: some records, now and then a pause, and the offset of the worker's group. */
    const work = (worker: Worker, end: (typeof ends)[number]) => {
      const steps = choose.between(1, 4)
      const body = Effect.gen(function* () {
        const producer = yield* Producer.Producer
        const transaction = yield* Transaction.Transaction
        for (let step = 0; step < steps; step++) {
          const entries = Array.from({ length: choose.between(1, 5) }, () => ({
            key: null,
            value: `${worker.id} ${sent++}`,
            partition: choose.below(partitions)
          }))
          yield* producer.sendAll(bills, entries)
          if (choose.chance(0.3)) yield* Effect.sleep(choose.of([10, 200, 2_000]))
        }
        if (choose.chance(0.6))
          yield* transaction.commitOffsets(
            { group: `of ${worker.id}`, generation: -1, memberId: "", instanceId: null },
            [{ topic: "input", partition: 0, offset: ++worker.offset }]
          )
        if (end === "fail") return yield* Effect.fail("no")
        if (end === "late") yield* Effect.sleep("30 seconds")
        if (end === "interrupt") yield* Effect.sleep("1 minute")
      })
      return worker.transactions.run(body)
    }

    const workers: Array<Worker> = []
    for (let i = choose.between(1, 4); i > 0; i--) workers.push(yield* begin(`worker-${i}`, 0))
    const ids = workers.map(({ id }) => id)
    const reader = yield* oracle.assign({ topic: bills, from: "earliest", isolation: "committed" })
    const seen = new Set<string>()
    yield* Effect.forkScoped(Stream.runForEach(reader.stream, ({ value }) => Effect.sync(() => void seen.add(value))))

    /** Works through some transactions; who is fenced begins anew, as its process would. */
    const live = (index: number, rounds: number) =>
      Effect.gen(function* () {
        for (let round = 0; round < rounds; round++) {
          const worker = workers[index]!
          const end = choose.of(ends)
          const fiber = yield* Effect.forkChild(work(worker, end))
          if (end === "interrupt") {
            yield* Effect.sleep(choose.of([5, 100, 3_000]))
            yield* Fiber.interrupt(fiber)
          }
          // one that comes under the same id, while this one is at work
          const isReplaced = choose.chance(0.15)
          if (isReplaced) {
            yield* Effect.sleep(choose.of([5, 300]))
            workers[index] = yield* begin(worker.id, worker.offset + 100)
          }
          const exit = yield* Fiber.await(fiber)
          if (isFenced(exit) && workers[index] === worker) workers[index] = yield* begin(worker.id, worker.offset + 100)
          if (choose.chance(0.3)) yield* Effect.sleep(choose.of([100, 2_000]))
        }
      })

    for (let phase = 0; phase < 3; phase++) {
      yield* Effect.scoped(
        Effect.gen(function* () {
          const lives = yield* Effect.forkChild(
            Effect.forEach(workers, (_, index) => live(index, choose.between(1, 4)), { concurrency: "unbounded" })
          )
          for (let i = choose.between(1, 5); i > 0; i--) {
            yield* Effect.sleep(choose.between(0, 4_000))
            yield* trouble(broker, choose, ids, down)
          }
          yield* Effect.sleep(choose.between(0, 8_000))
          yield* Effect.forkScoped(Effect.ignore(Fiber.join(lives)))
          yield* oracle.within(`phase ${phase}`, "10 minutes")(Fiber.await(lives))
        })
      )
    }
    // what is left of the time of those that nobody ended
    yield* Effect.sleep("40 seconds")
    for (const [index, { id, offset }] of workers.entries()) workers[index] = yield* begin(id, offset + 1000)
    for (const worker of workers) {
      const exit = yield* oracle.within(`the last of ${worker.id}`, "2 minutes")(Effect.exit(work(worker, "commit")))
      if (Exit.isFailure(exit)) failures.push(`the last of ${worker.id}: ${Cause.pretty(exit.cause)}`)
    }
    for (const { state, transactionalId } of yield* broker.transactions)
      if (state === "Ongoing") failures.push(`${transactionalId} is left open`)
    // everything that is committed is read
    const all = (yield* broker.log(bills)).map(({ value }) => value)
    const isRead = Effect.suspend(() => (all.every((value) => seen.has(value)) ? Effect.void : Effect.fail("not yet")))
    yield* oracle.within("reading all", "1 minute")(Effect.retry(isRead, Schedule.spaced("100 millis")))
    if (seen.size !== all.length) failures.push(`${seen.size} values were read, where there are ${all.length}`)
  })

/** Walks from a seed. */
export const run = (seed: number): Effect.Effect<Walk.Run & { readonly failures: ReadonlyArray<string> }, unknown> => {
  const choose = choices(seed)
  const failures: Array<string> = []
  const kafka = {
    transactionVersion: choose.of([1, 2] as const),
    topics: [
      { name: bills, partitions, replicationFactor: 3 },
      { name: "input", partitions: 1, replicationFactor: 3 }
    ]
  }
  return Effect.map(Walk.run(seed, { kafka, limit: 60 * 60_000 }, walk(choose, failures)), (it) => ({
    ...it,
    failures
  }))
}
