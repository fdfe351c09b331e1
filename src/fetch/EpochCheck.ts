/**
 * Whether a new leader's log holds what was read from the old one (KIP-320): asked with OffsetForLeaderEpoch, before the
 * first Fetch to it. From v12 on Fetch asks itself, by `lastFetchedEpoch`; before v3 of OffsetForLeaderEpoch (2.3)
 * consumers may not ask.
 */
import * as Effect from "effect/Effect"
import type { Broker } from "../Broker.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Fetch from "../protocol/messages/Fetch.ts"
import * as OffsetForLeaderEpoch from "../protocol/messages/OffsetForLeaderEpoch.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { FetchedPartition } from "./FetchedPartition.ts"

/** The first version of Fetch that tells by itself. */
const fetchTells = 12
/** The first version that asks for no more than the right to describe the topic. */
const forClients = 3

/** What the leader says of one partition. */
export interface Verdict {
  readonly partition: FetchedPartition
  /** The leader's epoch when it was asked. */
  readonly epoch: number
  /** Where the epoch before the position ends; undefined where the leader cannot say. */
  readonly endOffset: number | undefined
  /** Why there is none: to be asked again, of whoever leads. */
  readonly failure: { readonly why: KafkaError.KafkaError; readonly isAboutLeader: boolean } | undefined
}

const verdict = (partition: FetchedPartition): Verdict => ({
  partition,
  epoch: partition.leader?.epoch ?? -1,
  endOffset: undefined,
  failure: undefined
})

/** The verdict on a partition whose leader could not be asked. */
export const unknown = (partition: FetchedPartition, why: KafkaError.KafkaError): Verdict => ({
  ...verdict(partition),
  failure: { why, isAboutLeader: true }
})

/** Asks one broker about partitions that it leads. */
export const ask = (
  broker: Broker,
  partitions: ReadonlyArray<FetchedPartition>,
  channel: string
): Effect.Effect<ReadonlyArray<Verdict>, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    const fine = partitions.map(verdict)
    if ((yield* broker.version(Fetch, { channel })) >= fetchTells) return fine
    const { ranges } = yield* broker.offer({ channel })
    if ((ranges.get(OffsetForLeaderEpoch.Request.key)?.[1] ?? 0) < forClients) return fine
    const response = yield* broker.send(OffsetForLeaderEpoch, () => ({
      replicaId: -1,
      topics: [...TopicPartition.byTopic(partitions)].map(([topic, of]) => ({
        topic,
        partitions: of.map((partition) => ({
          partition: partition.partition,
          currentLeaderEpoch: partition.leader?.epoch ?? -1,
          leaderEpoch: partition.nextEpoch
        }))
      }))
    }))
    const told = new Map(fine.map((one) => [TopicPartition.key(one.partition), one]))
    for (const { topic, partitions: answers } of response.topics) {
      for (const { endOffset, errorCode, partition: index } of answers) {
        const key = TopicPartition.key({ topic, partition: index })
        const one = told.get(key)
        if (one === undefined) continue
        const where = { api: "OffsetForLeaderEpoch", topic, partition: index }
        const isAboutLeader = ErrorCode.asks(errorCode, "OffsetForLeaderEpoch") === "metadata"
        told.set(key, {
          ...one,
          endOffset: endOffset >= 0 ? endOffset : undefined,
          failure: errorCode === 0 ? undefined : { why: KafkaError.fromCode(errorCode, where), isAboutLeader }
        })
      }
    }
    return [...told.values()]
  })
