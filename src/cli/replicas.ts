/** `samsa reassign`, `samsa elect`: where replicas are, and which of them leads. */
import { readFileSync } from "node:fs"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { Admin, type Answer, orFail } from "../Admin.ts"
import * as Failure from "../admin/Failure.ts"
import { mistakes } from "../admin/Reassignments.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Confirm from "./Confirm.ts"
import * as Connection from "./Connection.ts"
import { failed, wrong } from "./Failed.ts"
import * as Output from "./Output.ts"
import * as Progress from "./Progress.ts"
import * as Show from "./Show.ts"
import * as Stopped from "./Stopped.ts"
import * as Targets from "./targets.ts"

const { flags, jsonFlag: json } = Connection

type Placement = NonNullable<ReturnType<typeof Targets.placement>>

/** The partitions that there are of these topics; fails with those that are wanted and are not among them. */
const existing = (wanted: ReadonlyArray<TopicPartition.TopicPartition>) =>
  Effect.gen(function* () {
    const admin = yield* Admin
    const described = yield* admin.describeTopics([...new Set(wanted.map(({ topic }) => topic))]).pipe(orFail)
    const all = new Map(
      described.flatMap(({ name, partitions }) =>
        partitions.map((one) => [TopicPartition.key({ topic: name, partition: one.partition }), one])
      )
    )
    const missing = wanted.map(TopicPartition.key).filter((key) => !all.has(key))
    if (missing.length > 0) return yield* failed(missing.map((key) => `${key}: there is no such partition`).join("\n"))
    return all
  })

/** Words as what they stand for; fails with those that do not. */
const each = <A>(texts: ReadonlyArray<string>, of: (text: string) => A | undefined, like: string) =>
  Effect.gen(function* () {
    const all: Array<A> = []
    for (const text of texts) {
      const one = of(text)
      if (one === undefined) return yield* wrong(`${text} must be like ${like}`)
      all.push(one)
    }
    return all
  })

const partitions = Argument.String("partition").pipe(Argument.withDescription("Like orders-0"), Argument.atLeast(1))

const list = Command.make("list", { ...flags, json }, (given) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      const moving = yield* admin.listReassignments()
      yield* Show.rows(given.json, moving, ["TOPIC", "PARTITION", "REPLICAS", "ADDING", "REMOVING"], (one) => [
        one.topic,
        one.partition,
        one.replicas.join(","),
        one.adding.join(","),
        one.removing.join(",")
      ])
    })
  )
).pipe(Command.withDescription("What is under way"))

/** Fails where replicas are not where they were to be, though nothing moves: somebody has ended that, or moved them on. */
const arrived = (wanted: ReadonlyArray<Placement>) =>
  Effect.gen(function* () {
    const now = yield* existing(wanted)
    const elsewhere = wanted.flatMap((one) => {
      const key = TopicPartition.key(one)
      const are = now.get(key)!.replicas.join(",")
      return are === one.replicas.join(",")
        ? []
        : [`${key}: nothing moves any more, and its replicas are ${are}: it was cancelled, or moved elsewhere`]
    })
    if (elsewhere.length > 0) return yield* failed(elsewhere.join("\n"))
  }).pipe(
    // A broker may hear of it a moment later than the controller, which was asked what moves.
    Effect.retry({ while: (error) => error._tag === "Failed", schedule: Schedule.spaced("200 millis"), times: 25 })
  )

/** Waits until all of them have moved; `--timeout` is about each question, not about the whole. */
const settled = (wanted: ReadonlyArray<Placement>) =>
  Effect.gen(function* () {
    const admin = yield* Admin
    const progress = yield* Progress.make()
    yield* Effect.gen(function* () {
      for (;;) {
        const left = yield* admin.listReassignments(wanted)
        if (left.length === 0) return yield* arrived(wanted)
        yield* progress.show(() => `${wanted.length - left.length} of ${wanted.length} partitions have moved`)
        yield* Effect.sleep("500 millis")
      }
    }).pipe(Effect.ensuring(progress.clear))
  })

