/** ACLs, client quotas and SCRAM users: told, changed, and refused. */
import { Effect } from "effect"
import * as AlterClientQuotas from "../../../src/protocol/messages/AlterClientQuotas.ts"
import * as AlterUserScramCredentials from "../../../src/protocol/messages/AlterUserScramCredentials.ts"
import * as CreateAcls from "../../../src/protocol/messages/CreateAcls.ts"
import * as DeleteAcls from "../../../src/protocol/messages/DeleteAcls.ts"
import * as DescribeAcls from "../../../src/protocol/messages/DescribeAcls.ts"
import * as DescribeClientQuotas from "../../../src/protocol/messages/DescribeClientQuotas.ts"
import * as DescribeUserScramCredentials from "../../../src/protocol/messages/DescribeUserScramCredentials.ts"
import { type Ask, type Case, until } from "../Lab.ts"
import { controller } from "./Topics.ts"

const any = 1
const resource = { topic: 2, group: 3, cluster: 4 }
const pattern = { any: 1, match: 2, literal: 3, prefixed: 4 }
const operation = { all: 2, read: 3, write: 4, describe: 8 }
const permission = { deny: 2, allow: 3 }

interface Rule {
  readonly resourceType: number
  readonly resourceName: string
  readonly resourcePatternType: number
  readonly principal: string
  readonly host: string
  readonly operation: number
  readonly permissionType: number
}

const rule = (resourceName: string, more: Partial<Rule> = {}): Rule => ({
  resourceType: resource.topic,
  resourceName,
  resourcePatternType: pattern.literal,
  principal: "User:carol",
  host: "*",
  operation: operation.read,
  permissionType: permission.allow,
  ...more
})

interface Filter {
  readonly resourceTypeFilter: number
  readonly resourceNameFilter: string | null
  readonly patternTypeFilter: number
  readonly principalFilter: string | null
  readonly hostFilter: string | null
  readonly operation: number
  readonly permissionType: number
}

const filter = (resourceNameFilter: string | null, more: Partial<Filter> = {}): Filter => ({
  resourceTypeFilter: resource.topic,
  resourceNameFilter,
  patternTypeFilter: pattern.literal,
  principalFilter: null,
  hostFilter: null,
  operation: any,
  permissionType: any,
  ...more
})

/** v0 knows no patterns. */
const at = <A extends object>(version: number, name: keyof A, value: A) => {
  if (version > 0) return value
  const { [name]: _, ...rest } = value
  return rest as A
}

const saidOf = ({ errorCode, errorMessage }: { readonly errorCode: number; readonly errorMessage: string | null }) => [
  errorCode,
  errorMessage === null || errorMessage === "" ? "no message" : "a message"
]

const create = (ask: Ask, version: number, rules: ReadonlyArray<Rule>) =>
  Effect.gen(function* () {
    const client = yield* controller(ask)
    const creations = rules.map((one) => at(version, "resourcePatternType", one))
    return (yield* client.send(CreateAcls, version, { creations })).results.map(saidOf)
  })

const remove = (ask: Ask, version: number, filters: ReadonlyArray<Filter>) =>
  Effect.gen(function* () {
    const client = yield* controller(ask)
    const { filterResults } = yield* client.send(DeleteAcls, version, {
      filters: filters.map((one) => at(version, "patternTypeFilter", one))
    })
    return filterResults.map((one) => ({
      said: saidOf(one),
      deleted: one.matchingAcls
        .map((each) =>
          [each.resourceName, each.patternType, each.principal, each.operation, each.permissionType].join(" ")
        )
        .sort()
    }))
  })

const describe = (ask: Ask, version: number, wanted: Filter) =>
  Effect.gen(function* () {
    const client = yield* ask.broker()
    const answer = yield* client.send(DescribeAcls, version, at(version, "patternTypeFilter", wanted))
    return {
      said: saidOf(answer),
      resources: answer.resources
        .filter(({ resourceName }) => resourceName.startsWith(ask.id) || resourceName === "*")
        .map(({ acls, patternType, resourceName, resourceType }) => ({
          resource: [resourceType, resourceName, patternType].join(" "),
          acls: acls.map((one) => [one.principal, one.host, one.operation, one.permissionType].join(" ")).sort()
        }))
        .sort((a, b) => (a.resource < b.resource ? -1 : 1))
    }
  })

