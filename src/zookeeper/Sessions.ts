/**
 * The session with ZooKeeper, and the sessions that follow it: whether it can be known to live, and what is asked in it.
 *
 * The clock of its life is ours. Sessions end at the ensemble's leader, and a server that has lost its leader goes on
 * answering reads until it has noticed, for longer than a session: only what the leader had a part in, a write, or
 * connecting, says that the session lives. The leader hears of us late, by what a server relays with each of its pings,
 * so that the session can be known to live for three quarters of its time-out from when we sent what was answered, and
 * not a moment longer; by a clock that counts the time in which the machine was suspended. A heartbeat, a write that
 * changes nothing, goes out every sixth of the time-out; one that is not answered for a third of it costs the connection,
 * and there is a quarter to find a better one before the session is lost. Whatever comes back later, lost has been said,
 * and what was owned because of the session must be looked at again.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Resume from "../Resume.ts"
import * as SessionClock from "../SessionClock.ts"
import { Signal } from "../Signal.ts"
import type * as Client from "./Client.ts"
import { Code } from "./Client.ts"
import { Liveness } from "./Liveness.ts"

/** What becomes of the session. */
export type SessionState =
  /** It lives. `isNew` where nothing of an earlier one, neither nodes nor watches, is in it. */
  | { readonly _tag: "Connected"; readonly session: string; readonly isNew: boolean }
  /** ZooKeeper does not answer; what was created in the session stands until `Lost`. */
  | { readonly _tag: "Suspended"; readonly session: string }
  /** It has ended, or can no longer be known to live: ephemeral nodes may be gone, and others in their place. */
  | { readonly _tag: "Lost"; readonly session: string }
  /** The credentials were refused, for good. */
  | { readonly _tag: "Refused" }

/** What was answered, in which session. */
export interface Reply<A> {
  readonly code: number
  readonly answer: A | undefined
  readonly message: string | undefined
  readonly session: string
}

export interface Sessions {
  /** Told of every change, at once; gives what ends it. */
  readonly listen: (listener: (state: SessionState) => void) => () => void
  readonly state: () => SessionState | undefined
  /** Why servers, by their `host:port`, could not be connected to since there was a connection. */
  readonly failures: () => ReadonlyMap<string, string>
  /** Whether this session can be known to live now. */
  readonly isLive: (session: string) => boolean
  /** The time-out of the session, as the server wants it, in milliseconds. */
  readonly timeout: () => number
  /** Waits for a connection, and asks once. Bound to a session: answered with SESSION_EXPIRED where that is over. */
  readonly call: Call
  /** The same for what changes something: its answer is a sign of life as well. */
  readonly write: Call
  /** Calls a watch no more. */
  readonly forget: (watch: () => void) => void
  /** What was asked is not answered: looks for another connection. */
  readonly reconnect: () => void
}

/** Completes once its state is as wanted, which it may be already. */
export const becomes = (
  sessions: Sessions,
  wanted: (state: SessionState | undefined) => boolean
): Effect.Effect<void> =>
  Resume.callback((resume) => {
    if (wanted(sessions.state())) return resume(Effect.void)
    const off = sessions.listen(() => {
      if (!wanted(sessions.state())) return
      off()
      resume(Effect.void)
    })
    return Effect.sync(off)
  })

type Call = <A>(
  send: (client: Client.Client, done: Client.Done<A>) => void,
  bound?: string | undefined
) => Effect.Effect<Reply<A>>

/** How long a client that was turned away before it had a session is followed by none. */
const refusedMillis = 250

