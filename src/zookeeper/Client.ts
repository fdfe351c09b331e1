/**
 * One client of ZooKeeper, with one session, as the service sees it: requests that are answered by callbacks, in the
 * order in which they were sent, and what becomes of the session. Two are there: `NodeClient`, over
 * node-zookeeper-client, and `MemoryClient`, of an ensemble in memory.
 */
import type * as Effect from "effect/Effect"

/** What ZooKeeper keeps about a node, as far as it is used here. */
export interface Stat {
  /** How often the data was set. */
  readonly version: number
  /** The session whose end removes the node, in hexadecimal; empty where it stays. */
  readonly owner: string
  /** The transaction that created it, in hexadecimal of 16 digits: a smaller one is older. */
  readonly created: string
  /** The transaction that set its data last, or created it. */
  readonly modified: string
}

/** A node with its data. */
export interface Node {
  readonly data: Uint8Array
  readonly stat: Stat
}

/** ZooKeeper's error codes that mean something here. */
export const Code = {
  OK: 0,
  CONNECTION_LOSS: -4,
  NO_NODE: -101,
  NO_AUTH: -102,
  BAD_VERSION: -103,
  NO_CHILDREN_FOR_EPHEMERALS: -108,
  NODE_EXISTS: -110,
  NOT_EMPTY: -111,
  SESSION_EXPIRED: -112,
  INVALID_ACL: -114,
  AUTH_FAILED: -115,
  SESSION_MOVED: -118,
  NOT_READ_ONLY: -119,
  EPHEMERAL_ON_LOCAL_SESSION: -120,
  QUOTA_EXCEEDED: -125,
  /** Not done, to be asked again. ZooKeeper from 3.7. */
  THROTTLED_OP: -127,
  /** Ours: the library threw, such as at a path that is none. */
  BAD_ARGUMENTS: -8
} as const

/** The name of a code, such as `NODE_EXISTS`. */
export const codeName = (code: number): string =>
  Object.entries(Code).find(([, value]) => value === code)?.[0] ?? `code ${code}`

/** An answer: code 0 with a value, or another code, and what was said about it. */
export type Done<A> = (code: number, answer: A | undefined, message?: string) => void

/** Told what becomes of the session. Called outside of any fiber. */
export interface Listener {
  /** The server has confirmed the session; asked for at `since`, in milliseconds on the session's clock. */
  readonly connected: (since: number) => void
  readonly disconnected: () => void
  /** A server, by its `host:port`, could not be connected to, and why; another attempt follows. */
  readonly unreached: (server: string, why: string) => void
  /** The session is over, or was refused: nothing will ever be answered by this client. */
  readonly ended: (why: "expired" | "refused") => void
}

export interface Client {
  /** The session's id in hexadecimal, and its time-out in milliseconds as the server wants it; once connected. */
  readonly session: () => { readonly id: string; readonly timeout: number }
  /** `watch` is called once, when the node is changed, created or removed; it is kept where the answer is 0 or NO_NODE. */
  readonly get: (path: string, watch: (() => void) | undefined, done: Done<Node>) => void
  /** `watch` is called once, when a child comes or goes, or the node goes; where there is no node: when it comes. */
  readonly children: (path: string, watch: (() => void) | undefined, done: Done<ReadonlyArray<string>>) => void
  readonly exists: (path: string, done: Done<Stat>) => void
  /** Calls a watch no more; what the server still watches for it tells nobody. */
  readonly forget: (watch: () => void) => void
  /** A write that changes nothing: whoever answers it has a leader, and that one knows the session. */
  readonly beat: (done: Done<void>) => void
  readonly create: (path: string, data: Uint8Array, ephemeral: boolean, done: Done<void>) => void
  readonly set: (path: string, data: Uint8Array, version: number, done: Done<void>) => void
  readonly remove: (path: string, version: number, done: Done<void>) => void
  /** Gives up a connection on which nothing is answered, and looks for another one. */
  readonly reconnect: () => void
  /** Ends the session where it can still be told, and everything of this client. Bounded. */
  readonly close: Effect.Effect<void>
}

/** Starts to connect; `now` is the session's clock, in milliseconds. */
export type Open = (listener: Listener, now: () => number) => Client
