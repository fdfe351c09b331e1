/**
 * Transactions: records of any partitions, and offsets of a group, that are all there or none of them (KIP-98).
 *
 * ```ts
 * import { Effect, Schema } from "effect"
 * import { Producer, Topic, Transaction } from "samsa"
 *
 * const accounts = Topic.make("accounts", { key: Schema.String, value: Schema.String })
 * // all or nothing: success commits, failure or interruption aborts
 * export const transfer = Transaction.run(Effect.gen(function*() {
 *   const producer = yield* Producer.Producer
 *   yield* producer.send(accounts, { key: "a", value: "-10" })
 *   yield* producer.send(accounts, { key: "b", value: "+10" })
 * }))
 * export const layer = Transaction.layer({ transactionalId: "transfer-1" })
 * ```
 *
 * What holds:
 *
 * - Whoever reads with `isolation: "committed"` sees all records of a transaction, or none.
 * - Every failure of `run` means that nothing is committed, but for one: `InDoubt` says that the commit was sent and not
 *   answered. It is committed or aborted then, as a whole, and nothing that follows can change which.
 * - Every record counts, also one whose failure the program has handled: where one has failed, nothing is committed.
 * - Whoever begins with a transactional id fences whoever had it before: that one's transaction is aborted, and everything
 *   it asks for fails with `Fenced` from then on.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Backoff from "./Backoff.ts"
import * as Checks from "./Checks.ts"
import type * as Cluster from "./Cluster.ts"
import type * as Consumer from "./Consumer.ts"
import * as GroupOffsets from "./GroupOffsets.ts"
import type { Kafka } from "./Kafka.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import * as ProducerImpl from "./produce/ProducerImpl.ts"
import * as ProducerSettings from "./produce/Settings.ts"
import * as Producer from "./Producer.ts"
import * as Transport from "./Transport.ts"

/**
 * Settings: those of a producer, and of its transactions. `acks` is `"all"`, and it is idempotent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Omit<Producer.Options, "acks" | "idempotent"> {
  /**
   * Who this is, over restarts: whoever begins with the same fences the one before. So each of several instances that
   * run at the same time has one of its own. Java: transactional.id.
   */
  readonly transactionalId: string
  /**
   * After how long the coordinator aborts a transaction that is open. What `run` has not brought to its end by nine
   * tenths of it is interrupted, aborted, and fails with `TimedOut`. At most the brokers' transaction.max.timeout.ms (15
   * min). Default 60 s. Java: transaction.timeout.ms.
   */
  readonly transactionTimeout?: Duration.Input | undefined
  /** How long each request to the coordinator is tried for. Default 60 s. Java: max.block.ms. */
  readonly apiTimeout?: Duration.Input | undefined
}

/** What is checked here; the rest is the producer's. */
const table = {
  transactionalId: Checks.required(Checks.kinds.name),
  transactionTimeout: true,
  apiTimeout: true
} as const

/** Fails with `Misconfigured`, naming every mistake. */
const settingsOf = (given: Options) =>
  Effect.gen(function* () {
    const checks = KafkaConfig.checks()
    const mistake = (text: string) => void checks.mistakes.push(text)
    const isObject = typeof given === "object" && given !== null && !Array.isArray(given)
    const { acks, apiTimeout, idempotent, transactionTimeout, transactionalId, ...rest }: Options & Producer.Options =
      isObject ? given : (Checks.known(given, {}, mistake) as Options)
    for (const [name, value] of Object.entries({ acks, idempotent }))
      if (value !== undefined) mistake(`"${name}" is no setting here: a transaction has acks "all" and is idempotent`)
    const own = Checks.known({ apiTimeout, transactionTimeout, transactionalId }, table, mistake)
    const transaction: Transport.TransactionSettings = {
      transactionalId: own.transactionalId,
      transactionTimeout: checks.millis("transactionTimeout", own.transactionTimeout, 60_000),
      apiTimeout: checks.millis("apiTimeout", own.apiTimeout, 60_000)
    }
    const producing = yield* Effect.exit(ProducerSettings.make({ ...rest, acks: "all", idempotent: true }))
    if (Exit.isSuccess(producing)) return yield* KafkaConfig.settle(checks, { producing: producing.value, transaction })
    const error = Cause.squash(producing.cause)
    if (error instanceof KafkaError.KafkaError && error.reason._tag === "Misconfigured")
      checks.mistakes.push(...error.reason.mistakes)
    else return yield* Effect.failCause(producing.cause)
    return yield* KafkaError.make({ _tag: "Misconfigured", mistakes: checks.mistakes })
  })

/**
 * The open transaction: there is one within `run` alone.
 *
 * @since 0.1.0
 * @category services
 */
export class Transaction extends Context.Service<
  Transaction,
  {
    readonly transactionalId: string
    /**
     * Offsets of a group that are the group's when the transaction is committed: the next to be read of each partition.
     * `process` does it for a consumer. Fails with `Server` ILLEGAL_GENERATION or UNKNOWN_MEMBER_ID where the group has
     * gone on without this member (brokers from 2.5 on, KIP-447), and with that nothing is committed.
     */
    readonly commitOffsets: (
      group: Consumer.GroupMetadata,
      offsets: Iterable<Consumer.OffsetCommit>
    ) => Effect.Effect<void, KafkaError.KafkaError>
  }
>()("samsa/Transaction") {}

/**
 * Runs transactions, one after the other, under one transactional id.
 *
 * @since 0.1.0
 * @category services
 */
