/**
 * Members that copy what they read to another topic in transactions, each of which has the offsets of the group: a record
 * is handled when its transaction is committed, and its copy is there once.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type * as Consumer from "../../Consumer.ts"
import type { Kafka } from "../../Kafka.ts"
import { kept } from "../../Kept.ts"
import * as Producer from "../../Producer.ts"
import type { TopicPartition } from "../../TopicPartition.ts"
import { type Handlers, isChain, readerOf } from "./Handlers.ts"
import type { Read } from "./Reading.ts"
import * as Script from "./Script.ts"
import { nameOf } from "./Senders.ts"
import type { World } from "./World.ts"

const keyOf = (group: string, { partition, topic }: TopicPartition): string => `${group} ${topic}-${partition}`

export class Chains {
  private readonly world: World
  private readonly handlers: Handlers
  /** What was handled in transactions, by group and partition: names by their offsets. */
  private readonly taken = new Map<string, Map<number, string>>()

  constructor(world: World, handlers: Handlers) {
    this.world = world
    this.handlers = handlers
  }

  /** Copies until the consumer ends. `id` is the member in one of its lives. */
  process(
    spec: Script.Member,
    id: string,
    consumer: Consumer.Consumer<Read>
  ): Effect.Effect<void, unknown, Kafka | Scope.Scope> {
    const { apiTimeout, batch, closeTimeout, failsWhole, name, to = "", transactionTimeout } = spec
    const { world } = this
    const group = readerOf(spec)
    const target = world.topic(to)
    const one = (record: Read) => {
      const { offset, partition, topic } = record
      const value = textOf(record)
      return Effect.map(this.handlers.handle(spec, id, { topic, partition, offset, value }), () => {
        kept(this.taken, keyOf(group, record), () => new Map()).set(offset, nameOf(value))
        // Its place too: a producer without idempotence may have written it twice.
        return { key: null, value: `${group}:${topic}-${partition}@${offset}:${nameOf(value)}` }
      })
    }
    const copied = (records: ReadonlyArray<Read>) =>
      Effect.suspend(() => {
        const began = world.now
        return Effect.gen(function* () {
          const producer = yield* Producer.Producer
          const outcomes = yield* producer.sendAll(target, yield* Effect.forEach(records, one))
          for (const outcome of outcomes) if (outcome._tag === "Failure") return yield* outcome.failure
        }).pipe(
          Effect.onExit((exit) =>
            // Until it has ended nobody is given what lies behind it.
            Effect.sync(() => {
              const isThrough = Exit.isSuccess(exit)
              world.disturb(isThrough ? 0 : (transactionTimeout ?? 60_000), { topic: to }, began)
              // What comes again is fetched again, when the fetch that is under way is answered.
              if (!isThrough) world.disturb(0, { group }, began)
            })
          )
        )
      })
    return Effect.flatMap(
      world.oracle.makeTransactions({
        transactionalId: spec.transactionalId ?? name,
        transactionTimeout,
        apiTimeout,
        closeTimeout
      }),
      (transactions) =>
        transactions.process(consumer, copied, {
          ...(batch === undefined ? {} : { maxRecords: batch }),
          ...(failsWhole === true ? {} : { retry: Schedule.spaced("500 millis") })
        })
    )
  }

  /** The group has committed: what lies below is handled. */
  committed(group: string, place: TopicPartition, below: number): void {
    const all = this.taken.get(keyOf(group, place))
    if (all === undefined) return
    for (const [offset, name] of all) {
      if (offset >= below) continue
      this.world.timeline.handle(group, place.topic, place.partition, name, this.world.now)
      all.delete(offset)
    }
  }

  /** Copies that are there more than once, whatever the oracle says of it. */
  twice(groups: Iterable<Script.Member>): Effect.Effect<ReadonlyArray<string>> {
    const volatile = Script.volatileTopics(this.world.script)
    return Effect.map(
      Effect.forEach(groups, (spec) => {
        if (!isChain(spec) || spec.to === undefined || volatile.has(spec.to)) return Effect.succeed([])
        return Effect.map(Effect.orDie(this.world.broker.log(this.world.topic(spec.to))), (log) => {
          const seen = new Set<string>()
          return log.flatMap(({ offset, open, partition, value }) => {
            if (open === true || !value.startsWith(`${readerOf(spec)}:`)) return []
            if (!seen.has(value)) {
              seen.add(value)
              return []
            }
            return [`${value} is there again, in ${spec.to}-${partition} at offset ${offset}`]
          })
        })
      }),
      (all) => all.flat()
    )
  }
}

const textOf = ({ value }: Read): string => {
  const given: unknown = value
  return typeof given === "string" ? given : Buffer.from(given as Uint8Array).toString()
}
