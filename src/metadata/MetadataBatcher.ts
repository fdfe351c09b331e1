/**
 * Metadata requests, one at a time: what is asked for while one is under way goes into the next, together. Questions
 * that may create topics and those that may not are kept apart.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as KafkaError from "../KafkaError.ts"
import * as Batcher from "./Batcher.ts"

/** What one request asks for. */
export interface Question {
  /** Null: every topic. */
  readonly names: ReadonlyArray<string> | null
  readonly create: boolean
}

interface Batch {
  all: boolean
  readonly names: Set<string>
  readonly create: boolean
}

/** Makes what asks: `send` asks one question of the cluster. */
export const make = <A>(
  scope: Scope.Scope,
  send: (question: Question) => Effect.Effect<A, KafkaError.KafkaError>
): Effect.Effect<(question: Question) => Effect.Effect<A, KafkaError.KafkaError>> =>
  Effect.map(
    Batcher.make(scope, {
      open: ({ create }: Question): Batch => ({ all: false, names: new Set(), create }),
      fits: (batch, { create }) => batch.create === create,
      add: (batch, { names }) => {
        if (names === null) batch.all = true
        else for (const name of names) batch.names.add(name)
      },
      send: (_: "cluster", { all, create, names }) => send({ names: all ? null : [...names], create }),
      pause: () => Effect.void
    }),
    (ask) => (question) => ask("cluster", question)
  )
