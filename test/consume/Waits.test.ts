import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Partition } from "../../src/consume/AssignedPartition.ts"
import * as Waits from "../../src/consume/Waits.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import { heard, levelsOf, loud } from "../Heard.ts"

const loading = KafkaError.fromCode(14)
const opening = () => ({ status: "opening", isLive: true, trouble: undefined }) as unknown as Partition

it.effect("commits that have come are waited for no more (another trouble, or another wait, was told as theirs)", () =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const partition = opening()
    const { found, waits } = Waits.ofCommits({
      group: "g",
      publish: () => {},
      inBackground: (self) => Effect.forkIn(self, scope, { startImmediately: true })
    })
    const list = [partition]
    yield* waits(list)(loading)
    yield* TestClock.adjust("1 second")
    yield* found(list)
    partition.trouble = KafkaError.make({ _tag: "UnknownTopic", topic: "t" })
    yield* TestClock.adjust("5 seconds")
    assert.deepStrictEqual(loud(), [])
    partition.trouble = undefined
    yield* waits(list)(loading)
    yield* TestClock.adjust("1 second")
    yield* found(list)
    yield* TestClock.adjust("1900 millis")
    yield* waits(list)(loading)
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(loud(), [])
    yield* TestClock.adjust("2 seconds")
    yield* found(list)
    assert.deepStrictEqual(
      loud().map(({ event }) => event),
      ["waiting", "goesOn"]
    )
  }).pipe(Effect.scoped, heard)
)

it.effect("commits are waited for until those of all partitions have come that are ours still", () =>
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const { found, waits } = Waits.ofCommits({
      group: "g",
      publish: () => {},
      inBackground: (self) => Effect.forkIn(self, scope, { startImmediately: true })
    })
    const [kept, other, released, later] = [opening(), opening(), opening(), opening()] as const
    yield* waits([kept, other, released])(loading)
    yield* TestClock.adjust("4 seconds")
    // It is not said to be over while one waits still.
    yield* found([kept])
    assert.deepStrictEqual(levelsOf("goesOn"), [])
    // Those that were given back wait for nothing, and were told for good.
    Object.assign(other, { isLive: false })
    Object.assign(released, { isLive: false })
    yield* found([later])
    assert.deepStrictEqual(levelsOf("goesOn"), ["Info"])
    yield* found([later])
    assert.lengthOf(levelsOf("goesOn"), 1)
  }).pipe(Effect.scoped, heard)
)
