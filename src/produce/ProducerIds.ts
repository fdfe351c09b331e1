/**
 * The producer id (KIP-98): asked for once, of a broker that records are to go to, and again only when a partition has
 * used up its epochs. Epochs are raised here, without asking (KIP-360 as Java does it without transactions).
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Brokers } from "../Broker.ts"
import type * as Loop from "../engine/Loop.ts"
import * as KafkaError from "../KafkaError.ts"
import * as InitProducerId from "../protocol/messages/InitProducerId.ts"
import type { ProducerId, Queue } from "./Batch.ts"
import { failureOf } from "./Connections.ts"

/** How long one broker may think about it before another attempt, which may go to another. */
const attemptMillis = 5000
const longestWait = 1000
/** Without transactions nothing comes of it, but it must be positive. */
const transactionTimeoutMs = 2_147_483_647

/**
 * Makes what asks, for queues by the node that their records go to: gives the id to `begin`, or to `fail` why none is to
 * be had and who asked for it. One question at a time.
 */
export const make = (
  brokers: Brokers["Service"],
  loop: () => Loop.Loop,
  begin: (producer: ProducerId) => void,
  fail: (error: KafkaError.KafkaError, queues: ReadonlyArray<Queue>) => void
): ((asking: ReadonlyMap<number, ReadonlyArray<Queue>>) => void) => {
  let asking = false
  let failures = 0
  return (queues) => {
    if (asking) return
    asking = true
    // One that hangs must not hold up the others.
    const node = [...queues.keys()][failures % queues.size]!
    const { fork, wake } = loop()
    const ask = Effect.flatMap(brokers.get(node), (broker) =>
      broker.send(
        InitProducerId,
        () => ({ transactionalId: null, transactionTimeoutMs }),
        // v6 is of two-phase commit (KIP-939).
        { maxVersion: 5, timeout: attemptMillis }
      )
    )
    fork(
      Effect.flatMap(ask, ({ errorCode, producerEpoch, producerId }) =>
        errorCode === 0
          ? Effect.succeed({ id: producerId, epoch: producerEpoch })
          : Effect.fail(KafkaError.fromCode(errorCode, { api: "InitProducerId" }))
      ).pipe(
        Effect.exit,
        Effect.flatMap((exit) => {
          if (Exit.isSuccess(exit)) {
            failures = 0
            begin(exit.value)
            return Effect.void
          }
          const error = failureOf(exit.cause, node)
          failures++
          // What has an id by now goes on with it.
          const without = [...queues.values()].flat().filter(({ producer }) => producer === undefined)
          if (!error.isRetryable) fail(error, without)
          return Effect.sleep(Math.min(longestWait, 25 * 2 ** Math.min(failures, 6)))
        }),
        Effect.ensuring(
          Effect.sync(() => {
            asking = false
            wake()
          })
        )
      )
    )
  }
}
