import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import type { BrokerConnection } from "../../src/connection/BrokerConnection.ts"
import { ConnectionSlot } from "../../src/connection/ConnectionSlot.ts"
import * as KafkaError from "../../src/KafkaError.ts"

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
})
