/**
 * What is asked of the coordinator of a transactional id: each request is sent until there is an answer that another try
 * would not change, within `apiTimeout`. Where a try got no answer it may still arrive: the answer says so.
 *
 * One function because all of them are asked of one coordinator, in one way; each is a short function in it.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { AskedAgain } from "../AskedAgain.ts"
import type { Broker } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import * as ErrorCode from "../ErrorCode.ts"
import { type ProducerId, sending } from "../engine/TransactionGate.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Api, SendOptions } from "../protocol/Exchange.ts"
import * as AddOffsetsToTxn from "../protocol/messages/AddOffsetsToTxn.ts"
import * as AddPartitionsToTxn from "../protocol/messages/AddPartitionsToTxn.ts"
import * as DescribeTransactions from "../protocol/messages/DescribeTransactions.ts"
import * as EndTxn from "../protocol/messages/EndTxn.ts"
import * as InitProducerId from "../protocol/messages/InitProducerId.ts"
import type { TransactionSettings } from "../Transport.ts"
import { answered, isFenced, isTaken } from "./TransactionMachine.ts"
import type { Command } from "./TransactionState.ts"

/** The answer that stands, or why there is none. `isLost`: a try got no answer, and may still arrive. */
export type Asked<A> =
  | { readonly _tag: "Answered"; readonly response: A; readonly code: number; readonly isLost: boolean }
  | { readonly _tag: "Unanswered"; readonly error: KafkaError.KafkaError; readonly isLost: boolean }

/** The finalized feature that says that every transaction has an epoch of its own (KIP-890). */
const feature = "transaction.version"
/** From this version on an epoch can be raised without taking anybody's place (KIP-360), Kafka 2.5. */
const raisesFrom = 3
/** Clients add partitions by v3; those above are for brokers. */
const addsUpTo = 3
/** From here on EndTxn gives an epoch: for transaction version 2 alone. */
const endsWithEpochFrom = 5

export interface CoordinatorRequests {
  /**
   * The id and epoch of the transactional id, raised from the expected ones, where there are any. `aborting` hears that the
   * coordinator aborts what is open first. Where only one that can tell whether they still have it is to be asked, and this
   * one cannot, it is `Unsupported`. What somebody else has open is left alone, from Kafka 3.0 on.
   */
  readonly raise: (
    command: Extract<Command, { readonly _tag: "Init" }>,
    aborting: () => void
  ) => Effect.Effect<Asked<{ readonly producer: ProducerId; readonly isImplicit: boolean }>>
  readonly addPartitions: (
    producer: ProducerId,
    topics: ReadonlyArray<{ readonly name: string; readonly partitions: ReadonlyArray<number> }>
  ) => Effect.Effect<Asked<unknown>>
  readonly addGroup: (producer: ProducerId, group: string) => Effect.Effect<Asked<unknown>>
  /** Gives whom the next transaction is of, where the answer says so. */
  readonly end: (
    producer: ProducerId,
    commits: boolean,
    isImplicit: boolean
  ) => Effect.Effect<Asked<ProducerId | undefined>>
  /** Who has the transactional id now, as far as the coordinator tells (Kafka 3.0). */
  readonly holder: Effect.Effect<ProducerId | undefined>
}

/** The code of an answer about several partitions: one that no retry cures, else one that passes, else none. */
const worst = (codes: ReadonlyArray<number>, api: ErrorCode.Api): number =>
  codes.find((code) => code !== ErrorCode.codes.NONE && !ErrorCode.isTransient(code, api)) ??
  codes.find((code) => code !== ErrorCode.codes.NONE) ??
  ErrorCode.codes.NONE

const describe = (broker: Broker, transactionalId: string, options?: SendOptions) =>
  Effect.map(
    broker.send(DescribeTransactions, () => ({ transactionalIds: [transactionalId] }), options),
    ({ transactionStates: [state] }) => state
  )

