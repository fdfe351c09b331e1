/**
 * A round of a classic group, as requests: the join with what the member tells of itself, the leader's work, the sync
 * with what it is given. Each gives the event that the state machine (`ClassicMember`) waits for.
 *
 * What a foreign leader or member wrote ends nothing here: a subscription that cannot be read gets no partitions, an
 * assignment that cannot be read is asked for again by joining anew, partitions of topics that were not subscribed to
 * are not taken. Each is told.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Assignor from "../Assignor.ts"
import { broken } from "../engine/MemberWork.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import { holdersOf } from "../Holders.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { ClassicRequests } from "./ClassicRequests.ts"
import type { Command, Event, Member } from "./ClassicState.ts"
import * as ConsumerProtocol from "./ConsumerProtocol.ts"
import type { TopicWatch } from "./TopicWatch.ts"

export interface Settings {
  readonly assignors: ReadonlyArray<Assignor.Assignor>
  readonly instanceId: string | null
}

export interface ClassicRound {
  readonly join: (command: Command & { _tag: "Join" }) => Effect.Effect<Event, KafkaError.KafkaError>
  readonly distribute: (command: Command & { _tag: "Distribute" }) => Effect.Effect<Event, KafkaError.KafkaError>
  readonly sync: (command: Command & { _tag: "Sync" }) => Effect.Effect<Event, KafkaError.KafkaError>
  /**
   * Whether the assignment that there is, is out of date; false for members that need not know. A static leader that
   * came back into a stable group makes none, but looks after it from now on.
   */
  readonly takeOver: Effect.Effect<boolean, KafkaError.KafkaError>
  /** What was given last is lost: the assignors begin anew. */
  readonly forget: () => void
}

/**
 * Whether a leader's id is the one that a static member had before it came back: releases before KIP-814 name that, and
 * nobody would look after the topics.
 */
const isFormer = (instanceId: string | null, leader: string, memberId: string): boolean =>
  instanceId !== null &&
  leader !== memberId &&
  leader.length === memberId.length &&
  leader.startsWith(`${instanceId}-`) &&
  memberId.startsWith(`${instanceId}-`)

/**
 * Whether the `count`-th refusal in a row holds a member up. One with which a round begins, or ends while others join,
 * does not; that of a member that is not known any more does when it comes again. What lasts fails the member.
 */
const holdsUp = (api: "JoinGroup" | "SyncGroup", code: number, count: number): boolean => {
  const asks = ErrorCode.asks(code, api)
  if (asks === "rejoin") return false
  // The first is how every member joins (KIP-394).
  if (asks === "rejoin-named") return count > 2
  if (asks === "rejoin-lost" || asks === "rejoin-anew") return count > 1
  return asks === "coordinator" || ErrorCode.isTransient(code, api)
}

/**
 * Without what moves from a member that holds it: it is given when that one has given it back, a round later. Assignors
 * may withhold it themselves, as `cooperativeSticky` does; else both would read it, until the first has heard of it.
 */
const withheld = (members: ReadonlyArray<Assignor.Member>, shares: Assignor.Assignment): Assignor.Assignment => {
  const holders = holdersOf(members)
  const isFree = (memberId: string) => (partition: TopicPartition.TopicPartition) =>
    holders.get(TopicPartition.key(partition))?.has(memberId) ?? true
  return new Map([...shares].map(([memberId, partitions]) => [memberId, partitions.filter(isFree(memberId))]))
}

