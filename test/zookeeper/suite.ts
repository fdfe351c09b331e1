/** What every ZooKeeper does, asked of the one in memory and of real ones. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import type * as KafkaError from "../../src/KafkaError.ts"
import type * as ZooKeeper from "../../src/ZooKeeper.ts"

export interface Harness {
  /** A client with a session of its own, of 2 seconds. */
  readonly connect: Effect.Effect<ZooKeeper.ZooKeeper["Service"], unknown, Scope.Scope>
  /** Ends a session as if its client had not been heard of. */
  readonly expire: (session: string) => Effect.Effect<void>
  /** Closes a client's connection, which it may open again. */
  readonly drop: (session: string) => Effect.Effect<void>
  /** Lets time pass until it ends. */
  readonly passing: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** A path of this test's own. */
  readonly root: string
}

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (data: Uint8Array | undefined) => (data === undefined ? undefined : new TextDecoder().decode(data))
const refusal = <A, R>(self: Effect.Effect<A, KafkaError.KafkaError, R>) =>
  Effect.map(Effect.flip(self), ({ reason }) => (reason._tag === "ZooKeeperRefused" ? reason.name : reason._tag))

/** What a Stream has given, and waiting for more of it. */
const collect = Effect.fnUntraced(function* <A>(stream: Stream.Stream<A, KafkaError.KafkaError>) {
  const seen: Array<A> = []
  let wake: (() => void) | undefined
  yield* Effect.forkScoped(
    Stream.runForEach(stream, (value) =>
      Effect.sync(() => {
        seen.push(value)
        wake?.()
      })
    ),
    { startImmediately: true }
  )
  const until = (is: (last: A | undefined) => boolean) =>
    Effect.callback<void>((resume) => {
      wake = () => {
        if (seen.length > 0 && is(seen.at(-1))) resume(Effect.void)
      }
      wake()
    })
  return { seen, until }
})

/** Watches a node that is not there yet. */
const watching = Effect.fnUntraced(function* (zk: ZooKeeper.ZooKeeper["Service"], { passing, root }: Harness) {
  const watched = yield* collect(zk.watch(`${root}/w`))
  const becomes = (data: string | undefined) => passing(watched.until((node) => text(node?.data) === data))
  yield* becomes(undefined)
  return becomes
})

type Case = (harness: Harness) => Effect.Effect<void, unknown, Scope.Scope>

