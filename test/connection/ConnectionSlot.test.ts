import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import type { BrokerConnection } from "../../src/connection/BrokerConnection.ts"
import { ConnectionSlot } from "../../src/connection/ConnectionSlot.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Answers from "../hostile/Answers.ts"
import { brokers, fake } from "./Fakes.ts"

describe("the waits before a connection", () => {
  it.effect("grow while none is of use, and begin anew when one has been", () =>
    Effect.gen(function* () {
      let isUp = false
      const counted: Array<number> = []
      const slot: ConnectionSlot = new ConnectionSlot({
        address: "b:1",
        scope: yield* Effect.scope,
        clock: yield* Clock.Clock,
        maxIdle: 60_000,
        fork: () => {},
        delays: () => (failures) => {
          counted.push(failures)
          return 0
        },
        random: { nextDoubleUnsafe: () => 0.5 },
        connect: () =>
          isUp
            ? Effect.sync(() => {
                const session = { isIdle: false, isOpen: true, served: false, close: () => {} }
                return session as unknown as BrokerConnection
              })
            : Effect.fail(KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "b:1", cause: "down" }] }))
      })
      const refused = Effect.flip(slot.acquire)
      const used = (served: boolean) =>
        Effect.map(slot.acquire, (session) => {
          session.served = served
          slot.ended(session)
        })
      yield* refused
      yield* refused
      isUp = true
      yield* used(false)
      assert.deepStrictEqual(counted, [1, 2, 3])
      yield* used(true)
      isUp = false
      yield* refused
      yield* refused
      assert.deepStrictEqual(counted, [1, 2, 3, 1, 2])
    }).pipe(Effect.scoped)
  )

  it.effect("are none behind one that was idle before it was of use (it was a failure)", () =>
    Effect.gen(function* () {
      const answers = Answers.make({})
      const network = yield* fake((peer, address) => (request) => peer.send(answers.answer(request, address)!))
      // What closes idle connections rings late: the process has slept.
      const clock = yield* Clock.Clock
      let slept = 0n
      const suspended: Clock.Clock = {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
        currentTimeMillis: clock.currentTimeMillis,
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
        currentTimeNanos: clock.currentTimeNanos,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + slept,
        monotonicTimeNanos: Effect.map(clock.monotonicTimeNanos, (nanos) => nanos + slept),
        sleep: (duration) => clock.sleep(duration)
      }
      const service = yield* Effect.provideService(brokers(network.network), Clock.Clock, suspended)
      const broker = yield* service.at("b", 1)
      for (let i = 0; i < 5; i++) {
        yield* broker.version(Metadata)
        // The answer to what is asked beside ApiVersions.
        yield* Effect.yieldNow
        slept += 3_600_000_000_000n
      }
      assert.deepStrictEqual(network.connects, [0, 0, 0, 0, 0])
    }).pipe(Effect.scoped)
  )
})
