/**
 * Pure. What becomes of a group of the consumer protocol (KIP-848): who is let in, what each shall have and what it has,
 * and what a heartbeat is answered. It reads no clock and sets no timer: each call is given the time and a view of the
 * topics. What it refuses it throws as `GroupRefusal`, with nothing changed.
 */
import * as Code from "./Code.ts"
import {
  epochOf,
  type HeartbeatAnswer,
  type HeartbeatRequest,
  type Member,
  noPartitions,
  nothingOwned,
  type Owned,
  owns,
  GroupRefusal,
  sameOwned,
  sameSet,
  type Settings,
  type View
} from "./ConsumerGroupData.ts"
import { fence, memberOf } from "./ConsumerGroupEnds.ts"
import {
  blank,
  idsOf,
  isBlank,
  metadataOf,
  preferredAssignor,
  type State,
  subscribersOf,
  subscriptionOf
} from "./ConsumerGroupState.ts"
import { isReconciled, reconcile } from "./Reconcile.ts"
import { assignors, type Partitions } from "./ServerAssignor.ts"
import * as TopicRegex from "./TopicRegex.ts"

/** Patterns are looked up again no sooner than this, in milliseconds. */
const regexInterval = 10_000

// ── the assignment

const assign = (state: State, view: View): void => {
  const { assignmentInterval } = state.settings
  const due = state.assignedAt === 0 || view.now >= state.assignedAt + assignmentInterval
  if (state.epoch <= state.assignmentEpoch || !due) return
  const targets = assignors.get(preferredAssignor(state))!({
    members: new Map(
      Array.from(state.members, ([memberId, member]) => [
        memberId,
        {
          instanceId: member.instanceId,
          topics: idsOf(subscriptionOf(state, member), view),
          target: state.target.get(memberId) ?? noPartitions
        }
      ])
    ),
    keepsExtras: state.settings.patterns,
    partitionsOf: (topicId) => view.topicOfId(topicId)?.partitions ?? 0
  })
  state.target = new Map(targets)
  state.assignmentEpoch = state.epoch
  state.assignedAt = view.now
}

/** One step of a member towards its target. */
const advance = (state: State, member: Member, says: Partitions | null, changed: boolean, view: View): Member => {
  const { modern } = state.settings
  const subscribed = modern ? idsOf(subscriptionOf(state, member), view) : undefined
  const enforce = changed && modern
  if (!enforce && isReconciled(member, state.assignmentEpoch)) return member
  const after = reconcile(member, {
    targetEpoch: state.assignmentEpoch,
    target: state.target.get(member.memberId) ?? noPartitions,
    isOwned: (topicId, partition) => state.isOwned(topicId, partition),
    says,
    subscribed,
    enforce
  })
  if (after === member) return member
  state.put(after)
  const deadlines = state.deadlines.get(member.memberId)
  if (deadlines !== undefined && after.classic === undefined)
    deadlines.rebalance = after.progress === "unrevoked" ? view.now + after.rebalanceTimeout : undefined
  return after
}

// ── heartbeats

const invalid = (message: string): never => {
  throw new GroupRefusal(Code.invalidRequest, message)
}

