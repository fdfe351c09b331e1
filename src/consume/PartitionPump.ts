/**
 * The fetching side of one partition: a fiber that pulls arrays from the transport, one ahead of what is delivered. It
 * puts each array down, and pulls the next one when that was taken.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { defectOf } from "../Abandon.ts"
import { Signal } from "../Signal.ts"
import type * as KafkaError from "../KafkaError.ts"
import * as Resume from "../Resume.ts"
import type { Fetched, PartitionReader } from "../Transport.ts"

/** What the pump tells its partition. */
export interface Sink {
  /** What is waited for before anything more is pulled; undefined: nothing. */
  readonly awaits: () => Effect.Effect<void> | undefined
  /** An array, or one of the position's progress alone. True: the pump waits until `resume`. */
  readonly put: (fetched: Fetched) => boolean
  /** The pull failed: an Effect that cured it, or the failure. */
  readonly cure: (error: KafkaError.KafkaError, reader: PartitionReader) => Effect.Effect<void, KafkaError.KafkaError>
  /** It failed for good; or it died, or interrupted itself, as a transport of one's own may. */
  readonly failed: (failure: Effect.Effect<never, KafkaError.KafkaError>) => void
}

export class PartitionPump {
  readonly reader: PartitionReader
  private readonly scope: Scope.Scope
  private readonly sink: Sink
  private fiber: Fiber.Fiber<void> | undefined = undefined
  private waits = false
  private readonly taken = new Signal(() => !this.waits)

  constructor(reader: PartitionReader, scope: Scope.Scope, sink: Sink) {
    this.reader = reader
    this.scope = scope
    this.sink = sink
  }

  /** Starts to pull. */
  readonly start: Effect.Effect<void> = Effect.suspend(() => {
    this.waits = false
    return Effect.map(Effect.forkIn(this.pumping, this.scope, { startImmediately: true }), (fiber) => {
      this.fiber = fiber
    })
  }).pipe(Effect.uninterruptible)

  /** Stops pulling: what the fiber holds and has not put down is dropped. */
  readonly stop: Effect.Effect<void> = Effect.suspend(() => {
    const fiber = this.fiber
    this.fiber = undefined
    return fiber === undefined ? Effect.void : interrupt(fiber)
  })

  /** What was put down is taken: pulls the next one. */
  resume(): void {
    this.waits = false
    this.taken.fire()
  }

  private readonly next: Effect.Effect<void, KafkaError.KafkaError> = Effect.suspend(
    () => this.sink.awaits() ?? this.pulled
  )

  private readonly pulled: Effect.Effect<void, KafkaError.KafkaError> = Effect.suspend(() =>
    Effect.matchEffect(this.reader.pull, {
      onFailure: (error) => this.sink.cure(error, this.reader),
      onSuccess: (fetched) => {
        // Before it is put down: whoever waits for it takes it at once, and resumes.
        this.waits = true
        this.waits = this.sink.put(fetched) && this.waits
        return this.waits ? this.taken.await : Effect.void
      }
    })
  )

  private readonly pumping: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forever(this.next, { disableYield: true })
  ).pipe(
    // Whoever is stopped does not come here.
    Effect.catchCause((cause) =>
      Effect.sync(() => this.sink.failed(Cause.hasFails(cause) ? Effect.failCause(cause) : Effect.die(defectOf(cause))))
    )
  )
}

const interrupt = (fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<void> =>
  Resume.callback((resume) => {
    fiber.addObserver(() => resume(Effect.void))
    fiber.interruptUnsafe()
  })
