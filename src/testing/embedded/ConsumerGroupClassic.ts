/**
 * Pure. Members that speak the classic protocol in a group of the consumer protocol, while it is converted (KIP-848): their
 * generation is the member's epoch, a rebalance asks them to join again, and what they have is told to them by SyncGroup.
 */
import * as Code from "./Code.ts"
import {
  type Deadlines,
  GroupRefusal,
  type Member,
  noPartitions,
  nothingOwned,
  type Owned,
  type Settings,
  type View
} from "./ConsumerGroupData.ts"
import { fence, mayDowngrade, memberOf } from "./ConsumerGroupEnds.ts"
import { arrive, arriveStatic, refuseFull, settle, staticMemberOf, update } from "./ConsumerGroupMachine.ts"
import { metadataOf, State } from "./ConsumerGroupState.ts"
import type { Identity, JoinRequest, Member as ClassicMember, Protocol, SyncRequest } from "./GroupData.ts"
import type { Partitions } from "./ServerAssignor.ts"
import * as Subscriptions from "./Subscriptions.ts"

const protocolType = "consumer"

/** A new member first learns its id (KIP-394). */
interface IdRequired {
  readonly idRequired: string
}

/** What a member that joins is answered. */
interface Joined {
  readonly memberId: string
  readonly epoch: number
  readonly protocolName: string
  readonly resolve: boolean
  readonly downgrade: boolean
}

/** Whether those who speak the classic protocol all know one of these. */
const speaks = (state: State, request: JoinRequest): boolean => {
  if (request.protocolType !== protocolType) return false
  const classic = Array.from(state.members.values()).flatMap((member) =>
    member.classic === undefined ? [] : [member.classic]
  )
  return request.protocols.some(({ name }) =>
    classic.every(({ protocols }) => protocols.some((own) => own.name === name))
  )
}

const idsOf = (topics: ReadonlyArray<Subscriptions.TopicPartitions>, view: View): Partitions => {
  const ids = new Map<string, ReadonlySet<number>>()
  for (const { partitions, topic } of topics) {
    const known = view.topic(topic)
    if (known !== undefined) ids.set(known.id, new Set(partitions))
  }
  return ids
}

/** Serves JoinGroup. */
export const join = (state: State, request: JoinRequest, view: View): Joined | IdRequired => {
  const { instanceId, sessionTimeout } = request
  const { settings } = state
  if (settings.modern && settings.migration === "disabled")
    throw new GroupRefusal(Code.inconsistentGroupProtocol, "the group migration is disabled")
  const isUnknown = request.memberId === ""
  const memberId = isUnknown ? view.newMemberId() : request.memberId
  refuseFull(state, memberId, instanceId)
  if (!speaks(state, request))
    throw new GroupRefusal(Code.inconsistentGroupProtocol, `Member ${memberId}'s protocols are not supported.`)
  if (isUnknown && instanceId === null && request.idRequired) return { idRequired: memberId }
  const arrival =
    instanceId === null
      ? arrive(state, memberId)
      : isUnknown
        ? arriveStatic(state, memberId, instanceId, true)
        : { member: staticMemberOf(state, memberId, instanceId), replaced: undefined }
  const subscription = Subscriptions.decodeSubscription(request.protocols[0]!.metadata)
  if (subscription === undefined)
    throw new GroupRefusal(
      Code.unknownServerError,
      "Malformed embedded consumer protocol in subscription deserialization."
    )
  const { member, replaced } = arrival
  const updated: Member = {
    ...member,
    instanceId: instanceId ?? member.instanceId,
    rackId: subscription.rackId ?? member.rackId,
    rebalanceTimeout: request.rebalanceTimeout,
    topics: new Set(subscription.topics),
    regex: "",
    clientId: request.clientId,
    clientHost: request.clientHost,
    classic: { sessionTimeout, protocols: request.protocols }
  }
  const { changed, resolve } = update(state, arrival, updated, view)
  state.deadlines.set(memberId, {
    session: view.now + sessionTimeout,
    sync: view.now + request.rebalanceTimeout
  })
  const after = settle(state, memberId, idsOf(subscription.ownedPartitions, view), changed, view)
  return {
    memberId,
    epoch: after.epoch,
    protocolName: request.protocols[0]!.name,
    resolve,
    downgrade: replaced !== undefined && replaced.classic === undefined && mayDowngrade(state)
  }
}

