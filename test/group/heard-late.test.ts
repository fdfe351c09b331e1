/**
 * A member hears of a rebalance some time after the coordinator began to count its timeout: what it drains has to be
 * through, or interrupted, before the coordinator gives it to others.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Kafka, Membership } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { layer, Party, partitions, produce, until } from "./Party.ts"

const rebalanceTimeout = "32 seconds"
/** A client of its own: what holds up one does not hold up the other. */
const client = Effect.gen(function* () {
  const { bootstrap } = yield* EmbeddedKafka.EmbeddedKafka
  return yield* Layer.build(
    Layer.fresh(Layer.provide(Kafka.layerWithoutNetwork({ bootstrap }), EmbeddedKafka.layerNetwork))
  )
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
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const party = new Party()
        const working = new Set<number>()
        const doubled: Array<number> = []
        let begun = 0
        party.work = ({ partition }) =>
          Effect.suspend(() => {
            begun++
            if (working.has(partition)) doubled.push(partition)
            working.add(partition)
            return Effect.ensuring(
              Effect.never,
              Effect.sync(() => working.delete(partition))
            )
          })
        for (let i = 0; i < partitions; i++) yield* produce(1, i)
        const options = () => ({ drainTimeout: "28 seconds" as const, membership: membership() })
        const a = yield* party.join("a", options())
        yield* until(
          "all are at work",
          Effect.sync(() => begun === partitions)
        )
        // Between two heartbeats, so that the other's come before its own when it is taken out.
        yield* TestClock.adjust("2500 millis")
        const b = yield* Effect.provideContext(party.join("b", options()), yield* client)
        if (late !== undefined) {
          yield* until(
            "the other is a member",
            Effect.sync(() => party.events.includes("b Assigned "))
          )
          yield* broker.inject(late)
        }
        yield* until(
          "the next owner is at work",
          Effect.sync(() => begun >= partitions + moves)
        )
        assert.deepStrictEqual(doubled, [])
        yield* a.leave
        yield* b.leave
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }
})
