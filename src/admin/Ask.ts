/**
 * Asks brokers about many items, and answers for each: every item goes to whom it belongs (`Plan`), those of a broker
 * together, all brokers at once. What may succeed later, since a controller, coordinator or leader has moved, is asked
 * again, whatever other brokers are still asked; what is not settled when the time is over has failed.
 *
 * One file because routing, asking and asking again are one loop over the same items, whose state is nobody else's.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import { supplied } from "../Abandon.ts"
import type * as AskedAgain from "../AskedAgain.ts"
import * as Backoff from "../Backoff.ts"
import type { Broker, Brokers } from "../Broker.ts"
import * as Checks from "../Checks.ts"
import type { Cluster } from "../Cluster.ts"
import * as ErrorCode from "../ErrorCode.ts"
import { formatAddress } from "../KafkaConfig.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Metadata from "../protocol/messages/Metadata.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Failure from "./Failure.ts"
import * as Left from "./Left.ts"
import * as Plan from "./Plan.ts"

/** What became of one item. */
export type Answer<A> = Result.Result<A, KafkaError.KafkaError>

/** What became of all of them, in their order. */
export type Answers<A> = Effect.Effect<ReadonlyArray<Answer<A>>, KafkaError.KafkaError>

/** What every verb takes. */
export interface Bounds {
  /** How long it may take in all. Default: that of the Layer, 60 s. Java: default.api.timeout.ms. */
  readonly timeout?: Duration.Input | undefined
}

/** What all verbs stand on. */
export interface Parts {
  readonly cluster: Cluster["Service"]
  readonly brokers: Brokers["Service"]
  /** Milliseconds. */
  readonly timeout: number
  readonly retry: Backoff.Retry
  readonly again: AskedAgain.AskedAgain
  /** What a member of the consumer protocol was given; fails to be read where others wrote something else. */
  readonly decodeAssignment: (bytes: Uint8Array) => ReadonlyArray<TopicPartition.TopicPartition>
}

/** A request about items, and how its answer is read. */
interface Question<I, A> {
  /** As the protocol spells it. */
  readonly api: string
  readonly route: (item: I) => Plan.Route
  /** Names an item: unique within a request. */
  readonly key: (item: I) => string
  /** What is wrong with an item, which then is not sent. */
  readonly check?: (item: I) => ReadonlyArray<string>
  /** The most items of one request. Default 500. */
  readonly most?: number
  /** Asks one broker: gives what it says by key. `millis` is how long it may take for it. */
  readonly ask: (
    broker: Broker,
    items: ReadonlyArray<I>,
    millis: number
  ) => Effect.Effect<ReadonlyMap<string, Answer<A>>, KafkaError.KafkaError>
  /** Refusals that a try whose answer was lost may be the cause of: that it is there, or is not. */
  readonly doubtful?: ReadonlyArray<number>
  /** The last of a key is what holds: each waits until those of its key before it are settled. */
  readonly inOrder?: boolean
}

/** How long a broker is left to do what it is asked, at the most: then it is asked again, if there is time. */
const longestWait = 20_000

/** What has a verb only look: one that is neither true nor false must not have it done. */
interface Looks {
  readonly dryRun?: boolean | undefined
  readonly validateOnly?: boolean | undefined
}

/** Reads a verb's bounds. */
export const within = (parts: Parts, bounds: Bounds = {}): Effect.Effect<number, KafkaError.KafkaError> =>
  Effect.suspend(() => {
    const checks = Checks.checks()
    if (typeof bounds !== "object" || bounds === null)
      checks.mistakes.push(`the options are an object, not ${Checks.shown(bounds)}`)
    const { dryRun, validateOnly }: Bounds & Looks = bounds ?? {}
    checks.boolean("dryRun", dryRun, false)
    checks.boolean("validateOnly", validateOnly, false)
    return Checks.settle(checks, checks.millis("timeout", bounds?.timeout, parts.timeout))
  })

