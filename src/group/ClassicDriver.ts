/**
 * Drives the state machine of a classic member (`ClassicMember`): carries its commands out as requests to the
 * coordinator, feeds the answers back, and wakes it at its deadlines on the Clock.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Backoff from "../Backoff.ts"
import { Cluster } from "../Cluster.ts"
import * as Machine from "../engine/Machine.ts"
import * as MemberWork from "../engine/MemberWork.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type { Identity } from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Join, Member } from "../Membership.ts"
import * as SessionClock from "../SessionClock.ts"
import * as ClassicMember from "./ClassicMember.ts"
import * as ClassicRequests from "./ClassicRequests.ts"
import * as ClassicRound from "./ClassicRound.ts"
import * as TopicWatch from "./TopicWatch.ts"

/** Checked settings; durations in milliseconds. */
export interface Settings extends ClassicRequests.Settings, ClassicRound.Settings {
  readonly heartbeatInterval: number
  readonly metadataMaxAge: number
  readonly leaveTimeout: number
  readonly heartbeat: Backoff.Retry | undefined
  readonly rejoin: Backoff.Retry | undefined
}

/** Looks where topics have changed: at once, and ever more rarely while each look leads to the next change. */
const atChanges = (changes: Stream.Stream<unknown>, look: Effect.Effect<void>, wait: () => number) =>
  Stream.runForEachArray(changes, () => Effect.andThen(Effect.sleep(wait()), look))

/** The group shares out anew. */
const begun = (owner: Join["owner"]): Effect.Effect<void> => Effect.sync(() => owner.rebalancing?.())

/** What the state machine is told of the settings, and of what was agreed with the coordinator. */
const machineOf = (group: string, settings: Settings, terms: ReturnType<typeof ClassicRequests.make>["terms"]) =>
  Effect.map(
    Effect.all([Backoff.lasting(settings.heartbeat, "heartbeat"), Backoff.lasting(settings.rejoin, "rejoin")]),
    ([heartbeats, rejoins]) => {
      const fixed = {
        group,
        heartbeatInterval: settings.heartbeatInterval,
        heartbeatDelay: heartbeats(),
        rejoinDelay: rejoins(),
        cooperative: settings.assignors.every((assignor) => assignor.cooperative),
        static: settings.instanceId !== null
      }
      return () => ({ ...fixed, ...terms() })
    }
  )

/** Whether a commit that was refused so may be sent again: its sender is a member still, on the way to a next generation. */
const goesOn = ({ generation, memberId, phase }: ClassicMember.State, as: Identity, code: number): boolean =>
  ErrorCode.asks(code, "OffsetCommit") === "rejoin-lost" &&
  generation !== -1 &&
  memberId === as.memberId &&
  (generation !== as.generation || phase === "joining" || phase === "waiting")

/** Sends one, and tells the machine; of a generation that is over by then nobody is told that it is held up. */
const heartbeat = (
  command: ClassicMember.Command & { _tag: "Heartbeat" },
  member: {
    readonly group: string
    readonly requests: ReturnType<typeof ClassicRequests.make>
    readonly state: () => ClassicMember.State
    readonly post: (event: ClassicMember.Event) => void
    readonly held: MemberWork.Trouble
  }
): Effect.Effect<void> => {
  const { group, held, post, requests, state } = member
  const { generation, memberId } = command
  const troubled = (error: KafkaError.KafkaError) =>
    state().generation === generation && state().memberId === memberId ? held.troubled(error) : Effect.void
  return Effect.matchEffect(requests.heartbeat(command), {
    onSuccess: (code) => {
      post({ _tag: "HeartbeatAnswered", memberId, generation, code })
      // Whatever else it says, also that there is a rebalance: it is held up by nothing of the coordinator's any more.
      const holdsUp = ErrorCode.isTransient(code, "Heartbeat")
      return holdsUp ? troubled(KafkaError.fromCode(code, { api: "Heartbeat", group })) : held.cured
    },
    onFailure: (error) => {
      post({ _tag: "HeartbeatFailed", memberId, generation, error })
      return error.isRetryable ? troubled(error) : Effect.void
    }
  })
}

