/**
 * Faults before a real cluster: a TCP proxy, to which any client may connect as if it were the cluster, and which speaks
 * the fault language of `Fault`. It has a port for each broker, and tells clients of these in the place of the brokers' own
 * addresses. The cluster behind it and its other clients know nothing of it.
 *
 * ```ts
 * import { Effect, Layer } from "effect"
 * import { Kafka, Producer, Topic } from "samsa"
 * import { Fault, FaultProxy } from "samsa/testing"
 *
 * const audit = Topic.bytes("audit")
 *
 * export const once = Effect.gen(function* () {
 *   const proxy = yield* FaultProxy.make({ bootstrap: ["localhost:9092"] })
 *   yield* proxy.inject(Fault.on("Produce", { topic: audit, nth: 1 }).loseResponse)
 *   const Live = Producer.layer().pipe(Layer.provide(Kafka.layer({ bootstrap: proxy.bootstrap })))
 *   return yield* Producer.Producer.use((producer) => producer.send(audit, { value: new Uint8Array(1) })).pipe(
 *     Effect.provide(Live)
 *   )
 * }).pipe(Effect.scoped)
 * ```
 *
 * Limits: both sides speak plaintext; of SASL by bare tokens (SaslHandshake v0) it knows PLAIN, SCRAM and OAUTHBEARER; APIs
 * of which this package has no message pass unread. An `error` is told before the work of the broker, except of Fetch,
 * Metadata, ApiVersions and DescribeCluster, which change nothing: there the broker's own answer tells it. What it holds
 * of the clock is real time, unless a test gives another.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Cluster from "../Cluster.ts"
import * as Compression from "../Compression.ts"
import * as Kafka from "../Kafka.ts"
import * as KafkaError from "../KafkaError.ts"
import type { FaultHandle } from "./EmbeddedKafka.ts"
import { EmbeddedCluster } from "./embedded/Cluster.ts"
import { handlers } from "./embedded/handlers.ts"
import type { Fault } from "./Fault.ts"
import * as HostRuntime from "./host/HostRuntime.ts"
import * as Inject from "./host/Inject.ts"
import * as Settings from "./host/Settings.ts"
import type * as Addresses from "./proxy/Addresses.ts"
import * as Port from "./proxy/Port.ts"
import { Relay, type Shared } from "./proxy/Relay.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Brokers of the cluster behind it, as `host:port`; the others are found by them. */
  readonly bootstrap: ReadonlyArray<string>
  /** Where it listens, and what clients are told. Default `"127.0.0.1"`. */
  readonly host?: string | undefined
  /** The proxy's own settings for finding the brokers: `sasl` where they ask for it. Clients authenticate themselves. */
  readonly client?: Omit<Kafka.Options, "bootstrap" | "tls"> | undefined
}

/**
 * A proxy that runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /** Its own ports, as `host:port`: for clients. */
  readonly bootstrap: ReadonlyArray<string>
  /** Puts a fault in force, until its Scope closes. `Fault`'s `broker` is the id that the cluster tells. */
  readonly inject: (fault: Fault) => Effect.Effect<FaultHandle, never, Scope.Scope>
  /** Resets every connection that is open, to one broker or to all, and gives how many there were. */
  readonly cut: (broker?: number) => Effect.Effect<number>
  /**
   * Nothing comes through any more, in either direction, to one broker or to all: connections are accepted and stay open, as
   * where a network swallows everything.
   */
  readonly freeze: (broker?: number) => Effect.Effect<void>
  /** Ends `freeze`: what was held up comes through. */
  readonly thaw: (broker?: number) => Effect.Effect<void>
  /**
   * A narrow link: so many bytes a second come through at most, in each direction of each connection, to one broker or to
   * all; `undefined` ends it. A piece of up to 64 KiB comes at once, and those behind it wait as long as it would have taken.
   */
  readonly limit: (bytesPerSecond: number | undefined, broker?: number) => Effect.Effect<void>
  /** What went wrong in the proxy itself; empty, or it has a bug. */
  readonly defects: Effect.Effect<ReadonlyArray<unknown>>
}

