/**
 * Drives the life of a transactional id (`TransactionMachine`): carries its commands out as requests to the coordinator,
 * tells the answers, and stands between the engine that sends records and the transaction that they are part of.
 *
 * One file because it is one function, and one function because one machine, one turn and one engine are shared by all
 * that it does; each is a short function in it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { abandonable } from "../Abandon.ts"
import * as AskedAgain from "../AskedAgain.ts"
import * as Backoff from "../Backoff.ts"
import type { Cluster } from "../Cluster.ts"
import { Closing } from "../engine/Closing.ts"
import * as Machine from "../engine/Machine.ts"
import type { TransactionGate } from "../engine/TransactionGate.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { Commit, GroupOffsets, Identity } from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import * as Resume from "../Resume.ts"
import { Signal } from "../Signal.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { TransactionalProducer, TransactionSettings, TransportProducer } from "../Transport.ts"
import * as CoordinatorRequests from "./CoordinatorRequests.ts"
import * as TransactionMachine from "./TransactionMachine.ts"
import { type Command, type Event, initial, type State } from "./TransactionState.ts"

/** The engine that sends the records. */
export interface Engine extends TransportProducer {
  readonly wake: () => void
  readonly failAll: (error: KafkaError.KafkaError) => void
  readonly settled: Effect.Effect<void>
  readonly takeGap: () => boolean
}

/** What the driver works over. */
export interface Context {
  readonly cluster: Cluster["Service"]
  readonly clientId: string
  readonly settings: TransactionSettings
  /** How long closing may take to abort what is open, in milliseconds. */
  readonly closeTimeout: number
  /** Makes the engine behind the gate. */
  readonly engine: (gate: TransactionGate) => Effect.Effect<Engine, KafkaError.KafkaError, Scope.Scope>
}

type What = Extract<Command, { readonly _tag: "Tell" }>["what"]
type Answer = Deferred.Deferred<void, KafkaError.KafkaError>

