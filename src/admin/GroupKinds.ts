/** How groups of each kind are described: what brokers tell of one, and which kind it is. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Broker } from "../Broker.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type * as KafkaError from "../KafkaError.ts"
import type { Offer } from "../protocol/Exchange.ts"
import * as ConsumerGroupDescribe from "../protocol/messages/ConsumerGroupDescribe.ts"
import * as DescribeGroups from "../protocol/messages/DescribeGroups.ts"
import * as ShareGroupDescribe from "../protocol/messages/ShareGroupDescribe.ts"
import * as StreamsGroupDescribe from "../protocol/messages/StreamsGroupDescribe.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import type * as Ask from "./Ask.ts"
import * as Failure from "./Failure.ts"
import * as Operations from "./Operations.ts"

const code = ErrorCode.codes

/** How a group divides its work: by its leader (`classic`), by the coordinator (`consumer`, KIP-848), shared by record (`share`), by tasks (`streams`). */
export type GroupType = "classic" | "consumer" | "share" | "streams"

/** As Kafka spells it. */
export type GroupState =
  | "Empty"
  | "Stable"
  | "PreparingRebalance"
  | "CompletingRebalance"
  | "Assigning"
  | "Reconciling"
  | "NotReady"
  | "Dead"
  | (string & {})

/** A member of a group. */
export interface MemberDescription {
  readonly memberId: string
  /** Of a static member. */
  readonly instanceId: string | undefined
  readonly clientId: string
  /** Where it connects from, such as `/10.0.0.7`. */
  readonly host: string
  /** What it has; empty outside of a stable group, and for groups of streams, which have tasks. */
  readonly assignment: ReadonlyArray<TopicPartition>
  /** What it is to have, where the coordinator decides that. */
  readonly target: ReadonlyArray<TopicPartition> | undefined
  /** Its epoch, where the coordinator decides. */
  readonly epoch: number | undefined
}

/** A group with its members. */
export interface GroupDescription {
  readonly group: string
  readonly type: GroupType
  readonly state: GroupState
  readonly protocolType: string
  /** How partitions are assigned: `range`, `uniform`, …; empty where there are no members. */
  readonly assignor: string
  /** Broker id. */
  readonly coordinator: number
  readonly members: ReadonlyArray<MemberDescription>
  /** What this client may do with it, where that was asked for and brokers tell (from 2.3 on). */
  readonly operations: ReadonlyArray<Operations.Operation> | undefined
}

type Described = Ask.Answer<GroupDescription> | "another kind"

/** What a code says of a group where one kind of groups was asked for. */
const refused = (api: string, group: string, errorCode: number, message: string | null): Described =>
  errorCode === code.GROUP_ID_NOT_FOUND || errorCode === code.UNSUPPORTED_VERSION
    ? "another kind"
    : Result.fail(Failure.of(errorCode, message, { api, group }))

interface TopicPartitions {
  readonly topicPartitions: ReadonlyArray<{ readonly topicName: string; readonly partitions: ReadonlyArray<number> }>
}

const flat = ({ topicPartitions }: TopicPartitions): ReadonlyArray<TopicPartition> =>
  topicPartitions.flatMap(({ partitions, topicName }) =>
    partitions.map((partition) => ({ topic: topicName, partition }))
  )

/** What APIs of all kinds tell of a group. */
interface Told {
  readonly groupId: string
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly groupState: string
  readonly authorizedOperations: number
}

/** What one answer says of one group; `rest`: what its kind tells in its own words. */
const answer = (
  api: string,
  broker: Broker,
  one: Told,
  rest: Pick<GroupDescription, "type" | "protocolType" | "assignor" | "members">
): readonly [group: string, described: Described] => [
  one.groupId,
  one.errorCode !== code.NONE
    ? refused(api, one.groupId, one.errorCode, one.errorMessage)
    : Result.succeed({
        group: one.groupId,
        ...rest,
        state: one.groupState,
        coordinator: broker.id,
        operations: Operations.ofBits(one.authorizedOperations)
      })
]

interface ToldMember {
  readonly memberId: string
  readonly instanceId?: string | null
  readonly clientId: string
  readonly clientHost: string
  readonly memberEpoch: number
}

/** A member of a group whose coordinator assigns. */
const memberOf = (
  { clientHost, clientId, instanceId, memberEpoch, memberId }: ToldMember,
  assignment: ReadonlyArray<TopicPartition>,
  target?: ReadonlyArray<TopicPartition>
): MemberDescription => ({
  memberId,
  instanceId: instanceId ?? undefined,
  clientId,
  host: clientHost,
  assignment,
  target,
  epoch: memberEpoch
})

interface Kind {
  /** The number of the API, and the versions that are spoken. */
  readonly request: { readonly key: number; readonly stable: readonly [min: number, max: number] }
  readonly describe: (
    parts: Ask.Parts,
    broker: Broker,
    groups: ReadonlyArray<string>,
    operations: boolean
  ) => Effect.Effect<ReadonlyArray<readonly [group: string, described: Described]>, KafkaError.KafkaError>
}

