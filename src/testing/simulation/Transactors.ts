/** The transactional producers of a simulation: what each transaction is given, how it ends, and what is said of it. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as KafkaError from "../../KafkaError.ts"
import * as Producer from "../../Producer.ts"
import * as Transaction from "../../Transaction.ts"
import type { Process } from "./Process.ts"
import type * as Script from "./Script.ts"
import { nameOf, valueOf } from "./Senders.ts"
import type { Acknowledged } from "./Timeline.ts"
import type { World } from "./World.ts"

type Service = Transaction.Transactions["Service"]
type Step = Script.StepOf<"transact">

/** Transactions under one id in one life of their process. */
interface Open {
  readonly process: Process
  readonly scope: Scope.Closeable
  readonly service: Service
  /** How many wait for their turn, or have it. */
  waiting: number
}

const isFenced = (exit: Exit.Exit<unknown, unknown>): boolean => {
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  return KafkaError.isKafkaError(error) && error.reason._tag === "Fenced"
}

/** The longest that a transaction may take from its turn on: to begin, to be at work, and to be ended or aborted. */
const budgetOf = ({ apiTimeout = 60_000, closeTimeout = 20_000, transactionTimeout = 60_000 }: Script.Transactor) =>
  transactionTimeout + 4 * apiTimeout + closeTimeout

/** The group whose offsets are part of the transactions of an id. */
export const groupOf = (transactionalId: string): string => `of-${transactionalId}`

export class Transactors {
  private readonly world: World
  private readonly specs = new Map<string, Script.Transactor>()
  private readonly open = new Map<string, Open>()
  private sent = 0
  private offset = 0

  constructor(world: World) {
    this.world = world
    for (const spec of world.script.transactors) this.specs.set(spec.name, spec)
  }

