/**
 * Drives the state machine of a classic member (`ClassicMember`): carries its commands out as requests to the
 * coordinator, feeds the answers back, and wakes it at its deadlines on the Clock.
 *
 * What a foreign leader or member wrote ends nothing here: a subscription that cannot be read gets no partitions, an
 * assignment that cannot be read is asked for again by joining anew, partitions of topics that were not subscribed to
 * are not taken. Each is told (`Owner.waits`).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Assignor from "../Assignor.ts"
import * as Backoff from "../Backoff.ts"
import { Cluster } from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Join, Member } from "../Membership.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as ClassicMember from "./ClassicMember.ts"
import * as ClassicRequests from "./ClassicRequests.ts"
import * as ConsumerProtocol from "./ConsumerProtocol.ts"
import * as TopicWatch from "./TopicWatch.ts"

/** Checked settings; durations in milliseconds. */
export interface Settings extends ClassicRequests.Settings {
  readonly assignors: ReadonlyArray<Assignor.Assignor>
  readonly heartbeatInterval: number
  readonly metadataMaxAge: number
  readonly leaveTimeout: number
  /** See `ClassicState.Settings`. */
  readonly heartbeatDelay: ClassicMember.Settings["heartbeatDelay"]
  readonly rejoinDelay: ClassicMember.Settings["rejoinDelay"]
}

type Command<Tag extends ClassicMember.Command["_tag"]> = ClassicMember.Command & { readonly _tag: Tag }

/** What cannot be read is told as itself; whatever else a bug or an assignor of the application threw, as `Misuse`. */
const broken = (what: string, cause: unknown, group: string): KafkaError.KafkaError =>
  cause instanceof KafkaError.KafkaError
    ? cause
    : KafkaError.make({ _tag: "Misuse", message: `${what} failed: ${String(cause)}`, group }, cause)

