/** What an application asks of its consumer: it waits for the first assignment, but not for ever, and hears why. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Backoff from "../Backoff.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Resume from "../Resume.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { Partition } from "./AssignedPartition.ts"
import { notOwned } from "./CommitRefusal.ts"
import type { ConsumerState } from "./ConsumerState.ts"
import { closed } from "./Reading.ts"
import { Choosing } from "./StartPositions.ts"

/** Fails with why it waits when its time is spent. */
type Within = <A>(
  self: Effect.Effect<A, KafkaError.KafkaError>,
  waitingFor: string,
  where?: TopicPartition.TopicPartition
) => Effect.Effect<A, KafkaError.KafkaError>

export interface Questions {
  /** Completes with the first assignment, or when there will be none. */
  readonly assigned: Effect.Effect<void>
  /** All partitions, once it is known which are ours. */
  readonly ours: Effect.Effect<ReadonlyArray<Partition>, KafkaError.KafkaError>
  /** All partitions, once it is known which are ours and where they start. */
  readonly settled: Effect.Effect<ReadonlyArray<Partition>, KafkaError.KafkaError>
  /** The partition, once it is known whether it is ours and where it starts; fails with `NotOwned`. */
  readonly owned: (where: TopicPartition.TopicPartition) => Effect.Effect<Partition, KafkaError.KafkaError>
  /** Within `apiTimeout` from when it begins. */
  readonly withinApiTimeout: Within
  /** Within `apiTimeout` from now, whatever comes before. */
  readonly fromNow: Effect.Effect<Within>
}

export const make = (state: ConsumerState): Questions => {
  const { firstAssignment, partitions, settings } = state
  const group = settings.group ?? ""

  const within =
    (left: () => number): Within =>
    (self, waitingFor, where) =>
      Effect.suspend(() =>
        Effect.timeoutOrElse(self, {
          duration: left(),
          orElse: () => {
            const troubled = [...partitions.values()].find(({ trouble }) => trouble !== undefined)
            const reason = state.trouble ?? troubled?.trouble
            return Effect.fail(
              KafkaError.make(
                {
                  _tag: "TimedOut",
                  budget: "apiTimeout",
                  millis: settings.apiTimeout,
                  waitingFor: reason === undefined ? waitingFor : `${waitingFor}: ${reason.message}`,
                  ...where
                },
                reason
              )
            )
          }
        })
      )
  const withinApiTimeout = within(() => settings.apiTimeout)

  const unlessFailed = Effect.suspend(() =>
    state.reading.isOver ? Effect.fail(closed()) : (state.failure ?? Effect.void)
  )
  const assigned = Resume.awaiting(firstAssignment)

  /** Whoever chooses positions cannot wait for them. */
  const unlessChoosing = Effect.flatMap(Choosing, (isChoosing) =>
    isChoosing
      ? Effect.fail(
          KafkaError.make({
            _tag: "Misuse",
            message: "onAssigned is asked where to begin: `position`, `lag` and `seek` have no answer within it"
          })
        )
      : Effect.void
  )

  return {
    assigned,
    withinApiTimeout,
    fromNow: Effect.map(Clock.Clock, (clock) => {
      const end = Backoff.monotonic(clock) + settings.apiTimeout
      return within(() => Math.max(0, end - Backoff.monotonic(clock)))
    }),
    ours: Effect.map(Effect.andThen(assigned, unlessFailed), () => [...partitions.values()]),
    settled: withinApiTimeout(
      unlessChoosing.pipe(
        Effect.andThen(assigned),
        Effect.andThen(unlessFailed),
        Effect.andThen(
          Effect.suspend(() =>
            Effect.forEach([...partitions.values()], ({ started }) => Resume.awaiting(started), { discard: true })
          )
        ),
        Effect.andThen(unlessFailed),
        Effect.map(() => [...partitions.values()])
      ),
      "partitions to be assigned and their starts to be found"
    ),
    owned: (where) =>
      withinApiTimeout(
        unlessChoosing.pipe(
          Effect.andThen(assigned),
          Effect.andThen(unlessFailed),
          Effect.andThen(
            Effect.suspend(() => {
              const partition = partitions.get(TopicPartition.key(where))
              return partition === undefined
                ? Effect.fail(notOwned(where, group))
                : Effect.as(Resume.awaiting(partition.started), partition)
            })
          ),
          Effect.tap(unlessFailed),
          Effect.flatMap((partition) =>
            partition.position === undefined
              ? Effect.fail(partition.isLive && partition.trouble ? partition.trouble : notOwned(where, group))
              : Effect.succeed(partition)
          )
        ),
        `${TopicPartition.key(where)} to be assigned and its start to be found`,
        where
      )
  }
}
