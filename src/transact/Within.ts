/** The transactions that a fiber was begun in, what is refused for it, and what is told. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as KafkaError from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import type { TransactionalProducer, Transport } from "../Transport.ts"

/** A transaction that has begun. */
export interface Begun {
  readonly engine: TransactionalProducer
  readonly transport: Transport["Service"]
  readonly transactionalId: string
  /** False from when it is about to end: what comes then is not part of it. */
  isOpen: boolean
}

/** How many are open in this process: where there are none, nobody looks for them. */
let open = 0

/** One begins; `ends` is its end. */
export const begins = (transaction: Omit<Begun, "isOpen">): Begun => {
  open++
  return { ...transaction, isOpen: true }
}

export const ends = (begun: Begun): void => {
  if (begun.isOpen) open--
  begun.isOpen = false
}

/** Those that the fiber was begun in, also those that have ended. */
export const Within = Context.Reference<ReadonlyArray<Begun>>("samsa/Transaction/Within", { defaultValue: () => [] })

/**
 * Says once that a producer that was taken outside of a transaction is used within one, over the same client: what it
 * sends is no part of it. Called for each `send` and each array.
 */
export const outsider = (transport: Transport["Service"], run: (effect: Effect.Effect<void>) => void) => {
  let isTold = false
  return (context: Context.Context<never>): void => {
    if (open === 0 || isTold) return
    const within = Context.get(context, Within).find((one) => one.isOpen && one.transport === transport)
    if (within === undefined) return
    isTold = true
    const { transactionalId } = within
    const text = `a producer that was taken outside sends within a transaction of "${transactionalId}": its records are no part of it, and stay where it is aborted; ask for Producer.Producer inside of Transaction.run`
    run(LogEvent.log("outsideTransaction", text, { transactionalId, client: transport.clientId }))
  }
}

export const misuse = (message: string, where: { transactionalId: string; group?: string }): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Misuse", message, ...where })

/** Not within another one of the same id, which would wait for its own end. */
export const unlessWithin = <A, E, R>(
  engine: TransactionalProducer,
  transactionalId: string,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | KafkaError.KafkaError, R> =>
  Effect.flatMap(Within, (transactions): Effect.Effect<A, E | KafkaError.KafkaError, R> => {
    const message = "a transaction within another one of the same transactional id: its records can be part of that one"
    return transactions.some((one) => one.engine === engine && one.isOpen)
      ? Effect.fail(misuse(message, { transactionalId }))
      : self
  })
