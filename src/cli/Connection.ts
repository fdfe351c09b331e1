/**
 * How a command reaches its cluster: flags, before a file of properties, before the environment (`KAFKA_*`), before
 * `localhost:9092`.
 */
import { isUtf8 } from "node:buffer"
import { readFileSync } from "node:fs"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as References from "effect/References"
import * as Flag from "effect/cli/Flag"
import * as Admin from "../Admin.ts"
import * as Left from "../admin/Left.ts"
import type { Brokers } from "../Broker.ts"
import * as Kafka from "../Kafka.ts"
import * as KafkaConfig from "../KafkaConfig.ts"
import type { KafkaError } from "../KafkaError.ts"
import { defaulting } from "./Defaulting.ts"
import { type Failed, ofKafka, wrong } from "./Failed.ts"
import { printable } from "./printable.ts"
import * as Properties from "./Properties.ts"

/** The flags of every command that speaks with a cluster. */
export const flags = {
  bootstrap: Flag.String("bootstrap").pipe(
    Flag.withAlias("b"),
    Flag.withMetavar("HOST:PORT,…"),
    Flag.withDescription("Brokers that lead to all others. Default: KAFKA_BOOTSTRAP, else localhost:9092"),
    Flag.optional
  ),
  properties: Flag.String("properties").pipe(
    Flag.withAlias("F"),
    Flag.withMetavar("FILE"),
    Flag.withDescription("Connection settings by the names of Java's clients or of librdkafka"),
    Flag.optional
  ),
  tls: Flag.Boolean("tls").pipe(Flag.withDescription("Speak TLS"), Flag.optional),
  ca: Flag.String("ca").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Who is trusted, as PEM; with --tls. Default: whom Node.js trusts"),
    Flag.optional
  ),
  user: Flag.String("user").pipe(
    Flag.withDescription("Log in by SASL; the password is asked of KAFKA_SASL_PASSWORD or --password"),
    Flag.optional
  ),
  password: Flag.Redacted("password").pipe(
    Flag.withDescription("Others can see it while the command runs: KAFKA_SASL_PASSWORD is better"),
    Flag.optional
  ),
  mechanism: Flag.Literals("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]).pipe(
    Flag.withDescription("How to log in. Default: PLAIN"),
    Flag.optional
  ),
  timeout: Flag.Int("timeout").pipe(
    Flag.withMetavar("SECONDS"),
    defaulting("How long each thing that is asked of the cluster may take", 30)
  )
}

/** In seconds: in milliseconds it has to fit an int32. */
const longestTimeout = 2_147_483

/** Prints lines of JSON in place of tables. */
export const jsonFlag = Flag.Boolean("json").pipe(
  Flag.withDescription("Lines of JSON, for programs"),
  Flag.withDefault(false)
)

/** What the flags say. */
export type Given = {
  readonly bootstrap: Option.Option<string>
  readonly properties: Option.Option<string>
  readonly tls: Option.Option<boolean>
  readonly ca: Option.Option<string>
  readonly user: Option.Option<string>
  readonly password: Option.Option<Redacted.Redacted<string>>
  readonly mechanism: Option.Option<string>
  readonly timeout: number
}

/** All of it as the environment would say it. */
const settings = (given: Given): Effect.Effect<Record<string, string>, Failed> =>
  Effect.gen(function* () {
    const values: Record<string, string> = { BOOTSTRAP: "localhost:9092" }
    for (const [name, value] of Object.entries(process.env))
      if (name.startsWith("KAFKA_") && value !== undefined && value !== "") values[name.slice(6)] = value
    let sasl: string | undefined
    let named = Option.isSome(given.user)
    if (Option.isSome(given.properties)) {
      const file = given.properties.value
      const bytes = yield* Effect.try({
        try: () => readFileSync(file),
        catch: (error) => wrong(`--properties: ${error instanceof Error ? error.message : String(error)}`)
      })
      // Java's files are Latin-1, those of others UTF-8, which no text of Latin-1 looks like.
      const text = bytes.toString(isUtf8(bytes) ? "utf8" : "latin1").replace(/^\ufeff/, "")
      const read = Properties.read(text, Option.getOrUndefined(given.tls))
      if (read.sasl !== undefined) sasl = `${file}: security.protocol is ${read.sasl}`
      if (read.mistakes.length > 0) return yield* wrong(`${file}: ${read.mistakes.join("; ")}`)
      for (const [name, value] of Object.entries(read.values))
        if (value !== undefined) values[name] = value
        // Password and mechanism of the environment are there for --user, too.
        else if (Option.isNone(given.user)) delete values[name]
      named ||= read.values["SASL_USERNAME"] !== undefined
    }
    const set = (name: string, value: Option.Option<string | boolean>) => {
      if (Option.isSome(value)) values[name] = String(value.value)
    }
    set("BOOTSTRAP", given.bootstrap)
    set("TLS", given.tls)
    set("TLS_CA_FILE", given.ca)
    set("SASL_USERNAME", given.user)
    set("SASL_PASSWORD", Option.map(given.password, Redacted.value))
    set("SASL_MECHANISM", given.mechanism)
    // Who is named has a password: a token, which the environment alone has, would be somebody else's.
    if (named) delete values["SASL_TOKEN"]
    // Of what is there in part, what is missing is told with all other mistakes.
    if (sasl !== undefined && !Object.keys(values).some((name) => name.startsWith("SASL_")))
      return yield* wrong(
        `${sasl}, and nobody is named who logs in: sasl.jaas.config or sasl.username do, --user or KAFKA_SASL_USERNAME`
      )
    if (values["SASL_USERNAME"] !== undefined) values["SASL_MECHANISM"] ??= "PLAIN"
    values["CLIENT_ID"] ??= "samsa-cli"
    return values
  })

