/** Pure. Topics as they stand in ZooKeeper: assignments and settings as JSON, and how replicas are spread over brokers. */

/** A broker that lives, and where: undefined before 0.10, and where it does not say. */
export interface Located {
  readonly id: number
  readonly rack?: string | undefined
}

/** One of each rack in turn, as `AdminUtils.getRackAlternatedBrokerList` does; by their ids where one has no rack. */
const arranged = (brokers: ReadonlyArray<Located>): ReadonlyArray<Located> => {
  const byId = brokers.toSorted((a, b) => a.id - b.id)
  if (byId.some(({ rack }) => rack === undefined)) return byId.map(({ id }) => ({ id }))
  const racks = [...Map.groupBy(byId, ({ rack }) => rack!)].sort(([a], [b]) => (a < b ? -1 : 1))
  return byId.flatMap((_, i) => racks.flatMap(([, those]) => those.slice(i, i + 1)))
}

/**
 * Which brokers have which partition, as `AdminUtils.assignReplicasToBrokers` of 0.8 to 0.11 does: leaders in turn,
 * from `start` on, followers in the turn of another shift, so that those of a broker are spread, and over as many racks as
 * can be, where all brokers say theirs.
 */
export const spread = (
  brokers: ReadonlyArray<Located>,
  partitions: number,
  replicas: number,
  start: number,
  from = 0
): ReadonlyArray<ReadonlyArray<number>> => {
  const all = arranged(brokers)
  const n = all.length
  const racks = new Set(all.map(({ rack }) => rack)).size
  const assignments: Array<ReadonlyArray<number>> = []
  let shift = start
  for (let i = 0; i < partitions; i++) {
    const partition = from + i
    if (partition > 0 && partition % n === 0) shift++
    const first = (partition + start) % n
    const ids = [all[first]!.id]
    const taken = new Set([all[first]!.rack])
    for (let j = 0; ids.length < replicas; j++) {
      const { id, rack } = all[(first + 1 + ((shift * racks + j) % (n - 1))) % n]!
      // Not into a rack that has one while another has none.
      if (ids.includes(id) || (taken.has(rack) && taken.size < racks)) continue
      ids.push(id)
      taken.add(rack)
    }
    assignments.push(ids)
  }
  return assignments
}

/** What `/brokers/topics/<topic>` holds. */
export const topicNode = (assignments: ReadonlyArray<ReadonlyArray<number>>): string =>
  JSON.stringify({ version: 1, partitions: Object.fromEntries(assignments.map((ids, i) => [String(i), ids])) })

/** The brokers of each partition, by its number; undefined where it is no such node. */
export const readTopicNode = (text: string): ReadonlyArray<ReadonlyArray<number>> | undefined => {
  try {
    const { partitions } = JSON.parse(text) as {
      readonly partitions: { readonly [number: string]: ReadonlyArray<number> }
    }
    const found = Object.entries(partitions).sort(([a], [b]) => Number(a) - Number(b))
    return found.every(([number], i) => Number(number) === i) ? found.map(([, ids]) => ids) : undefined
  } catch {
    return undefined
  }
}

/** What `/config/topics/<topic>` holds. */
export const configNode = (config: { readonly [name: string]: string | number | boolean }): string =>
  JSON.stringify({
    version: 1,
    config: Object.fromEntries(Object.entries(config).map(([name, value]) => [name, String(value)]))
  })

/** What a value must be, in words; undefined where it is so. */
type Rule = (text: string) => string | undefined

const whole = (least: bigint, bits: 32 | 64): Rule => {
  const most = 2n ** BigInt(bits - 1) - 1n
  return (text) => {
    const value = /^[+-]?\d{1,20}$/.test(text) ? BigInt(text.replace("+", "")) : undefined
    return value !== undefined && value >= least && value <= most
      ? undefined
      : `a whole number from ${least} to ${most}`
  }
}

const oneOf =
  (...values: ReadonlyArray<string>): Rule =>
  (text) =>
    values.includes(text) ? undefined : `one of ${values.join(", ")}`

const long = whole(0n, 64)
const any = whole(-(2n ** 63n), 64)
const int = whole(0n, 32)
const boolean: Rule = (text) => (/^(true|false)$/i.test(text) ? undefined : "true or false")

/** A fraction in decimal: brokers read no 0x1, which is a number here, and leave out no blanks but those of ASCII. */
const ratio: Rule = (text) =>
  /^[ \t]*[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?[ \t]*$/i.test(text) && Number(text) >= 0 && Number(text) <= 1
    ? undefined
    : "a number from 0 to 1"

/** By their first three parts, as brokers know them: 0.9.0.1 is 0.9.0, but 0.9 is none. */
const versions: ReadonlySet<string> = new Set([
  "0.8.0",
  "0.8.1",
  "0.8.2",
  "0.9.0",
  "0.10.0-IV0",
  "0.10.0-IV1",
  "0.10.0"
])
const version: Rule = (text) =>
  versions.has(text.split(".", 3).join(".")) ? undefined : "a version up to 0.10.0, such as 0.9.0"

/** As 0.10.0 has them, and 0.8.2 where that has less. */
const rules: ReadonlyMap<string, Rule> = new Map([
  ["cleanup.policy", oneOf("delete", "compact")],
  ["compression.type", oneOf("uncompressed", "gzip", "snappy", "lz4", "producer")],
  ["delete.retention.ms", long],
  ["file.delete.delay.ms", int],
  ["flush.messages", long],
  ["flush.ms", long],
  ["index.interval.bytes", int],
  ["max.message.bytes", int],
  ["message.format.version", version],
  ["message.timestamp.difference.max.ms", long],
  ["message.timestamp.type", oneOf("CreateTime", "LogAppendTime")],
  ["min.cleanable.dirty.ratio", ratio],
  ["min.insync.replicas", whole(1n, 32)],
  ["preallocate", boolean],
  ["retention.bytes", any],
  ["retention.ms", any],
  ["segment.bytes", whole(14n, 32)],
  ["segment.index.bytes", int],
  ["segment.jitter.ms", long],
  ["segment.ms", long],
  ["unclean.leader.election.enable", boolean]
])

/** What is wrong with settings: a broker that finds such in ZooKeeper does not check them, and fails with them. */
export const mistakes = (config: { readonly [name: string]: string | number | boolean }): ReadonlyArray<string> =>
  Object.entries(config).flatMap(([name, value]) => {
    const rule = rules.get(name)
    if (rule === undefined) return [`${name} is no setting of topics before 0.10.1`]
    const wanted = rule(String(value))
    return wanted === undefined ? [] : [`${name} must be ${wanted}, not ${String(value)}`]
  })

/** Those of these names that are another's but for `.` and `_`, which are one in the names of brokers' metrics. */
export const colliding = (name: string, others: ReadonlyArray<string>): ReadonlyArray<string> =>
  others.filter((other) => other !== name && undotted(other) === undotted(name))

/** A name without the difference of `.` and `_`. */
export const undotted = (name: string): string => name.replaceAll(".", "_")

/** Whether a topic may have this name. */
export const isLegalName = (name: string): boolean =>
  /^[a-zA-Z0-9._-]{1,249}$/.test(name) && name !== "." && name !== ".."