/** The rounds of a member; `troubled` is told what another member wrote wrongly, and why the coordinator lets nobody in. */
export const make = (
  group: string,
  settings: Settings,
  requests: ClassicRequests,
  watch: TopicWatch,
  troubled: (error: KafkaError.KafkaError) => Effect.Effect<void>
): ClassicRound => {
  let given: Assignor.Given | undefined
  /** The topics of an assignment that this member looks after, as its leader, though it did not make it. */
  let inherited: ReadonlyArray<string> | undefined
  /** How often in a row it was refused. */
  let refusals = 0
  const refused = (api: "JoinGroup" | "SyncGroup", code: number): Effect.Effect<void> =>
    Effect.suspend(() =>
      holdsUp(api, code, ++refusals) ? troubled(KafkaError.fromCode(code, { api, group })) : Effect.void
    )

  const read = <A>(what: string, decode: () => A): Effect.Effect<A, KafkaError.KafkaError> =>
    Effect.try({ try: decode, catch: (error) => broken(`reading ${what}`, error, group) })

  /** A member whose subscription cannot be read is one that wants nothing. */
  const readMember = (member: Member): Effect.Effect<Assignor.Member> => {
    const { instanceId, memberId } = member
    const none = { memberId, instanceId, topics: [], owned: [], generation: -1, userData: null }
    return Effect.catch(
      read(`the subscription of ${memberId}`, () => ConsumerProtocol.decodeSubscription(member)),
      (error) => Effect.as(troubled(error), none)
    )
  }

  const join: ClassicRound["join"] = Effect.fnUntraced(function* ({ generation, memberId, owned, round }) {
    const subscribed = yield* watch.subscribe
    inherited = undefined
    const protocols = settings.assignors.map((assignor) => ({
      name: assignor.name,
      metadata: ConsumerProtocol.encodeSubscription({
        topics: subscribed,
        owned,
        generation: assignor.cooperative ? generation : undefined,
        userData: assignor.userData?.(given) ?? null
      })
    }))
    const { response, sentAt } = yield* requests.join(memberId, owned.length > 0, protocols)
    if (response.errorCode !== 0) {
      yield* refused("JoinGroup", response.errorCode)
      return { _tag: "JoinRefused", round, code: response.errorCode, memberId: response.memberId }
    }
    const leads = response.leader === response.memberId
    const members = response.members.map((member) => ({
      memberId: member.memberId,
      instanceId: member.groupInstanceId,
      metadata: member.metadata
    }))
    if (isFormer(settings.instanceId, response.leader, response.memberId) || (leads && response.skipAssignment)) {
      const others = (yield* Effect.forEach(members, readMember)).flatMap((member) => member.topics)
      inherited = [...new Set([...subscribed, ...others])]
    }
    return {
      _tag: "Joined",
      round,
      sentAt,
      memberId: response.memberId,
      generation: response.generationId,
      protocol: response.protocolName ?? "",
      members: leads && !response.skipAssignment ? members : undefined
    }
  })

  const distribute: ClassicRound["distribute"] = Effect.fnUntraced(function* ({ members, protocol, round }) {
    const assignor = settings.assignors.find(({ name }) => name === protocol)
    if (assignor === undefined) {
      return yield* KafkaError.make({
        _tag: "Unsupported",
        needed: `the assignor "${protocol}"`,
        ours: settings.assignors.map(({ name }) => name).join(", "),
        theirs: protocol,
        group
      })
    }
    const subscriptions = yield* Effect.forEach(members, readMember)
    const counts = yield* watch.count([...new Set(subscriptions.flatMap((member) => member.topics))])
    return yield* Effect.try({
      try: (): Event => {
        const assigned = assignor.assign(subscriptions, counts)
        const shares = assignor.cooperative ? withheld(subscriptions, assigned) : assigned
        const userData = assignor.assignedUserData?.(shares, subscriptions)
        const assignments = members.map(({ memberId }) => ({
          memberId,
          partitions: shares.get(memberId) ?? [],
          userData: userData?.get(memberId) ?? null
        }))
        return { _tag: "Distributed", round, protocol, assignments }
      },
      catch: (error) => broken(`the assignor "${protocol}"`, error, group)
    })
  })

  const sync: ClassicRound["sync"] = Effect.fnUntraced(function* (command) {
    const { generation, round } = command
    const { response, sentAt } = yield* requests.sync(
      command,
      command.assignments.map((share) => ({
        memberId: share.memberId,
        assignment: ConsumerProtocol.encodeAssignment(share)
      }))
    )
    if (response.errorCode !== 0) {
      yield* refused("SyncGroup", response.errorCode)
      return { _tag: "SyncRefused", round, code: response.errorCode }
    }
    refusals = 0
    const share = yield* Effect.result(
      read("the assignment", () => ConsumerProtocol.decodeAssignment(response.assignment))
    )
    if (Result.isFailure(share)) {
      yield* troubled(share.failure)
      return { _tag: "Unreadable", round, error: share.failure }
    }
    const { partitions: all, userData } = share.success
    const wanted = new Set(watch.subscribed())
    const partitions = all.filter(({ topic }) => wanted.has(topic))
    const strange = all.find(({ topic }) => !wanted.has(topic))
    if (strange !== undefined) {
      const problem = `the leader gave ${TopicPartition.key(strange)}, which was not subscribed to`
      yield* troubled(KafkaError.make({ _tag: "Corrupt", what: "ConsumerProtocolAssignment", problem, group }))
    }
    given = { partitions, generation, userData }
    return { _tag: "Synced", round, sentAt, partitions }
  })

  const takeOver = Effect.gen(function* () {
    const topics = inherited
    if (topics === undefined) return false
    // What others were given may not be seen, or not be read: then only what changes from now on is.
    const blobs = yield* Effect.catch(requests.assignments, () => Effect.succeed(undefined))
    const assigned = yield* Effect.result(
      read("the assignments", () =>
        blobs?.flatMap((bytes) => ConsumerProtocol.decodeAssignment(bytes).partitions.map(TopicPartition.key))
      )
    )
    const keys = Result.isSuccess(assigned) ? assigned.success : undefined
    return yield* watch.inherit(topics, keys === undefined ? undefined : new Set(keys))
  })

  return { join, distribute, sync, takeOver, forget: () => (given = undefined) }
}