/**
 * The proxy as a service.
 *
 * @since 0.1.0
 * @category services
 */
export class FaultProxy extends Context.Service<FaultProxy, Service>()("samsa/testing/FaultProxy") {}

/**
 * Starts a proxy; it ends with the Scope, and with it every connection. Fails with `Unreachable` where no broker answers,
 * with `Misconfigured` where the host cannot be listened on.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Service, KafkaError.KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    const { host = "127.0.0.1" } = options
    const scope = yield* Effect.scope
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const defects: Array<unknown> = []
    const env = yield* HostRuntime.make(1, (defect) => defects.push(defect))
    const refusing = new EmbeddedCluster(env, yield* Settings.of({}, yield* Compression.Compression), defects)
    yield* Effect.addFinalizer(() => Effect.sync(() => refusing.end()))

    const ids = new Map<string, number>()
    const ports = new Map<string, Port.Port>()
    const keyOf = (place: { readonly host: string; readonly port: number }) => `${place.host}:${place.port}`
    // one after the other, so that a broker has one port
    const opening = yield* Semaphore.make(1)
    const locate = (place: Addresses.Place) =>
      opening.withPermits(1)(
        Effect.gen(function* () {
          const key = keyOf(place)
          ids.set(key, place.id)
          const known = ports.get(key)
          if (known !== undefined) return known
          const port = yield* Port.open(host, place, (ends) => new Relay(shared, () => ids.get(key) ?? -1, ends))
          ports.set(key, port)
          return port
        }).pipe(Scope.provide(scope))
      )
    const shared: Shared = {
      env,
      rules: [],
      handlers,
      maxFrameBytes: 2 ** 31 - 1,
      refusing: { cluster: refusing, node: refusing.addNode("refusing", 9092) },
      topicNames: new Map(),
      told: new Map(),
      located: (places, then) => {
        const go = () => then((place) => ({ host, port: ports.get(keyOf(place))!.port }))
        for (const place of places) ids.set(keyOf(place), place.id)
        if (places.every((place) => ports.has(keyOf(place)))) return go()
        run(
          Effect.forEach(places, locate, { discard: true }).pipe(
            Effect.andThen(Effect.sync(go)),
            Effect.onExit((exit) => Effect.sync(() => (Exit.isFailure(exit) ? defects.push(exit.cause) : undefined)))
          )
        )
      }
    }
    const places = yield* Effect.flatMap(Cluster.Cluster, (cluster) => cluster.brokers).pipe(
      Effect.provide(Kafka.layer({ clientId: "samsa-fault-proxy", ...options.client, bootstrap: options.bootstrap }))
    )
    const first = yield* Effect.forEach(places, locate).pipe(
      Effect.mapError((error) =>
        KafkaError.make({ _tag: "Misconfigured", mistakes: [`host ${host} cannot be listened on: ${error.message}`] })
      )
    )
    const portsOf = (broker: number | undefined) =>
      Array.from(ports).flatMap(([key, port]) => (broker === undefined || ids.get(key) === broker ? [port] : []))
    return {
      bootstrap: first.map(({ port }) => `${host}:${port}`),
      inject: (fault) => Inject.into(shared.rules, fault, () => new Map(shared.told)),
      cut: (broker) => Effect.sync(() => portsOf(broker).reduce((sum, port) => sum + port.cut(), 0)),
      freeze: (broker) => Effect.sync(() => portsOf(broker).forEach((port) => port.freeze())),
      thaw: (broker) => Effect.sync(() => portsOf(broker).forEach((port) => port.thaw())),
      limit: (bytesPerSecond, broker) =>
        Effect.sync(() => portsOf(broker).forEach((port) => port.limit(bytesPerSecond))),
      defects: Effect.sync(() => [...defects])
    }
  })

/**
 * A proxy as a Layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<FaultProxy, KafkaError.KafkaError> =>
  Layer.effect(FaultProxy, make(options))
