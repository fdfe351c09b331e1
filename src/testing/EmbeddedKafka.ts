/**
 * A Kafka cluster in memory, as a scoped resource or a Layer: the real protocol, in process or on TCP ports, with time
 * from the Clock service. Under TestClock a session time-out takes no time.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { EmbeddedKafka } from "samsa/testing"
 *
 * export const serve = Effect.gen(function*() {
 *   const broker = yield* EmbeddedKafka.make({ topics: [{ name: "orders", partitions: 3 }], listen: 9092 })
 *   yield* Effect.log(`any client may connect to ${broker.bootstrap.join(",")}`)
 *   return yield* Effect.never
 * }).pipe(Effect.scoped)
 * ```
 *
 * What it serves and how it differs from a real broker: `docs/embedded-broker.md`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Compression from "../Compression.ts"
import * as KafkaError from "../KafkaError.ts"
import { Network } from "../Network.ts"
import { perService } from "../PerService.ts"
import { EmbeddedCluster } from "./embedded/Cluster.ts"
import type { Options, Service } from "./host/Contract.ts"
import * as HostRuntime from "./host/HostRuntime.ts"
import * as Listener from "./host/Listener.ts"
import * as Service_ from "./host/Service.ts"
import * as Settings from "./host/Settings.ts"

export type {
  CommittedOffset,
  FaultHandle,
  GroupInfo,
  Options,
  PartitionInfo,
  RequestInfo,
  PushedTelemetry,
  SaslOptions,
  Service,
  TelemetryOptions,
  TelemetrySubscription,
  TopicOptions,
  TransactionInfo
} from "./host/Contract.ts"
export type { LogRecord } from "./host/Inspect.ts"

/**
 * The cluster as a service.
 *
 * @since 0.1.0
 * @category services
 */
export class EmbeddedKafka extends Context.Service<EmbeddedKafka, Service>()("samsa/testing/EmbeddedKafka") {}

const misuse = (message: string) => KafkaError.make({ _tag: "Misuse", message })

/**
 * Starts a cluster; it ends with the Scope, and nothing of it is left. Fails where a port is taken.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<Service, KafkaError.KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    const defects: Array<unknown> = []
    const env = yield* HostRuntime.make(options.seed ?? 1, (defect) => defects.push(defect))
    const brokers = options.brokers ?? 1
    if (!Number.isInteger(brokers) || brokers < 1)
      return yield* KafkaError.make({ _tag: "Misconfigured", mistakes: ["brokers must be a whole number above 0"] })
    const settings = yield* Settings.of(options, yield* Compression.Compression)
    const cluster = new EmbeddedCluster(env, settings, defects)
    const listeners = new Map<number, Listener.Listener>()

    const addNode = Effect.gen(function* () {
      const id = cluster.nodes.size + 1
      const { listen } = options
      const rack = options.racks?.[id - 1] ?? null
      if (listen === undefined || listen === false) return cluster.addNode(`embedded-${id}`, 9092, rack)
      const node = cluster.addNode("127.0.0.1", 0, rack)
      const wanted = typeof listen === "number" && listen > 0 ? listen + id - 1 : 0
      const listener = yield* Effect.mapError(Listener.listen(cluster, node, wanted, options.tls), (error) =>
        KafkaError.make({ _tag: "Misconfigured", mistakes: [`port ${wanted} cannot be listened on: ${error.message}`] })
      )
      node.port = listener.port
      listeners.set(node.id, listener)
      return node
    })
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        cluster.end()
        return options.strict === true && cluster.misuses.length > 0
          ? Effect.die(misuse(`the protocol was misused: ${cluster.misuses.join("; ")}`))
          : Effect.void
      })
    )
    for (let i = 0; i < brokers; i++) yield* addNode
    for (const topic of options.topics ?? []) yield* Service_.createTopic(cluster, topic)
    const scope = yield* Effect.scope
    return Service_.make(cluster, listeners, Effect.provideService(addNode, Scope.Scope, scope))
  })

/**
 * A cluster as a Layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<EmbeddedKafka, KafkaError.KafkaError> =>
  Layer.effect(EmbeddedKafka, make(options))

/**
 * The way to the embedded cluster in process: `Network` for `Kafka.layerWithoutNetwork`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNetwork: Layer.Layer<Network, never, EmbeddedKafka> = perService([EmbeddedKafka], () =>
  Layer.effect(
    Network,
    Effect.map(EmbeddedKafka, (broker) => Network.of({ connect: broker.connect }))
  )
)
