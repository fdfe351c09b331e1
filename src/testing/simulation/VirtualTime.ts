/**
 * Time of its own: a clock that stands still while anything is to do, and then goes to the next that somebody sleeps for;
 * and the turns of fibers, one after the other, by a scheduler that knows whether any is due. So an hour in which little
 * happens takes no time, and the same program runs the same way each time.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scheduler from "effect/Scheduler"

interface Timer {
  readonly due: number
  readonly order: number
  /** Undefined: it was cancelled. */
  fire: (() => void) | undefined
}

const isBefore = (a: Timer, b: Timer): boolean => a.due < b.due || (a.due === b.due && a.order < b.order)

/** A binary heap of timers: the next one is first. */
class Timers {
  private readonly heap: Array<Timer> = []

  add(timer: Timer): void {
    const { heap } = this
    let at = heap.push(timer) - 1
    while (at > 0) {
      const up = (at - 1) >> 1
      if (!isBefore(timer, heap[up]!)) break
      heap[at] = heap[up]!
      at = up
    }
    heap[at] = timer
  }

  /** The next one that was not cancelled. */
  take(): Timer | undefined {
    const { heap } = this
    while (heap.length > 0) {
      const first = heap[0]!
      const last = heap.pop()!
      if (heap.length > 0) this.sink(last)
      if (first.fire !== undefined) return first
    }
    return undefined
  }

  private sink(timer: Timer): void {
    const { heap } = this
    let at = 0
    while (true) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, timer)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = timer
  }
}

/**
 * So many turns in a row without time: something is busy with nothing, and would be for ever. A dozen clients whose fibers
 * take turns of three operations took more than a quarter of it, for 2500 records through a buffer of ten.
 */
const mostTurns = 5_000_000

/** The year 2026: no time is 0. */
const start = 1_767_225_600_000

export class VirtualTime {
  private timers = new Timers()
  private order = 0
  private tasks: Array<{ readonly priority: number; readonly task: () => void }> = []
  private millis = start

  /** Milliseconds since the beginning. */
  get elapsed(): number {
    return this.millis - start
  }

  /** Calls `fire` after so many milliseconds, in no fiber; the answer cancels it. */
  after(millis: number, fire: () => void): () => void {
    const timer: Timer = { due: this.millis + Math.max(0, Math.ceil(millis)), order: this.order++, fire }
    this.timers.add(timer)
    return () => {
      timer.fire = undefined
    }
  }

  readonly clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => this.millis,
    currentTimeMillis: Effect.sync(() => this.millis),
    currentTimeNanosUnsafe: () => BigInt(Math.round(this.millis * 1e6)),
    currentTimeNanos: Effect.sync(() => BigInt(Math.round(this.millis * 1e6))),
    monotonicTimeNanosUnsafe: () => BigInt(Math.round(this.elapsed * 1e6)),
    monotonicTimeNanos: Effect.sync(() => BigInt(Math.round(this.elapsed * 1e6))),
    sleep: (duration) =>
      Effect.callback<void>((resume) => {
        const millis = Duration.toMillis(duration)
        if (millis === Infinity) return
        const cancel = this.after(millis, () => resume(Effect.void))
        return Effect.sync(cancel)
      })
  }

  readonly scheduler: Scheduler.Scheduler = {
    executionMode: "async",
    shouldYield: (fiber) => fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield,
    makeDispatcher: () => ({
      scheduleTask: (task, priority) => void this.tasks.push({ task, priority }),
      flush: () => this.runTasks()
    })
  }

  /** Those that are due, by their priority, each in its turn. */
  private runTasks(): void {
    const { tasks } = this
    this.tasks = []
    if (tasks.some(({ priority }) => priority !== 0)) tasks.sort((a, b) => a.priority - b.priority)
    for (const { task } of tasks) task()
  }

  /**
   * Runs an Effect in this time, for at most `limit` milliseconds of it; one that has not ended by then is interrupted,
   * for another such time. Says why it has no end of its own: `"late"`, or `"busy"` where turn follows turn and no time
   * passes.
   */
  run<A, E, R>(
    self: Effect.Effect<A, E, R>,
    limit: number
  ): Effect.Effect<Exit.Exit<A, E> | "late" | "busy", never, R> {
    return Effect.gen({ self: this }, function* () {
      let exit = undefined as Exit.Exit<A, E> | undefined
      const fiber = yield* Effect.forkChild(
        self.pipe(
          Effect.onExit((ended) => Effect.sync(() => void (exit = ended))),
          Effect.provideService(Clock.Clock, this.clock),
          Effect.provideService(Scheduler.Scheduler, this.scheduler)
        )
      )
      let interrupted = false
      let turns = 0
      let end = this.elapsed + limit
      while (fiber.pollUnsafe() === undefined) {
        // What microtasks do is done when the event loop has had its turn.
        yield* Effect.yieldNow
        if (this.tasks.length > 0) {
          if (turns++ > mostTurns) return "busy"
          this.runTasks()
          continue
        }
        // Behind the end of this scheduler a fiber that has worked for long yields to the one outside.
        if (exit !== undefined) continue
        const timer = this.timers.take()
        if (timer === undefined || timer.due - start > end) {
          if (interrupted) break
          interrupted = true
          end += limit
          if (timer !== undefined) this.timers.add(timer)
          fiber.interruptUnsafe()
          continue
        }
        if (timer.due > this.millis) {
          this.millis = timer.due
          turns = 0
        }
        const { fire } = timer
        timer.fire = undefined
        fire?.()
      }
      return interrupted || exit === undefined ? "late" : exit
    })
  }
}
