/** Writes the context of who sends records into their headers, where that is asked for. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import type { ProduceRecord } from "../Record.ts"
import * as Spans from "./Spans.ts"

/** Writes it into records of a topic; `context` is the sender's. */
type Inject = (topic: string, records: ReadonlyArray<ProduceRecord>, context: Context.Context<never>) => void

/** Makes it; undefined where nothing is to be written. */
export const make: Effect.Effect<Inject | undefined> = Effect.map(Spans.current, (spans) => {
  if (spans === undefined || !(spans.propagation || spans.records)) return undefined
  const create = (topic: string, parent: Tracer.AnySpan | undefined): Tracer.AnySpan | undefined => {
    const attributes = {
      "messaging.operation.name": "create",
      "messaging.operation.type": "create",
      "messaging.destination.name": topic
    }
    const begun = spans.begin(`create ${topic}`, "producer", attributes, [], parent)
    begun?.end()
    return begun?.span
  }
  return (topic, records, context) => {
    const parent = Context.getOrUndefined(context, Tracer.ParentSpan)
    const shared = spans.records || parent === undefined ? undefined : Spans.headerOf(parent)
    if (!spans.records && shared === undefined) return
    if (shared !== undefined) {
      // One for all: nothing is allocated for a record.
      const alone = [shared]
      for (const record of records) Spans.inject(record, shared, alone)
      return
    }
    for (const record of records) {
      const span = create(topic, parent)
      if (span !== undefined && spans.propagation) Spans.inject(record, Spans.headerOf(span))
    }
  }
})