/** The member that asks, which speaks the classic protocol and is in this generation. */
const askedBy = (state: State, memberId: string, instanceId: string | null, generation: number) => {
  const member = instanceId === null ? memberOf(state, memberId) : staticMemberOf(state, memberId, instanceId)
  if (member.classic === undefined)
    throw new GroupRefusal(Code.unknownMemberId, `Member ${memberId} does not use the classic protocol.`)
  if (member.epoch !== generation)
    throw new GroupRefusal(Code.illegalGeneration, `The generation of member ${memberId} is ${member.epoch}.`)
  return { ...member, classic: member.classic }
}

/** Asks a member to join again, and gives it time for it. */
const askToJoin = (deadlines: Deadlines, member: Member, view: View): void => {
  deadlines.join ??= view.now + member.rebalanceTimeout
}

/** Serves SyncGroup: the bytes of what the member has. */
export const sync = (state: State, request: SyncRequest, view: View): Uint8Array => {
  const member = askedBy(state, request.memberId, request.instanceId, request.generation)
  const protocol: Protocol = member.classic.protocols[0]!
  if (
    (request.protocolType !== null && request.protocolType !== protocolType) ||
    (request.protocolName !== null && request.protocolName !== protocol.name)
  )
    throw new GroupRefusal(Code.inconsistentGroupProtocol, `The group has the protocol ${protocol.name}.`)
  const deadlines = state.deadlines.get(member.memberId)!
  if (state.epoch > member.epoch && member.progress !== "unrevoked") {
    askToJoin(deadlines, member, view)
    throw new GroupRefusal(Code.rebalanceInProgress, "A new rebalance is triggered.")
  }
  deadlines.sync = undefined
  deadlines.session = view.now + member.classic.sessionTimeout
  return bytesOf(member.assigned, protocol, view)
}

/** What a member has, as classic members are told in the version of their subscription. */
const bytesOf = (
  owned: ReadonlyMap<string, { readonly keys: () => Iterable<number> }>,
  protocol: Protocol,
  view: View
): Uint8Array =>
  Subscriptions.encodeAssignment(
    Array.from(owned).flatMap(([topicId, partitions]) => {
      const topic = view.topicOfId(topicId)
      const numbers = Array.from(partitions.keys()).sort((a, b) => a - b)
      return topic === undefined ? [] : [{ topic: topic.name, partitions: numbers }]
    }),
    Subscriptions.versionOf(protocol.metadata)
  )

/** Whether somebody still owns what a member waits for. */
const waits = (state: State, member: Member): boolean => {
  for (const [topicId, partitions] of state.target.get(member.memberId) ?? noPartitions)
    for (const p of partitions)
      if (member.assigned.get(topicId)?.has(p) !== true && state.isOwned(topicId, p)) return true
  return false
}

/** Serves Heartbeat: the error code. */
export const heartbeat = (
  state: State,
  memberId: string,
  instanceId: string | null,
  generation: number,
  view: View
): number => {
  const member = askedBy(state, memberId, instanceId, generation)
  const deadlines = state.deadlines.get(memberId)!
  deadlines.session = view.now + member.classic.sessionTimeout
  const rejoins =
    member.epoch < state.epoch ||
    member.progress === "unrevoked" ||
    (member.progress === "unreleased" && !waits(state, member))
  if (!rejoins) return Code.none
  askToJoin(deadlines, member, view)
  return Code.rebalanceInProgress
}