/** Makes them. */
export const make = (
  cluster: Cluster["Service"],
  { apiTimeout, transactionTimeout, transactionalId }: TransactionSettings,
  closeTimeout: number,
  again: AskedAgain
): CoordinatorRequests => {
  const coordinator = cluster.coordinator("transaction", transactionalId)
  const forget = () => cluster.forgetCoordinator("transaction", transactionalId)
  /** Who has not answered may coordinate no more. */
  const unlessAnswered = ({ reason }: KafkaError.KafkaError) => Effect.sync(() => reason._tag !== "Server" && forget())

  /** Whether another try may be answered otherwise: what this one has failed with. */
  const passing = (code: number, api: ErrorCode.Api): KafkaError.KafkaError | undefined => {
    if (ErrorCode.asks(code, api) === "coordinator") forget()
    return code !== ErrorCode.codes.NONE && ErrorCode.isTransient(code, api)
      ? answered(code, true, { api, transactionalId })
      : undefined
  }

  const ask = <Q extends Schema.Top, A extends Schema.Top>(
    name: ErrorCode.Api,
    api: Api<Q, A>,
    request: (version: number) => Q["~type.make.in"],
    codeOf: (response: A["Type"]) => number,
    options: SendOptions = {},
    hears?: (code: number) => void,
    /** Asked before each try, of the same broker: an answer that makes the request needless. */
    first: (broker: Broker) => Effect.Effect<A["Type"] | undefined, KafkaError.KafkaError> = () =>
      Effect.succeed(undefined)
  ): Effect.Effect<Asked<A["Type"]>> =>
    Effect.suspend(() => {
      let isLost = false
      let isUnderWay = false
      const once = Effect.gen(function* () {
        const broker = yield* coordinator
        const known = yield* first(broker)
        if (known !== undefined) return { response: known, code: codeOf(known) }
        const response = yield* broker
          .send(api, request, {
            ...sending,
            ...options,
            onSent: () => {
              isUnderWay = true
              options.onSent?.()
            }
          })
          .pipe(
            Effect.tapError(() =>
              Effect.sync(() => {
                if (isUnderWay) isLost = true
                isUnderWay = false
                forget()
              })
            )
          )
        isUnderWay = false
        const code = codeOf(response)
        const error = passing(code, name)
        if (error === undefined) return { response, code }
        // One that could not write, or is it no more, may have written: its successor ends it as it was asked to.
        if (name === "EndTxn" && code !== ErrorCode.codes.COORDINATOR_LOAD_IN_PROGRESS) isLost = true
        hears?.(code)
        return yield* error
      })
      const budget = {
        name: "apiTimeout",
        millis: apiTimeout,
        waitingFor: `the coordinator of transactional id ${transactionalId} (${name})`
      }
      return again
        .within(once, budget.waitingFor, budget, (error) => error.isRetryable, cluster.retry)
        .pipe(
          Effect.match({
            onSuccess: ({ code, response }): Asked<A["Type"]> => ({ _tag: "Answered", response, code, isLost }),
            // What is under way when the time is over may arrive as well.
            onFailure: (error): Asked<A["Type"]> => ({ _tag: "Unanswered", error, isLost: isLost || isUnderWay })
          })
        )
    })

  const mapped = <A, B>(self: Effect.Effect<Asked<A>>, f: (response: A) => B): Effect.Effect<Asked<B>> =>
    Effect.map(self, (asked) => (asked._tag === "Answered" ? { ...asked, response: f(asked.response) } : asked))

  const refusedAs = ({ epoch: producerEpoch, id: producerId }: ProducerId) => ({
    throttleTimeMs: 0,
    ongoingTxnProducerId: -1,
    ongoingTxnProducerEpoch: -1,
    errorCode: ErrorCode.codes.PRODUCER_FENCED,
    producerEpoch,
    producerId
  })

  /** Who has a transaction open: an answer that refuses, where it is another. */
  type Known = ReturnType<typeof refusedAs> | "ours" | undefined
  const nobodys: Effect.Effect<Known, KafkaError.KafkaError> = Effect.succeed(undefined)

  /** The question for an epoch aborts what is open, whoever's it is: it is then that a coordinator looks at the epoch. */
  const ofAnother = (expected: ProducerId, isContested: boolean) => {
    // One that hangs aborts nothing: whoever closes has time for another, and for what it is asked for.
    let next = Math.max(1, closeTimeout * questionShare)
    return (broker: Broker) =>
      Effect.suspend(() => {
        const timeout = Math.min(sending.timeout, next)
        next = timeout * 2
        return Effect.catchIf(
          openElsewhere(broker, expected, timeout),
          (error) => !error.isRetryable,
          // Before 3.0 nobody tells.
          () => Effect.succeed("ours" as const)
        ).pipe(
          Effect.flatMap((known) => {
            if (known !== "ours") return Effect.succeed(known)
            return isContested ? Effect.succeed(undefined) : endedFirst(broker, expected)
          })
        )
      })
  }

  const openElsewhere = (
    broker: Broker,
    expected: ProducerId,
    timeout: number
  ): Effect.Effect<Known, KafkaError.KafkaError> =>
    Effect.flatMap(describe(broker, transactionalId, { ...sending, timeout }), (state): typeof nobodys => {
      const code = state?.errorCode ?? ErrorCode.codes.NONE
      const error = passing(code, "InitProducerId")
      if (error !== undefined) return Effect.fail(error)
      if (state === undefined || code !== ErrorCode.codes.NONE || state.transactionState !== "Ongoing") return nobodys
      const { producerEpoch: epoch, producerId: id } = state
      if (id !== expected.id || epoch > expected.epoch) return Effect.succeed(refusedAs({ id, epoch }))
      return epoch === expected.epoch ? Effect.succeed("ours") : nobodys
    }).pipe(Effect.tapError(unlessAnswered))

  /** Whose epoch was asked to be raised: from then on it may be by ourselves that it is an old one. */
  let raising: ProducerId | undefined
  /**
   * What came late may have been opened under our epoch: before 4.0 a coordinator that aborts it for who asks for the next
   * one takes him for an old one. Before 2.5 whoever asks takes the id. So what is ours is ended first, under its own epoch,
   * which tells as well where somebody else has the id. With version 2 it is an old one that ends nothing.
   */
  const endedFirst = (broker: Broker, expected: ProducerId) =>
    Effect.gen(function* () {
      const { finalizedFeatures } = yield* broker.offer({ channel: sending.channel })
      if (raising === expected || (finalizedFeatures.get(feature) ?? 0) >= 2) return undefined
      const { epoch: producerEpoch, id: producerId } = expected
      const { errorCode } = yield* broker.send(
        EndTxn,
        () => ({ transactionalId, producerId, producerEpoch, committed: false }),
        { ...sending, maxVersion: endsWithEpochFrom - 1 }
      )
      const error = passing(errorCode, "InitProducerId")
      if (error !== undefined) return yield* error
      return isFenced(errorCode) ? refusedAs(expected) : undefined
    }).pipe(Effect.tapError(unlessAnswered))

  const init = (
    expected: ProducerId | undefined,
    isContested: boolean,
    aborting: () => void
  ): Effect.Effect<Asked<{ readonly producer: ProducerId; readonly isImplicit: boolean }>> =>
    Effect.flatMap(
      ask(
        "InitProducerId",
        InitProducerId,
        (version) => ({
          transactionalId,
          transactionTimeoutMs: transactionTimeout,
          ...(version >= raisesFrom && expected !== undefined
            ? { producerId: expected.id, producerEpoch: expected.epoch }
            : {})
        }),
        ({ errorCode }) => errorCode,
        // v6 is of two-phase commit (KIP-939).
        { maxVersion: 5, onSent: () => (raising = expected), ...(isContested ? { minVersion: raisesFrom } : {}) },
        (code) => code === ErrorCode.codes.CONCURRENT_TRANSACTIONS && aborting(),
        expected === undefined ? undefined : ofAnother(expected, isContested)
      ),
      (asked): Effect.Effect<Asked<{ readonly producer: ProducerId; readonly isImplicit: boolean }>> =>
        asked._tag === "Unanswered"
          ? Effect.succeed(asked)
          : coordinator.pipe(
              Effect.flatMap((broker) => broker.offer()),
              Effect.map(({ finalizedFeatures }) => (finalizedFeatures.get(feature) ?? 0) >= 2),
              // Without it transactions are as they always were.
              Effect.catch(() => Effect.succeed(false)),
              Effect.map((isImplicit) => {
                const { producerEpoch: epoch, producerId: id } = asked.response
                return { ...asked, response: { producer: { id, epoch }, isImplicit } }
              })
            )
    )

  return {
    raise: ({ expected, isContested, mayBeRaised }, aborting) =>
      Effect.flatMap(init(expected, isContested, aborting), (asked) =>
        // With version 1 brokers do not remember that it was they who have raised it.
        asked._tag === "Answered" && isTaken(asked.code, expected, mayBeRaised) && mayBeRaised && expected !== undefined
          ? init({ id: expected.id, epoch: expected.epoch + 1 }, true, aborting)
          : Effect.succeed(asked)
      ),
    addPartitions: ({ epoch, id }, topics) =>
      ask(
        "AddPartitionsToTxn",
        AddPartitionsToTxn,
        () => ({
          v3AndBelowTransactionalId: transactionalId,
          v3AndBelowProducerId: id,
          v3AndBelowProducerEpoch: epoch,
          v3AndBelowTopics: topics
        }),
        ({ resultsByTopicV3AndBelow }) =>
          worst(
            resultsByTopicV3AndBelow.flatMap(({ resultsByPartition }) =>
              resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode)
            ),
            "AddPartitionsToTxn"
          ),
        { maxVersion: addsUpTo }
      ),
    addGroup: ({ epoch: producerEpoch, id: producerId }, groupId) =>
      ask(
        "AddOffsetsToTxn",
        AddOffsetsToTxn,
        () => ({ transactionalId, producerId, producerEpoch, groupId }),
        ({ errorCode }) => errorCode
      ),
    end: (producer, committed, isImplicit) =>
      mapped(
        ask(
          "EndTxn",
          EndTxn,
          () => ({ transactionalId, producerId: producer.id, producerEpoch: producer.epoch, committed }),
          ({ errorCode }) => errorCode,
          isImplicit ? {} : { maxVersion: endsWithEpochFrom - 1 }
        ),
        ({ producerEpoch: epoch, producerId: id }) =>
          id < 0 || epoch < 0 || (id === producer.id && epoch === producer.epoch) ? undefined : { id, epoch }
      ),
    holder: coordinator.pipe(
      Effect.flatMap((broker) => describe(broker, transactionalId)),
      Effect.map((state) =>
        state === undefined || state.errorCode !== ErrorCode.codes.NONE
          ? undefined
          : { id: state.producerId, epoch: state.producerEpoch }
      ),
      Effect.timeoutOrElse({ duration: holderMillis, orElse: () => Effect.succeed(undefined) }),
      Effect.catch(() => Effect.succeed(undefined))
    )
  }
}

/** Of `closeTimeout`, what the first question for who has an id open may take; each that hangs has twice as long. */
const questionShare = 1 / 3
/** How long it may take to say who has an id. */
const holderMillis = 1000