/** Joins, and stays a member until the Scope closes. */
export const join = (
  settings: Settings,
  { group, isWanted, owner, topics }: Join
): Effect.Effect<Member, never, Cluster | Scope.Scope> =>
  Effect.gen(function* () {
    const cluster = yield* Cluster
    const clock = yield* Clock.Clock
    const scope = yield* Effect.scope
    const { calmed, owner: inTurn, trouble, troubled, ...work } = yield* MemberWork.make(group, owner)
    const inBackground = (self: Effect.Effect<void>, died?: (error: KafkaError.KafkaError) => void): void =>
      void work.inBackground(self, died)
    const now = SessionClock.make(clock)
    const requests = ClassicRequests.make(cluster, now, group, settings)
    // Last of all: what is under way in the background would ask for the connection again.
    yield* Scope.addFinalizer(scope, Effect.sync(requests.hangUp))
    const watch = TopicWatch.make(cluster, topics, isWanted)
    const machineSettings = yield* machineOf(group, settings, requests.terms)
    const rounds = ClassicRound.make(group, settings, requests, watch, troubled)

    // ── what the machine asks for

    const roundTrip = (round: number, self: Effect.Effect<ClassicMember.Event, KafkaError.KafkaError>): void =>
      inBackground(
        Effect.matchEffect(self, {
          onSuccess: (event) =>
            Effect.sync(() => {
              post(event)
              if (event._tag !== "Synced") return
              calmed()
              inBackground(takeOver(round))
            }),
          onFailure: (error) => {
            post({ _tag: "RoundFailed", round, error })
            return error.isRetryable ? troubled(error) : Effect.void
          }
        }),
        // The member is to leave, and not to wait for the end of the round.
        (error) => post({ _tag: "RoundFailed", round, error })
      )

    const takeOver = (round: number): Effect.Effect<void> =>
      Effect.ignore(
        Effect.map(rounds.takeOver, (isOutdated) => {
          if (isOutdated && state().round === round) post({ _tag: "Outdated" })
        })
      )

    const heartbeats = trouble()
    const carryOut = (command: ClassicMember.Command): void => {
      switch (command._tag) {
        case "Join":
          return roundTrip(command.round, Effect.andThen(begun(owner), rounds.join(command)))
        case "Distribute":
          return roundTrip(command.round, rounds.distribute(command))
        case "Sync":
          return roundTrip(command.round, rounds.sync(command))
        case "Heartbeat":
          return inBackground(heartbeat(command, { group, requests, state, post, held: heartbeats }))
        case "ForgetCoordinator":
          return cluster.forgetCoordinator("group", group)
        case "Give":
          return inBackground(inTurn.assigned(command.partitions))
        case "Revoke":
          return inBackground(
            Effect.map(
              inTurn.revoke(
                command.partitions,
                MemberWork.within(requests.terms().rebalanceTimeout, now() - state().quietAt)
              ),
              () => post({ _tag: "Released", round: command.round })
            )
          )
        case "Lose":
          rounds.forget()
          return inBackground(Effect.map(inTurn.lost, () => post({ _tag: "Released", round: command.round })))
        case "Leave":
          return inBackground(
            Effect.ensuring(
              Effect.ignore(requests.leave(command.memberId)),
              Effect.sync(() => post({ _tag: "Left" }))
            )
          )
        case "Fail":
          return inBackground(owner.failed(command.error))
      }
    }

    const random = yield* Random.Random
    const machine = yield* Machine.make<ClassicMember.State, ClassicMember.Event, ClassicMember.Command>({
      initial: ClassicMember.initial,
      now,
      step: (state, event, now) => ClassicMember.step(machineSettings(), state, event, now, random.nextDoubleUnsafe()),
      deadline: (state) => ClassicMember.deadline(machineSettings(), state),
      tick: { _tag: "Tick" },
      hasEnded: (state) => state.phase === "ended",
      carryOut
    })
    const { post, state } = machine
    inBackground(machine.run)

    // ── what the group shares out

    const lookAgain = Effect.suspend(() =>
      state().phase === "stable" ? watch.isOutdated : Effect.succeed(false)
    ).pipe(
      // What could not be asked now is asked the next time.
      Effect.catch(() => Effect.succeed(false)),
      Effect.map((isOutdated) => {
        if (isOutdated) post({ _tag: "Outdated" })
      })
    )
    const isStable = () => state().phase === "stable"
    const resubscribed = Effect.match(MemberWork.insisted(watch.isOutdated, cluster.retry, trouble(), isStable), {
      onSuccess: (isOutdated) => void (isOutdated && post({ _tag: "Outdated" })),
      // The join says what is wrong.
      onFailure: () => post({ _tag: "Outdated" })
    })
    const byTime = Effect.andThen(Effect.sleep(settings.metadataMaxAge), lookAgain)
    inBackground(Effect.repeat(byTime, { while: () => state().phase !== "ended" }))
    const waits = yield* Backoff.waits(cluster.retry)
    inBackground(atChanges(watch.changes, lookAgain, Backoff.repeats(waits(), now)))
    inBackground(Effect.forever(Effect.andThen(watch.ready(trouble()), lookAgain)))

    return {
      identity: () => {
        const { generation, memberId } = state()
        return { memberId, generation, instanceId: settings.instanceId }
      },
      isAlive: MemberWork.alive(machine, ClassicMember.isLosing, (state) =>
        ClassicMember.expiresAt(requests.terms(), state)
      ),
      goesOn: (as, code) => goesOn(state(), as, code),
      commitRefused: (as, code) =>
        post({ _tag: "CommitRefused", memberId: as.memberId, generation: as.generation, code }),
      // On the way to a generation it is joined anew after that.
      topicsChanged: Effect.sync(() => (isStable() ? inBackground(resubscribed) : post({ _tag: "Outdated" }))),
      stopping: Effect.sync(() => post({ _tag: "Stopping" })),
      ...MemberWork.ends(machine, settings.leaveTimeout)
    }
  })
