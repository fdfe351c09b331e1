/** Answers for many items, each a Result of its own, as one: what Admin's verbs and a producer's `sendAll` give. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { KafkaError } from "./KafkaError.ts"

/**
 * All of them, or the failure of the first item that was refused.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Producer, Topic } from "samsa"
 *
 * const orders = Topic.bytes("orders")
 * export const sent = Effect.flatMap(Producer.Producer, (producer) =>
 *   producer.sendAll(orders, [{ value: null }, { value: null }]).pipe(Producer.orFail)
 * )
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const orFail = <A, E, R>(
  self: Effect.Effect<ReadonlyArray<Result.Result<A, KafkaError>>, E, R>
): Effect.Effect<ReadonlyArray<A>, E | KafkaError, R> =>
  Effect.flatMap(self, (answers) => Effect.fromResult(Result.all(answers)))
