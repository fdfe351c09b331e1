/**
 * Pure. What members tell each other through the group's leader, as the bytes inside JoinGroup and SyncGroup:
 * subscriptions and assignments, each behind its version.
 *
 * What others wrote is read as far as it can be: newer versions append fields, which are passed by, as Java does; what
 * is missing at the end is taken as left out (PyKafka's leader writes assignments without user data).
 */
import type * as Schema from "effect/Schema"
import type * as Assignor from "../Assignor.ts"
import type * as ClassicState from "./ClassicState.ts"
import * as KafkaError from "../KafkaError.ts"
import * as ConsumerProtocol from "../protocol/messages/ConsumerProtocol.ts"
import * as Wire from "../protocol/Wire.ts"
import * as TopicPartition from "../TopicPartition.ts"

const maxVersion = 3

const byTopic = (
  partitions: ReadonlyArray<TopicPartition.TopicPartition>
): Array<{ readonly topic: string; readonly partitions: Array<number> }> =>
  [...TopicPartition.byTopic(partitions)].map(([topic, list]) => ({
    topic,
    partitions: list.map(({ partition }) => partition)
  }))

/** The most partitions that one member may be told to have; how many it takes is `maxPartitions` of its consumer. */
const mostPartitions = 1 << 18

/**
 * The partitions that a member is told of, each once: one that stands twice, or with a number that none has, is a mistake
 * of who wrote it. Throws where they are more than any member has.
 */
export const flat = (
  what: string,
  topics: ReadonlyArray<{ readonly topic: string; readonly partitions: ReadonlyArray<number> }>
): Array<TopicPartition.TopicPartition> => {
  const told = topics.reduce((count, { partitions }) => count + partitions.length, 0)
  if (told > mostPartitions) throw unreadable(what, `it tells of ${told} partitions`)
  const all: Array<TopicPartition.TopicPartition> = []
  const seen = new Map<string, Set<number>>()
  for (const { partitions, topic } of topics) {
    let ofTopic = seen.get(topic)
    if (ofTopic === undefined) seen.set(topic, (ofTopic = new Set()))
    for (const partition of partitions) {
      if (partition < 0 || ofTopic.has(partition)) continue
      ofTopic.add(partition)
      all.push({ topic, partition })
    }
  }
  return all
}

const prefixed = (version: number, body: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(body.length + 2)
  bytes[1] = version
  bytes.set(body, 2)
  return bytes
}

const unreadable = (what: string, problem: string, cause?: unknown): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Corrupt", what, problem }, cause)

/** The version before a blob of the consumer protocol, and the rest; a newer one is read as the newest that we know. */
const unprefixed = (what: string, bytes: Uint8Array): readonly [version: number, body: Uint8Array] => {
  if (bytes.length < 2) throw unreadable(what, "it has no version")
  const version = ((bytes[0]! << 24) >> 16) | bytes[1]!
  if (version < 0) throw unreadable(what, `its version is ${version}`)
  return [Math.min(version, maxVersion), bytes.subarray(2)]
}

// Null bytes, for user data that were left out at the end.
const noUserData = new Uint8Array([255, 255, 255, 255])

const readBare = <S extends Schema.Top>(message: Wire.Message<S>, version: number, body: Uint8Array): S["Type"] =>
  Wire.compile(message, version).decode(new Wire.Reader(body))

/** Reads at a version; where the body ends early, as an older one, and at last without user data. */
const read = <S extends Schema.Top>(message: Wire.Message<S>, version: number, body: Uint8Array): S["Type"] => {
  let problem: unknown
  for (let each = version; each >= 0; each--) {
    try {
      return readBare(message, each, body)
    } catch (error) {
      problem ??= error
    }
  }
  const completed = new Uint8Array(body.length + noUserData.length)
  completed.set(body)
  completed.set(noUserData, body.length)
  try {
    return readBare(message, 0, completed)
  } catch {
    throw problem
  }
}

/** What a member tells of itself. */
export interface Subscription {
  readonly topics: ReadonlyArray<string>
  readonly owned: ReadonlyArray<TopicPartition.TopicPartition>
  /** The generation that `owned` is of; undefined: not told, since members of every age are to read it. */
  readonly generation: number | undefined
  readonly userData: Uint8Array | null
}

/** A member's subscription: v1, which members of every age read, or v2 with the generation. */
export const encodeSubscription = ({ generation, owned, topics, userData }: Subscription): Uint8Array => {
  const version = generation === undefined ? 1 : 2
  return prefixed(
    version,
    Wire.compile(ConsumerProtocol.Subscription, version).write({
      topics: [...topics].sort(),
      userData,
      ownedPartitions: byTopic(owned),
      ...(generation === undefined ? {} : { generationId: generation })
    })
  )
}

/** The member that a subscription is of. Throws where it cannot be read. */
export const decodeSubscription = (member: ClassicState.Member): Assignor.Member => {
  const [version, body] = unprefixed("ConsumerProtocolSubscription", member.metadata)
  const subscription = read(ConsumerProtocol.Subscription, version, body)
  return {
    memberId: member.memberId,
    instanceId: member.instanceId,
    topics: [...new Set(subscription.topics)],
    owned: flat("ConsumerProtocolSubscription", subscription.ownedPartitions),
    generation: subscription.generationId,
    userData: copied(subscription.userData)
  }
}

/** A member's share, and what its assignor told with it. */
export interface Assignment {
  readonly partitions: ReadonlyArray<TopicPartition.TopicPartition>
  readonly userData: Uint8Array | null
}

/** A member's share: v1. */
export const encodeAssignment = ({ partitions, userData }: Assignment): Uint8Array =>
  prefixed(1, Wire.compile(ConsumerProtocol.Assignment, 1).write({ assignedPartitions: byTopic(partitions), userData }))

/** A member's share. Throws where it cannot be read. */
export const decodeAssignment = (bytes: Uint8Array): Assignment => {
  // Whoever is not assigned anything may get no bytes at all.
  if (bytes.length === 0) return { partitions: [], userData: null }
  const [version, body] = unprefixed("ConsumerProtocolAssignment", bytes)
  const { assignedPartitions, userData } = read(ConsumerProtocol.Assignment, version, body)
  return { partitions: flat("ConsumerProtocolAssignment", assignedPartitions), userData: copied(userData) }
}

/** Not a view of the frame that it came in. */
const copied = (bytes: Uint8Array | null): Uint8Array | null => (bytes === null ? null : Uint8Array.from(bytes))
