/**
 * A client of node-zookeeper-client, made to end. The library plans its next attempt by timers that it does not stop,
 * reads its servers in a way that has no room for IPv6, leaves its socket open where it was not connected when it was
 * closed, throws at bytes that it does not understand, and reads what was left of a lost connection as the beginning
 * of the next: so we hand out the servers, catch, and end the socket ourselves.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Zk from "node-zookeeper-client"

/** SYNC_CONNECTED, CONNECTED_READ_ONLY, EXPIRED and AUTH_FAILED, as the library numbers them. */
const connected = new Set([3, 5])
const dead = new Set([-122, 4])

/** How long attempts wait once each server was tried. */
const spinMillis = 500
/** Beyond what a node may hold (1 MiB), with room for many children; what is longer is no answer of ZooKeeper. */
const maxAnswerBytes = 16 * 1024 * 1024
/** How long a session's end may take. */
const closeMillis = 1000

export interface Context {
  readonly library: typeof Zk.default
  readonly servers: ReadonlyArray<Zk.Server>
  /** Empty, or a path. */
  readonly chroot: string
  readonly sessionTimeout: number
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** In [0, 1). */
  readonly random: () => number
}

export interface Client {
  readonly zk: Zk.Client
  readonly isConnected: () => boolean
  /** Its session has expired, or was refused: nothing will ever be answered. */
  readonly isDead: () => boolean
  /** Told whenever it connects. */
  readonly onConnected: (listener: () => void) => void
  /** Gives up a connection on which nothing is answered: the library pings, and never misses the answers. */
  readonly reconnect: () => void
  readonly close: Effect.Effect<void>
}

/** Starts to connect. */
export const open = (context: Context): Client => {
  const { fork, random, servers } = context
  const zk = context.library.createClient(`unused:0${context.chroot}`, { sessionTimeout: context.sessionTimeout })
  const manager = zk.connectionManager
  const start = Math.floor(random() * servers.length)
  let attempts = 0
  let waiting: Fiber.Fiber<void> | undefined
  let closed = false
  let state = 0
  let ended = false
  const listeners: Array<() => void> = []
  const closers: Array<() => void> = []

  // It spreads the session's time-out over the attempts.
  manager.servers = servers
  manager.updateTimeout(context.sessionTimeout)
  const read = manager.onSocketData.bind(manager)
  manager.onSocketData = (chunk) => {
    try {
      read(chunk)
      if ((manager.pendingBuffer?.length ?? 0) > maxAnswerBytes) manager.socket?.destroy()
    } catch {
      manager.socket?.destroy()
    }
  }
  manager.findNextServer = (use) => {
    manager.pendingBuffer = null
    const attempt = attempts++
    const server = servers[(start + attempt) % servers.length]!
    const round = attempt > 0 && attempt % servers.length === 0
    waiting = fork(
      Effect.andThen(
        round ? Effect.sleep(spinMillis * random()) : Effect.yieldNow,
        Effect.sync(() => {
          if (!closed) use(server)
        })
      )
    )
  }
  zk.on("state", ({ code }) => {
    state = code
    // It says that it is disconnected once more, and is not told from one that connects again.
    if (dead.has(code)) ended = true
    if (connected.has(code)) for (const listener of listeners.splice(0)) listener()
    else for (const closer of closers.splice(0)) closer()
  })
  zk.connect()

  const destroy = Effect.sync(() => {
    waiting?.interruptUnsafe()
    clearTimeout(manager.connectTimeoutHandler ?? undefined)
    manager.socket?.destroy()
  })
  return {
    zk,
    isConnected: () => connected.has(state),
    isDead: () => ended,
    onConnected: (listener) => {
      listeners.push(listener)
    },
    reconnect: () => manager.socket?.destroy(),
    close: Effect.suspend(() => {
      if (closed) return Effect.void
      closed = true
      const wasConnected = connected.has(state)
      if (manager.socket !== undefined) zk.close()
      if (!wasConnected) return destroy
      const ended = Effect.callback<void>((resume) => {
        closers.push(() => resume(Effect.void))
      })
      return Effect.andThen(Effect.timeoutOrElse(ended, { duration: closeMillis, orElse: () => Effect.void }), destroy)
    })
  }
}
