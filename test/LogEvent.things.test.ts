/** More things that fail at once than are remembered each for itself. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { KafkaError } from "samsa"
import * as LogEvent from "../src/LogEvent.ts"
import type { Batch } from "../src/produce/Batch.ts"
import * as Told from "../src/produce/Told.ts"
import { heard, levelsOf, of } from "./Heard.ts"

const count = 5000

describe("the log, of more things than are remembered,", () => {
  it("tells by doubling that the others fail (nothing was told of them but the first time)", () => {
    const repeated = new LogEvent.Repeated()
    const told: Array<number> = []
    for (let second = 0; second < 20; second++)
      for (let i = 0; i < count; i++)
        if (repeated.failed("GONE", `topic ${i}`, second * 1000) !== undefined) told.push(second)
    assert.isAtLeast(told.at(-1)!, 10)
    assert.isBelow(told.length, 100)
    // Another kind is told at once, and so is what fails when the others have ceased to.
    assert.deepStrictEqual(repeated.failed("OTHER", "topic 4999", 20_000), { count: 1, others: 0 })
    assert.deepStrictEqual(repeated.failed("GONE", "topic 4999", 120_000), { count: 1, others: 0 })
  })

  it("tells by doubling of things that have a kind each (each time was told)", () => {
    const repeated = new LogEvent.Repeated()
    let told = 0
    for (let second = 0; second < 20; second++)
      for (let i = 0; i < count; i++) if (repeated.failed(`damaged t-${i}`, "", second * 1000) !== undefined) told++
    // The first, second, fourth, eighth and sixteenth time of those that are remembered, and the others together.
    assert.isBelow(told, 2000 * 5 + 20)
  })

  it.effect("warns of batches that are sent again for long (none was ever a warning)", () =>
    Effect.gen(function* () {
      const lines: Array<Effect.Effect<void>> = []
      const { acknowledged, retried } = Told.retries("app", (line) => void lines.push(line))
      const failure = KafkaError.fromCode(6)
      const batch = (i: number) =>
        ({
          attempts: 1,
          failure: { cause: failure.message, code: 6 },
          queue: { topic: "t", partition: i },
          records: []
        }) as unknown as Batch
      for (let second = 0; second < 60; second += 2) for (let i = 0; i < count; i++) retried(batch(i), 1, second * 1000)
      for (let i = 0; i < count; i++) acknowledged("t", i)
      yield* Effect.all(lines)
      assert.include(levelsOf("batchRetried"), "Warn")
      assert.isBelow(of("batchRetried").length, 100)
      assert.isAbove(of("goesOn").length, 0)
    }).pipe(heard)
  )
})