/** A step of several: once some of its items are answered for, the others leave so much of the time to what follows it. */
interface Step {
  /** Milliseconds. */
  readonly kept?: number | undefined
}

/** What is kept for the steps that follow, at the most. */
const longestKept = 5000

/** How often it is looked for a first answer that comes only when that has begun, in milliseconds. */
const lookedAfter = 50

/**
 * Reads the bounds of a verb that asks in several steps: gives, for each, those with the time that is left. What follows
 * a step is for the items that are done by then: one that does not come takes none with it.
 */
export const spending = <O extends Bounds>(
  parts: Parts,
  bounds: O
): Effect.Effect<(step?: "last" | "before others") => O & Step & { readonly timeout: number }, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    const millis = yield* within(parts, bounds)
    const clock = yield* Clock.Clock
    const deadline = Backoff.monotonic(clock) + millis
    return (step = "last") => {
      const timeout = Math.max(1, deadline - Backoff.monotonic(clock))
      return { ...bounds, timeout, kept: step === "last" ? undefined : Math.min(timeout / 4, longestKept) }
    }
  })

const controllerOf = (cluster: Cluster["Service"]): Effect.Effect<Broker, KafkaError.KafkaError> =>
  Effect.catch(supplied(cluster.controller, "the controller"), (error) => {
    if (error.reason._tag !== "Unsupported") return Effect.fail(error)
    // Who tells of controllers has none just now: it is being elected.
    return Effect.flatMap(
      Effect.flatMap(cluster.any, (broker) => broker.version(Metadata)),
      (version) =>
        Effect.fail(version === 0 ? error : KafkaError.fromCode(ErrorCode.codes.NOT_CONTROLLER, { api: "Metadata" }))
    )
  })

/** Metadata names the brokers that are up: of one that is not, only the replicas tell that it has. */
const brokerOf = ({ brokers, cluster }: Parts, id: number): Effect.Effect<Broker, KafkaError.KafkaError> =>
  Effect.catch(brokers.get(id), () =>
    Effect.gen(function* () {
      const up = (yield* cluster.brokers).map((one) => one.id)
      if (up.includes(id)) return yield* brokers.get(id)
      const topics = yield* cluster.topics(null, { internal: true })
      if (!topics.some(({ partitions }) => partitions.some(({ replicas }) => replicas.includes(id))))
        return yield* Failure.mistakes([`no broker ${id} is up, or has replicas; those that are up: ${up.join(", ")}`])
      const cause = `it is not up; those that are: ${up.join(", ")}`
      return yield* KafkaError.make({ _tag: "Unreachable", attempts: [{ address: `broker ${id}`, cause }] })
    })
  )

/** How long one broker may take to say it, in milliseconds: all others of a round wait for that. */
const codesWithin = 2000

/** What is said of topics that are not told of, by name: before v4 they may not be asked for, which creates them. */
const codesOf = ({ cluster }: Parts, names: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    if (names.length === 0) return new Map<string | null, number>()
    const broker = yield* cluster.any
    if ((yield* broker.version(Metadata)) < 4) return new Map<string | null, number>()
    const asked = { topics: names.map((name) => ({ name })), allowAutoTopicCreation: false }
    const attempts = [{ address: formatAddress(broker), cause: `it told nothing of topics in ${codesWithin} ms` }]
    const { topics } = yield* Effect.timeoutOrElse(
      broker.send(Metadata, () => asked),
      {
        duration: codesWithin,
        orElse: () => Effect.fail(KafkaError.make({ _tag: "Unreachable", attempts }))
      }
    )
    return new Map(topics.map(({ errorCode, name }) => [name, errorCode]))
  })

