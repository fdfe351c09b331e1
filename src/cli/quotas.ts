/** `samsa quotas`: how much clients may. */
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { Admin } from "../Admin.ts"
import * as Confirm from "./Confirm.ts"
import * as Connection from "./Connection.ts"
import { wrong } from "./Failed.ts"
import * as Show from "./Show.ts"
import * as Targets from "./targets.ts"

const { flags, jsonFlag: json } = Connection

const list = Command.make(
  "list",
  {
    words: Argument.String("entity").pipe(
      Argument.withDescription("user, client-id, ip: those that have it; with =NAME that one"),
      Argument.atLeast(0)
    ),
    ...flags,
    default: Flag.Boolean("default").pipe(
      Flag.withDescription("A kind without a name is the default of all, in place of any"),
      Flag.withDefault(false)
    ),
    json
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        const admin = yield* Admin
        const { entity, mistakes, remove, set } = Targets.quotas(given.words)
        if (mistakes.length > 0 || remove.length > 0 || Object.keys(set).length > 0)
          return yield* wrong(mistakes[0] ?? "only entities can be asked for: user, client-id, ip")
        const kinds = Object.fromEntries(
          Object.entries(entity).map(([kind, name]) => [kind, name === null && !given.default ? { any: true } : name])
        )
        const quotas = yield* admin.describeQuotas({ kinds })
        yield* given.json
          ? Show.rows(true, quotas, [], () => [])
          : Show.rows(
              false,
              quotas.flatMap(({ entity, quotas }) =>
                Object.entries(quotas).map(([name, value]) => ({ entity, name, value }))
              ),
              ["ENTITY", "QUOTA", "VALUE"],
              (one) => [Targets.entity(one.entity), one.name, one.value]
            )
      })
    )
).pipe(Command.withDescription("Quotas, all or of some entities"))

const set = Command.make(
  "set",
  {
    words: Argument.String("word").pipe(
      Argument.withDescription(
        "Whom: user, client-id, ip, with =NAME or alone for the default of all; what: QUOTA=NUMBER sets, QUOTA- removes"
      ),
      Argument.atLeast(2)
    ),
    ...flags,
    json,
    dryRun: Confirm.dryRun
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        const admin = yield* Admin
        const { mistakes, ...change } = Targets.quotas(given.words)
        if (mistakes.length > 0) return yield* wrong(mistakes.join("; "))
        if (Object.keys(change.entity).length === 0) return yield* wrong("whose? user, client-id or ip says")
        if (Object.keys(change.set).length + change.remove.length === 0)
          return yield* wrong("what? QUOTA=NUMBER or QUOTA- says")
        const done = yield* admin.alterQuotas([change], { validateOnly: given.dryRun })
        yield* Show.changed(given.json, given.dryRun ? "would set" : "set", [given.words.join(" ")], done, String)
      })
    )
).pipe(
  Command.withDescription("Sets and removes quotas; the others stay"),
  Command.withExamples([
    { command: "samsa quotas set user=alice producer_byte_rate=1048576", description: "1 MiB a second" },
    {
      command: "samsa quotas set user client-id=app consumer_byte_rate-",
      description: "… no more, for app of any user"
    }
  ])
)

export const command = Command.make("quotas").pipe(
  Command.withDescription("Quotas of clients: list, set"),
  Command.withSubcommands([list, set]),
  Command.withExamples([
    { command: "samsa quotas list", description: "All that are set" },
    { command: "samsa quotas set user=alice producer_byte_rate=1048576", description: "1 MiB a second for alice" }
  ])
)
