/** `samsa embedded`: the embedded broker as a process, for any client in any language. It serves until a signal ends it. */
import { readFileSync } from "node:fs"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as EmbeddedKafka from "../testing/EmbeddedKafka.ts"
import { maxPartitions } from "../testing/embedded/Cluster.ts"
import * as Profile from "../testing/embedded/Profile.ts"
import { defaulting } from "./Defaulting.ts"
import { failed, wrong } from "./Failed.ts"
import * as Stopped from "./Stopped.ts"

/** A whole number between two others. */
const whole = (name: string, from: number, to: number) =>
  Flag.Int(name).pipe(
    Flag.filter(
      (value) => value >= from && value <= to,
      (value) => `--${name} must be from ${from} to ${to}, not ${value}`
    )
  )

/** `orders`, `orders:6`, `orders:6:3`: a name, partitions, replicas. */
const topicOf = (text: string): EmbeddedKafka.TopicOptions => {
  const match = /^([^:]+)(?::(\d+))?(?::(\d+))?$/.exec(text)
  const partitions = match?.[2] === undefined ? undefined : Number(match[2])
  if (match === null || (partitions !== undefined && (partitions < 1 || partitions > maxPartitions)))
    throw new Error(`--topic must be NAME, NAME:PARTITIONS or NAME:PARTITIONS:REPLICAS, not "${text}"`)
  return { name: match[1]!, partitions, replicationFactor: match[3] === undefined ? undefined : Number(match[3]) }
}

const userOf = (text: string): readonly [name: string, password: string] => {
  const colon = text.indexOf(":")
  if (colon < 1) throw new Error(`--user must be NAME:PASSWORD`)
  return [text.slice(0, colon), text.slice(colon + 1)]
}

/** A flag that may be given several times, each read by `f`. */
const several = <A>(flag: Flag.Flag<string>, f: (text: string) => A) =>
  Flag.atLeast(flag, 0).pipe(
    Flag.mapTryCatch(
      (texts) => texts.map(f),
      (error) => (error instanceof Error ? error.message : String(error))
    )
  )

const flags = {
  port: whole("port", 0, 65_535).pipe(
    Flag.withAlias("p"),
    defaulting("The port of the first broker; the others have those that follow. 0: any that are free", 9092)
  ),
  brokers: whole("brokers", 1, 100).pipe(defaulting("How many brokers", 1)),
  topics: several(
    Flag.String("topic").pipe(
      Flag.withAlias("t"),
      Flag.withMetavar("NAME[:PARTITIONS[:REPLICAS]]"),
      Flag.withDescription("A topic that is there from the start; may be given several times")
    ),
    topicOf
  ),
  partitions: whole("partitions", 1, maxPartitions).pipe(defaulting("Partitions of a topic that does not say", 1)),
  asVersion: Flag.Literals("as-version", Profile.releases).pipe(
    Flag.withDescription("Plays a broker of this release. Default: every API at every version"),
    Flag.optional
  ),
  autoCreate: Flag.Boolean("auto-create").pipe(
    Flag.withDescription("Create topics that clients ask for"),
    Flag.withDefault(true)
  ),
  coldStart: Flag.Boolean("cold-start").pipe(
    Flag.withDescription("A cluster that was never used: the first search for a coordinator finds none"),
    Flag.withDefault(false)
  ),
  users: several(
    Flag.String("user").pipe(
      Flag.withMetavar("NAME:PASSWORD"),
      Flag.withDescription("Asks for SASL (PLAIN or SCRAM) and lets this user in; may be given several times")
    ),
    userOf
  ),
  superUsers: Flag.String("super-user").pipe(
    Flag.withMetavar("PRINCIPAL"),
    Flag.withDescription(
      "Who may do everything, such as User:admin; may be given several times. Default: User:ANONYMOUS"
    ),
    Flag.atLeast(0)
  ),
  initialRebalanceDelay: whole("initial-rebalance-delay", 0, 86_400_000).pipe(
    Flag.withMetavar("MILLIS"),
    defaulting("How long a new group waits for more members", 0)
  ),
  minSession: whole("min-session-timeout", 0, 86_400_000).pipe(
    Flag.withMetavar("MILLIS"),
    defaulting("The shortest session of a member that is taken", 6000)
  ),
  maxSession: whole("max-session-timeout", 1, 2_147_483_647).pipe(
    Flag.withMetavar("MILLIS"),
    Flag.withDescription("The longest session of a member that is taken. Default: as in the release"),
    Flag.optional
  ),
  sessionLifetime: whole("reauthenticate", 0, 2_147_483_647).pipe(
    Flag.withMetavar("MILLIS"),
    Flag.withDescription("After which clients have to log in again, with --user. Default: never"),
    Flag.optional
  ),
  replicationFactor: whole("replication-factor", 1, 100).pipe(
    defaulting("Replicas of a topic that does not say, where there are as many brokers", 3)
  ),
  racks: Flag.String("rack").pipe(
    Flag.withDescription("The rack of a broker, in their order; consumers read from the replica in theirs"),
    Flag.atLeast(0)
  ),
  tlsKey: Flag.String("tls-key").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("Speak TLS with this key (PEM); with --tls-cert"),
    Flag.optional
  ),
  tlsCert: Flag.String("tls-cert").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("… and this certificate (PEM)"),
    Flag.optional
  ),
  seed: whole("seed", 0, 2_147_483_647).pipe(
    defaulting("The seed of ids and other choices: the same seed makes the same", 1)
  )
}

