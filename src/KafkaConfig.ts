/**
 * Settings of a connection to a cluster, with the names of Kafka's own settings in camelCase.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as KafkaError from "./KafkaError.ts"

/** What an application may set. Durations take any `Duration.Input`: `"5 seconds"`, milliseconds. */
export interface Options {
  /** `host:port`, IPv6 as `[::1]:9092`; the port defaults to 9092. Any live broker leads to all. Java: bootstrap.servers. */
  readonly bootstrap: ReadonlyArray<string>
  /** How the brokers' logs and quotas name us. Default `"samsa"`. Java: client.id. */
  readonly clientId?: string | undefined
  /** How long the Layer tries to reach a first broker before it fails. Default 30 s. */
  readonly bootstrapTimeout?: Duration.Input | undefined
  /** How long opening one connection may take. Default 10 s. Java: socket.connection.setup.timeout.ms. */
  readonly connectTimeout?: Duration.Input | undefined
  /** How long a request may take, beyond what the broker is asked to wait. Default 30 s. Java: request.timeout.ms. */
  readonly requestTimeout?: Duration.Input | undefined
  /** How long a topic, a leader, a coordinator or an offset is looked for. Default 15 s. Java: max.block.ms, default.api.timeout.ms. */
  readonly metadataTimeout?: Duration.Input | undefined
  /** How old knowledge of topics may grow before it is asked for again, when it is next used. Default 5 min. Java: metadata.max.age.ms. */
  readonly metadataMaxAge?: Duration.Input | undefined
  /** Whether looking a topic up may create it, where the broker does so (`auto.create.topics.enable`). Default false. Java: allow.auto.create.topics. */
  readonly allowAutoTopicCreation?: boolean | undefined
  /** The largest response that is read, in bytes. Default 100 MiB. librdkafka: receive.message.max.bytes. */
  readonly maxResponseBytes?: number | undefined
}

/** Checked settings; durations in milliseconds. */
export interface KafkaConfig {
  readonly bootstrap: ReadonlyArray<{ readonly host: string; readonly port: number }>
  readonly clientId: string
  readonly bootstrapTimeout: number
  readonly connectTimeout: number
  readonly requestTimeout: number
  readonly metadataTimeout: number
  readonly metadataMaxAge: number
  readonly allowAutoTopicCreation: boolean
  readonly maxResponseBytes: number
}

/** `host:port`, `[ipv6]:port` or a host alone (port 9092); undefined where it is none of these. */
export const parseAddress = (text: string): { readonly host: string; readonly port: number } | undefined => {
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]\s/]+))(?::(\d{1,5}))?$/.exec(text.trim())
  if (match === null) return undefined
  const port = match[3] === undefined ? 9092 : Number(match[3])
  return port === 0 || port > 65_535 ? undefined : { host: (match[1] ?? match[2])!, port }
}

/** Collects mistakes while settings are read, so that all of them are told at once. */
export interface Checks {
  readonly mistakes: Array<string>
  readonly millis: (name: string, input: Duration.Input | undefined, fallback: number) => number
  /** The same, where nothing is a choice. */
  readonly millisFrom0: (name: string, input: Duration.Input | undefined, fallback: number) => number
  readonly positive: (name: string, input: number | undefined, fallback: number) => number
}

/** Makes `Checks`. */
export const checks = (): Checks => {
  const mistakes: Array<string> = []
  const millis = (name: string, input: Duration.Input | undefined, fallback: number, least: number): number => {
    if (input === undefined) return fallback
    try {
      const millis = Duration.toMillis(Duration.fromInputUnsafe(input))
      if (millis >= least) return millis
      mistakes.push(`${name} must be ${least === 0 ? "0 or more" : "more than 0"}, not ${String(input)}`)
    } catch {
      mistakes.push(`${name} is not a duration: ${String(input)}`)
    }
    return fallback
  }
  return {
    mistakes,
    millis: (name, input, fallback) => millis(name, input, fallback, Number.MIN_VALUE),
    millisFrom0: (name, input, fallback) => millis(name, input, fallback, 0),
    positive: (name, input, fallback) => {
      if (input === undefined) return fallback
      if (Number.isSafeInteger(input) && input > 0) return input
      mistakes.push(`${name} must be a whole number above 0, not ${String(input)}`)
      return fallback
    }
  }
}

/** Fails with `Misconfigured` where there are mistakes. */
export const settle = <A>(self: Checks, value: A): Effect.Effect<A, KafkaError.KafkaError> =>
  self.mistakes.length === 0
    ? Effect.succeed(value)
    : Effect.fail(KafkaError.make({ _tag: "Misconfigured", mistakes: self.mistakes }))

/** Checks settings and fills in defaults; fails with `Misconfigured`, naming every mistake. */
export const make = (options: Options): Effect.Effect<KafkaConfig, KafkaError.KafkaError> =>
  Effect.suspend(() => {
    const check = checks()
    const bootstrap: Array<{ host: string; port: number }> = []
    for (const text of options.bootstrap) {
      const address = parseAddress(text)
      if (address === undefined) check.mistakes.push(`bootstrap: "${text}" is not host:port`)
      else bootstrap.push(address)
    }
    if (options.bootstrap.length === 0) check.mistakes.push("bootstrap names no broker")
    return settle(check, {
      bootstrap,
      clientId: options.clientId ?? "samsa",
      bootstrapTimeout: check.millis("bootstrapTimeout", options.bootstrapTimeout, 30_000),
      connectTimeout: check.millis("connectTimeout", options.connectTimeout, 10_000),
      requestTimeout: check.millis("requestTimeout", options.requestTimeout, 30_000),
      metadataTimeout: check.millis("metadataTimeout", options.metadataTimeout, 15_000),
      metadataMaxAge: check.millis("metadataMaxAge", options.metadataMaxAge, 300_000),
      allowAutoTopicCreation: options.allowAutoTopicCreation ?? false,
      maxResponseBytes: check.positive("maxResponseBytes", options.maxResponseBytes, 104_857_600)
    })
  })
