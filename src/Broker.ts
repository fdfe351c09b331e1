/**
 * Typed requests to one broker. `Brokers` hands out a `Broker` by id: shared, connected when first used, closed when
 * idle. A `Broker` pipelines its requests over a connection for each kind of work, negotiates versions, and fails
 * each request typed within its deadline.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Backoff from "./Backoff.ts"
import * as Authentication from "./broker/Authentication.ts"
import * as Idle from "./broker/Idle.ts"
import { Link } from "./broker/Link.ts"
import * as Negotiation from "./broker/Negotiation.ts"
import { Session } from "./broker/Session.ts"
import * as Versions from "./broker/Versions.ts"
import { formatAddress, type KafkaConfig } from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import { Network } from "./Network.ts"
import type * as Wire from "./protocol/Wire.ts"

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
  /** Milliseconds until the request fails with `TimedOut`. Default: `requestTimeout` of the configuration. */
  readonly timeout?: number
  /** Milliseconds that the broker is asked to hold the request (Fetch's max wait): they come on top of the timeout. */
  readonly held?: number
  /** Bounds the negotiated version from above. */
  readonly maxVersion?: number
  /** Fails with `Unsupported` where the negotiated version is below. */
  readonly minVersion?: number
  /** The broker does not answer this request (Produce with acks 0): completes when it is written, with undefined. */
  readonly noResponse?: boolean
}

/** What a broker offers: versions by API key, and finalized features. */
export type Offer = Versions.Offer

/** One broker. */
export interface Broker {
  readonly id: number
  readonly host: string
  readonly port: number
  /** The version at which `send` would speak an API now: connects, if it must. */
  readonly version: (api: Api<any, any>, options?: SendOptions) => Effect.Effect<number, KafkaError.KafkaError>
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

/** Hands out brokers by id. */
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

/** Makes the service. Its connections end with the Scope. */
export const make = Effect.fnUntraced(function* (
  config: KafkaConfig
): Effect.fn.Return<Brokers["Service"], never, Network | Scope.Scope> {
  const network = yield* Network
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const scope = yield* Effect.scope
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const fork = (effect: Effect.Effect<void>) => Fiber.runIn(run(effect), scope)
  const now = () => Backoff.monotonic(clock)
  const idle = Idle.make(config.connectionsMaxIdle, clock, fork)
  const { sasl, sourceAddress, tls } = config
  let clusterId: string | null = null

  /** By `host:port`. */
  const memories = new Map<string, Negotiation.Memory>()
  const memoryOf = (address: string) => {
    let memory = memories.get(address)
    if (memory === undefined) memories.set(address, (memory = Negotiation.makeMemory()))
    return memory
  }

  /** Opens a connection in a Scope of its own, which ends with it. */
  const open = (host: string, port: number, link: Link, parent: Scope.Scope) =>
    Effect.gen(function* () {
      const own = yield* Scope.fork(parent)
      const session: Session = new Session({
        address: formatAddress({ host, port }),
        clientId: config.clientId,
        requestTimeout: config.requestTimeout,
        maxResponseBytes: config.maxResponseBytes,
        authenticates: sasl !== undefined,
        clock,
        fork,
        onEnd: (ended) => {
          idle.remove(ended)
          link.ended(ended)
          fork(Scope.close(own, Exit.void))
        }
      })
      yield* Scope.addFinalizer(
        own,
        Effect.sync(() => session.close("this client was closed"))
      )
      const connection = yield* Scope.provide(network.connect({ host, port, tls, sourceAddress }, session), own)
      session.attach(connection)
      return session
    })

  const connect = (id: number, host: string, port: number) => (link: Link, parent: Scope.Scope) => {
    const address = formatAddress({ host, port })
    return Effect.gen(function* () {
      const session = yield* Negotiation.negotiate({
        open: open(host, port, link, parent),
        memory: memoryOf(address),
        // A bootstrap server may lead to another cluster than before. A node without its cluster is refused.
        identity: id < 0 || clusterId === null ? Negotiation.anyBroker : { clusterId, nodeId: id },
        pinned: config.pinned,
        sasl: sasl !== undefined,
        now
      })
      session.ready(sasl === undefined ? undefined : yield* Authentication.authenticate(session, sasl, now))
      idle.add(session)
      return session
    }).pipe(
      Effect.timeoutOrElse({
        duration: config.connectTimeout,
        orElse: () =>
          Effect.fail(
            KafkaError.make({
              _tag: "TimedOut",
              budget: "connectTimeout",
              millis: config.connectTimeout,
              waitingFor: `a connection to ${address}`,
              broker: address
            })
          )
      })
    )
  }

  const makeBroker = (id: number, host: string, port: number) => {
    const address = formatAddress({ host, port })
    const links = new Map<Channel, Link>()
    const context = {
      address,
      scope,
      clock,
      fork,
      random: () => random.nextDoubleUnsafe(),
      connect: connect(id, host, port)
    }
    const session = (channel: Channel = "control") => {
      let link = links.get(channel)
      if (link === undefined) links.set(channel, (link = new Link(context)))
      return link.acquire
    }
    const broker: Broker = {
      id,
      host,
      port,
      version: (api, options = {}) =>
        Effect.flatMap(session(options.channel), ({ offer }) => {
          const version = Versions.choose(api, offer, options, address)
          return typeof version === "number" ? Effect.succeed(version) : Effect.fail(version)
        }),
      offer: (options = {}) => Effect.map(session(options.channel), ({ offer }) => offer),
      send: (api, request, options = {}) =>
        Effect.flatMap(session(options.channel), (session) => session.send(api, request, options)),
      hangUp: (channel) => {
        links.get(channel)?.close("hung up")
        links.delete(channel)
      }
    }
    return { broker, close: (cause: string) => links.forEach((link) => link.close(cause)) }
  }

  const byId = new Map<number, ReturnType<typeof makeBroker>>()
  const byAddress = new Map<string, ReturnType<typeof makeBroker>>()
  return Brokers.of({
    get: (id) =>
      Effect.suspend(() => {
        const known = byId.get(id)
        return known === undefined
          ? Effect.fail(
              KafkaError.make({
                _tag: "Unreachable",
                attempts: [{ address: `broker ${id}`, cause: "no metadata has named its address" }]
              })
            )
          : Effect.succeed(known.broker)
      }),
    at: (host, port) =>
      Effect.sync(() => {
        const address = formatAddress({ host, port })
        let known = byAddress.get(address)
        if (known === undefined) byAddress.set(address, (known = makeBroker(-1, host, port)))
        return known.broker
      }),
    learn: (brokers, cluster) => {
      if (cluster !== undefined) clusterId = cluster
      for (const { id, host, port } of brokers) {
        const known = byId.get(id)
        if (known?.broker.host === host && known.broker.port === port) continue
        known?.close("the broker has moved to another address")
        byId.set(id, makeBroker(id, host, port))
      }
    }
  })
})
