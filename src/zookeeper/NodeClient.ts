/**
 * A client of node-zookeeper-client, made to end. The library plans its next attempt by timers that it does not stop,
 * reads its servers in a way that has no room for IPv6, leaves its socket open where it was not connected when it was
 * closed, throws at bytes that it does not understand, reads what was left of a lost connection as the beginning of the
 * next, throws at codes that it does not know, waits without an end for a server that accepts and says nothing, and sends
 * what it could not send after it has connected again; of many answers at once it copies all that are left for each, and
 * it asks for all its watches again in one request, which servers take up to 1 MiB: so we hand out the servers and the
 * answers one by one, catch, end the socket ourselves, drop what was not sent, and ask for watches by parts.
 *
 * One function because each of its callbacks guards the same client of the library; what it makes is used and ended as
 * one.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Zk from "node-zookeeper-client"
import { type Client, Code, type Done, type Listener, type Stat } from "./Client.ts"
import { formatAddress } from "../KafkaConfig.ts"
import { kept } from "../Kept.ts"
import { Frames } from "./Frames.ts"

/** SYNC_CONNECTED, CONNECTED_READ_ONLY, EXPIRED and AUTH_FAILED, as the library numbers them. */
const connected = new Set([3, 5])
const expired = -122
const refused = 4

const ephemeralMode = 1
const mostXid = 0x7fff_ffff
const setWatches = 101
/** Of one request for watches, as Java's client has it. */
const watchesBytes = 128 * 1024

/** How long the answer to a connection is waited for, where the session is shorter, and none has answered sooner. */
const mostMillis = 10_000
/** How long attempts wait once each server was tried. */
const spinMillis = 500
/** How long a session's end may take. */
const closeMillis = 1000

