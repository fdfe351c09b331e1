/**
 * Asking for topics by name. Whoever waits for one that is not there, or has no leader, asks again and again, at times of
 * his own: after some answers in a row what is asked of such topics is gathered, whichever they are, and goes into one
 * question. A topic that no trouble is known of waits for none of them.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { codes } from "../ErrorCode.ts"
import type * as KafkaError from "../KafkaError.ts"
import { kept } from "../Kept.ts"
import * as Batcher from "./Batcher.ts"

/** So many answers in a row are asked for as they are wanted, and then so long apart, in milliseconds (Java's `retry.backoff.ms`). */
const free = 10
const apart = 100
/** After which pause, in milliseconds, that begins anew; and of how many topics it is known that they are in trouble. */
const forgottenAfter = 1000
const rememberedAtMost = 10_000

/** The error codes of topics, by name. */
type Asked = Effect.Effect<ReadonlyMap<string, number>, KafkaError.KafkaError>

export interface LookUps {
  readonly ask: (names: ReadonlyArray<string>, create: boolean) => Asked
  /** Something of a topic was not as it had been told. */
  readonly doubt: (name: string) => void
}

export interface Parts {
  readonly scope: Scope.Scope
  /** The monotonic clock. */
  readonly now: () => number
  readonly ask: (names: ReadonlyArray<string>, create: boolean) => Asked
  /** Whether each partition that is known of it has a leader. */
  readonly isLed: (name: string) => boolean
  /** Told of an answer that has not helped, to a topic that has been in trouble for so long, in milliseconds. */
  readonly unhelped: (millis: number) => void
}

export const make = Effect.fnUntraced(function* ({
  ask,
  isLed,
  now,
  scope,
  unhelped
}: Parts): Effect.fn.Return<LookUps> {
  /** Since when. */
  const troubled = new Map<string, number>()
  const doubt = (name: string) => kept(troubled, name, now, rememberedAtMost)
  const learning = (names: Iterable<string>, answer: Asked): Asked =>
    Effect.onExit(answer, (exit) =>
      Effect.sync(() => {
        // Who is interrupted has learnt nothing.
        if (Exit.hasInterrupts(exit)) return
        for (const name of names)
          if (Exit.isSuccess(exit) && exit.value.get(name) === codes.NONE && isLed(name)) troubled.delete(name)
          else unhelped(now() - doubt(name))
      })
    )

  /** Answers in a row, and when the last of them came. */
  let count = 0
  let last = -Infinity
  const gathered = yield* Batcher.make(scope, {
    open: () => new Set<string>(),
    fits: () => true,
    add: (batch, names: ReadonlyArray<string>) => {
      for (const name of names) batch.add(name)
    },
    send: (create: boolean, names) =>
      Effect.onExit(learning(names, ask([...names], create)), () =>
        Effect.sync(() => {
          count = now() - last > forgottenAfter ? 1 : count + 1
          last = now()
        })
      ),
    pause: () => {
      const wait = count >= free ? last + apart - now() : 0
      return wait > 0 ? Effect.sleep(Math.ceil(wait)) : Effect.void
    }
  })

  return {
    doubt: (name) => void doubt(name),
    ask: (names, create) =>
      Effect.suspend(() =>
        names.some((name) => troubled.has(name)) ? gathered(create, names) : learning(names, ask(names, create))
      )
  }
})
