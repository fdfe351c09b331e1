/**
 * The settings of topics and brokers: names, Kafka's defaults, what is a legal value, and how they are altered.
 *
 * Obeyed are, of a topic: cleanup.policy (with compact every record needs a key, and the verb `compact` compacts),
 * max.message.bytes, message.timestamp.type, min.insync.replicas and unclean.leader.election.enable. The others are kept
 * and told. One file because half of it is the table.
 */
import * as Code from "./Code.ts"
import type { Node, Settings as ClusterSettings, Topic } from "./ClusterState.ts"
import type { Profile, Release } from "./Profile.ts"

/** Kafka's numbers for what has settings. */
export const resource = { topic: 2, broker: 4 } as const
/** Kafka's numbers for where a value comes from. */
export const source = { topic: 1, broker: 2, allBrokers: 3, file: 4, default: 5 } as const
/** Kafka's numbers for types. */
export const kinds = { boolean: 1, string: 2, int: 3, long: 5, double: 6, list: 7 } as const
export type Kind = keyof typeof kinds

interface Setting {
  readonly name: string
  readonly kind: Kind
  readonly byDefault: string
  /** The broker's setting that a topic's falls back to. */
  readonly broker?: string
  /** That one has no default of its own, but falls back to hours. */
  readonly hours?: true
  readonly values?: ReadonlyArray<string>
  readonly least?: number
  /** What the least is from a release on. */
  readonly leastSince?: readonly [release: Release, least: number]
  readonly most?: number
  /** The first release that has it, and the first that has it no more. */
  readonly since?: Release
  readonly until?: Release
  /** What it was before these releases, the oldest first. */
  readonly before?: ReadonlyArray<readonly [release: Release, byDefault: string]>
}

const setting = (name: string, kind: Kind, byDefault: string, more: Partial<Setting> = {}): Setting => ({
  name,
  kind,
  byDefault,
  ...more
})

const ever = "9223372036854775807"

