/**
 * The producer id (KIP-98): asked for once, of a broker that records are to go to, and again only when a partition has
 * used up its epochs. Epochs are raised here, without asking (KIP-360 as Java does it without transactions).
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as AskedAgain from "../AskedAgain.ts"
import type * as Backoff from "../Backoff.ts"
import type { Brokers } from "../Broker.ts"
import type * as Loop from "../engine/Loop.ts"
import * as KafkaError from "../KafkaError.ts"
import * as InitProducerId from "../protocol/messages/InitProducerId.ts"
import type { ProducerId, Queue } from "./Batch.ts"
import { type Connections, failureOf } from "./Connections.ts"

/** How long one broker may think about it before another attempt. */
const attemptMillis = 5000
/** Who asks so long after the last wait begins a row of failures anew. */
const forgottenAfter = 3000
/** Without transactions nothing comes of it, but it must be positive. */
const transactionTimeoutMs = 2_147_483_647

/** After so long without an answer another broker is asked beside. */
const staggerMillis = 1000

/**
 * Makes what asks, for queues by the node that their records go to: gives the id to `begin`, or to `failed` why none
 * was to be had and who asked for it. One broker is asked, and where it is silent another one beside it: the first id
 * counts. Where one refuses, nobody is asked before `wait` has passed. `channel` is this producer's own: where a broker
 * closes a connection over somebody else's question, this one is not lost with it; `disconnected` hears when it is, or there is none.
 * `limit`: how long records wait for it.
 */
export const make = (
  brokers: Brokers["Service"],
  loop: () => Loop.Loop,
  channel: string,
  wait: Backoff.Wait,
  limit: Backoff.Limit,
  { disconnected, mustBeSeen }: Pick<Connections, "disconnected" | "mustBeSeen">,
  begin: (producer: ProducerId) => void,
  failed: (error: KafkaError.KafkaError, queues: ReadonlyArray<Queue>) => void
): ((asking: ReadonlyMap<number, ReadonlyArray<Queue>>) => void) => {
  /** Who is asked now. */
  const asking = new Set<number>()
  /** Waits that have not passed. */
  let waiting = 0
  let askedAt = -Infinity
  /** Ids that were given: who answers after another one is not listened to. */
  let given = 0
  /** In a row. */
  let failures = 0
  let waitedUntil = -Infinity
  const again = AskedAgain.make("requestRetried")

  const ask = (node: number, queues: ReadonlyMap<number, ReadonlyArray<Queue>>): void => {
    const { fork, now, wake } = loop()
    const before = given
    asking.add(node)
    askedAt = now()
    const question = Effect.flatMap(brokers.get(node), (broker) =>
      broker.send(
        InitProducerId,
        () => {
          mustBeSeen(node)
          return { transactionalId: null, transactionTimeoutMs }
        },
        // v6 is of two-phase commit (KIP-939).
        { channel, maxVersion: 5, timeout: attemptMillis, onLost: () => disconnected(node) }
      )
    )
    const answered = Effect.flatMap(question, ({ errorCode, producerEpoch, producerId }) =>
      errorCode !== 0
        ? Effect.fail(KafkaError.fromCode(errorCode, { api: "InitProducerId" }))
        : producerId < 0 || producerEpoch < 0
          ? Effect.fail(withoutId)
          : Effect.succeed({ id: producerId, epoch: producerEpoch })
    )
    const ended = (exit: Exit.Exit<ProducerId, KafkaError.KafkaError>): Effect.Effect<void> => {
      asking.delete(node)
      if (given !== before) return Effect.void
      if (Exit.isSuccess(exit)) {
        given++
        failures = waiting = 0
        again.answered(what)
        begin(exit.value)
        return Effect.void
      }
      const error = failureOf(exit.cause, node)
      // Whoever leads in its place has to be asked.
      if (error.reason._tag === "Unreachable") disconnected(node)
      const millis = wait(++failures, () => error)
      waitedUntil = now() + millis
      // What has an id by now goes on with it.
      const without = [...queues.values()].flat().filter(({ producer }) => producer === undefined)
      failed(error, without)
      waiting++
      return Effect.ensuring(
        Effect.andThen(error.isRetryable ? again.failed(what, error, limit) : Effect.void, Effect.sleep(millis)),
        Effect.sync(() => given === before && waiting--)
      )
    }
    fork(answered.pipe(Effect.exit, Effect.flatMap(ended), Effect.ensuring(Effect.sync(wake))))
    fork(Effect.andThen(Effect.sleep(staggerMillis), Effect.sync(wake)))
  }

  return (queues) => {
    const { now } = loop()
    if (waiting > 0) return
    if (asking.size > 0 && now() < askedAt + staggerMillis) return
    if (asking.size === 0 && waitedUntil + forgottenAfter < now()) failures = 0
    const nodes = [...queues.keys()].filter((node) => !asking.has(node))
    if (nodes.length > 0) ask(nodes[failures % nodes.length]!, queues)
  }
}

/** What is asked for. */
const what = "a producer id"

/** With it records would go as those of nobody, and be written twice where an answer is lost. */
const withoutId = KafkaError.make({
  _tag: "Corrupt",
  what: "InitProducerIdResponse",
  problem: "it gives no id, and no error",
  api: "InitProducerId"
})
