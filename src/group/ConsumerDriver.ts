/**
 * Drives the state machine of a member of a group of the consumer protocol (`ConsumerMember`): carries its commands out
 * as heartbeats to the coordinator, feeds the answers back, finds the names of topics that it is given by id, and wakes
 * it at its deadlines on the Clock.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Backoff from "../Backoff.ts"
import { Cluster } from "../Cluster.ts"
import * as Machine from "../engine/Machine.ts"
import * as MemberWork from "../engine/MemberWork.ts"
import * as Uuid from "../engine/Uuid.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { Join, Member } from "../Membership.ts"
import * as SessionClock from "../SessionClock.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import * as ConsumerHeartbeat from "./ConsumerHeartbeat.ts"
import * as ConsumerMember from "./ConsumerMember.ts"
import * as Refusal from "./Refusal.ts"
import * as TopicNames from "./TopicNames.ts"
import * as TopicWatch from "./TopicWatch.ts"

/** Checked settings; durations in milliseconds. */
export interface Settings extends ConsumerHeartbeat.Settings {
  readonly sessionTimeout: number
  readonly metadataMaxAge: number
  readonly leaveTimeout: number
  readonly heartbeat: Backoff.Retry | undefined
  readonly rejoin: Backoff.Retry | undefined
}

const code = ErrorCode.codes

/** For so long a topic that was taken back is looked at, in milliseconds. */
const patience = 1_000

/** Joins, and stays a member until the Scope closes. */
export const join = (
  settings: Settings,
  { group, isWanted, owner, pattern = () => undefined, topics }: Join
): Effect.Effect<Member, never, Cluster | Scope.Scope> =>
  Effect.gen(function* () {
    const cluster = yield* Cluster
    const random = yield* Random.Random
    const { inBackground, owner: inTurn, trouble } = yield* MemberWork.make(group, owner)
    const heartbeats = trouble()
    const now = SessionClock.make(yield* Clock.Clock)
    const watch = TopicWatch.make(cluster, topics, isWanted)
    const requests = ConsumerHeartbeat.make(
      cluster,
      now,
      group,
      settings,
      { names: watch.subscribed, pattern },
      SessionClock.answersWithin(settings.sessionTimeout),
      () => state().phase === "leaving" || state().phase === "ended"
    )
    // Last of all: what is under way in the background would ask for the connection again.
    yield* Effect.addFinalizer(() => Effect.sync(requests.hangUp))
    const [beats, rejoins] = yield* Effect.all([
      Backoff.lasting(settings.heartbeat, "heartbeat"),
      Backoff.lasting(settings.rejoin, "rejoin")
    ])
    const machineSettings: ConsumerMember.Settings = {
      group,
      sessionTimeout: settings.sessionTimeout,
      rebalanceTimeout: settings.rebalanceTimeout,
      static: settings.instanceId !== null,
      heartbeatDelay: beats(),
      rejoinDelay: rejoins()
    }

    // ── what the machine asks for

    const heartbeat = (command: ConsumerMember.Command & { _tag: "Heartbeat" }) => {
      const joins = command.epoch === 0
      const begun = Effect.sync(() => owner.rebalancing?.())
      const first = joins ? Effect.andThen(begun, Effect.asVoid(watch.subscribe)) : Effect.void
      return Effect.matchEffect(Effect.andThen(first, requests.beat(command)), {
        onSuccess: (event) => {
          post(event)
          return event._tag === "Refused" && holdsUp(event.code, joins)
            ? heartbeats.troubled(Refusal.of(group, "ConsumerGroupHeartbeat", event.code, event.message))
            : heartbeats.cured
        },
        onFailure: (error) => {
          post({ _tag: "Failed", beat: command.beat, error })
          return error.isRetryable ? heartbeats.troubled(error) : Effect.void
        }
      })
    }

    const resolve = TopicNames.make({
      cluster,
      group,
      watch,
      pattern,
      inBackground,
      trouble,
      isWanted: (id) => ConsumerMember.unnamed(state()).includes(id),
      found: (names) => post({ _tag: "Resolved", names })
    })

    const carryOut = (command: ConsumerMember.Command): void => {
      switch (command._tag) {
        case "Heartbeat":
          return void inBackground(heartbeat(command), (error) => post({ _tag: "Failed", beat: command.beat, error }))
        case "ForgetCoordinator":
          return cluster.forgetCoordinator("group", group)
        case "Resolve":
          return resolve(command.ids)
        case "Give":
          return void inBackground(inTurn.assigned(command.partitions.map(placeOf)))
        case "Revoke": {
          const { round } = command
          const within = () => MemberWork.within(settings.rebalanceTimeout, now() - state().targetAt)
          const revoked = whenLooked(cluster, state, command, (places) => inTurn.revoke(places, within()))
          return void inBackground(Effect.map(revoked, () => post({ _tag: "Released", round })))
        }
        case "Lose":
          return void inBackground(Effect.map(inTurn.lost, () => post({ _tag: "Released", round: command.round })))
        case "Leave":
          return void inBackground(
            Effect.ensuring(
              Effect.ignore(requests.leave(command.memberId)),
              Effect.sync(() => post({ _tag: "Left" }))
            )
          )
        case "Fail":
          return void inBackground(owner.failed(command.error))
      }
    }

    const machine = yield* Machine.make<ConsumerMember.State, ConsumerMember.Event, ConsumerMember.Command>({
      initial: ConsumerMember.initial(Uuid.make(() => random.nextDoubleUnsafe())),
      now,
      step: (state, event, now) => ConsumerMember.step(machineSettings, state, event, now, random.nextDoubleUnsafe()),
      deadline: (state) => ConsumerMember.deadline(machineSettings, state),
      tick: { _tag: "Tick" },
      hasEnded: (state) => state.phase === "ended",
      carryOut
    })
    const { post, state } = machine
    inBackground(machine.run)
    const isGiven = givenBy(state, () => post({ _tag: "Outdated" }))

    // ── what is subscribed to

    const isLasting = () => state().phase !== "ended"
    const resubscribed = Effect.match(MemberWork.insisted(watch.subscribe, cluster.retry, trouble(), isLasting), {
      onSuccess: () => post({ _tag: "Outdated" }),
      // As for whoever joins.
      onFailure: (error) => post({ _tag: "Broken", error })
    })
    const lookAgain = Effect.gen(function* () {
      if (!requests.picks() || !(yield* watch.isOutdated)) return
      yield* watch.subscribe
      post({ _tag: "Outdated" })
    }).pipe(Effect.ignore)
    const byTime = Effect.andThen(Effect.sleep(settings.metadataMaxAge), lookAgain)
    inBackground(Effect.repeat(byTime, { while: isLasting }))

    return {
      identity: () => {
        const { epoch, memberId } = state()
        // Outside the group it is whoever it was: what it commits then is refused.
        return { memberId, generation: epoch, instanceId: settings.instanceId }
      },
      fetchesAsMember: true,
      isGiven,
      isAlive: MemberWork.alive(machine, ConsumerMember.isLosing, (state) =>
        ConsumerMember.expiresAt(machineSettings, state)
      ),
      goesOn: (as, errorCode) =>
        errorCode === code.STALE_MEMBER_EPOCH && as.memberId === state().memberId && state().epoch > 0,
      commitRefused: (as, errorCode) =>
        post({ _tag: "CommitRefused", memberId: as.memberId, epoch: as.generation, code: errorCode }),
      topicsChanged: Effect.sync(() => void inBackground(resubscribed)),
      stopping: Effect.sync(() => post({ _tag: "Stopping" })),
      ...MemberWork.ends(machine, settings.leaveTimeout)
    }
  })