/** The leaders of partitions, by metadata of now: a topic that is not there is not waited for. */
const leadersOf = (parts: Parts, routes: ReadonlyArray<Plan.Route>) =>
  Effect.gen(function* () {
    const found = new Map<string, Answer<Broker>>()
    const led = routes.flatMap((route) => (route._tag === "Leader" ? [route] : []))
    if (led.length === 0) return found
    const names = [...new Set(led.map(({ topic }) => topic))]
    const told = yield* Effect.result(parts.cluster.topics(names))
    const topics = new Map(Result.isSuccess(told) ? told.success.map((one) => [one.name, one]) : [])
    const missing = names.filter((name) => !topics.has(name))
    const codes = yield* Effect.result(Effect.flatMap(Effect.fromResult(told), () => codesOf(parts, missing)))
    for (const route of led) {
      const { partition, topic } = route
      const name = Plan.nameOf(route)
      const info = topics.get(topic)
      const leader = info?.partitions[partition]?.leader
      if (info === undefined) {
        const said = Result.map(codes, (all) => all.get(topic) ?? ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION)
        // One that has come since has no leader that is known.
        const { LEADER_NOT_AVAILABLE, NONE } = ErrorCode.codes
        const error = Result.isFailure(said)
          ? said.failure
          : Failure.of(said.success === NONE ? LEADER_NOT_AVAILABLE : said.success, null, { topic })
        found.set(name, Result.fail(error))
      } else if (leader === undefined)
        found.set(name, Result.fail(KafkaError.make({ _tag: "UnknownTopic", topic, partition })))
      else if (leader < 0)
        found.set(name, Result.fail(KafkaError.fromCode(ErrorCode.codes.LEADER_NOT_AVAILABLE, { topic, partition })))
      else found.set(name, yield* Effect.result(parts.brokers.get(leader)))
    }
    return found
  })

/** The brokers that routes lead to, by `Plan.nameOf`. */
const resolve = (parts: Parts, routes: ReadonlyArray<Plan.Route>) =>
  Effect.gen(function* () {
    const { cluster } = parts
    const distinct = new Map(routes.map((route) => [Plan.nameOf(route), route]))
    const found = new Map(yield* leadersOf(parts, [...distinct.values()]))
    yield* Effect.forEach(
      distinct,
      ([name, route]) => {
        if (route._tag === "Leader") return Effect.void
        const broker =
          route._tag === "Controller"
            ? controllerOf(cluster)
            : route._tag === "Any"
              ? cluster.any
              : route._tag === "Broker"
                ? brokerOf(parts, route.id)
                : // Those of the others are not to wait for one that nobody has.
                  cluster.coordinator(route.kind, route.key, { once: true })
        return Effect.map(Effect.result(broker), (result) => void found.set(name, result))
      },
      { concurrency: 64, discard: true }
    )
    return found
  })

/** An item on its way. */
interface Open<I, A> {
  readonly item: I
  answer: Answer<A> | undefined
  /** What failed last, where it may succeed later. */
  last: KafkaError.KafkaError | undefined
  /** It was sent, and nothing is said of it yet. */
  sent: boolean
  /** A broker may have done what was asked, and not have said so; never where it changes nothing. */
  doubt: boolean
  readonly changes: boolean
}

const settle = <I, A>(parts: Parts, question: Question<I, A>, open: Open<I, A>, answer: Answer<A>): void => {
  const { sent } = open
  open.sent = false
  if (Result.isSuccess(answer)) {
    open.answer = answer
    return
  }
  const error = answer.failure
  const route = question.route(open.item)
  if (Failure.isTransient(error, route._tag === "Leader")) {
    open.last = error
    open.doubt ||= open.changes && sent && Failure.isDoubtful(error)
    const { reason } = error
    const moved =
      reason._tag !== "Server" ||
      reason.code === ErrorCode.codes.NOT_COORDINATOR ||
      reason.code === ErrorCode.codes.COORDINATOR_NOT_AVAILABLE
    if (route._tag === "Coordinator" && moved) parts.cluster.forgetCoordinator(route.kind, route.key)
    return
  }
  const { reason } = error
  const code =
    reason._tag === "Server" || reason._tag === "GroupRefused"
      ? reason.code
      : reason._tag === "UnknownTopic"
        ? ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION
        : 0
  open.answer = open.doubt && question.doubtful?.includes(code) === true ? Result.fail(Failure.doubted(error)) : answer
}

