/**
 * Spans at the seams, of whatever Tracer there is where a client is made; none where there is no other than Effect's own,
 * which nobody reads. A Tracer that dies of it harms nobody.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Tracer from "effect/Tracer"
import * as Bytes from "../Bytes.ts"
import { failureType } from "../metrics/errorType.ts"
import type { FetchedRecord, Headers, ProduceRecord } from "../Record.ts"

/**
 * What is traced.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Whether anything is traced. Default: true where a Tracer other than Effect's own is there. */
  readonly enabled?: boolean | undefined
  /**
   * Writes the span that sends a record into its header `traceparent` (W3C Trace Context), so that what is done with it
   * elsewhere is linked with it. Default false; brokers before 0.11 carry no headers, and refuse such a record.
   */
  readonly propagation?: boolean | undefined
  /** A span for each record that is sent, `create`, whose context its header carries. Default false. */
  readonly records?: boolean | undefined
  /** A span for each record that a handler of `run` handles, which spans of the handler are children of. Default true. */
  readonly handlers?: boolean | undefined
}

/**
 * What is traced, of clients, producers and consumers that are made where it is set.
 *
 * @since 0.1.0
 * @category references
 */
export const Settings: Context.Reference<Options> = Context.Reference<Options>("samsa/Tracing/Settings", {
  defaultValue: () => ({})
})

type Attributes = Readonly<Record<string, string | number | undefined>>

/** A span that is begun. */
export interface Begun {
  readonly span: Tracer.Span
  readonly attribute: (key: string, value: string | number) => void
  readonly end: (exit?: Exit.Exit<unknown, unknown>) => void
}

export interface Spans {
  readonly propagation: boolean
  readonly records: boolean
  readonly handlers: boolean
  /** Undefined where the Tracer died of it. */
  readonly begin: (
    name: string,
    kind: Tracer.SpanKind,
    attributes: Attributes,
    links?: ReadonlyArray<Tracer.AnySpan>,
    parent?: Tracer.AnySpan | undefined
  ) => Begun | undefined
}

/** The spans of a context; undefined: nothing is traced. */
export const of = (context: Context.Context<never>): Spans | undefined => {
  const tracer = Context.get(context, Tracer.Tracer)
  const {
    enabled = tracer !== Tracer.nativeTracer,
    handlers = true,
    propagation = false,
    records = false
  } = Context.get(context, Settings)
  if (!enabled) return undefined
  const clock = Context.get(context, Clock.Clock)
  return {
    handlers,
    propagation,
    records,
    begin: (name, kind, attributes, links = [], parent) => {
      try {
        const span = tracer.span({
          name,
          parent: Option.fromUndefinedOr(parent),
          annotations: Context.empty(),
          links: links.map((span) => ({ span, attributes: {} })),
          startTime: clock.currentTimeNanosUnsafe(),
          kind,
          root: false,
          sampled: parent?.sampled ?? true
        })
        span.attribute("messaging.system", "kafka")
        for (const key in attributes) if (attributes[key] !== undefined) span.attribute(key, attributes[key])
        return new Quiet(span, clock)
      } catch {
        return undefined
      }
    }
  }
}

/** A class, since there may be one for each record. */
class Quiet implements Begun {
  readonly span: Tracer.Span
  readonly #clock: Clock.Clock

  constructor(span: Tracer.Span, clock: Clock.Clock) {
    this.span = span
    this.#clock = clock
  }

  attribute(key: string, value: string | number): void {
    try {
      this.span.attribute(key, value)
    } catch {}
  }

  end(exit: Exit.Exit<unknown, unknown> = Exit.void): void {
    const type = failureType(exit)
    if (type !== undefined) this.attribute("error.type", type)
    try {
      this.span.end(this.#clock.currentTimeNanosUnsafe(), exit)
    } catch {}
  }
}

/** The spans of where this runs. */
export const current: Effect.Effect<Spans | undefined> = Effect.withFiber(({ context }) => Effect.succeed(of(context)))

/** Runs within a span that is begun with it, as the parent of the Effect's own; wherever it is interrupted, the span is ended. */
export const within = <A, E, R>(
  self: () => Effect.Effect<A, E, R>,
  begin: () => Begun | undefined
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let begun: Begun | undefined
    const inSpan = Effect.suspend(() => {
      begun = begin()
      if (begun === undefined) return self()
      return Effect.provideService(self(), Tracer.ParentSpan, begun.span) as Effect.Effect<A, E, R>
    })
    // What ends it is there before it is begun: nobody is interrupted in between.
    return Effect.onExit(inSpan, (exit) => {
      begun?.end(exit)
      return Effect.void
    })
  })

// ── W3C Trace Context in headers

const name = "traceparent"
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** The header that carries a span's context. */
export const headerOf = ({ sampled, spanId, traceId }: Tracer.AnySpan): Headers[number] => [
  name,
  encoder.encode(`00-${traceId.padStart(32, "0")}-${spanId}-${sampled ? "01" : "00"}`)
]

/** Adds the header, in place; a record that has one keeps it. `alone`: what it is for a record without headers. */
export const inject = (record: ProduceRecord, header: Headers[number], alone: Headers = [header]): void => {
  const mine = record as { headers: Headers }
  if (record.headers.length === 0) mine.headers = alone
  else if (!record.headers.some(([key]) => key === name)) mine.headers = [...record.headers, header]
}

const valueOf = (headers: Headers): Uint8Array | null | undefined => {
  for (let i = headers.length - 1; i >= 0; i--) if (headers[i]![0] === name) return headers[i]![1]
  return undefined
}

/** Of a version to come what is known of it is read; 255 is none. */
const pattern =
  /^(?:00(?=.{53}$)|(?!00|ff)[0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-|$)/

/** Of a `traceparent`, in bytes: what is longer is not looked at. */
const longest = 512

/** The context that a record's headers carry; undefined where they carry none, or what is none. */
export const extract = (headers: Headers): Tracer.ExternalSpan | undefined => read(valueOf(headers))

const read = (value: Uint8Array | null | undefined): Tracer.ExternalSpan | undefined => {
  if (value === undefined || value === null || value.length < 55 || value.length > longest) return undefined
  const match = pattern.exec(decoder.decode(value))
  if (match === null) return undefined
  return Tracer.externalSpan({
    traceId: match[1]!,
    spanId: match[2]!,
    sampled: (Number.parseInt(match[3]!, 16) & 1) === 1
  })
}

const isSame = (a: Uint8Array | null | undefined, b: Uint8Array | null | undefined): boolean => {
  if (!a || !b) return a === b
  return a === b || Bytes.areSame(a, b)
}

/** How many records of an array are looked at for contexts to link. */
const looked = 32

/** The contexts of an array's first records, each once. */
export const linksOf = (records: ReadonlyArray<Pick<FetchedRecord, "headers">>): ReadonlyArray<Tracer.AnySpan> => {
  const found = new Map<string, Tracer.AnySpan>()
  const end = Math.min(looked, records.length)
  // Those that were sent together have the same: it is read once.
  let headers: Headers | undefined
  let value: Uint8Array | null | undefined
  for (let i = 0; i < end; i++) {
    const mine = records[i]!.headers
    if (mine.length === 0 || mine === headers) continue
    headers = mine
    const carried = valueOf(mine)
    if (isSame(carried, value)) continue
    value = carried
    const span = read(carried)
    if (span !== undefined) found.set(span.spanId, span)
  }
  return [...found.values()]
}

/** How something failed, as a span's exit. */
export const failure = (error: unknown): Exit.Exit<never, unknown> => Exit.failCause(Cause.fail(error))
