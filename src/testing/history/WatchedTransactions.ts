/** Transactions that are watched: what they are given, and what their producer says became of them. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as KafkaError from "../../KafkaError.ts"
import type * as Consumer from "../../Consumer.ts"
import * as Producer from "../../Producer.ts"
import * as TopicPartition from "../../TopicPartition.ts"
import * as Transaction from "../../Transaction.ts"
import { type AnyRecord, raw } from "../../consume/ConsumerRecord.ts"
import { contentOf, type Event } from "./History.ts"
import type { Promises } from "./WatchedProducers.ts"

type Service = Transaction.Transactions["Service"]

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): "committed" | "aborted" | "unknown" => {
  if (Exit.isSuccess(exit)) return "committed"
  const error = Cause.squash(exit.cause)
  // Who is interrupted while it is committed does not hear that it was.
  return Cause.hasInterrupts(exit.cause) || (KafkaError.isKafkaError(error) && error.reason._tag === "InDoubt")
    ? "unknown"
    : "aborted"
}

/** Watches transactions, telling `record` what happens. */
export const make = (
  record: (event: Event) => void,
  watched: (self: Producer.Producer["Service"], promises: Promises, transaction: number) => Producer.Producer["Service"]
) => {
  let count = 0

  /** The same Effect, as a transaction of its own. */
  const within = <A, E, R>(transaction: number, effect: Effect.Effect<A, E, R>) =>
    Effect.gen(function* () {
      const producer = yield* Producer.Producer
      const own = yield* Transaction.Transaction
      return yield* effect.pipe(
        Effect.provideService(Producer.Producer, watched(producer, {}, transaction)),
        Effect.provideService(Transaction.Transaction, {
          ...own,
          commitOffsets: ({ group, ...as }, offsets) => {
            const list = [...offsets]
            return Effect.tap(own.commitOffsets({ group, ...as }, list), () => taken(transaction, group, list))
          }
        })
      )
    })

  const taken = (transaction: number, group: string, offsets: ReadonlyArray<Consumer.OffsetCommit>) =>
    Effect.sync(() => {
      for (const { offset, partition, topic } of offsets)
        record({ _tag: "TransactionOffset", transaction, group, topic, partition, offset })
    })

  const began = (transactionalId: string): number => {
    record({ _tag: "TransactionBegan", transaction: count, transactionalId })
    return count++
  }

  const transactions = (self: Service): Service => ({
    ...self,
    run: (effect) =>
      Effect.suspend(() => {
        const transaction = began(self.transactionalId)
        return Effect.onExit(self.run(within(transaction, effect)), (exit) =>
          Effect.sync(() => record({ _tag: "TransactionEnded", transaction, outcome: outcomeOf(exit) }))
        ) as never
      }),
    // What becomes of each is not told: it is all there, or not at all.
    process: (consumer, handler, options) =>
      self.process(
        consumer,
        (records) =>
          Effect.suspend(() => {
            const transaction = began(self.transactionalId)
            const places = Map.groupBy(
              records as ReadonlyArray<unknown> as ReadonlyArray<AnyRecord>,
              TopicPartition.key
            )
            const next = Array.from(places.values(), (list): Consumer.OffsetCommit => {
              const { offset, partition, topic } = list.at(-1)!
              return { topic, partition, offset: offset + 1 }
            })
            return Effect.flatMap(consumer.groupMetadata, ({ group }) => {
              for (const list of places.values()) {
                const { partition, topic } = list[0]!
                const offsets = list.map(({ offset }) => offset)
                const contents = list.map((one) => contentOf(raw(one)))
                record({ _tag: "Processed", transaction, group, topic, partition, offsets, contents })
              }
              return Effect.tap(within(transaction, handler(records)), () => taken(transaction, group, next))
            })
          }) as never,
        options
      )
  })

  const makeTransactions = (options: Transaction.Options) => Effect.map(Transaction.make(options), transactions)

  return { transactions, makeTransactions }
}