/** Of two places for a partition none is the one that is meant. */
const once = (wanted: ReadonlyArray<Placement>) => {
  const keys = wanted.map(TopicPartition.key)
  const twice = keys.find((key, i) => keys.indexOf(key) < i)
  return twice === undefined ? Effect.succeed(wanted) : wrong(`${twice} is named twice`)
}

/** What is asked for: a file of Java's form, or words. */
const planned = (given: { readonly words: ReadonlyArray<string>; readonly file: Option.Option<string> }) =>
  Effect.gen(function* () {
    const words = yield* each(given.words, Targets.placement, "orders-0=1,2,3")
    if (Option.isNone(given.file)) return yield* once(words)
    const file = given.file.value
    const text = yield* Effect.try({
      try: () => readFileSync(file, "utf8"),
      catch: (error) => wrong(`--file: ${(error as Error).message}`, error)
    })
    const plan = Targets.plan(text)
    if (plan === undefined)
      return yield* wrong(
        `${file} must be like {"partitions":[{"topic":"orders","partition":0,"replicas":[1,2,3]}]}, with no log_dirs but any`
      )
    return yield* once([...words, ...plan])
  })

const start = Command.make(
  "start",
  {
    words: Argument.String("placement").pipe(
      Argument.withDescription("Like orders-0=1,2,3: the partition's brokers, the preferred leader first"),
      Argument.atLeast(0)
    ),
    ...flags,
    json,
    file: Flag.String("file").pipe(
      Flag.withDescription("A plan in the form of kafka-reassign-partitions"),
      Flag.optional
    ),
    wait: Flag.Boolean("wait").pipe(Flag.withDescription("Wait until all have moved"), Flag.withDefault(false)),
    dryRun: Confirm.dryRun,
    yes: Confirm.yes
  },
  (given) =>
    Effect.gen(function* () {
      const wanted = yield* planned(given)
      if (wanted.length === 0) return yield* wrong("what is to move? orders-0=1,2,3 or --file says")
      yield* Connection.connected(
        given,
        Effect.gen(function* () {
          const admin = yield* Admin
          const now = yield* existing(wanted)
          if (given.dryRun) {
            yield* Show.spoken("AlterPartitionReassignments")
            const answers = wanted.map((one): Answer<void> => {
              const found = mistakes(one)
              return found.length === 0 ? Result.void : Result.fail(Failure.mistakes(found))
            })
            yield* Show.answers(wanted, answers, TopicPartition.key)
            const { brokers } = yield* admin.describeCluster()
            const unknown = wanted.flatMap((one) =>
              one.replicas
                .filter((id) => !brokers.some((broker) => broker.id === id))
                .map((id) => `${TopicPartition.key(one)}: no broker ${id} is up`)
            )
            if (unknown.length > 0) return yield* failed(unknown.join("\n"))
            return yield* Show.rows(
              given.json,
              wanted.map((one) => ({ ...one, from: now.get(TopicPartition.key(one))?.replicas })),
              ["TOPIC", "PARTITION", "FROM", "TO"],
              (one) => [one.topic, one.partition, one.from?.join(","), one.replicas.join(",")]
            )
          }
          yield* Confirm.wanted(`move the replicas of ${wanted.length} partitions`, given.yes)
          const answers = yield* admin.reassignPartitions(wanted)
          if (given.wait) yield* Stopped.toItsEnd
          yield* Show.changed(given.json, "moving", wanted, answers, TopicPartition.key)
          if (given.wait) yield* settled(wanted)
        })
      )
    })
).pipe(
  Command.withDescription("Begins to move replicas; it goes on after the answer"),
  Command.withExamples([
    { command: "samsa reassign start orders-0=1,2,3 orders-1=2,3,1 --wait", description: "Moves, and waits for it" },
    { command: "samsa reassign start --file plan.json --dry-run", description: "What a plan would move" }
  ])
)

