/**
 * Pure. What classic consumers tell each other through their leader, as a coordinator reads and writes it where it has
 * such members in a group of the consumer protocol: subscriptions and assignments, each behind its version.
 */
import type * as Schema from "effect/Schema"
import * as ConsumerProtocol from "../../protocol/messages/ConsumerProtocol.ts"
import * as Wire from "../../protocol/Wire.ts"

const newest = 3

export interface TopicPartitions {
  readonly topic: string
  readonly partitions: ReadonlyArray<number>
}

export interface Subscription {
  readonly topics: ReadonlyArray<string>
  readonly ownedPartitions: ReadonlyArray<TopicPartitions>
  readonly rackId: string | null
}

/** The version that bytes begin with; undefined where they have none. */
export const versionOf = (bytes: Uint8Array): number | undefined => {
  if (bytes.length < 2) return undefined
  const version = ((bytes[0]! << 24) >> 16) | bytes[1]!
  return version < 0 ? undefined : Math.min(version, newest)
}

const decode = <S extends Schema.Top>(message: Wire.Message<S>, bytes: Uint8Array): S["Type"] | undefined => {
  const version = versionOf(bytes)
  if (version === undefined) return undefined
  try {
    return Wire.compile(message, version).decode(new Wire.Reader(bytes.subarray(2)))
  } catch {
    return undefined
  }
}

/** A member's subscription; undefined where the bytes are none. */
export const decodeSubscription = (bytes: Uint8Array): Subscription | undefined =>
  decode(ConsumerProtocol.Subscription, bytes)

/** A member's share; nothing where there are no bytes, undefined where they are none. */
export const decodeAssignment = (bytes: Uint8Array): ReadonlyArray<TopicPartitions> | undefined =>
  bytes.length === 0 ? [] : decode(ConsumerProtocol.Assignment, bytes)?.assignedPartitions

/** A member's share, in a version. */
export const encodeAssignment = (partitions: ReadonlyArray<TopicPartitions>, version = 0): Uint8Array => {
  const body = Wire.compile(ConsumerProtocol.Assignment, version).write({
    assignedPartitions: partitions.map((each) => ({ topic: each.topic, partitions: [...each.partitions] })),
    userData: null
  })
  const bytes = new Uint8Array(body.length + 2)
  bytes[1] = version
  bytes.set(body, 2)
  return bytes
}
