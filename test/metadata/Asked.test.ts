import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as AnyBroker from "../../src/metadata/AnyBroker.ts"

it.effect(
  "a broker of which a question is on its way has not failed to answer (whatever was late then blamed it)",
  () =>
    Effect.gen(function* () {
      let now = 0
      const asked = new AnyBroker.Asked(() => now)
      const question = (host: string) =>
        Effect.forkScoped(
          asked.during((put) =>
            Effect.andThen(
              Effect.sync(() => put({ host, port: 1 })),
              Effect.never
            )
          ),
          { startImmediately: true }
        )
      yield* question("silent")
      now = 5_000
      yield* question("healthy")
      now = 5_020
      assert.deepStrictEqual([...asked.addresses(1_000)], ["silent:1"])
      assert.deepStrictEqual([...asked.addresses()], ["silent:1", "healthy:1"])
    }).pipe(Effect.scoped)
)
