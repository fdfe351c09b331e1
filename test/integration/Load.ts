/** A producer under load, single sends and calls of many beside each other, as an application has them; and their log. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Result, Schedule, type Schema } from "effect"
import { Producer, type Topic } from "samsa"
import { seen } from "./Client.ts"
import * as Kcat from "./Kcat.ts"

/** A record that was acknowledged. */
export interface Placed {
  readonly value: number
  readonly partition: number
  readonly offset: number
}

/**
 * Sends numbers that count up, until `end`: `singles` fibers one at a time, two of fifty at a time. `entry` makes the
 * record of a number.
 */
export const make = <K extends Topic.WireCodec>(
  topic: Topic.Topic<string, K, typeof Schema.FiniteFromString>,
  entry: (value: number) => Producer.Entry<K["Type"], number, Topic.Headers>,
  singles: number
) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const acknowledged = seen<Placed>()
    const failures: Array<string> = []
    let sent = 0
    let producing = true
    const next = () => {
      const value = sent++
      return { value, entry: entry(value) }
    }
    const took = (value: number, result: Result.Result<Producer.RecordMetadata, Error>) => {
      if (Result.isSuccess(result)) acknowledged.add({ value, ...result.success })
      else failures.push(`${value}: ${result.failure.message}`)
    }
    const single = Effect.suspend(() => {
      const one = next()
      return Effect.map(Effect.result(producer.send(topic, one.entry)), (result) => took(one.value, result))
    })
    const many = Effect.suspend(() => {
      const all = Array.from({ length: 50 }, next)
      return Effect.map(
        producer.sendAll(
          topic,
          all.map(({ entry }) => entry)
        ),
        (results) => results.forEach((result, i) => took(all[i]!.value, result))
      )
    })
    /** Does something else beside, in the same way. */
    const beside = <R>(body: Effect.Effect<unknown, never, R>) =>
      Effect.forkScoped(
        Effect.whileLoop({
          while: () => producing,
          body: () => Effect.andThen(body, Effect.sleep("2 millis")),
          step: () => {}
        })
      )
    const bodies = [...Array.from({ length: singles }, () => single), many, many]
    const producers = yield* Effect.forEach(bodies, beside)
    return {
      acknowledged,
      failures,
      sent: () => sent,
      beside: <R>(body: Effect.Effect<unknown, never, R>) =>
        Effect.map(beside(body), (fiber) => void producers.push(fiber)),
      /** Until so many more are acknowledged. */
      more: (count: number) =>
        Effect.suspend(() => {
          const goal = acknowledged.all.length + count
          return acknowledged.until(`${goal} acknowledged`, (all) => all.length >= goal)
        }),
      /** What is under way is ended. */
      end: Effect.suspend(() => {
        producing = false
        return Fiber.joinAll(producers)
      })
    }
  })

/** A topic's log as numbers. */
export const numbered = (records: ReadonlyArray<Kcat.Record>) =>
  records.map((record) => ({ ...record, number: Number(record.value) }))

/**
 * A number is taken when it is handed over: by partition the log must grow, where some are there twice by the first of
 * each.
 */
export const assertOrder = (
  log: ReadonlyArray<{ readonly partition: number; readonly number: number }>,
  partitions: number
): void => {
  for (let partition = 0; partition < partitions; partition++) {
    const numbers = [...new Set(log.filter((r) => r.partition === partition).map(({ number }) => number))]
    assert.deepStrictEqual(
      numbers.filter((n, i) => i > 0 && n < numbers[i - 1]!),
      [],
      `out of order in partition ${partition}`
    )
  }
}

const missing = (
  log: ReadonlyArray<{ readonly number: number }>,
  acknowledged: ReadonlyArray<Placed>
): ReadonlyArray<Placed> => {
  const there = new Set(log.map(({ number }) => number))
  return acknowledged.filter(({ value }) => !there.has(value))
}

/**
 * The log, as kcat reads it. That reads up to where the leader that it has heard of says the log ends, which one that has
 * just woken, or taken over, tells too low: where something is missing it is read again, up to 15 times.
 */
export const readBack = (target: Kcat.Target, acknowledged: ReadonlyArray<Placed>) =>
  Effect.repeat(Effect.map(Kcat.consume(target), numbered), {
    while: (log) => missing(log, acknowledged).length > 0,
    schedule: Schedule.spaced("2 seconds"),
    times: 14
  })

/** Nothing of what was acknowledged is missing. */
export const assertAllThere = (
  log: ReadonlyArray<{ readonly number: number }>,
  acknowledged: ReadonlyArray<Placed>
): void => assert.deepStrictEqual(missing(log, acknowledged), [], "lost")
