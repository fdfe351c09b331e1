/**
 * The offsets that a group keeps at its coordinator: OffsetFetch and OffsetCommit, of every version that keeps them in
 * Kafka (v0 is ZooKeeper's). From v10 on topics go by their ids, where all of them are known, else by name (v9).
 */
import * as Effect from "effect/Effect"
import * as Backoff from "../Backoff.ts"
import type { Broker } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import { isOfName } from "../engine/OfName.ts"
import * as ErrorCode from "../ErrorCode.ts"
import { anonymous, type Commit, type Committed, type Identity } from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import * as OffsetCommit from "../protocol/messages/OffsetCommit.ts"
import * as OffsetFetch from "../protocol/messages/OffsetFetch.ts"
import * as TopicPartition from "../TopicPartition.ts"
import { asked } from "./AskCoordinator.ts"

const code = ErrorCode.codes

/** From this version on topics go by id. */
const byId = 10

/** The topics of a request: by name, and by id where every one is known. */
class Named<A extends TopicPartition.TopicIdPartition> {
  readonly topics: ReadonlyArray<readonly [name: string, partitions: ReadonlyArray<A>, id: string | undefined]>
  readonly versions: { readonly minVersion: number; readonly maxVersion?: number }
  readonly #names: ReadonlyMap<string, string>

  constructor(cluster: Cluster["Service"], partitions: ReadonlyArray<A>) {
    const idOf = ({ topic, topicId }: A) => topicId ?? cluster.known(topic)?.id
    const each = TopicPartition.groupBy(partitions, (one) => `${one.topic} ${idOf(one)}`)
    this.topics = [...each.values()].map((list) => [list[0]!.topic, list, idOf(list[0]!)])
    const named = this.topics.flatMap(([name, , id]) => (id === undefined ? [] : [[id, name] as const]))
    this.versions = named.length === this.topics.length ? { minVersion: 1 } : { minVersion: 1, maxVersion: byId - 1 }
    this.#names = new Map(named)
  }

