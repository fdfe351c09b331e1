/** Topics of which metadata leave out a partition between others, as brokers with ZooKeeper do until it has had a leader. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as Admin from "../../src/Admin.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import * as Harness from "../balance/Harness.ts"
import { pass, passing } from "../zookeeper/Time.ts"
import type * as Answers from "./Answers.ts"
import * as InProcess from "./InProcess.ts"

/** Of the topic's partitions 0 to 2 the second, while `isLeftOut`. */
const leavingOut = (isLeftOut: () => boolean): Answers.Options => ({
  partitions: 3,
  answers: {
    Metadata: (_, healthy) => {
      const told = healthy() as { readonly topics: ReadonlyArray<{ readonly partitions: ReadonlyArray<any> }> }
      const topics = told.topics.map((topic) => ({
        ...topic,
        partitions: topic.partitions.filter(({ partitionIndex }) => !isLeftOut() || partitionIndex !== 1)
      }))
      return { ...told, topics }
    }
  }
})

describe("a partition that metadata leave out", () => {
  it.effect.each(["pykafka", "jvm"] as const)(
    "is none that keeps a group in ZooKeeper from the others (%s: nobody read any, and nobody heard)",
    (layout) =>
      Effect.gen(function* () {
        let isLeftOut = true
        const { layer } = yield* InProcess.make(leavingOut(() => isLeftOut))
        yield* Effect.gen(function* () {
          const memory = yield* ZooKeeper.makeMemory
          const members = [
            yield* Harness.join(memory, undefined, { layout }),
            yield* Harness.join(memory, undefined, { layout })
          ]
          const owned = () => members.flatMap((one) => [...one.owned]).sort()
          yield* pass(30_000)
          assert.includeMembers(owned(), [0, 2])
          isLeftOut = false
          yield* pass(30_000)
          assert.deepStrictEqual(owned(), [0, 1, 2])
        }).pipe(Effect.scoped, Effect.provide(layer))
      })
  )

  it.effect("has its offset reset with those of its topic (a defect)", () =>
    Effect.gen(function* () {
      const { layer } = yield* InProcess.make(leavingOut(() => true))
      yield* Effect.gen(function* () {
        const admin = yield* Admin.make()
        const resetting = yield* Effect.forkChild(admin.resetGroupOffsets("g", { topics: ["t"], to: "earliest" }))
        const answers = yield* passing(Fiber.join(resetting))
        assert.lengthOf(answers, 3)
      }).pipe(Effect.scoped, Effect.provide(layer))
    })
  )
})
