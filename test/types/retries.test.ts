/**
 * What `run` and `process` fail with, whatever the Schedule of `retry` takes. A Schedule that looks at the failure was
 * refused beside a handler that is written in place, as "unknown is not assignable". That this file compiles is the test.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Schedule, Schema } from "effect"
import { type Consumer, type KafkaError, Topic, Transaction } from "samsa"

class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}
class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {}) {}

type Failure = Declined | Unavailable
type Ours = KafkaError.KafkaError
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const failsWith =
  <E>() =>
  <F>(_: Effect.Effect<void, F, any>, same: Same<E, F>): boolean =>
    same

const dead = Topic.bytes("dead")
const retry = Schedule.recurs(3).pipe(
  Schedule.setInputType<Failure>(),
  Schedule.while(({ input }) => input._tag === "Unavailable")
)
const narrow = Schedule.setInputType<Declined>()(Schedule.recurs(3))

/** Never called: it is there for its types. */
export const ways = (
  consumer: Consumer.Consumer<Consumer.ConsumerRecord<"t", string, string>>,
  charge: (order: string) => Effect.Effect<void, Failure>
) => {
  const when = (error: Failure | Ours) => error._tag === "Declined"
  const anyRetry = { retry: Schedule.recurs(3) }
  // @ts-expect-error a Schedule that does not take what the handler fails with
  void consumer.run((record) => charge(record.value), { retry: narrow })
  return [
    failsWith<Failure | Ours>()(
      consumer.run((record) => charge(record.value)),
      true
    ),
    failsWith<Failure | Ours>()(
      consumer.run((record) => charge(record.value), { retry }),
      true
    ),
    failsWith<Failure | Ours>()(
      consumer.run((record) => charge(record.value), anyRetry),
      true
    ),
    failsWith<Declined | Ours>()(
      consumer.run(() => Effect.fail(new Declined()), { retry }),
      true
    ),
    failsWith<Ours>()(
      consumer.run((record) => Effect.log(record.value), anyRetry),
      true
    ),
    failsWith<Ours>()(
      consumer.run((record) => charge(record.value), { retry, deadLetter: dead }),
      true
    ),
    failsWith<Failure | Ours>()(
      consumer.run((record) => charge(record.value), { retry, deadLetter: { topic: dead, when } }),
      true
    ),
    failsWith<Failure | Ours>()(
      consumer.run((record) => charge(record.value), {
        deadLetter: { topic: dead, when: (error) => error._tag === "Declined" }
      }),
      true
    ),
    failsWith<Failure | Ours>()(
      Transaction.process(consumer, (records) => charge(records[0].value), { retry }),
      true
    ),
    failsWith<Ours>()(
      Transaction.process(consumer, () => Effect.void, anyRetry),
      true
    )
  ]
}

it("a Schedule of retry may look at what a handler fails with", () => {
  assert.isFunction(ways)
})
