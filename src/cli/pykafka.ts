/** The nine subcommands of PyKafka's kafka-tools, under their names and with their arguments. */
import * as Option from "effect/Option"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Confirm from "./Confirm.ts"
import * as Connection from "./Connection.ts"
import * as Consume from "./consume.ts"
import * as Groups from "./groups.ts"
import * as Lag from "./lag.ts"
import * as Topics from "./topics.ts"

const { flags, jsonFlag: json } = Connection
const { dryRun } = Confirm
const topic = Argument.String("topic")
const group = Argument.String("consumer_group")
const offset = Argument.String("offset").pipe(
  Argument.withDescription("earliest, latest, or a time: 2026-01-31T12:00:00 (UTC)")
)

const consumeTopic = Command.make(
  "consume_topic",
  {
    topic,
    ...flags,
    limit: Flag.Int("limit").pipe(Flag.withAlias("l"), Flag.withDefault(10)),
    outfile: Flag.String("outfile").pipe(Flag.withAlias("o"), Flag.optional)
  },
  ({ limit, outfile, topic, ...given }) =>
    Consume.consuming(given, {
      topic,
      from: "latest",
      partitions: [],
      count: limit,
      format: "%s",
      json: false,
      encoding: "utf8",
      outfile: Option.getOrUndefined(outfile)
    })
)
const descTopic = Command.make("desc_topic", { topic, ...flags, json }, (given) =>
  Topics.describing(given, given.json, [given.topic])
)
const printGroups = Command.make("print_managed_consumer_groups", { topic, ...flags, json }, (given) =>
  Groups.listing(given, given.json, given.topic)
)
const printLag = Command.make("print_consumer_lag", { topic, group, ...flags, json }, (given) =>
  Lag.lagging(given, given.json, [given.group], given.topic)
)
const printOffsets = Command.make("print_offsets", { topic, offset, ...flags, json }, (given) =>
  Groups.showing(given, given.json, given.topic, given.offset)
)
const printTopics = Command.make("print_topics", { ...flags, json }, (given) =>
  Topics.listing(given, given.json, false)
)
const resetOffsets = Command.make("reset_offsets", { topic, group, offset, ...flags, json, dryRun }, (given) =>
  Groups.resetting(given, given.group, given.offset, {
    topics: [given.topic],
    dryRun: given.dryRun,
    yes: true,
    json: given.json
  })
)
const createTopic = Command.make(
  "create_topic",
  {
    topic,
    ...flags,
    json,
    partitions: Flag.Int("num_partitions").pipe(Flag.withAlias("p"), Flag.withDefault(1)),
    replicas: Flag.Int("replication_factor").pipe(Flag.withAlias("r"), Flag.withDefault(1))
  },
  (given) =>
    Topics.creating(
      given,
      given.json,
      [{ name: given.topic, partitions: given.partitions, replicationFactor: given.replicas }],
      false
    )
)
const deleteTopic = Command.make("delete_topic", { topic, ...flags, json, dryRun }, (given) =>
  Topics.deleting(given, given.json, [given.topic], { dryRun: given.dryRun, yes: true })
)

/** By name. */
export const commands = {
  consume_topic: consumeTopic,
  desc_topic: descTopic,
  print_managed_consumer_groups: printGroups,
  print_consumer_lag: printLag,
  print_offsets: printOffsets,
  print_topics: printTopics,
  reset_offsets: resetOffsets,
  create_topic: createTopic,
  delete_topic: deleteTopic
}
