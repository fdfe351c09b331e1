/** Access rules (ACLs): listed, created, deleted by filters. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Broker } from "../Broker.ts"
import { shown } from "../Checks.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type * as KafkaError from "../KafkaError.ts"
import * as CreateAcls from "../protocol/messages/CreateAcls.ts"
import * as DeleteAcls from "../protocol/messages/DeleteAcls.ts"
import * as DescribeAcls from "../protocol/messages/DescribeAcls.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import * as Operations from "./Operations.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

const resources = { topic: 2, group: 3, cluster: 4, "transactional-id": 5, "delegation-token": 6, user: 7 } as const
const patterns = { literal: 3, prefixed: 4 } as const
const permissions = { deny: 2, allow: 3 } as const

/** What a rule is about. The name of the cluster is `kafka-cluster`. */
export type AclResource = keyof typeof resources

/** A rule: who, from where, may or may not do what with what. */
export interface Acl {
  readonly resource: AclResource
  /** `*` for all, with a literal pattern. */
  readonly name: string
  /** `prefixed`: all whose names begin so (from 2.0 on). */
  readonly pattern: keyof typeof patterns
  /** Such as `User:alice`; `User:*` for all. */
  readonly principal: string
  /** An address; `*` for any. */
  readonly host: string
  readonly operation: Operations.Operation
  readonly permission: keyof typeof permissions
}

/** A rule to be made. */
export interface NewAcl extends Omit<Acl, "pattern" | "host" | "permission"> {
  /** Default `literal`. */
  readonly pattern?: Acl["pattern"] | undefined
  /** Default `*`. */
  readonly host?: string | undefined
  /** Default `allow`. */
  readonly permission?: Acl["permission"] | undefined
}

/** Which rules: all that fit what is said. */
export interface AclFilter {
  readonly resource?: AclResource | undefined
  readonly name?: string | undefined
  /** `match`: all rules that are about the name: literal, prefixed and `*` (from 2.0 on). Default: any. */
  readonly pattern?: Acl["pattern"] | "match" | undefined
  readonly principal?: string | undefined
  readonly host?: string | undefined
  readonly operation?: Operations.Operation | undefined
  readonly permission?: Acl["permission"] | undefined
}

const nameOf = <N extends string>(table: { readonly [name in N]: number }, number: number): N | undefined =>
  (Object.keys(table) as Array<N>).find((name) => table[name] === number)

interface Told {
  readonly principal: string
  readonly host: string
  readonly operation: number
  readonly permissionType: number
}

/** A rule as it was told; undefined for one about what this client does not know. */
const acl = (resourceType: number, name: string, patternType: number, told: Told): Acl | undefined => {
  const resource = nameOf(resources, resourceType)
  const pattern = nameOf(patterns, patternType)
  const permission = nameOf(permissions, told.permissionType)
  if (resource === undefined || pattern === undefined || permission === undefined) return undefined
  const { host, operation, principal } = told
  return { resource, name, pattern, principal, host, operation: Operations.of(operation), permission }
}

/** Brokers before 2.0 know literal names alone. */
const patternsFrom = 1
/** … and before 2.8 or so no users. */
const usersFrom = 3

const minVersion = (rules: ReadonlyArray<NewAcl | AclFilter>, any: "literal" | undefined): number =>
  Math.max(
    0,
    ...rules.map(({ pattern = any, resource }) =>
      resource === "user" ? usersFrom : pattern === undefined || pattern === "literal" ? 0 : patternsFrom
    )
  )

const filterOf = (filter: AclFilter, version: number) => ({
  resourceTypeFilter: filter.resource === undefined ? 1 : resources[filter.resource],
  resourceNameFilter: filter.name ?? null,
  ...(version >= patternsFrom
    ? {
        patternTypeFilter: filter.pattern === undefined ? 1 : filter.pattern === "match" ? 2 : patterns[filter.pattern]
      }
    : {}),
  principalFilter: filter.principal ?? null,
  hostFilter: filter.host ?? null,
  operation: Operations.numberOf(filter.operation ?? "any"),
  permissionType: filter.permission === undefined ? 1 : permissions[filter.permission]
})

const one = <N extends string>(
  what: string,
  value: N | undefined,
  among: ReadonlyArray<string>
): ReadonlyArray<string> =>
  value === undefined || among.includes(value)
    ? []
    : [`${what} must be one of ${among.join(", ")}, not ${shown(value)}`]

const words = (rule: NewAcl | AclFilter, patternWords: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...one("resource", rule.resource, Object.keys(resources)),
  ...one("pattern", rule.pattern, patternWords),
  ...one("permission", rule.permission, Object.keys(permissions)),
  ...(rule.operation !== undefined && Operations.numberOf(rule.operation) < 2
    ? [`operation must be one that there is, not ${shown(rule.operation)}`]
    : [])
]

