/**
 * The engine room of both halves of the native transport: one fiber that looks whenever it was woken, one timer for
 * the nearest time at which it must look anyway, and a Scope for the requests that a look starts. With nothing to do
 * there is no timer, and the fiber is suspended.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as LogEvent from "../LogEvent.ts"
import * as Backoff from "../Backoff.ts"
import type { Cluster } from "../Cluster.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"

export interface Loop {
  /** Milliseconds on the monotonic clock. */
  readonly now: () => number
  /** Looks soon: at the end of this turn of the event loop, so that what a turn brings is looked at as one. */
  readonly wake: () => void
  /** Runs something that is interrupted when the loop ends. */
  readonly fork: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown>
  /**
   * Asks for a topic's metadata, once at a time and ever more seldom while that does not help, and wakes afterwards.
   * The leader of `partition` is doubted: until the answer is there `leaderOf` knows none of it. The other partitions of
   * the topic go on.
   */
  readonly refresh: (topic: string, partition?: number) => void
  /** The same for a partition whose leader may be as it is known: it does not work until `works` says so. */
  readonly lookFor: (topic: string, partition: number) => void
  /** A partition works: where all do that have been asked for, the next failure is the first of a row. */
  readonly works: (topic: string, partition: number) => void
  /** The node that leads a partition; undefined while none does, and while its leader is in doubt. */
  readonly leaderOf: (topic: string, partition: number) => number | undefined
  /** Ends the loop and everything forked. */
  readonly end: Effect.Effect<void>
}

/** The waits between questions for one topic grow, by the cluster's `retry`, until it works, or nobody has asked for so long. */
const forgottenAfter = 3000
/** How soon one that came into doubt is asked for, though the waits for its topic have grown. */
const leastWait = 50
/** After a look that has thrown. */
const afterDefect = 1000

/** A topic that was asked for. */
interface Asked {
  asking: boolean
  /** Waits for its time. */
  sleeping: Fiber.Fiber<unknown> | undefined
  /** A partition came into doubt while the question was under way: the answer may be older than that. */
  again: boolean
  /** Questions since it last worked, or was left alone for a while. */
  questions: number
  readonly delay: Backoff.LastingDelay
  wait: number
  endedAt: number
  /** Partitions whose leader is in doubt. */
  readonly doubted: Set<number>
  /** Partitions that do not work. */
  readonly failing: Set<number>
}

/** What a Schedule is told where the answer came, and somebody has to ask again. */
const withoutLeader = (topic: string): KafkaError.KafkaError =>
  KafkaError.fromCode(ErrorCode.codes.LEADER_NOT_AVAILABLE, { api: "Metadata", topic })