const consumer: Kind = {
  request: ConsumerGroupDescribe.Request,
  describe: (_, broker, groupIds, operations) =>
    Effect.map(
      broker.send(ConsumerGroupDescribe, () => ({ groupIds, includeAuthorizedOperations: operations })),
      ({ groups }) =>
        groups.map((one) =>
          answer("ConsumerGroupDescribe", broker, one, {
            type: "consumer",
            protocolType: "consumer",
            assignor: one.assignorName,
            members: one.members.map((member) =>
              memberOf(member, flat(member.assignment), flat(member.targetAssignment))
            )
          })
        )
    )
}

const assignmentOf = (parts: Ask.Parts, bytes: Uint8Array): ReadonlyArray<TopicPartition> => {
  try {
    return parts.decodeAssignment(bytes)
  } catch {
    // What others write there is theirs.
    return []
  }
}

const classic: Kind = {
  request: DescribeGroups.Request,
  describe: (parts, broker, groups, operations) =>
    Effect.map(
      broker.send(DescribeGroups, (version) => ({
        groups,
        ...(version >= 3 ? { includeAuthorizedOperations: operations } : {})
      })),
      (response) =>
        response.groups.map((one) =>
          // Before v6 a group that is not there is told as a dead one.
          one.errorCode === code.NONE && one.groupState === "Dead"
            ? [one.groupId, "another kind"]
            : answer("DescribeGroups", broker, one, {
                type: "classic",
                protocolType: one.protocolType,
                assignor: one.protocolData,
                members: one.members.map((member) => ({
                  memberId: member.memberId,
                  instanceId: member.groupInstanceId ?? undefined,
                  clientId: member.clientId,
                  host: member.clientHost,
                  assignment: one.protocolType === "consumer" ? assignmentOf(parts, member.memberAssignment) : [],
                  target: undefined,
                  epoch: undefined
                }))
              })
        )
    )
}

const share: Kind = {
  request: ShareGroupDescribe.Request,
  describe: (_, broker, groupIds, operations) =>
    Effect.map(
      broker.send(ShareGroupDescribe, () => ({ groupIds, includeAuthorizedOperations: operations })),
      ({ groups }) =>
        groups.map((one) =>
          answer("ShareGroupDescribe", broker, one, {
            type: "share",
            protocolType: "share",
            assignor: one.assignorName,
            members: one.members.map((member) => memberOf(member, flat(member.assignment)))
          })
        )
    )
}

const streams: Kind = {
  request: StreamsGroupDescribe.Request,
  describe: (_, broker, groupIds, operations) =>
    Effect.map(
      broker.send(StreamsGroupDescribe, () => ({ groupIds, includeAuthorizedOperations: operations })),
      ({ groups }) =>
        groups.map((one) =>
          answer("StreamsGroupDescribe", broker, one, {
            type: "streams",
            protocolType: "streams",
            assignor: one.assignorName ?? "",
            members: one.members.map((member) => memberOf(member, []))
          })
        )
    )
}

/**
 * Whether a broker tells of groups of a kind in a version that is spoken: 4.0 had share groups in one that is not (early
 * access).
 */
const tells = (ranges: Offer["ranges"], { request: { key, stable } }: Kind): boolean => {
  const theirs = ranges.get(key)
  return theirs !== undefined && theirs[0] <= stable[1] && theirs[1] >= stable[0]
}

/** The share groups among those that one broker coordinates, as far as it tells of them. */
export const shared = (parts: Ask.Parts, broker: Broker, groups: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { ranges } = yield* broker.offer()
    const found = new Map<string, Ask.Answer<GroupDescription>>()
    if (groups.length > 0 && tells(ranges, share))
      for (const [group, described] of yield* share.describe(parts, broker, groups, false))
        if (described !== "another kind") found.set(group, described)
    return found
  })

/** A broker that has several kinds of groups tells a group by its own kind alone: all are asked for, until one tells. */
const kinds: ReadonlyArray<Kind> = [consumer, classic, share, streams]

/** Describes groups of any kind that one broker coordinates. */
export const describe = (parts: Ask.Parts, broker: Broker, groups: ReadonlyArray<string>, operations: boolean) =>
  Effect.gen(function* () {
    const { ranges } = yield* broker.offer()
    const answers = new Map<string, Ask.Answer<GroupDescription>>()
    let left = groups
    // Without ranges (0.9) nothing is told of what it has. Where it has none, `Unsupported` says so.
    const spoken = kinds.filter((kind) => (ranges.size > 0 ? tells(ranges, kind) : kind === classic))
    for (const kind of spoken.length > 0 ? spoken : [classic]) {
      if (left.length === 0) break
      for (const [group, described] of yield* kind.describe(parts, broker, left, operations))
        if (described !== "another kind") answers.set(group, described)
      left = left.filter((group) => !answers.has(group))
    }
    for (const group of left)
      answers.set(group, Result.fail(Failure.of(code.GROUP_ID_NOT_FOUND, null, { api: "DescribeGroups", group })))
    return answers
  })
