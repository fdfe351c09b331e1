/** What a refused commit means. */
import * as ErrorCode from "../ErrorCode.ts"
import * as GroupOffsets from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import type { TopicPartition } from "../TopicPartition.ts"

const { codes } = ErrorCode

/** Who committed is no member, or none any more. */
const membership: ReadonlySet<number> = new Set([
  codes.ILLEGAL_GENERATION,
  codes.UNKNOWN_MEMBER_ID,
  codes.FENCED_MEMBER_EPOCH,
  codes.STALE_MEMBER_EPOCH
])

export const notOwned = ({ partition, topic }: TopicPartition, group: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "NotOwned", topic, partition, group })

/** What a refused commit means; undefined: it may succeed later. */
export const failureOf = (
  where: TopicPartition,
  group: string,
  code: number,
  isMember: boolean
): KafkaError.KafkaError | undefined => {
  if (GroupOffsets.isRetriable(code)) return undefined
  // From v9 on it is what a member of a group hears that is not there any more.
  const isGone = isMember && code === codes.GROUP_ID_NOT_FOUND
  if (!membership.has(code) && !isGone)
    return KafkaError.fromCode(code, { api: "OffsetCommit", group, topic: where.topic, partition: where.partition })
  return isMember ? notOwned(where, group) : activeGroup(where, group, code)
}

/** Offsets of a group with members are its members' to commit. */
const activeGroup = ({ partition, topic }: TopicPartition, group: string, code: number) =>
  KafkaError.make({
    _tag: "GroupRefused",
    group,
    code,
    name: ErrorCode.get(code).name,
    message: "the group has members: who is none of them may set its offsets only while it is empty",
    topic,
    partition
  })
