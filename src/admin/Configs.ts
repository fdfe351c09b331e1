/** Settings of topics, brokers, groups and the like: described, changed one by one, replaced as a whole. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { shown } from "../Checks.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type * as KafkaError from "../KafkaError.ts"
import * as AlterConfigs from "../protocol/messages/AlterConfigs.ts"
import * as DescribeConfigs from "../protocol/messages/DescribeConfigs.ts"
import * as IncrementalAlterConfigs from "../protocol/messages/IncrementalAlterConfigs.ts"
import * as ListConfigResources from "../protocol/messages/ListConfigResources.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as ConfigWords from "./ConfigWords.ts"
import type { ConfigEntry, ConfigResource } from "./ConfigWords.ts"
import * as Failure from "./Failure.ts"
import * as Plan from "./Plan.ts"
import type { ChangeOptions } from "./NewTopics.ts"

const code = ErrorCode.codes

/** A resource with its settings. */
export interface ConfigDescription extends ConfigResource {
  readonly entries: ReadonlyArray<ConfigEntry>
}

/** A resource, and which of its settings; default: all. */
export interface ConfigQuery extends ConfigResource {
  readonly keys?: ReadonlyArray<string> | undefined
}

export interface DescribeConfigsOptions extends Ask.Bounds {
  /** Tell all that each value could come from (from 1.1 on). Default false. */
  readonly synonyms?: boolean | undefined
  /** Tell what each is for (from 2.6 on). Default false. */
  readonly documentation?: boolean | undefined
}

type Value = string | number | boolean

/** Changes of a resource's settings; those that are not named stay as they are. */
export interface ConfigChange extends ConfigResource {
  readonly set?: { readonly [name: string]: Value } | undefined
  /** Back to the default. */
  readonly delete?: ReadonlyArray<string> | undefined
  /** To settings that are lists. */
  readonly append?: { readonly [name: string]: Value } | undefined
  /** From settings that are lists. */
  readonly subtract?: { readonly [name: string]: Value } | undefined
}

/** All settings of a resource: those that are not named fall back to their defaults. */
export interface ConfigReplacement extends ConfigResource {
  readonly config: { readonly [name: string]: Value }
}

/** A broker's settings are told and taken by that broker; all others by any. */
const route = (resource: ConfigResource): Plan.Route =>
  (resource.type === "broker" || resource.type === "broker-logger") && resource.name !== ""
    ? Plan.broker(Number(resource.name))
    : Plan.any

const check = (resource: ConfigResource): ReadonlyArray<string> => {
  if (!ConfigWords.resourceTypes.includes(resource.type))
    return [`type must be one of ${ConfigWords.resourceTypes.join(", ")}, not ${shown(resource.type)}`]
  if (typeof resource.name !== "string")
    return [`the name of a ${resource.type} must be a text, not ${shown(resource.name)}`]
  const numbered = resource.type === "broker" || resource.type === "broker-logger"
  if (numbered && !(resource.type === "broker" && resource.name === "") && !/^\d+$/.test(resource.name))
    return [`the name of a ${resource.type} must be its id, not ${shown(resource.name)}`]
  if (!numbered && resource.name === "") return [`the name of a ${resource.type} must not be empty`]
  return []
}

const where = (api: string, resource: ConfigResource): KafkaError.Where => ({
  api,
  ...(resource.type === "topic" ? { topic: resource.name } : {}),
  ...(resource.type === "group" ? { group: resource.name } : {})
})