/** Joins, and stays a member until the Scope closes. */
export const join = (
  settings: Settings,
  { group, owner, topics }: Join
): Effect.Effect<Member, never, Cluster | Scope.Scope> =>
  Effect.gen(function* () {
    const cluster = yield* Cluster
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const scope = yield* Effect.scope
    const runFork = Effect.runForkWith(yield* Effect.context<never>())
    const requests = ClassicRequests.make(cluster, clock, group, settings)
    const watch = TopicWatch.make(cluster, topics)
    const now = () => Backoff.monotonic(clock)

    let state = ClassicMember.initial
    const events: Array<ClassicMember.Event> = []
    let wake: (() => void) | undefined
    let ended: (() => void) | undefined
    let given: Assignor.Given | undefined
    /** The topics of an assignment that this member looks after, as its leader, though it did not make it. */
    let inherited: ReadonlyArray<string> | undefined
    const told = new Set<string>()

    const machine = (): ClassicMember.Settings => ({
      group,
      heartbeatInterval: settings.heartbeatInterval,
      heartbeatDelay: settings.heartbeatDelay,
      rejoinDelay: settings.rejoinDelay,
      cooperative: settings.assignors.every((assignor) => assignor.cooperative),
      static: settings.instanceId !== null,
      ...requests.terms()
    })

    const post = (event: ClassicMember.Event): void => {
      events.push(event)
      wake?.()
    }

    /** Runs until it ends or the Scope closes. What fails there without a name must end the consumer, not vanish. */
    const inBackground = (self: Effect.Effect<void>): void => {
      const guarded = Effect.catchDefect(self, (defect) => owner.failed(broken("the group's machinery", defect, group)))
      Fiber.runIn(runFork(guarded), scope)
    }

    /** What goes wrong and is tried again: told each time; or else logged, once of a kind until the group is joined. */
    const troubled = (error: KafkaError.KafkaError): Effect.Effect<void> =>
      Effect.suspend(() => {
        if (owner.waits !== undefined) return owner.waits(error)
        const kind = error.reason._tag === "Server" ? error.reason.name : error.reason._tag
        if (told.has(kind)) return Effect.void
        told.add(kind)
        return Effect.logWarning(
          `group ${group} cannot be joined as it should, and it is tried again: ${error.message}`
        )
      })

    // ── what the machine asks for

    const sendJoin = ({ generation, memberId, owned, round }: Command<"Join">) =>
      Effect.gen(function* () {
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
          return post({ _tag: "JoinRefused", round, code: response.errorCode, memberId: response.memberId })
        }
        const leads = response.leader === response.memberId
        const members = response.members.map((member) => ({
          memberId: member.memberId,
          instanceId: member.groupInstanceId,
          metadata: member.metadata
        }))
        if (isFormer(response.leader, response.memberId) || (leads && response.skipAssignment)) {
          const others = (yield* Effect.forEach(members, readMember)).flatMap((member) => member.topics)
          inherited = [...new Set([...subscribed, ...others])]
        }
        return post({
          _tag: "Joined",
          round,
          sentAt,
          memberId: response.memberId,
          generation: response.generationId,
          protocol: response.protocolName ?? "",
          members: leads && !response.skipAssignment ? members : undefined
        })
      })

    /** Whether a leader's id is the one that this static member had before it came back: releases before KIP-814 name that. */
    const isFormer = (leader: string, memberId: string): boolean => {
      const { instanceId } = settings
      return (
        instanceId !== null &&
        leader !== memberId &&
        leader.length === memberId.length &&
        leader.startsWith(`${instanceId}-`) &&
        memberId.startsWith(`${instanceId}-`)
      )
    }

    /** A member whose subscription cannot be read is one that wants nothing. */
    const readMember = (member: ClassicMember.Member): Effect.Effect<Assignor.Member> =>
      Effect.try({
        try: () => ConsumerProtocol.decodeSubscription(member),
        catch: (error) => broken(`reading the subscription of ${member.memberId}`, error, group)
      }).pipe(
        Effect.catch((error) => {
          const { instanceId, memberId } = member
          const none = { memberId, instanceId, topics: [], owned: [], generation: -1, userData: null }
          return Effect.as(troubled(error), none)
        })
      )

    const distribute = ({ members, protocol, round }: Command<"Distribute">) =>
      Effect.gen(function* () {
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
          try: () => {
            const shares = assignor.assign(subscriptions, counts)
            const userData = assignor.assignedUserData?.(shares, subscriptions)
            const assignments = members.map(({ memberId }) => ({
              memberId,
              partitions: shares.get(memberId) ?? [],
              userData: userData?.get(memberId) ?? null
            }))
            post({ _tag: "Distributed", round, protocol, assignments })
          },
          catch: (error) => broken(`the assignor "${protocol}"`, error, group)
        })
      })

    const sendSync = (command: Command<"Sync">) =>
      Effect.gen(function* () {
        const { generation, round } = command
        const { response, sentAt } = yield* requests.sync(
          command,
          command.assignments.map((share) => ({
            memberId: share.memberId,
            assignment: ConsumerProtocol.encodeAssignment(share)
          }))
        )
        if (response.errorCode !== 0) return post({ _tag: "SyncRefused", round, code: response.errorCode })
        const read = yield* Effect.result(
          Effect.try({
            try: () => ConsumerProtocol.decodeAssignment(response.assignment),
            catch: (error) => broken("reading the assignment", error, group)
          })
        )
        if (Result.isFailure(read)) {
          yield* troubled(read.failure)
          return post({ _tag: "Unreadable", round })
        }
        const { userData } = read.success
        const wanted = new Set(watch.subscribed())
        const partitions = read.success.partitions.filter(({ topic }) => wanted.has(topic))
        if (partitions.length < read.success.partitions.length) {
          const strange = read.success.partitions.find(({ topic }) => !wanted.has(topic))!
          const problem = `the leader gave ${TopicPartition.key(strange)}, which was not subscribed to`
          yield* troubled(KafkaError.make({ _tag: "Corrupt", what: "ConsumerProtocolAssignment", problem, group }))
        } else told.clear()
        given = { partitions, generation, userData }
        if (inherited !== undefined) inBackground(takeOver(inherited))
        return post({ _tag: "Synced", round, sentAt, partitions })
      })

    /** A static leader that came back into a stable group makes no assignment, but looks after the one that there is. */
    const takeOver = (names: ReadonlyArray<string>): Effect.Effect<void> =>
      Effect.gen(function* () {
        const { round } = state
        const blobs = yield* Effect.catch(requests.assignments, () => Effect.succeed(undefined))
        const assigned = yield* Effect.result(
          Effect.try(() =>
            blobs?.flatMap((bytes) => ConsumerProtocol.decodeAssignment(bytes).partitions.map(TopicPartition.key))
          )
        )
        const keys = Result.isSuccess(assigned) ? assigned.success : undefined
        const isOutdated = yield* watch.inherit(names, keys === undefined ? undefined : new Set(keys))
        if (isOutdated && state.round === round) post({ _tag: "Outdated" })
      }).pipe(Effect.ignore)

    const roundTrip = (round: number, self: Effect.Effect<void, KafkaError.KafkaError>): void =>
      inBackground(
        Effect.catch(self, (error) => {
          post({ _tag: "RoundFailed", round, error })
          return error.isRetryable ? troubled(error) : Effect.void
        })
      )

    const carryOut = (command: ClassicMember.Command): void => {
      switch (command._tag) {
        case "Join":
          return roundTrip(command.round, sendJoin(command))
        case "Distribute":
          return roundTrip(command.round, distribute(command))
        case "Sync":
          return roundTrip(command.round, sendSync(command))
        case "Heartbeat": {
          const { generation, memberId } = command
          return inBackground(
            Effect.map(Effect.result(requests.heartbeat(command)), (result) =>
              post(
                Result.isSuccess(result)
                  ? { _tag: "HeartbeatAnswered", memberId, generation, code: result.success }
                  : { _tag: "HeartbeatFailed", memberId, generation, error: result.failure }
              )
            )
          )
        }
        case "ForgetCoordinator":
          return cluster.forgetCoordinator("group", group)
        case "Give":
          return inBackground(owner.assigned(command.partitions))
        case "Revoke":
          return inBackground(
            Effect.map(owner.revoke(command.partitions, requests.terms().rebalanceTimeout), () =>
              post({ _tag: "Released", round: command.round })
            )
          )
        case "Lose":
          given = undefined
          return inBackground(Effect.map(owner.lost, () => post({ _tag: "Released", round: command.round })))
        case "Leave":
          return inBackground(Effect.map(Effect.ignore(requests.leave(command.memberId)), () => post({ _tag: "Left" })))
        case "Fail":
          return inBackground(owner.failed(command.error))
      }
    }

    // ── the machine's turns

    const advance = (event: ClassicMember.Event): void => {
      const [next, commands] = ClassicMember.step(machine(), state, event, now(), random.nextDoubleUnsafe())
      state = next
      for (const command of commands) carryOut(command)
      if (state.phase === "ended") ended?.()
    }

    const posted = Effect.callback<void>((resume) => {
      wake = () => {
        wake = undefined
        resume(Effect.void)
      }
      if (events.length > 0) wake()
      return Effect.sync(() => {
        wake = undefined
      })
    })

    const turn = Effect.gen(function* () {
      if (events.length === 0) {
        const at = ClassicMember.deadline(machine(), state)
        if (at === undefined) yield* posted
        else if (at > now()) yield* Effect.raceFirst(posted, Effect.sleep(at - now()))
      }
      advance(events.shift() ?? { _tag: "Tick" })
    })
    yield* Effect.forkIn(Effect.repeat(turn, { while: () => state.phase !== "ended" }), scope, {
      startImmediately: true
    })

    // ── what the group shares out

    const lookAgain = Effect.suspend(() => (state.phase === "stable" ? watch.isOutdated : Effect.succeed(false))).pipe(
      // What could not be asked now is asked the next time.
      Effect.catch(() => Effect.succeed(false)),
      Effect.map((isOutdated) => {
        if (isOutdated) post({ _tag: "Outdated" })
      })
    )
    const byTime = Effect.andThen(Effect.sleep(settings.metadataMaxAge), lookAgain)
    yield* Effect.forkIn(Effect.repeat(byTime, { while: () => state.phase !== "ended" }), scope)
    yield* Effect.forkIn(
      Stream.runForEach(watch.changes, () => lookAgain),
      scope,
      { startImmediately: true }
    )

    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => requests.hangUp())
    )

    return {
      identity: () => ({ memberId: state.memberId, generation: state.generation, instanceId: settings.instanceId }),
      isAlive: () => {
        if (now() < ClassicMember.expiresAt(machine(), state)) return true
        // The machine's own turn may come later, where a process that stood still wakes.
        advance({ _tag: "Tick" })
        wake?.()
        return false
      },
      commitRefused: (as, code) =>
        post({ _tag: "CommitRefused", memberId: as.memberId, generation: as.generation, code }),
      // On the way to a generation it is joined anew after that.
      topicsChanged: Effect.sync(() =>
        state.phase === "stable" ? inBackground(lookAgain) : post({ _tag: "Outdated" })
      ),
      closing: Effect.sync(() => post({ _tag: "Closing" })),
      leave: Effect.callback<void>((resume) => {
        if (state.phase === "ended") return resume(Effect.void)
        ended = () => resume(Effect.void)
        post({ _tag: "Close" })
      }).pipe(Effect.timeoutOption(settings.leaveTimeout), Effect.asVoid)
    }
  })
