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
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Tracer from "effect/Tracer"
import { effectOf } from "./Abandon.ts"
import * as Backoff from "./Backoff.ts"
import * as Checks from "./Checks.ts"
import * as Cluster from "./Cluster.ts"
import { raw } from "./consume/ConsumerRecord.ts"
import { commitsOf } from "./consume/Places.ts"
import * as Processing from "./consume/Processing.ts"
import * as Taking from "./consume/Taking.ts"
import type * as Consumer from "./Consumer.ts"
import * as GroupOffsets from "./GroupOffsets.ts"
import type { Kafka } from "./Kafka.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import { perService } from "./PerService.ts"
import * as ProducerImpl from "./produce/ProducerImpl.ts"
import * as ProducerSettings from "./produce/Settings.ts"
import * as Producer from "./Producer.ts"
import * as Spans from "./tracing/Spans.ts"
import * as Endings from "./transact/Endings.ts"
import * as InTime from "./transact/InTime.ts"
import * as Observed from "./transact/Observed.ts"
import { type ProcessOptions, processing } from "./transact/ProcessOptions.ts"
import { isFenced } from "./transact/TransactionMachine.ts"
import { begins, type Begun, ends, misuse, unlessWithin, Within } from "./transact/Within.ts"
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
    /** See `process`. */
    readonly process: <A, E extends I, R, E2 = never, R2 = never, I = unknown>(
      consumer: Consumer.Consumer<A>,
      handler: (records: Arr.NonEmptyReadonlyArray<A>) => Effect.Effect<unknown, E, R>,
      options?: ProcessOptions<I, E2, R2>
    ) => Effect.Effect<void, E | E2 | KafkaError.KafkaError, Exclude<R, Producer.Producer | Transaction> | R2>
  }
>()("samsa/Transactions") {}

export type { ProcessOptions } from "./transact/ProcessOptions.ts"

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

/**
 * Exactly once: what was read, what the handler makes of it, and the offsets in one transaction. `Producer` is the
 * transactional one within the handler. Records come in the order of each partition, those of all partitions that have
 * some in one array; the next array comes when the transaction is committed. Ends when the consumer is closed, or a bounded
 * read is through.
 *
 * - A partition that is revoked in the middle is given back when its transaction is committed, or was aborted since it was
 *   not through within `drainTimeout`. Of one that is lost nothing is committed.
 * - After an abort the records come again, in order. What passes (a coordinator that moves, a rebalance, a leader that is
 *   away) is tried again inside; what a handler fails with is, by `retry`, or it is the failure of `process`. A handler
 *   that takes longer than `transactionTimeout` is begun again, too, and it is logged.
 * - A commit that is not answered is found out about, by the group's offsets, before anything is taken again: where who
 *   waited for it was interrupted, or his layer has ended, by the next `process` under the same transactional id. Under
 *   another one that is `Misuse`, as is a second one at the same time.
 *
 * The consumer reads what others have committed (`isolation: "committed"`, the default), and commits nothing itself.
 * Brokers before 2.5 do not refuse the offsets of a member that the group has gone on without: there each record is
 * processed exactly once for as long as no process stands still beyond its session.
 *
 * @since 0.1.0
 * @category running
 */
export const process = <A, E extends I, R, E2 = never, R2 = never, I = unknown>(
  consumer: Consumer.Consumer<A>,
  handler: (records: Arr.NonEmptyReadonlyArray<A>) => Effect.Effect<unknown, E, R>,
  options?: ProcessOptions<I, E2, R2>
): Effect.Effect<
  void,
  E | E2 | KafkaError.KafkaError,
  Exclude<R, Producer.Producer | Transaction> | R2 | Transactions
> => Effect.flatMap(Transactions, (transactions) => transactions.process(consumer, handler, options))

