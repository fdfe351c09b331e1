/** What a member of a group does in the background. */
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as MemberWork from "../../src/engine/MemberWork.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import type { Owner } from "../../src/Membership.ts"
import type { TopicPartition } from "../../src/TopicPartition.ts"

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

for (const end of ["revoke", "lost"] as const)
  it.effect(`what is given and taken at once is had before: ${end} (it was read on, beside its next owner)`, () =>
    Effect.gen(function* () {
      const place = { topic: "t", partition: 0 }
      const held = new Set<TopicPartition>()
      const left = (list: ReadonlyArray<TopicPartition>) => Effect.sync(() => list.forEach((one) => held.delete(one)))
      const owner = {
        // The scheduler lets it take its time.
        assigned: (list: ReadonlyArray<TopicPartition>) =>
          Effect.andThen(
            Effect.repeat(Effect.yieldNow, { times: 10 }),
            Effect.sync(() => list.forEach((one) => held.add(one)))
          ),
        revoke: (list: ReadonlyArray<TopicPartition>) => left(list.filter((one) => held.has(one))),
        lost: Effect.suspend(() => left([...held]))
      } as unknown as Owner
      const work = yield* MemberWork.make("g", owner)
      yield* Fiber.joinAll([
        work.inBackground(work.owner.assigned([place])),
        work.inBackground(end === "lost" ? work.owner.lost : work.owner.revoke([place], 1000))
      ])
      assert.strictEqual(held.size, 0)
    }).pipe(Effect.scoped)
  )

it.effect(
  "who leaves waits no longer than it was told to, though its machine does not end (leaves-without-bound)",
  () =>
    Effect.gen(function* () {
      const posted: Array<string> = []
      const machine = {
        post: ({ _tag }: { readonly _tag: string }) => void posted.push(_tag),
        advance: () => assert.fail("it is not closing"),
        ended: Effect.never
      }
      const leaving = yield* Effect.forkChild(MemberWork.ends(machine, 5000).leave, { startImmediately: true })
      yield* TestClock.adjust(4999)
      assert.deepStrictEqual([posted, leaving.pollUnsafe()], [["Close"], undefined])
      yield* TestClock.adjust(1)
      assert.isDefined(leaving.pollUnsafe())
    })
)

it.effect("who is held up by several things waits until it is by none (the end of the last one told ended all)", () =>
  Effect.gen(function* () {
    let waitsFor: KafkaError.KafkaError | undefined
    const owner = {
      waits: (error: KafkaError.KafkaError) => Effect.sync(() => (waitsFor = error)),
      cured: (error: KafkaError.KafkaError) =>
        Effect.sync(() => (waitsFor = waitsFor === error ? undefined : waitsFor)),
      assigned: () => Effect.sync(() => (waitsFor = undefined))
    } as unknown as Owner
    const work = yield* MemberWork.make("g", owner)
    const why = (message: string) => KafkaError.make({ _tag: "Misuse", message })
    const [a, b, join] = [why("a"), why("b"), why("join")]
    const [one, other] = [work.trouble(), work.trouble()]
    yield* one.troubled(a)
    yield* other.troubled(b)
    yield* other.cured
    assert.strictEqual(waitsFor, a)
    yield* other.troubled(b)
    yield* one.cured
    assert.strictEqual(waitsFor, b)
    yield* other.cured
    assert.isUndefined(waitsFor)
    // What only an assignment ends.
    yield* work.troubled(join)
    yield* one.troubled(a)
    yield* one.cured
    assert.strictEqual(waitsFor, join)
    yield* work.owner.assigned([])
    yield* one.troubled(a)
    yield* one.cured
    assert.isUndefined(waitsFor)
  }).pipe(Effect.scoped)
)
