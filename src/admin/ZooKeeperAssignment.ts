/** Pure. Topics as they stand in ZooKeeper: assignments and settings as JSON, and how replicas are spread over brokers. */

/**
 * Which brokers have which partition, as `AdminUtils.assignReplicasToBrokers` of 0.8 to 0.10 does: leaders in turn, from
 * `start` on, followers in the turn of another shift, so that those of a broker are spread.
 */
export const spread = (
  brokers: ReadonlyArray<number>,
  partitions: number,
  replicas: number,
  start: number,
  from = 0
): ReadonlyArray<ReadonlyArray<number>> => {
  const n = brokers.length
  const assignments: Array<ReadonlyArray<number>> = []
  let shift = start
  for (let i = 0; i < partitions; i++) {
    const partition = from + i
    if (partition > 0 && partition % n === 0) shift++
    const first = (partition + start) % n
    const all = [brokers[first]!]
    for (let j = 0; j < replicas - 1; j++) all.push(brokers[(first + 1 + ((shift + j) % (n - 1))) % n]!)
    assignments.push(all)
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

const numbers = new Set(
  (
    "delete.retention.ms file.delete.delay.ms flush.messages flush.ms index.interval.bytes max.message.bytes " +
    "message.timestamp.difference.max.ms min.cleanable.dirty.ratio min.insync.replicas retention.bytes retention.ms " +
    "segment.bytes segment.index.bytes segment.jitter.ms segment.ms"
  ).split(" ")
)
const others = new Set(
  "cleanup.policy compression.type message.format.version message.timestamp.type preallocate unclean.leader.election.enable".split(
    " "
  )
)

/** What is wrong with settings: a broker that finds such in ZooKeeper does not check them, and fails with them. */
export const mistakes = (config: { readonly [name: string]: string | number | boolean }): ReadonlyArray<string> =>
  Object.entries(config).flatMap(([name, value]) =>
    numbers.has(name)
      ? String(value).trim() !== "" && Number.isFinite(Number(value))
        ? []
        : [`${name} must be a number, not ${String(value)}`]
      : others.has(name)
        ? []
        : [`${name} is no setting of topics before 0.10.1`]
  )

/** Whether a topic may have this name. */
export const isLegalName = (name: string): boolean =>
  /^[a-zA-Z0-9._-]{1,249}$/.test(name) && name !== "." && name !== ".."