/** What a request must have, whatever the group is. */
export const check = (
  request: HeartbeatRequest & { readonly groupId: string },
  version: number,
  settings: Settings
) => {
  const { instanceId, memberEpoch, memberId, rackId, topicPartitions } = request
  const names = request.subscribedTopicNames
  if ((version >= 1 || memberEpoch !== epochOf.join) && memberId === "") invalid("MemberId can't be empty.")
  if (request.groupId === "") invalid("GroupId can't be empty.")
  if (instanceId === "") invalid("InstanceId can't be empty.")
  if (rackId === "") invalid("RackId can't be empty.")
  if (memberEpoch === epochOf.join) {
    if (request.rebalanceTimeoutMs === -1) invalid("RebalanceTimeoutMs must be provided in first request.")
    if (topicPartitions === null || topicPartitions.length > 0)
      invalid("TopicPartitions must be empty when (re-)joining.")
    if (settings.patterns) {
      if (names === null && request.subscribedTopicRegex === null)
        invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
    } else if (names === null || names.length === 0) invalid("SubscribedTopicNames must be set in first request.")
  } else if (memberEpoch === epochOf.leaveForAWhile) {
    if (instanceId === null) invalid("InstanceId can't be null.")
  } else if (memberEpoch < epochOf.leaveForAWhile) invalid("MemberEpoch is invalid.")
  if (request.serverAssignor !== null && !assignors.has(request.serverAssignor))
    throw new GroupRefusal(
      Code.unsupportedAssignor,
      `ServerAssignor ${request.serverAssignor} is not supported. Supported assignors: ${Array.from(assignors.keys()).join(", ")}.`
    )
}

export const refuseFull = (state: State, memberId: string, instanceId: string | null): void => {
  const { maxSize, modern } = state.settings
  if (modern && instanceId !== null && state.instances.has(instanceId)) return
  if (state.members.size >= maxSize && !state.members.has(memberId))
    throw new GroupRefusal(
      Code.groupMaxSizeReached,
      `The consumer group has reached its maximum capacity of ${maxSize} members.`
    )
}

/** Whether what a member says that it owns is a part of what it has. */
const isPart = (says: Partitions | null, assigned: Owned): boolean => {
  if (says === null) return false
  for (const [topicId, partitions] of says) for (const p of partitions) if (!owns(assigned, topicId, p)) return false
  return true
}

const checkEpoch = (state: State, member: Member, epoch: number, says: Partitions | null): void => {
  if (epoch === epochOf.join && state.settings.modern) return
  if (epoch === member.epoch) return
  if (epoch > member.epoch)
    throw new GroupRefusal(
      Code.fencedMemberEpoch,
      `The consumer group member has a greater member epoch (${epoch}) than the one known by the group coordinator (${member.epoch}). The member must abandon all its partitions and rejoin.`
    )
  if (epoch !== member.previousEpoch || !isPart(says, member.assigned))
    throw new GroupRefusal(
      Code.fencedMemberEpoch,
      `The consumer group member has a smaller member epoch (${epoch}) than the one known by the group coordinator (${member.epoch}). The member must abandon all its partitions and rejoin.`
    )
}

/** The static member of an instance id, which must have this member id. */
export const staticMemberOf = (state: State, memberId: string, instanceId: string): Member => {
  const known = state.instances.get(instanceId)
  if (known === undefined) throw new GroupRefusal(Code.unknownMemberId, `Instance id ${instanceId} is unknown.`)
  if (known !== memberId)
    throw new GroupRefusal(
      Code.fencedInstanceId,
      `Static member ${memberId} with instance id ${instanceId} was fenced by member ${known}.`
    )
  return memberOf(state, known)
}

/** Who comes: as it was known, or new; and whose place it takes. */
interface Arrival {
  readonly member: Member
  readonly replaced: Member | undefined
}

/** Finds or makes the member of a static instance that joins. */
export const arriveStatic = (state: State, memberId: string, instanceId: string, classic: boolean): Arrival => {
  const known = state.instances.get(instanceId)
  if (known === undefined) return { member: state.members.get(memberId) ?? blank(memberId), replaced: undefined }
  const former = memberOf(state, known)
  if (!classic && former.classic === undefined && former.epoch !== epochOf.leaveForAWhile)
    throw new GroupRefusal(
      Code.unreleasedInstanceId,
      `Static member ${memberId} with instance id ${instanceId} cannot join the group because the instance id is owned by ${known} member.`
    )
  return { member: { ...former, memberId, epoch: 0, previousEpoch: 0 }, replaced: former }
}

export const arrive = (state: State, memberId: string): Arrival => ({
  member: state.members.get(memberId) ?? blank(memberId),
  replaced: undefined
})

