/**
 * What members tell each other through the group's leader, as the bytes inside JoinGroup and SyncGroup: subscriptions
 * and assignments, each behind its version.
 */
import type * as Schema from "effect/Schema"
import type * as Assignor from "../Assignor.ts"
import type * as ClassicMember from "./ClassicMember.ts"
import * as KafkaError from "../KafkaError.ts"
import * as ConsumerProtocol from "../protocol/messages/ConsumerProtocol.ts"
import * as Wire from "../protocol/Wire.ts"
import type { TopicPartition } from "../TopicPartition.ts"

const maxVersion = 3

const byTopic = (
  partitions: ReadonlyArray<TopicPartition>
): Array<{ readonly topic: string; readonly partitions: Array<number> }> => {
  const topics = new Map<string, Array<number>>()
  for (const { topic, partition } of partitions) {
    const of = topics.get(topic)
    if (of === undefined) topics.set(topic, [partition])
    else of.push(partition)
  }
  return [...topics].map(([topic, list]) => ({ topic, partitions: list }))
}

const flat = (
  topics: ReadonlyArray<{ readonly topic: string; readonly partitions: ReadonlyArray<number> }>
): Array<TopicPartition> =>
  topics.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))

const prefixed = (version: number, body: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(body.length + 2)
  bytes[1] = version
  bytes.set(body, 2)
  return bytes
}

/** The version before a blob of the consumer protocol, and the rest; a newer one is read as the newest that we know. */
const unprefixed = (bytes: Uint8Array): readonly [version: number, body: Uint8Array] => {
  if (bytes.length < 2) {
    throw KafkaError.make({ _tag: "Corrupt", what: "ConsumerProtocol", problem: "it has no version" })
  }
  return [Math.min((bytes[0]! << 8) | bytes[1]!, maxVersion), bytes.subarray(2)]
}

/** A member's subscription, and what it owns. */
export const encodeSubscription = (
  topics: ReadonlyArray<string>,
  owned: ReadonlyArray<TopicPartition>,
  generation: number,
  cooperative: boolean
): Uint8Array => {
  // v1 is what members of every age read; the generation (v2) is told only where an assignor asks for it.
  const version = cooperative ? 2 : 1
  return prefixed(
    version,
    Wire.compile(ConsumerProtocol.Subscription, version).write({
      topics: [...topics].sort(),
      ownedPartitions: byTopic(owned),
      ...(cooperative ? { generationId: generation } : {})
    })
  )
}

/** Newer versions append fields: what follows those that we know is passed by, as Java does. */
const readForward = <S extends Schema.Top>(message: Wire.Message<S>, version: number, body: Uint8Array): S["Type"] =>
  Wire.compile(message, version).decode(new Wire.Reader(body))

/** The member that a subscription is of. Throws where it cannot be read. */
export const decodeSubscription = (member: ClassicMember.Member): Assignor.Member => {
  const [version, body] = unprefixed(member.metadata)
  const subscription = readForward(ConsumerProtocol.Subscription, version, body)
  return {
    memberId: member.memberId,
    instanceId: member.instanceId,
    topics: subscription.topics,
    owned: flat(subscription.ownedPartitions),
    generation: subscription.generationId
  }
}

/** A member's share. */
export const encodeAssignment = (partitions: ReadonlyArray<TopicPartition>): Uint8Array =>
  prefixed(
    1,
    Wire.compile(ConsumerProtocol.Assignment, 1).write({ assignedPartitions: byTopic(partitions), userData: null })
  )

/** A member's share. Throws where it cannot be read. */
export const decodeAssignment = (bytes: Uint8Array): Array<TopicPartition> => {
  // Whoever is not assigned anything may get no bytes at all.
  if (bytes.length === 0) return []
  const [version, body] = unprefixed(bytes)
  return flat(readForward(ConsumerProtocol.Assignment, version, body).assignedPartitions)
}

/** The error of what cannot be read. */
export const corrupt = (error: unknown, group: string): KafkaError.KafkaError =>
  error instanceof KafkaError.KafkaError
    ? error
    : KafkaError.make({ _tag: "Corrupt", what: "ConsumerProtocol", problem: String(error), group }, error)
