/**
 * Which broker a partition is fetched from: each partition finds its own, and waits alone. Pure.
 *
 * On the way it is noticed what became of the topic: gone, made again, with fewer partitions, or with another leader,
 * whose log must be compared with the position first.
 */
import type { TopicInfo } from "../Cluster.ts"
import * as Replaced from "../engine/Replaced.ts"
import type { FetchedPartition } from "./FetchedPartition.ts"
import * as Told from "./Told.ts"
import type { TopicLookups } from "./TopicLookups.ts"

export interface Context {
  readonly lookups: TopicLookups
  /** What the metadata last told of a topic. */
  readonly known: (topic: string) => TopicInfo | undefined
  /** How long a topic is looked for before it is taken for gone, in milliseconds. */
  readonly metadataTimeout: number
  /** Requests that are not answered, though they were due. */
  readonly late: Iterable<{ readonly node: number }>
  /** Has the leader asked where the epoch before the position ends. */
  readonly check: (partition: FetchedPartition) => void
}

/** The broker; undefined where it is not known now. The partition may have failed, or be checked, afterwards. */
export const locate = (partition: FetchedPartition, now: number, context: Context): number | undefined => {
  const { check, known, late, lookups, metadataTimeout } = context
  const { place, topic } = partition
  const ask = (): undefined => void lookups.needFor(partition)
  const info = known(topic)
  if (info === undefined) {
    if (lookups.isGone(topic, now, metadataTimeout)) partition.fail({ _tag: "UnknownTopic", ...place })
    return ask()
  }
  if (isOfAnother(partition, info, now, lookups)) return ask()
  if (partition.failure !== undefined) return undefined
  const { hint } = partition
  const part = info.partitions[partition.partition]
  if (part === undefined) {
    if (isMissing(partition, now, context)) partition.fail({ _tag: "UnknownTopic", ...place })
    return ask()
  }
  partition.missing = undefined
  const isHinted = hint !== undefined && hint.epoch > part.leaderEpoch
  if (!isHinted && lookups.rounds(topic) < partition.awaitedRound) return ask()
  const node = isHinted ? hint.node : part.leader
  const epoch = isHinted ? hint.epoch : part.leaderEpoch
  partition.leaderless = node < 0 ? Told.leaderless(partition.leaderless, now) : undefined
  if (node < 0) return ask()
  // It works: that metadata lag behind is no failure of its own.
  if (isHinted) lookups.need(topic)
  const { leader } = partition
  if (leader?.node !== node || leader.epoch !== epoch) partition.leader = { node, epoch }
  if (partition.nextEpoch >= 0 && epoch > partition.checkedEpoch) {
    partition.isChecking = true
    check(partition)
    return undefined
  }
  const { lost } = partition
  if (lost !== undefined) {
    partition.lost = undefined
    const to = lost.to === undefined ? {} : { to: lost.to }
    partition.fail({ _tag: "DataLoss", kind: "outOfRange", ...place, from: partition.next, ...to })
    return undefined
  }
  const { replica } = partition
  if (replica === undefined || replica.until <= now) return node
  // For the leader all may be well with it: what is asked for there waits behind what is not answered.
  for (const request of late)
    if (request.node === replica.node) {
      partition.leaveReplica(replica.node, now)
      return node
    }
  return replica.node
}

/** Whether the name is of another topic now. One answer does not count: a broker that lags behind may tell of the old one. */
const isOfAnother = (partition: FetchedPartition, { id }: TopicInfo, now: number, lookups: TopicLookups): boolean => {
  const { strange, topic, topicId } = partition
  if (id === undefined || id === topicId) {
    partition.strange = undefined
    return false
  }
  if (topicId === undefined) {
    partition.topicId = id
    return false
  }
  const round = lookups.rounds(topic)
  if (strange?.id !== id) {
    partition.strange = { id, round, since: now }
    return true
  }
  if (round <= strange.round) return true
  if (Replaced.isBack(lookups.left.of(topic), id, strange.since, now)) return true
  const { place, position } = partition
  partition.drop()
  partition.lost = undefined
  lookups.left.leave(topic, topicId)
  partition.fail({
    _tag: "DataLoss",
    kind: "recreated",
    ...place,
    from: position,
    to: 0,
    topicIds: { was: topicId, is: id }
  })
  return false
}

/** Whether several answers, over the whole budget, say that the topic has no such partition. */
const isMissing = (partition: FetchedPartition, now: number, { lookups, metadataTimeout }: Context): boolean => {
  const round = lookups.rounds(partition.topic)
  const { missing } = partition
  if (missing === undefined) {
    partition.missing = { since: now, round }
    return false
  }
  return round >= missing.round + 3 && now - missing.since >= metadataTimeout
}
