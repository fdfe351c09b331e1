/**
 * Typed requests to one broker. `Brokers` hands out a `Broker` by id: shared, connected when first used, closed when
 * idle. A `Broker` pipelines its requests over a connection for each kind of work, negotiates versions, and fails
 * each request typed within its deadline.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Backoff from "./Backoff.ts"
import { Session } from "./broker/Session.ts"
import * as Versions from "./broker/Versions.ts"
import type { KafkaConfig } from "./KafkaConfig.ts"
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

/** One broker. */
export interface Broker {
  readonly id: number
  readonly host: string
  readonly port: number
  /** The version at which `send` would speak an API now: connects, if it must. */
  readonly version: (api: Api<any, any>, options?: SendOptions) => Effect.Effect<number, KafkaError.KafkaError>
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
    /** Tells where brokers are; a broker whose address changed is connected anew. */
    readonly learn: (
      brokers: ReadonlyArray<{ readonly id: number; readonly host: string; readonly port: number }>
    ) => void
  }
>()("samsa/Brokers") {}

/** One named connection of a broker: connected when first used, shared by its users, connected anew when lost. */
class Link {
  readonly connect: (link: Link, scope: Scope.Closeable) => Effect.Effect<Session, KafkaError.KafkaError>
  readonly scope: Scope.Scope
  readonly clock: Clock.Clock
  session: Session | undefined
  connecting: Deferred.Deferred<Session, KafkaError.KafkaError> | undefined
  failures = 0
  notBefore = 0
  closed = false

  constructor(
    scope: Scope.Scope,
    clock: Clock.Clock,
    connect: (link: Link, scope: Scope.Closeable) => Effect.Effect<Session, KafkaError.KafkaError>
  ) {
    this.scope = scope
    this.clock = clock
    this.connect = connect
  }

  readonly acquire: Effect.Effect<Session, KafkaError.KafkaError> = Effect.suspend(() => {
    if (this.session !== undefined) return Effect.succeed(this.session)
    if (this.closed || this.scope.state._tag === "Closed") return closedError
    if (this.connecting !== undefined) return Deferred.await(this.connecting)
    const connecting = (this.connecting = Deferred.makeUnsafe<Session, KafkaError.KafkaError>())
    // Forked into the owner's Scope: whoever asked first may be interrupted while others wait for the same connection.
    return Effect.andThen(Effect.forkIn(this.open, this.scope, { startImmediately: true }), Deferred.await(connecting))
  })

  readonly open = Effect.suspend(() => {
    const wait = this.failures === 0 ? 0 : this.notBefore - Backoff.monotonic(this.clock)
    return wait > 0 ? Effect.andThen(Effect.sleep(Math.ceil(wait)), this.attempt) : this.attempt
  }).pipe(
    Effect.onExit((exit) =>
      Effect.sync(() => {
        const connecting = this.connecting
        this.connecting = undefined
        if (connecting !== undefined) Deferred.doneUnsafe(connecting, Exit.isSuccess(exit) ? exit : interrupted(exit))
      })
    ),
    Effect.ignore
  )

  get attempt(): Effect.Effect<Session, KafkaError.KafkaError> {
    return Effect.gen({ self: this }, function* () {
      const scope = yield* Scope.fork(this.scope)
      const session = yield* this.connect(this, scope).pipe(
        Effect.onError(() => Scope.close(scope, Exit.void)),
        Effect.tapError(() =>
          Effect.map(Random.next, (random) => {
            this.failures++
            this.notBefore = Backoff.monotonic(this.clock) + Backoff.delay(this.failures + 1, random)
          })
        )
      )
      if (!session.isOpen || this.closed) {
        yield* Scope.close(scope, Exit.void)
        return yield* closedError
      }
      this.failures = 0
      this.session = session
      return session
    })
  }

  close(cause: string): void {
    this.closed = true
    this.session?.close(cause)
    this.session = undefined
  }
}

const closedError = Effect.suspend(() =>
  Effect.fail(
    KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "the broker", cause: "the connection was closed" }] })
  )
)

/** A wait ends typed, also when the Scope that connects is closed in the middle. */
const interrupted = (exit: Exit.Exit<Session, KafkaError.KafkaError>): Exit.Exit<Session, KafkaError.KafkaError> =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)
    ? Exit.fail(KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "the broker", cause: "closed" }] }))
    : exit

/** Makes the service. Its connections end with the Scope. */
export const make = Effect.fnUntraced(function* (
  config: KafkaConfig
): Effect.fn.Return<Brokers["Service"], never, Network | Scope.Scope> {
  const network = yield* Network
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const fork = (effect: Effect.Effect<void>) => {
    Fiber.runIn(run(effect), scope)
  }

  const connect =
    (host: string, port: number) =>
    (link: Link, own: Scope.Closeable): Effect.Effect<Session, KafkaError.KafkaError> =>
      Effect.gen(function* () {
        const session: Session = new Session({
          address: `${host}:${port}`,
          clientId: config.clientId,
          requestTimeout: config.requestTimeout,
          maxResponseBytes: config.maxResponseBytes,
          clock,
          fork,
          onEnd: (ended) => {
            if (link.session === ended) link.session = undefined
            fork(Scope.close(own, Exit.void))
          }
        })
        yield* Scope.addFinalizer(own, Effect.sync(() => session.close("closed")))
        session.attach(yield* Scope.provide(network.connect({ host, port }, session), own))
        yield* session.negotiate
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
                waitingFor: `a connection to ${host}:${port}`,
                broker: `${host}:${port}`
              })
            )
        })
      )

  const makeBroker = (id: number, host: string, port: number) => {
    const links = new Map<Channel, Link>()
    const link = (channel: Channel): Link => {
      let link = links.get(channel)
      if (link === undefined) links.set(channel, (link = new Link(scope, clock, connect(host, port))))
      return link
    }
    const broker: Broker = {
      id,
      host,
      port,
      version: (api, options = {}) =>
        Effect.flatMap(link(options.channel ?? "control").acquire, (session) => {
          const version = Versions.choose(api, session.versions, options, `${host}:${port}`)
          return typeof version === "number" ? Effect.succeed(version) : Effect.fail(version)
        }),
      send: (api, request, options = {}) =>
        Effect.flatMap(link(options.channel ?? "control").acquire, (session) => session.send(api, request, options)),
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
        const address = `${host}:${port}`
        let known = byAddress.get(address)
        if (known === undefined) byAddress.set(address, (known = makeBroker(-1, host, port)))
        return known.broker
      }),
    learn: (brokers) => {
      for (const { id, host, port } of brokers) {
        const known = byId.get(id)
        if (known?.broker.host === host && known.broker.port === port) continue
        known?.close("the broker has moved to another address")
        byId.set(id, makeBroker(id, host, port))
      }
    }
  })
})
