/** `samsa groups`, `samsa offsets`: groups, and where they go on. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { Admin, type Answer, orFail, type OffsetSpec, type ResetOffset } from "../Admin.ts"
import { hasMembers, isMissing } from "../admin/Groups.ts"
import * as Clock from "effect/Clock"
import * as Offset from "../Offset.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Confirm from "./Confirm.ts"
import * as Connection from "./Connection.ts"
import { failed, wrong } from "./Failed.ts"
import * as Output from "./Output.ts"
import * as Positions from "./positions.ts"
import * as Show from "./Show.ts"
import * as Targets from "./targets.ts"

const { flags, jsonFlag: json } = Connection

const names = Argument.String("group").pipe(
  Argument.withDescription("Names of groups"),
  Argument.atLeast(1),
  Argument.map(Targets.distinct)
)

/** All groups; with a topic, those that have committed for it, or whose members have it. */
export const listing = (given: Connection.Given, json: boolean, topic?: string) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      let groups = yield* admin.listGroups()
      if (topic !== undefined) {
        const names = groups.map(({ group }) => group)
        // Share groups commit nothing; their members have partitions.
        const committing = groups.filter(({ type }) => type !== "share").map(({ group }) => ({ group }))
        // A name that is misspelt has no groups, either.
        yield* admin.describeTopics([topic]).pipe(orFail)
        const [offsets, described] = yield* Effect.all(
          [admin.groupOffsets(committing).pipe(orFail), admin.describeGroups(names)],
          { concurrency: "unbounded" }
        )
        // One that has gone meanwhile, or never had members, has none.
        const refused = described.find((one) => Result.isFailure(one) && !isMissing(one.failure))
        if (refused !== undefined) yield* Effect.fromResult(refused)
        const ofTopic = (place: TopicPartition.TopicPartition) => place.topic === topic
        const members = described.map((one) => (Result.isSuccess(one) ? one.success.members : []))
        const committed = new Set(committing.filter((_, i) => offsets[i]!.some(ofTopic)).map(({ group }) => group))
        groups = groups.filter(
          ({ group }, i) => committed.has(group) || members[i]!.some(({ assignment }) => assignment.some(ofTopic))
        )
      }
      yield* Show.rows(json, groups, ["GROUP", "TYPE", "STATE", "PROTOCOL", "COORDINATOR"], (one) => [
        one.group,
        one.type,
        one.state,
        one.protocolType,
        one.coordinator
      ])
    })
  )

const list = Command.make("list", { ...flags, json }, (given) => listing(given, given.json)).pipe(
  Command.withDescription("All groups with their states")
)

const describe = Command.make("describe", { names, ...flags, json }, (given) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      yield* Show.answers(given.names, yield* admin.describeGroups(given.names), String, (found) =>
        given.json
          ? Show.rows(true, found, [], () => [])
          : Effect.gen(function* () {
              for (const { assignor, group, members, state, type } of found) {
                const line = `${group}: ${type}, ${state}${assignor === "" ? "" : `, ${assignor}`}`
                yield* Console.log(Output.printable(line))
                const hasEpochs = members.some(({ epoch }) => epoch !== undefined)
                const epoch = hasEpochs ? ["EPOCH"] : []
                if (members.length > 0)
                  yield* Show.rows(false, members, ["MEMBER", "CLIENT", "HOST", ...epoch, "PARTITIONS"], (one) => [
                    one.instanceId ?? one.memberId,
                    one.clientId,
                    one.host,
                    ...(hasEpochs ? [String(one.epoch ?? "")] : []),
                    one.assignment.map(TopicPartition.key).join(",")
                  ])
              }
            })
      )
    })
  )
).pipe(Command.withDescription("Groups with their members"))

const remove = Command.make("delete", { names, ...flags, json, dryRun: Confirm.dryRun, yes: Confirm.yes }, (given) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      if (given.dryRun) {
        yield* Show.spoken("DeleteGroups")
        const described = yield* admin.describeGroups(given.names)
        const answers = described.map(
          Result.flatMap((one): Answer<void> =>
            one.members.length === 0 ? Result.void : Result.fail(hasMembers(one.group, one))
          )
        )
        return yield* Show.changed(given.json, "would delete", given.names, answers, String)
      }
      yield* Confirm.wanted(`delete ${given.names.join(", ")} with all offsets`, given.yes)
      yield* Show.changed(given.json, "deleted", given.names, yield* admin.deleteGroups(given.names), String)
    })
  )
).pipe(Command.withDescription("Deletes groups that have no members"))