/** All but that a record has failed: the command ends with that, and tells it itself. */
const withoutFailed = <A, B>(logger: Logger.Logger<A, B>): Logger.Logger<A, B | undefined> =>
  Logger.make((options) =>
    options.fiber.getRef(References.CurrentLogAnnotations)["kafka.event"] === "recordFailed"
      ? undefined
      : logger.log(options)
  )

/** For what may wait for long: warnings of why it waits go to the error stream, unless --log-level has chosen. */
export const warned = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(References.MinimumLogLevel, (level) =>
    level === "None"
      ? Effect.flatMap(Logger.CurrentLoggers, (loggers) =>
          self.pipe(
            Effect.provideService(References.MinimumLogLevel, "Warn"),
            Effect.provideService(Logger.CurrentLoggers, new Set([...loggers].map(withoutFailed)))
          )
        )
      : self
  )

/** What is wrong with a setting, as a line: `KAFKA_TLS: Expected …`. */
const ofEnvironment = (message: string): string => {
  const [, expected, path] = /^SchemaError\(([^]*)\n\s*at (\[.*\])\)$/.exec(message) ?? []
  return path === undefined
    ? message
    : `${(JSON.parse(path.replaceAll("][", ",")) as Array<string>).join("_")}: ${expected}`
}

/** Many things are told by the first of them. */
const few = (names: ReadonlyArray<string>): string =>
  names.length <= 10 ? names.join(", ") : `${names.slice(0, 10).join(", ")} and ${names.length - 10} more`

/** What a change was at that was interrupted, as a line. */
const interrupted = ({ api, done, perhaps }: Left.Left): string => {
  const of = (names: ReadonlyArray<string>) =>
    names.length === 1 && names[0] === api ? api : `${api} of ${few(names)}`
  const said = done.length === 0 ? [] : [`${of(done)} is done`]
  const unsaid = perhaps.length === 0 ? [] : [`${of(perhaps)} was sent and not answered: it may have been done`]
  return printable(`interrupted; ${[...said, ...unsaid].join("; ")}`)
}

/** Runs with a connection, each verb within the time that the flags give; what fails is one line. */
export const connected = <A, R>(
  given: Given,
  self: Effect.Effect<A, KafkaError | Failed, R | Admin.Admin | Kafka.Kafka | Brokers>
) =>
  Effect.gen(function* () {
    if (given.timeout <= 0 || given.timeout > longestTimeout)
      return yield* wrong(`--timeout must be from 1 to ${longestTimeout} seconds, not ${given.timeout}`)
    const values = yield* settings(given)
    const env = Object.fromEntries(Object.entries(values).map(([name, value]) => [`KAFKA_${name}`, value]))
    const millis = given.timeout * 1000
    const kafka = Layer.unwrap(
      Effect.map(KafkaConfig.environment, (options) =>
        Kafka.layer({ ...options, bootstrapTimeout: millis, metadataTimeout: Math.min(millis, 15_000) })
      )
    ).pipe(Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))))
    const layers = Admin.layer({ timeout: millis }).pipe(Layer.provideMerge(kafka))
    return yield* self.pipe(
      Effect.provide(layers),
      Effect.provideService(Left.Heard, (left) => Console.error(interrupted(left))),
      Effect.catchTag("KafkaError", (error: KafkaError) => Effect.fail(ofKafka(error))),
      Effect.catchTag("ConfigError", (error) => Effect.fail(wrong(ofEnvironment(error.message), error)))
    )
  })