const settled = (ask: Ask, wanted: Filter, count: number) =>
  until(
    `there are ${count} rules`,
    describe(ask, 1, wanted),
    ({ resources }) => resources.reduce((sum, { acls }) => sum + acls.length, 0) === count
  )

type Component = readonly [entityType: string, entityName: string | null]
type Op = readonly [key: string, value: number | undefined]

const alterQuota = (
  ask: Ask,
  version: number,
  entity: ReadonlyArray<Component>,
  ops: ReadonlyArray<Op>,
  validateOnly = false
) =>
  Effect.gen(function* () {
    const client = yield* controller(ask)
    const { entries } = yield* client.send(AlterClientQuotas, version, {
      entries: [
        {
          entity: entity.map(([entityType, entityName]) => ({ entityType, entityName })),
          ops: ops.map(([key, value]) => ({ key, value: value ?? 0, remove: value === undefined }))
        }
      ],
      validateOnly
    })
    return entries.map((one) => ({ said: saidOf(one), entity: one.entity.length }))
  })

const quotas = (
  ask: Ask,
  version: number,
  components: ReadonlyArray<readonly [entityType: string, matchType: number, match: string | null]>,
  strict = false
) =>
  Effect.gen(function* () {
    const client = yield* ask.broker()
    const answer = yield* client.send(DescribeClientQuotas, version, {
      components: components.map(([entityType, matchType, match]) => ({ entityType, matchType, match })),
      strict
    })
    return {
      said: saidOf(answer),
      entries:
        answer.entries === null
          ? null
          : answer.entries
              .map(({ entity, values }) => ({
                entity: entity.map(({ entityName, entityType }) => `${entityType}=${entityName}`).sort(),
                values: values.map(({ key, value }) => `${key}=${value}`).sort()
              }))
              .filter(({ entity }) => entity.some((one) => one.includes(ask.id)))
              .sort((a, b) => (a.entity.join() < b.entity.join() ? -1 : 1))
    }
  })

const users = (ask: Ask, names: ReadonlyArray<string> | null) =>
  Effect.gen(function* () {
    const client = yield* controller(ask)
    const { errorCode, results } = yield* client.send(DescribeUserScramCredentials, 0, {
      users: names === null ? null : names.map((name) => ({ name }))
    })
    return {
      errorCode,
      results: results
        .filter(({ user }) => user.startsWith(ask.id))
        .map((one) => ({
          user: one.user,
          said: saidOf(one),
          has: one.credentialInfos.map(({ iterations, mechanism }) => `${mechanism}:${iterations}`).sort()
        }))
        .sort((a, b) => (a.user < b.user ? -1 : 1))
    }
  })

const alterUsers = (
  ask: Ask,
  upsertions: ReadonlyArray<readonly [name: string, mechanism: number, iterations: number]>,
  deletions: ReadonlyArray<readonly [name: string, mechanism: number]> = []
) =>
  Effect.gen(function* () {
    const client = yield* controller(ask)
    const { results } = yield* client.send(AlterUserScramCredentials, 0, {
      deletions: deletions.map(([name, mechanism]) => ({ name, mechanism })),
      upsertions: upsertions.map(([name, mechanism, iterations]) => ({
        name,
        mechanism,
        iterations,
        salt: new Uint8Array(16).fill(7),
        saltedPassword: new Uint8Array(mechanism === 2 ? 64 : 32).fill(9)
      }))
    })
    return results.map((one) => ({ user: one.user, said: saidOf(one) })).sort((a, b) => (a.user < b.user ? -1 : 1))
  })