export const groups = Command.make("groups").pipe(
  Command.withDescription("Groups: list, describe, delete"),
  Command.withSubcommands([list, describe, remove]),
  Command.withExamples([
    { command: "samsa groups list", description: "All, with their states" },
    { command: "samsa groups describe billing", description: "Its members, and what each has" }
  ])
)

const topic = Argument.String("topic")

/** Where partitions of a topic are at a position. */
export const showing = (given: Connection.Given, json: boolean, topic: string, at: string) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      const wanted = Positions.position(at)
      if (wanted === undefined || (typeof wanted === "object" && "_tag" in wanted && wanted._tag === "At"))
        return yield* wrong(`${at} is no position to look up: ${Positions.lookedUp}`)
      const spec: OffsetSpec =
        typeof wanted === "object" && "ago" in wanted
          ? Offset.atTime((yield* Clock.currentTimeMillis) - wanted.ago)
          : (wanted as OffsetSpec)
      const [described] = yield* admin.describeTopics([topic]).pipe(orFail)
      const queries = described!.partitions.map(({ partition }) => ({ topic, partition, at: spec }))
      yield* Show.answers(queries, yield* admin.listOffsets(queries), TopicPartition.key, (found) =>
        Show.rows(json, found, ["PARTITION", "OFFSET"], ({ offset, partition }) => [partition, offset])
      )
    })
  )

const offsetsOf = Command.make(
  "list",
  {
    topic,
    at: Argument.String("position").pipe(Argument.withDescription(Positions.lookedUp), Argument.withDefault("latest")),
    ...flags,
    json
  },
  (given) => showing(given, given.json, given.topic, given.at)
).pipe(Command.withDescription("Where a topic begins, ends, or has a time"))

/** Has a group go on elsewhere. */
export const resetting = (
  given: Connection.Given,
  group: string,
  to: string,
  options: {
    readonly topics?: ReadonlyArray<string>
    readonly dryRun: boolean
    readonly yes: boolean
    readonly json: boolean
  }
) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      const position = Positions.reset(to)
      if (position === undefined)
        return yield* wrong(`${to} is no position: ${Positions.likeThis}, +10 or -10 (records)`)
      const topics = options.topics === undefined || options.topics.length === 0 ? undefined : options.topics
      const wanted = { to: position, topics }
      // A name that is misspelt is such a group too, and one that has gone since it was asked about.
      const nothing = failed(
        `${Output.printable(group)} has committed nothing that could be reset: samsa groups list shows those that there are, --topic says which partitions of a new one`
      )
      const planned = yield* admin.resetGroupOffsets(group, { ...wanted, dryRun: true }).pipe(orFail)
      if (planned.length === 0) return yield* nothing
      if (!options.dryRun) yield* Confirm.wanted(`reset ${planned.length} offsets of ${group} to ${to}`, options.yes)
      const show = (done: ReadonlyArray<ResetOffset>) =>
        Show.rows(options.json, done, ["TOPIC", "PARTITION", "FROM", "TO"], (one) => [
          one.topic,
          one.partition,
          one.from,
          one.to
        ])
      if (options.dryRun) {
        yield* show(planned)
        return yield* Console.error("nothing was reset: --dry-run")
      }
      const done = yield* admin.resetGroupOffsets(group, wanted)
      if (done.length === 0) return yield* nothing
      // Of one that is refused the failure says which.
      yield* Show.answers(
        done.map(() => group),
        done,
        String,
        show
      )
    })
  )

const reset = Command.make(
  "reset",
  {
    group: Argument.String("group"),
    to: Argument.String("position").pipe(
      Argument.withDescription(`${Positions.likeThis}; +10 or -10 for records on or back`)
    ),
    ...flags,
    topics: Flag.String("topic").pipe(
      Flag.withAlias("t"),
      Flag.withDescription("All partitions of it; may be given several times. Default: all that is committed"),
      Flag.atLeast(0)
    ),
    json,
    dryRun: Confirm.dryRun,
    yes: Confirm.yes
  },
  (given) => resetting(given, given.group, given.to, given)
).pipe(
  Command.withDescription("Has a group that has no members go on elsewhere"),
  Command.withExamples([
    { command: "samsa offsets reset billing 2h --dry-run", description: "Where billing was two hours ago" },
    { command: "samsa offsets reset billing earliest -t orders --yes", description: "orders from the beginning" }
  ])
)

export const offsets = Command.make("offsets").pipe(
  Command.withDescription("Offsets: list those of a topic, reset those of a group"),
  Command.withSubcommands([offsetsOf, reset]),
  Command.withExamples([
    { command: "samsa offsets list orders 2026-01-31T12:00:00", description: "Where that time is in each partition" },
    { command: "samsa offsets reset billing 2h --dry-run", description: "Where billing was two hours ago" }
  ])
)
