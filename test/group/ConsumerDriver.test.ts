import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Membership } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import * as ErrorCode from "../../src/ErrorCode.ts"
import { committed, layer, orders, Party, stable, until } from "./Party.ts"

for (const [times, what] of [
  [1, "is told again, under the one that is"],
  [undefined, "fails as what is not ours where that stays so (commit-of-the-last-epoch)"]
] as const)
  it.effect(`a commit under an epoch that has passed ${what}`, () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const { consumer } = yield* new Party().join("a", { membership: Membership.consumer() })
      yield* stable(1)
      yield* broker.inject(Fault.on("OffsetCommit", { times }).error(ErrorCode.codes.STALE_MEMBER_EPOCH))
      const commit = yield* Effect.forkChild(
        Effect.result(consumer.commit([{ topic: orders.name, partition: 0, offset: 7 }]))
      )
      const hasEnded = Effect.sync(() => commit.pollUnsafe() !== undefined)
      yield* until("it has ended", hasEnded)
      const result = yield* Fiber.join(commit)
      const told = result._tag === "Failure" ? result.failure.reason._tag : result._tag
      assert.strictEqual(told, times === 1 ? "Success" : "NotOwned")
      assert.strictEqual(yield* committed, times === 1 ? 7 : 0)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
