/**
 * Requests, one at a time to each of whom is asked: what is asked of it meanwhile goes into the next, together. Who makes
 * one says what fits together: `MetadataBatcher`, `ListOffsetsBatcher`.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as KafkaError from "../KafkaError.ts"
import * as Resume from "../Resume.ts"

/** What is asked: of `K`, questions `Q` that go together into one `B`, which is answered by an `A`. */
interface Batching<in K, in Q, B, A> {
  /** An empty batch, for questions like this one. */
  readonly open: (question: Q) => B
  /** Whether the question may go into this batch. */
  readonly fits: (batch: B, question: Q) => boolean
  readonly add: (batch: B, question: Q) => void
  readonly send: (to: K, batch: B) => Effect.Effect<A, KafkaError.KafkaError>
  /** What is waited for before each request. */
  readonly pause: (to: K) => Effect.Effect<void>
}

interface Round<B, A> {
  readonly batch: B
  readonly done: Deferred.Deferred<A, KafkaError.KafkaError>
  waiting: number
}

const closed = () => KafkaError.make({ _tag: "Closed", what: "client" })

/** Makes what asks, in a Scope; when that closes, who waits fails typed. */
export const make = <K, Q, B, A>(
  scope: Scope.Scope,
  { add, fits, open, pause, send }: Batching<K, Q, B, A>
): Effect.Effect<(to: K, question: Q) => Effect.Effect<A, KafkaError.KafkaError>> => {
  /** What waits for each that is being asked. */
  const lines = new Map<K, Array<Round<B, A>>>()
  const underWay = new Set<Round<B, A>>()

  const work = (to: K, line: Array<Round<B, A>>): Effect.Effect<void> =>
    Effect.flatMap(pause(to), () => {
      const round = line.shift()
      if (round === undefined) {
        lines.delete(to)
        return Effect.void
      }
      underWay.add(round)
      const asking = Effect.suspend(() => send(to, round.batch))
      // Whatever it ends with, a defect too, is for those who wait for this round: the next one is asked all the same.
      return Effect.flatMap(Effect.exit(asking), (exit) => {
        underWay.delete(round)
        Deferred.doneUnsafe(round.done, Exit.hasInterrupts(exit) ? Exit.fail(closed()) : exit)
        return work(to, line)
      })
    })

  // What is begun is asked, whoever is interrupted between two steps of his: others wait for the same answer.
  const ask = (to: K, question: Q) =>
    Effect.uninterruptibleMask((interruptible) => {
      if (scope.state._tag === "Closed") return Effect.fail(closed())
      const before = lines.get(to)
      const line = before ?? []
      let round = line.find(({ batch }) => fits(batch, question))
      if (round === undefined) {
        round = { batch: open(question), done: Deferred.makeUnsafe(), waiting: 0 }
        line.push(round)
      }
      add(round.batch, question)
      round.waiting++
      const { done } = round
      // Where nobody waits any more it is not asked.
      const left = Effect.sync(() => {
        const at = --round.waiting === 0 ? line.indexOf(round) : -1
        if (at >= 0) line.splice(at, 1)
      })
      const answer = Effect.onInterrupt(interruptible(Resume.awaiting(done)), () => left)
      if (before !== undefined) return answer
      lines.set(to, line)
      // In the Cluster's Scope: whoever asked first may be interrupted while others wait for the same answer.
      return Effect.andThen(Effect.forkIn(work(to, line), scope, { startImmediately: true }), answer)
    })

  const end = Effect.sync(() => {
    for (const round of [...underWay, ...[...lines.values()].flat()])
      Deferred.doneUnsafe(round.done, Exit.fail(closed()))
  })
  return Effect.as(Scope.addFinalizer(scope, end), ask)
}
