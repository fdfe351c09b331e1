/**
 * One named connection of a broker: made when it is first used, shared by its users, made anew when it was lost:
 * after the delays of the setting `retry`, which begin anew when a connection has been of use.
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Backoff from "../Backoff.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Resume from "../Resume.ts"
import type { BrokerConnection } from "./BrokerConnection.ts"

/** What a slot needs from its owner. */
export interface Context {
  /** `host:port`, for errors. */
  readonly address: string
  readonly scope: Scope.Scope
  readonly clock: Clock.Clock
  readonly fork: (effect: Effect.Effect<void>) => void
  /** How long a connection may be idle and be used again, in milliseconds. */
  readonly maxIdle: number
  /** Makes the waits after so many failures in a row. */
  readonly delays: () => Backoff.LastingDelay
  readonly random: { readonly nextDoubleUnsafe: () => number }
  /** Opens a connection in a Scope, ready for requests. */
  readonly connect: (slot: ConnectionSlot, scope: Scope.Scope) => Effect.Effect<BrokerConnection, KafkaError.KafkaError>
}

export class ConnectionSlot {
  readonly #context: Context
  #session: BrokerConnection | undefined
  #scope: Scope.Closeable | undefined
  #connecting: Deferred.Deferred<BrokerConnection, KafkaError.KafkaError> | undefined
  #opening: Fiber.Fiber<unknown> | undefined
  /** Connections in a row that could not be made, or were lost before they were of use. */
  #failures = 0
  readonly #delay: Backoff.LastingDelay
  #notBefore = 0
  #closed: string | undefined

  constructor(context: Context) {
    this.#context = context
    this.#delay = context.delays()
  }

  /** The connection, made if there is none. */
  readonly acquire: Effect.Effect<BrokerConnection, KafkaError.KafkaError> = Effect.uninterruptibleMask(
    (interruptible) => {
      const session = this.#session
      if (session !== undefined) {
        // What closes idle connections rings late where the process has slept; the other side has not.
        if (!session.isIdle || Backoff.monotonic(this.#context.clock) - session.usedAt < this.#context.maxIdle)
          return Effect.succeed(session)
        session.close("idle", true)
      }
      if (this.#closed !== undefined) return this.#lost(this.#closed)
      if (this.#context.scope.state._tag === "Closed") return Effect.fail(closed())
      if (this.#connecting !== undefined) return interruptible(Resume.awaiting(this.#connecting))
      const connecting = (this.#connecting = Deferred.makeUnsafe<BrokerConnection, KafkaError.KafkaError>())
      // Forked into the owner's Scope: whoever asked first may be interrupted, also between two steps of his, while
      // others wait for the same connection.
      const opening = Effect.map(
        Effect.forkIn(this.#open, this.#context.scope, { startImmediately: true }),
        (fiber) => void (this.#opening = fiber)
      )
      return Effect.andThen(opening, interruptible(Resume.awaiting(connecting)))
    }
  )

  /** A session of this slot has ended. */
  ended(session: BrokerConnection): void {
    if (this.#session !== session) return
    this.#session = undefined
    if (this.#scope !== undefined) this.#context.fork(Scope.close(this.#scope, Exit.void))
    this.#scope = undefined
    if (session.served) this.#failures = 0
    else if (!session.wasLeft) this.#failed(this.#unreachable("closed before it was of use"))
  }

  /** Ends it for good: who waits for a connection has nothing to wait for. */
  close(cause: string): void {
    this.#closed = cause
    this.#session?.close(cause, true)
    if (this.#connecting !== undefined) Deferred.doneUnsafe(this.#connecting, this.#lost(cause))
    this.#connecting = undefined
    this.#opening?.interruptUnsafe()
  }

  #failed(error: KafkaError.KafkaError): void {
    this.#failures++
    const { clock, random } = this.#context
    this.#notBefore = Backoff.monotonic(clock) + this.#delay(this.#failures, random.nextDoubleUnsafe(), () => error)
  }

  readonly #open = Effect.suspend(() => {
    const wait = this.#failures === 0 ? 0 : this.#notBefore - Backoff.monotonic(this.#context.clock)
    return wait > 0 ? Effect.andThen(Effect.sleep(Math.ceil(wait)), this.#attempt) : this.#attempt
  }).pipe(
    Effect.onExit((exit) =>
      Effect.sync(() => {
        const connecting = this.#connecting
        this.#connecting = undefined
        if (connecting !== undefined) Deferred.doneUnsafe(connecting, this.#typed(exit))
      })
    ),
    Effect.ignore
  )

  get #attempt(): Effect.Effect<BrokerConnection, KafkaError.KafkaError> {
    return Effect.gen({ self: this }, function* () {
      const scope = yield* Scope.fork(this.#context.scope)
      const session = yield* this.#context.connect(this, scope).pipe(
        Effect.onError(() => Scope.close(scope, Exit.void)),
        Effect.tapError((error) => Effect.sync(() => this.#failed(error)))
      )
      if (this.#closed !== undefined || !session.isOpen) {
        if (this.#closed === undefined) this.#failed(this.#unreachable("closed by the broker"))
        yield* Scope.close(scope, Exit.void)
        return yield* this.#lost(this.#closed ?? "closed by the broker")
      }
      this.#session = session
      this.#scope = scope
      return session
    })
  }

  #lost(cause: string): Effect.Effect<never, KafkaError.KafkaError> {
    return Effect.fail(this.#unreachable(cause))
  }

  #unreachable(cause: string): KafkaError.KafkaError {
    return KafkaError.make({ _tag: "Unreachable", attempts: [{ address: this.#context.address, cause }] })
  }

  /** A wait ends typed, also where the client is closed in the middle of it. */
  #typed(
    exit: Exit.Exit<BrokerConnection, KafkaError.KafkaError>
  ): Effect.Effect<BrokerConnection, KafkaError.KafkaError> {
    if (!Exit.isFailure(exit) || !Cause.hasInterrupts(exit.cause)) return exit
    // A Network of the application's may end so, too.
    return this.#context.scope.state._tag === "Closed"
      ? Effect.fail(closed())
      : this.#lost("connecting was interrupted")
  }
}

const closed = (): KafkaError.KafkaError => KafkaError.make({ _tag: "Closed", what: "client" })