  /** What is open in the process that lives; whoever begins fences others of the same id. */
  private of(spec: Script.Transactor, process: Process): Effect.Effect<Open, KafkaError.KafkaError> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function* () {
        const open = this.open.get(spec.name)
        if (open?.process === process) return open
        const kafka = yield* restore(process.kafka)
        const { client: _, name: __, ...settings } = spec
        const scope = yield* Scope.make()
        const service = yield* restore(this.world.oracle.makeTransactions(settings)).pipe(
          Effect.provideContext(kafka),
          Scope.provide(scope),
          Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, Exit.void)))
        )
        const made: Open = { process, scope, service, waiting: 0 }
        // Of several that begin at once each ends the one before it, and no other.
        const other = this.open.get(spec.name)
        this.open.set(spec.name, made)
        if (other?.process === process) yield* this.end(spec, other)
        return made
      })
    )
  }

  /** What one transaction does, and the records that it was told the places of. */
  private body(step: Step, spec: Script.Transactor) {
    const { bytes, count, end, how, keys, open = 0, topics, transactor } = step
    const acknowledged: Array<Omit<Acknowledged, "at">> = []
    const self = Effect.gen({ self: this }, function* () {
      const producer = yield* Producer.Producer
      const transaction = yield* Transaction.Transaction
      const entries = Array.from({ length: count }, () => {
        const n = this.sent++
        const entry = { key: keys === 0 ? null : `k${n % keys}`, value: valueOf(`${transactor}-${n}`, bytes) }
        return { topic: this.world.topic(topics[n % topics.length]!), entry }
      })
      const noted = (value: string, { offset = -1, partition, topic }: Producer.RecordMetadata) =>
        void acknowledged.push({ topic, partition, offset, value: nameOf(value) })
      const one = ({ entry, topic }: (typeof entries)[number]) =>
        Effect.map(producer.send(topic, entry), (metadata) => noted(entry.value, metadata))
      switch (how) {
        case "send":
          yield* Effect.forEach(entries, one, { discard: true })
          break
        case "parallel":
          // That one has failed is the transaction's to remember.
          yield* Effect.forEach(entries, (entry) => Effect.ignore(one(entry)), {
            concurrency: "unbounded",
            discard: true
          })
          break
        case "offer": {
          const acks: Array<Effect.Effect<void>> = []
          for (const { entry, topic } of entries) {
            const offered = yield* Effect.result(producer.offer(topic, entry))
            if (offered._tag === "Success")
              acks.push(Effect.ignore(Effect.map(offered.success, (metadata) => noted(entry.value, metadata))))
          }
          yield* Effect.all(acks, { concurrency: "unbounded", discard: true })
          break
        }
        case "sendAll":
          for (const [topic, list] of Map.groupBy(entries, ({ topic }) => topic)) {
            const outcomes = yield* producer.sendAll(
              topic,
              list.map(({ entry }) => entry)
            )
            for (const [i, outcome] of outcomes.entries())
              if (outcome._tag === "Success") noted(list[i]!.entry.value, outcome.success)
              else return yield* outcome.failure
          }
      }
      if (step.offsets === true)
        yield* transaction.commitOffsets(
          { group: groupOf(spec.transactionalId), generation: -1, memberId: "", instanceId: null },
          [{ topic: topics[0]!, partition: 0, offset: ++this.offset }]
        )
      if (end !== "interrupt") yield* Effect.sleep(open)
      if (end === "fail") return yield* Effect.fail("no")
      if (end === "late" || end === "interrupt") return yield* Effect.never
    })
    return { acknowledged, self }
  }

  /** One transaction, and its end. */
  private once(step: Step, spec: Script.Transactor, open: Open): Effect.Effect<Exit.Exit<unknown, unknown>> {
    return Effect.gen({ self: this }, function* () {
      const { world } = this
      const began = world.now
      const { acknowledged, self } = this.body(step, spec)
      const within = world.within(spec.client, `a transaction of ${spec.name}`, budgetOf(spec) * ++open.waiting)
      const fiber = yield* Effect.forkChild(within(open.service.run(self)), { startImmediately: true })
      if (step.end === "interrupt") {
        yield* Effect.sleep(step.open ?? 0)
        yield* Effect.forkChild(Fiber.interrupt(fiber))
      }
      const exit = yield* Effect.onInterrupt(Fiber.await(fiber), () => Fiber.interrupt(fiber))
      open.waiting--
      const isClean = Exit.isSuccess(exit)
      // Nobody who reads committed data is given what lies behind it, until it has ended.
      for (const topic of step.topics)
        world.disturb(isClean ? 0 : (spec.transactionTimeout ?? 60_000), { topic }, began)
      if (isClean) for (const one of acknowledged) world.timeline.acknowledged.push({ ...one, at: world.now })
      return exit
    })
  }

  transact(step: Step): Effect.Effect<void> {
    const spec = this.specs.get(step.transactor)
    if (spec === undefined || step.topics.length === 0) return Effect.void
    const process = this.world.process(spec.client)
    const all = Effect.gen({ self: this }, function* () {
      for (let i = 0; i < step.times && (i === 0 || !this.world.isOver); i++) {
        const open = yield* this.of(spec, process)
        // Whoever is fenced begins anew, as its process would.
        if (isFenced(yield* this.once(step, spec, open)) && this.open.get(spec.name) === open)
          yield* this.close(spec.name)
        yield* Effect.sleep(step.pace ?? 0)
      }
    })
    return Effect.asVoid(this.world.work(process, Effect.ignore(all)))
  }

  private end({ client, closeTimeout = 20_000, name }: Script.Transactor, { process, scope }: Open) {
    return process.run(this.world.within(client, `closing ${name}`, closeTimeout)(Scope.close(scope, Exit.void)))
  }

  /** Closes it, whatever is open; the next transaction has a new one. */
  close(name: string): Effect.Effect<void> {
    const open = this.open.get(name)
    const spec = this.specs.get(name)
    if (open === undefined || spec === undefined) return Effect.void
    this.open.delete(name)
    return this.end(spec, open)
  }

  /** Closes those of a process. */
  closeAll(process: Process): Effect.Effect<void> {
    const names = [...this.open].flatMap(([name, open]) => (open.process === process ? [name] : []))
    return Effect.forEach(names, (name) => this.close(name), { concurrency: "unbounded", discard: true })
  }
}
