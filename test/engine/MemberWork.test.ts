/** What a member of a group does in the background. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as MemberWork from "../../src/engine/MemberWork.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import type { Owner } from "../../src/Membership.ts"

it.effect("what it dies of is told to its consumer, and then to whoever wants to hear of it", () =>
  Effect.gen(function* () {
    const told: Array<unknown> = []
    const owner = { died: (defect: unknown) => Effect.sync(() => told.push(defect)) } as unknown as Owner
    const work = yield* MemberWork.make("g", owner)
    yield* Fiber.await(work.inBackground(Effect.die("broken"), (error) => told.push(error.reason._tag)))
    const unread = KafkaError.make({ _tag: "Corrupt", what: "an assignment", problem: "too short" })
    yield* Fiber.await(work.inBackground(Effect.die(unread), (error) => told.push(error)))
    assert.deepStrictEqual(told, ["broken", "Misuse", unread, unread])
  }).pipe(Effect.scoped)
)