/** Serves LeaveGroup: an error code for each that is to leave, and whether the group may become a classic one. */
export const leave = (
  state: State,
  identities: ReadonlyArray<Identity>,
  view: View
): { readonly codes: ReadonlyArray<number>; readonly downgrade: boolean } => {
  const leaving = new Set<string>()
  const codes = identities.map(({ instanceId, memberId }) => {
    try {
      // who administers a group names the instance alone
      const known =
        instanceId === null ? memberId : memberId === "" ? (state.instances.get(instanceId) ?? "") : memberId
      const member = instanceId === null ? memberOf(state, known) : staticMemberOf(state, known, instanceId)
      if (member.classic === undefined && !state.settings.patterns) return Code.unknownMemberId
      leaving.add(member.memberId)
      return Code.none
    } catch (error) {
      if (error instanceof GroupRefusal) return error.code
      throw error
    }
  })
  return { codes, downgrade: leaving.size > 0 && fence(state, Array.from(leaving), view) }
}

// ── from one protocol to the other

/** What of a classic group a conversion needs. */
export interface ClassicSource {
  readonly id: string
  readonly generation: number
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly members: ReadonlyMap<string, ClassicMember>
}

/** A classic group as one of the consumer protocol, all of whose members speak the classic one. */
export const upgrade = (source: ClassicSource, settings: Settings, view: View): State => {
  const refuse = (why: string): never => {
    throw new GroupRefusal(
      Code.groupIdNotFound,
      `Cannot upgrade classic group ${source.id} to consumer group because ${why}.`
    )
  }
  if (settings.migration !== "bidirectional" && settings.migration !== "upgrade") refuse("online upgrade is disabled")
  if (source.protocolType !== protocolType) refuse("the group does not use the consumer embedded protocol")
  if (source.members.size > settings.maxSize) refuse("the group size exceeds the consumer group maximum size")
  const state = new State(source.id, settings)
  state.epoch = source.generation
  state.assignmentEpoch = source.generation
  for (const member of source.members.values()) {
    const chosen = member.protocols.find(({ name }) => name === source.protocolName) ?? member.protocols[0]
    const subscription = chosen === undefined ? undefined : Subscriptions.decodeSubscription(chosen.metadata)
    const assignment = Subscriptions.decodeAssignment(member.assignment)
    if (subscription === undefined || assignment === undefined)
      return refuse("the embedded consumer protocol is malformed")
    const target = idsOf(assignment, view)
    const assigned: Owned = new Map(
      Array.from(target, ([topicId, partitions]) => [
        topicId,
        new Map(Array.from(partitions, (p) => [p, source.generation] as const))
      ])
    )
    state.put({
      memberId: member.memberId,
      instanceId: member.instanceId,
      rackId: subscription.rackId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      rebalanceTimeout: member.rebalanceTimeout,
      topics: new Set(subscription.topics),
      regex: "",
      assignor: null,
      classic: { sessionTimeout: member.sessionTimeout, protocols: member.protocols },
      epoch: source.generation,
      previousEpoch: source.generation,
      progress: "stable",
      assigned,
      revoking: nothingOwned
    })
    state.target.set(member.memberId, target)
    state.deadlines.set(member.memberId, { session: view.now + member.sessionTimeout })
  }
  state.metadata = metadataOf(state, view)
  return state
}

/** What the classic group has whose members all speak the classic protocol, with what each was to have. */
export const downgrade = (state: State, view: View): Pick<ClassicSource, "generation" | "members"> => ({
  generation: state.epoch,
  members: new Map(
    Array.from(state.members.values()).flatMap((member) => {
      const { classic } = member
      if (classic === undefined) return []
      const made: ClassicMember = {
        memberId: member.memberId,
        instanceId: member.instanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        sessionTimeout: classic.sessionTimeout,
        rebalanceTimeout: member.rebalanceTimeout,
        protocols: classic.protocols,
        assignment: bytesOf(state.target.get(member.memberId) ?? noPartitions, classic.protocols[0]!, view),
        onJoin: undefined,
        onSync: undefined,
        isNew: false,
        deadline: 0,
        timer: undefined
      }
      return [[member.memberId, made] as const]
    })
  )
})