export class Transactions extends Context.Service<
  Transactions,
  {
    readonly transactionalId: string
    /** See `run`. */
    readonly run: <A, E, R>(
      effect: Effect.Effect<A, E, R>
    ) => Effect.Effect<A, E | KafkaError.KafkaError, Exclude<R, Producer.Producer | Transaction>>
  }
>()("samsa/Transactions") {}

/**
 * Runs an Effect in a transaction: `Producer` is the transactional one within it. Success commits; failure and interruption
 * abort, and so does a time beyond `transactionTimeout`. One at a time: others wait for their turn.
 *
 * @since 0.1.0
 * @category running
 */
export const run = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | KafkaError.KafkaError, Exclude<R, Producer.Producer | Transaction> | Transactions> =>
  Effect.flatMap(Transactions, (transactions) => transactions.run(effect))

/** The engines of the transactions that a fiber is in. */
const Within = Context.Reference<ReadonlyArray<Transport.TransactionalProducer>>("samsa/Transaction/Within", {
  defaultValue: () => []
})

const isTooLate = ({ reason }: KafkaError.KafkaError): boolean =>
  reason._tag === "TimedOut" && reason.budget === "transactionTimeout"

/** What has not ended by then is aborted by us, not by the coordinator, which fences whom it aborts. */
const share = 0.9

/**
 * Makes it. It begins by fencing whoever had the transactional id before, and aborting what that one has left open; fails
 * with `Unsupported` for brokers before 0.11. Closing the Scope aborts what is open, within `closeTimeout`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Transactions["Service"], KafkaError.KafkaError, Kafka | Scope.Scope> {
  const { producing, transaction } = yield* settingsOf(options)
  const { transactionTimeout, transactionalId } = transaction
  const transport = yield* Transport.Transport
  yield* Transport.needs(transport, "transactions", `transactional id ${transactionalId}`)
  const keeper = yield* GroupOffsets.GroupOffsets
  const context = yield* Effect.context<Cluster.Cluster | Transport.Transport>()
  const engine = yield* transport.transactional!(producing.settings, transaction)
  yield* engine.initialize
  const permit = yield* Semaphore.make(1)

  const within = <A, E, R>(since: number, self: Effect.Effect<A, E, R>) =>
    Effect.flatMap(Clock.Clock, (clock) =>
      Effect.timeoutOrElse(self, {
        duration: Math.max(1, since + transactionTimeout * share - Backoff.monotonic(clock)),
        orElse: () =>
          Effect.fail(
            KafkaError.make({
              _tag: "TimedOut",
              budget: "transactionTimeout",
              millis: transactionTimeout * share,
              waitingFor: "what the transaction does",
              transactionalId
            })
          )
      })
    )

  /** Aborts, and says what the transaction failed with: by whom it was fenced, where that is why. */
  const aborted = <E>(cause: Cause.Cause<E | KafkaError.KafkaError>) =>
    Effect.flatMap(
      Effect.exit(
        // Whoever interrupts does not wait for a coordinator that is away.
        Cause.hasInterrupts(cause) ? Effect.timeoutOption(engine.abort, producing.settings.closeTimeout) : engine.abort
      ),
      (exit) => {
        const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
        // What a record has failed with is what came of it.
        const isReason = KafkaError.isKafkaError(error) && (error.reason._tag === "Fenced" || isTooLate(error))
        return isReason && KafkaError.isKafkaError(Cause.squash(cause)) ? Effect.fail(error) : Effect.failCause(cause)
      }
    )

  const once = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        yield* restore(engine.begin)
        const since = Backoff.monotonic(yield* Clock.Clock)
        let isOpen = true
        const scope = yield* Scope.make()
        const producer = yield* ProducerImpl.make(producing, Effect.succeed(engine), (error) => {
          if (isOpen) engine.refused(error)
        }).pipe(Scope.provide(scope), Effect.provide(context))
        const body = effect.pipe(
          Effect.provideService(Producer.Producer, producer as Producer.Producer["Service"]),
          Effect.provideService(Transaction, {
            transactionalId,
            commitOffsets: ({ group, ...as }, offsets) => engine.commitOffsets(keeper, group, as, [...offsets])
          }),
          Effect.updateService(Within, (engines) => [...engines, engine])
        ) as Effect.Effect<A, E, Exclude<R, Producer.Producer | Transaction>>
        const exit = yield* Effect.exit(restore(within(since, body)))
        // What has not been handed over by now is not part of it, and hears so.
        isOpen = false
        yield* Scope.close(scope, Exit.void)
        if (Exit.isFailure(exit)) return yield* aborted(exit.cause)
        const flushed = yield* Effect.exit(restore(within(since, engine.flush)))
        if (Exit.isFailure(flushed)) return yield* aborted(flushed.cause)
        yield* engine.commit
        return exit.value
      })
    )

  return Transactions.of({
    transactionalId,
    run: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.flatMap(Within, (engines) =>
        engines.includes(engine)
          ? Effect.fail(
              KafkaError.make({
                _tag: "Misuse",
                message:
                  "a transaction within another one of the same transactional id: its records can be part of that one",
                transactionalId
              })
            )
          : permit.withPermits(1)(once(effect))
      ) as Effect.Effect<A, E | KafkaError.KafkaError, Exclude<R, Producer.Producer | Transaction>>
  })
})

/**
 * Transactions under one transactional id; see `make`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Transactions, KafkaError.KafkaError, Kafka> =>
  Layer.effect(Transactions, make(options))
