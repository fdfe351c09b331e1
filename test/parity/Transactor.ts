/** Producers of transactions that cases ask with, and what they wait for. */
import { Effect, type Scope } from "effect"
import { TransactionalProducer, type Versions } from "../TransactionalProducer.ts"
import type { Silent } from "./Client.ts"
import { type Ask, type Failure, until } from "./Lab.ts"

/** A coordinator is loading, is being found, or still writes the markers of the transaction before. */
const passing = new Set([14, 15, 16, 51])

/** Asks until the coordinator is done with what was before. */
export const settled = <A, E, R>(effect: Effect.Effect<A, E, R>, codeOf: (answer: A) => number) =>
  until("the coordinator is done", effect, (answer) => !passing.has(codeOf(answer)))

/** InitProducerId, until the coordinator has loaded and what was open is aborted. */
export const ready = (p: TransactionalProducer<Silent>, options?: { readonly timeout?: number }) =>
  until("a producer id", p.init(options), (code) => code === 0)

/** A transactional id that no producer has. */
export const nobody = (ask: Ask) => `${ask.id}-nobody`

/** A producer of a transactional id that writes to a topic that broker 1 leads; `isReady`: it has its producer id. */
export const producer = (
  ask: Ask,
  id: string,
  topic: string,
  versions: Versions,
  isReady = true
): Effect.Effect<TransactionalProducer<Silent>, Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const coordinator = yield* ask.broker(yield* ask.coordinatorOf(id, 1))
    yield* ask.coordinatorOf(nobody(ask), 1)
    const groups = yield* ask.broker(yield* ask.coordinatorOf(id, 0))
    const p = new TransactionalProducer<Silent>(
      { coordinator, groups, leader: yield* ask.broker(1) },
      id,
      topic,
      versions
    )
    if (isReady) yield* ready(p)
    return p
  })
