/**
 * A ZooKeeper in memory, for tests: sessions that expire on the Clock, connections that can be cut, a server that can
 * fall silent or be away. It answers as the real one does, as far as clients of this library can see; one suite asks both.
 *
 * One function because all of it moves one tree and its sessions; each thing that can be asked is a short function
 * within.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Backoff from "../Backoff.ts"
import { type Client, Code, type Done, type Open } from "./Client.ts"
import { type Answer, Tree } from "./Tree.ts"

/** What was asked of the ensemble since it is there. */
interface Counts {
  readonly reads: number
  readonly writes: number
  /** Watches that fired. */
  readonly watches: number
}

/** What tests may do to it. */
export interface Ensemble {
  /** Every path and its data as text. */
  readonly snapshot: () => Readonly<Record<string, string>>
  /** The session that has created a node; empty for one that stays, or where there is none. */
  readonly ownerOf: (path: string) => string
  /** The ids of the sessions that live, oldest first. */
  readonly sessions: () => ReadonlyArray<string>
  /** Ends a session as if nothing had been heard of its client for too long. */
  readonly expire: (session: string) => Effect.Effect<void>
  /** Cuts a client off; its session goes on to age. */
  readonly cut: (session: string) => Effect.Effect<void>
  /**
   * The server of a client has lost its leader, and has not noticed: it answers reads by what it knew, nothing else, and
   * the session goes on to age. The client comes to no other server.
   */
  readonly part: (session: string) => Effect.Effect<void>
  /** Lets it connect again. */
  readonly heal: (session: string) => Effect.Effect<void>
  /** Nothing is answered from now on, and nobody's connection is closed. */
  readonly freeze: Effect.Effect<void>
  readonly thaw: Effect.Effect<void>
  /** Every connection is closed, and none is accepted; sessions do not age until it is back. */
  readonly stop: Effect.Effect<void>
  readonly start: Effect.Effect<void>
  /** Does the next write of a session and closes its connection without an answer; ends the session there too, where `expires`. */
  readonly loseNextAnswer: (session: string, expires?: boolean) => Effect.Effect<void>
  readonly counts: () => Counts
  /** The paths that somebody watches. */
  readonly watched: () => ReadonlyArray<string>
  /** Tells of every node that is created, and whenever its data is set, at once, until the Scope closes. */
  readonly onWrite: (listener: (path: string, data: Uint8Array) => void) => Effect.Effect<void, never, Scope.Scope>
}

interface Session {
  readonly id: string
  readonly timeout: number
  expiresAt: number
  connection: Connection | undefined
  losesAnswer: "no" | "connection" | "session"
}

interface Connection {
  readonly requests: Queue.Queue<() => void>
  readonly session: Session
  readonly closed: () => void
  open: boolean
  /** What its server knew when it lost its leader. */
  parted: Tree | undefined
}

/** A connection attempt that fails is followed by the next so much later. */
const retryMillis = 50

/** An ensemble that lives as long as the Scope, and its clients. */
export const make: Effect.Effect<
  { readonly ensemble: Ensemble; readonly open: (sessionTimeout: number) => Open },
  never,
  Scope.Scope
> = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const fork = (effect: Effect.Effect<unknown>) => Fiber.runIn(run(effect), scope)
  const now = () => Backoff.monotonic(clock)
  const tree = new Tree()
  const sessions = new Map<string, Session>()
  const cutOff = new Set<string>()
  const apart = new Set<Connection>()
  const watchesOf = new WeakMap<() => void, { readonly connection: Connection; readonly watch: () => void }>()
  /** Of reads that may be under way still. */
  const forgotten = new WeakSet<() => void>()
  const counts = { reads: 0, writes: 0, watches: 0 }
  let made = 0
  let isAway = false
  let thawed: Deferred.Deferred<void> | undefined

  /** Waits for as long as it is frozen. */
  const thaws: Effect.Effect<void> = Effect.suspend(() =>
    thawed === undefined ? Effect.void : Effect.andThen(Deferred.await(thawed), thaws)
  )

  const close = (connection: Connection | undefined): void => {
    if (connection === undefined || !connection.open) return
    connection.open = false
    connection.session.connection = undefined
    tree.forget((watch) => watchesOf.get(watch)?.connection === connection)
    fork(Effect.andThen(Effect.yieldNow, Effect.sync(connection.closed)))
  }
  const expire = (session: Session): void => {
    if (!sessions.delete(session.id)) return
    tree.removeOf(session.id)
    if (session.connection?.parted === undefined) close(session.connection)
  }
  const ages = (session: Session): Effect.Effect<void> =>
    Effect.gen(function* () {
      while (sessions.has(session.id)) {
        const left = session.expiresAt - now()
        if (left > 0) yield* Effect.sleep(left)
        else if (thawed !== undefined) yield* Deferred.await(thawed)
        else if (isAway) session.expiresAt = now() + session.timeout
        else expire(session)
      }
    })

  const open =
    (sessionTimeout: number): Open =>
    (listener, sessionNow) => {
      let session: Session | undefined
      let connection: Connection | undefined
      let over = false
      const outstanding = new Set<(code: number) => void>()

      const serve = (mine: Connection) =>
        Effect.gen(function* () {
          while (mine.open) {
            const request = yield* Queue.take(mine.requests)
            yield* thaws
            // Other clients' requests come in between.
            yield* Effect.yieldNow
            if (!mine.open) return
            if (mine.parted === undefined) mine.session.expiresAt = now() + mine.session.timeout
            request()
          }
        })
      const connect: Effect.Effect<void> = Effect.gen(function* () {
        while (!over) {
          const since = sessionNow()
          yield* Effect.yieldNow
          yield* thaws
          if (over) return
          if (isAway || (session !== undefined && cutOff.has(session.id))) {
            listener.unreached("memory", isAway ? "ECONNREFUSED" : "cut off")
            yield* Effect.sleep(retryMillis)
            continue
          }
          if (session !== undefined && !sessions.has(session.id)) {
            over = true
            return listener.ended("expired")
          }
          if (session === undefined) {
            session = {
              id: (0x1000000 + ++made).toString(16).padStart(16, "0"),
              timeout: sessionTimeout,
              expiresAt: now() + sessionTimeout,
              connection: undefined,
              losesAnswer: "no"
            }
            sessions.set(session.id, session)
            fork(ages(session))
          }
          session.expiresAt = now() + session.timeout
          const mine: Connection = {
            requests: yield* Queue.unbounded<() => void>(),
            session,
            open: true,
            parted: undefined,
            closed: () => {
              if (connection !== mine) return
              connection = undefined
              for (const fail of Array.from(outstanding)) fail(over ? Code.SESSION_EXPIRED : Code.CONNECTION_LOSS)
              if (over) return
              listener.disconnected()
              fork(connect)
            }
          }
          connection = session.connection = mine
          fork(serve(mine))
          return listener.connected(since)
        }
      })

      const ask = <A>(kind: "reads" | "writes" | "beats", apply: (tree: Tree) => Answer<A>, done: Done<A>): void => {
        const mine = connection
        const fail = (code: number) => finish(code, undefined)
        const finish = (code: number, answer: A | undefined) => {
          if (outstanding.delete(fail)) done(code, answer)
        }
        outstanding.add(fail)
        if (over) return fail(Code.SESSION_EXPIRED)
        if (mine === undefined || !mine.open) return fail(Code.CONNECTION_LOSS)
        Queue.offerUnsafe(mine.requests, () => {
          if (mine.parted !== undefined && kind !== "reads") return
          counts[kind === "writes" ? "writes" : "reads"]++
          const { answer, code } = apply(mine.parted ?? tree)
          const { losesAnswer } = mine.session
          if (kind === "writes" && losesAnswer !== "no") {
            mine.session.losesAnswer = "no"
            return losesAnswer === "session" ? expire(mine.session) : close(mine)
          }
          finish(code, answer)
        })
      }
      const watched = (watch: (() => void) | undefined): (() => void) | undefined => {
        if (watch === undefined || forgotten.has(watch)) return undefined
        const mine = connection!
        const fired = () => {
          if (!mine.open) return
          counts.watches++
          fork(Effect.andThen(Effect.yieldNow, Effect.sync(watch)))
        }
        watchesOf.set(fired, { connection: mine, watch })
        return fired
      }

      fork(connect)
      const client: Client = {
        session: () => ({ id: session?.id ?? "", timeout: sessionTimeout }),
        get: (path, watch, done) => ask("reads", (tree) => tree.get(path, watched(watch)), done),
        children: (path, watch, done) => ask("reads", (tree) => tree.children(path, watched(watch)), done),
        exists: (path, done) => ask("reads", (tree) => tree.exists(path), done),
        forget: (watch) => {
          forgotten.add(watch)
          tree.forget((fired) => watchesOf.get(fired)?.watch === watch)
        },
        beat: (done) => ask("beats", () => ({ code: Code.OK }), done),
        create: (path, data, ephemeral, done) =>
          ask("writes", () => tree.create(path, data, ephemeral ? session!.id : ""), done),
        set: (path, data, version, done) => ask("writes", () => tree.set(path, data, version), done),
        remove: (path, version, done) => ask("writes", () => tree.remove(path, version), done),
        reconnect: () => close(connection),
        close: Effect.sync(() => {
          over = true
          if (session !== undefined && connection !== undefined && thawed === undefined) expire(session)
          close(connection)
        })
      }
      return client
    }

  const of = (id: string, act: (session: Session) => void) =>
    Effect.sync(() => {
      const session = sessions.get(id)
      if (session !== undefined) act(session)
    })
  const ensemble: Ensemble = {
    snapshot: () => tree.snapshot,
    ownerOf: (path) => tree.nodes.get(path)?.owner ?? "",
    sessions: () => [...sessions.keys()],
    expire: (id) => of(id, expire),
    cut: (id) =>
      of(id, (session) => {
        cutOff.add(id)
        close(session.connection)
      }),
    part: (id) =>
      of(id, (session) => {
        cutOff.add(id)
        if (session.connection === undefined) return
        session.connection.parted = tree.copy()
        apart.add(session.connection)
      }),
    heal: (id) =>
      Effect.sync(() => {
        cutOff.delete(id)
        for (const connection of apart) {
          if (connection.session.id !== id) continue
          apart.delete(connection)
          close(connection)
        }
      }),
    freeze: Effect.sync(() => {
      thawed ??= Deferred.makeUnsafe<void>()
    }),
    thaw: Effect.suspend(() => {
      const waiting = thawed
      thawed = undefined
      return waiting === undefined ? Effect.void : Deferred.succeed(waiting, undefined)
    }).pipe(Effect.asVoid),
    stop: Effect.sync(() => {
      isAway = true
      for (const session of sessions.values()) close(session.connection)
    }),
    start: Effect.sync(() => {
      isAway = false
      for (const session of sessions.values()) session.expiresAt = now() + session.timeout
    }),
    loseNextAnswer: (id, expires = false) =>
      of(id, (session) => {
        session.losesAnswer = expires ? "session" : "connection"
      }),
    counts: () => ({ ...counts }),
    watched: () => tree.watched,
    onWrite: (listener) =>
      Effect.acquireRelease(
        Effect.sync(() => tree.written.add(listener)),
        () => Effect.sync(() => tree.written.delete(listener))
      )
  }
  return { ensemble, open }
})