/** Makes a loop over `look`, which is told the time and gives the time of the next look, if it knows one. */
export const make = Effect.fnUntraced(function* (
  cluster: Cluster["Service"],
  look: (now: number) => number | undefined
): Effect.fn.Return<Loop, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const delays = yield* Backoff.lasting(cluster.retry)
  // Apart from the caller's Scope, since what is forked must live on while the caller flushes at the end.
  const scope = yield* Scope.make()
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const awake = Latch.makeUnsafe(false)
  const now = () => Backoff.monotonic(clock)
  const wake = () => void awake.openUnsafe()
  const fork = (effect: Effect.Effect<unknown>) => Fiber.runIn(run(effect), scope)

  let timer: { readonly at: number; readonly fiber: Fiber.Fiber<unknown> } | undefined
  const arm = (at: number | undefined) => {
    if (at !== undefined && timer !== undefined && timer.at <= at) return
    timer?.fiber.interruptUnsafe()
    timer = undefined
    if (at === undefined) return
    const ring = Effect.sync(() => {
      timer = undefined
      wake()
    })
    timer = { at, fiber: fork(Effect.andThen(Effect.sleep(Math.max(1, Math.ceil(at - now()))), ring)) }
  }

  const asked = new Map<string, Asked>()
  const ask = (topic: string, one: Asked) => {
    one.asking = true
    one.sleeping = undefined
    // At the end of the turn: what comes into doubt together is asked for together.
    const question = Effect.andThen(
      Effect.yieldNow,
      Effect.suspend(() => {
        one.again = false
        return cluster.topics([topic])
      })
    )
    const ended = (failure: KafkaError.KafkaError | undefined) => {
      one.asking = false
      one.questions++
      one.wait = one.delay(one.questions, random.nextDoubleUnsafe(), () => failure ?? withoutLeader(topic))
      one.endedAt = now()
      if (one.again) later(topic, one)
      else one.doubted.clear()
      wake()
    }
    fork(
      question.pipe(
        Effect.onExit((exit) => Effect.sync(() => ended(Option.getOrUndefined(Exit.findErrorOption(exit))))),
        Effect.ignore
      )
    )
  }
  const later = (topic: string, one: Asked) => {
    const left = Math.ceil(one.endedAt + one.wait - now())
    if (left <= 0) return ask(topic, one)
    one.sleeping = fork(
      Effect.andThen(
        Effect.sleep(left),
        Effect.sync(() => ask(topic, one))
      )
    )
  }
  const askedOf = (topic: string): Asked => {
    let one = asked.get(topic)
    if (one === undefined)
      asked.set(
        topic,
        (one = {
          asking: false,
          sleeping: undefined,
          again: false,
          questions: 0,
          delay: delays(),
          wait: 0,
          endedAt: -Infinity,
          doubted: new Set(),
          failing: new Set()
        })
      )
    return one
  }
  const lookFor = (topic: string, partition: number) => {
    refresh(topic)
    askedOf(topic).failing.add(partition)
  }
  const works = (topic: string, partition: number) => {
    const one = asked.get(topic)
    if (one === undefined || !one.failing.delete(partition) || one.failing.size > 0) return
    one.questions = 0
    one.wait = Math.min(one.wait, leastWait)
    if (one.sleeping === undefined) return
    one.sleeping.interruptUnsafe()
    later(topic, one)
  }
  const refresh = (topic: string, partition?: number) => {
    if (partition !== undefined) cluster.doubtLeader({ topic, partition })
    const one = askedOf(topic)
    if (partition !== undefined) one.failing.add(partition)
    const doubted = partition !== undefined && !one.doubted.has(partition)
    if (doubted) one.doubted.add(partition)
    if (one.asking) {
      if (doubted) one.again = true
    } else if (one.sleeping === undefined) {
      if (one.endedAt + one.wait + forgottenAfter < now()) {
        one.questions = one.wait = 0
        one.failing.clear()
        if (partition !== undefined) one.failing.add(partition)
      }
      later(topic, one)
    } else if (doubted && one.endedAt + leastWait <= now()) {
      // It need not wait for as long as one that has no leader, for which asking has not helped.
      one.sleeping.interruptUnsafe()
      ask(topic, one)
    }
  }

  const turn = Effect.suspend(() => {
    awake.closeUnsafe()
    try {
      arm(look(now()))
      return Effect.void
    } catch (defect) {
      // It is told, and tried again: an engine that has died in silence would hold everybody up.
      return LogEvent.log("defect", "the engine's look failed", {}, undefined, defect).pipe(
        Effect.andThen(Effect.sleep(afterDefect)),
        Effect.andThen(Effect.sync(wake))
      )
    }
  })
  // A latch resumes whoever waits within `wake`: the look is put off to the end of the turn, so that it never stands
  // within an append or an answer, and sees as one what a turn brings (4000 partitions of one call: 29 s without).
  const looking = Effect.andThen(awake.await, Effect.andThen(Effect.yieldNow, turn))
  yield* Effect.forkIn(Effect.forever(looking, { disableYield: true }), scope)
  const leaderOf = (topic: string, partition: number) => {
    if (asked.get(topic)?.doubted.has(partition) === true) return undefined
    const leader = cluster.known(topic)?.partitions[partition]?.leader
    return leader === undefined || leader < 0 ? undefined : leader
  }
  return { now, wake, fork, refresh, lookFor, works, leaderOf, end: Scope.close(scope, Exit.void) }
})
