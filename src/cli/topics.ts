/** `samsa topics`: list, describe, create, delete, add-partitions. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { Admin, type NewTopic } from "../Admin.ts"
import * as Connection from "./Connection.ts"
import * as Confirm from "./Confirm.ts"
import * as Pairs from "./pairs.ts"
import * as Show from "./Show.ts"
import * as Targets from "./targets.ts"

const { flags, jsonFlag: json } = Connection

const names = Argument.String("topic").pipe(
  Argument.withDescription("Names of topics"),
  Argument.atLeast(1),
  Argument.map(Targets.distinct)
)

/** All topics. */
export const listing = (given: Connection.Given, json: boolean, internal: boolean) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      const topics = yield* admin.listTopics({ internal })
      yield* Show.rows(json, topics, ["TOPIC", "PARTITIONS", "REPLICAS"], (one) => [
        one.name,
        one.partitions,
        one.replicationFactor
      ])
    })
  )

/** Topics with their partitions. */
export const describing = (given: Connection.Given, json: boolean, topics: ReadonlyArray<string>) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      yield* Show.answers(topics, yield* admin.describeTopics(topics), String, (found) =>
        json
          ? Show.rows(true, found, [], () => [])
          : Show.rows(
              false,
              found.flatMap(({ name, partitions }) => partitions.map((one) => ({ name, ...one }))),
              ["TOPIC", "PARTITION", "LEADER", "REPLICAS", "IN SYNC"],
              (one) => [one.name, one.partition, one.leader, one.replicas.join(","), one.isr.join(",")]
            )
      )
    })
  )

/** Creates topics. */
export const creating = (
  given: Connection.Given,
  json: boolean,
  topics: ReadonlyArray<NewTopic>,
  validateOnly: boolean
) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      const answers = yield* admin.createTopics(topics, { validateOnly })
      yield* Show.changed(json, validateOnly ? "would create" : "created", topics, answers, ({ name }) => name)
    })
  )

/** Deletes topics, once that is wanted. */
export const deleting = (
  given: Connection.Given,
  json: boolean,
  topics: ReadonlyArray<string>,
  options: { readonly dryRun: boolean; readonly yes: boolean }
) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      if (options.dryRun) {
        yield* Show.spoken("DeleteTopics")
        return yield* Show.changed(json, "would delete", topics, yield* admin.describeTopics(topics), String)
      }
      yield* Confirm.wanted(`delete ${topics.join(", ")} with all records`, options.yes)
      yield* Show.changed(json, "deleted", topics, yield* admin.deleteTopics(topics), String)
    })
  )

const list = Command.make(
  "list",
  {
    ...flags,
    json,
    internal: Flag.Boolean("internal").pipe(Flag.withDescription("Kafka's own too"), Flag.withDefault(false))
  },
  (given) => listing(given, given.json, given.internal)
).pipe(Command.withDescription("All topics"))

const describe = Command.make("describe", { names, ...flags, json }, (given) =>
  describing(given, given.json, given.names)
).pipe(Command.withDescription("Partitions with their leaders and replicas"))

const create = Command.make(
  "create",
  {
    names,
    ...flags,
    partitions: Flag.Int("partitions").pipe(
      Flag.withAlias("p"),
      Flag.withDescription("How many. Default: the broker's"),
      Flag.optional
    ),
    replicas: Flag.Int("replicas").pipe(
      Flag.withAlias("r"),
      Flag.withDescription("How many of each partition. Default: the broker's"),
      Flag.optional
    ),
    config: Pairs.flag("config", "c", "A setting; may be given several times").pipe(
      Flag.mapTryCatch(Pairs.settings, (error) => (error as Error).message)
    ),
    json,
    dryRun: Confirm.dryRun
  },
  (given) =>
    creating(
      given,
      given.json,
      given.names.map((name) => ({
        name,
        partitions: Option.getOrUndefined(given.partitions),
        replicationFactor: Option.getOrUndefined(given.replicas),
        config: given.config
      })),
      given.dryRun
    )
).pipe(
  Command.withDescription("Creates topics"),
  Command.withExamples([
    {
      command: "samsa topics create orders -p 6 -r 3 -c cleanup.policy=compact",
      description: "Six partitions, compacted"
    }
  ])
)

const remove = Command.make("delete", { names, ...flags, json, dryRun: Confirm.dryRun, yes: Confirm.yes }, (given) =>
  deleting(given, given.json, given.names, given)
).pipe(Command.withDescription("Deletes topics"))

const addPartitions = Command.make(
  "add-partitions",
  {
    name: Argument.String("topic"),
    count: Argument.Int("count").pipe(Argument.withDescription("How many there are to be in all")),
    ...flags,
    json,
    dryRun: Confirm.dryRun
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        const admin = yield* Admin
        const wanted = [{ topic: given.name, count: given.count }]
        const answers = yield* admin.createPartitions(wanted, { validateOnly: given.dryRun })
        const word = given.dryRun ? "would give partitions to" : "gave partitions to"
        yield* Show.changed(given.json, word, wanted, answers, ({ topic }) => topic)
      })
    )
).pipe(Command.withDescription("Gives a topic more partitions"))

export const command = Command.make("topics").pipe(
  Command.withDescription("Topics: list, describe, create, delete, add-partitions"),
  Command.withSubcommands([list, describe, create, remove, addPartitions]),
  Command.withExamples([
    { command: "samsa topics list", description: "All, with partitions and replicas" },
    { command: "samsa topics create orders -p 6 -r 3 -c cleanup.policy=compact", description: "A compacted one" },
    { command: "samsa topics delete orders --dry-run", description: "Which would go" }
  ])
)
