/** What the connections of a client have in common. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { TestClock } from "effect/testing"
import { vi } from "vitest"
import { Metrics } from "samsa"
import { BrokerConnection } from "../../src/connection/BrokerConnection.ts"
import { Network } from "../../src/Network.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Answers from "../hostile/Answers.ts"
import { brokers, fake } from "./Fakes.ts"

const metadata = () => ({ topics: [] })

describe("connections", () => {
  it.effect("that have ended are looked at no more (sessions-kept)", () =>
    Effect.gen(function* () {
      const answers = Answers.make()
      let ended = 0
      const network = yield* fake((peer, { host, port }) => (request) => {
        peer.send(answers.answer(request, { host, port })!)
        if (answers.counts.Metadata === ended + 1 && ended < 5) {
          ended++
          peer.close()
        }
      })
      const broker = yield* (yield* brokers(network.network)).at("b", 1)
      for (let i = 0; i < 6; i++) {
        yield* Effect.forkChild(Effect.exit(broker.send(Metadata, metadata)), { startImmediately: true })
        yield* TestClock.adjust("5 seconds")
      }
      assert.deepStrictEqual([network.connects.length, network.open()], [6, 1])
      const looks = yield* Effect.acquireRelease(
        Effect.sync(() => vi.spyOn(BrokerConnection.prototype, "inFlight", "get")),
        (spy) => Effect.sync(() => spy.mockRestore())
      )
      const all = yield* Metric.snapshot
      assert.isTrue(all.some(({ id }) => id === Metrics.names.requestsInFlight))
      assert.lengthOf(looks.mock.calls, 1)
    }).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it.effect("whose Network dies are such that cannot be made: none of those that share them has done it", () =>
    Effect.gen(function* () {
      const dying = Network.of({ connect: () => Effect.die(new Error("a mistake of its own")) })
      const broker = yield* (yield* brokers(dying)).at("b", 1)
      const { reason } = yield* Effect.flip(broker.send(Metadata, metadata))
      assert.strictEqual(reason._tag, "Unreachable")
      assert.include(JSON.stringify(reason), "a mistake of its own")
    }).pipe(Effect.scoped)
  )
})
