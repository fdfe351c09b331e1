/** The subcommands of `samsa`, of which the one that is asked for is loaded: the help needs none of them. */
import * as Effect from "effect/Effect"
import * as Command from "effect/cli/Command"

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
  ["lag", "How far groups are behind", () => import("./groups.ts").then((m) => m.lag)],
  [
    "offsets",
    "Offsets: list those of a topic, reset those of a group",
    () => import("./groups.ts").then((m) => m.offsets)
  ],
  ["config", "Settings: get, set", () => import("./cluster.ts").then((m) => m.config)],
  ["brokers", "The cluster's brokers", () => import("./cluster.ts").then((m) => m.brokers)],
  ["apis", "What each broker speaks, beside what this client does", () => import("./cluster.ts").then((m) => m.apis)],
  ["consume", "Prints records", () => import("./consume.ts").then((m) => m.command)],
  ["produce", "Sends the lines of the input", () => import("./produce.ts").then((m) => m.command)],
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

/** Runs `samsa` with the words behind its name. */
export const run = Effect.fnUntraced(function* (words: ReadonlyArray<string>, version: string) {
  const wanted = words.find((word) => subcommands.some(([name]) => name === word))
  // Whoever writes completions wants all of it.
  const all = words.some((word) => word.startsWith("--completions") || word === "--wizard")
  const loaded = yield* Effect.forEach(subcommands, ([name, description, load]) =>
    all || name === wanted
      ? Effect.promise(load)
      : Effect.succeed(Command.make(name).pipe(Command.withDescription(description)) as Loaded)
  )
  const samsa = Command.make("samsa").pipe(
    Command.withDescription("Kafka at the command line"),
    Command.withSubcommands(loaded as [Loaded, ...Array<Loaded>])
  )
  yield* Command.runWith(samsa, { version })(words)
})