  /** The name that an answer is about. */
  nameOf({ name, topicId }: { readonly name: string; readonly topicId?: string }): string {
    return (topicId === undefined ? undefined : this.#names.get(topicId)) ?? name
  }

  get names(): ReadonlyArray<string> {
    return [...new Set(this.topics.map(([name]) => name))]
  }
}

/** What the field for a topic is at a version. */
const topicAt = (version: number, name: string, id: string | undefined) =>
  version >= byId ? { topicId: id! } : { name }

/** The committed offsets, by `TopicPartition.key`: retried for as long as a retry may help. */
export const fetch = (
  cluster: Cluster["Service"],
  retry: Backoff.Retry,
  id: string,
  partitions: ReadonlyArray<TopicPartition.TopicIdPartition>,
  as?: () => Identity,
  waits: (error: KafkaError.KafkaError) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<ReadonlyMap<string, Committed>, KafkaError.KafkaError> => {
  if (partitions.length === 0) return Effect.succeed(new Map())
  const where = { api: "OffsetFetch", group: id }
  const once = Effect.fnUntraced(function* (broker: Broker) {
    const named = new Named(cluster, partitions)
    const response = yield* broker.send(
      OffsetFetch,
      (version) => {
        const { generation, memberId } = as?.() ?? anonymous
        const member = memberId === "" ? {} : { memberId, memberEpoch: generation }
        const topics = named.topics.map(([name, list, topicId]) => ({
          ...topicAt(version, name, topicId),
          partitionIndexes: list.map((p) => p.partition)
        }))
        const one = topics as ReadonlyArray<{ readonly name: string; readonly partitionIndexes: ReadonlyArray<number> }>
        return {
          ...(version >= 8
            ? { groups: [{ groupId: id, topics, ...(version >= 9 ? member : {}) }] }
            : { groupId: id, topics: one }),
          // An offset of an open transaction is not one to start from (KIP-447).
          ...(version >= 7 ? { requireStable: true } : {})
        }
      },
      named.versions
    )
    const answer = response.groups[0] ?? response
    if (answer.errorCode !== code.NONE) return yield* KafkaError.fromCode(answer.errorCode, where)
    const committed = new Map<string, Committed>()
    const told = new Set<string>()
    for (const topic of answer.topics) {
      const name = named.nameOf(topic)
      for (const { committedLeaderEpoch, committedOffset, errorCode, metadata, partitionIndex } of topic.partitions) {
        told.add(TopicPartition.key({ topic: name, partition: partitionIndex }))
        // Nothing was ever committed, says an old broker.
        if (errorCode === code.UNKNOWN_TOPIC_OR_PARTITION) continue
        if (errorCode === code.UNKNOWN_TOPIC_ID) yield* Effect.ignore(cluster.topics(named.names))
        if (errorCode !== code.NONE) {
          return yield* KafkaError.fromCode(errorCode, { ...where, topic: name, partition: partitionIndex })
        }
        if (committedOffset >= 0) {
          committed.set(TopicPartition.key({ topic: name, partition: partitionIndex }), {
            offset: committedOffset,
            leaderEpoch: committedLeaderEpoch,
            metadata: metadata ?? ""
          })
        }
      }
    }
    // Brokers tell of each that they were asked for, also where there is nothing: who takes silence for that skips, or
    // reads again, what is there.
    const untold = partitions.find((one) => !told.has(TopicPartition.key(one)))
    if (untold !== undefined) {
      const problem = "the partition is left out"
      const { partition, topic } = untold
      return yield* KafkaError.make({
        ...where,
        _tag: "Corrupt",
        what: "OffsetFetchResponse",
        problem,
        topic,
        partition
      })
    }
    return committed
  })
  // One refusal is as it should be where the member has just gone on; not every one.
  let refusals = 0
  const holdsUp = (error: KafkaError.KafkaError) => error.isRetryable || (isOfAnotherEpoch(error) && ++refusals > 1)
  return asked(cluster, id, once).pipe(
    Effect.tapError((error) => (holdsUp(error) ? waits(error) : Effect.void)),
    Effect.retry({ schedule: Backoff.unending(retry), while: (error) => error.isRetryable || isOfAnotherEpoch(error) })
  )
}

/** Whether it was refused since the member is another by now, or none: it is asked again as who it is, until it is told. */
const isOfAnotherEpoch = ({ reason }: KafkaError.KafkaError): boolean =>
  reason._tag === "Server" && (reason.code === code.STALE_MEMBER_EPOCH || reason.code === code.UNKNOWN_MEMBER_ID)

/** How a commit is told, with the leader epoch of the record before it where there is a field for that. */
export const asCommit = ({ leaderEpoch, metadata, offset, partition }: Commit, knowsEpochs: boolean) => ({
  partitionIndex: partition,
  committedOffset: offset,
  ...(knowsEpochs && leaderEpoch !== undefined ? { committedLeaderEpoch: leaderEpoch } : {}),
  committedMetadata: metadata ?? ""
})

/** The code of each commit, in their order, -1 for what nothing was said of: that was not committed. */
export const answered = <A extends { readonly partitions: ReadonlyArray<PartitionCode> }>(
  cluster: Cluster["Service"],
  id: string,
  api: "OffsetCommit" | "TxnOffsetCommit",
  commits: ReadonlyArray<Commit>,
  topics: ReadonlyArray<A>,
  nameOf: (topic: A) => string
): ReadonlyArray<number> => {
  const codes = new Map<string, number>()
  for (const topic of topics) {
    const name = nameOf(topic)
    for (const { errorCode, partitionIndex } of topic.partitions)
      codes.set(TopicPartition.key({ topic: name, partition: partitionIndex }), errorCode)
  }
  const moved = [...codes.values()].some((code) => ErrorCode.asks(code, api) === "coordinator")
  if (moved) cluster.forgetCoordinator("group", id)
  return commits.map((one) => codes.get(TopicPartition.key(one)) ?? -1)
}

interface PartitionCode {
  readonly partitionIndex: number
  readonly errorCode: number
}

/**
 * The code of each commit, in their order; fails where the coordinator gave no answer. By name only what is of the topic
 * that has it is sent: of another the code is what a coordinator says that is told ids.
 */
export const commit = (
  cluster: Cluster["Service"],
  id: string,
  as: Identity,
  commits: ReadonlyArray<Commit>
): Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError> => {
  const once = Effect.fnUntraced(function* (broker: Broker) {
    const named = new Named(cluster, commits)
    let sent: ReadonlySet<Commit> = new Set(commits)
    const asking = broker.send(
      OffsetCommit,
      (version) => {
        // Others may have committed while it waited for its coordinator.
        if (as.isCurrent?.() === false)
          throw KafkaError.fromCode(code.REBALANCE_IN_PROGRESS, { api: "OffsetCommit", group: id })
        sent = new Set(version >= byId ? commits : commits.filter((one) => isOfName(cluster, one)))
        if (sent.size === 0) throw KafkaError.fromCode(code.UNKNOWN_TOPIC_ID, { api: "OffsetCommit", group: id })
        return {
          groupId: id,
          generationIdOrMemberEpoch: as.generation,
          memberId: as.memberId,
          // A broker that does not know static members could not have let one join.
          ...(version >= 7 ? { groupInstanceId: as.instanceId } : {}),
          topics: named.topics.flatMap(([name, list, topicId]) => {
            const partitions = list.filter((one) => sent.has(one)).map((one) => asCommit(one, version >= 6))
            return partitions.length === 0 ? [] : [{ ...topicAt(version, name, topicId), partitions }]
          })
        }
      },
      named.versions
    )
    const { topics } = yield* Effect.catchIf(
      asking,
      () => sent.size === 0,
      () => Effect.succeed({ topics: [] })
    )
    const said = answered(cluster, id, "OffsetCommit", commits, topics, (topic) => named.nameOf(topic))
    const codes = said.map((told, i) => (sent.has(commits[i]!) ? told : code.UNKNOWN_TOPIC_ID))
    // The topic was made again under its name: the next try knows its id.
    if (codes.includes(code.UNKNOWN_TOPIC_ID)) yield* Effect.ignore(cluster.topics(named.names))
    return codes
  })
  return asked(cluster, id, once)
}