/**
 * Makes it. It begins by fencing whoever had the transactional id before, and aborting what that one has left open; fails
 * with `Unsupported` for brokers before 0.11. Closing the Scope interrupts what is at work, which fails with `Closed`, and
 * aborts what is open, within `closeTimeout`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<Transactions["Service"], KafkaError.KafkaError, Kafka | Scope.Scope> {
  const { producing, transaction } = yield* settingsOf(options)
  const { transactionalId } = transaction
  const transport = yield* Transport.Transport
  yield* Transport.needs(transport, "transactions", `transactional id ${transactionalId}`)
  const keeper = yield* GroupOffsets.GroupOffsets
  const cluster = yield* Cluster.Cluster
  const context = yield* Effect.context<Cluster.Cluster | Transport.Transport>()
  const engine = yield* transport.transactional!(producing.settings, transaction)
  yield* engine.initialize
  const observed = yield* Observed.make(transactionalId, transport.clientId ?? "")
  const permit = yield* Semaphore.make(1)

  const { aborted, committed, whileOpen } = yield* Endings.make(engine, transaction, producing.settings.closeTimeout)

  /** Of one transaction: with its Scope, not with that of the layer, which is in the context as well. */
  const producerOf = (begun: Begun, scope: Scope.Scope, reporting: Scope.Scope) => {
    const refused = (error: KafkaError.KafkaError) => {
      if (begun.isOpen) engine.refused(error)
    }
    return ProducerImpl.make(producing, Effect.succeed(engine), { refused, reporting }).pipe(
      Scope.provide(scope),
      Effect.provide(context)
    )
  }

  const bodyOf = <A, E, R>(
    begun: Begun,
    producer: Effect.Success<ReturnType<typeof producerOf>>,
    effect: Effect.Effect<A, E, R>
  ) =>
    effect.pipe(
      Effect.provideService(Producer.Producer, producer as Producer.Producer["Service"]),
      Effect.provideService(Transaction, {
        transactionalId,
        commitOffsets: (group, offsets) => Effect.suspend(() => commitOffsets(begun, group, offsets))
      }),
      Effect.updateService(Within, (transactions) => [...transactions, begun])
    ) as Effect.Effect<A, E, Exclude<R, Producer.Producer | Transaction>>

  /** `batch`: whose offsets are part of it; `ended` hears how its commit has ended. */
  const once = <A, E, R>(effect: Effect.Effect<A, E, R>, batch?: Taking.Batch, ended?: Processing.Ended) => {
    const reported = (reporting: Scope.Scope, restore: Endings.Restore) =>
      Effect.gen(function* () {
        // One that was opened in the moment of an interruption is not left open.
        yield* Effect.onInterrupt(restore(engine.begin), () =>
          aborted(Cause.interrupt(), restore).pipe(Effect.ignoreCause)
        )
        const since = Backoff.monotonic(yield* Clock.Clock)
        const begun = begins({ engine, transport, transactionalId })
        const scope = yield* Scope.make()
        const made = producerOf(begun, scope, reporting)
        // Whatever dies in it: the transaction is not left open.
        const exit = yield* Effect.exit(
          Effect.flatMap(made, (producer) =>
            restore(whileOpen(InTime.within(transaction, since, bodyOf(begun, producer, effect))))
          )
        )
        // What has not been handed over by now is not part of it, and hears so.
        ends(begun)
        yield* Scope.close(scope, Exit.void)
        if (Exit.isFailure(exit)) return yield* aborted(exit.cause, restore)
        const offsets = batch?.offsets()
        const kept = Effect.andThen(owned(batch), offsetsOf(batch, offsets))
        const ready = Effect.all([engine.flush, kept], { concurrency: 2, discard: true })
        const flushed = yield* Effect.exit(
          restore(InTime.within(transaction, since, Effect.andThen(ready, owned(batch))))
        )
        if (Exit.isFailure(flushed)) return yield* aborted(flushed.cause, restore)
        const how = yield* committed(restore)
        if (Exit.isSuccess(how) && offsets !== undefined) yield* batch!.committed(offsets)
        const error = Exit.isSuccess(how) ? undefined : Cause.squash(how.cause)
        yield* ended?.(error as KafkaError.KafkaError | undefined) ?? Effect.void
        yield* how
        return exit.value
      })
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Scope.make(), (reporting) =>
        Effect.ensuring(reported(reporting, restore), Scope.close(reporting, Exit.void))
      )
    )
  }

  /** Offsets by hand: of this transaction, or of none. What cannot be committed makes it fail, as a record does. */
  const commitOffsets = (
    { isOpen }: Begun,
    { group, ...as }: Consumer.GroupMetadata,
    offsets: Iterable<Consumer.OffsetCommit>
  ) => {
    const where = { transactionalId, group }
    if (!isOpen) return Effect.fail(misuse("the transaction has ended: no offsets can be part of it any more", where))
    const commits = commitsOf(offsets)
    if (typeof commits !== "string") return engine.commitOffsets(keeper, group, as, commits)
    const error = misuse(commits, where)
    engine.refused(error)
    return Effect.fail(error)
  }

  const offsetsOf = (batch: Taking.Batch | undefined, offsets: Taking.Offsets | undefined) => {
    if (batch === undefined || offsets === undefined) return Effect.void
    return Effect.tapError(engine.commitOffsets(offsets.keeper, offsets.group, offsets.as, offsets.commits), (error) =>
      Effect.sync(() => {
        const { reason } = error
        // Not of the producer; and where it is not as it was, it was we who have not sent them: the group has said nothing.
        const isSaid = reason._tag === "Server" && !isFenced(reason.code) && batch.isCurrent()
        if (isSaid) batch.refused(offsets, reason.code)
      })
    )
  }

  /** By our own clock, too: whoever stood still for longer than his session goes no further. */
  const owned = (batch: Taking.Batch | undefined) =>
    Effect.suspend(() => {
      const error = batch?.lost()
      return error === undefined ? Effect.void : Effect.fail(error)
    })

  /** In its turn, and observed. */
  const inTurn = <A, E, R>(self: Effect.Effect<A, E, R>, links?: () => ReadonlyArray<Tracer.AnySpan>) =>
    unlessWithin(engine, transactionalId, permit.withPermits(1)(observed(self, links)))

  return Transactions.of({
    transactionalId,
    run: (effect) => inTurn(once(effectOf(effect, "what is run", { transactionalId }))) as Effect.Effect<any, any, any>,
    process: (consumer, handler, options = {}) =>
      Effect.flatMap(processing(handler, options), (settings): Effect.Effect<void, any, any> => {
        const taken = (consumer as { readonly [Taking.taking]?: Taking.Taking })[Taking.taking]
        if (taken === undefined)
          return Effect.fail(
            KafkaError.make({ _tag: "Misuse", message: "what is processed is no consumer of this library" })
          )
        return Processing.run({
          ...settings,
          transactionalId,
          taking: Taking.ofCluster(taken, () => cluster.clusterId()),
          waits: cluster.retry,
          attempt: (batch, ended) => {
            const handled = Effect.suspend(() =>
              effectOf(handler(batch.records as never), "what a handler gives", { transactionalId })
            )
            return inTurn(once(handled, batch, ended), () => Spans.linksOf(batch.records.map(raw)))
          },
          resolve: engine.initialize
        }).pipe(whileOpen)
      })
  })
})

/**
 * Transactions under one transactional id; see `make`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Transactions, KafkaError.KafkaError, Kafka> =>
  perService([Cluster.Cluster, Transport.Transport, GroupOffsets.GroupOffsets], () =>
    Layer.effect(Transactions, make(options))
  )
