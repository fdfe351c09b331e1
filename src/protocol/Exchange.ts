/**
 * Pure. One request and its response: what is asked (an API of `protocol/messages`), on which connection, and within
 * which bounds. What a caller of `Broker.send` chooses, and all that a connection has to know of it.
 */
import type * as Schema from "effect/Schema"
import type * as Wire from "./Wire.ts"

/** A request and its response, as the module of an API in `protocol/messages` exports them. */
export interface Api<Q extends Schema.Top, A extends Schema.Top> {
  readonly Request: Wire.Message<Q>
  readonly Response: Wire.Message<A>
}

/**
 * Which connection a request takes: one for each name. A broker works on one request of a connection at a time, so
 * whatever may be held there (a Fetch, a JoinGroup) takes a name of its own, such as `fetch-3` or `group-7`, and
 * gives it back by `Broker.hangUp`.
 */
export type Channel = "control" | "produce" | (string & {})

export interface SendOptions {
  /** Default `"control"`. */
  readonly channel?: Channel
  /**
   * Milliseconds until the request fails with `TimedOut`: from when it is written out, so that a slow link is not taken
   * for a broker that hangs; before that, from the last time that the connection took something. Default:
   * `requestTimeout` of the configuration.
   */
  readonly timeout?: number
  /** The setting that `timeout` comes from, for the error. Default `"requestTimeout"`. */
  readonly budget?: string
  /** Milliseconds that the broker is asked to hold the request (Fetch's max wait): they come on top of the timeout. */
  readonly held?: number
  /** Bounds the negotiated version from above. */
  readonly maxVersion?: number
  /** Fails with `Unsupported` where the negotiated version is below. */
  readonly minVersion?: number
  /** The broker does not answer this request (Produce with acks 0): completes when it is written out, with undefined. */
  readonly noResponse?: boolean
  /** Called when its bytes are handed to the connection: from here on the broker may get it, whatever comes of it. */
  readonly onSent?: () => void
  /**
   * Called while its response is on the way: with each 16 KiB that come, and as a long one is read. Whoever waits need not
   * ask others.
   */
  readonly onProgress?: () => void
  /**
   * Called when the connection ends that the request was handed to, also where it has long completed: the one way in
   * which a broker says that it does not take what needs no answer. Once for each connection and function.
   */
  readonly onLost?: () => void
}

/** Releases that do not tell what they serve (no ApiVersions): what they serve is taken from a table. */
export type OldRelease = "0.8" | "0.9"

/** Lowest and highest version of an API. */
export type Range = readonly [min: number, max: number]

/** What a broker offers: versions by API key, and finalized features. */
export interface Offer {
  /** How it is known: the version of ApiVersions that the broker answered, or the release whose table is taken. */
  readonly by: number | OldRelease | "nothing"
  /** By API key. */
  readonly ranges: ReadonlyMap<number, Range>
  /** Features that the cluster has switched on, such as `transaction.version`, with their levels (KIP-584, from 2.7 on). */
  readonly finalizedFeatures: ReadonlyMap<string, number>
  /** -1 where the broker does not tell. */
  readonly featuresEpoch: number
}
