/**
 * Metadata requests, one at a time: what is asked for while one is under way goes into the next, together. Questions
 * that may create topics and those that may not are kept apart.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as KafkaError from "../KafkaError.ts"

/** What one request asks for. */
export interface Question {
  /** Null: every topic. */
  readonly names: ReadonlyArray<string> | null
  readonly create: boolean
}

interface Round<A> {
  all: boolean
  readonly names: Set<string>
  readonly create: boolean
  readonly done: Deferred.Deferred<A, KafkaError.KafkaError>
}

/** Makes what asks: `send` asks one question of the cluster. */
export const make = <A>(
  scope: Scope.Scope,
  send: (question: Question) => Effect.Effect<A, KafkaError.KafkaError>
): Effect.Effect<(question: Question) => Effect.Effect<A, KafkaError.KafkaError>> =>
  Effect.gen(function* () {
    const waiting: Array<Round<A>> = []
    let current: Round<A> | undefined

    const closed = () => KafkaError.make({ _tag: "Closed", what: "client" })
    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => {
        for (const round of waiting.splice(0)) Deferred.doneUnsafe(round.done, Exit.fail(closed()))
        if (current !== undefined) Deferred.doneUnsafe(current.done, Exit.fail(closed()))
      })
    )

    const work: Effect.Effect<void> = Effect.suspend(() => {
      const round = (current = waiting.shift())
      if (round === undefined) return Effect.void
      const asking = Effect.suspend(() => send({ names: round.all ? null : [...round.names], create: round.create }))
      // Whatever it ends with, a defect too, is for those who wait for this round: the next one is asked all the same.
      return Effect.flatMap(Effect.exit(asking), (exit) => {
        Deferred.doneUnsafe(round.done, Exit.hasInterrupts(exit) ? Exit.fail(closed()) : exit)
        return work
      })
    })

    return (question) =>
      Effect.suspend(() => {
        if (scope.state._tag === "Closed") return Effect.fail(closed())
        let round = waiting.find((one) => one.create === question.create)
        if (round === undefined) {
          round = { all: false, names: new Set(), create: question.create, done: Deferred.makeUnsafe() }
          waiting.push(round)
        }
        if (question.names === null) round.all = true
        else for (const name of question.names) round.names.add(name)
        const { done } = round
        // In the Cluster's Scope: whoever asked first may be interrupted while others wait for the same answer.
        return current === undefined
          ? Effect.andThen(Effect.forkIn(work, scope, { startImmediately: true }), Deferred.await(done))
          : Deferred.await(done)
      })
  })
