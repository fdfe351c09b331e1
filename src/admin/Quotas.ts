/** Client quotas: described and altered (KIP-546). */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { shown } from "../Checks.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type * as KafkaError from "../KafkaError.ts"
import * as AlterClientQuotas from "../protocol/messages/AlterClientQuotas.ts"
import * as DescribeClientQuotas from "../protocol/messages/DescribeClientQuotas.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import type { ChangeOptions } from "./NewTopics.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/** What kinds of clients there are. */
export type QuotaKind = "user" | "client-id" | "ip"

/** Whom a quota is for, by kind: `{ user: "alice", "client-id": "app" }`. Null is the default of that kind. */
export type QuotaEntity = { readonly [kind in QuotaKind]?: string | null | undefined }

/** The quotas of an entity, such as `producer_byte_rate`, `consumer_byte_rate`, `request_percentage`, `controller_mutation_rate`. */
export interface Quota {
  readonly entity: QuotaEntity
  readonly quotas: { readonly [name: string]: number }
}

/** Which entities: those that have these kinds, with a name, the default (null), or any. */
export interface QuotaFilter {
  readonly kinds?: { readonly [kind in QuotaKind]?: string | null | { readonly any: true } | undefined } | undefined
  /** Leave out entities that have other kinds besides. Default false. */
  readonly strict?: boolean | undefined
}

/** Changes of an entity's quotas; those that are not named stay. */
export interface QuotaChange {
  readonly entity: QuotaEntity
  readonly set?: { readonly [name: string]: number } | undefined
  readonly remove?: ReadonlyArray<string> | undefined
}

const kinds: ReadonlyArray<string> = ["user", "client-id", "ip"]

interface Component {
  readonly entityType: string
  readonly entityName: string | null
}

const entityOf = (components: ReadonlyArray<Component>): QuotaEntity =>
  Object.fromEntries(components.map(({ entityName, entityType }) => [entityType, entityName]))

const componentsOf = (entity: QuotaEntity): Array<Component> =>
  Object.entries(entity)
    .filter(([, name]) => name !== undefined)
    .map(([entityType, name]) => ({ entityType, entityName: name ?? null }))

const keyOf = (entity: QuotaEntity): string =>
  JSON.stringify(componentsOf(entity).sort((a, b) => (a.entityType < b.entityType ? -1 : 1)))

export const describe = (
  parts: Ask.Parts,
  filter: QuotaFilter = {},
  bounds: Ask.Bounds = {}
): Effect.Effect<ReadonlyArray<Quota>, KafkaError.KafkaError> =>
  Ask.one(
    parts,
    "DescribeClientQuotas",
    Plan.any,
    (broker) =>
      Effect.gen(function* () {
        const response = yield* broker.send(DescribeClientQuotas, () => ({
          components: Object.entries(filter.kinds ?? {}).flatMap(([entityType, wanted]) => {
            if (wanted === undefined) return []
            const matchType = typeof wanted === "string" ? 0 : wanted === null ? 1 : 2
            return [{ entityType, matchType, match: typeof wanted === "string" ? wanted : null }]
          }),
          strict: filter.strict === true
        }))
        if (response.errorCode !== code.NONE)
          return yield* Failure.of(response.errorCode, response.errorMessage, { api: "DescribeClientQuotas" })
        return (response.entries ?? []).map(({ entity, values }) => ({
          entity: entityOf(entity),
          quotas: Object.fromEntries(values.map(({ key, value }) => [key, value]))
        }))
      }),
    bounds,
    Check.object("the filter", filter)
  )

const check = ({ entity, remove, set }: QuotaChange): ReadonlyArray<string> => [
  ...(componentsOf(entity).length === 0 ? [`the entity must have one of ${kinds.join(", ")}`] : []),
  ...Object.keys(entity)
    .filter((kind) => !kinds.includes(kind))
    .map((kind) => `an entity has ${kinds.join(", ")}, not ${shown(kind)}`),
  ...Object.entries(set ?? {})
    .filter(([, value]) => !Number.isFinite(value))
    .map(([name, value]) => `${name} must be a number, not ${shown(value)}`),
  ...Check.each("remove", remove ?? [], (name) => Check.text("what is removed", name)),
  ...(Object.keys(set ?? {}).length + (remove ?? []).length === 0
    ? [`nothing is to be changed of ${keyOf(entity)}`]
    : [])
]

export const alter = (
  parts: Ask.Parts,
  changes: ReadonlyArray<QuotaChange>,
  options: ChangeOptions = {}
): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "AlterClientQuotas",
      inOrder: true,
      route: () => Plan.controller,
      key: ({ entity }) => keyOf(entity),
      check,
      ask: (broker, batch) =>
        Effect.map(
          broker.send(AlterClientQuotas, () => ({
            entries: batch.map(({ entity, remove, set }) => ({
              entity: componentsOf(entity),
              ops: [
                ...Object.entries(set ?? {}).map(([key, value]) => ({ key, value, remove: false })),
                ...(remove ?? []).map((key) => ({ key, value: 0, remove: true }))
              ]
            })),
            validateOnly: options.validateOnly === true
          })),
          ({ entries }) =>
            new Map(
              entries.map(({ entity, errorCode, errorMessage }) => [
                keyOf(entityOf(entity)),
                errorCode === code.NONE
                  ? Result.void
                  : Result.fail(Failure.of(errorCode, errorMessage, { api: "AlterClientQuotas" }))
              ])
            )
        )
    },
    changes,
    options
  )
