/** What a simulation judges beside the oracle, by histories and programs that break it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Simulation } from "samsa/testing"
import { kindOf, shrink } from "../../../src/testing/simulation/Shrink.ts"
import { Timeline } from "../../../src/testing/simulation/Timeline.ts"
import { VirtualTime } from "../../../src/testing/simulation/VirtualTime.ts"

const place = { topic: "t", partition: 0 }
const reader = { name: "g", topics: new Set(["t"]) }

/** A record that is acknowledged after a second, and handled after so many. */
const handledAfter = (seconds: number, ...disturbances: ReadonlyArray<Parameters<Timeline["disturb"]>[0]>) => {
  const timeline = new Timeline()
  timeline.acknowledged.push({ ...place, offset: 5, value: "v", at: 1000 })
  timeline.handle("g", "t", 0, "v", 1000 * seconds)
  for (const one of disturbances) timeline.disturb(one)
  return timeline.late([reader], 30_000)
}

describe("what a healthy partition is owed", () => {
  it("is broken by a record that waits longer than the bound, though nothing is wrong", () => {
    assert.deepStrictEqual(handledAfter(31), [])
    assert.match(handledAfter(40)[0]!, /g had the record of t-0 at offset 5 39000 ms after/)
  })

  it("is not by one that waits while its partition, its group, or everything is disturbed", () => {
    assert.deepStrictEqual(handledAfter(60, { from: 0, to: 40_000, group: "g" }), [])
    assert.deepStrictEqual(handledAfter(60, { from: 20_000, to: 55_000, ...place }), [])
    assert.deepStrictEqual(handledAfter(60, { from: 0, to: 20_000 }, { from: 15_000, to: 40_000 }), [])
  })

  it("is by one that waits while others are disturbed", () => {
    assert.lengthOf(handledAfter(60, { from: 0, to: 40_000, group: "other" }), 1)
    assert.lengthOf(handledAfter(60, { from: 0, to: 40_000, topic: "t", partition: 1 }), 1)
    assert.lengthOf(handledAfter(60, { from: 0, to: 5000 }), 1)
  })

  it.live("is not by one that `acks: 0` has acknowledged on a link that held it back", () =>
    Effect.gen(function* () {
      const script = yield* Simulation.parse(`simulation seed=202611280069
cluster brokers=1
topic t0 partitions=1 replicas=1
client c1
client c2
producer p1 client=c1 acks=0
member m1 client=c2 group=g1 topics=[t0] from=latest enter=subscribe rebalanceTimeout=15s drainTimeout=3s way=partitions
  0.000 join member=m1
 14.854 send producer=p1 topic=t0 count=1 how=parallel keys=3 bytes=12
 66.330 link client=c1 broker=1 how=cut for=76920ms
 73.527 send producer=p1 topic=t0 count=1 how=sendAll keys=0 bytes=12`)
      assert.deepStrictEqual((yield* Simulation.run(script)).problems, [])
    })
  )
})

describe("a group", () => {
  it("comes to rest in time, where nothing keeps it from that", () => {
    const unsettled = (seconds: number, ...disturbances: ReadonlyArray<Parameters<Timeline["disturb"]>[0]>) => {
      const timeline = new Timeline()
      for (const one of disturbances) timeline.disturb(one)
      return timeline.unsettled([{ group: "g", ...place, from: 1000, to: 1000 * (1 + seconds) }], 30_000)
    }
    assert.deepStrictEqual(unsettled(30), [])
    assert.match(unsettled(40)[0]!, /g: t-0 was nobody's for 40000 ms/)
    assert.deepStrictEqual(unsettled(60, { from: 0, to: 40_000, group: "g" }), [])
    assert.lengthOf(unsettled(60, { from: 0, to: 40_000, group: "other" }), 1)
  })
})

describe("time of its own", () => {
  it.live("goes to what is slept for, and says what has no end", () =>
    Effect.gen(function* () {
      const time = new VirtualTime()
      const order: Array<string> = []
      const sleeps = (name: string, millis: number) =>
        Effect.andThen(
          Effect.sleep(millis),
          Effect.sync(() => order.push(`${name} ${time.elapsed}`))
        )
      const exit = yield* time.run(
        Effect.all([sleeps("b", 2000), sleeps("a", 1000), sleeps("c", 3_600_000)], { concurrency: "unbounded" }),
        4_000_000
      )
      assert.isTrue(typeof exit === "object" && exit._tag === "Success")
      assert.deepStrictEqual(order, ["a 1000", "b 2000", "c 3600000"])
      assert.strictEqual(yield* new VirtualTime().run(Effect.never, 1000), "late")
      assert.strictEqual(yield* new VirtualTime().run(Effect.sleep(2000), 1000), "late")
      assert.strictEqual(yield* new VirtualTime().run(Effect.forever(Effect.yieldNow), 1000), "busy")
    })
  )
})

describe("shrinking", () => {
  it.live("leaves what the problem needs, and nothing else", () =>
    Effect.gen(function* () {
      const script = Simulation.script(12)
      const [first, , third] = script.steps
      let tries = 0
      const short = yield* shrink(script, ({ steps }) =>
        Effect.sync(() => (tries++, [first, third].every((one) => steps.some((step) => step.at === one!.at))))
      )
      assert.deepStrictEqual(
        short.steps.map(({ at }) => at),
        [...new Set([first!.at, third!.at])].flatMap((at) => short.steps.filter((step) => step.at === at).map(() => at))
      )
      assert.isAtMost(short.steps.length, 3)
      assert.isAtMost(short.members.length + short.producers.length, short.steps.length)
      assert.isAtMost(tries, 400)
    })
  )

  it("knows problems of one kind by their words", () => {
    assert.strictEqual(kindOf("I1 t0-3: record 5 of fiber 1"), kindOf("I1 t1-12: record 99 of fiber 0"))
    assert.notStrictEqual(kindOf("I1 t0-3: record 5 of fiber 1"), kindOf("m1 has failed"))
  })
})
