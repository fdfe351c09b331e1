/**
 * Typed requests to one broker. `Brokers` hands out a `Broker` by id: shared, connected when first used, closed when
 * idle. A `Broker` pipelines its requests over a connection for each kind of work, negotiates versions, and fails
 * each request typed within its deadline.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type { KafkaError } from "./KafkaError.ts"
import type * as Wire from "./protocol/Wire.ts"

/** A request and its response, as the module of an API in `protocol/messages` exports them. */
export interface Api<Q extends Schema.Top, A extends Schema.Top> {
  readonly Request: Wire.Message<Q>
  readonly Response: Wire.Message<A>
}

/** Which connection a request takes, so that a long poll delays nobody else. */
export type Channel = "control" | "produce" | "fetch" | "group"

export interface SendOptions {
  /** Default `"control"`. */
  readonly channel?: Channel
  /** Milliseconds until the request fails with `TimedOut`. Default: `requestTimeout` of the configuration. */
  readonly timeout?: number
  /** Bounds the negotiated version from above. */
  readonly maxVersion?: number
  /** Fails with `Unsupported` where the negotiated version is below. */
  readonly minVersion?: number
  /** The broker does not answer this request (Produce with acks 0): completes when it is written, with undefined. */
  readonly noResponse?: boolean
}

/** One broker. */
export interface Broker {
  readonly id: number
  readonly host: string
  readonly port: number
  /** The version at which `send` would speak an API now: connects, if it must. */
  readonly version: (api: Api<any, any>, options?: SendOptions) => Effect.Effect<number, KafkaError>
  /** Sends what `request` makes for the negotiated version, and gives the response. Fields left out take their defaults. */
  readonly send: <Q extends Schema.Top, A extends Schema.Top>(
    api: Api<Q, A>,
    request: (version: number) => Q["~type.make.in"],
    options?: SendOptions
  ) => Effect.Effect<A["Type"], KafkaError>
}

/** Hands out brokers by id. */
export class Brokers extends Context.Service<
  Brokers,
  {
    /** The broker of an id, as metadata last told its address; fails with `Unreachable` for an id that is not known. */
    readonly get: (id: number) => Effect.Effect<Broker, KafkaError>
    /** A broker that is not known by id, by its address: a bootstrap server. */
    readonly at: (host: string, port: number) => Effect.Effect<Broker, KafkaError>
    /** Tells where brokers are; a broker whose address changed is connected anew. */
    readonly learn: (
      brokers: ReadonlyArray<{ readonly id: number; readonly host: string; readonly port: number }>
    ) => void
  }
>()("samsa/Brokers") {}
