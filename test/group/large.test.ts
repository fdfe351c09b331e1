/**
 * A large group, and one member more: what moves, and that what does not move is read all the while. 100 members and 1000
 * partitions where `SAMSA_FULL` is set, else a sample; the figures are printed by `SAMSA_FIGURES=1`.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Layer, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Assignor, Consumer, Membership, Producer, Topic } from "samsa"
import { KafkaTest } from "samsa/testing"
import { calm } from "./Party.ts"

const [members, partitions] = process.env.SAMSA_FULL === "1" ? ([100, 1000] as const) : ([12, 120] as const)
const events = Topic.make("events", { key: Schema.NullOr(Schema.String), value: Schema.String })
const layer = Producer.layer().pipe(
  Layer.provideMerge(KafkaTest.layer({ brokers: 3, topics: [{ name: events, partitions }] }))
)
/** Virtual milliseconds between two records of a partition, and of a step of the clock. */
const between = 1_000
const step = 250

const ways = [
  ["the consumer protocol", Membership.consumer()],
  ["classic, cooperative", Membership.classic({ assignors: [Assignor.cooperativeSticky] })],
  ["classic, eager", Membership.classic({ assignors: [Assignor.sticky] })]
] as const

/** What a group went through when one more member joined. */
interface Figures {
  /** Partitions that their owner had to give up. */
  readonly givenUp: number
  /** Those of them that came to another. */
  readonly moved: number
  /** Partitions that stayed, and of which nothing was read for longer than two records take. */
  readonly paused: number
  /** The longest that nothing was read of one that stayed, in virtual milliseconds. */
  readonly silence: number
  /** Until the last partition had its owner, in virtual milliseconds. */
  readonly took: number
}

const measure = (membership: Membership.Membership) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const time = () => clock.currentTimeMillisUnsafe()
    const owners = new Map<number, number>()
    const givenUp = new Set<number>()
    const last = new Map<number, number>()
    const silences = new Map<number, number>()
    let changedAt = 0
    let watches = false
    let handled = 0
    const join = Effect.fnUntraced(function* (member: number) {
      const scope = yield* Scope.make()
      const consumer = yield* Scope.provide(
        Consumer.subscribe({ group: "g", topics: [events], from: "earliest", membership }),
        scope
      )
      yield* Effect.forkDetach(
        Stream.runForEach(consumer.events, (event) =>
          Effect.sync(() => {
            if (!("partitions" in event)) return
            changedAt = time()
            for (const { partition } of event.partitions) {
              if (event._tag === "Assigned") owners.set(partition, member)
              if (event._tag === "Revoked" && owners.get(partition) === member) owners.delete(partition)
              if (event._tag === "Revoked" && watches) givenUp.add(partition)
            }
          })
        ),
        { startImmediately: true }
      )
      yield* Effect.forkDetach(
        consumer.run(({ partition }) =>
          Effect.sync(() => {
            handled++
            const at = time()
            const silence = at - (last.get(partition) ?? at)
            if (watches) silences.set(partition, Math.max(silences.get(partition) ?? 0, silence))
            last.set(partition, at)
          })
        )
      )
      return Scope.close(scope, Exit.void)
    })
    const producer = yield* Producer.Producer
    let sent = 0
    const feed = Effect.gen(function* () {
      const entries = Array.from({ length: partitions }, (_, partition) => ({ key: null, value: "v", partition }))
      for (const result of yield* producer.sendAll(events, entries)) assert.isTrue(Result.isSuccess(result))
      sent += partitions
    })
    /** Moves the clock, with a record for each partition in each second, until this holds. */
    const until = (what: string, holds: () => boolean) =>
      Effect.gen(function* () {
        for (let i = 0; i < 400; i++) {
          if ((i * step) % between === 0) yield* feed
          yield* TestClock.adjust(step)
          yield* calm
          if (holds()) return
        }
        assert.fail(`it never came to pass: ${what} (${owners.size} of ${partitions} have an owner)`)
      })
    const sharedBy = (count: number) => () =>
      owners.size === partitions && new Set(owners.values()).size === count && time() - changedAt > 15_000
    const leaving = []
    for (let i = 0; i < members; i++) leaving.push(yield* join(i))
    yield* until("all are shared", sharedBy(members))
    const before = new Map(owners)
    const begun = time()
    watches = true
    leaving.push(yield* join(members))
    yield* until("all are shared with one more", sharedBy(members + 1))
    watches = false
    const after = new Map(owners)
    const took = changedAt - begun
    yield* until("all is read", () => handled >= sent)
    yield* Effect.forkDetach(Effect.forEach(leaving, (leave) => leave, { concurrency: "unbounded" })).pipe(
      Effect.flatMap((fiber) =>
        Effect.gen(function* () {
          while (fiber.pollUnsafe() === undefined) {
            yield* TestClock.adjust(step)
            yield* calm
          }
        })
      )
    )
    assert.strictEqual(handled, sent, "each record once")
    const stayed = [...before].flatMap(([partition, owner]) => (after.get(partition) === owner ? partition : []))
    const silenceOf = (partition: number) => silences.get(partition) ?? Infinity
    const figures: Figures = {
      givenUp: givenUp.size,
      moved: partitions - stayed.length,
      paused: stayed.filter((partition) => silenceOf(partition) > 2 * between).length,
      silence: Math.max(...stayed.map(silenceOf)),
      took
    }
    return figures
  }).pipe(Effect.provide(layer))

describe(`one member more, beside ${members} of ${partitions} partitions`, () => {
  for (const [name, membership] of ways) {
    it.effect(
      name,
      () =>
        Effect.gen(function* () {
          const figures = yield* measure(membership)
          if (process.env.SAMSA_FIGURES === "1") process.stderr.write(`${name}: ${JSON.stringify(figures)}\n`)
          const { givenUp, moved, paused } = figures
          // Its share, and no more.
          assert.isAtLeast(moved, Math.floor(partitions / (members + 1)))
          if (name === "classic, eager") return assert.strictEqual(givenUp, partitions)
          assert.strictEqual(givenUp, moved, "nothing is given up that does not move")
          assert.isAtMost(moved, Math.ceil(partitions / (members + 1)) * 2)
          assert.strictEqual(paused, 0, JSON.stringify(figures))
        }),
      400_000
    )
  }
})