export interface Context {
  readonly library: typeof Zk.default
  readonly servers: ReadonlyArray<Zk.Server>
  readonly sessionTimeout: number
  /** How long a first session is waited for, whichever server gives it. */
  readonly connectTimeout: number
  readonly auth: { readonly scheme: string; readonly credentials: string } | undefined
  /** Who may do what with nodes that are created here: anybody, or whoever authenticated as we did. */
  readonly acl: "open" | "creator"
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** In [0, 1). */
  readonly random: () => number
  /** Milliseconds on the session's clock. */
  readonly now: () => number
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const nobody = "0".repeat(16)

const statOf = (stat: Zk.Stat): Stat => {
  const owner = hex(stat.ephemeralOwner)
  return {
    version: stat.version,
    owner: owner === nobody ? "" : owner,
    created: hex(stat.czxid),
    modified: hex(stat.mzxid)
  }
}

/** What was sent and is not answered yet, in that order. */
class SentPackets implements Zk.PendingQueue {
  private readonly manager: Zk.ConnectionManager
  private packets: Array<Zk.Packet> = []
  private first = 0
  /** The one that was taken out last. */
  last: Zk.Packet | undefined
  constructor(manager: Zk.ConnectionManager) {
    this.manager = manager
  }
  push(packet: Zk.Packet): void {
    this.packets.push(packet)
    // It counts its requests on beyond what the wire takes.
    if (this.manager.xid > mostXid) this.manager.xid = 1
  }
  shift(): Zk.Packet | undefined {
    this.last = this.packets[this.first]
    if (this.last === undefined) return undefined
    this.first++
    if (this.first * 2 > this.packets.length) {
      this.packets = this.packets.slice(this.first)
      this.first = 0
    }
    return this.last
  }
  clear(): void {
    this.packets = []
    this.first = 0
  }
}

const kinds = ["dataWatches", "existWatches", "childWatches"] as const

/** The same watches in requests of a size that servers take. */
const inParts = (request: Zk.Request): ReadonlyArray<Zk.Request> => {
  const { header, payload } = request
  const parts: Array<Zk.Request> = []
  let bytes = Infinity
  let part: Record<(typeof kinds)[number], Array<string>>
  for (const kind of kinds)
    for (const path of payload![kind]!) {
      const more = Buffer.byteLength(path) + 4
      if (bytes + more > watchesBytes) {
        part = { dataWatches: [], existWatches: [], childWatches: [] }
        parts.push(like(request, { header: like(header!, {}), payload: like(payload!, part) }))
        bytes = 0
      }
      bytes += more
      part![kind].push(path)
    }
  return parts
}

const like = <A extends object>(self: A, change: Partial<A>): A =>
  Object.assign(Object.create(Object.getPrototypeOf(self)), self, change)

/** Starts to connect. */
export const open = (context: Context, listener: Listener): Client => {
  const { fork, random, servers } = context
  const zk = context.library.createClient("unused:0", { sessionTimeout: context.sessionTimeout })
  const manager = zk.connectionManager
  const acl = context.acl === "open" ? context.library.ACL.OPEN_ACL_UNSAFE : context.library.ACL.CREATOR_ALL_ACL
  const start = Math.floor(random() * servers.length)
  const outstanding = new Set<(code: number) => void>()
  const watchers = new Map<string, { readonly fire: () => void; readonly waiting: Set<() => void> }>()
  /** Where a watch waits. */
  const places = new Map<() => void, Set<Set<() => void>>>()
  /** Of reads that may be under way still. */
  const forgotten = new WeakSet<() => void>()
  const closers: Array<() => void> = []
  let attempts = 0
  /** Since there was a connection. */
  let failed = 0
  let since = 0
  let waiting: Fiber.Fiber<void> | undefined
  let closed = false
  let state = 0
  let ended = false

  // It spreads the session's time-out over the attempts.
  manager.servers = servers
  manager.updateTimeout(context.sessionTimeout)
  const read = manager.onSocketData.bind(manager)
  const pending = new SentPackets(manager)
  manager.pendingQueue = pending
  // What we asked is failed by us; with each the library would make an error, and its stack.
  manager.cleanupPendingQueue = () => pending.clear()
  const frames = new Frames()
  manager.onSocketData = (chunk) => {
    frames.add(chunk)
    for (let frame = frames.next(); frame !== undefined; frame = frames.next()) {
      pending.last = undefined
      try {
        read(frame)
      } catch (error) {
        const [message, code] = /^Unknown code: (-?\d+)$/.exec((error as Error).message) ?? []
        // Whose answer it reads, it has forgotten when it throws.
        const packet = pending.last as Zk.Packet | undefined
        if (message === undefined || packet === undefined) return void manager.socket?.destroy()
        packet.callback({ code: Number(code), message })
      }
      if (manager.socket?.destroyed === true) return
    }
    if (frames.isBroken) manager.socket?.destroy()
  }
  const queue = manager.queue.bind(manager)
  manager.queue = (request, callback) => {
    if (request.header?.type !== setWatches) return queue(request, callback)
    for (const part of inParts(request)) queue(part, callback)
  }
  /** Its own timer would end the socket of a later attempt. */
  const drop = (): void => {
    clearTimeout(manager.connectTimeoutHandler ?? undefined)
    manager.socket?.destroy()
  }
  let address = ""
  const onSocketError = manager.onSocketError.bind(manager)
  manager.onSocketError = (error) => {
    onSocketError(error)
    if (!connected.has(state)) listener.unreached(address, error.code ?? error.message)
  }
  manager.findNextServer = (use) => {
    frames.clear()
    waiting?.interruptUnsafe()
    const attempt = attempts++
    const server = servers[(start + attempt) % servers.length]!
    const round = attempt > 0 && attempt % servers.length === 0
    // Longer where none of them has answered in that.
    const longer = 2 ** Math.min(10, Math.floor(failed++ / servers.length))
    waiting = fork(
      Effect.gen(function* () {
        yield* round ? Effect.sleep(spinMillis * random()) : Effect.yieldNow
        if (closed) return
        since = context.now()
        address = formatAddress(server)
        use(server)
        const timeout = zk.getSessionTimeout()
        // Each has its turn before there is to be a session, also where that is to last for long.
        const turn = Math.min(timeout / 6, context.connectTimeout / (servers.length + 1))
        yield* Effect.sleep(Math.min(Math.max(timeout, mostMillis), turn * longer))
        listener.unreached(address, "no answer")
        drop()
      })
    )
  }

  const failAll = (code: number): void => {
    while (manager.packetQueue.shift() !== undefined);
    for (const fail of Array.from(outstanding)) fail(code)
  }
  zk.on("state", ({ code }) => {
    state = code
    if (connected.has(code)) {
      failed = 0
      waiting?.interruptUnsafe()
      if (!closed) listener.connected(since)
      return
    }
    for (const closer of closers.splice(0)) closer()
    // It says that it is disconnected once more after its end, and is not told from one that connects again.
    if (ended) return
    if (code === expired || code === refused) {
      ended = true
      failAll(code === expired ? Code.SESSION_EXPIRED : Code.AUTH_FAILED)
      if (!closed) listener.ended(code === expired ? "expired" : "refused")
    } else {
      failAll(Code.CONNECTION_LOSS)
      if (!closed) listener.disconnected()
    }
  })
  if (context.auth !== undefined) zk.addAuthInfo(context.auth.scheme, Buffer.from(context.auth.credentials))
  zk.connect()

  const ask = <B, C, A>(
    send: (answered: (error: Zk.Exception | undefined | null, b?: B, c?: C) => void) => void,
    value: (b: B, c: C) => A,
    done: Done<A>
  ): void => {
    const fail = (code: number) => finish(code, undefined, "the connection was lost")
    const finish = (code: number, answer: A | undefined, message?: string) => {
      if (outstanding.delete(fail)) done(code, answer, message)
    }
    outstanding.add(fail)
    if (ended || closed) return fail(Code.SESSION_EXPIRED)
    try {
      send((error, b, c) => {
        if (error === undefined || error === null) finish(Code.OK, value(b as B, c as C))
        else finish(error.code, undefined, error.message)
      })
    } catch (error) {
      // It checks paths by assertions.
      finish(Code.BAD_ARGUMENTS, undefined, String(error))
    }
  }

  /** One function of ours for each path: the library knows those that it has by their identity. */
  const watched = (kind: string, path: string, watch: () => void) => {
    const key = `${kind}${path}`
    let watcher = watchers.get(key)
    if (watcher === undefined) {
      const one = {
        waiting: new Set<() => void>(),
        fire: () => {
          if (watchers.get(key) === one) watchers.delete(key)
          for (const each of one.waiting) {
            const own = places.get(each)
            if (own?.delete(one.waiting) === true && own.size === 0) places.delete(each)
            each()
          }
        }
      }
      watchers.set(key, (watcher = one))
    }
    watcher.waiting.add(watch)
    kept(places, watch, () => new Set<Set<() => void>>()).add(watcher.waiting)
    return watcher.fire
  }

  const exists = (path: string, watcher: (() => void) | undefined, done: Done<Stat>): void =>
    ask<Zk.Stat | null, void, Stat | undefined>(
      (answered) => (watcher === undefined ? zk.exists(path, answered) : zk.exists(path, watcher, answered)),
      (stat) => (stat === null ? undefined : statOf(stat)),
      (code, stat, message) => done(code === Code.OK && stat === undefined ? Code.NO_NODE : code, stat, message)
    )

  /** Where there is no node, its coming is watched for. */
  const orItsComing =
    <A>(path: string, watch: (() => void) | undefined, done: Done<A>): Done<A> =>
    (code, answer, message) => {
      if (code !== Code.NO_NODE || watch === undefined || forgotten.has(watch)) return done(code, answer, message)
      exists(path, watched("exists", path, watch), (second, _, why) => {
        done(second === Code.OK ? Code.NO_NODE : second, undefined, why)
        if (second === Code.OK) watch()
      })
    }

  const destroy = Effect.sync(() => {
    waiting?.interruptUnsafe()
    drop()
  })
  return {
    session: () => ({ id: hex(zk.getSessionId()), timeout: zk.getSessionTimeout() }),
    get: (path, watch, done) =>
      ask<Uint8Array | undefined, Zk.Stat, { readonly data: Uint8Array; readonly stat: Stat }>(
        (answered) =>
          watch === undefined ? zk.getData(path, answered) : zk.getData(path, watched("data", path, watch), answered),
        (data, stat) => ({ data: data ?? new Uint8Array(), stat: statOf(stat) }),
        orItsComing(path, watch, done)
      ),
    children: (path, watch, done) =>
      ask<ReadonlyArray<string>, void, ReadonlyArray<string>>(
        (answered) =>
          watch === undefined
            ? zk.getChildren(path, answered)
            : zk.getChildren(path, watched("children", path, watch), answered),
        (children) => children,
        orItsComing(path, watch, done)
      ),
    exists: (path, done) => exists(path, undefined, done),
    forget: (watch) => {
      forgotten.add(watch)
      for (const waiting of places.get(watch) ?? []) waiting.delete(watch)
      places.delete(watch)
    },
    beat: (done) =>
      ask<unknown, void, void>(
        (answered) => zk.transaction().check("/").commit(answered),
        () => {},
        done
      ),
    create: (path, data, ephemeral, done) =>
      ask<string, void, void>(
        (answered) => zk.create(path, Buffer.from(data), acl, ephemeral ? ephemeralMode : 0, answered),
        () => {},
        done
      ),
    set: (path, data, version, done) =>
      ask<Zk.Stat, void, void>(
        (answered) => zk.setData(path, Buffer.from(data), version, answered),
        () => {},
        done
      ),
    remove: (path, version, done) =>
      ask<void, void, void>(
        (answered) => zk.remove(path, version, answered),
        () => {},
        done
      ),
    reconnect: drop,
    close: Effect.suspend(() => {
      if (closed) return Effect.void
      closed = true
      failAll(Code.SESSION_EXPIRED)
      const wasConnected = connected.has(state)
      if (manager.socket !== undefined) zk.close()
      if (!wasConnected) return destroy
      const over = Effect.callback<void>((resume) => {
        closers.push(() => resume(Effect.void))
      })
      return Effect.andThen(Effect.timeoutOrElse(over, { duration: closeMillis, orElse: () => Effect.void }), destroy)
    })
  }
}
