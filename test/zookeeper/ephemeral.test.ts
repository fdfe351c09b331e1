/** Ephemeral nodes of a Scope: none is left behind for as long as its session. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope } from "effect"
import { ZooKeeper } from "samsa"
import { pass, passing } from "./Time.ts"

const data = new TextEncoder().encode("me")

it.effect("an ephemeral node whose creation is interrupted goes (zk-7)", () =>
  Effect.gen(function* () {
    const memory = yield* ZooKeeper.makeMemory
    const zooKeeper = yield* memory.connect({ sessionTimeout: "60 seconds" })
    yield* zooKeeper.ensure("/a")
    for (let yields = 0; yields < 15; yields++) {
      const path = `/a/${yields}`
      const own = Effect.scoped(Effect.andThen(zooKeeper.ephemeral(path, data), Effect.never))
      const fiber = yield* Effect.forkChild(own)
      for (let i = 0; i < yields; i++) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      // and at once again
      const scope = yield* Scope.make()
      yield* passing(Scope.provide(zooKeeper.ephemeral(path, data), scope))
      yield* pass(500)
      assert.isDefined(memory.snapshot()[path])
      yield* Scope.close(scope, Exit.void)
      yield* pass(500)
      assert.isUndefined(memory.snapshot()[path], `after ${yields}`)
    }
  }).pipe(Effect.scoped)
)

it.effect("an ephemeral node whose Scope is closed while it comes back goes (zk-7)", () =>
  Effect.gen(function* () {
    for (let yields = 0; yields < 40; yields++) {
      const memory = yield* ZooKeeper.makeMemory
      const zooKeeper = yield* memory.connect({ sessionTimeout: "60 seconds" })
      yield* zooKeeper.ensure("/a")
      const scope = yield* Scope.make()
      yield* passing(Scope.provide(zooKeeper.ephemeral("/a/me", data, { recreate: true }), scope))
      yield* memory.expire((yield* zooKeeper.session).id)
      for (let i = 0; i < yields; i++) yield* Effect.yieldNow
      yield* Scope.close(scope, Exit.void)
      yield* pass(3000)
      assert.isUndefined(memory.snapshot()["/a/me"], `after ${yields}`)
    }
  }).pipe(Effect.scoped)
)

it.effect("an ephemeral node whose creation was not answered goes, and can be made again (zk-7)", () =>
  Effect.gen(function* () {
    const memory = yield* ZooKeeper.makeMemory
    const zooKeeper = yield* memory.connect({ sessionTimeout: "60 seconds", requestTimeout: "2 seconds" })
    yield* zooKeeper.ensure("/a")
    const { id } = yield* zooKeeper.session
    yield* memory.loseNextAnswer(id)
    const first = yield* Effect.forkChild(Effect.exit(Effect.scoped(zooKeeper.ephemeral("/a/me", data))))
    for (let i = 0; i < 500 && memory.snapshot()["/a/me"] === undefined; i++) yield* Effect.yieldNow
    yield* memory.cut(id)
    yield* pass(3000)
    assert.isTrue(Exit.isFailure(yield* Fiber.join(first)))
    yield* memory.heal(id)
    yield* pass(5000)
    assert.strictEqual((yield* zooKeeper.session).id, id)
    assert.isUndefined(memory.snapshot()["/a/me"])
    const scope = yield* Scope.make()
    yield* passing(Scope.provide(zooKeeper.ephemeral("/a/me", data), scope))
    // One that is refused takes away nothing that is there.
    const second = yield* passing(Effect.exit(Effect.scoped(zooKeeper.ephemeral("/a/me", data))))
    assert.isTrue(Exit.isFailure(second))
    yield* pass(1000)
    assert.isDefined(memory.snapshot()["/a/me"])
    yield* Scope.close(scope, Exit.void)
    yield* pass(1000)
    assert.isUndefined(memory.snapshot()["/a/me"])
  }).pipe(Effect.scoped)
)