export const cases: Readonly<Record<string, Case>> = {
  "removes a node of a session, by what it holds, and by a version": ({ connect, root }) =>
    Effect.gen(function* () {
      const [one, two] = [yield* connect, yield* connect]
      const { create, id, remove } = yield* one.session
      const path = `${root}/owned`
      yield* create(path, bytes("one"), { ephemeral: true })
      assert.isFalse(yield* remove(path, { owner: (yield* two.session).id }))
      assert.isFalse(yield* remove(path, { owner: id, data: bytes("two") }))
      // the greatest version that the wire has, which no node has
      assert.strictEqual(yield* refusal(remove(path, { version: 0x7fff_ffff })), "BAD_VERSION")
      assert.isTrue(yield* remove(path, { owner: id, data: bytes("one") }))
      assert.isFalse(yield* remove(path, { version: 0x7fff_ffff }))
    }),
  "creates with what is above, reads, sets by version, lists, removes": ({ connect, root }) =>
    Effect.gen(function* () {
      const zk = yield* connect
      assert.isUndefined(yield* zk.read(`${root}/a/b`))
      assert.isUndefined(yield* zk.children(`${root}/a`))
      yield* zk.create(`${root}/a/b`, bytes("one"))
      assert.strictEqual(text(yield* zk.get(`${root}/a/b`)), "one")
      assert.strictEqual(text(yield* zk.get(`${root}/a`)), "")
      assert.strictEqual(yield* refusal(zk.create(`${root}/a/b`, bytes("two"))), "NODE_EXISTS")
      yield* zk.set(`${root}/a/b`, bytes("two"), 0)
      assert.strictEqual(yield* refusal(zk.set(`${root}/a/b`, bytes("three"), 0)), "BAD_VERSION")
      assert.strictEqual((yield* zk.read(`${root}/a/b`))?.stat.version, 1)
      assert.strictEqual(yield* refusal(zk.set(`${root}/a/none`, bytes(""))), "NO_NODE")
      yield* zk.ensure(`${root}/a/c/d`)
      yield* zk.ensure(`${root}/a/c/d`)
      assert.deepStrictEqual([...(yield* zk.children(`${root}/a`))!].sort(), ["b", "c"])
      assert.strictEqual(yield* refusal(zk.remove(`${root}/a/c`)), "NOT_EMPTY")
      assert.strictEqual(yield* refusal(zk.remove(`${root}/a/b`, { version: 7 })), "BAD_VERSION")
      assert.isTrue(yield* zk.remove(`${root}/a/b`))
      assert.isFalse(yield* zk.remove(`${root}/a/b`))
    }),

  "a path that is none is a misuse, and touches nothing": ({ connect }) =>
    Effect.gen(function* () {
      const zk = yield* connect
      for (const path of ["", "a", "/a/", "//a", "/a/../b", "/a\u0001"]) {
        assert.strictEqual(yield* refusal(zk.read(path)), "Misuse", path)
        assert.strictEqual(yield* refusal(zk.ensure(path)), "Misuse", path)
      }
    }),

  "what is too large for a request, or no version, is a misuse, and costs nobody the connection (zk-23)": ({
    connect,
    root
  }) =>
    Effect.gen(function* () {
      const zk = yield* connect
      const states: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(zk.states, (state) => Effect.sync(() => states.push(state._tag))),
        { startImmediately: true }
      )
      yield* zk.create(`${root}/large`, new Uint8Array(1_048_400))
      for (const size of [1_048_500, 1_048_576, 3_000_000]) {
        assert.strictEqual(yield* refusal(zk.create(`${root}/larger`, new Uint8Array(size))), "Misuse")
        assert.strictEqual(yield* refusal(zk.set(`${root}/large`, new Uint8Array(size))), "Misuse")
      }
      assert.strictEqual(yield* refusal(zk.read(`${root}/${"a".repeat(1_100_000)}`)), "Misuse")
      for (const version of [NaN, 0.5, -2, 2 ** 31, Infinity]) {
        assert.strictEqual(yield* refusal(zk.set(`${root}/large`, bytes("x"), version)), "Misuse")
        assert.strictEqual(yield* refusal(zk.remove(`${root}/large`, { version })), "Misuse")
      }
      assert.strictEqual((yield* zk.get(`${root}/large`))?.length, 1_048_400)
      assert.deepStrictEqual(states, ["Connected"])
      yield* zk.remove(`${root}/large`)
    }),

  "odd characters are characters": ({ connect, root }) =>
    Effect.gen(function* () {
      const zk = yield* connect
      const odd = "b'a b:c%2F-ü漢'\"\\"
      yield* zk.create(`${root}/${odd}`, bytes("x"))
      assert.deepStrictEqual(yield* zk.children(root), [odd])
      assert.strictEqual(text(yield* zk.get(`${root}/${odd}`)), "x")
    }),

  "an ephemeral node goes with its session, which others see": ({ connect, passing, root }) =>
    Effect.gen(function* () {
      const [one, two] = [yield* connect, yield* connect]
      const scope = yield* Scope.make()
      const third = yield* Scope.provide(connect, scope)
      const session = yield* third.session
      assert.strictEqual(yield* third.create(`${root}/e`, bytes("e"), { ephemeral: true }), session.id)
      assert.strictEqual((yield* one.read(`${root}/e`))?.stat.owner, session.id)
      assert.strictEqual(yield* refusal(one.create(`${root}/e/below`, bytes(""))), "NO_CHILDREN_FOR_EPHEMERALS")
      assert.isFalse(yield* one.remove(`${root}/e`, { owner: (yield* one.session).id }))
      const seen = yield* collect(two.watch(`${root}/e`))
      yield* passing(seen.until((node) => text(node?.data) === "e"))
      yield* Scope.close(scope, Exit.void)
      yield* passing(seen.until((node) => node === undefined))
      assert.isUndefined(yield* one.read(`${root}/e`))
    }),

  "a watch tells what is so now and what becomes of it, of a node that was not there too": ({
    connect,
    passing,
    root
  }) =>
    Effect.gen(function* () {
      const [one, two] = [yield* connect, yield* connect]
      const data = yield* collect(one.watch(`${root}/w`))
      const children = yield* collect(one.watchChildren(`${root}/w`))
      yield* passing(data.until((node) => node === undefined))
      yield* passing(children.until((names) => names === undefined))
      yield* two.create(`${root}/w`, bytes("1"))
      yield* passing(data.until((node) => text(node?.data) === "1"))
      yield* passing(children.until((names) => names?.length === 0))
      yield* two.set(`${root}/w`, bytes("2"))
      yield* passing(data.until((node) => text(node?.data) === "2"))
      yield* two.create(`${root}/w/x`, bytes(""))
      yield* passing(children.until((names) => names?.length === 1))
      yield* two.remove(`${root}/w/x`)
      yield* passing(children.until((names) => names?.length === 0))
      yield* two.remove(`${root}/w`)
      yield* passing(data.until((node) => node === undefined))
      yield* passing(children.until((names) => names === undefined))
    }),

  "a watch misses nothing between two reads: the last of many changes is always told": ({ connect, passing, root }) =>
    Effect.gen(function* () {
      const [one, two] = [yield* connect, yield* connect]
      yield* two.ensure(`${root}/many`)
      const watched = yield* collect(one.watchChildren(`${root}/many`))
      for (let i = 1; i <= 40; i++) {
        yield* two.create(`${root}/many/${i}`, bytes(""))
        if (i % 10 === 0) yield* passing(watched.until((names) => names?.length === i))
      }
      assert.isAtMost(watched.seen.length, 41)
    }),

  "a dozen watches of one node all fire": (harness) =>
    Effect.gen(function* () {
      const { connect, root } = harness
      const [one, two] = [yield* connect, yield* connect]
      const all = []
      for (let i = 0; i < 12; i++) all.push(yield* watching(one, harness))
      yield* two.create(`${root}/w`, bytes("1"))
      for (const becomes of all) yield* becomes("1")
    }),

  "a lost connection is Suspended, not Lost: nodes and watches outlive it": (harness) =>
    Effect.gen(function* () {
      const { connect, drop, passing, root } = harness
      const [one, two] = [yield* connect, yield* connect]
      const session = yield* one.session
      const states = yield* collect(one.states)
      yield* one.create(`${root}/e`, bytes("e"), { ephemeral: true })
      const becomes = yield* watching(one, harness)
      yield* drop(session.id)
      yield* passing(states.until((state) => state?._tag === "Connected" && states.seen.length > 1))
      assert.deepStrictEqual(
        states.seen.map((state) => state._tag),
        ["Connected", "Suspended", "Connected"]
      )
      assert.isTrue(session.isLive())
      assert.strictEqual((yield* session.read(`${root}/e`))?.stat.owner, session.id)
      yield* two.create(`${root}/w`, bytes("after"))
      yield* becomes("after")
    }),

  "an expired session is Lost, and another follows: what was bound to it fails typed, watches go on": (harness) =>
    Effect.gen(function* () {
      const { connect, expire, passing, root } = harness
      const [one, two] = [yield* connect, yield* connect]
      const session = yield* one.session
      const states = yield* collect(one.states)
      yield* session.create(`${root}/e`, bytes("e"), { ephemeral: true })
      const becomes = yield* watching(one, harness)
      const expiring = yield* Effect.forkChild(expire(session.id))
      yield* passing(
        states.until((state) => state?._tag === "Connected" && state.session !== session.id && state.isNew)
      )
      yield* passing(Fiber.join(expiring))
      assert.deepStrictEqual(
        states.seen.filter((state) => state._tag === "Lost"),
        [{ _tag: "Lost", session: session.id }]
      )
      assert.isFalse(session.isLive())
      assert.strictEqual(yield* refusal(passing(session.read(`${root}/e`))), "SESSION_EXPIRED")
      assert.strictEqual(
        yield* refusal(passing(session.create(`${root}/f`, bytes(""), { ephemeral: true }))),
        "SESSION_EXPIRED"
      )
      assert.isUndefined(yield* passing(one.read(`${root}/e`)))
      assert.isUndefined(yield* passing(one.read(`${root}/f`)))
      yield* passing(two.create(`${root}/w`, bytes("after")))
      yield* becomes("after")
    }),

  "a session of which nothing is asked lives on: its heartbeats cost no connection": ({ connect, passing }) =>
    Effect.gen(function* () {
      const one = yield* connect
      const states = yield* collect(one.states)
      yield* passing(Effect.sleep("3 seconds"))
      // Two each time that one costs a connection; a machine that stands still may cost one.
      assert.isBelow(states.seen.length, 5, JSON.stringify(states.seen))
    }),

  "an ephemeral node of a Scope goes with it, and comes back in the next session where that is wanted": ({
    connect,
    expire,
    passing,
    root
  }) =>
    Effect.gen(function* () {
      const [one, two] = [yield* connect, yield* connect]
      const scope = yield* Scope.make()
      yield* Scope.provide(one.ephemeral(`${root}/kept`, bytes("k"), { recreate: true }), scope)
      yield* Scope.provide(one.ephemeral(`${root}/once`, bytes("o")), scope)
      assert.strictEqual(yield* refusal(Scope.provide(two.ephemeral(`${root}/kept`, bytes("")), scope)), "NODE_EXISTS")
      const kept = yield* collect(two.watch(`${root}/kept`))
      const first = (yield* one.session).id
      const expiring = yield* Effect.forkChild(expire(first))
      yield* passing(kept.until((node) => node !== undefined && node.stat.owner !== first))
      yield* passing(Fiber.join(expiring))
      assert.isUndefined(yield* passing(two.read(`${root}/once`)))
      yield* Scope.close(scope, Exit.void)
      yield* passing(kept.until((node) => node === undefined))
    })
}