export const cases: ReadonlyArray<Case> = [
  {
    api: "CreateAcls",
    behaviour: "rules are made, told by filters, and deleted, at each version",
    ask: (ask) =>
      ask.atEach(CreateAcls, (version) =>
        Effect.gen(function* () {
          const name = `${ask.id}-${version}`
          const rules = [
            rule(name),
            rule(name, { operation: operation.write, permissionType: permission.deny, host: "10.0.0.1" }),
            rule(name),
            ...(version === 0
              ? []
              : [
                  rule(ask.id, { resourcePatternType: pattern.prefixed, principal: "User:*", operation: operation.all })
                ])
          ]
          const all = version === 0 ? 2 : 3
          const everything = filter(null, { patternTypeFilter: version === 0 ? pattern.literal : pattern.any })
          const made = yield* create(ask, version, rules)
          const again = yield* create(ask, version, [rule(name)])
          yield* settled(ask, filter(name, { patternTypeFilter: version === 0 ? pattern.literal : pattern.match }), all)
          const described = {
            all: yield* describe(ask, version, everything),
            name: yield* describe(ask, version, filter(name)),
            operation: yield* describe(ask, version, filter(name, { operation: operation.write })),
            host: yield* describe(ask, version, filter(name, { hostFilter: "*" })),
            principal: yield* describe(ask, version, filter(name, { principalFilter: "User:dave" })),
            allow: yield* describe(ask, version, filter(name, { permissionType: permission.allow })),
            match:
              version === 0
                ? "not asked"
                : yield* describe(ask, version, filter(name, { patternTypeFilter: pattern.match })),
            prefixed:
              version === 0
                ? "not asked"
                : yield* describe(ask, version, filter(null, { patternTypeFilter: pattern.prefixed })),
            group: yield* describe(ask, version, filter(name, { resourceTypeFilter: resource.group }))
          }
          const deleted = yield* remove(ask, version, [
            filter(name, { operation: operation.read }),
            filter(name),
            filter(`${name}-absent`)
          ])
          if (version > 0) yield* remove(ask, version, [filter(ask.id, { patternTypeFilter: pattern.prefixed })])
          yield* settled(ask, filter(name, { patternTypeFilter: pattern.match }), 0)
          return { made, again, described, deleted }
        })
      )
  },
  {
    api: "CreateAcls",
    behaviour: "of what cannot be",
    ask: (ask) =>
      Effect.gen(function* () {
        const newest = ask.newest(CreateAcls)
        const one = (more: Partial<Rule>) => create(ask, newest, [rule(`${ask.id}-bad`, more)])
        return {
          "empty name": yield* one({ resourceName: "" }),
          "no kind of resource": yield* one({ resourceType: resource.cluster }),
          "principal without a kind": yield* one({ principal: "carol" }),
          "beside one that can be": yield* create(ask, newest, [
            rule(`${ask.id}-bad`, { principal: "carol" }),
            rule(`${ask.id}-good`)
          ]),
          "cluster by its name": yield* create(ask, newest, [
            rule("kafka-cluster", {
              resourceType: resource.cluster,
              operation: operation.describe,
              principal: "User:eve"
            })
          ]),
          nothing: yield* create(ask, newest, [])
        }
      })
  },
  {
    api: "AlterClientQuotas",
    behaviour: "quotas are set, told and removed, at each version",
    ask: (ask) =>
      ask.atEach(AlterClientQuotas, (version) =>
        Effect.gen(function* () {
          const name = `${ask.id}-${version}`
          const user = [["user", name]] as const
          const app = [
            ["user", name],
            ["client-id", "app"]
          ] as const
          const byDefault = [
            ["user", name],
            ["client-id", null]
          ] as const
          const made = [
            yield* alterQuota(ask, version, user, [
              ["producer_byte_rate", 1000],
              ["consumer_byte_rate", 2000]
            ]),
            yield* alterQuota(ask, version, app, [["request_percentage", 12.5]]),
            yield* alterQuota(ask, version, byDefault, [["producer_byte_rate", 5]]),
            yield* alterQuota(ask, version, user, [["producer_byte_rate", 1]], true)
          ]
          yield* until(
            "the quotas are known",
            quotas(ask, version, [["user", 0, name]]),
            ({ entries }) => entries?.length === 3
          )
          const described = {
            user: yield* quotas(ask, version, [["user", 0, name]]),
            strict: yield* quotas(ask, version, [["user", 0, name]], true),
            both: yield* quotas(ask, version, [
              ["user", 0, name],
              ["client-id", 0, "app"]
            ]),
            "the default": yield* quotas(ask, version, [
              ["user", 0, name],
              ["client-id", 1, null]
            ]),
            any: yield* quotas(ask, version, [
              ["user", 0, name],
              ["client-id", 2, null]
            ]),
            none: yield* quotas(ask, version, [["user", 0, `${name}-absent`]])
          }
          const removed = [
            yield* alterQuota(ask, version, user, [
              ["producer_byte_rate", undefined],
              ["consumer_byte_rate", undefined]
            ]),
            yield* alterQuota(ask, version, app, [["request_percentage", undefined]]),
            yield* alterQuota(ask, version, byDefault, [["producer_byte_rate", undefined]]),
            yield* alterQuota(ask, version, byDefault, [["producer_byte_rate", undefined]])
          ]
          yield* until(
            "the quotas are gone",
            quotas(ask, version, [["user", 0, name]]),
            ({ entries }) => entries?.length === 0
          )
          return { made, described, removed }
        })
      )
  },
  {
    api: "AlterClientQuotas",
    behaviour: "of what is not legal",
    ask: (ask) =>
      Effect.gen(function* () {
        const newest = ask.newest(AlterClientQuotas)
        const user = [["user", `${ask.id}-u`]] as const
        return {
          "no such quota": yield* alterQuota(ask, newest, user, [["no_such_rate", 1]]),
          "no such kind": yield* alterQuota(ask, newest, [["planet", "earth"]], [["producer_byte_rate", 1]]),
          "a fraction of a byte": yield* alterQuota(ask, newest, user, [["producer_byte_rate", 1.5]]),
          "no bytes": yield* alterQuota(ask, newest, user, [["producer_byte_rate", 0]]),
          "below zero": yield* alterQuota(ask, newest, user, [["request_percentage", -1]]),
          "no entity": yield* alterQuota(ask, newest, [], [["producer_byte_rate", 1]]),
          "empty name": yield* alterQuota(ask, newest, [["user", ""]], [["producer_byte_rate", 1]]),
          "no address": yield* alterQuota(ask, newest, [["ip", "300.1.1.1"]], [["connection_creation_rate", 1]]),
          "describe no such kind": yield* quotas(ask, newest, [["planet", 0, "earth"]]),
          "describe without a name": yield* quotas(ask, newest, [["user", 0, null]]),
          "describe an unknown match": yield* quotas(ask, newest, [["user", 9, "x"]])
        }
      })
  },
  {
    api: "AlterUserScramCredentials",
    behaviour: "users are given passwords, told, and lose them",
    ask: (ask) =>
      Effect.gen(function* () {
        const [a, b] = [`${ask.id}-a`, `${ask.id}-b`]
        const made = [
          yield* alterUsers(ask, [
            [a, 1, 4096],
            [b, 2, 16_384]
          ]),
          yield* alterUsers(ask, [[a, 2, 8192]])
        ]
        const known = (count: number) =>
          until(
            `${count} of the users have passwords`,
            users(ask, null),
            ({ results }) => results.filter(({ has }) => has.length > 0).length === count
          )
        yield* known(2)
        const described = { all: yield* users(ask, null), some: yield* users(ask, [b, `${ask.id}-absent`]) }
        const deleted = yield* alterUsers(ask, [], [[a, 1]])
        yield* until("one is left", users(ask, [a]), ({ results }) => results[0]?.has.length === 1)
        const then = yield* users(ask, [a])
        const last = yield* alterUsers(
          ask,
          [],
          [
            [a, 2],
            [b, 2]
          ]
        )
        yield* known(0)
        return { made, described, deleted, then, last, gone: yield* users(ask, [a]) }
      })
  },
  {
    api: "AlterUserScramCredentials",
    behaviour: "of what cannot be",
    ask: (ask) =>
      Effect.gen(function* () {
        const name = `${ask.id}-u`
        return {
          "too few iterations": yield* alterUsers(ask, [[name, 1, 100]]),
          "too many iterations": yield* alterUsers(ask, [[name, 1, 16_385]]),
          "no mechanism": yield* alterUsers(ask, [[name, 0, 4096]]),
          "deletes what is not there": yield* alterUsers(ask, [], [[name, 1]]),
          "the same twice": yield* alterUsers(ask, [[name, 1, 4096]], [[name, 1]]),
          "empty name": yield* alterUsers(ask, [["", 1, 4096]]),
          "described twice": yield* users(ask, [name, name]),
          then: yield* users(ask, null),
          "two of one user": yield* alterUsers(ask, [
            [`${name}-two`, 1, 4096],
            [`${name}-two`, 2, 4096]
          ])
        }
      })
  }
]
