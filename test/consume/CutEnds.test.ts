/** When the end of a bounded read is taken for cut off: what a leader tells may lag, and be right again. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { KafkaError } from "samsa"
import type { Partition } from "../../src/consume/AssignedPartition.ts"
import { Bound } from "../../src/consume/Bound.ts"
import * as CutEnds from "../../src/consume/CutEnds.ts"
import type { Engine } from "../../src/consume/Engine.ts"
import { p0 } from "./Harness.ts"

const refused = KafkaError.fromCode(78, { api: "ListOffsets", ...p0 })

/** A partition that is to be read up to 100, and stands at 40, as its leader answers one thing after the other. */
const watched = (answers: ReadonlyArray<number | "refused">, moves: ReadonlyMap<number, number> = new Map()) =>
  Effect.gen(function* () {
    const bound = new Bound()
    bound.until = 100
    const partition: Partial<Partition> & { waitsAt: number | undefined } = {
      ...p0,
      place: p0,
      key: "orders-0",
      bound,
      endOffset: 50,
      waitsAt: 40,
      endAt: (end) => void (bound.until = end)
    }
    const events: Array<unknown> = []
    let asked = 0
    const engine = {
      partitions: new Map([["orders-0", partition]]),
      publish: (event: unknown) => events.push(event),
      settings: { fetch: { isolation: "committed" } },
      cluster: {
        topics: () => Effect.succeed([]),
        offsets: () =>
          Effect.suspend(() => {
            const answer = answers[asked++]!
            return answer === "refused" ? Effect.fail(refused) : Effect.succeed([answer])
          })
      }
    }
    yield* Effect.forkScoped(CutEnds.watch(engine as unknown as Engine), { startImmediately: true })
    for (let i = 0; i < answers.length; i++) {
      partition.waitsAt = moves.get(i) ?? partition.waitsAt
      yield* TestClock.adjust(5_000)
    }
    return { events, until: bound.until, asked }
  })

const range = (count: number, of: number | "refused"): ReadonlyArray<number | "refused"> => Array(count).fill(of)

describe("the end of a bounded read", () => {
  it.effect("is cut off where its leader says so for half a minute", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* watched(range(5, 50))).until, 100)
      const { events, until } = yield* watched(range(6, 50))
      assert.strictEqual(until, 50)
      assert.deepStrictEqual(events, [{ _tag: "DataLoss", partition: p0, from: 100, to: 50 }])
    })
  )

  it.effect("stays where it is not said each time", () =>
    Effect.gen(function* () {
      for (const other of ["refused", 100, 120] as const)
        assert.strictEqual((yield* watched([...range(5, 50), other, ...range(5, 50)])).until, 100, `${other}`)
    })
  )

  it.effect("stays while it is read on", () =>
    Effect.gen(function* () {
      const { asked, until } = yield* watched(range(10, 50), new Map([[5, 45]]))
      assert.deepStrictEqual([asked, until], [10, 100])
    })
  )

  it.effect("stays where the log ends before the position: the fetching side tells of that", () =>
    Effect.gen(function* () {
      const { events, until } = yield* watched(range(10, 39))
      assert.deepStrictEqual([events, until], [[], 100])
    })
  )
})
