/**
 * What the library logs, in one place: each event, its level, and what is known of where it happened, as annotations. It
 * goes to Effect's loggers, wherever these send it.
 *
 * While all is well nothing is logged at `Info` or above. What is tried again is told the first time and then by
 * doubling: at `Debug` while it may cure itself, at `Warn` once it lasts.
 */
import * as Effect from "effect/Effect"
import type * as LogLevel from "effect/LogLevel"
import { atMost, kept } from "./Kept.ts"

/** Every event, and its level. Where something lasts its level is `Warn` (see `Lasting`). */
export const levels = {
  // connections
  connected: "Debug",
  disconnected: "Debug",
  /** It owes an answer for long, and sends nothing. */
  brokerSlow: "Warn",
  brokerSilent: "Warn",
  connectFailed: "Debug",
  connectSlow: "Warn",
  /** A Network of the application's, or the Effect of a token, has died. */
  connectDied: "Error",
  throttled: "Debug",
  plaintextPassword: "Warn",
  impossibleAddress: "Warn",
  metadataRetried: "Warn",
  /** What brokers are asked for is refused again and again. */
  requestRetried: "Warn",
  // producers
  batchRetried: "Debug",
  recordFailed: "Warn",
  producerId: "Debug",
  withoutIdempotence: "Warn",
  acksTakenForAll: "Info",
  // consumers
  assigned: "Debug",
  revoked: "Debug",
  lost: "Warn",
  waiting: "Warn",
  goesOn: "Info",
  /** A member to which its group gives nothing. */
  noPartition: "Info",
  /** Records are delivered, and none was ever marked. */
  neverMarked: "Warn",
  /** A member keeps partitions whose reader has failed, or ended. */
  unread: "Warn",
  /** What ends `run`: the record that could not be handled. */
  handlerFailed: "Error",
  /** A group that the member cannot be part of any more: fails what is read. */
  membershipEnded: "Error",
  drainTimedOut: "Warn",
  stalled: "Warn",
  commitFailed: "Warn",
  transactionAborted: "Debug",
  /** A producer that is no part of the transaction that it is used in. */
  outsideTransaction: "Warn",
  /** Brokers before 2.5, which commit offsets for whoever asks in a transaction. */
  membersUnfenced: "Warn",
  hookFailed: "Warn",
  topicDeleted: "Warn",
  topicRecreated: "Warn",
  dataLoss: "Warn",
  damaged: "Warn",
  skipped: "Warn",
  deadLetter: "Warn",
  fetchRetried: "Warn",
  stopReachesNone: "Warn",
  /** A member of a group in ZooKeeper with which nothing is shared. */
  foreignMember: "Warn",
  /** What observes the end of a fiber of the application's, as `onExit` does, throws. */
  observerFailed: "Error",
  /** A Schedule among the settings that dies. */
  scheduleFailed: "Error",
  // client telemetry (KIP-714)
  telemetrySubscribed: "Debug",
  telemetryUnsupported: "Info",
  telemetryRefused: "Warn",
  // the library's own mistake
  defect: "Error"
} as const satisfies { readonly [event: string]: LogLevel.Severity }

export type Event = keyof typeof levels

/** What is known of where it happened. */
export interface Where {
  readonly client?: string | undefined
  readonly cluster?: string | null | undefined
  readonly broker?: string | number | undefined
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  readonly offset?: number | undefined
  readonly group?: string | undefined
  readonly member?: string | undefined
  readonly producerId?: number | undefined
  readonly transactionalId?: string | undefined
}

/** As annotations: `kafka.event`, and what is known of `kafka.client`, `kafka.cluster`, `kafka.broker`, … */
const annotations = (event: Event, where: Where): Record<string, unknown> => {
  const all: Record<string, unknown> = { "kafka.event": event }
  for (const [key, value] of Object.entries(where))
    if (value !== undefined && value !== null) all[`kafka.${key}`] = value
  return all
}

