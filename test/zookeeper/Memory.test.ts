/** ZooKeeper in memory: what every ZooKeeper does, and what only this one can be made to do. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule, Stream } from "effect"
import { TestClock } from "effect/testing"
import type * as KafkaError from "../../src/KafkaError.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { heard, loud, of } from "../Heard.ts"
import { cases, type Harness } from "./suite.ts"
import { calm, pass, passing } from "./Time.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

describe("in memory", () => {
  for (const [title, body] of Object.entries(cases)) {
    it.effect(title, () =>
      Effect.gen(function* () {
        const memory = yield* ZooKeeper.makeMemory
        const harness: Harness = {
          connect: memory.connect({ sessionTimeout: "2 seconds" }),
          expire: memory.expire,
          drop: (session) => Effect.andThen(memory.cut(session), memory.heal(session)),
          passing,
          root: "/test"
        }
        yield* body(harness)
      }).pipe(Effect.scoped)
    )
  }

  it.effect("a server that falls silent is noticed: Suspended, then Lost when the session's time is over", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zk = yield* memory.connect({ sessionTimeout: "6 seconds" })
      const session = yield* zk.session
      const states: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(zk.states, (state) => Effect.sync(() => states.push(state._tag))),
        { startImmediately: true }
      )
      yield* pass(20_000)
      assert.deepStrictEqual(states, ["Connected"])
      yield* memory.freeze
      yield* pass(1_900)
      assert.deepStrictEqual(states, ["Connected"])
      yield* pass(1_100)
      assert.deepStrictEqual(states, ["Connected", "Suspended"])
      yield* pass(400)
      assert.isTrue(session.isLive())
      yield* pass(1_200)
      assert.isFalse(session.isLive())
      assert.deepStrictEqual(states, ["Connected", "Suspended", "Lost"])
      yield* memory.thaw
      yield* passing(Effect.retry(zk.ensure("/a"), { times: 3 }))
      assert.strictEqual(states.at(-1), "Connected")
    }).pipe(Effect.scoped)
  )

  it.effect("a session that was lost here and still lives there goes on, and is told as Connected, not as new", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zk = yield* memory.connect({ sessionTimeout: "2 seconds" })
      const { create, id } = yield* zk.session
      yield* create("/e", bytes(""), { ephemeral: true })
      const states: Array<ZooKeeper.SessionState> = []
      yield* Effect.forkScoped(
        Stream.runForEach(zk.states, (state) => Effect.sync(() => states.push(state))),
        { startImmediately: true }
      )
      yield* memory.stop
      yield* pass(10_000)
      yield* memory.start
      yield* pass(1_000)
      assert.deepStrictEqual(
        states.map((state) => [state._tag, "isNew" in state && state.isNew]),
        [
          ["Connected", true],
          ["Suspended", false],
          ["Lost", false],
          ["Connected", false]
        ]
      )
      assert.strictEqual(memory.ownerOf("/e"), id)
    }).pipe(Effect.scoped)
  )

  it.effect("a write whose answer was lost was done: it is not said that it failed", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zk = yield* memory.connect()
      const session = yield* zk.session
      yield* zk.ensure("/d")
      const lossy = <A, E>(self: Effect.Effect<A, E>) =>
        Effect.andThen(memory.loseNextAnswer(session.id), passing(self))
      yield* lossy(session.create("/d/e", bytes("e"), { ephemeral: true }))
      assert.strictEqual(memory.ownerOf("/d/e"), session.id)
      yield* lossy(session.create("/d/p", bytes("p")))
      yield* lossy(zk.set("/d/p", bytes("q"), 0))
      assert.isTrue(yield* lossy(session.remove("/d/e", { owner: session.id })))
      assert.isTrue(yield* lossy(zk.remove("/d/p")))
      assert.deepStrictEqual(memory.snapshot(), { "/d": "" })
    }).pipe(Effect.scoped)
  )

  it.effect("a removal that was perhaps done does not hit what another has put there", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const [one, two] = [yield* memory.connect(), yield* memory.connect()]
      const session = yield* one.session
      yield* session.create("/claim", bytes("one"), { ephemeral: true })
      yield* memory.loseNextAnswer(session.id)
      const removing = yield* Effect.forkChild(session.remove("/claim", { owner: session.id }))
      // before it has connected again
      yield* Effect.retry(two.create("/claim", bytes("two"), { ephemeral: true }), { times: 50 })
      assert.isTrue(yield* passing(Fiber.join(removing)))
      assert.deepStrictEqual(memory.snapshot(), { "/claim": "two" })
    }).pipe(Effect.scoped)
  )

  it.effect("a creation that was perhaps done is not taken for done where another was first", () =>
    Effect.gen(function* () {
      for (const ephemeral of [true, false]) {
        const memory = yield* ZooKeeper.makeMemory
        const [one, two] = [yield* memory.connect(), yield* memory.connect()]
        const session = yield* one.session
        // it is asked for on a connection that is lost before it is done
        yield* memory.freeze
        const creating = yield* Effect.forkChild(Effect.flip(session.create("/claim", bytes("one"), { ephemeral })))
        yield* calm
        yield* memory.cut(session.id)
        yield* memory.thaw
        yield* passing(two.create("/claim", bytes("two"), { ephemeral }))
        yield* memory.heal(session.id)
        const { reason } = yield* passing(Fiber.join(creating))
        assert.strictEqual(reason._tag === "ZooKeeperRefused" ? reason.name : reason._tag, "NODE_EXISTS")
        assert.deepStrictEqual(memory.snapshot(), { "/claim": "two" })
      }
    }).pipe(Effect.scoped)
  )

  it.effect("two that share a session are told apart by what their nodes hold", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      // what failed is asked again when the other has had its turn
      const zk = yield* memory.connect({ retry: Schedule.spaced("1 second") })
      const { create, id, remove } = yield* zk.session
      const claims = (data: string) => create("/claim", bytes(data), { ephemeral: true })
      yield* claims("one")
      yield* memory.loseNextAnswer(id)
      const removing = yield* Effect.forkChild(remove("/claim", { owner: id, data: bytes("one") }))
      yield* calm
      yield* passing(claims("two"))
      assert.isTrue(yield* passing(Fiber.join(removing)))
      assert.deepStrictEqual(memory.snapshot(), { "/claim": "two" })
      assert.isTrue(yield* passing(remove("/claim", { owner: id })))

      // its connection is lost before it is done
      yield* memory.freeze
      const creating = yield* Effect.forkChild(Effect.flip(claims("one")))
      yield* calm
      yield* memory.cut(id)
      yield* memory.thaw
      yield* calm
      yield* memory.heal(id)
      yield* passing(claims("two"))
      const { reason } = yield* passing(Fiber.join(creating))
      assert.strictEqual(reason._tag === "ZooKeeperRefused" ? reason.name : reason._tag, "NODE_EXISTS")
      assert.deepStrictEqual(memory.snapshot(), { "/claim": "two" })
    }).pipe(Effect.scoped)
  )

  it.effect(
    "a condition whose answer was lost is not said to have failed, and hits nothing that another has made (zk-12)",
    () =>
      Effect.gen(function* () {
        const memory = yield* ZooKeeper.makeMemory
        const [zk, other] = [yield* memory.connect(), yield* memory.connect()]
        const { id } = yield* zk.session
        const refusal = <A>(self: Effect.Effect<A, KafkaError.KafkaError>) =>
          Effect.map(Effect.flip(self), ({ reason }) =>
            reason._tag === "ZooKeeperRefused" ? reason.name : reason._tag
          )
        /** Its answer is lost, and before it is asked again another has had its turn. */
        const meanwhile = <A, B>(
          self: Effect.Effect<A, KafkaError.KafkaError>,
          theirs: Effect.Effect<B, KafkaError.KafkaError>
        ) =>
          Effect.gen(function* () {
            yield* memory.loseNextAnswer(id)
            const fiber = yield* Effect.forkChild(self, { startImmediately: true })
            while (memory.snapshot()["/c"] === "0") yield* Effect.yieldNow
            yield* memory.cut(id)
            yield* passing(theirs)
            yield* memory.heal(id)
            return yield* passing(Fiber.join(fiber))
          })
        const begin = Effect.andThen(Effect.ignore(zk.remove("/c")), zk.create("/c", bytes("0")))

        yield* passing(begin)
        const counted = meanwhile(zk.set("/c", bytes("1"), 0), other.set("/c", bytes("2"), 1))
        assert.strictEqual(yield* refusal(counted), "CONNECTION_LOSS")
        yield* passing(begin)
        assert.strictEqual(
          yield* refusal(meanwhile(zk.set("/c", bytes("1"), 0), other.remove("/c"))),
          "CONNECTION_LOSS"
        )
        yield* passing(begin)
        const again = other.create("/c", bytes("theirs"))
        assert.isTrue(yield* meanwhile(zk.remove("/c", { version: 0 }), again))
        assert.strictEqual(memory.snapshot()["/c"], "theirs")
        yield* passing(begin)
        assert.isTrue(yield* meanwhile(zk.remove("/c"), again))
        assert.strictEqual(memory.snapshot()["/c"], "theirs")
      }).pipe(Effect.scoped)
  )

  it.effect("a watch whose Stream ends while it is read is kept nowhere (zk-10, a leak)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zk = yield* memory.connect()
      yield* passing(zk.ensure("/a"))
      for (const path of ["/a", "/none"]) {
        for (let yields = 0; yields < 12; yields++) {
          const watching = yield* Effect.forkChild(Stream.runDrain(zk.watch(path)))
          for (let i = 0; i < yields; i++) yield* Effect.yieldNow
          yield* Fiber.interrupt(watching)
          yield* calm
          assert.deepStrictEqual(memory.watched(), [], `${path} after ${yields}`)
        }
      }
    }).pipe(Effect.scoped)
  )

  it.effect("a watch whose Stream has ended is called no more, and kept nowhere (zk-9)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const [zk, other] = [yield* memory.connect(), yield* memory.connect()]
      yield* passing(other.ensure("/a"))
      for (let i = 0; i < 20; i++) {
        yield* passing(Stream.runDrain(Stream.take(zk.watch("/a"), 1)))
        yield* passing(Stream.runDrain(Stream.take(zk.watchChildren("/a"), 1)))
        yield* passing(Stream.runDrain(Stream.take(zk.watch("/none"), 1)))
        assert.deepStrictEqual(memory.watched(), [])
      }
      yield* passing(other.set("/a", bytes("1")))
      yield* passing(other.create("/a/b", bytes("")))
      yield* passing(other.create("/none", bytes("")))
      yield* pass(1000)
      assert.strictEqual(memory.counts().watches, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("is away: a warning once that lasts, then by doubling, and that it is there again (it was silent)", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      yield* memory.connect()
      const away = (millis: number) => Effect.andThen(memory.stop, Effect.andThen(pass(millis), memory.start))
      yield* away(2900)
      yield* pass(1000)
      assert.deepStrictEqual(loud(), [])
      yield* away(13_000)
      yield* pass(1000)
      const after = of("connectSlow").map(({ text }) => / after (\d+) s/.exec(text)?.[1])
      assert.deepStrictEqual(after, ["3", "6", "12"])
      assert.deepStrictEqual(
        loud().map(({ event }) => event),
        ["connectSlow", "connectSlow", "connectSlow", "goesOn"]
      )
      yield* memory.freeze
      yield* pass(10_000)
      assert.include(of("connectSlow")[3]?.text, "ZooKeeper at memory (no answer) after 3 s")
    }).pipe(Effect.scoped, heard)
  )

  it.effect("is away: what is asked fails typed within requestTimeout", () =>
    Effect.gen(function* () {
      const memory = yield* ZooKeeper.makeMemory
      const zk = yield* memory.connect({ requestTimeout: "1 second" })
      yield* memory.stop
      const failed = yield* Effect.forkChild(Effect.flip(zk.read("/a")))
      yield* TestClock.adjust("1 second")
      assert.include(["TimedOut", "Unreachable"], (yield* Fiber.join(failed)).reason._tag)
      const never = yield* Effect.forkChild(Effect.flip(Effect.scoped(memory.connect({ connectTimeout: "1 second" }))))
      yield* TestClock.adjust("1 second")
      const unreachable = yield* Fiber.join(never)
      assert.deepInclude(unreachable.reason, { _tag: "Unreachable", what: "ZooKeeper" })
      assert.match(unreachable.message, /^Unreachable: ZooKeeper could not be reached: ZooKeeper at memory/)
    }).pipe(Effect.scoped)
  )
})
