/** `samsa transactions`: which there are, who writes, and ending what hangs. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { Admin, orFail } from "../Admin.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Confirm from "./Confirm.ts"
import * as Connection from "./Connection.ts"
import { failed, wrong } from "./Failed.ts"
import * as Show from "./Show.ts"
import * as Targets from "./targets.ts"

const { flags, jsonFlag: json } = Connection

const time = (millis: number | undefined): string | undefined =>
  millis === undefined ? undefined : new Date(millis).toISOString()

const list = Command.make(
  "list",
  {
    ...flags,
    states: Flag.String("state").pipe(
      Flag.withDescription("Such as Ongoing; may be given several times. Default: any"),
      Flag.atLeast(0)
    ),
    longer: Flag.Int("longer-than").pipe(
      Flag.withMetavar("SECONDS"),
      Flag.withDescription("Those that are open for longer (from 3.8 on)"),
      Flag.optional
    ),
    json
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        const admin = yield* Admin
        const longerThan = Option.getOrUndefined(Option.map(given.longer, (seconds) => seconds * 1000))
        if (longerThan !== undefined && !(longerThan >= 0 && Number.isSafeInteger(longerThan)))
          return yield* wrong(`--longer-than must be a number of seconds from 0 on, not ${longerThan / 1000}`)
        const found = yield* admin.listTransactions({ states: given.states, longerThan })
        yield* Show.rows(given.json, found, ["TRANSACTIONAL ID", "STATE", "PRODUCER", "COORDINATOR"], (one) => [
          one.transactionalId,
          one.state,
          one.producerId,
          one.coordinator
        ])
      })
    )
).pipe(Command.withDescription("Transactional ids with their states"))

const describe = Command.make(
  "describe",
  {
    ids: Argument.String("id").pipe(
      Argument.withDescription("Transactional ids"),
      Argument.atLeast(1),
      Argument.map(Targets.distinct)
    ),
    ...flags,
    json
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        const admin = yield* Admin
        yield* Show.answers(given.ids, yield* admin.describeTransactions(given.ids), String, (found) =>
          Show.rows(
            given.json,
            found,
            ["TRANSACTIONAL ID", "STATE", "PRODUCER", "EPOCH", "TIMEOUT MS", "BEGAN", "PARTITIONS"],
            (one) => [
              one.transactionalId,
              one.state,
              one.producerId,
              one.producerEpoch,
              one.timeout,
              time(one.startedAt),
              one.partitions.map(TopicPartition.key).join(",")
            ]
          )
        )
      })
    )
).pipe(Command.withDescription("Transactional ids with what is open of them"))

const producers = Command.make(
  "producers",
  {
    partitions: Argument.String("partition").pipe(Argument.withDescription("Like orders-0"), Argument.atLeast(1)),
    ...flags,
    json
  },
  (given) =>
    Effect.gen(function* () {
      const wanted = given.partitions.map(Targets.partition)
      const known = Targets.distinctPlaces(wanted.filter((one) => one !== undefined))
      if (wanted.includes(undefined))
        return yield* wrong(`${given.partitions[wanted.indexOf(undefined)]} must be like orders-0`)
      yield* Connection.connected(
        given,
        Effect.gen(function* () {
          const admin = yield* Admin
          yield* Show.answers(known, yield* admin.describeProducers(known), TopicPartition.key, (found) =>
            Show.rows(
              given.json,
              found.flatMap(({ partition, producers, topic }) =>
                producers.map((one) => ({ topic, partition, ...one }))
              ),
              ["TOPIC", "PARTITION", "PRODUCER", "EPOCH", "LAST SEQUENCE", "LAST WRITTEN", "OPEN FROM"],
              (one) => [
                one.topic,
                one.partition,
                one.producerId,
                one.producerEpoch,
                one.lastSequence,
                time(one.lastTimestamp),
                one.transactionStart
              ]
            )
          )
        })
      )
    })
).pipe(Command.withDescription("Who writes to partitions, and from where a transaction is open"))

const abort = Command.make(
  "abort",
  {
    partition: Argument.String("partition").pipe(Argument.withDescription("Like orders-0")),
    start: Argument.Int("offset").pipe(
      Argument.withDescription("Where the transaction begins, as `transactions producers` tells (OPEN FROM)")
    ),
    ...flags,
    json,
    dryRun: Confirm.dryRun,
    yes: Confirm.yes
  },
  (given) =>
    Effect.gen(function* () {
      const wanted = Targets.partition(given.partition)
      if (wanted === undefined) return yield* wrong(`${given.partition} must be like orders-0`)
      yield* Connection.connected(
        given,
        Effect.gen(function* () {
          const admin = yield* Admin
          const [found] = yield* admin.describeProducers([wanted]).pipe(orFail)
          const producer = found!.producers.find(({ transactionStart }) => transactionStart === given.start)
          if (producer === undefined)
            return yield* failed(`no transaction of ${given.partition} begins at ${given.start}`)
          const what = `the transaction of producer ${producer.producerId} in ${given.partition} from ${given.start} on`
          if (given.dryRun) return yield* Show.done(given.json, "would abort", [what])
          yield* Confirm.wanted(`abort ${what}`, given.yes)
          // Before a coordinator wrote anything of it, its epoch is unknown (-1): 0 is what Java's tool sends then.
          const hanging = {
            ...wanted,
            producerId: producer.producerId,
            producerEpoch: producer.producerEpoch,
            coordinatorEpoch: Math.max(0, producer.coordinatorEpoch)
          }
          yield* Show.changed(given.json, "aborted", [what], yield* admin.abortTransactions([hanging]), String)
        })
      )
    })
).pipe(
  Command.withDescription("Ends a transaction that hangs in a partition: its records are never read as committed"),
  Command.withExamples([{ command: "samsa transactions abort orders-0 4711 --dry-run", description: "Which that is" }])
)

export const command = Command.make("transactions").pipe(
  Command.withDescription("Transactions: list, describe, producers, abort"),
  Command.withSubcommands([list, describe, producers, abort]),
  Command.withExamples([
    { command: "samsa transactions list --longer-than 60", description: "Open for more than a minute" },
    { command: "samsa transactions producers orders-0", description: "Who writes there, and what is open" }
  ])
)
