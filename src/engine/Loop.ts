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
import * as Scope from "effect/Scope"
import * as Backoff from "../Backoff.ts"
import type { Cluster } from "../Cluster.ts"

export interface Loop {
  /** Milliseconds on the monotonic clock. */
  readonly now: () => number
  /** Looks soon: at the end of this turn of the event loop, so that what a turn brings is looked at as one. */
  readonly wake: () => void
  /** Runs something that is interrupted when the loop ends. */
  readonly fork: (effect: Effect.Effect<unknown>) => Fiber.Fiber<unknown>
  /** Asks for a topic's metadata, once at a time, and wakes afterwards. */
  readonly refresh: (topic: string) => void
  /** The node that leads a partition; undefined while none does, and while the topic is being asked for. */
  readonly leaderOf: (topic: string, partition: number) => number | undefined
  /** Ends the loop and everything forked. */
  readonly end: Effect.Effect<void>
}

/** How soon metadata is asked for again that told of no leader, and that could not be had. */
const leaderlessMillis = 100
const failedMillis = 1000

/** Makes a loop over `look`, which is told the time and gives the time of the next look, if it knows one. */
export const make = Effect.fnUntraced(function* (
  cluster: Cluster["Service"],
  look: (now: number) => number | undefined
): Effect.fn.Return<Loop, never, Scope.Scope> {
  const clock = yield* Clock.Clock
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

  const asking = new Set<string>()
  const refresh = (topic: string) => {
    if (asking.has(topic)) return
    asking.add(topic)
    fork(
      cluster.topics([topic]).pipe(
        // Where nothing has changed, the next look would ask at once again.
        Effect.flatMap(([info]) =>
          info?.partitions.every((partition) => partition.leader >= 0) === true
            ? Effect.void
            : Effect.sleep(leaderlessMillis)
        ),
        Effect.catch(() => Effect.sleep(failedMillis)),
        Effect.ensuring(
          Effect.sync(() => {
            asking.delete(topic)
            wake()
          })
        )
      )
    )
  }

  const turn = Effect.sync(() => {
    awake.closeUnsafe()
    arm(look(now()))
  })
  yield* Effect.forkIn(Effect.forever(Effect.andThen(awake.await, turn), { disableYield: true }), scope)
  const leaderOf = (topic: string, partition: number) => {
    if (asking.has(topic)) return undefined
    const leader = cluster.known(topic)?.partitions[partition]?.leader
    return leader === undefined || leader < 0 ? undefined : leader
  }
  return { now, wake, fork, refresh, leaderOf, end: Scope.close(scope, Exit.void) }
})
