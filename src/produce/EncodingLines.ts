/**
 * Batches become bytes in the order in which they will go: a line for each broker, so that nothing waits behind what is
 * compressed for another one. What is little is done at once; the lines take turns, on the event loop and on the threads.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"
import * as KafkaError from "../KafkaError.ts"
import type { Batch } from "./Batch.ts"
import * as Encoder from "./Encoder.ts"
import type { ProduceRequest } from "./Plan.ts"
import type { Requests } from "./Requests.ts"

/** Threads that compress, over all brokers; no more than that is held twice. */
const threads = 2

/**
 * Makes the lines. A request whose batches have their bytes goes to `requests`; a batch that cannot be written, or whose
 * codec does not end `within` so many milliseconds, is told alone, and the others of its request go.
 */
export const make = (
  codecs: Encoder.Codecs,
  within: number,
  fork: (effect: Effect.Effect<unknown>) => unknown,
  requests: Requests
): ((made: ReadonlyArray<ProduceRequest>) => void) => {
  const lines = new Map<number, Array<ProduceRequest>>()
  const permits = Semaphore.makeUnsafe(threads)
  /** Of all lines, one batch is written here in a turn of the event loop. */
  const turns = Semaphore.makeUnsafe(1)
  const { name } = codecs.codec
  const failed = (error: unknown) =>
    error instanceof KafkaError.KafkaError
      ? error
      : KafkaError.make({ _tag: "Misuse", message: `the codec ${name} failed: ${String(error)}` }, error)
  const tooSlow = () => failed(`it did not end within the deliveryTimeout of ${within} ms`)

  /** Gives a batch its bytes; gives why it cannot have them. */
  const encoded = (batch: Batch): Effect.Effect<KafkaError.KafkaError | undefined> =>
    Encoder.isLarge(batch, codecs)
      ? Encoder.later(batch, codecs).pipe(
          Effect.timeoutOrElse({ duration: within, orElse: () => Effect.fail(tooSlow()) }),
          permits.withPermits(1),
          // Whatever becomes of a codec of the application's, its interruption included: the line goes on.
          Effect.matchCause({ onFailure: (cause) => failed(Cause.squash(cause)), onSuccess: () => undefined })
        )
      : Effect.andThen(
          Effect.yieldNow,
          Effect.sync(() => {
            try {
              Encoder.now(batch, codecs)
              return undefined
            } catch (error) {
              return failed(error)
            }
          })
        ).pipe(turns.withPermits(1))

  const one = (request: ProduceRequest): Effect.Effect<void> => {
    const refused = new Set<Batch>()
    // Elsewhere another fiber would only wait for its turn.
    const isBeside = request.batches.some((batch) => Encoder.isLarge(batch, codecs))
    return Effect.forEach(
      request.batches,
      (batch) =>
        Effect.map(encoded(batch), (error) => {
          if (error === undefined) return
          refused.add(batch)
          requests.refuse(batch, error)
        }),
      { discard: true, concurrency: isBeside ? threads : 1 }
    ).pipe(
      Effect.andThen(
        Effect.sync(() =>
          requests.send(
            refused.size === 0
              ? request
              : { ...request, batches: request.batches.filter((batch) => !refused.has(batch)) }
          )
        )
      )
    )
  }
  const work = (node: number, line: Array<ProduceRequest>): Effect.Effect<void> =>
    Effect.suspend(() => {
      const [request] = line
      if (request === undefined) {
        lines.delete(node)
        return Effect.void
      }
      return one(request).pipe(Effect.ensuring(Effect.sync(() => void line.shift())), Effect.andThen(work(node, line)))
    })
  const encodes = (request: ProduceRequest, turn: Encoder.Turn): boolean => {
    try {
      return Encoder.atOnce(request.batches, codecs, turn)
    } catch {
      // Told to whom it concerns, in the line.
      return false
    }
  }
  return (made) => {
    const turn = Encoder.turn(codecs)
    for (const request of made) {
      const line = lines.get(request.node)
      if (line !== undefined) line.push(request)
      else if (encodes(request, turn)) requests.send(request)
      else {
        const begun = [request]
        lines.set(request.node, begun)
        fork(work(request.node, begun))
      }
    }
  }
}
