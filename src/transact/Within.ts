/** The transactions that a fiber was begun in, and what is refused for it. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as KafkaError from "../KafkaError.ts"
import type { TransactionalProducer } from "../Transport.ts"

/** A transaction that has begun. */
export interface Begun {
  readonly engine: TransactionalProducer
  /** False from when it is about to end: what comes then is not part of it. */
  isOpen: boolean
}

/** Those that the fiber was begun in, also those that have ended. */
export const Within = Context.Reference<ReadonlyArray<Begun>>("samsa/Transaction/Within", { defaultValue: () => [] })

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