/** Whether a partition is ours by the id of its topic; where one is not, the coordinator is asked about that topic, once. */
const givenBy = (state: () => ConsumerMember.State, ask: () => void): NonNullable<Member["isGiven"]> => {
  const asked = new Set<string>()
  return (topicId, partition) => {
    if (state().owned.some((one) => one.topicId === topicId && one.partition === partition)) return true
    if (!asked.has(topicId)) ask()
    asked.add(topicId)
    return false
  }
}

/**
 * Gives partitions back. A topic that is taken back altogether may have been made again, and is looked at before: brokers
 * before 4.1 would take what was done of it for an offset of the new one, by its name. Where that is known it is not
 * committed.
 */
const whenLooked = (
  cluster: Cluster["Service"],
  state: () => ConsumerMember.State,
  { partitions, round }: ConsumerMember.Command & { _tag: "Revoke" },
  revoke: (places: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
): Effect.Effect<void> => {
  const ids = new Set(state().target?.map(({ topicId }) => topicId))
  const gone = new Set(partitions.flatMap(({ topic, topicId }) => (ids.has(topicId) ? [] : topic)))
  const places = partitions.map(placeOf)
  if (gone.size === 0) return revoke(places)
  // All may be lost meanwhile.
  const isWanted = () => state().phase === "revoking" && state().round === round
  return Effect.timeoutOption(cluster.topics([...gone], { unready: true }), patience).pipe(
    Effect.ignore,
    Effect.andThen(Effect.suspend(() => (isWanted() ? revoke(places) : Effect.void)))
  )
}

const placeOf = ({ partition, topic }: ConsumerMember.Owned) => ({ topic, partition })

/** Whether a refusal holds a member up, and is to be told: who is only to join anew is not. What lasts fails it. */
const holdsUp = (errorCode: number, joins: boolean): boolean =>
  errorCode === code.UNRELEASED_INSTANCE_ID
    ? joins
    : ErrorCode.asks(errorCode, "ConsumerGroupHeartbeat") !== "rejoin-lost" &&
      (errorCode === code.INVALID_REGULAR_EXPRESSION || ErrorCode.isTransient(errorCode, "ConsumerGroupHeartbeat"))
