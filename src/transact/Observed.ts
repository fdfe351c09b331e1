/** What is seen of transactions from outside: how long each took and how it ended, and a span that its program's are in. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Tracer from "effect/Tracer"
import { kept } from "../Kept.ts"
import * as Metrics from "../metrics/Current.ts"
import * as Definitions from "../metrics/Definitions.ts"
import { endType } from "../metrics/errorType.ts"
import type { Series } from "../metrics/Meter.ts"
import * as Spans from "../tracing/Spans.ts"

/** One transaction, from before it begins until its end is known; `links`: what its records were sent in. */
export type Observe = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  links?: () => ReadonlyArray<Tracer.AnySpan>
) => Effect.Effect<A, E, R>

/** Makes it, for one transactional id. */
export const make = Effect.fnUntraced(function* (transactionalId: string, clientId: string): Effect.fn.Return<Observe> {
  const meter = yield* Metrics.meter(clientId)
  const durations = new Map<string, Series>()
  const id = { "kafka.transactional.id": transactionalId }
  const ended = (exit: Exit.Exit<unknown, unknown>, seconds: number) => {
    const type = endType(exit) ?? ""
    const typed = type === "" ? id : { ...id, "error.type": type }
    kept(durations, type, () => meter.series(Definitions.transactionDuration, typed)).update(seconds)
  }
  return (self, links) =>
    Effect.withFiber(({ context }) => {
      const clock = Context.get(context, Clock.Clock)
      const since = Metrics.seconds(clock)
      const begin = () =>
        Spans.of(context)?.begin(
          `transaction ${transactionalId}`,
          "internal",
          { "messaging.client.id": clientId, ...id },
          links?.(),
          Context.getOrUndefined(context, Tracer.ParentSpan)
        )
      return Effect.onExit(
        Spans.within(() => self, begin),
        (exit) => Effect.sync(() => ended(exit, Metrics.seconds(clock) - since))
      )
    })
})
