/**
 * Access rules (ACLs), as Kafka's authorizers read them: a rule that denies wins; without a rule about a resource it is
 * open to all (`allow.everyone.if.no.acl.found`), and super users may do everything. Pure.
 */
import * as Code from "./Code.ts"

/** Kafka's numbers. */
export const resource = { topic: 2, group: 3, cluster: 4, transactionalId: 5, delegationToken: 6, user: 7 } as const
export const pattern = { any: 1, match: 2, literal: 3, prefixed: 4 } as const
export const permission = { any: 1, deny: 2, allow: 3 } as const
export const operation = {
  any: 1,
  all: 2,
  read: 3,
  write: 4,
  create: 5,
  delete: 6,
  alter: 7,
  describe: 8,
  clusterAction: 9,
  describeConfigs: 10,
  alterConfigs: 11,
  idempotentWrite: 12,
  createTokens: 13,
  describeTokens: 14
} as const

/** What the cluster is called in rules. */
export const clusterName = "kafka-cluster"

/** A rule. */
export interface Rule {
  readonly resourceType: number
  readonly resourceName: string
  readonly patternType: number
  readonly principal: string
  readonly host: string
  readonly operation: number
  readonly permissionType: number
}

/** Which rules: null and "any" are all. */
interface Filter {
  readonly resourceTypeFilter: number
  readonly resourceNameFilter: string | null
  readonly patternTypeFilter: number
  readonly principalFilter: string | null
  readonly hostFilter: string | null
  readonly operation: number
  readonly permissionType: number
}

/** What else is allowed to whom may do one of these. */
const implies: { readonly [operation: number]: ReadonlyArray<number> } = {
  [operation.describe]: [operation.read, operation.write, operation.delete, operation.alter],
  [operation.describeConfigs]: [operation.alterConfigs]
}

const isAbout = ({ patternType, resourceName, resourceType }: Rule, type: number, name: string): boolean =>
  resourceType === type &&
  (patternType === pattern.prefixed ? name.startsWith(resourceName) : resourceName === name || resourceName === "*")

const fits = (rule: Rule, filter: Filter): boolean =>
  (filter.resourceTypeFilter === 1 || filter.resourceTypeFilter === rule.resourceType) &&
  (filter.principalFilter === null || filter.principalFilter === rule.principal) &&
  (filter.hostFilter === null || filter.hostFilter === rule.host) &&
  (filter.operation === operation.any || filter.operation === rule.operation) &&
  (filter.permissionType === permission.any || filter.permissionType === rule.permissionType) &&
  (filter.patternTypeFilter === pattern.any ||
    filter.patternTypeFilter === pattern.match ||
    filter.patternTypeFilter === rule.patternType) &&
  (filter.resourceNameFilter === null ||
    (filter.patternTypeFilter === pattern.match
      ? isAbout(rule, rule.resourceType, filter.resourceNameFilter)
      : filter.resourceNameFilter === rule.resourceName))

const keyOf = (rule: Rule): string =>
  JSON.stringify([
    rule.resourceType,
    rule.resourceName,
    rule.patternType,
    rule.principal,
    rule.host,
    rule.operation,
    rule.permissionType
  ])

/** The rules of a cluster. */
export class Rules {
  private readonly byKey = new Map<string, Rule>()
  private readonly superUsers: ReadonlySet<string>

  constructor(superUsers: ReadonlyArray<string>) {
    this.superUsers = new Set(superUsers)
  }

  get isEmpty(): boolean {
    return this.byKey.size === 0
  }

  add(rule: Rule): void {
    this.byKey.set(keyOf(rule), rule)
  }

  find(filter: Filter): ReadonlyArray<Rule> {
    return Array.from(this.byKey.values()).filter((rule) => fits(rule, filter))
  }

  /** Takes those away that fit, and gives them. */
  remove(filter: Filter): ReadonlyArray<Rule> {
    const found = this.find(filter)
    for (const rule of found) this.byKey.delete(keyOf(rule))
    return found
  }

  /** Whether somebody may do something. */
  allows(principal: string, host: string, type: number, name: string, wanted: number): boolean {
    if (this.isEmpty || this.superUsers.has(principal)) return true
    const about = Array.from(this.byKey.values()).filter((rule) => isAbout(rule, type, name))
    if (about.length === 0) return true
    const his = about.filter(
      (rule) =>
        (rule.principal === principal || rule.principal === "User:*") && (rule.host === host || rule.host === "*")
    )
    const has = (permissionType: number, operations: ReadonlyArray<number>) =>
      his.some(
        (rule) =>
          rule.permissionType === permissionType &&
          (rule.operation === operation.all || operations.includes(rule.operation))
      )
    return !has(permission.deny, [wanted]) && has(permission.allow, [wanted, ...(implies[wanted] ?? [])])
  }
}

/** What an API needs, of the topic, the group, the transactional id or the cluster that it is about. */
export interface Needs {
  readonly topic?: number
  readonly group?: number
  readonly transactionalId?: number
  readonly cluster?: number
}

/** Why an API is refused: of a topic, a group, a transactional id, or the cluster; 0 where it is not. */
export const refusal = (
  rules: Rules,
  principal: string,
  host: string,
  need: Needs,
  about: { readonly topic: string } | { readonly group: string } | { readonly transactionalId: string } | undefined
): number => {
  if (about === undefined)
    return need.cluster === undefined || rules.allows(principal, host, resource.cluster, clusterName, need.cluster)
      ? Code.none
      : Code.clusterAuthorizationFailed
  if ("transactionalId" in about)
    return need.transactionalId === undefined ||
      rules.allows(principal, host, resource.transactionalId, about.transactionalId, need.transactionalId)
      ? Code.none
      : Code.transactionalIdAuthorizationFailed
  if ("group" in about)
    return need.group === undefined || rules.allows(principal, host, resource.group, about.group, need.group)
      ? Code.none
      : Code.groupAuthorizationFailed
  return need.topic === undefined || rules.allows(principal, host, resource.topic, about.topic, need.topic)
    ? Code.none
    : Code.topicAuthorizationFailed
}