/** Logs an event. A logger that dies of it harms nobody. */
export const log = (
  event: Event,
  message: string,
  where: Where = {},
  level: LogLevel.Severity = levels[event],
  ...details: ReadonlyArray<unknown>
): Effect.Effect<void> =>
  Effect.logWithLevel(level)(message, ...details).pipe(
    Effect.annotateLogs(annotations(event, where)),
    Effect.catchDefect(() => Effect.void)
  )

/** What SASL sends as it is. */
const sentAsItIs = new Map([
  ["PLAIN", "password"],
  ["OAUTHBEARER", "token"]
])

/** SASL without TLS, where whoever sees the connection reads a secret. */
export const plaintextPassword = (mechanism: string | undefined, client: string | undefined): Effect.Effect<void> => {
  const secret = sentAsItIs.get(mechanism ?? "")
  if (secret === undefined) return Effect.void
  const text = `sasl ${mechanism} without tls: whoever sees the connection reads the ${secret}`
  return log("plaintextPassword", text, { client })
}

/** Which of many events of a kind are told, by their count from 1: the first, then by doubling. */
export const isTold = (count: number): boolean => (count & (count - 1)) === 0

/** Failures of a kind that are further apart, in milliseconds, are told as new ones. */
export const failedApart = 60_000

/** What fails. */
export interface Failing {
  /** How it has failed last, and when. */
  readonly type: string
  readonly at: number
}

// How often it is looked for what is forgotten, where there is no room, in milliseconds.
const roomLookedFor = 1000

/**
 * Things that fail, each for itself, and what has not failed for so long is forgotten. Those for which there is no room
 * are one thing with others of theirs: as they came and went, each would fail for the first time again and again.
 */
export class Things<A extends Failing> {
  readonly #all = new Map<string, A>()
  readonly #shared = new WeakSet<A>()
  readonly #apart: number
  #lookedAt = -Infinity

  constructor(apart: number) {
    this.#apart = apart
  }

  get size(): number {
    return this.#all.size
  }