/** Whether an answer says that an earlier try may have done it. */
const isDoubted = (answer: Answer<unknown>): boolean => Result.isFailure(answer) && Failure.isDoubted(answer.failure)

/** Tells what is left of changes, which nobody waits for any more. */
const leave = <I, A>(
  { api, key }: Pick<Question<I, A>, "api" | "key">,
  all: ReadonlyArray<Omit<Open<I, A>, "last">>
): Effect.Effect<void> => {
  const keysOf = (which: (one: Omit<Open<I, A>, "last">) => boolean) =>
    all.filter((one) => one.changes && which(one)).map(({ item }) => key(item))
  const done = keysOf(({ answer }) => answer !== undefined && Result.isSuccess(answer))
  const perhaps = keysOf(({ answer, doubt, sent }) => (answer === undefined ? sent || doubt : isDoubted(answer)))
  return done.length + perhaps.length === 0
    ? Effect.void
    : Effect.flatMap(Left.Heard, (hear) => hear({ api, done, perhaps }))
}

/** The same of changes that are answered, while something is asked about them. */
export const leaving = <I, A, B, E, R>(
  self: Effect.Effect<B, E, R>,
  changed: Pick<Question<I, A>, "api" | "key">,
  items: ReadonlyArray<I>,
  answers: ReadonlyArray<Answer<A>>
): Effect.Effect<B, E, R> =>
  Effect.onInterrupt(self, () =>
    leave(
      changed,
      items.map((item, i) => ({ item, answer: answers[i], sent: false, doubt: false, changes: true }))
    )
  )

const nameOf = <I, A>({ key, route }: Question<I, A>, item: I): string => `${Plan.nameOf(route(item))} ${key(item)}`

/** Those before which none of their name is open. */
const firsts = <I, A>(question: Question<I, A>, open: ReadonlyArray<Open<I, A>>): Map<string, Open<I, A>> => {
  const found = new Map<string, Open<I, A>>()
  for (const one of open) {
    const name = nameOf(question, one.item)
    if (!found.has(name)) found.set(name, one)
  }
  return found
}

/** The same broker, and word of when it is sent something. */
const heard = (broker: Broker, onSent: () => void): Broker => ({
  id: broker.id,
  host: broker.host,
  port: broker.port,
  version: (api, options) => broker.version(api, options),
  offer: (options) => broker.offer(options),
  send: (api, request, options) => broker.send(api, request, { ...options, onSent }),
  hangUp: (channel) => broker.hangUp(channel)
})

/** What is still open, by whom it belongs to just now; where nobody is found for it, that is its answer, or what failed last. */
const apart = <I, A>(parts: Parts, question: Question<I, A>, all: ReadonlyArray<Open<I, A>>) =>
  Effect.gen(function* () {
    const open = all.filter(({ answer }) => answer === undefined)
    const found = yield* resolve(
      parts,
      open.map(({ item }) => question.route(item))
    )
    return TopicPartition.groupBy(open, (one) => {
      const broker = found.get(Plan.nameOf(question.route(one.item)))!
      if (Result.isSuccess(broker)) return broker.success
      settle(parts, question, one, Result.fail(broker.failure))
      return undefined
    })
  })