const cancelFlags = { ...flags, json, dryRun: Confirm.dryRun, yes: Confirm.yes }

const cancel = Command.make("cancel", { partitions, ...cancelFlags }, (given) =>
  Effect.gen(function* () {
    const wanted = Targets.distinctPlaces(yield* each(given.partitions, Targets.partition, "orders-0"))
    yield* Connection.connected(
      given,
      Effect.gen(function* () {
        const admin = yield* Admin
        if (given.dryRun) {
          const moving = new Set((yield* admin.listReassignments(wanted)).map(TopicPartition.key))
          const idle = wanted.map(TopicPartition.key).filter((key) => !moving.has(key))
          if (idle.length > 0) return yield* failed(idle.map((key) => `${key}: nothing is under way`).join("\n"))
          return yield* Show.done(given.json, "would cancel", [...moving])
        }
        yield* Confirm.wanted(`have ${given.partitions.join(", ")} stay where they were`, given.yes)
        const changes = wanted.map((one) => ({ ...one, replicas: null }))
        const answers = yield* admin.reassignPartitions(changes)
        yield* Show.changed(given.json, "cancelled", changes, answers, TopicPartition.key)
      })
    )
  })
).pipe(Command.withDescription("Ends what is under way: replicas stay where they were"))

export const reassign = Command.make("reassign").pipe(
  Command.withDescription("Where replicas are: list what moves, start, cancel"),
  Command.withSubcommands([list, start, cancel]),
  Command.withExamples([
    { command: "samsa reassign list", description: "What moves now" },
    {
      command: "samsa reassign start orders-0=1,2,3 --wait --yes",
      description: "To these brokers, the first of which leads"
    }
  ])
)

export const elect = Command.make(
  "elect",
  {
    partitions: Argument.String("partition").pipe(
      Argument.withDescription("Like orders-0; a topic stands for all of its partitions"),
      Argument.atLeast(1)
    ),
    ...flags,
    unclean: Flag.Boolean("unclean").pipe(
      Flag.withDescription("Any replica that lives, where none is in sync: records may be lost"),
      Flag.withDefault(false)
    ),
    json,
    dryRun: Confirm.dryRun,
    yes: Confirm.yes
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        const admin = yield* Admin
        const topics = new Map((yield* admin.listTopics({ internal: true })).map((one) => [one.name, one.partitions]))
        const named: Array<{ readonly topic: string; readonly partition: number }> = []
        for (const word of given.partitions) {
          const count = topics.get(word)
          const one = Targets.partition(word)
          if (count !== undefined)
            for (let partition = 0; partition < count; partition++) named.push({ topic: word, partition })
          else if (one !== undefined) named.push(one)
          else return yield* wrong(`${word} must be a topic that there is, or like orders-0`)
        }
        const wanted = Targets.distinctPlaces(named)
        if (given.dryRun) {
          yield* Show.spoken("ElectLeaders", given.unclean ? 1 : 0)
          yield* existing(wanted)
          return yield* Show.done(given.json, "would elect a leader of", wanted.map(TopicPartition.key))
        }
        if (given.unclean)
          yield* Confirm.wanted(`elect leaders of ${given.partitions.join(", ")} though records may be lost`, given.yes)
        const elected = yield* admin.electLeaders(wanted, { type: given.unclean ? "unclean" : "preferred" })
        const lines = wanted.flatMap((one, i) => {
          const answer = elected[i]!
          return answer._tag === "Success" ? [{ ...one, result: answer.success }] : []
        })
        yield* Show.answers(wanted, elected, TopicPartition.key, () =>
          given.json
            ? Show.rows(true, lines, [], () => [])
            : Effect.forEach(
                lines,
                (one) => Console.log(Output.printable(`${TopicPartition.key(one)}: ${one.result}`)),
                {
                  discard: true
                }
              )
        )
      })
    )
).pipe(
  Command.withDescription("Has the first replicas lead again"),
  Command.withExamples([{ command: "samsa elect orders payments-3", description: "All of orders, one of payments" }])
)
