import { describe, expect, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import type * as Cluster from "../../src/Cluster.ts"
import * as TopicLine from "../../src/produce/TopicLine.ts"

describe("TopicLine", () => {
  const make = (count: number) => {
    const counted = { looks: 0 }
    let partitions = count
    const info = () => ({
      name: "t",
      partitions: Object.defineProperty({}, "length", { get: () => (counted.looks++, partitions) })
    })
    const cluster = { known: info, topic: () => Effect.never } as unknown as Cluster.Cluster["Service"]
    const line = TopicLine.make(cluster, 1000, Effect.runFork, () => 0)
    const waits = (partition: number, done: () => void) =>
      Effect.forkChild(
        Effect.tap(line.grown("t", partition), () => Effect.sync(done)),
        { startImmediately: true }
      )
    return { counted, line, waits, grow: (to: number) => (partitions = to) }
  }

  it.effect(
    "who sends to partitions that are there does not look through those who wait for others (20 000 of them blocked the event loop for 10 s)",
    () =>
      Effect.gen(function* () {
        const { counted, line, waits } = make(4)
        const waiting = yield* Effect.forEach(Array.from({ length: 200 }), () => waits(9, () => {}))
        counted.looks = 0
        for (let i = 0; i < 10; i++) line.known("t")
        expect(counted.looks).toBeLessThan(50)
        yield* Fiber.interruptAll(waiting)
      })
  )

  it.effect(
    "who waits for a partition goes on as soon as it is there, in the order of coming, whoever else waits",
    () =>
      Effect.gen(function* () {
        const { grow, line, waits } = make(4)
        const went: Array<string> = []
        const fibers = yield* Effect.forEach([9, 5, 4, 9, 4, 6], (partition, i) =>
          waits(partition, () => void went.push(`${partition}.${i}`))
        )
        const known = (to: number) =>
          Effect.andThen(
            Effect.sync(() => (grow(to), line.known("t"))),
            Effect.yieldNow
          )
        yield* known(4)
        expect(went).toEqual([])
        yield* known(6)
        expect(went).toEqual(["5.1", "4.2", "4.4"])
        fibers.push(yield* waits(6, () => void went.push("6.6")))
        yield* known(7)
        expect(went).toEqual(["5.1", "4.2", "4.4", "6.5", "6.6"])
        yield* known(10)
        expect(went).toEqual(["5.1", "4.2", "4.4", "6.5", "6.6", "9.0", "9.3"])
        yield* Effect.forEach(fibers, Fiber.join)
      })
  )
})