/** Asks a broker about what belongs to it, once. */
const askOf = <I, A>(
  parts: Parts,
  question: Question<I, A>,
  broker: Broker,
  open: ReadonlyArray<Open<I, A>>,
  millis: number
): Effect.Effect<void> => {
  const keyOf = ({ item }: Open<I, A>) => question.key(item)
  const leftOut = (one: Open<I, A>): Answer<A> => Result.fail(Failure.leftOut(question.api, keyOf(one)))
  const ask = (batch: ReadonlyArray<Open<I, A>>): Effect.Effect<void> =>
    Effect.gen(function* () {
      const said = yield* Effect.result(
        question.ask(
          heard(broker, () => batch.forEach((one) => void (one.sent = true))),
          batch.map(({ item }) => item),
          millis
        )
      )
      // What this client has refused was not sent: one item's fault is not that of those beside it.
      if (Result.isFailure(said) && batch.length > 1 && Failure.isOurs(said.failure))
        return yield* Effect.forEach(batch, (one) => ask([one]), { discard: true })
      const answerOf = (one: Open<I, A>) => Result.flatMap(said, (all) => all.get(keyOf(one)) ?? leftOut(one))
      // What is too large together is not, perhaps, in parts.
      if (batch.length > 1 && batch.every((one) => Failure.isTooLarge(answerOf(one)))) {
        // None of it was done: what is not sent again is not under way.
        for (const one of batch) one.sent = false
        const half = Math.ceil(batch.length / 2)
        return yield* Effect.forEach([batch.slice(0, half), batch.slice(half)], ask, { discard: true })
      }
      for (const one of batch) settle(parts, question, one, answerOf(one))
    })
  return Effect.forEach(
    Plan.batches(
      open.map((one) => [broker, one] as const),
      keyOf,
      question.most ?? 500
    ),
    ({ items }) => ask(items),
    { concurrency: "unbounded", discard: true }
  )
}

/** What is wrong with an item. One of another kind (of JavaScript, out of a file) may not even bear to be looked at. */
export const problemsOf = <I>(
  { api, check, key, route }: Pick<Question<I, unknown>, "api" | "check" | "key" | "route">,
  item: I
): ReadonlyArray<string> => {
  try {
    const found = check?.(item) ?? []
    if (found.length > 0) return found
    const named: unknown = key(item)
    route(item)
    return typeof named === "string" ? [] : [`${api} cannot be asked about ${Checks.shown(item)}`]
  } catch (error) {
    return [
      `${api} cannot be asked about ${Checks.shown(item)}: ${error instanceof Error ? error.message : "what it holds"}`
    ]
  }
}