const find = (state: State, memberId: string, request: HeartbeatRequest, says: Partitions | null): Arrival => {
  const { instanceId, memberEpoch } = request
  const joins = memberEpoch === epochOf.join
  if (instanceId !== null && joins) return arriveStatic(state, memberId, instanceId, false)
  const member =
    instanceId !== null
      ? staticMemberOf(state, memberId, instanceId)
      : joins
        ? arrive(state, memberId).member
        : memberOf(state, memberId)
  checkEpoch(state, member, memberEpoch, says)
  return { member, replaced: undefined }
}

const compiled = (state: State, regex: string) => TopicRegex.compile(regex, { shortNames: state.settings.modern })

/** What of a change of patterns follows: whether it calls for another assignment now, or for a look-up. */
const regexChange = (
  state: State,
  before: Member,
  after: Member
): { readonly bump: boolean; readonly isNew: boolean } => {
  if (before.regex === after.regex) return { bump: false, isNew: false }
  if (isBlank(after.regex)) return { bump: !isBlank(before.regex), isNew: false }
  if (subscribersOf(state, after.regex) > 0) return { bump: state.regexes.has(after.regex), isNew: false }
  const pattern = compiled(state, after.regex)
  if ("wrong" in pattern)
    throw new GroupRefusal(
      Code.invalidRegularExpression,
      `SubscribedTopicRegex \`${after.regex}\` is not a valid regular expression: ${pattern.wrong}.`
    )
  return { bump: false, isNew: true }
}

/** Whether the patterns are to be looked up among the topics. */
const isRefreshDue = (state: State, isNew: boolean, view: View): boolean => {
  const subscribed = new Set<string>()
  for (const { regex } of state.members.values()) if (!isBlank(regex)) subscribed.add(regex)
  if (subscribed.size === 0 || state.resolving || view.now <= state.regexAt + regexInterval) return false
  return (
    isNew ||
    subscribed.size !== state.regexes.size ||
    state.regexVersion < view.topicsVersion ||
    view.now > state.regexAt + state.settings.regexRefreshInterval
  )
}

/** Puts a member that has come or changed into the group, and gives whether its subscription changed. */
export const update = (state: State, { member, replaced }: Arrival, updated: Member, view: View) => {
  const regex = regexChange(state, member, updated)
  const preferred = preferredAssignor(state)
  const names = !sameSet(member.topics, updated.topics)
  if (replaced !== undefined) {
    const target = state.target.get(replaced.memberId) ?? noPartitions
    state.remove(replaced.memberId)
    state.target.set(updated.memberId, target)
  }
  state.put(updated)
  if (!isBlank(member.regex) && subscribersOf(state, member.regex) === 0) state.regexes.delete(member.regex)
  const resolve = isRefreshDue(state, regex.isNew, view)
  if (resolve) state.resolving = true
  const metadata = metadataOf(state, view)
  const assignorChanged = state.settings.modern && preferredAssignor(state) !== preferred
  if (state.epoch === 0 || names || regex.bump || assignorChanged || metadata !== state.metadata) state.epoch++
  state.metadata = metadata
  return { changed: names || member.regex !== updated.regex, resolve }
}

const saysOf = (topicPartitions: HeartbeatRequest["topicPartitions"]): Partitions | null =>
  topicPartitions === null
    ? null
    : new Map(topicPartitions.map(({ partitions, topicId }) => [topicId, new Set(partitions)]))

/** Assigns where it is due, and takes the member a step towards its target. */
export const settle = (
  state: State,
  memberId: string,
  says: Partitions | null,
  changed: boolean,
  view: View
): Member => {
  assign(state, view)
  return advance(state, state.members.get(memberId)!, says, changed || hasLostTopics(state, memberId, view), view)
}

