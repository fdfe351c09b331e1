/**
 * Looking for topics that are not there, or have no leader: everybody who waits for one asks again and again. What is
 * asked too often waits for its time, and is then asked once for all who have come meanwhile.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as KafkaError from "../KafkaError.ts"
import { kept } from "../Kept.ts"
import * as SingleFlight from "./SingleFlight.ts"

/** So many answers in a row a topic is looked for as it is wanted, and then so long apart, in milliseconds (Java's `retry.backoff.ms`). */
const free = 10
const apart = 100
/** After which pause, in milliseconds, that begins anew; and of how many questions it is known. */
const forgottenAfter = 1000
const rememberedAtMost = 1000
/** Of how many topics a question is that others are held against. */
const namesAtMost = 100

type Asked = Effect.Effect<ReadonlyMap<string, number>, KafkaError.KafkaError>

/** Makes what asks by `ask`, in a Scope; `now` is the monotonic clock. */
export const make = (
  scope: Scope.Scope,
  now: () => number,
  ask: (names: ReadonlyArray<string>, create: boolean) => Asked
): ((names: ReadonlyArray<string>, create: boolean) => Asked) => {
  const asked = new Map<string, { count: number; last: number; next: number; answeredAt: number }>()
  const together = SingleFlight.make<string, ReadonlyMap<string, number>>(scope)
  return (names, create) =>
    Effect.suspend(() => {
      const question = ask(names, create)
      if (names.length > namesAtMost) return question
      const key = `${create} ${names.join(" ")}`
      const at = now()
      const one = kept(asked, key, () => ({ count: 0, last: at, next: at, answeredAt: NaN }), rememberedAtMost)
      if (at - one.last > forgottenAfter) one.count = 0
      one.last = at
      // Who asks at once is answered at once, by one question: that counts as one.
      const counted = Effect.ensuring(
        question,
        Effect.sync(() => {
          const millis = Math.floor(now())
          if (millis === one.answeredAt) return
          one.answeredAt = millis
          one.count++
        })
      )
      if (one.count >= free && at < one.next) {
        const wait = Effect.suspend(() => Effect.sleep(Math.max(0, Math.ceil(one.next - now()))))
        const moved = Effect.sync(() => (one.next = now() + apart))
        return together(key, wait.pipe(Effect.andThen(moved), Effect.andThen(counted)))
      }
      one.next = at + apart
      return counted
    })
}
