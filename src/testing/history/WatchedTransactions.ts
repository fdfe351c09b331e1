/** Transactions that are watched: what they are given, and what their producer says became of them. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as KafkaError from "../../KafkaError.ts"
import * as Producer from "../../Producer.ts"
import * as Transaction from "../../Transaction.ts"
import type { Event } from "./History.ts"
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

  const transactions = (self: Service): Service => ({
    ...self,
    run: (effect) =>
      Effect.suspend(() => {
        const transaction = count++
        const { transactionalId } = self
        record({ _tag: "TransactionBegan", transaction, transactionalId })
        const body = Effect.gen(function* () {
          const producer = yield* Producer.Producer
          const own = yield* Transaction.Transaction
          return yield* effect.pipe(
            Effect.provideService(Producer.Producer, watched(producer, {}, transaction)),
            Effect.provideService(Transaction.Transaction, {
              ...own,
              commitOffsets: (group, offsets) => {
                const list = [...offsets]
                return Effect.tap(own.commitOffsets(group, list), () =>
                  Effect.sync(() => {
                    for (const { offset, partition, topic } of list)
                      record({ _tag: "TransactionOffset", transaction, group: group.group, topic, partition, offset })
                  })
                )
              }
            })
          )
        })
        return Effect.onExit(self.run(body), (exit) =>
          Effect.sync(() => record({ _tag: "TransactionEnded", transaction, outcome: outcomeOf(exit) }))
        ) as never
      })
  })

  const makeTransactions = (options: Transaction.Options) => Effect.map(Transaction.make(options), transactions)

  return { transactions, makeTransactions }
}
