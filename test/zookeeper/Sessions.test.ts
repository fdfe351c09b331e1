/** The session by itself, over a client that says what the test wants, on a clock that wakes nobody. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Scope } from "effect"
import { type Client, Code, type Listener } from "../../src/zookeeper/Client.ts"
import * as Sessions from "../../src/zookeeper/Sessions.ts"

const made = Effect.gen(function* () {
  const time = { now: 0, asleep: 0 }
  const clock = {
    ...(yield* Clock.Clock),
    monotonicTimeNanosUnsafe: () => BigInt(time.now) * 1_000_000n,
    currentTimeMillisUnsafe: () => time.now + time.asleep,
    // as in a process that stands still
    sleep: () => Effect.never
  } as unknown as Clock.Clock
  const listeners: Array<Listener> = []
  let id = "1"
  const open = (listener: Listener): Client => {
    listeners.push(listener)
    return {
      session: () => ({ id, timeout: 6000 }),
      exists: () => {},
      reconnect: () => {},
      close: Effect.void
    } as unknown as Client
  }
  const sessions = yield* Sessions.make(open).pipe(Effect.provideService(Clock.Clock, clock))
  const told: Array<string> = []
  sessions.listen((state) => told.push("session" in state ? `${state._tag} ${state.session}` : state._tag))
  listeners[0]!.connected(0)
  return { time, sessions, told, listeners, becomes: (next: string) => void (id = next) }
})

describe("Sessions", () => {
  it.effect("who is interrupted while it connects leaves no client behind (zk-9, a leak)", () =>
    Effect.gen(function* () {
      const clients = { opened: 0, closed: 0 }
      const open = (): Client => {
        clients.opened++
        Fiber.getCurrent()!.interruptUnsafe()
        return { close: Effect.sync(() => void clients.closed++) } as unknown as Client
      }
      yield* Fiber.await(yield* Effect.forkChild(Effect.scoped(Sessions.make(open))))
      assert.deepStrictEqual(clients, { opened: 1, closed: 1 })
    })
  )

  it.effect("one that comes back late was lost in between, also where nobody's timer has run", () =>
    Effect.gen(function* () {
      const { listeners, sessions, time, told } = yield* made
      listeners[0]!.disconnected()
      time.now = 7000
      assert.isFalse(sessions.isLive("1"))
      listeners[0]!.connected(7000)
      assert.deepStrictEqual(told, ["Connected 1", "Suspended 1", "Lost 1", "Connected 1"])
    }).pipe(Effect.scoped)
  )

  it.effect(
    "does not outlive its time while the machine is suspended, where the monotonic clock stands still (zk-18)",
    () =>
      Effect.gen(function* () {
        const { listeners, sessions, time, told } = yield* made
        time.now = 1000
        assert.isTrue(sessions.isLive("1"))
        time.asleep = 60_000
        time.now = 1001
        assert.isFalse(sessions.isLive("1"))
        // It was not told that it has expired: whoever connects again has lost it all the same, and begins anew.
        listeners[0]!.disconnected()
        listeners[0]!.connected(61_001)
        assert.deepStrictEqual(told, ["Connected 1", "Suspended 1", "Lost 1", "Connected 1"])
        assert.isTrue(sessions.isLive("1"))
      }).pipe(Effect.scoped)
  )

  it.effect("is not known to live by what the client refuses by itself (zk-26)", () =>
    Effect.gen(function* () {
      const { sessions, time } = yield* made
      time.now = 4000
      yield* sessions.write<void>((_, done) => done(Code.BAD_ARGUMENTS, undefined))
      time.now = 5000
      assert.isFalse(sessions.isLive("1"))
    }).pipe(Effect.scoped)
  )

  it.effect("that has expired is Lost at once, not when the next one begins", () =>
    Effect.gen(function* () {
      const { becomes, listeners, told } = yield* made
      listeners[0]!.ended("expired")
      assert.deepStrictEqual(told, ["Connected 1", "Lost 1"])
      becomes("2")
      listeners[1]!.connected(10)
      assert.deepStrictEqual(told, ["Connected 1", "Lost 1", "Connected 2"])
    }).pipe(Effect.scoped)
  )

  it.effect("is over for all that share it once it is closed (zk-36)", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const { sessions, told } = yield* Scope.provide(made, scope)
      assert.isTrue(sessions.isLive("1"))
      yield* Scope.close(scope, Exit.void)
      assert.isFalse(sessions.isLive("1"))
      assert.deepStrictEqual(told, ["Connected 1", "Lost 1"])
    })
  )

  it.effect("whose credentials are refused is followed by none, and answers so", () =>
    Effect.gen(function* () {
      const { listeners, sessions, told } = yield* made
      listeners[0]!.ended("refused")
      assert.deepStrictEqual(told, ["Connected 1", "Lost 1", "Refused"])
      const { code } = yield* sessions.call((client, done) => client.exists("/", done))
      assert.strictEqual(code, Code.AUTH_FAILED)
      assert.lengthOf(listeners, 1)
    }).pipe(Effect.scoped)
  )
})
