/**
 * Typed requests to one broker. `Brokers` hands out a `Broker` by id: shared, connected when first used, closed when
 * idle. A `Broker` pipelines its requests over a connection for each kind of work, negotiates versions, and fails
 * each request typed within its deadline.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import type * as KafkaError from "./KafkaError.ts"
import type { Api, Channel, Offer, SendOptions } from "./protocol/Exchange.ts"

export type { Api, Channel, Offer, SendOptions } from "./protocol/Exchange.ts"

/**
 * One broker.
 *
 * @since 0.1.0
 * @category models
 */
export interface Broker {
  readonly id: number
  readonly host: string
  readonly port: number
  /** The version at which `send` would speak an API now: connects, if it must. `onLost` hears when that connection ends. */
  readonly version: (
    api: Api<Schema.Top, Schema.Top>,
    options?: SendOptions
  ) => Effect.Effect<number, KafkaError.KafkaError>
  /** What it offers on a connection: connects, if it must. */
  readonly offer: (options?: Pick<SendOptions, "channel">) => Effect.Effect<Offer, KafkaError.KafkaError>
  /** Sends what `request` makes for the negotiated version, and gives the response. Fields left out take their defaults. */
  readonly send: <Q extends Schema.Top, A extends Schema.Top>(
    api: Api<Q, A>,
    request: (version: number) => Q["~type.make.in"],
    options?: SendOptions
  ) => Effect.Effect<A["Type"], KafkaError.KafkaError>
  /** Closes the connection of a channel, if there is one; requests under way on it fail. */
  readonly hangUp: (channel: Channel) => void
}

/**
 * Hands out brokers by id.
 *
 * @since 0.1.0
 * @category services
 */
export class Brokers extends Context.Service<
  Brokers,
  {
    /** The broker of an id, as metadata last told its address; fails with `Unreachable` for an id that is not known. */
    readonly get: (id: number) => Effect.Effect<Broker, KafkaError.KafkaError>
    /** A broker that is not known by id, by its address: a bootstrap server. */
    readonly at: (host: string, port: number) => Effect.Effect<Broker, KafkaError.KafkaError>
    /** Tells where brokers are, and of which cluster; a broker whose address changed is connected anew. */
    readonly learn: (
      brokers: ReadonlyArray<{ readonly id: number; readonly host: string; readonly port: number }>,
      clusterId?: string | null
    ) => void
  }
>()("samsa/Brokers") {}