export const list = (
  parts: Ask.Parts,
  filter: AclFilter = {},
  bounds: Ask.Bounds = {}
): Effect.Effect<ReadonlyArray<Acl>, KafkaError.KafkaError> => {
  const [noFilter] = Check.object("the filter", filter)
  const wrong = noFilter === undefined ? words(filter, [...Object.keys(patterns), "match"]) : [noFilter]
  if (wrong.length > 0) return Effect.fail(Failure.mistakes(wrong))
  return Ask.one(
    parts,
    "DescribeAcls",
    Plan.any,
    (broker) =>
      Effect.gen(function* () {
        const response = yield* broker.send(DescribeAcls, (version) => filterOf(filter, version), {
          minVersion: minVersion([filter], undefined)
        })
        if (response.errorCode !== code.NONE)
          return yield* Failure.of(response.errorCode, response.errorMessage, { api: "DescribeAcls" })
        return response.resources.flatMap(({ acls, patternType, resourceName, resourceType }) =>
          acls.flatMap((told) => acl(resourceType, resourceName, patternType, told) ?? [])
        )
      }),
    bounds
  )
}

/** Names a rule or filter by all that it says. */
const keyOf = (rule: NewAcl | AclFilter): string =>
  JSON.stringify([rule.resource, rule.name, rule.pattern, rule.principal, rule.host, rule.operation, rule.permission])

/** What is wrong with a rule, whoever is asked to make it. */
export const mistakes = (rule: NewAcl): ReadonlyArray<string> => [
  ...words(rule, Object.keys(patterns)),
  ...Check.text("name", rule.name),
  ...(/^[^:]+:.+/.test(rule.principal) ? [] : [`principal must be like User:alice, not ${shown(rule.principal)}`])
]

export const create = (parts: Ask.Parts, rules: ReadonlyArray<NewAcl>, bounds: Ask.Bounds = {}): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "CreateAcls",
      route: () => Plan.controller,
      key: keyOf,
      check: mistakes,
      ask: (broker, batch) =>
        Effect.map(
          broker.send(
            CreateAcls,
            (version) => ({
              creations: batch.map((rule) => ({
                resourceType: resources[rule.resource],
                resourceName: rule.name,
                ...(version >= patternsFrom ? { resourcePatternType: patterns[rule.pattern ?? "literal"] } : {}),
                principal: rule.principal,
                host: rule.host ?? "*",
                operation: Operations.numberOf(rule.operation),
                permissionType: permissions[rule.permission ?? "allow"]
              }))
            }),
            { minVersion: minVersion(batch, "literal") }
          ),
          // Answers come in the order of the request, and name nothing.
          ({ results }) =>
            new Map(
              results
                .slice(0, batch.length)
                .map(({ errorCode, errorMessage }, i) => [
                  keyOf(batch[i]!),
                  errorCode === code.NONE
                    ? Result.void
                    : Result.fail(Failure.of(errorCode, errorMessage, { api: "CreateAcls" }))
                ])
            )
        )
    },
    rules,
    bounds
  )

type Deleted = { readonly errorCode: number; readonly errorMessage: string | null } & Told & {
    readonly resourceType: number
    readonly resourceName: string
    readonly patternType: number
  }

/** The rules that a filter has deleted; fails with the first that was not. */
const deleted = (matching: ReadonlyArray<Deleted>): Ask.Answer<ReadonlyArray<Acl>> => {
  const refused = matching.find(({ errorCode }) => errorCode !== code.NONE)
  if (refused !== undefined)
    return Result.fail(
      Failure.of(refused.errorCode, refused.errorMessage, {
        api: "DeleteAcls",
        ...(refused.resourceType === resources.topic ? { topic: refused.resourceName } : {})
      })
    )
  return Result.succeed(
    matching.flatMap((told) => acl(told.resourceType, told.resourceName, told.patternType, told) ?? [])
  )
}

export const deleteMatching = (
  parts: Ask.Parts,
  filters: ReadonlyArray<AclFilter>,
  bounds: Ask.Bounds = {}
): Ask.Answers<ReadonlyArray<Acl>> =>
  Ask.items(
    parts,
    {
      api: "DeleteAcls",
      route: () => Plan.controller,
      key: keyOf,
      check: (filter) => words(filter, [...Object.keys(patterns), "match"]),
      ask: (broker: Broker, batch) =>
        Effect.map(
          broker.send(DeleteAcls, (version) => ({ filters: batch.map((filter) => filterOf(filter, version)) }), {
            minVersion: minVersion(batch, undefined)
          }),
          ({ filterResults }) =>
            new Map(
              filterResults
                .slice(0, batch.length)
                .map(({ errorCode, errorMessage, matchingAcls }, i) => [
                  keyOf(batch[i]!),
                  errorCode === code.NONE
                    ? deleted(matchingAcls)
                    : Result.fail(Failure.of(errorCode, errorMessage, { api: "DeleteAcls" }))
                ])
            )
        )
    },
    filters,
    bounds
  )