/** Opens a first client; everything ends with the Scope. */
export const make = (open: Client.Open): Effect.Effect<Sessions, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const scope = yield* Effect.scope
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const now = SessionClock.make(clock)
    const listeners = new Set<(state: SessionState) => void>()
    const failures = new Map<string, string>()

    const life = new Liveness()
    let client: Client.Client
    let state: SessionState | undefined
    let session = ""
    /** Something may be due earlier than was thought. */
    let isNews = false
    const news = new Signal(() => isNews)
    const wake = () => {
      isNews = true
      news.fire()
    }

    const publish = (next: SessionState): void => {
      state = next
      for (const listener of Array.from(listeners)) listener(next)
      wake()
    }
    const lose = (): void => {
      if (!life.live) return
      life.live = false
      publish({ _tag: "Lost", session })
    }
    const suspend = (): void => {
      if (life.live && state?._tag === "Connected") publish({ _tag: "Suspended", session })
    }
    const connect = (): void => {
      let wasConnected = false
      const listener: Client.Listener = {
        connected: (since) => {
          if (client !== mine) return
          wasConnected = true
          failures.clear()
          const { id, timeout } = mine.session()
          // What was late came back: whoever was told nothing of it must look again all the same.
          if (life.isOver(now())) lose()
          const isNew = id !== session
          if (isNew) lose()
          session = id
          life.connect(since, timeout, isNew, now())
          publish({ _tag: "Connected", session, isNew })
        },
        disconnected: () => {
          if (client !== mine) return
          life.disconnect()
          suspend()
          wake()
        },
        unreached: (server, why) => {
          if (client === mine) failures.set(server, why)
        },
        ended: (why) => {
          if (client !== mine) return
          life.disconnect()
          Fiber.runIn(run(mine.close), scope)
          lose()
          if (why === "refused") return publish({ _tag: "Refused" })
          // An expired client never answers again: another session is another client. What is no ZooKeeper may say so
          // at once, each time.
          if (wasConnected) connect()
          else Fiber.runIn(run(Effect.andThen(Effect.sleep(refusedMillis), Effect.sync(connect))), scope)
        }
      }
      const mine = open(listener, now)
      client = mine
    }
    // With the client goes what was created in the session: others may claim it, and who shares the session must not think
    // that it is theirs.
    yield* Effect.acquireRelease(Effect.sync(connect), () =>
      Effect.suspend(() => {
        lose()
        return client.close
      })
    )

    const beat = (): void => {
      const sentAt = now()
      const mine = client
      life.beatSent(sentAt)
      mine.beat((code) => {
        if (client !== mine || !isAnswer(code)) return
        life.beatAnswered(sentAt, now())
        wake()
      })
    }
    const turn = Effect.suspend(() => {
      switch (life.due(now())) {
        case "lost":
          lose()
          client.reconnect()
          break
        case "silent":
          life.disconnect()
          suspend()
          client.reconnect()
          break
        case "beat":
          beat()
      }
      isNews = false
      const { next } = life
      return next === Infinity ? news.await : Effect.timeoutOption(news.await, Math.max(0, next - now()))
    })
    yield* Effect.forkIn(Effect.forever(turn), scope, { startImmediately: true })

    const asker: Now = { now, life, listeners, client: () => client, session: () => session, state: () => state }
    return {
      listen: (listener) => {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
      state: () => state,
      failures: () => failures,
      isLive: (id) => id === session && life.isLive(now()),
      timeout: () => life.timeout,
      call: caller(asker, false),
      write: caller(asker, true),
      forget: (watch) => client.forget(watch),
      reconnect: () => client.reconnect()
    }
  })

/** Codes that the client says by itself: nothing was heard of ZooKeeper. */
const isAnswer = (code: number): boolean =>
  code !== Code.CONNECTION_LOSS && code !== Code.SESSION_EXPIRED && code !== Code.BAD_ARGUMENTS

const expired = (session: string): Reply<never> => ({
  code: Code.SESSION_EXPIRED,
  answer: undefined,
  message: "the session is over",
  session
})

interface Now {
  readonly now: () => number
  readonly life: Liveness
  readonly listeners: Set<(state: SessionState) => void>
  readonly client: () => Client.Client
  readonly session: () => string
  readonly state: () => SessionState | undefined
}

/** Asks once there is a connection; nothing is left in a queue that a later connection would send. */
const caller =
  ({ client, life, listeners, now, session, state }: Now, isWrite: boolean): Call =>
  <A>(send: (client: Client.Client, done: Client.Done<A>) => void, bound: string | undefined) =>
    Resume.callback<Reply<A>>((resume) => {
      let over = false
      const finish = (reply: Reply<A>): void => {
        if (over) return
        over = true
        listeners.delete(attempt)
        resume(Effect.succeed(reply))
      }
      const attempt = (): void => {
        if (over) return
        const as = session()
        if (state()?._tag === "Refused") {
          const message = "the credentials were refused"
          return finish({ code: Code.AUTH_FAILED, answer: undefined, message, session: as })
        }
        const isOver = as !== "" && !(life.live && as === bound)
        if (bound !== undefined && (isOver || life.isOver(now()))) return finish(expired(bound))
        if (!life.connected) return
        listeners.delete(attempt)
        const sentAt = now()
        const mine = client()
        send(mine, (code, answer, message) => {
          if (isWrite && client() === mine && isAnswer(code)) life.heard(sentAt, now())
          finish({ code, answer, message, session: as })
        })
      }
      listeners.add(attempt)
      attempt()
      return Effect.sync(() => {
        over = true
        listeners.delete(attempt)
      })
    })