/** The settings of topics. */
const ofTopics: ReadonlyArray<Setting> = [
  setting("cleanup.policy", "list", "delete", { broker: "log.cleanup.policy", values: ["delete", "compact"] }),
  setting("compression.type", "string", "producer", {
    broker: "compression.type",
    values: ["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]
  }),
  setting("compression.gzip.level", "int", "-1", { since: "3.9" }),
  setting("compression.lz4.level", "int", "9", { since: "3.9" }),
  setting("compression.zstd.level", "int", "3", { since: "3.9" }),
  setting("delete.retention.ms", "long", "86400000", { broker: "log.cleaner.delete.retention.ms", least: 0 }),
  setting("errors.deadletterqueue.group.enable", "boolean", "false", { since: "4.4" }),
  setting("file.delete.delay.ms", "long", "60000", { broker: "log.segment.delete.delay.ms", least: 0 }),
  setting("flush.messages", "long", ever, {
    broker: "log.flush.interval.messages",
    least: 0,
    leastSince: ["3.9", 1]
  }),
  setting("flush.ms", "long", ever, { broker: "log.flush.interval.ms", least: 0 }),
  setting("follower.replication.throttled.replicas", "list", ""),
  setting("index.interval.bytes", "int", "4096", { broker: "log.index.interval.bytes", least: 0 }),
  setting("leader.replication.throttled.replicas", "list", ""),
  setting("local.retention.bytes", "long", "-2", { least: -2, since: "3.9" }),
  setting("local.retention.ms", "long", "-2", { least: -2, since: "3.9" }),
  setting("max.compaction.lag.ms", "long", ever, {
    broker: "log.cleaner.max.compaction.lag.ms",
    least: 1,
    since: "2.8"
  }),
  setting("max.decompressed.message.bytes", "int", "2147483639", { least: 0, since: "4.4" }),
  setting("max.message.bytes", "int", "1048588", {
    broker: "message.max.bytes",
    least: 0,
    before: [["2.8", "1000012"]]
  }),
  setting("message.timestamp.after.max.ms", "long", "3600000", {
    broker: "log.message.timestamp.after.max.ms",
    least: 0,
    since: "3.9",
    before: [["4.0", ever]]
  }),
  setting("message.timestamp.before.max.ms", "long", ever, {
    broker: "log.message.timestamp.before.max.ms",
    least: 0,
    since: "3.9"
  }),
  setting("message.downconversion.enable", "boolean", "true", {
    broker: "log.message.downconversion.enable",
    since: "2.8",
    until: "4.0"
  }),
  setting("message.format.version", "string", "3.0-IV1", {
    broker: "log.message.format.version",
    until: "4.0",
    before: [
      ["0.11", "0.10.2-IV0"],
      ["1.1", "0.11.0-IV2"],
      ["2.8", "1.1-IV0"],
      ["3.9", "2.8-IV1"]
    ]
  }),
  setting("message.timestamp.difference.max.ms", "long", ever, {
    broker: "log.message.timestamp.difference.max.ms",
    least: 0,
    until: "4.0"
  }),
  setting("message.timestamp.type", "string", "CreateTime", {
    broker: "log.message.timestamp.type",
    values: ["CreateTime", "LogAppendTime"]
  }),
  setting("min.cleanable.dirty.ratio", "double", "0.5", {
    broker: "log.cleaner.min.cleanable.ratio",
    least: 0,
    most: 1
  }),
  setting("min.compaction.lag.ms", "long", "0", { broker: "log.cleaner.min.compaction.lag.ms", least: 0 }),
  setting("min.insync.replicas", "int", "1", { broker: "min.insync.replicas", least: 1 }),
  setting("preallocate", "boolean", "false", { broker: "log.preallocate" }),
  setting("remote.copy.lag.bytes", "long", "-1", { least: -1, since: "4.4" }),
  setting("remote.copy.lag.ms", "long", "0", { least: -1, since: "4.4" }),
  setting("remote.log.copy.disable", "boolean", "false", { since: "3.9" }),
  setting("remote.log.delete.on.disable", "boolean", "false", { since: "3.9" }),
  setting("remote.storage.enable", "boolean", "false", { since: "3.9" }),
  setting("retention.bytes", "long", "-1", { broker: "log.retention.bytes" }),
  setting("retention.ms", "long", "604800000", { broker: "log.retention.ms", hours: true, least: -1 }),
  setting("segment.bytes", "int", "1073741824", {
    broker: "log.segment.bytes",
    least: 14,
    leastSince: ["4.0", 1_048_576]
  }),
  setting("segment.index.bytes", "int", "10485760", {
    broker: "log.index.size.max.bytes",
    least: 0,
    leastSince: ["3.9", 4]
  }),
  setting("segment.jitter.ms", "long", "0", { broker: "log.roll.jitter.ms", hours: true, least: 0 }),
  setting("segment.ms", "long", "604800000", { broker: "log.roll.ms", hours: true, least: 1 }),
  setting("unclean.leader.election.enable", "boolean", "false", {
    broker: "unclean.leader.election.enable",
    before: [["0.11", "true"]]
  })
]

const exists = ({ since, until }: Setting, profile: Profile): boolean =>
  (since === undefined || profile.since(since)) && (until === undefined || !profile.since(until))

const defaultOf = ({ before, byDefault }: Setting, profile: Profile): string =>
  before?.find(([release]) => !profile.since(release))?.[1] ?? byDefault

/** Of groups of the consumer protocol; none can be altered while a broker runs. */
const ofConsumerGroups: ReadonlyArray<Setting> = [
  setting("group.consumer.heartbeat.interval.ms", "int", "5000", { least: 1, since: "3.9" }),
  setting("group.consumer.max.heartbeat.interval.ms", "int", "15000", { least: 1, since: "3.9" }),
  setting("group.consumer.max.session.timeout.ms", "int", "60000", { least: 1, since: "3.9" }),
  setting("group.consumer.max.size", "int", "2147483647", { least: 1, since: "3.9" }),
  setting("group.consumer.migration.policy", "string", "bidirectional", {
    since: "3.9",
    before: [["4.0", "disabled"]]
  }),
  setting("group.consumer.min.heartbeat.interval.ms", "int", "5000", { least: 1, since: "3.9" }),
  setting("group.consumer.min.session.timeout.ms", "int", "45000", { least: 1, since: "3.9" }),
  setting("group.consumer.session.timeout.ms", "int", "45000", { least: 1, since: "3.9" }),
  setting("group.consumer.assignment.interval.ms", "int", "1000", { least: 0, since: "4.4" }),
  setting("group.consumer.regex.refresh.interval.ms", "int", "600000", { least: 10_000, since: "4.4" })
]

/** The settings of brokers that this one tells. Those of `fixed` cannot be altered. */
const ofBrokers: ReadonlyArray<Setting> = [
  ...ofTopics.flatMap(({ broker, ...rest }) => (broker === undefined ? [] : [{ ...rest, name: broker }])),
  setting("auto.create.topics.enable", "boolean", "true"),
  setting("background.threads", "int", "10", { least: 1 }),
  ...ofConsumerGroups,
  setting("broker.id", "int", "-1"),
  setting("default.replication.factor", "int", "1", { least: 1 }),
  setting("group.initial.rebalance.delay.ms", "int", "3000", { least: 0 }),
  setting("group.max.session.timeout.ms", "int", "1800000", { least: 0 }),
  setting("group.max.size", "int", "2147483647", { least: 1 }),
  setting("group.min.session.timeout.ms", "int", "6000", { least: 0 }),
  setting("log.retention.hours", "int", "168"),
  setting("node.id", "int", "-1"),
  setting("num.partitions", "int", "1", { least: 1 }),
  setting("offsets.retention.minutes", "int", "10080", { least: 1 }),
  setting("offsets.topic.num.partitions", "int", "50", { least: 1 }),
  setting("socket.request.max.bytes", "int", "104857600", { least: 1 })
]
const fixed = new Set([
  ...ofConsumerGroups.map(({ name }) => name),
  ..."auto.create.topics.enable broker.id default.replication.factor group.initial.rebalance.delay.ms group.max.session.timeout.ms group.max.size group.min.session.timeout.ms node.id num.partitions offsets.topic.num.partitions socket.request.max.bytes".split(
    " "
  )
])

const topicByName = new Map(ofTopics.map((each) => [each.name, each]))
const brokerByName = new Map(ofBrokers.map((each) => [each.name, each]))

/** What of a cluster has to do with settings. */
interface Configured {
  readonly settings: ClusterSettings
  readonly topics: ReadonlyMap<string, Topic>
  /** Altered settings of brokers, by id; those under "" are of all brokers. */
  readonly brokerConfig: Map<string, ReadonlyMap<string, string>>
  readonly changed: () => void
}

/** A setting by its name; undefined where the release has none. */
export const find = (cluster: Configured, resourceType: number, name: string): Setting | undefined => {
  const { profile } = cluster.settings
  const known = (resourceType === resource.topic ? topicByName : brokerByName).get(name)
  return known === undefined || !exists(known, profile) ? undefined : { ...known, byDefault: defaultOf(known, profile) }
}

/** Of kinds that are whole numbers. */
const largest: Readonly<Partial<Record<Kind, bigint>>> = { int: 2n ** 31n - 1n, long: 2n ** 63n - 1n }

/** Whether Java reads a number of this kind in it. */
const isNumber = (kind: Kind, text: string): boolean => {
  const most = largest[kind]
  if (most === undefined) return /^-?\d+(\.\d+)?$/.test(text)
  return /^-?\d{1,19}$/.test(text) && BigInt(text) <= most && BigInt(text) >= -most - 1n
}

/** What is wrong with a setting; undefined where nothing is. Null stands for the default. */
export const check = (
  cluster: Configured,
  resourceType: number,
  name: string,
  value: string | null
): string | undefined => {
  const known = find(cluster, resourceType, name)
  if (known === undefined) return resourceType === resource.topic ? `Unknown topic config name: ${name}` : undefined
  if (resourceType === resource.broker && fixed.has(name))
    return `Cannot update these configs dynamically: Set(${name})`
  if (value === null) return undefined
  const { kind, leastSince, most, values } = known
  const { profile } = cluster.settings
  // A broker of no release takes what any of them does.
  const raised = leastSince !== undefined && profile.name !== "everything" && profile.since(leastSince[0])
  const least = raised ? leastSince[1] : known.least
  const parts = kind === "list" ? value.split(",").map((part) => part.trim()) : [value]
  const wrong =
    kind === "boolean"
      ? value !== "true" && value !== "false"
      : kind === "string" || kind === "list"
        ? values !== undefined && parts.some((part) => !values.includes(part))
        : !isNumber(kind, value.trim()) ||
          (least !== undefined && Number(value) < least) ||
          (most !== undefined && Number(value) > most)
  return wrong ? `Invalid value ${value} for configuration ${name}` : undefined
}

const isInvalidValue = (mistake: string) => mistake.startsWith("Invalid value")

/** A setting with its value and where it comes from. */
interface Described {
  readonly name: string
  readonly value: string
  readonly kind: Kind
  readonly source: number
  readonly readOnly: boolean
  readonly synonyms: ReadonlyArray<{ readonly name: string; readonly value: string; readonly source: number }>
}

const consumerGroupsStartedWith = (groups: ClusterSettings["consumerGroups"]) =>
  [
    ["group.consumer.assignment.interval.ms", String(groups.assignmentInterval)],
    ["group.consumer.heartbeat.interval.ms", String(groups.heartbeatInterval)],
    ["group.consumer.max.size", String(Math.min(groups.maxSize, 2147483647))],
    ["group.consumer.migration.policy", groups.migration],
    ["group.consumer.regex.refresh.interval.ms", String(groups.regexRefreshInterval)],
    ["group.consumer.session.timeout.ms", String(groups.sessionTimeout)]
  ] as const

/** What a broker was started with, where that is not Kafka's default. */
const startedWith = (cluster: Configured, node: Node): ReadonlyMap<string, string> => {
  const { settings } = cluster
  return new Map([
    ["broker.id", String(node.id)],
    ["node.id", String(node.id)],
    ["auto.create.topics.enable", String(settings.autoCreate)],
    ["num.partitions", String(settings.defaultPartitions)],
    ["default.replication.factor", String(settings.replicationFactor)],
    ["group.initial.rebalance.delay.ms", String(settings.groupInitialRebalanceDelay)],
    ["group.min.session.timeout.ms", String(settings.groupMinSessionTimeout)],
    ["group.max.session.timeout.ms", String(settings.groupMaxSessionTimeout)],
    ["group.max.size", String(Math.min(settings.groupMaxSize, 2147483647))],
    ...consumerGroupsStartedWith(settings.consumerGroups),
    ["socket.request.max.bytes", String(settings.maxFrameBytes)]
  ])
}

/** Every setting of a topic or broker; a number is the error code where there is no such thing. */
export const describe = (
  cluster: Configured,
  node: Node,
  resourceType: number,
  resourceName: string
): ReadonlyArray<Described> | number => {
  if (resourceType === resource.topic) {
    const topic = cluster.topics.get(resourceName)
    return topic === undefined ? Code.unknownTopicOrPartition : describeTopic(cluster, topic.config)
  }
  if (resourceType !== resource.broker) return Code.invalidRequest
  if (resourceName === "")
    return Array.from(cluster.brokerConfig.get("") ?? [], ([name, value]) => ({
      name,
      value,
      kind: find(cluster, resourceType, name)?.kind ?? "string",
      source: source.allBrokers,
      readOnly: false,
      synonyms: [{ name, value, source: source.allBrokers }]
    }))
  if (resourceName !== String(node.id)) return Code.invalidRequest
  const started = startedWith(cluster, node)
  const { profile } = cluster.settings
  return ofBrokers
    .filter((each) => exists(each, profile))
    .map((each) => {
      const { kind, name } = each
      const byDefault = defaultOf(each, profile)
      const synonyms = [
        ...one(name, cluster.brokerConfig.get(resourceName)?.get(name), source.broker),
        ...one(name, cluster.brokerConfig.get("")?.get(name), source.allBrokers),
        ...one(name, started.get(name), source.file),
        { name, value: byDefault, source: source.default }
      ]
      return { name, kind, value: synonyms[0]!.value, source: synonyms[0]!.source, readOnly: fixed.has(name), synonyms }
    })
}

const one = (name: string, value: string | undefined, from: number) =>
  value === undefined ? [] : [{ name, value, source: from }]

/** Every setting of a topic with these of its own. */
export const describeTopic = (cluster: Configured, config: ReadonlyMap<string, string>): ReadonlyArray<Described> =>
  ofTopics
    .filter((each) => exists(each, cluster.settings.profile))
    .map((each) => {
      const { broker, hours, kind, name } = each
      const byDefault = defaultOf(each, cluster.settings.profile)
      const synonyms = [
        ...one(name, config.get(name), source.topic),
        ...(broker === undefined ? [] : one(broker, cluster.brokerConfig.get("")?.get(broker), source.allBrokers)),
        ...(broker === undefined || hours === true ? [] : [{ name: broker, value: byDefault, source: source.default }])
      ]
      const { source: from, value } = synonyms[0] ?? { value: byDefault, source: source.default }
      return { name, kind, value, source: from, readOnly: false, synonyms }
    })

/** The value of a topic's setting, with the brokers' in its place where it has none. */
export const valueOf = (cluster: Configured, config: ReadonlyMap<string, string>, name: string): string => {
  const known = topicByName.get(name)!
  return (
    config.get(name) ??
    cluster.brokerConfig.get("")?.get(known.broker ?? "") ??
    defaultOf(known, cluster.settings.profile)
  )
}

/**
 * Alters a topic's or brokers' settings to what `next` makes of the present ones: it gives all of them, or an error code,
 * or what is wrong as text.
 */
export const alter = (
  cluster: Configured,
  node: Node,
  resourceType: number,
  resourceName: string,
  validateOnly: boolean,
  next: (current: ReadonlyMap<string, string>) => Map<string, string> | number | string
): readonly [errorCode: number, errorMessage: string | null] => {
  const topic = cluster.topics.get(resourceName)
  if (resourceType === resource.topic && topic === undefined)
    return [cluster.settings.profile.since("2.8") ? Code.unknownTopicOrPartition : Code.unknownServerError, null]
  if (resourceType !== resource.topic && resourceType !== resource.broker) return [Code.invalidRequest, null]
  if (resourceType === resource.broker && resourceName !== "" && resourceName !== String(node.id))
    return [Code.invalidRequest, `Unexpected broker id, expected ${node.id}, but received ${resourceName}`]
  const current =
    topic !== undefined && resourceType === resource.topic
      ? topic.config
      : (cluster.brokerConfig.get(resourceName) ?? new Map())
  const made = next(current)
  if (typeof made === "number") return [made, null]
  // before KRaft a value that is not legal was no legal request
  if (typeof made === "string")
    return [
      isInvalidValue(made) && !cluster.settings.profile.since("3.9") ? Code.invalidRequest : Code.invalidConfig,
      made
    ]
  if (validateOnly) return [Code.none, null]
  if (resourceType === resource.broker) cluster.brokerConfig.set(resourceName, made)
  else {
    topic!.config.clear()
    for (const [name, value] of made) topic!.config.set(name, value)
  }
  cluster.changed()
  return [Code.none, null]
}
