import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as KafkaConfig from "../../src/KafkaConfig.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as Budgets from "../../src/metadata/Budgets.ts"
import { heard, of } from "../Heard.ts"

const budgets = Effect.map(KafkaConfig.make({ bootstrap: ["b:1"] }), (settings) => Budgets.make(settings))
const unled = Effect.fail(KafkaError.fromCode(5, { topic: "t" }))

describe("questions that are asked again", () => {
  it.effect("are told of where they last, however many they are (above 1000 none was)", () =>
    Effect.gen(function* () {
      const { retried } = yield* budgets
      yield* Effect.forEach(
        Array.from({ length: 2100 }, (_, i) => `the leader of t-${i}`),
        (question) => Effect.forkScoped(Effect.exit(retried(unled, question)))
      )
      for (let second = 0; second < 5; second++) yield* TestClock.adjust("1 second")
      const told = of("metadataRetried")
      assert.isAbove(told.length, 0)
      assert.isBelow(told.length, 50)
    }).pipe(Effect.scoped, heard)
  )

  it.effect("begin anew a minute later, where nobody asked meanwhile (they had lasted for all of it)", () =>
    Effect.gen(function* () {
      const { retried } = yield* budgets
      const asked = yield* Effect.forkChild(Effect.exit(retried(unled, "the leader of t-0")))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(asked)
      yield* TestClock.adjust("5 minutes")
      yield* Effect.forkScoped(Effect.exit(retried(unled, "the leader of t-0")))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(of("metadataRetried"), [])
      for (let second = 0; second < 5; second++) yield* TestClock.adjust("1 second")
      assert.include(of("metadataRetried")[0]?.text, "for 3 s so far")
    }).pipe(Effect.scoped, heard)
  )

  it.effect("that are asked anew by who waits on are not told as beyond their limit", () =>
    Effect.gen(function* () {
      const { retried } = Budgets.make(yield* KafkaConfig.make({ bootstrap: ["b:1"], metadataTimeout: "5 seconds" }))
      const asking = Effect.forever(Effect.exit(retried(unled, "the leader of t-0")))
      yield* Effect.forkScoped(asking)
      for (let second = 0; second < 10; second++) yield* TestClock.adjust("1 second")
      // How long it has lasted by then is the jitter's.
      assert.deepStrictEqual(
        of("metadataRetried").map(({ text }) => /\d s so far, (.*?\))/.exec(text)?.[1]),
        ["5 s at most (metadataTimeout)", "5 s at most each time (metadataTimeout)"]
      )
    }).pipe(Effect.scoped, heard)
  )
})
