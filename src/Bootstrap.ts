/**
 * Where the first brokers are. Any live broker leads to all others; they are looked for here when a client starts, and
 * again when none of the brokers that it knows answers.
 *
 * Addresses may come from anywhere: `Layer.succeed(Bootstrap.Bootstrap, { addresses })` is a `Bootstrap` of one's own.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { KafkaConfig, type Settings } from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import { perService } from "./PerService.ts"
import { ZooKeeper } from "./ZooKeeper.ts"

/**
 * A host, by name or number, and its port.
 *
 * @since 0.1.0
 * @category models
 */
export interface HostPort {
  readonly host: string
  readonly port: number
}

/**
 * Where the first brokers are.
 *
 * @since 0.1.0
 * @category services
 */
export class Bootstrap extends Context.Service<
  Bootstrap,
  {
    /**
     * The addresses as they are now, in no order; run each time they are needed. A failure that is retryable is tried
     * again within the budget of whoever asks; names of hosts are resolved at each connect.
     */
    readonly addresses: Effect.Effect<ReadonlyArray<HostPort>, KafkaError.KafkaError>
  }
>()("samsa/Bootstrap") {}

/**
 * The list of the settings: `bootstrap`. Java: bootstrap.servers.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Bootstrap, never, KafkaConfig> = perService([KafkaConfig], () =>
  Layer.effect(
    Bootstrap,
    Effect.map(KafkaConfig, ({ bootstrap }) => ({ addresses: Effect.succeed(bootstrap) }))
  )
)

/** The listener's protocol that `tls` and `sasl` ask for, as Kafka names it. */
const protocolOf = ({ sasl, tls }: Settings): string =>
  `${sasl === undefined ? "" : "SASL_"}${tls === undefined ? "PLAINTEXT" : "SSL"}`

/**
 * The brokers that are registered in ZooKeeper with a listener for the protocol that `tls` and `sasl` ask for. Fails
 * with `Unreachable` where there is none. PyKafka: zookeeper_hosts.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerZooKeeper: Layer.Layer<Bootstrap, never, KafkaConfig | ZooKeeper> = perService(
  [KafkaConfig, ZooKeeper],
  () =>
    Layer.effect(
      Bootstrap,
      Effect.gen(function* () {
        const zooKeeper = yield* ZooKeeper
        const protocol = protocolOf(yield* KafkaConfig)
        return {
          addresses: Effect.flatMap(zooKeeper.brokers, (brokers) => {
            const found = brokers.flatMap(
              ({ endpoints }) => endpoints.find((endpoint) => endpoint.protocol === protocol) ?? []
            )
            if (found.length > 0) return Effect.succeed(found)
            const cause = `none of ${brokers.length} registered brokers has a listener for ${protocol}`
            return Effect.fail(KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "ZooKeeper", cause }] }))
          })
        }
      })
    )
)
