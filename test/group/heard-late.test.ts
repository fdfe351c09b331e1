/**
 * A member hears of a rebalance some time after the coordinator began to count its timeout: what it drains has to be
 * through, or interrupted, before the coordinator gives it to others.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Assignor, Kafka, Membership } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { layer, Party, partitions, produce, until } from "./Party.ts"

type Api = Parameters<typeof Fault.on>[0]

const rebalanceTimeout = "32 seconds"
/** A client of its own: what holds up one does not hold up the other. */
const client = (clientId: string) =>
  Effect.flatMap(EmbeddedKafka.EmbeddedKafka, ({ bootstrap }) =>
    Layer.build(
      Layer.fresh(Layer.provide(Kafka.layerWithoutNetwork({ bootstrap, clientId }), EmbeddedKafka.layerNetwork))
    )
  )

/** Handlers that never end by themselves, and where two are at work on one partition. */
const atWork = (party: Party) => {
  const working = new Set<number>()
  const seen = { begun: 0, doubled: [] as Array<number> }
  party.work = ({ partition }) =>
    Effect.suspend(() => {
      seen.begun++
      if (working.has(partition)) seen.doubled.push(partition)
      working.add(partition)
      return Effect.ensuring(
        Effect.never,
        Effect.sync(() => working.delete(partition))
      )
    })
  return seen
}

type Options = Parameters<Party["join"]>[1]

/** A party, at the first member of which all partitions are at work; `as`: over a client of its own. */
const begun = (options: () => Options, as?: string) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const party = new Party()
    const seen = atWork(party)
    for (let i = 0; i < partitions; i++) yield* produce(1, i)
    const joining = party.join("a", options())
    const a = yield* as === undefined ? joining : Effect.provideContext(joining, yield* client(as))
    yield* until(
      "all are at work",
      Effect.sync(() => seen.begun === partitions)
    )
    return { a, broker, party, seen }
  })

const ways = {
  "classic, whose hearts beat seldom": {
    membership: () => Membership.classic({ heartbeatInterval: "10 seconds", rebalanceTimeout }),
    moves: partitions,
    late: undefined
  },
  "the consumer protocol, where the answer that says so is lost": {
    membership: () => Membership.consumer({ rebalanceTimeout }),
    moves: partitions / 2,
    late: Fault.on("ConsumerGroupHeartbeat", { nth: 1 }).withhold
  }
}

describe("a member that hears late of a rebalance", () => {
  for (const [name, { late, membership, moves }] of Object.entries(ways)) {
    it.effect(`has ended its work before the next owner begins (${name})`, () =>
      Effect.gen(function* () {
        const options = () => ({ drainTimeout: "28 seconds" as const, membership: membership() })
        const { a, broker, party, seen } = yield* begun(options)
        // Between two heartbeats, so that the other's come before its own when it is taken out.
        yield* TestClock.adjust("2500 millis")
        const b = yield* Effect.provideContext(party.join("b", options()), yield* client("b"))
        if (late !== undefined) {
          yield* until(
            "the other is a member",
            Effect.sync(() => party.events.includes("b Assigned "))
          )
          yield* broker.inject(late)
        }
        yield* until(
          "the next owner is at work",
          Effect.sync(() => seen.begun >= partitions + moves)
        )
        assert.deepStrictEqual(seen.doubled, [])
        yield* a.leave
        yield* b.leave
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }

  const consumer = () => Membership.consumer({ rebalanceTimeout: "15 seconds" })
  const classic = (assignor: Assignor.Assignor) => () =>
    Membership.classic({ rebalanceTimeout: "15 seconds", assignors: [assignor] })
  const deaf: ReadonlyArray<
    readonly [string, () => Membership.Membership, first: ReadonlyArray<Api>, then: ReadonlyArray<Api>]
  > = [
    ["classic", classic(Assignor.range), ["JoinGroup", "Heartbeat", "FindCoordinator"], []],
    [
      "classic, while it joins with what it keeps",
      classic(Assignor.cooperativeSticky),
      ["JoinGroup", "SyncGroup", "FindCoordinator"],
      ["Heartbeat"]
    ],
    ["the consumer protocol", consumer, [], ["ConsumerGroupHeartbeat"]]
  ]
  for (const [name, membership, first, then] of deaf) {
    it.effect(
      `has ended its work before the next owner begins (it hears nothing, and a rebalance is shorter than its session: ${name})`,
      () =>
        Effect.gen(function* () {
          const options = () => ({ drainTimeout: "10 seconds" as const, membership: membership() })
          const { a, broker, party, seen } = yield* begun(options, "a")
          for (const api of first) yield* broker.inject(Fault.on(api, { clientId: "a" }).withhold)
          const b = yield* Effect.provideContext(party.join("b", options()), yield* client("b"))
          if (then.length > 0) {
            yield* until(
              "the group shares out anew",
              Effect.map(broker.group("g"), (group) => group?.members.length === 2)
            )
            yield* TestClock.adjust(first.length > 0 ? "10 seconds" : "1 second")
          }
          for (const api of then) yield* broker.inject(Fault.on(api, { clientId: "a" }).withhold)
          yield* until(
            "the next owner is at work",
            Effect.sync(() => seen.begun >= 2 * partitions)
          )
          assert.deepStrictEqual(seen.doubled, [])
          yield* a.leave
          yield* b.leave
        }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }

  it("whose heartbeats are as far apart as a rebalance may last is a mistake: it would be out before it hears", () => {
    const late = { heartbeatInterval: "3 seconds", rebalanceTimeout: "3 seconds" } as const
    const mistakes = ["heartbeatInterval (3000 ms) must be at most a third of rebalanceTimeout (3000 ms)"]
    assert.deepStrictEqual(Membership.classic(late).mistakes, mistakes)
    assert.deepStrictEqual(Membership.auto(late).mistakes, mistakes)
    assert.deepStrictEqual(Membership.classic({ ...late, rebalanceTimeout: "9 seconds" }).mistakes, [])
  })
})