/** Whether a member has a topic that is gone. */
const hasLostTopics = (state: State, memberId: string, view: View): boolean => {
  for (const topicId of state.members.get(memberId)!.assigned.keys())
    if (view.topicOfId(topicId) === undefined) return true
  return false
}

/** Serves a heartbeat that neither leaves nor is refused by `check`. */
const beat = (state: State, request: HeartbeatRequest, view: View): HeartbeatAnswer => {
  const { instanceId, memberEpoch, rebalanceTimeoutMs, subscribedTopicNames, subscribedTopicRegex } = request
  refuseFull(state, request.memberId, instanceId)
  const memberId = request.memberId === "" ? view.newMemberId() : request.memberId
  const says = saysOf(request.topicPartitions)
  const arrival = find(state, memberId, request, says)
  const { member } = arrival
  const updated: Member = {
    ...member,
    instanceId: instanceId ?? member.instanceId,
    rackId: request.rackId ?? member.rackId,
    rebalanceTimeout: rebalanceTimeoutMs === -1 ? member.rebalanceTimeout : rebalanceTimeoutMs,
    assignor: request.serverAssignor ?? member.assignor,
    topics: subscribedTopicNames === null ? member.topics : new Set(subscribedTopicNames),
    regex: subscribedTopicRegex ?? member.regex,
    clientId: request.clientId,
    clientHost: request.clientHost,
    classic: undefined
  }
  const { changed, resolve } = update(state, arrival, updated, view)
  const deadlines = state.deadlines.get(memberId)
  const session = view.now + state.settings.sessionTimeout
  state.deadlines.set(memberId, { session, rebalance: deadlines?.rebalance })
  const after = settle(state, memberId, says, changed, view)
  const full =
    memberEpoch === epochOf.join ||
    (rebalanceTimeoutMs !== -1 && (subscribedTopicNames !== null || subscribedTopicRegex !== null) && says !== null)
  return {
    memberId,
    memberEpoch: after.epoch,
    heartbeatIntervalMs: state.settings.heartbeatInterval,
    assignment: full || !sameOwned(member.assigned, after.assigned) ? after.assigned : null,
    resolve,
    downgrade: false
  }
}

const leave = (state: State, { instanceId, memberEpoch, memberId }: HeartbeatRequest, view: View): HeartbeatAnswer => {
  const member = instanceId === null ? memberOf(state, memberId) : staticMemberOf(state, memberId, instanceId)
  const left = { memberId, memberEpoch, heartbeatIntervalMs: 0, assignment: null, resolve: false, downgrade: false }
  if (instanceId === null || memberEpoch !== epochOf.leaveForAWhile)
    return { ...left, downgrade: fence(state, [member.memberId], view) }
  // it keeps what it has until it comes back, or its session ends
  state.put({ ...member, epoch: epochOf.leaveForAWhile, revoking: nothingOwned })
  state.deadlines.get(memberId)!.rebalance = undefined
  return left
}

/** Serves ConsumerGroupHeartbeat. */
export const heartbeat = (state: State, request: HeartbeatRequest, view: View): HeartbeatAnswer =>
  request.memberEpoch < 0 ? leave(state, request, view) : beat(state, request, view)

/** Looks the patterns up among the topics. */
export const resolve = (state: State, view: View): void => {
  state.resolving = false
  const names = view.topicNames()
  const subscribed = new Set<string>()
  for (const { regex } of state.members.values()) if (!isBlank(regex)) subscribed.add(regex)
  let bump = false
  for (const regex of subscribed) {
    const pattern = compiled(state, regex)
    const topics = new Set("wrong" in pattern ? [] : names.filter(pattern.matches))
    if (!sameSet(topics, state.regexes.get(regex) ?? new Set())) bump = true
    state.regexes.set(regex, topics)
  }
  state.regexVersion = view.topicsVersion
  state.regexAt = view.now
  const metadata = metadataOf(state, view)
  if (bump || metadata !== state.metadata) state.epoch++
  state.metadata = metadata
}
