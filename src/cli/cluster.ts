/** `samsa brokers`, `samsa apis`, `samsa config`: the cluster, what it speaks, and its settings. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { Admin, orFail, type ResourceType } from "../Admin.ts"
import * as Confirm from "./Confirm.ts"
import * as Connection from "./Connection.ts"
import { wrong } from "./Failed.ts"
import * as Show from "./Show.ts"
import * as Targets from "./targets.ts"

const { flags, jsonFlag: json } = Connection

export const brokers = Command.make("brokers", { ...flags, json }, (given) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      const cluster = yield* admin.describeCluster()
      if (given.json) return yield* Show.rows(true, [cluster], [], () => [])
      yield* Console.log(`cluster ${cluster.clusterId ?? "without an id"}`)
      yield* Show.rows(false, cluster.brokers, ["BROKER", "ADDRESS", "RACK", "CONTROLLER"], (one) => [
        one.id,
        `${one.host}:${one.port}`,
        one.rack,
        one.id === cluster.controller ? "yes" : ""
      ])
    })
  )
).pipe(
  Command.withDescription("The cluster's brokers"),
  Command.withExamples([{ command: "samsa brokers --json", description: "For programs" }])
)

export const apis = Command.make("apis", { ...flags, json }, (given) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      const { brokers } = yield* admin.describeCluster()
      const all = yield* admin.brokerApis(brokers.map(({ id }) => id)).pipe(orFail)
      yield* Show.rows(
        given.json,
        all.flatMap(({ apis, broker }) => apis.map((one) => ({ broker, ...one }))),
        ["BROKER", "KEY", "API", "THEIRS", "OURS"],
        (one) => [
          one.broker,
          one.key,
          one.name,
          `${one.min}-${one.max}`,
          one.ours === undefined ? undefined : `${one.ours.min}-${one.ours.max}`
        ]
      )
    })
  )
).pipe(
  Command.withDescription("What each broker speaks, beside what this client does"),
  Command.withExamples([{ command: "samsa apis | grep Fetch", description: "Of one API" }])
)

const resource = {
  type: Argument.Literals("type", ["topic", "broker", "broker-logger", "client-metrics", "group"]),
  name: Argument.String("name").pipe(
    Argument.withDescription("The topic, the broker's id, the group; * for all brokers")
  )
}

const resourceOf = ({ name, type }: { readonly name: string; readonly type: string }) => ({
  type: type as ResourceType,
  name: type === "broker" && name === "*" ? "" : name
})

const get = Command.make(
  "get",
  {
    ...resource,
    ...flags,
    all: Flag.Boolean("all").pipe(Flag.withDescription("Defaults too"), Flag.withDefault(false)),
    json
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        const admin = yield* Admin
        const [described] = yield* admin.describeConfigs([resourceOf(given)]).pipe(orFail)
        const entries = described!.entries.filter(({ isDefault }) => given.all || !isDefault)
        yield* Show.rows(given.json, entries, ["SETTING", "VALUE", "FROM"], (one) => [
          one.name,
          one.sensitive ? "(hidden)" : one.value,
          one.source
        ])
      })
    )
).pipe(Command.withDescription("Settings that are not defaults, or with --all every one"))

const set = Command.make(
  "set",
  {
    ...resource,
    changes: Argument.String("change").pipe(
      Argument.withDescription(
        "NAME=VALUE sets, NAME+=VALUE and NAME-=VALUE change a list, NAME- takes back the default"
      ),
      Argument.atLeast(1)
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
        const { mistakes, ...changes } = Targets.changes(given.changes)
        if (mistakes.length > 0) return yield* wrong(mistakes[0]!)
        const wanted = [{ ...resourceOf(given), ...changes }]
        const done = yield* admin.alterConfigs(wanted, { validateOnly: given.dryRun })
        const word = given.dryRun ? "would change" : "changed"
        yield* Show.changed(given.json, word, wanted, done, ({ type }) => `${type} ${given.name}`)
      })
    )
).pipe(
  Command.withDescription("Changes settings; the others stay"),
  Command.withExamples([
    {
      command: "samsa config set topic orders retention.ms=86400000 cleanup.policy-",
      description: "One set, one default"
    }
  ])
)

export const config = Command.make("config").pipe(
  Command.withDescription("Settings: get, set"),
  Command.withSubcommands([get, set]),
  Command.withExamples([
    { command: "samsa config get topic orders", description: "What is set there" },
    { command: "samsa config set topic orders retention.ms=86400000", description: "A day" }
  ])
)