interface Answered {
  readonly resourceType: number
  readonly resourceName: string
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** Answers by resource. */
const byKey = <R extends Answered, A>(
  api: string,
  results: ReadonlyArray<R>,
  value: (result: R, resource: ConfigResource) => A
): ReadonlyMap<string, Ask.Answer<A>> =>
  new Map(
    results.flatMap((result) => {
      const type = ConfigWords.resourceOf(result.resourceType)
      if (type === undefined) return []
      const resource = { type, name: result.resourceName }
      const answer: Ask.Answer<A> =
        result.errorCode === code.NONE
          ? Result.succeed(value(result, resource))
          : Result.fail(Failure.of(result.errorCode, result.errorMessage, where(api, resource)))
      return [[ConfigWords.keyOf(resource), answer] as const]
    })
  )

export const describeAll = (
  parts: Ask.Parts,
  queries: ReadonlyArray<ConfigQuery>,
  options: DescribeConfigsOptions = {}
): Ask.Answers<ConfigDescription> =>
  Ask.items(
    parts,
    {
      api: "DescribeConfigs",
      route,
      key: ConfigWords.keyOf,
      check,
      ask: (broker, batch) =>
        Effect.map(
          broker.send(DescribeConfigs, (version) => ({
            resources: batch.map(({ keys, name, type }) => ({
              resourceType: ConfigWords.numberOf(type),
              resourceName: name,
              configurationKeys: keys ?? null
            })),
            ...(version >= 1 && options.synonyms === true ? { includeSynonyms: true } : {}),
            ...(version >= 3 && options.documentation === true ? { includeDocumentation: true } : {})
          })),
          ({ results }) =>
            byKey("DescribeConfigs", results, ({ configs }, resource) => ({
              ...resource,
              entries: Array.from(configs, ConfigWords.entry).sort((a, b) => (a.name < b.name ? -1 : 1))
            }))
        )
    },
    queries,
    options
  )

const operations = (change: ConfigChange) => {
  const of = (configOperation: number, values: { readonly [name: string]: Value } | undefined) =>
    Object.entries(values ?? {}).map(([name, value]) => ({ name, configOperation, value: String(value) }))
  return [
    ...of(0, change.set),
    ...(change.delete ?? []).map((name) => ({ name, configOperation: 1, value: null })),
    ...of(2, change.append),
    ...of(3, change.subtract)
  ]
}

const checkChange = (change: ConfigChange): ReadonlyArray<string> => {
  const names = operations(change).map(({ name }) => name)
  return [
    ...check(change),
    ...Check.settings("set", change.set),
    ...Check.settings("append", change.append),
    ...Check.settings("subtract", change.subtract),
    ...(names.length === 0 ? [`nothing is to be changed of ${ConfigWords.keyOf(change)}`] : []),
    ...[...new Set(names.filter((name, i) => names.indexOf(name) !== i))].map(
      (name) => `${name} of ${ConfigWords.keyOf(change)} is to be changed twice`
    )
  ]
}

export const alter = (
  parts: Ask.Parts,
  changes: ReadonlyArray<ConfigChange>,
  options: ChangeOptions = {}
): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "IncrementalAlterConfigs",
      inOrder: true,
      route,
      key: ConfigWords.keyOf,
      check: checkChange,
      ask: (broker, batch) =>
        Effect.map(
          broker.send(IncrementalAlterConfigs, () => ({
            resources: batch.map((change) => ({
              resourceType: ConfigWords.numberOf(change.type),
              resourceName: change.name,
              configs: operations(change)
            })),
            validateOnly: options.validateOnly === true
          })),
          ({ responses }) => byKey("IncrementalAlterConfigs", responses, () => undefined)
        )
    },
    changes,
    options
  )

export const replace = (
  parts: Ask.Parts,
  replacements: ReadonlyArray<ConfigReplacement>,
  options: ChangeOptions = {}
): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "AlterConfigs",
      inOrder: true,
      route,
      key: ConfigWords.keyOf,
      check: (replacement) => [...check(replacement), ...Check.settings("config", replacement.config ?? null)],
      ask: (broker, batch) =>
        Effect.map(
          broker.send(AlterConfigs, () => ({
            resources: batch.map(({ config, name, type }) => ({
              resourceType: ConfigWords.numberOf(type),
              resourceName: name,
              configs: Object.entries(config).map(([name, value]) => ({ name, value: String(value) }))
            })),
            validateOnly: options.validateOnly === true
          })),
          ({ responses }) => byKey("AlterConfigs", responses, () => undefined)
        )
    },
    replacements,
    options
  )

export const resources = (
  parts: Ask.Parts,
  types: ReadonlyArray<ConfigWords.ResourceType>,
  bounds: Ask.Bounds = {}
): Effect.Effect<ReadonlyArray<ConfigResource>, KafkaError.KafkaError> =>
  Ask.one(
    parts,
    "ListConfigResources",
    Plan.any,
    (broker) =>
      Effect.gen(function* () {
        // v0 knows client metrics alone.
        const metricsAlone = types.length === 1 && types[0] === "client-metrics"
        const response = yield* broker.send(
          ListConfigResources,
          (version) => (version >= 1 ? { resourceTypes: types.map(ConfigWords.numberOf) } : {}),
          metricsAlone ? {} : { minVersion: 1 }
        )
        if (response.errorCode !== code.NONE)
          return yield* Failure.of(response.errorCode, null, { api: "ListConfigResources" })
        return response.configResources.flatMap(({ resourceName, resourceType }) => {
          const type = ConfigWords.resourceOf(resourceType)
          return type === undefined ? [] : [{ type, name: resourceName }]
        })
      }),
    bounds,
    Check.each("types", types, (type) =>
      ConfigWords.resourceTypes.includes(type)
        ? []
        : [`a type must be one of ${ConfigWords.resourceTypes.join(", ")}, not ${shown(type)}`]
    )
  )