  /** `others`: whose it is where there is no room. */
  of(key: string, others: string, now: number, make: () => A): A {
    const own = this.#all.get(key)
    if (own !== undefined) return own
    if (this.#all.size >= atMost && now - this.#lookedAt >= roomLookedFor) {
      this.#lookedAt = now
      for (const [key, one] of this.#all) if (now - one.at > this.#apart) this.#all.delete(key)
    }
    if (this.#all.size < atMost) return kept(this.#all, key, make)
    const one = kept(this.#all, `others ${others}`, make)
    this.#shared.add(one)
    return one
  }

  /** It fails no more. */
  cured(key: string): A | undefined {
    const one = this.#all.get(key)
    this.#all.delete(key)
    return one
  }

  /** Those of a type are forgotten: what fails so from now on does for the first time. */
  forget(type: string): void {
    for (const [key, one] of this.#all) if (one.type === type) this.#all.delete(key)
  }

  /** How many others fail alike, where one of them is told: the first, then by doubling; undefined: it is not. */
  among(one: A, now: number): number | undefined {
    let alike = 0
    let place = 0
    for (const [key, other] of this.#all)
      if (now - other.at > this.#apart) this.#all.delete(key)
      else if (other.type === one.type) {
        alike++
        if (other === one) place = alike
      }
    return isTold(place) || this.#shared.has(one) ? alike - 1 : undefined
  }
}

/**
 * Failures that may come of each of many things, and again and again: of each thing the first is told, then by doubling;
 * so of things that fail alike at once, that one which fails often hides no other.
 */
export class Repeated {
  readonly #things = new Things<{ readonly type: string; count: number; at: number }>(failedApart)

  /** How many of its kind this thing has had so far, and how many others do, where it is told; undefined: it is not. */
  failed(kind: string, thing: string, now: number): { readonly count: number; readonly others: number } | undefined {
    const made = () => ({ type: kind, count: 0, at: now })
    // By the kind of a kind: `damaged` of each partition.
    const one = this.#things.of(JSON.stringify([kind, thing]), kind.split(" ")[0]!, now, made)
    if (now - one.at > failedApart) one.count = 0
    one.at = now
    if (!isTold(++one.count)) return undefined
    const others = this.#things.among(one, now)
    return others === undefined ? undefined : { count: one.count, others }
  }

  /** The same, by the clock. */
  told(kind: string, thing: string): Effect.Effect<{ readonly count: number; readonly others: number } | undefined> {
    return Effect.clockWith((clock) =>
      Effect.succeed(this.failed(kind, thing, Number(clock.monotonicTimeNanosUnsafe()) / 1e6))
    )
  }

  /** What comes of a kind is told anew, from the first on. */
  anew(kind: string): void {
    this.#things.forget(kind)
  }

  /** Logs it where it is told; that it is not the first is said, and how many others there are. */
  log(
    kind: string,
    thing: string,
    event: Event,
    message: string,
    where: Where,
    ...details: ReadonlyArray<unknown>
  ): Effect.Effect<void> {
    return Effect.flatMap(this.told(kind, thing), (told) =>
      told === undefined ? Effect.void : log(event, `${message}${soFar(told)}`, where, undefined, ...details)
    )
  }
}

/** How often it was, where that is more than once, and of how many others; with what is known besides. */
export const soFar = (
  { count, others }: { readonly count: number; readonly others: number },
  notes: ReadonlyArray<string> = []
): string => {
  const all = [
    ...notes,
    ...(count > 1 ? [`${count} so far`] : []),
    ...(others > 0 ? [`and of ${others} other${others > 1 ? "s" : ""}`] : [])
  ]
  return all.length === 0 ? "" : ` (${all.join("; ")})`
}

/** From when on what is tried again is a warning, in milliseconds: a broker that restarts is back by then, mostly. */
export const lastsAfter = 3000

/** What has not failed for so long, in milliseconds, fails anew: whoever tried has given up meanwhile. */
export const lastsApart = 600_000

/** What comes again and again, and is told the first time and then by doubling. */
export class Doubling {
  #count = 0
  #last = 0
  #stands = false

  /** Somebody was told, and nothing was taken back since. */
  get stands(): boolean {
    return this.#stands
  }

  /** What is added where it is told; undefined: it is not. */
  told(now: number): string | undefined {
    if (now - this.#last > lastsApart) this.#count = 0
    this.#last = now
    if (!isTold(++this.#count)) return undefined
    this.#stands = true
    return soFar({ count: this.#count, others: 0 })
  }

  /** It is over for now: gives whether somebody was told, once. What comes again is counted on. */
  cured(): boolean {
    const { stands } = this
    this.#stands = false
    return stands
  }
}

/** When a failure that is tried again is told, and at which level: the first, then by doubling, and when it begins to last. */
export class Lasting {
  #count = 0
  #since = 0
  #last = 0
  #next = 1
  #lasts = false

  /** Undefined: it is not told. */
  failed(now: number): LogLevel.Severity | undefined {
    if (now - this.#last > lastsApart) this.cured()
    this.#last = now
    if (this.#count++ === 0) this.#since = now
    const begins = !this.#lasts && now - this.#since >= lastsAfter
    if (begins) this.#lasts = true
    if (!begins && this.#count < this.#next) return undefined
    this.#next = this.#count * 2
    return this.#lasts ? "Warn" : "Debug"
  }

  /** When the first of these failures was, in milliseconds of the monotonic clock. */
  get since(): number {
    return this.#since
  }

  /** It is over; true where a warning has told of it. */
  cured(): boolean {
    const lasted = this.#lasts
    this.#count = 0
    this.#next = 1
    this.#lasts = false
    return lasted
  }
}
