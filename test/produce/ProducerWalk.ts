/**
 * A random walk of whole producers over the embedded broker, of any release, in virtual time: several on one client, every way to send,
 * with refusals before and after the append, splits, lost requests and answers, brokers that hang, stop and start, leaders
 * that move or are none, topics made again, stale metadata, interruptions, full buffers, flushes, and closing in the
 * middle. Judged by order numbers that the walk itself put into the records; no good record fails that has time left. The same
 * seed gives the same walk.
 */
import { Cause, Schedule, Effect, Exit, Fiber, Result, Schema, Scope, References } from "effect"
import { TestClock } from "effect/testing"
import { KafkaError, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault, KafkaTest } from "samsa/testing"
import { randomOf } from "./AccumulatorWalk.ts"

const text = Topic.make("text", { key: Schema.NullOr(Schema.String), value: Schema.String })

interface Fate {
  readonly producer: number
  readonly partition: number
  readonly order: number
  readonly value: string
  readonly since: number
  outcome: "acknowledged" | "interrupted" | KafkaError.KafkaError | undefined
  /** When it was told. */
  at: number
  offset: number
}

interface Walker {
  readonly producer: Producer.Producer["Service"]
  readonly scope: Scope.Closeable
  readonly acks: 0 | 1 | "all"
  exact: boolean
  readonly deliveryTimeout: number
  /** Only what is refused, or has no leader until its time is over, may fail. */
  readonly sure: boolean
  readonly orders: Array<number>
  closedAt: number
}

