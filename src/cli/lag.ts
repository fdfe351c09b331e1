/** `samsa lag`: how far groups are behind, once or again and again. */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import { Admin, type Answer, type GroupLag, orFail } from "../Admin.ts"
import { listed } from "../Listed.ts"
import * as Bars from "./Bars.ts"
import * as Connection from "./Connection.ts"
import { defaulting } from "./Defaulting.ts"
import { explained, wrong } from "./Failed.ts"
import * as Output from "./Output.ts"
import * as Show from "./Show.ts"
import * as Targets from "./targets.ts"
import * as Stopped from "./Stopped.ts"

const { flags, jsonFlag: json } = Connection

const show = (asJson: boolean, lags: ReadonlyArray<GroupLag>) =>
  asJson
    ? Show.rows(true, lags, [], () => [])
    : Effect.gen(function* () {
        for (const one of lags) {
          const { partitions } = one
          yield* Console.log(Output.printable(Bars.summary(one)))
          if (partitions.length > 0)
            yield* Show.rows(
              false,
              partitions,
              ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "CLIENT"],
              (one) => [
                one.topic,
                one.partition,
                one.committed,
                one.end,
                one.lag === undefined ? undefined : { text: one.lag, style: one.lag === 0 ? "good" : "warn" },
                one.member?.memberId,
                one.member?.clientId
              ]
            )
        }
      })

/** Of one topic alone. */
const within = (topic: string | undefined, lags: ReadonlyArray<GroupLag>): ReadonlyArray<GroupLag> =>
  topic === undefined
    ? lags
    : lags.map((one) => {
        const partitions = one.partitions.filter((partition) => partition.topic === topic)
        return { ...one, partitions, total: partitions.reduce((sum, { lag }) => sum + (lag ?? 0), 0) }
      })

/** The groups that are asked about, with their answers. Of all groups share groups are left out, which `left` says. */
const asked = (groups: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const admin = yield* Admin
    const all = groups.length > 0 ? groups.map((group) => ({ group, type: "" })) : yield* admin.listGroups()
    const shared = all.filter(({ type }) => type === "share").map(({ group }) => group)
    const names = all.filter(({ type }) => type !== "share").map(({ group }) => group)
    const left =
      shared.length === 0
        ? undefined
        : Output.printable(`left out, as share groups commit no offsets: ${listed(shared, 10)}`)
    return { names, left, answers: yield* admin.groupLag(names) }
  })

/** A name that is misspelt is no topic that nobody is behind in. */
const knowing = (topic: string | undefined) =>
  topic === undefined
    ? Effect.void
    : Effect.flatMap(Admin, (admin) => Effect.asVoid(admin.describeTopics([topic]).pipe(orFail)))

/** How far groups are behind (none: all of them); with a topic, in that alone. */
export const lagging = (given: Connection.Given, json: boolean, groups: ReadonlyArray<string>, topic?: string) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      yield* knowing(topic)
      const { answers, left, names } = yield* asked(groups)
      if (left !== undefined) yield* Console.error(left)
      yield* Show.answers(names, answers, String, (lags) => show(json, within(topic, lags)))
    })
  )

const found = (answers: ReadonlyArray<Answer<GroupLag>>): ReadonlyArray<GroupLag> =>
  answers.flatMap((one) => (one._tag === "Success" ? [one.success] : []))

/** A line for each partition, with the time. */
const plain = ({ at, lags }: Bars.Seen): ReadonlyArray<string> =>
  lags.flatMap(({ group, partitions }) =>
    partitions.map(({ committed, end, lag, partition, topic }) =>
      Output.printable(
        [new Date(at).toISOString(), group, topic, partition, committed ?? "-", end, lag ?? "-"].join(" ")
      )
    )
  )

/** Again and again, until a signal ends it; what fails meanwhile is told, and asked again. */
const watching = (
  given: Connection.Given,
  options: {
    readonly groups: ReadonlyArray<string>
    readonly topic: string | undefined
    readonly json: boolean
    readonly every: number
  }
) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      if (!(options.every >= 0.1 && options.every <= 86_400))
        return yield* wrong(`--every must be from 0.1 to 86400 seconds, not ${options.every}`)
      yield* knowing(options.topic)
      const { canAnimate, canColor } = yield* TerminalCapabilities
      const drawn = canAnimate && !options.json
      yield* Stopped.untilStopped
      let before: Bars.Seen | undefined
      let leftBefore: string | undefined
      let full = 0
      const look = Effect.gen(function* () {
        const { answers, left, names } = yield* asked(options.groups)
        const now: Bars.Seen = { at: yield* Clock.currentTimeMillis, lags: within(options.topic, found(answers)) }
        const refused = Show.refusal(names, answers, String)
        full = now.lags.reduce(
          (most, { partitions }) => partitions.reduce((most, { lag }) => Math.max(most, lag ?? 0), most),
          full
        )
        if (drawn) {
          const screen = { columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24, color: canColor }
          const lines = [
            ...Bars.lines(now, before, full, screen),
            ...(left === undefined ? [] : [Output.paint(left.slice(0, screen.columns), "dim", canColor)]),
            ...(refused === undefined ? [] : [Output.paint(refused.message, "bad", canColor)])
          ]
          // From the top of the screen, each line to its end, then what is left below.
          yield* Console.log(`\u001b[H${lines.map((line) => `${line}\u001b[K`).join("\n")}\u001b[J`)
        } else if (options.json)
          yield* Effect.forEach(now.lags, (one) => Console.log(Output.json({ at: now.at, ...one })), { discard: true })
        else yield* Effect.forEach(plain(now), (line) => Console.log(line), { discard: true })
        if (refused !== undefined && !drawn) yield* Console.error(refused.message)
        if (left !== leftBefore && left !== undefined && !drawn) yield* Console.error(left)
        leftBefore = left
        before = now
      })
      if (drawn) yield* Console.log("\u001b[2J")
      return yield* look.pipe(
        Effect.catchTag("KafkaError", (error) => Console.error(Output.printable(explained(error)))),
        Effect.andThen(Effect.sleep(`${options.every * 1000} millis`)),
        Effect.forever
      )
    })
  )

export const command = Command.make(
  "lag",
  {
    names: Argument.String("group").pipe(
      Argument.withDescription("Names of groups. Default: all"),
      Argument.atLeast(0),
      Argument.map(Targets.distinct)
    ),
    ...flags,
    topic: Flag.String("topic").pipe(Flag.withAlias("t"), Flag.withDescription("In this topic alone"), Flag.optional),
    watch: Flag.Boolean("watch").pipe(
      Flag.withAlias("w"),
      Flag.withDescription("Again and again until it is interrupted: bars on a terminal, lines elsewhere"),
      Flag.withDefault(false)
    ),
    every: Flag.Finite("every").pipe(Flag.withMetavar("SECONDS"), defaulting("How often, with --watch", 2)),
    json
  },
  (given) => {
    const topic = Option.getOrUndefined(given.topic)
    return given.watch
      ? watching(given, { groups: given.names, topic, json: given.json, every: given.every })
      : lagging(given, given.json, given.names, topic)
  }
).pipe(
  Command.withDescription("How far groups are behind"),
  Command.withExamples([
    { command: "samsa lag billing --json", description: "A line of JSON" },
    { command: "samsa lag --watch", description: "All groups, every two seconds" }
  ])
)
