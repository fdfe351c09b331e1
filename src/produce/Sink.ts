/** Arrays are handed over as they come, some of them under way at once; the first failure ends it, whatever else is under way. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Pull from "effect/Pull"
import * as Sink from "effect/Sink"
import type * as KafkaError from "../KafkaError.ts"
import type { RecordMetadata } from "./Handover.ts"
import type { SendAll } from "./SendAll.ts"
import type * as TopicEncoder from "./TopicEncoder.ts"

/** Arrays that may wait for their acknowledgement at once. */
export const arraysUnderWay = 16

/** Makes the sink over what hands an array over, and tells `started` of it before. */
export const make = <R>(
  handOver: (
    entries: ReadonlyArray<TopicEncoder.Entry>,
    started: (batch: SendAll<RecordMetadata>) => void
  ) => Effect.Effect<unknown, never, R>
): Sink.Sink<void, TopicEncoder.Entry, never, KafkaError.KafkaError, R> =>
  Sink.fromTransform((upstream) =>
    Effect.suspend(() => {
      const failed = Deferred.makeUnsafe<never, KafkaError.KafkaError>()
      const changed = Latch.makeUnsafe(false)
      let underWay = 0
      const fewerThan = (n: number): Effect.Effect<void> =>
        Effect.suspend(() => {
          if (underWay < n) return Effect.void
          changed.closeUnsafe()
          return Effect.andThen(changed.await, fewerThan(n))
        })
      const watch = (batch: SendAll<RecordMetadata>) => {
        underWay++
        batch.whenFailed((error) => void Deferred.doneUnsafe(failed, Effect.fail(error)))
        batch.whenDone(() => {
          underWay--
          changed.openUnsafe()
        })
      }
      const one = (entries: ReadonlyArray<TopicEncoder.Entry>) =>
        Effect.andThen(fewerThan(arraysUnderWay), handOver(entries, watch))
      const all = Effect.forever(Effect.flatMap(upstream, one)).pipe(
        Pull.catchDone(() => fewerThan(1)),
        Effect.as<Sink.End<void>>([undefined])
      )
      return Effect.raceFirst(all, Deferred.await(failed))
    })
  )