/** What went wrong; nothing, if all is well. */
export const walk = (seed: number, steps = 40): Effect.Effect<ReadonlyArray<string>, unknown> =>
  Effect.suspend(() => {
    const random = randomOf(seed + 77)
    const upTo = (n: number) => Math.floor(random() * n)
    const chance = (p: number) => random() < p
    const partitions = 1 + upTo(4)
    const brokers = 1 + upTo(3)
    const replicationFactor = 1 + upTo(brokers)
    const release = (["0.8.2", "0.9", "0.10.2", "0.11", "1.1", "2.8", "3.9", "4.0", "4.4"] as const)[upTo(9)]!
    const old =
      release.startsWith("0.8") || release.startsWith("0.9") || release.startsWith("0.10") || release === "0.11"
    const layer = KafkaTest.layer({
      brokers,
      replicationFactor,
      seed: seed + 1,
      autoCreate: false,
      asVersion: release,
      topics: [
        {
          name: text,
          partitions,
          config: { "unclean.leader.election.enable": "false", ...(chance(0.3) ? { "max.message.bytes": "400" } : {}) }
        }
      ],
      client: { requestTimeout: "2 seconds", metadataTimeout: "5 seconds" }
    })

    return Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const problems: Array<string> = []
      const fates: Array<Fate> = []
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      const faults: Array<EmbeddedKafka.FaultHandle> = []
      const stopped = new Set<number>()
      const flushes: Array<{ done: boolean }> = []
      let now = 0
      /** A log was lost with its topic, or with the only replica that had it. */
      let recreated = false
      let moved = false

      const walkers: Array<Walker> = []
      for (let i = 0, n = 1 + upTo(3); i < n; i++) {
        const acks = chance(0.75) ? "all" : chance(0.5) ? 1 : 0
        const deliveryTimeout = chance(0.3) ? 1000 + upTo(3000) : 60_000
        const scope = yield* Scope.make()
        const plain = chance(0.15) && acks === "all"
        const options: Producer.Options = {
          acks,
          deliveryTimeout,
          requestTimeout: 1000 + upTo(2000),
          closeTimeout: upTo(2) * 2000,
          linger: upTo(3) * 5,
          batchBytes: 150 + upTo(600),
          maxInFlight: 1 + upTo(5),
          ...(chance(0.3) ? { bufferRecords: 5 + upTo(30) } : {}),
          ...(chance(0.3) ? { compression: (["lz4", "gzip", "snappy"] as const)[upTo(3)]! } : {}),
          ...(chance(0.2) ? { minQueued: 1 + upTo(10) } : {}),
          ...(chance(0.25)
            ? { retry: Schedule.spaced(`${upTo(300)} millis`).pipe(Schedule.upTo({ times: upTo(4) })) as any }
            : {}),
          ...(chance(0.1) ? { whenFull: "fail" as const } : {}),
          ...(chance(0.2) ? { maxRequestBytes: 700 + upTo(600) } : {}),
          ...(chance(0.2) ? { bufferBytes: 300 + upTo(3000) } : {}),
          ...(plain ? { idempotent: false } : {})
        }
        const producer = yield* Scope.provide(Producer.make(options), scope)
        walkers.push({
          exact: acks === "all" && !plain && !old,
          producer,
          scope,
          acks,
          deliveryTimeout,
          sure:
            deliveryTimeout === 60_000 && acks !== 0 && options.retry === undefined && options.whenFull === undefined,
          orders: Array.from({ length: 8 }, () => 0),
          closedAt: Infinity
        })
      }
      // From here on topics are known, and an entry is handed over in the turn in which it is sent.
      for (const { producer } of walkers) yield* Effect.exit(producer.send(text, { value: "warm", partition: 0 }))

      const entry = (i: number) => {
        const partition = upTo(partitions)
        const order = walkers[i]!.orders[partition]!++
        const value = `${i}:${partition}:${order}:${"x".repeat(upTo(40))}`
        const fate: Fate = { producer: i, partition, order, value, since: now, outcome: undefined, at: -1, offset: -1 }
        fates.push(fate)
        return { fate, entry: { value, partition } }
      }
      const settle = (fate: Fate, result: Result.Result<Producer.RecordMetadata, KafkaError.KafkaError>) => {
        if (fate.outcome !== undefined) problems.push(`${fate.value} has a second outcome`)
        fate.at = now
        if (Result.isSuccess(result)) {
          fate.outcome = "acknowledged"
          fate.offset = result.success.offset
        } else fate.outcome = result.failure
      }
      const start = (effect: Effect.Effect<unknown, unknown>) =>
        Effect.map(Effect.forkChild(effect, { startImmediately: true }), (fiber) => {
          fibers.push(fiber)
          return fiber
        })
      const send = Effect.fnUntraced(function* () {
        const i = upTo(walkers.length)
        const { closedAt, producer } = walkers[i]!
        if (closedAt < Infinity) return
        const way = upTo(5)
        if (way === 0) {
          const all = Array.from({ length: 1 + upTo(15) }, () => entry(i))
          const sending = producer.sendAll(
            text,
            all.map((one) => one.entry)
          )
          yield* start(Effect.map(sending, (results) => results.forEach((result, k) => settle(all[k]!.fate, result))))
        } else if (way === 1) {
          const { entry: one, fate } = entry(i)
          const fiber = yield* start(
            Effect.map(Effect.result(producer.send(text, one)), (result) => settle(fate, result))
          )
          if (chance(0.15)) {
            for (let n = upTo(4); n > 0; n--) yield* Effect.yieldNow
            yield* Fiber.interrupt(fiber)
            fate.outcome ??= "interrupted"
          }
        } else if (way === 4) {
          // The first that fails takes the others back, and another one is sent at once.
          const one = (headers: boolean) =>
            Effect.suspend(() => {
              const { entry: made, fate } = entry(i)
              const sending = producer.send(text, headers ? { ...made, headers: [["h", null]] } : made)
              return Effect.onExit(sending, (exit) =>
                Effect.sync(() => {
                  if (Exit.isSuccess(exit)) settle(fate, Result.succeed(exit.value))
                  else if (Exit.hasInterrupts(exit)) fate.outcome ??= "interrupted"
                  else settle(fate, Result.fail(Cause.squash(exit.cause) as KafkaError.KafkaError))
                })
              )
            })
          const together = Effect.suspend(() =>
            Effect.all(
              Array.from({ length: 2 + upTo(3) }, () => one(chance(0.1))),
              { concurrency: "unbounded" }
            )
          )
          yield* start(Effect.ignore(Effect.catch(together, () => one(false))))
        } else if (way === 3) {
          const all = Array.from({ length: 1 + upTo(15) }, () => entry(i))
          yield* start(
            Effect.flatMap(
              producer.offerAll(
                text,
                all.map((one) => one.entry)
              ),
              (acks) => Effect.map(acks, (results) => results.forEach((result, k) => settle(all[k]!.fate, result)))
            )
          )
        } else {
          const { entry: one, fate } = entry(i)
          const offering = Effect.matchEffect(producer.offer(text, one), {
            onSuccess: (ack) => Effect.map(Effect.result(ack), (result) => settle(fate, result)),
            onFailure: (error) => Effect.sync(() => settle(fate, Result.fail(error)))
          })
          yield* start(offering)
        }
      })

      const produceFaults = (): ReadonlyArray<Fault.Fault> => {
        const on = Fault.on("Produce", { times: 1 + upTo(3), ...(chance(0.5) ? { partition: upTo(partitions) } : {}) })
        return [
          on.error([6, 3, 19, 7, 87, 10, 2, -1, 56][upTo(9)]!),
          on.errorAfter([6, 7, 20, -1, 56, 3][upTo(6)]!),
          on.loseRequest,
          on.loseResponse,
          on.withhold,
          on.delay(upTo(1500)),
          on.close
        ]
      }
      const disturb = Effect.fnUntraced(function* () {
        const dice = upTo(12)
        if (dice < 6) {
          const all = produceFaults()
          faults.push(yield* broker.inject(all[upTo(all.length)]!))
        } else if (dice === 6 && stopped.size < brokers) {
          const id = 1 + upTo(brokers)
          if (stopped.has(id)) return
          stopped.add(id)
          moved = true
          yield* broker.stop(id)
        } else if (dice === 7 || dice === 8) {
          for (const id of [...stopped].slice(0, 1)) {
            stopped.delete(id)
            yield* broker.start(id)
          }
        } else if (dice === 9 && replicationFactor > 1) {
          moved = true
          yield* Effect.ignore(broker.moveLeader(text, upTo(partitions)))
        } else if (dice === 10) faults.push(yield* broker.inject(Fault.on("Metadata", { times: 3 }).staleMetadata))
        else if (chance(0.15)) {
          recreated = true
          yield* Effect.ignore(broker.recreateTopic(text))
        } else faults.push(yield* broker.inject(Fault.on("InitProducerId", { times: 2 }).error(14)))
      })
      const move = (millis: number) =>
        Effect.andThen(
          Effect.sync(() => (now += millis)),
          TestClock.adjust(millis)
        )

      for (let step = 0; step < steps; step++) {
        const dice = random()
        if (dice < 0.55) yield* send()
        else if (dice < 0.75) yield* disturb()
        else if (dice < 0.95) yield* move(chance(0.8) ? upTo(50) : upTo(1500))
        else if (dice < 0.97) {
          const walker = upTo(walkers.length)
          const one = { done: false }
          flushes.push(one)
          yield* start(
            Effect.map(walkers[walker]!.producer.flush, () => {
              one.done = true
            })
          )
        } else if (dice < 0.98 && walkers.length > 1) {
          const walker = walkers[upTo(walkers.length)]!
          if (walker.closedAt < Infinity) continue
          walker.closedAt = now
          yield* start(Scope.close(walker.scope, Exit.void))
        }
      }

      // Everything heals, and comes to its end.
      for (const fault of faults) yield* fault.remove
      for (const id of stopped) yield* broker.start(id)
      const healed = now
      for (let round = 0; round < 80 && fates.some(({ outcome }) => outcome === undefined); round++) yield* move(1000)
      for (const walker of walkers) {
        if (walker.closedAt < Infinity) continue
        walker.closedAt = now
        yield* start(Scope.close(walker.scope, Exit.void))
      }
      for (let round = 0; round < 10; round++) yield* move(1000)
      for (const fiber of fibers) {
        if (fiber.pollUnsafe() === undefined) problems.push("a fiber has not come to its end")
        else if (Exit.isFailure(fiber.pollUnsafe()!) && !Exit.hasInterrupts(fiber.pollUnsafe()!))
          problems.push(`a fiber failed: ${String(fiber.pollUnsafe())}`)
      }
      for (const { done } of flushes) if (!done) problems.push("a flush has not come to its end")
      const logs: Array<ReadonlyArray<string>> = []
      for (let p = 0; p < partitions; p++) logs.push((yield* broker.log(text, p)).map(({ value }) => value))
      // Before Produce v13 a topic that was made again may get what is under way in any order: it takes any first sequence.
      const unordered = recreated && release !== "4.4"
      const headless = old && release !== "0.11"
      judge({ fates, logs, walkers, recreated, moved, unordered, headless, healed }, problems)
      for (const defect of yield* broker.defects) problems.push(`the broker has a defect: ${String(defect)}`)
      return problems.map((p) => `Kafka ${release}: ${p}`)
    }).pipe(
      Effect.scoped,
      Effect.provide(layer),
      Effect.provide(TestClock.layer()),
      Effect.provideService(References.MinimumLogLevel, "None")
    )
  })