/** The key and the certificate, where TLS is asked for. */
const tlsOf = ({
  tlsCert,
  tlsKey
}: {
  readonly tlsCert: Option.Option<string>
  readonly tlsKey: Option.Option<string>
}) =>
  Effect.gen(function* () {
    if (Option.isNone(tlsKey) && Option.isNone(tlsCert)) return undefined
    if (Option.isNone(tlsKey) || Option.isNone(tlsCert)) return yield* wrong("--tls-key and --tls-cert go together")
    const read = (file: string) =>
      Effect.try({
        try: () => readFileSync(file, "utf8"),
        catch: (error) => wrong(error instanceof Error ? error.message : String(error), error)
      })
    return { key: yield* read(tlsKey.value), cert: yield* read(tlsCert.value) }
  })

/** The parent of a process, by what Linux says of it. */
const parentOf = (pid: number): number => {
  try {
    // Behind the name, which may hold anything: state, parent.
    return Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ")[1])
  } catch {
    return 0
  }
}

/** As they are when this process starts: a moment later they may have gone already. */
const shell = process.ppid
const npx = process.env["npm_command"] === "exec" ? parentOf(shell) : undefined

/**
 * Ends when whoever started it has gone: npx and its shell, which tell nobody when they are killed. Started otherwise it
 * never ends, so that it may be left to itself.
 */
const parentsEnd =
  npx === undefined
    ? Effect.never
    : Effect.sleep("500 millis").pipe(
        Effect.repeat({ while: () => process.ppid === shell && parentOf(shell) === npx }),
        Effect.asVoid
      )

export const embedded = Command.make(
  "embedded",
  flags,
  Effect.fnUntraced(
    function* (given) {
      const { asVersion, autoCreate, brokers, coldStart, partitions, port, seed, topics, users } = given
      const tls = yield* tlsOf(given)
      if (port + brokers - 1 > 65_535)
        return yield* wrong(
          `${brokers} brokers from port ${port} on need ports up to ${port + brokers - 1}; the last is 65535`
        )
      const broker = yield* EmbeddedKafka.make({
        brokers,
        topics,
        defaultPartitions: partitions,
        asVersion: Option.getOrUndefined(asVersion),
        autoCreate,
        coldStart,
        seed,
        listen: port === 0 ? true : port,
        groupInitialRebalanceDelay: given.initialRebalanceDelay,
        groupMinSessionTimeout: given.minSession,
        groupMaxSessionTimeout: Option.getOrUndefined(given.maxSession),
        replicationFactor: given.replicationFactor,
        racks: given.racks.length === 0 ? undefined : given.racks,
        superUsers: given.superUsers.length === 0 ? undefined : given.superUsers,
        tls,
        sasl:
          users.length === 0
            ? undefined
            : { users: Object.fromEntries(users), sessionLifetime: Option.getOrUndefined(given.sessionLifetime) }
      })
      yield* Stopped.untilStopped
      yield* Console.log(`Kafka listens on ${broker.bootstrap.join(",")}`)
      return yield* parentsEnd
    },
    Effect.scoped,
    // Of topics that cannot be the command line is wrong; a port that is taken is not its fault.
    Effect.catchTag("KafkaError", (error) =>
      Effect.fail((error.reason._tag === "Misuse" ? wrong : failed)(error.message, error))
    )
  )
).pipe(
  Command.withDescription("Serves Kafka from memory, on ports of 127.0.0.1, until it is interrupted"),
  Command.withExamples([
    { command: "samsa embedded", description: "One broker on port 9092" },
    {
      command: "samsa embedded --port 19092 --brokers 3 --topic orders:6 --as-version 3.9",
      description: "Three brokers of 3.9 on ports 19092 to 19094"
    }
  ])
)
