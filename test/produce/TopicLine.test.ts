import { describe, expect, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../../src/Backoff.ts"
import type * as Cluster from "../../src/Cluster.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as TopicLine from "../../src/produce/TopicLine.ts"

type Line = TopicLine.TopicLine
const lookedUp = (line: Line) =>
  Effect.callback<Cluster.TopicInfo, KafkaError.KafkaError>((resume) => Effect.sync(line.lookedUp("t", resume)))
const grown = (line: Line, partition: number) =>
  Effect.callback<Cluster.TopicInfo, KafkaError.KafkaError>((resume) =>
    Effect.sync(line.grown("t", partition, 0, resume))
  )

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
        Effect.tap(grown(line, partition), () => Effect.sync(done)),
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

  // Each look-up tries again by itself: of 20 000 sends to a topic that is not there no event loop was left.
  it.effect("many who wait for a topic look it up together, and go on in the order of coming", () =>
    Effect.gen(function* () {
      let clock = 0
      const lookUps: Array<Deferred.Deferred<Cluster.TopicInfo, KafkaError.KafkaError>> = []
      let ended = 0
      const cluster = {
        topic: () =>
          Effect.suspend(() => {
            const answer = Deferred.makeUnsafe<Cluster.TopicInfo, KafkaError.KafkaError>()
            lookUps.push(answer)
            return Effect.onInterrupt(Deferred.await(answer), () => Effect.sync(() => ended++))
          })
      } as unknown as Cluster.Cluster["Service"]
      const line = TopicLine.make(cluster, 1000, Effect.runFork, () => clock)
      const went: Array<string> = []
      const waits = (name: string) =>
        Effect.forkChild(
          Effect.matchEffect(lookedUp(line), {
            onSuccess: () => Effect.sync(() => void went.push(name)),
            onFailure: ({ reason }) => Effect.sync(() => void went.push(`${name} ${reason._tag}`))
          }),
          { startImmediately: true }
        )
      const some = (name: string, count: number) =>
        Effect.forEach(Array.from({ length: count }), (_, i) => waits(`${name}${i}`))
      // Those who come in time wait by the same one, and nobody is refused for another's.
      yield* some("a", 3)
      clock = 99
      const last = yield* some("b", 2)
      clock = 100
      yield* some("c", 2)
      expect(lookUps.length).toBe(2)
      yield* Fiber.interrupt(last[1]!)
      const failure = KafkaError.make({ _tag: "UnknownTopic", topic: "t" })
      yield* Deferred.fail(lookUps[0]!, failure)
      yield* Effect.yieldNow
      expect(went).toEqual(["a0 UnknownTopic", "a1 UnknownTopic", "a2 UnknownTopic", "b0 UnknownTopic"])
      // Whoever hears of it, all go on.
      went.length = 0
      clock = 200
      yield* some("d", 2)
      yield* Deferred.succeed(lookUps[2]!, { name: "t", partitions: [] } as unknown as Cluster.TopicInfo)
      yield* Effect.yieldNow
      expect(went).toEqual(["c0", "c1", "d0", "d1"])
      // And who leave as the last end theirs.
      expect(ended).toBe(1)
      yield* Fiber.interruptAll(yield* some("e", 2))
      expect([lookUps.length, ended]).toEqual([4, 2])
    })
  )

  it.effect("who comes back as he goes on comes after who has him go on", () =>
    Effect.gen(function* () {
      const info = { name: "t", partitions: [] } as unknown as Cluster.TopicInfo
      let known: Cluster.TopicInfo | undefined
      const topic = () => Effect.suspend(() => (known === undefined ? Effect.never : Effect.succeed(known)))
      const cluster = { known: () => known, topic } as unknown as Cluster.Cluster["Service"]
      const line = TopicLine.make(cluster, 1000, Effect.runFork, () => 0)
      const went: Array<string> = []
      const sends = (name: string) =>
        Effect.suspend(() =>
          Effect.map(line.known("t") === undefined ? lookedUp(line) : Effect.void, () => void went.push(name))
        )
      const waiting = yield* Effect.forEach(["a", "b"], (name) =>
        Effect.forkChild(Effect.andThen(sends(name), sends(`${name} again`)), { startImmediately: true })
      )
      known = info
      yield* sends("c")
      expect(went).toEqual(["a", "b", "c"])
      yield* Fiber.joinAll(waiting)
      expect(went).toEqual(["a", "b", "c", "a again", "b again"])
    })
  )

  /** A line whose look-ups the test answers itself, at one time. */
  const answered = () => {
    const lookUps: Array<Deferred.Deferred<Cluster.TopicInfo, KafkaError.KafkaError>> = []
    const topic = () =>
      Effect.suspend(() => {
        const answer = Deferred.makeUnsafe<Cluster.TopicInfo, KafkaError.KafkaError>()
        lookUps.push(answer)
        return Deferred.await(answer)
      })
    const cluster = { known: () => undefined, topic } as unknown as Cluster.Cluster["Service"]
    return { lookUps, line: TopicLine.make(cluster, 1000, Effect.runFork, () => 0) }
  }
  const info = { name: "t", partitions: [] } as unknown as Cluster.TopicInfo
  const failure = KafkaError.make({ _tag: "UnknownTopic", topic: "t" })

  // Two who try again at once were told of the one failure for as long as others may join a look-up: 100 ms of a busy loop.
  const faces = ["a topic is not there", "a partition is not there"] as const
  it.effect.each(faces)("who tries again as he hears that %s asks anew", (face) =>
    Effect.gen(function* () {
      const { line, lookUps } = answered()
      const heard: Array<string> = []
      const asks = face === faces[0] ? lookedUp(line) : grown(line, 7)
      const tries = (name: string, times: number): Effect.Effect<void> =>
        Effect.catch(Effect.asVoid(asks), () => {
          heard.push(`${name}${times}`)
          return times === 20 ? Effect.void : tries(name, times + 1)
        })
      const fibers = yield* Effect.forEach(["a", "b"], (name) =>
        Effect.forkChild(tries(name, 1), { startImmediately: true })
      )
      yield* Deferred.fail(lookUps[0]!, failure)
      expect(heard).toEqual(["a1", "b1"])
      yield* Fiber.interruptAll(fibers)
    })
  )

  it.effect("who comes back to a line that has been left waits by a look-up of his own (he waited for ever)", () =>
    Effect.gen(function* () {
      const { line, lookUps } = answered()
      const went: Array<string> = []
      const waits = (name: string) => Effect.map(lookedUp(line), () => void went.push(name))
      const givesUp = Effect.flatMap(Effect.forkChild(waits("gives up"), { startImmediately: true }), Fiber.interrupt)
      const first = yield* Effect.forkChild(Effect.andThen(waits("a"), givesUp), { startImmediately: true })
      const second = yield* Effect.forkChild(Effect.andThen(waits("b"), waits("b again")), { startImmediately: true })
      yield* Deferred.succeed(lookUps[0]!, info)
      yield* Fiber.join(first)
      yield* Effect.yieldNow
      expect(lookUps.length).toBe(2)
      yield* Deferred.succeed(lookUps[1]!, info)
      yield* Fiber.join(second)
      expect(went).toEqual(["a", "b", "b again"])
    })
  )

  // Under TestClock a sleep of no time ends at once: his question had ended before it was written down, and who joined it was never told.
  it.effect("who waits for a partition with no time left hears it at once, and leaves nothing that others join", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const now = () => Backoff.monotonic(clock)
      yield* TestClock.adjust(1000)
      const grownInfo = { name: "t", partitions: [{}, {}] } as unknown as Cluster.TopicInfo
      const cluster = {
        known: () => undefined,
        topic: () => Effect.succeed(grownInfo)
      } as unknown as Cluster.Cluster["Service"]
      const line = TopicLine.make(cluster, 1000, Effect.runForkWith(yield* Effect.context<never>()), now)
      const waits = (partition: number, since: number) =>
        Effect.callback<Cluster.TopicInfo, KafkaError.KafkaError>((resume) =>
          Effect.sync(line.grown("t", partition, since, resume))
        )
      expect(yield* Effect.flip(waits(1, 0))).toHaveProperty("reason._tag", "TimedOut")
      const next = yield* Effect.forkChild(waits(1, 1000), { startImmediately: true })
      yield* TestClock.adjust(1000)
      expect(yield* Fiber.join(next)).toBe(grownInfo)
    })
  )

  // A topic is deleted while one waits for a partition of it, and made again while another waits for the topic.
  const by = ["the later one's look-up", "who sends"] as const
  it.effect.each(by)("who waits for a partition comes before who waits for the topic later, told by %s", (who) =>
    Effect.gen(function* () {
      const lookUps: Array<Deferred.Deferred<Cluster.TopicInfo>> = []
      const topic = (_: string, options: { readonly anew?: boolean }) =>
        Effect.suspend(() => {
          if (options.anew === true) return Effect.never
          const answer = Deferred.makeUnsafe<Cluster.TopicInfo>()
          lookUps.push(answer)
          return Deferred.await(answer)
        })
      let known: Cluster.TopicInfo | undefined
      const cluster = { known: () => known, topic } as unknown as Cluster.Cluster["Service"]
      const line = TopicLine.make(cluster, 1000, Effect.runFork, () => 0)
      const went: Array<string> = []
      const waits = (name: string, wait: Effect.Effect<unknown, KafkaError.KafkaError>) =>
        Effect.forkChild(
          Effect.tap(wait, () => Effect.sync(() => went.push(name))),
          { startImmediately: true }
        )
      const fibers = [yield* waits("a", grown(line, 1)), yield* waits("b", lookedUp(line))]
      known = { name: "t", partitions: [{}, {}] } as unknown as Cluster.TopicInfo
      if (who === by[0]) yield* Deferred.succeed(lookUps[0]!, known)
      else line.known("t")
      yield* Effect.yieldNow
      expect(went).toEqual(["a", "b"])
      yield* Fiber.joinAll(fibers)
    })
  )
})
