/**
 * Tells the cluster how this client does: the metrics that its operators ask for, pushed to a broker that has a receiver
 * for them (KIP-714). Off unless this Layer is there. Which metrics, how often and of whom is the cluster's choice; what
 * goes out are this client's own counts, by KIP-714's names (`docs/observability.md` lists them), and no data.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Kafka, Producer, Telemetry } from "samsa"
 *
 * export const live = Producer.layer().pipe(
 *   // Below producers and consumers: it closes after them, and tells of them to the end.
 *   Layer.provideMerge(Telemetry.layer()),
 *   Layer.provideMerge(Kafka.layer({ bootstrap: ["b1:9092"], clientId: "shop" }))
 * )
 * ```
 *
 * Nothing of it fails or holds up the application: what goes wrong is logged, and tried again when it may go better.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Brokers } from "./Broker.ts"
import * as Checks from "./Checks.ts"
import { Cluster } from "./Cluster.ts"
import type * as KafkaError from "./KafkaError.ts"
import * as Metrics from "./metrics/Current.ts"
import { perService } from "./PerService.ts"
import * as Reporter from "./telemetry/Reporter.ts"
import { Transport } from "./Transport.ts"

/**
 * Settings.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How long the last push may hold up closing. Default 5 s. */
  readonly closeTimeout?: Duration.Input | undefined
  /** How long `clientInstanceId` waits for a broker to give one. Default 30 s. */
  readonly timeout?: Duration.Input | undefined
}

const table: Checks.TableOf<Options> = { closeTimeout: true, timeout: true }

/**
 * What tells the cluster.
 *
 * @since 0.1.0
 * @category services
 */
export class Telemetry extends Context.Service<
  Telemetry,
  {
    /**
     * The id by which the cluster's operators know this client: given by a broker, the same for as long as it lives
     * (base64url). Fails with `Unsupported` where no broker has a receiver, and with `TimedOut` after `timeout`. Java:
     * `clientInstanceId`.
     */
    readonly clientInstanceId: Effect.Effect<string, KafkaError.KafkaError>
  }
>()("samsa/Telemetry") {}

/**
 * Begins to tell; waits for nothing. Closing the Scope pushes a last time, within `closeTimeout`. Fails with
 * `Misconfigured` where nothing is counted: `Metrics.layer({ enabled: false })`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  given: Options = {}
): Effect.Effect<Telemetry["Service"], KafkaError.KafkaError, Brokers | Cluster | Transport | Scope.Scope> =>
  Effect.gen(function* () {
    const checks = Checks.checks()
    const mistake = (text: string) => void checks.mistakes.push(text)
    const options = Checks.known(given, table, mistake)
    const closeTimeout = checks.millisFrom0("closeTimeout", options.closeTimeout, 5000)
    const timeout = checks.millis("timeout", options.timeout, 30_000)
    const { enabled = true } = yield* Metrics.Settings
    if (!enabled) mistake("there is nothing to tell: Metrics.layer({ enabled: false })")
    const { clientId = "" } = yield* Transport
    yield* Checks.settle(checks, undefined)
    const reporter = yield* Reporter.make({ clientId, closeTimeout, timeout }, yield* Brokers, yield* Cluster)
    return Telemetry.of({ clientInstanceId: reporter.clientInstanceId })
  })

/**
 * Tells the cluster for as long as the Layer lives: one for each client that it is provided with.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<Telemetry, KafkaError.KafkaError, Brokers | Cluster | Transport> =>
  perService([Brokers, Cluster, Transport], () => Layer.effect(Telemetry, make(options)))
