/**
 * What must hold of every run, whatever went wrong in it: a history of what programs and brokers did, checked against the
 * logs at the end. Its verdicts have the numbers of the reliability notes:
 *
 * - `I1` no acknowledged record is missing from the log
 * - `I2` acknowledged records of one sender lie in each partition in the order in which they were sent
 * - `I3` no record is there twice (idempotent producers)
 * - `I4` what a group is given of a partition has no gap
 * - `I5` a commit is never beyond the lowest record that is not finished, and never goes back but by a seek
 * - `I6` a partition has one owner at a time; a record comes twice only behind the last commit, after its owner was lost
 * - `I8` everything that began has ended
 * - `I9` what has a limit stays within it
 *
 * ```ts
 * import { Effect } from "effect"
 * import { EmbeddedKafka, Oracle } from "samsa/testing"
 *
 * export const checked = Effect.gen(function*() {
 *   const broker = yield* EmbeddedKafka.EmbeddedKafka
 *   const oracle = yield* Oracle.make(broker)
 *   oracle.submitted("me", "orders", "r-1")
 *   oracle.acknowledged("me", "r-1", { topic: "orders", partition: 0, offset: 0 })
 *   yield* oracle.assert
 * })
 * ```
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as KafkaError from "../KafkaError.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import type * as EmbeddedKafka from "./EmbeddedKafka.ts"
import * as Verdicts from "./oracle/Verdicts.ts"

export type { Event, Invariant, Logs, Violation } from "./oracle/Verdicts.ts"

/** A record of a log, as `identify` is asked about it. */
export interface Identified {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
}

export interface Options {
  /** The name that a record was submitted under, from what the log holds of it. Default: its value as text. */
  readonly identify?: ((record: Identified) => string) | undefined
}

/** Keeps a history. Its methods are synchronous, so that what is told in one order is kept in it. */
export interface Oracle {
  /** A sender hands a record over, under a name that no other has. */
  readonly submitted: (sender: string, topic: string, id: string) => void
  readonly acknowledged: (sender: string, id: string, at: TopicPartition & { readonly offset: number }) => void
  /** A member owns a partition from now on. */
  readonly assigned: (group: string, member: string, partition: TopicPartition) => void
  /** It was given a record. */
  readonly delivered: (group: string, member: string, at: TopicPartition & { readonly offset: number }) => void
  /** It is done with a record. */
  readonly finished: (group: string, member: string, at: TopicPartition & { readonly offset: number }) => void
  /** It owns the partition no more: given up in order, or lost. */
  readonly released: (group: string, member: string, partition: TopicPartition, how: "revoked" | "lost") => void
  /** A position was set by hand: what comes next may lie before or after. */
  readonly sought: (group: string, at: TopicPartition & { readonly offset: number }) => void
  /** A commit that no embedded broker saw, such as on a real cluster. */
  readonly committed: (group: string, at: TopicPartition & { readonly offset: number }) => void
  /** Notes that an effect began and that it ended, however it did (I8). */
  readonly watch: (name: string) => <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Notes how much of something with a limit was in use (I9). */
  readonly used: (what: string, amount: number, limit: number) => void
  readonly history: Effect.Effect<ReadonlyArray<Verdicts.Event>>
  /** Everything that does not hold. */
  readonly violations: Effect.Effect<ReadonlyArray<Verdicts.Violation>, KafkaError.KafkaError>
  /** Fails with `Misuse` where anything does not hold, naming all of it. */
  readonly assert: Effect.Effect<void, KafkaError.KafkaError>
}

const text = (value: Uint8Array | null): string => (value === null ? "" : new TextDecoder().decode(value))

/** Begins a history over an embedded cluster, whose commits it hears by itself until the Scope closes. */
export const make = (
  broker: Pick<EmbeddedKafka.Service, "log" | "onCommit">,
  options: Options = {}
): Effect.Effect<Oracle, never, Scope.Scope> =>
  Effect.gen(function* () {
    const identify = options.identify ?? (({ value }: Identified) => text(value))
    const events: Array<Verdicts.Event> = []
    yield* broker.onCommit(({ group, offset, partition, topic }) =>
      events.push({ _tag: "Committed", group, topic, partition, offset })
    )
    const topics = () => new Set(events.flatMap((event) => ("topic" in event ? [event.topic] : [])))
    const violations = Effect.gen(function* () {
      const logs = new Map<string, ReadonlyArray<{ readonly offset: number; readonly id: string }>>()
      for (const topic of topics()) {
        const records = yield* Effect.catchReason(broker.log(topic), "KafkaError", "UnknownTopic", () =>
          Effect.succeed([])
        )
        for (const record of records) {
          const key = `${topic}-${record.partition}`
          logs.set(key, [...(logs.get(key) ?? []), { offset: record.offset, id: identify(record) }])
        }
      }
      return Verdicts.check(events, logs)
    })
    let watched = 0
    return {
      submitted: (sender, topic, id) => events.push({ _tag: "Submitted", sender, topic, id }),
      acknowledged: (sender, id, { offset, partition, topic }) =>
        events.push({ _tag: "Acknowledged", sender, id, topic, partition, offset }),
      assigned: (group, member, { partition, topic }) =>
        events.push({ _tag: "Assigned", group, member, topic, partition }),
      delivered: (group, member, { offset, partition, topic }) =>
        events.push({ _tag: "Delivered", group, member, topic, partition, offset }),
      finished: (group, member, { offset, partition, topic }) =>
        events.push({ _tag: "Finished", group, member, topic, partition, offset }),
      released: (group, member, { partition, topic }, how) =>
        events.push({ _tag: "Released", group, member, topic, partition, how }),
      sought: (group, { offset, partition, topic }) => events.push({ _tag: "Sought", group, topic, partition, offset }),
      committed: (group, { offset, partition, topic }) =>
        events.push({ _tag: "Committed", group, topic, partition, offset }),
      watch: (name) => (effect) =>
        Effect.suspend(() => {
          const id = watched++
          events.push({ _tag: "Began", name, id })
          return Effect.ensuring(
            effect,
            Effect.sync(() => events.push({ _tag: "Ended", id }))
          )
        }),
      used: (what, amount, limit) => events.push({ _tag: "Used", what, amount, limit }),
      history: Effect.sync(() => [...events]),
      violations,
      assert: Effect.flatMap(violations, (found) =>
        found.length === 0
          ? Effect.void
          : Effect.fail(
              KafkaError.make({
                _tag: "Misuse",
                message: found.map(({ invariant, message }) => `${invariant}: ${message}`).join("; ")
              })
            )
      )
    } satisfies Oracle
  })
