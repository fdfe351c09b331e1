/** Streams of records: arrays are handed over as they come, some of them under way at once; the first failure ends it. */
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Result from "effect/Result"
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"
import type * as KafkaError from "../KafkaError.ts"
import { Signal } from "../Signal.ts"
import type { Outcome, RecordMetadata } from "./Handover.ts"
import type { SendAll } from "./SendAll.ts"
import type * as TopicEncoder from "./TopicEncoder.ts"

/** Arrays that may wait for their acknowledgement at once, or records, where those are fewer. */
const arraysUnderWay = 16
export const recordsUnderWay = 4096

/** What waits for its acknowledgement, in a stream. */
export class UnderWay {
  #arrays = 0
  #records = 0
  readonly #hasRoom = new Signal(() => this.#arrays < arraysUnderWay || this.#records < recordsUnderWay)
  readonly #isEmpty = new Signal(() => this.#arrays === 0)
  /** There is room for an array. */
  readonly room: Effect.Effect<void> = this.#hasRoom.await
  /** Nothing is under way. */
  readonly empty: Effect.Effect<void> = this.#isEmpty.await

  begin(records: number): void {
    this.#arrays++
    this.#records += records
  }

  end(records: number): void {
    this.#arrays--
    this.#records -= records
    if (this.#arrays < arraysUnderWay || this.#records < recordsUnderWay) this.#hasRoom.fire()
    if (this.#arrays === 0) this.#isEmpty.fire()
  }
}

/** Makes the sink over what hands an array over, and tells `started` of it before. */
export const make = <R>(
  handOver: (
    entries: ReadonlyArray<TopicEncoder.Entry>,
    started: (batch: SendAll<RecordMetadata>) => void
  ) => Effect.Effect<unknown, never, R>
): Sink.Sink<void, TopicEncoder.Entry, never, KafkaError.KafkaError, R> =>
  Sink.fromTransform((upstream) =>
    Effect.suspend(() => {
      let failure: KafkaError.KafkaError | undefined
      const failed = new Signal(() => failure !== undefined)
      const isWell = Effect.suspend(() => (failure === undefined ? Effect.void : Effect.fail(failure)))
      const underWay = new UnderWay()
      const one = (entries: ReadonlyArray<TopicEncoder.Entry>) =>
        Effect.andThen(
          underWay.room,
          handOver(entries, (batch) => {
            underWay.begin(batch.length)
            batch.whenFailed((error) => {
              failure ??= error
              failed.fire()
            })
            batch.whenDone(() => underWay.end(batch.length))
          })
        )
      const all = Effect.forever(Effect.flatMap(upstream, one), { disableYield: true }).pipe(
        Pull.catchDone(() => underWay.empty),
        // What failed at once has ended before the race began to listen.
        Effect.andThen(isWell),
        Effect.as<Sink.End<void>>([undefined])
      )
      return Effect.raceFirst(all, Effect.andThen(failed.await, Effect.andThen(isWell, Effect.never)))
    })
  )

/** Emits what was acknowledged, up to the first record that was not delivered, and fails there. */
export const acknowledged = <A, E, R>(
  self: Stream.Stream<{ readonly elements: ReadonlyArray<A>; readonly outcomes: ReadonlyArray<Outcome> }, E, R>
): Stream.Stream<A, E | KafkaError.KafkaError, R> =>
  Stream.transformPull(self, (pull) =>
    Effect.sync(() => {
      let failure: KafkaError.KafkaError | undefined
      const next: Pull.Pull<Arr.NonEmptyReadonlyArray<A>, E | KafkaError.KafkaError> = Effect.suspend(() =>
        failure !== undefined
          ? Effect.fail(failure)
          : Effect.flatMap(pull, (arrays) => {
              const ready: Array<A> = []
              for (const { elements, outcomes } of arrays) {
                for (let i = 0; i < elements.length && failure === undefined; i++) {
                  const outcome = outcomes[i]!
                  if (Result.isFailure(outcome)) failure = outcome.failure
                  else ready.push(elements[i]!)
                }
              }
              return Arr.isArrayNonEmpty(ready) ? Effect.succeed(ready) : next
            })
      )
      return next
    })
  )
