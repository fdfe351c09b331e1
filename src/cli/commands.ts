/** The subcommands of `samsa`, of which the one that is asked for is loaded: the help needs none of them. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import * as Runtime from "effect/Runtime"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import { Failed, wrong } from "./Failed.ts"
import { printable } from "./printable.ts"

type Loaded = Command.Command<any, any, any, any, any>

const pykafka = (name: keyof (typeof import("./pykafka.ts"))["commands"]) => () =>
  import("./pykafka.ts").then(({ commands }) => commands[name] as Loaded)

/** What there is, in the order of the help. */
const subcommands: ReadonlyArray<readonly [name: string, description: string, load: () => Promise<Loaded>]> = [
  [
    "topics",
    "Topics: list, describe, create, delete, add-partitions",
    () => import("./topics.ts").then((m) => m.command)
  ],
  ["groups", "Groups: list, describe, delete", () => import("./groups.ts").then((m) => m.groups)],
  ["lag", "How far groups are behind", () => import("./lag.ts").then((m) => m.command)],
  [
    "offsets",
    "Offsets: list those of a topic, reset those of a group",
    () => import("./groups.ts").then((m) => m.offsets)
  ],
  ["config", "Settings: get, set", () => import("./cluster.ts").then((m) => m.config)],
  ["brokers", "The cluster's brokers", () => import("./cluster.ts").then((m) => m.brokers)],
  ["apis", "What each broker speaks, beside what this client does", () => import("./cluster.ts").then((m) => m.apis)],
  ["acls", "Rules of access: list, add, delete", () => import("./acls.ts").then((m) => m.command)],
  ["users", "Users that log in by SCRAM: list, set, delete", () => import("./users.ts").then((m) => m.command)],
  ["quotas", "Quotas of clients: list, set", () => import("./quotas.ts").then((m) => m.command)],
  [
    "reassign",
    "Where replicas are: list what moves, start, cancel",
    () => import("./replicas.ts").then((m) => m.reassign)
  ],
  ["elect", "Has the first replicas lead again", () => import("./replicas.ts").then((m) => m.elect)],
  [
    "transactions",
    "Transactions: list, describe, producers, abort",
    () => import("./transactions.ts").then((m) => m.command)
  ],
  ["consume", "Prints records", () => import("./consume.ts").then((m) => m.command)],
  ["produce", "Sends the lines of the input", () => import("./produce.ts").then((m) => m.command)],
  ["bench", "How fast: produce, consume", () => import("./bench.ts").then((m) => m.command)],
  [
    "embedded",
    "Serves Kafka from memory, on ports of 127.0.0.1, until it is interrupted",
    () => import("./embedded.ts").then((m) => m.embedded)
  ],
  ["consume_topic", "PyKafka: consume", pykafka("consume_topic")],
  ["desc_topic", "PyKafka: topics describe", pykafka("desc_topic")],
  ["print_managed_consumer_groups", "PyKafka: groups list", pykafka("print_managed_consumer_groups")],
  ["print_consumer_lag", "PyKafka: lag", pykafka("print_consumer_lag")],
  ["print_offsets", "PyKafka: offsets list", pykafka("print_offsets")],
  ["print_topics", "PyKafka: topics list", pykafka("print_topics")],
  ["reset_offsets", "PyKafka: offsets reset", pykafka("reset_offsets")],
  ["create_topic", "PyKafka: topics create", pykafka("create_topic")],
  ["delete_topic", "PyKafka: topics delete", pykafka("delete_topic")]
]

/** What is wrong with the words, as one line. */
const mistakes = (errors: ReadonlyArray<CliError.CliError>): string =>
  printable(errors.map(({ message }) => message.replace(/\s*\n\s*/g, " ").trim()).join("; "))

/** The help is for who asks for it: a mistake is a line on the error stream, and leaves the output to programs. */
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(`${mistakes(event.errors)} (${event.commandPath.join(" ")} --help tells more)`)
      : CliOutput.defaultPresenter.present(event)
}

/** What has been told already: nobody is to tell it again. */
export const told = (failed: Failed): Failed => Object.assign(failed, { [Runtime.errorReported]: false })

/** A line for each thing that failed; words and lines of an input may be anybody's, as names of a cluster are. */
export const linesOf = ({ message }: Failed): string => message.split("\n").map(printable).join("\n")

/** Runs `samsa` with the words behind its name. */
export const run = Effect.fnUntraced(function* (words: ReadonlyArray<string>, version: string) {
  // Whoever writes completions wants all of it.
  const all = words.some((word) => word.startsWith("--completions") || word === "--wizard")
  const loaded = yield* Effect.forEach(subcommands, ([name, description, load]) =>
    all || words.includes(name)
      ? Effect.promise(load)
      : Effect.succeed(Command.make(name).pipe(Command.withDescription(description)) as Loaded)
  )
  const samsa = Command.make("samsa").pipe(
    Command.withDescription("Kafka at the command line"),
    Command.withSubcommands(loaded as [Loaded, ...Array<Loaded>])
  )
  yield* Command.runWith(samsa, { version })(words).pipe(
    // What fails is a line of its own; the log is for who asks for it (--log-level), and never in the output.
    Effect.provideService(References.MinimumLogLevel, "None"),
    Effect.provideService(CliOutput.Presenter, presenter),
    Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatLogFmt)])),
    Effect.catchIf(
      (error) => error instanceof Failed,
      (failed) => Effect.andThen(Console.error(linesOf(failed)), Effect.fail(told(failed)))
    ),
    Effect.mapError((error) =>
      CliError.isCliError(error) && error._tag === "ShowHelp" && error.errors.length > 0
        ? told(wrong(mistakes(error.errors), error))
        : error
    )
  )
})