/** Makes it. Nothing is asked before `initialize`. */
export const make = Effect.fnUntraced(function* ({
  clientId,
  closeTimeout,
  cluster,
  engine: engineOf,
  settings
}: Context): Effect.fn.Return<TransactionalProducer, KafkaError.KafkaError, Scope.Scope> {
  const { apiTimeout, transactionalId } = settings
  const again = AskedAgain.make("requestRetried", { transactionalId })
  const requests = CoordinatorRequests.make(cluster, settings, closeTimeout, again)
  const clock = yield* Clock.Clock
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const fork = (effect: Effect.Effect<unknown>) => void run(Effect.forkIn(effect, scope, { startImmediately: true }))
  const told = new Map<What, Answer>()
  /** The partitions of a transaction by key, as they were asked for. */
  const places = new Map<string, TopicPartition.TopicPartition>()
  const where = { client: clientId, transactionalId }

  const topicsOf = (partitions: ReadonlySet<string>) =>
    Array.from(TopicPartition.byTopic([...partitions].map((key) => places.get(key)!)), ([name, list]) => ({
      name,
      partitions: list.map(({ partition }) => partition)
    }))

  /** It is about to end: nothing is taken any more, and what fails is dropped. */
  let isEnding = false
  let isAborting = false
  const aborting = new Signal(() => isAborting)
  const setEnding = (how: "no" | "commits" | "aborts"): void => {
    isEnding = how !== "no"
    isAborting = how === "aborts"
    if (isAborting) aborting.fire()
  }
  /** The Scope has begun to end: nothing begins, and nothing is committed any more. */
  let isLeaving = false
  const closedError = () => KafkaError.make({ _tag: "Closed", what: "producer", transactionalId })
  const over = () => (isLeaving ? closedError() : notOpen())
  const unlessLeaving = <A>(self: () => Effect.Effect<A, KafkaError.KafkaError>) =>
    Effect.suspend(() => (isLeaving ? Effect.fail(closedError()) : self()))
  const unanswered = () => ({ _tag: "Unanswered", error: over(), isLost: true }) as const
  /** What is asked of the coordinator is not waited for any more once it is aborted: that may still arrive. */
  const unlessAborting = <A>(
    self: Effect.Effect<CoordinatorRequests.Asked<A>>
  ): Effect.Effect<CoordinatorRequests.Asked<A>> => Effect.raceFirst(self, Effect.map(aborting.await, unanswered))

  const carryOut = (command: Command): void => {
    switch (command._tag) {
      case "Init":
        return fork(
          Effect.map(
            requests.raise(command, () => post({ _tag: "Aborting" })),
            (asked) => {
              if (asked._tag === "Unanswered") return post({ ...asked, _tag: "InitUnanswered" })
              if (asked.code !== 0) return post({ ...asked, _tag: "InitRefused" })
              const { id, epoch } = asked.response.producer
              const text = `transactional id ${transactionalId} has the producer id ${id}, epoch ${epoch}`
              fork(LogEvent.log("producerId", text, { ...where, producerId: id }))
              post({ ...asked.response, _tag: "Initialized" })
            }
          )
        )
      case "AddPartitions":
        return fork(
          Effect.map(unlessAborting(requests.addPartitions(command.producer, topicsOf(command.partitions))), (asked) =>
            post({
              ...asked,
              _tag: asked._tag === "Unanswered" ? "PartitionsUnanswered" : "PartitionsAnswered"
            } as Event)
          )
        )
      case "AddGroup": {
        const { group, producer } = command
        return fork(
          Effect.map(unlessAborting(requests.addGroup(producer, group)), (asked) =>
            post({ ...asked, group, _tag: asked._tag === "Unanswered" ? "GroupUnanswered" : "GroupAnswered" } as Event)
          )
        )
      }
      case "EndTxn":
        return fork(
          Effect.map(requests.end(command.producer, command.commits, command.isImplicit), (asked) =>
            post(
              asked._tag === "Unanswered"
                ? { ...asked, _tag: "EndUnanswered" }
                : { ...asked, producer: asked.response, _tag: "EndAnswered" }
            )
          )
        )
      case "Admit":
        return engine.wake()
      case "FailRecords":
        // Not within the step of the engine that has told of a failure.
        return fork(
          Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => {
              // The next one may be open by now: it has no part in this.
              if (state().failure === command.error) engine.failAll(command.error)
            })
          )
        )
      case "Tell": {
        const waiting = told.get(command.what)
        told.delete(command.what)
        if (waiting !== undefined)
          Deferred.doneUnsafe(waiting, command.error === undefined ? Exit.void : Exit.fail(command.error))
      }
    }
  }

  const machine = yield* Machine.make<State, Event, Command>({
    initial: initial,
    step: (state, event) => TransactionMachine.step(settings, state, event),
    deadline: () => undefined,
    tick: { _tag: "Initialize" },
    hasEnded: () => false,
    carryOut
  })
  const { post, state } = machine

  /** Taken at once: what comes after it is refused, and a commit sees it. */
  const failed = (error: KafkaError.KafkaError) => {
    if (!isEnding) machine.advance({ _tag: "Failed", error })
  }
  const gate: TransactionGate = {
    transactionalId,
    producer: () => state().producer,
    isImplicit: () => state().isImplicit,
    admits: (topic, partition) => {
      const { added, failure, phase } = state()
      return phase === "open" && failure === undefined && added.has(TopicPartition.key({ topic, partition }))
    },
    wanted: (partitions) => {
      const keys = partitions.map(({ partition, topic }) => {
        const key = TopicPartition.key({ topic, partition })
        places.set(key, { topic, partition })
        return key
      })
      post({ _tag: "Wanted", partitions: keys })
    },
    failed
  }
  const engine = yield* engineOf(gate)
  fork(machine.run)

  /** Tells the machine something, and waits for what it says to it. It is said whatever becomes of who waits. */
  const asked = (what: What, event: Event, tells = post, answer?: Answer): Effect.Effect<void, KafkaError.KafkaError> =>
    Effect.suspend(() => {
      const waiting: Answer = answer ?? Deferred.makeUnsafe()
      told.set(what, waiting)
      tells(event)
      return Resume.awaiting(waiting)
    })
  /** Known at once, and so it is that who asked has left: what answers him must not be taken for the next one's answer. */
  const asks = (event: Event): Effect.Effect<void, KafkaError.KafkaError> =>
    Effect.suspend(() => {
      const { phase } = state()
      // What was asked for somebody before has his time, which may be all but over: then it is asked for this one.
      const times = phase === "initializing" || phase === "resolving" ? 1 : 0
      return Effect.retry(asked("begin", event, machine.advance), { times, while: ({ isRetryable }) => isRetryable })
    }).pipe(Effect.onInterrupt(() => Effect.sync(() => machine.advance({ _tag: "Cancel" }))))

  /** By whom: asked for once it is known that somebody has the id. */
  const namingWho = (error: KafkaError.KafkaError): Effect.Effect<never, KafkaError.KafkaError> => {
    const { reason } = error
    if (reason._tag !== "Fenced") return Effect.fail(error)
    return Effect.flatMap(requests.holder, (holder) =>
      Effect.fail(
        holder === undefined
          ? error
          : KafkaError.make({
              ...reason,
              by: `${reason.by}; id ${holder.id}, epoch ${holder.epoch} has it now`
            })
      )
    )
  }

  /** Why nothing can be part of a transaction now. */
  const closedTo = (): KafkaError.KafkaError | undefined => {
    const { error, failure, phase } = state()
    if (failure !== undefined || error !== undefined) return failure ?? error
    return phase === "open" && !isEnding && !isLeaving ? undefined : over()
  }

  /** Nothing is carried out any more. */
  let isClosed = false
  const closed = new Signal(() => isClosed)
  const byClosing = () => Effect.fail(closedError())

  /** One thing at a time, and to its end: whoever is interrupted stops waiting for it. */
  const turn = Semaphore.makeUnsafe(1)
  const inTurn = <A>(self: Effect.Effect<A, KafkaError.KafkaError>): Effect.Effect<A, KafkaError.KafkaError> =>
    Effect.forkIn(turn.withPermits(1)(self), scope, { startImmediately: true }).pipe(
      Effect.flatMap(Fiber.await),
      // Nobody but the end of the Scope interrupts it.
      Effect.flatMap((exit) => (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? byClosing() : exit))
    )
  /** One thing at a time, given up by who waits for it. */
  const whileOpen = <A>(self: Effect.Effect<A, KafkaError.KafkaError>): Effect.Effect<A, KafkaError.KafkaError> =>
    Effect.raceFirst(turn.withPermits(1)(self), Effect.flatMap(closed.await, byClosing))

  const commitOffsets: TransactionalProducer["commitOffsets"] = (keeper, group, as, commits) =>
    Effect.suspend(() => {
      const { commitIn } = keeper
      if (commitIn === undefined) return Effect.fail(keptElsewhere(group))
      return inTurn(
        Effect.andThen(asked("group", { _tag: "GroupWanted", group }), offsets(commitIn, group, as, commits))
      )
    })

  const offsets = (
    commitIn: NonNullable<GroupOffsets["Service"]["commitIn"]>,
    group: string,
    as: Identity,
    commits: ReadonlyArray<Commit>
  ): Effect.Effect<void, KafkaError.KafkaError> =>
    Effect.suspend(() => {
      const { isImplicit, producer } = state()
      if (producer === undefined) return Effect.fail(notOpen())
      const transaction = { transactionalId, producerId: producer.id, producerEpoch: producer.epoch, isImplicit }
      let isLost = false
      const once = abandonable(Effect.suspend(() => commitIn(transaction, group, as, commits))).pipe(
        Effect.tapError((error) => Effect.sync(() => (isLost ||= error.isRetryable))),
        Effect.flatMap((codes) => {
          // -1 for what nothing was said of.
          const code = commits.map((_, i) => codes[i] ?? -1).find((one) => one !== 0) ?? 0
          return code !== 0 && ErrorCode.isTransient(code, "TxnOffsetCommit")
            ? Effect.fail(TransactionMachine.answered(code, true, { api: "TxnOffsetCommit", group }))
            : Effect.succeed(code)
        })
      )
      const budget = { name: "apiTimeout", millis: apiTimeout, waitingFor: `the offsets of group ${group}` }
      const cut = Effect.flatMap(aborting.await, () => {
        isLost = true
        return Effect.fail(over())
      })
      return Effect.raceFirst(
        again.within(once, budget.waitingFor, budget, (error) => error.isRetryable, cluster.retry),
        cut
      ).pipe(
        Effect.matchEffect({
          onSuccess: (code) => asked("offsets", { _tag: "OffsetsAnswered", group, code, isLost }),
          onFailure: (error) => {
            post({ _tag: "OffsetsUnanswered", error, isLost })
            return Effect.fail(error)
          }
        })
      )
    })

  /** What is under way is answered first: a batch that comes after the end would be the next transaction's. */
  const end = (commits: boolean, answer?: Answer) =>
    Effect.andThen(
      engine.settled,
      Effect.suspend(() =>
        // Whoever leaves meanwhile has it aborted.
        commits && isAborting
          ? Effect.fail(over())
          : asked("end", { _tag: "End", commits, hasGap: engine.takeGap() }, post, answer)
      )
    ).pipe(Effect.catch(namingWho))

  /** How long whoever was interrupted has waited, and until when. */
  let waited = { millis: 0, until: 0 }
  const now = () => Backoff.monotonic(clock)
  const spent = () => Math.max(0, waited.millis - (now() - waited.until))
  /** For closing: it goes on with what was waited just before it, and has as much more as has passed since then. */
  const timeLeft = () => Math.max(1, closeTimeout - spent())
  const interrupted: TransactionalProducer["interrupted"] = (self, orElse) =>
    Effect.suspend(() => {
      const from = now()
      return Effect.ensuring(
        Effect.timeoutOrElse(self, { duration: closeTimeout, orElse }),
        // Whoever was behind another one, and has waited for nothing, gives back none of that one's.
        Effect.sync(() => (waited = { millis: Math.max(spent(), now() - from), until: now() }))
      )
    })

  const abort = Effect.suspend(() => {
    // Whoever has waited to begin, behind another's end, leaves at once.
    if (state().phase !== "open") return Effect.fail(state().error ?? over())
    setEnding("aborts")
    engine.failAll(isLeaving ? closedError() : aborted(transactionalId))
    return inTurn(end(false))
  })

  const commit = Effect.andThen(
    engine.flush,
    unlessLeaving(() => {
      setEnding("commits")
      const answer: Answer = Deferred.makeUnsafe()
      return Effect.catch(
        inTurn(end(true, answer)),
        (error) =>
          // Whoever is cut off right behind the answer has it all the same.
          (error.reason._tag === "Closed" ? answer.effect : undefined) ??
          Effect.fail(TransactionMachine.cutOff(settings, state(), error))
      )
    })
  )

  const begin = whileOpen(
    unlessLeaving(() => {
      setEnding("no")
      return asks({ _tag: "Begin" })
    })
  ).pipe(Effect.catch(namingWho))

  const initialize = whileOpen(asks({ _tag: "Initialize" })).pipe(Effect.catch(namingWho))

  /** Leaves nothing open: neither what was begun, nor what nobody knows the end of. */
  const leave = Effect.sync(() => {
    isLeaving = true
    // Also what is to be committed, and waits for offsets: those may take longer than leaving.
    if (state().phase === "open") setEnding("aborts")
  }).pipe(
    // What ends just now is waited for.
    Effect.andThen(turn.withPermits(1)(Effect.void)),
    Effect.flatMap(() => {
      const { contested, phase } = state()
      // Also where somebody finds out, and has left.
      const isUnknown = phase === "doubt" || phase === "resolving" || (contested !== undefined && phase !== "over")
      return phase === "open" ? abort : isUnknown ? initialize : Effect.void
    })
  )
  const closing = yield* Closing
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => Effect.timeoutOrElse(leave, { duration: timeLeft(), orElse: () => Effect.void })).pipe(
      Effect.ignore,
      closing,
      Effect.ensuring(
        Effect.sync(() => {
          isClosed = true
          closed.fire()
        })
      )
    )
  )

  return {
    append: (partition, records, delivery, since) => {
      const error = closedTo()
      if (error === undefined) engine.append(partition, records, delivery, since)
      else delivery.failed(0, records.length, error)
    },
    withdraw: engine.withdraw,
    flush: engine.flush,
    initialize,
    begin,
    commitOffsets,
    failure: () => state().failure ?? state().error,
    refused: failed,
    commit,
    abort,
    interrupted
  }
})

const notOpen = (): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Misuse",
    message: "no transaction is open: it has ended, and nothing can be part of it any more"
  })

const aborted = (transactionalId: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Misuse", message: "the transaction was aborted", transactionalId })

const keptElsewhere = (group: string): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    needed: "offsets within a transaction",
    ours: "a keeper of offsets outside of Kafka",
    theirs: "transactions over what Kafka keeps",
    group
  })
