/** `samsa acls`: who may do what. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { type Acl, type AclFilter, Admin, type Answer, type NewAcl, orFail } from "../Admin.ts"
import { mistakes } from "../admin/Acls.ts"
import * as Failure from "../admin/Failure.ts"
import { grantable } from "../admin/Operations.ts"
import * as Confirm from "./Confirm.ts"
import * as Connection from "./Connection.ts"
import { defaulting } from "./Defaulting.ts"
import { wrong } from "./Failed.ts"
import * as Output from "./Output.ts"
import * as Show from "./Show.ts"
import * as Targets from "./targets.ts"

const { flags, jsonFlag: json } = Connection

const resources = ["topic", "group", "cluster", "transactional-id", "delegation-token", "user"] as const
const from = ({ host = "*" }: Acl | NewAcl): string => (host === "*" ? "" : ` from ${host}`)
const words = (rule: Acl | NewAcl): string =>
  `${rule.permission ?? "allow"} ${rule.principal} ${rule.operation} on ${rule.pattern ?? "literal"} ${rule.resource} ${rule.name}${from(rule)}`

const show = (asJson: boolean, rules: ReadonlyArray<Acl>) =>
  Show.rows(asJson, rules, ["RESOURCE", "NAME", "PATTERN", "PRINCIPAL", "HOST", "OPERATION", "PERMISSION"], (one) => [
    one.resource,
    one.name,
    one.pattern,
    one.principal,
    one.host,
    one.operation,
    one.permission
  ])

/** Which rules: all that fit what is given. */
const filter = {
  resource: Flag.Literals("resource", resources).pipe(Flag.withDescription("What they are about"), Flag.optional),
  name: Flag.String("name").pipe(Flag.withDescription("Its name"), Flag.optional),
  pattern: Flag.Literals("pattern", ["literal", "prefixed", "match"]).pipe(
    Flag.withDescription("How the name is meant; match: all rules that apply to it. Default: any"),
    Flag.optional
  ),
  principal: Flag.String("principal").pipe(Flag.withDescription("Such as User:alice"), Flag.optional),
  host: Flag.String("host").pipe(Flag.withDescription("An address; * for any"), Flag.optional),
  operation: Flag.Literals("operation", grantable).pipe(Flag.withDescription("What is done"), Flag.optional),
  permission: Flag.Literals("permission", ["allow", "deny"]).pipe(Flag.withDescription("Allow or deny"), Flag.optional)
}

const filterOf = (given: { readonly [name in keyof typeof filter]: Option.Option<string> }): AclFilter =>
  Object.fromEntries(
    (Object.keys(filter) as Array<keyof typeof filter>).flatMap((name) =>
      Option.isSome(given[name]) ? [[name, given[name].value]] : []
    )
  )

const list = Command.make("list", { ...filter, ...flags, json }, (given) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      yield* show(given.json, yield* admin.listAcls(filterOf(given)))
    })
  )
).pipe(
  Command.withDescription("Rules, all or those that fit"),
  Command.withExamples([
    { command: "samsa acls list --resource topic --name orders --pattern match", description: "All that orders meets" }
  ])
)

const add = Command.make(
  "add",
  {
    resource: Argument.Literals("resource", resources),
    name: Argument.String("name").pipe(Argument.withDescription("* for all; of the cluster: kafka-cluster")),
    principal: Argument.String("principal").pipe(Argument.withDescription("Such as User:alice; User:* for all")),
    operations: Argument.Literals("operation", grantable).pipe(Argument.atLeast(1), Argument.map(Targets.distinct)),
    ...flags,
    prefixed: Flag.Boolean("prefixed").pipe(Flag.withDescription("All whose names begin so"), Flag.withDefault(false)),
    deny: Flag.Boolean("deny").pipe(Flag.withDescription("Forbid, in place of allow"), Flag.withDefault(false)),
    host: Flag.String("host").pipe(defaulting("From this address alone", "*")),
    json,
    dryRun: Confirm.dryRun
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        const admin = yield* Admin
        const rules = given.operations.map((operation): NewAcl & Pick<Acl, "permission"> => ({
          resource: given.resource,
          name: given.name,
          pattern: given.prefixed ? "prefixed" : "literal",
          principal: given.principal,
          host: given.host,
          operation,
          permission: given.deny ? "deny" : "allow"
        }))
        if (given.dryRun) {
          const answers = rules.map((rule): Answer<void> => {
            const found = mistakes(rule)
            return found.length === 0 ? Result.void : Result.fail(Failure.mistakes(found))
          })
          // A cluster that keeps no rules, or lets nobody of this name see them, makes none either.
          yield* admin.listAcls({
            resource: given.resource,
            name: given.name,
            pattern: given.prefixed ? "prefixed" : "literal"
          })
          return yield* Show.changed(given.json, "would add", rules, answers, words)
        }
        const answers = yield* admin.createAcls(rules)
        const added = rules.filter((_, i) => Result.isSuccess(answers[i]!))
        yield* Show.answers(rules, answers, words, () =>
          given.json ? show(true, added as ReadonlyArray<Acl>) : Show.done(false, "added", added.map(words))
        )
      })
    )
).pipe(
  Command.withDescription("Makes rules: NAME of a kind of RESOURCE, who, and what"),
  Command.withExamples([
    { command: "samsa acls add topic orders User:alice read describe", description: "alice may read orders" },
    { command: "samsa acls add group app- User:alice read --prefixed", description: "… as any group app-…" }
  ])
)

const remove = Command.make(
  "delete",
  { ...filter, ...flags, json, dryRun: Confirm.dryRun, yes: Confirm.yes },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        const admin = yield* Admin
        const wanted = filterOf(given)
        if (Object.keys(wanted).length === 0)
          return yield* wrong(
            "which rules? --resource, --name, --principal and others say; without any it would be all"
          )
        const found = yield* admin.listAcls(wanted)
        if (found.length === 0) return yield* Console.error("no rule fits")
        if (given.dryRun) return yield* Show.done(given.json, "would delete", found.map(words))
        yield* Confirm.wanted(
          `delete ${found.length} rules (${Output.printable(found.map(words).join("; "))})`,
          given.yes
        )
        const [deleted] = yield* admin.deleteAcls([wanted]).pipe(orFail)
        yield* given.json ? show(true, deleted!) : Show.done(false, "deleted", deleted!.map(words))
        // Of what an earlier try has deleted the answer says nothing.
        const told = new Set(deleted!.map(words))
        const gone = found.map(words).filter((rule) => !told.has(rule))
        if (gone.length > 0)
          yield* Console.error(
            Output.printable(
              `gone by then, perhaps by an earlier try of this command, whose answer was lost: ${gone.join("; ")}`
            )
          )
      })
    )
).pipe(Command.withDescription("Deletes the rules that fit"))

export const command = Command.make("acls").pipe(
  Command.withDescription("Rules of access: list, add, delete"),
  Command.withSubcommands([list, add, remove]),
  Command.withExamples([
    { command: "samsa acls list --principal User:alice", description: "What alice may and may not do" },
    { command: "samsa acls add topic orders User:alice read describe", description: "She may read orders" }
  ])
)
