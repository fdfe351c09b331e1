/** Topics that an answer says are gone: asked for again, once at a time, and not missed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, PubSub, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../../src/Backoff.ts"
import type { Cluster } from "../../src/Cluster.ts"
import type { Change } from "../../src/ClusterInfo.ts"
import * as GoneTopics from "../../src/consume/GoneTopics.ts"

describe("GoneTopics", () => {
  it.effect("asks once at a time, again where it was told meanwhile, and ever more rarely", () =>
    Effect.gen(function* () {
      const changes = yield* PubSub.unbounded<Change>()
      const told = PubSub.publish(changes, {
        _tag: "TopicGone",
        before: { name: "t", id: undefined, internal: false, partitions: [] }
      })
      let asking = 0
      let most = 0
      let asked = 0
      let isGone = false
      const replaced: Array<string> = []
      yield* Effect.forkScoped(
        GoneTopics.watch({
          cluster: { changes: Stream.fromPubSub(changes), retry: Backoff.schedule } as Cluster["Service"],
          scope: yield* Effect.scope,
          isKnown: (topic) => topic === "t" && replaced.length === 0,
          isGone: () =>
            Effect.gen(function* () {
              asked++
              most = Math.max(most, ++asking)
              yield* Effect.sleep(20)
              asking--
              return isGone
            }),
          heard: () => Effect.void,
          replaced: (topic) => Effect.sync(() => void replaced.push(topic))
        }),
        { startImmediately: true }
      )
      yield* told
      yield* TestClock.adjust(0)
      assert.strictEqual(asked, 1, "at once")
      for (let i = 0; i < 1000; i++) {
        yield* told
        yield* TestClock.adjust(10)
      }
      assert.strictEqual(most, 1)
      assert.isAbove(asked, 8)
      assert.isBelow(asked, 25)
      // The last word counts, also where it comes while an earlier one is looked into.
      yield* told
      yield* TestClock.adjust(2000)
      yield* told
      isGone = true
      yield* TestClock.adjust(5000)
      assert.deepStrictEqual(replaced, ["t"])
    }).pipe(Effect.scoped)
  )
})
