// The parts of a client, composed by hand: what `Kafka.layer` does in one line, with one of them swapped.
import { Context, Effect, Layer, Schedule } from "effect"
import {
  Bootstrap,
  Kafka,
  KafkaConfig,
  KafkaError,
  NativeBrokers,
  NativeCluster,
  NativeGroupOffsets,
  NativeTransport,
  Network,
  NodeNetwork
} from "samsa"

// where the application learns of its brokers: a service registry of its own
class Registry extends Context.Service<
  Registry,
  { readonly lookUp: (service: string) => Effect.Effect<ReadonlyArray<{ host: string; port: number }>, Error> }
>()("Registry") {}

// the part that is swapped: read when the client starts, and again when none of the brokers that it knows answers
export const fromRegistry: Layer.Layer<Bootstrap.Bootstrap, never, Registry> = Layer.effect(
  Bootstrap.Bootstrap,
  Effect.map(Registry, (registry) => ({
    addresses: registry.lookUp("kafka").pipe(
      Effect.retry(Schedule.recurs(2)),
      Effect.mapError(({ message }) =>
        KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "the registry", cause: message }] })
      )
    )
  }))
)

// each Layer says what it needs, so the order is the types' to check
export const byHand: Layer.Layer<Kafka.Kafka, KafkaError.KafkaError, Registry> = Layer.merge(
  NativeTransport.layer,
  NativeGroupOffsets.layer
).pipe(
  Layer.provideMerge(NativeCluster.layer),
  Layer.provide(NativeBrokers.layer),
  Layer.provide(NodeNetwork.layer),
  Layer.provide(fromRegistry),
  Layer.provide(KafkaConfig.layerWithoutBootstrap({ clientId: "billing" }))
)

// another Network, for all of them: one that logs where it connects
export const logged = Layer.effect(
  Network.Network,
  Effect.map(Network.Network, (network) => ({
    connect: (address, handler) =>
      Effect.andThen(
        Effect.logDebug(`connecting to ${address.host}:${address.port}`),
        network.connect(address, handler)
      )
  }))
).pipe(Layer.provide(NodeNetwork.layer))
export const seen = Kafka.layerWithoutNetwork({ bootstrap: ["b1:9092"] }).pipe(Layer.provide(logged))