/** Asks about items: what became of each, in their order. */
export const items = <I, A>(
  parts: Parts,
  question: Question<I, A>,
  all: ReadonlyArray<I>,
  bounds: Bounds = {}
): Answers<A> =>
  Effect.gen(function* () {
    const millis = yield* within(parts, bounds)
    if (!Array.isArray(all))
      return yield* Failure.mistakes([`${question.api} is asked about a list, not ${Checks.shown(all)}`])
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const delays = yield* Backoff.delays(parts.retry)
    const changes = (bounds as Bounds & Looks).validateOnly !== true && Failure.changes(question.api)
    const open = all.map((item): Open<I, A> => {
      const mistakes = problemsOf(question, item)
      const answer = mistakes.length === 0 ? undefined : Result.fail(Failure.mistakes(mistakes))
      return { item, answer, last: undefined, sent: false, doubt: false, changes }
    })
    const deadline = Backoff.monotonic(clock) + millis
    const limit = { name: "timeout", millis }
    /** What was asked for again. */
    const again = new Map<Open<I, A>, string>()
    const told = (one: Open<I, A>): Effect.Effect<void> => {
      if (one.last === undefined) return Effect.void
      const key = question.key(one.item)
      const what = key === question.api ? key : `${question.api} of ${key}`
      again.set(one, what)
      return parts.again.failed(what, one.last, limit)
    }
    /** What belongs to one broker, until that is settled or belongs to several: it waits for nothing that others are asked. */
    const ofOne = (broker: Broker | undefined, own: ReadonlyArray<Open<I, A>>, failures: number): Effect.Effect<void> =>
      Effect.gen(function* () {
        const delay = delays()
        for (;;) {
          const asked = question.inOrder === true ? [...firsts(question, own).values()] : own
          const remaining = Math.max(1, deadline - Backoff.monotonic(clock))
          if (broker !== undefined) yield* askOf(parts, question, broker, asked, Math.min(remaining, longestWait))
          const failed = asked.find(({ answer }) => answer === undefined)
          if (failed !== undefined) {
            const { last } = failed
            yield* told(failed)
            const wait = delay(++failures, random.nextDoubleUnsafe(), last && (() => last))
            if (wait === undefined) return
            yield* Effect.sleep(wait)
          }
          const groups = yield* apart(parts, question, own)
          const [next] = groups
          if (next === undefined || groups.size > 1) return yield* ofEach(groups, failures)
          ;[broker, own] = next
        }
      })
    const ofEach = (
      groups: ReadonlyMap<Broker | undefined, ReadonlyArray<Open<I, A>>>,
      failures: number
    ): Effect.Effect<void> =>
      Effect.forEach(groups, ([broker, own]) => ofOne(broker, own, failures), {
        concurrency: "unbounded",
        discard: true
      })
    const asking = Effect.flatMap(apart(parts, question, open), (groups) => ofEach(groups, 0))
    const { kept = 0 } = bounds as Bounds & Step
    let spent = millis
    const enough = Effect.gen(function* () {
      yield* Effect.sleep(millis - kept)
      while (open.every(({ answer }) => answer === undefined)) yield* Effect.sleep(lookedAfter)
      spent = millis - Math.max(0, deadline - Backoff.monotonic(clock))
    })
    const stepping = kept > 0 && open.length > 1 ? Effect.raceFirst(asking, enough) : asking
    yield* Effect.timeoutOrElse(stepping, { duration: millis, orElse: () => Effect.void }).pipe(
      Effect.onInterrupt(() => leave(question, open))
    )
    for (const [one, what] of again) if (one.answer !== undefined) parts.again.answered(what)
    const left = open.filter(({ answer }) => answer === undefined)
    const before = question.inOrder === true ? firsts(question, left) : undefined
    return open.map((one) => {
      if (one.answer !== undefined) return one.answer
      // What was never asked has failed with what it waited for.
      const last = one.last ?? (one.sent ? undefined : before?.get(nameOf(question, one.item))?.last)
      return Result.fail(Failure.unsettled(question.api, spent, { ...one, last }))
    })
  })

/** Asks one thing of whom it belongs to; fails where that is refused. */
export const one = <A>(
  parts: Parts,
  api: string,
  route: Plan.Route,
  ask: (broker: Broker, millis: number) => Effect.Effect<A, KafkaError.KafkaError>,
  bounds: Bounds = {},
  /** What is wrong with what it is asked about, which then is not sent. */
  wrong: ReadonlyArray<string> = [],
  doubtful: ReadonlyArray<number> = []
): Effect.Effect<A, KafkaError.KafkaError> => {
  if (wrong.length > 0) return Effect.fail(Failure.mistakes(wrong))
  return Effect.flatMap(
    items<string, A>(
      parts,
      {
        api,
        route: () => route,
        key: (name) => name,
        doubtful,
        ask: (broker, _, millis) => Effect.map(Effect.result(ask(broker, millis)), (result) => new Map([[api, result]]))
      },
      [api],
      bounds
    ),
    ([answer]) => Effect.fromResult(answer!)
  )
}

/** Asks every broker, at once; where one fails that is gone when metadata is asked again, the rest is enough. */
export const everyBroker = <A>(
  parts: Parts,
  api: string,
  ask: (broker: Broker) => Effect.Effect<A, KafkaError.KafkaError>,
  bounds: Bounds = {}
): Effect.Effect<ReadonlyArray<A>, KafkaError.KafkaError> =>
  Effect.flatMap(within(parts, bounds), (millis) =>
    parts.again.within(
      Effect.flatMap(parts.cluster.brokers, (all) =>
        Effect.forEach(all, ({ id }) => Effect.flatMap(parts.brokers.get(id), ask), { concurrency: "unbounded" })
      ),
      api,
      { name: "timeout", millis, waitingFor: `the answers to ${api}` },
      (error) => Failure.isTransient(error),
      parts.retry
    )
  )