/** What the faults say of a record itself: MESSAGE_TOO_LARGE, INVALID_RECORD. */
const refusals: ReadonlySet<number> = new Set([10, 87])

const judge = (
  run: {
    readonly fates: ReadonlyArray<Fate>
    readonly logs: ReadonlyArray<ReadonlyArray<string>>
    readonly walkers: ReadonlyArray<Walker>
    readonly recreated: boolean
    readonly moved: boolean
    readonly unordered: boolean
    /** The brokers are too old for headers. */
    readonly headless: boolean
    readonly healed: number
  },
  problems: Array<string>
): void => {
  const { fates, headless, healed, logs, moved, recreated, unordered, walkers } = run
  logs.forEach((log, p) => {
    walkers.forEach(({ acks, exact }, i) => {
      if (unordered && exact) return
      const orders = log.flatMap((value) => (value.startsWith(`${i}:${p}:`) ? [Number(value.split(":")[2])] : []))
      const firsts = exact ? orders : orders.filter((order, k) => orders.indexOf(order) === k)
      for (let k = 1; k < firsts.length; k++)
        if (firsts[k]! <= firsts[k - 1]!)
          problems.push(
            `partition ${p}, producer ${i} (acks ${acks}, exact ${exact}): ${firsts[k - 1]} before ${firsts[k]} in ${orders.join(" ")}`
          )
    })
  })
  const there = logs.map((log) => new Set(log))
  for (const { at, offset, outcome, partition, producer, since, value } of fates) {
    const { acks, closedAt, deliveryTimeout, exact, sure } = walkers[producer]!
    const found = there[partition]!.has(value)
    if (outcome === undefined) problems.push(`${value} has no outcome`)
    else if (outcome === "acknowledged") {
      if (!found && !recreated && (acks === "all" || (acks === 1 && !moved)))
        problems.push(`${value} was acknowledged and is lost`)
      if (exact && !recreated && offset >= 0 && logs[partition]![offset] !== value)
        problems.push(`${value} was acknowledged at ${offset}, where ${logs[partition]![offset]} is`)
    } else if (outcome !== "interrupted") {
      const { reason } = outcome
      // The faults say after the append what Kafka says there with all acks alone.
      if (reason._tag === "NotDelivered" && reason.persistence === "not" && found && acks === "all")
        problems.push(`${value} is told not to be there, and is: ${reason.cause}`)
      else if (reason._tag !== "NotDelivered" && found)
        problems.push(`${value} failed with ${reason._tag} and is there`)
      const isFit = ["NotDelivered", "TimedOut", "Closed", "BufferFull", "RecordTooLarge"].includes(reason._tag)
      if (!isFit && !(headless && reason._tag === "Unsupported")) problems.push(`${value} failed: ${outcome.message}`)
      const hasTime = since + deliveryTimeout - healed > 20_000 && at < closedAt
      const isRefused = reason._tag === "NotDelivered" && refusals.has(reason.code ?? 0)
      // A part of a batch that may have been appended whole cannot be proven either way.
      const isPart = reason._tag === "NotDelivered" && reason.code === 45 && reason.persistence === "possibly"
      if (sure && hasTime && !isRefused && !isPart && !(headless && reason._tag === "Unsupported"))
        problems.push(`${value} is good and failed: ${outcome.message}`)
    }
  }
}
