/** Pure. The words of settings for the numbers of the protocol: resources, sources, types. */
const resources = { topic: 2, broker: 4, "broker-logger": 8, "client-metrics": 16, group: 32 } as const

/** What has settings. */
export type ResourceType = keyof typeof resources

/** What has settings. A broker without a name is all brokers: their common default. */
export interface ConfigResource {
  readonly type: ResourceType
  /** The topic, the broker's id, the group, …. */
  readonly name: string
}

/** Where a value comes from; `unknown` before 1.1. `file` is the broker's server.properties. */
export type ConfigSource =
  | "unknown"
  | "topic"
  | "broker"
  | "all-brokers"
  | "file"
  | "default"
  | "broker-logger"
  | "client-metrics"
  | "group"

export type ConfigType = "boolean" | "string" | "int" | "short" | "long" | "double" | "list" | "class" | "password"

/** A setting. */
export interface ConfigEntry {
  readonly name: string
  /** Undefined where it is sensitive, or has none. */
  readonly value: string | undefined
  readonly source: ConfigSource
  /** It is Kafka's own default, which nobody has set. */
  readonly isDefault: boolean
  readonly readOnly: boolean
  readonly sensitive: boolean
  /** Undefined where brokers do not tell (before 2.6). */
  readonly type: ConfigType | undefined
  /** Where it was asked for. */
  readonly documentation: string | undefined
  /** All that it could come from, the nearest first; empty unless they were asked for. */
  readonly synonyms: ReadonlyArray<{
    readonly name: string
    readonly value: string | undefined
    readonly source: ConfigSource
  }>
}

export const resourceTypes = Object.keys(resources) as ReadonlyArray<ResourceType>

export const numberOf = (type: ResourceType): number => resources[type]

const byNumber = new Map(Object.entries(resources).map(([name, number]) => [number as number, name as ResourceType]))

export const resourceOf = (number: number): ResourceType | undefined => byNumber.get(number)

/** Names a resource: unique among all. */
export const keyOf = ({ name, type }: ConfigResource): string => `${type} ${name}`

const sources: ReadonlyArray<ConfigSource> = [
  "unknown",
  "topic",
  "broker",
  "all-brokers",
  "file",
  "default",
  "broker-logger",
  "client-metrics",
  "group"
]

const types: ReadonlyArray<ConfigType | undefined> = [
  undefined,
  "boolean",
  "string",
  "int",
  "short",
  "long",
  "double",
  "list",
  "class",
  "password"
]

/** Where it comes from, and what type it has. */
const sourceOf = (number: number): ConfigSource => sources[number] ?? "unknown"

interface Told {
  readonly name: string
  readonly value: string | null
  readonly readOnly: boolean
  readonly configSource: number
  readonly isSensitive: boolean
  /** v0 alone. */
  readonly isDefault?: boolean
  readonly synonyms?: ReadonlyArray<{ readonly name: string; readonly value: string | null; readonly source: number }>
  readonly configType?: number
  readonly documentation?: string | null
}

/** An entry as it was told. */
export const entry = (told: Told): ConfigEntry => {
  const source = sourceOf(told.configSource)
  return {
    name: told.name,
    value: told.value ?? undefined,
    source,
    isDefault: source === "unknown" ? told.isDefault === true : source === "default",
    readOnly: told.readOnly,
    sensitive: told.isSensitive,
    type: types[told.configType ?? 0],
    documentation: told.documentation ?? undefined,
    synonyms: (told.synonyms ?? []).map((one) => ({
      name: one.name,
      value: one.value ?? undefined,
      source: sourceOf(one.source)
    }))
  }
}
