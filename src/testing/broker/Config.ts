/** The settings of topics and brokers: names, Kafka's defaults, and which of them this broker obeys. */
import type { Topic } from "./Cluster.ts"

/** Kafka's numbers for where a value comes from. */
export const source = { topic: 1, dynamicBroker: 2, default: 5 } as const

export type Kind = "boolean" | "string" | "int" | "long" | "double" | "list"

interface Setting {
  readonly name: string
  readonly kind: Kind
  readonly byDefault: string
  readonly values?: ReadonlyArray<string>
  readonly least?: number
}

/**
 * Topic settings. Obeyed are cleanup.policy (compact: keys are asked for, and `compact` compacts), max.message.bytes,
 * message.timestamp.type, min.insync.replicas and unclean.leader.election.enable; the others are kept and told.
 */
export const topicSettings: ReadonlyArray<Setting> = [
  { name: "cleanup.policy", kind: "list", byDefault: "delete", values: ["delete", "compact"] },
  {
    name: "compression.type",
    kind: "string",
    byDefault: "producer",
    values: ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]
  },
  { name: "delete.retention.ms", kind: "long", byDefault: "86400000", least: 0 },
  { name: "file.delete.delay.ms", kind: "long", byDefault: "60000", least: 0 },
  { name: "flush.messages", kind: "long", byDefault: "9223372036854775807", least: 1 },
  { name: "flush.ms", kind: "long", byDefault: "9223372036854775807", least: 0 },
  { name: "index.interval.bytes", kind: "int", byDefault: "4096", least: 0 },
  { name: "max.compaction.lag.ms", kind: "long", byDefault: "9223372036854775807", least: 1 },
  { name: "max.message.bytes", kind: "int", byDefault: "1048588", least: 0 },
  { name: "message.timestamp.after.max.ms", kind: "long", byDefault: "3600000", least: 0 },
  { name: "message.timestamp.before.max.ms", kind: "long", byDefault: "9223372036854775807", least: 0 },
  { name: "message.timestamp.type", kind: "string", byDefault: "CreateTime", values: ["CreateTime", "LogAppendTime"] },
  { name: "min.cleanable.dirty.ratio", kind: "double", byDefault: "0.5", least: 0 },
  { name: "min.compaction.lag.ms", kind: "long", byDefault: "0", least: 0 },
  { name: "min.insync.replicas", kind: "int", byDefault: "1", least: 1 },
  { name: "preallocate", kind: "boolean", byDefault: "false" },
  { name: "retention.bytes", kind: "long", byDefault: "-1", least: -1 },
  { name: "retention.ms", kind: "long", byDefault: "604800000", least: -1 },
  { name: "segment.bytes", kind: "int", byDefault: "1073741824", least: 14 },
  { name: "segment.index.bytes", kind: "int", byDefault: "10485760", least: 4 },
  { name: "segment.jitter.ms", kind: "long", byDefault: "0", least: 0 },
  { name: "segment.ms", kind: "long", byDefault: "604800000", least: 1 },
  { name: "unclean.leader.election.enable", kind: "boolean", byDefault: "false" }
]

const byName = new Map(topicSettings.map((setting) => [setting.name, setting]))

/** What is wrong with a topic's setting; undefined where nothing is. Null stands for the default. */
export const check = (name: string, value: string | null): string | undefined => {
  const setting = byName.get(name)
  if (setting === undefined) return `unknown topic config name: ${name}`
  if (value === null) return undefined
  const parts = setting.kind === "list" ? value.split(",").map((part) => part.trim()) : [value]
  const { least, values } = setting
  const wrong =
    setting.kind === "boolean"
      ? value !== "true" && value !== "false"
      : setting.kind === "string" || setting.kind === "list"
        ? values !== undefined && parts.some((part) => !values.includes(part))
        : !/^-?\d+(\.\d+)?$/.test(value) || (least !== undefined && Number(value) < least)
  return wrong ? `Invalid value ${value} for configuration ${name}` : undefined
}

/** Every setting of a topic with its value. */
export const describe = (
  topic: Topic
): ReadonlyArray<{
  readonly name: string
  readonly value: string
  readonly kind: Kind
  readonly isDefault: boolean
  readonly byDefault: string
}> =>
  topicSettings.map(({ byDefault, kind, name }) => {
    const value = topic.config.get(name)
    return { name, value: value ?? byDefault, kind, isDefault: value === undefined, byDefault }
  })
