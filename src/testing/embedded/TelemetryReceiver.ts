/**
 * What a broker with a receiver keeps of its clients' metrics (KIP-714): which it asks for, of whom, and what was pushed.
 * As in Kafka's `ClientMetricsManager`: each broker knows the instances that have spoken to it, and forgets them when their
 * connection ends; whoever comes before the push interval is over is throttled.
 */
import * as Crc32c from "../../protocol/records/Crc32c.ts"
import * as Code from "./Code.ts"
import type { Metric } from "./MetricsData.ts"

/** A subscription: what Kafka keeps as a resource of the type `client-metrics`. */
export interface Subscription {
  /** Prefixes of names (`metrics`); `*` is all. */
  readonly metrics: ReadonlyArray<string>
  /** `interval.ms`. */
  readonly interval: number
  /** `match`: all of them must match, from beginning to end. */
  readonly match: ReadonlyMap<Matched, RegExp>
}

/** What a subscription may look at. */
export type Matched = "client_id" | "client_instance_id"

/** What was pushed. */
export interface Pushed {
  /** Milliseconds since 1970. */
  readonly at: number
  readonly broker: number
  readonly clientId: string
  readonly clientInstanceId: string
  readonly subscriptionId: number
  /** The client's last. */
  readonly terminating: boolean
  /** Kafka's number of the codec. */
  readonly compressionType: number
  /** What a receiver is given: MetricsData in protobuf, decompressed. */
  readonly data: Uint8Array
  /** The same, read. */
  readonly metrics: ReadonlyArray<Metric>
}

interface Instance {
  readonly version: number
  readonly subscriptionId: number
  readonly metrics: ReadonlyArray<string>
  readonly interval: number
  getAt: number
  pushedAt: number
  seenAt: number
  terminating: boolean
  lastError: number
  /** By which he came last. */
  connection: Connection | undefined
}

/** By which somebody asks. */
interface Connection {
  readonly onClose: (run: () => void) => () => void
}

/** Who asks. */
interface Who {
  readonly node: number
  readonly clientId: string
  readonly instance: string
  readonly now: number
  readonly connection: Connection
}

/** `interval.ms` where no subscription matches, and by default. */
export const defaultInterval = 300_000
/** How long an instance that is silent is remembered, at least. */
const rememberedFor = 60_000
const compressionTypes = 5
/** In the order in which a broker prefers them. */
export const accepted: ReadonlyArray<number> = [4, 3, 1, 2]

const encoder = new TextEncoder()
const crcOf = (text: string): number => {
  const bytes = encoder.encode(text)
  return Crc32c.plain(bytes, 0, bytes.length) | 0
}

export class TelemetryReceiver {
  /** The most bytes of a push (`telemetry.max.bytes`). */
  readonly maxBytes: number
  readonly pushed: Array<Pushed> = []
  private readonly subscriptions = new Map<string, Subscription>()
  private readonly instances = new Map<string, Instance>()
  private version = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  get names(): ReadonlyArray<string> {
    return Array.from(this.subscriptions.keys())
  }

  /** Sets a subscription, or takes it back. */
  subscribe(name: string, subscription: Subscription | undefined): void {
    if (subscription === undefined) this.subscriptions.delete(name)
    else this.subscriptions.set(name, subscription)
    this.version++
  }

  /** Who asks, as this broker knows him: anew where subscriptions have changed since. */
  instance(who: Who): Instance {
    const key = `${who.node} ${who.instance}`
    let instance = this.instances.get(key)
    const isKnown =
      instance !== undefined &&
      instance.version === this.version &&
      who.now - instance.seenAt <= Math.max(rememberedFor, 3 * instance.interval)
    if (!isKnown) this.instances.set(key, (instance = this.made(who)))
    instance!.seenAt = who.now
    if (instance!.connection !== who.connection) {
      instance!.connection = who.connection
      // Whoever comes back is not known.
      who.connection.onClose(() => {
        if (this.instances.get(key)?.connection === who.connection) this.instances.delete(key)
      })
    }
    return instance!
  }

  /** Takes a GetTelemetrySubscriptions, or gives the error of it. */
  get(instance: Instance, now: number): number {
    const elapsed = now - Math.max(instance.getAt, instance.pushedAt)
    const isAllowed =
      instance.lastError === Code.unknownSubscriptionId || instance.lastError === Code.unsupportedCompressionType
    if (elapsed >= instance.interval) instance.getAt = now
    else if (!isAllowed) return Code.throttlingQuotaExceeded
    instance.lastError = Code.none
    return Code.none
  }

  /** Takes a PushTelemetry, as far as it can be told without looking into it, or gives the error of it. */
  push(
    instance: Instance,
    request: {
      readonly subscriptionId: number
      readonly terminating: boolean
      readonly compressionType: number
      readonly metrics: Uint8Array
    },
    now: number
  ): number {
    const wasTerminating = instance.terminating
    instance.terminating = request.terminating
    // Right after a subscription is told the first push comes early, or late.
    const isDue = instance.getAt > instance.pushedAt || now - instance.pushedAt >= instance.interval
    if (!wasTerminating && isDue) instance.pushedAt = now
    const errorCode = wasTerminating
      ? Code.invalidRequest
      : !isDue && !request.terminating
        ? Code.throttlingQuotaExceeded
        : request.subscriptionId !== instance.subscriptionId
          ? Code.unknownSubscriptionId
          : request.compressionType < 0 || request.compressionType >= compressionTypes
            ? Code.unsupportedCompressionType
            : request.metrics.length > this.maxBytes
              ? Code.telemetryTooLarge
              : Code.none
    instance.lastError = errorCode
    return errorCode
  }

  private made({ clientId, instance }: Who): Instance {
    const metrics = new Set<string>()
    let interval = defaultInterval
    for (const subscription of this.subscriptions.values()) {
      const isMatch = Array.from(subscription.match).every(([what, pattern]) =>
        pattern.test(what === "client_id" ? clientId : instance)
      )
      if (!isMatch) continue
      for (const prefix of subscription.metrics) metrics.add(prefix)
      interval = Math.min(interval, subscription.interval)
    }
    const asked = metrics.has("*") ? ["*"] : Array.from(metrics)
    return {
      version: this.version,
      subscriptionId: crcOf(`[${asked.join(", ")}]${interval}`) ^ crcOf(instance),
      metrics: asked,
      interval,
      getAt: -Infinity,
      pushedAt: -Infinity,
      seenAt: -Infinity,
      terminating: false,
      lastError: Code.none,
      connection: undefined
    }
  }
}
