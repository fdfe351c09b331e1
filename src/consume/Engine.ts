/**
 * What stands behind every consumer: its partitions, and how they are read. A membership (or a fixed assignment) tells
 * it which partitions are its own; `stream`, `partitions` and `run` read them.
 *
 * One function because it ties the parts of a consumer to each other, some of them in a ring; what they do is in files
 * of their own.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as LogEvent from "../LogEvent.ts"
import { defectOf } from "../Abandon.ts"
import * as Backoff from "../Backoff.ts"
import { Broadcast } from "../Broadcast.ts"
import { Cluster } from "../Cluster.ts"
import { Closing } from "../engine/Closing.ts"
import { GroupOffsets } from "../GroupOffsets.ts"
import type * as KafkaError from "../KafkaError.ts"
import { anonymous, type Member, type Owner } from "../Membership.ts"
import * as Resume from "../Resume.ts"
import type * as TopicPartition from "../TopicPartition.ts"
import { Transport } from "../Transport.ts"
import * as Apart from "./Apart.ts"
import { Partition } from "./AssignedPartition.ts"
import * as Committer from "./Committer.ts"
import type { ConsumerEvent } from "./Events.ts"
import * as Counted from "./Counted.ts"
import { ConsumerState } from "./ConsumerState.ts"
import * as Forgotten from "./Forgotten.ts"
import * as Unread from "./Unread.ts"
import * as Waits from "./Waits.ts"
import { Forming, type Silence } from "./Forming.ts"
import type { Host } from "./Host.ts"
import { LoopTurn } from "./LoopTurn.ts"
import * as Opening from "./Opening.ts"
import * as Questions from "./Questions.ts"
import * as Progress from "./Progress.ts"
import type { Reading } from "./Reading.ts"
import * as Revocation from "./Revocation.ts"
import type { Settings } from "./Settings.ts"
import * as Told from "./Told.ts"
import type { KnownTopic } from "./StartPositions.ts"

// How long what was interrupted may clean up when the time to close is over, in milliseconds.
const cleanUp = 1_000
// Of the time to close, what a membership may take to hear of it: the rest is for the work in flight and the last commit.
const closingShare = 0.25

export interface Engine extends Questions.Questions {
  readonly settings: Settings
  readonly owner: Owner
  readonly reading: Reading
  readonly partitions: ReadonlyMap<string, Partition>
  readonly events: Stream.Stream<ConsumerEvent>
  readonly committer: Committer.Committer
  readonly cluster: Cluster["Service"]
  readonly groupOffsets: GroupOffsets["Service"]
  readonly scope: Scope.Scope
  /** Of the fibers that the application's code runs in. */
  readonly work: Scope.Scope
  readonly publish: (event: ConsumerEvent) => void
  /** Ends everything that is read with an error. */
  readonly fail: (error: KafkaError.KafkaError) => void
  /** Runs for as long as the consumer lives; what it fails with, or dies of, ends everything that is read. */
  readonly inBackground: <R>(
    self: Effect.Effect<void, KafkaError.KafkaError, R>
  ) => Effect.Effect<Fiber.Fiber<void>, never, R>
  /** It cannot start, for now: told once, until it can; `again`: once more. */
  readonly waits: (error: KafkaError.KafkaError, again?: boolean) => Effect.Effect<void>
  /** Why it cannot start. */
  readonly trouble: () => KafkaError.KafkaError | undefined
  /** The group shares out, for the first time. */
  readonly joins: Effect.Effect<void>
  /** Completes when it has been without partitions for long, though it wants some. */
  readonly silence: Effect.Effect<Silence>
  /** A fixed assignment, or what is added to it: `ends` tells where each bounded read ends; `more` that others follow. */
  readonly fixed: (
    partitions: ReadonlyArray<TopicPartition.TopicPartition>,
    ends: ReadonlyMap<string, number>,
    more?: boolean
  ) => Effect.Effect<void>
  readonly paused: Set<string>
  /** The membership that was joined, for its identity. */
  member: Member | undefined
  /** The membership has come into being; it hears at once whether the consumer was stopped meanwhile. */
  readonly joined: (member: Member) => Effect.Effect<void>
  /** Whether there is a membership, joined or not. */
  grouped: boolean
  /** Milliseconds that the membership may take to leave. */
  leaveTimeout: number
  /** Topics as they were when they were first looked at: what comes later starts at its first record. */
  readonly knownTopics: Map<string, KnownTopic>
  /** Fetches no more: what is read ends when what was delivered is through. Partitions stay ours until the group rebalances. */
  readonly stop: Effect.Effect<void>
  /** Gives everything back: ends the streams, waits for what is in flight, commits; leaves the group. Bounded. */
  readonly close: Effect.Effect<void>
}

/** Makes the engine. Its fibers live in `scope`, which is closed after `close`. */
export const make = Effect.fnUntraced(function* (
  settings: Settings,
  scope: Scope.Scope
): Effect.fn.Return<Engine, KafkaError.KafkaError, Cluster | GroupOffsets | Transport> {
  const cluster = yield* Cluster
  const groupOffsets = yield* GroupOffsets
  const transport = yield* Transport
  const work = yield* Scope.make()
  const context = (yield* Effect.context<never>()) as Context.Context<any>
  const clock = yield* Clock.Clock
  const closing = yield* Closing
  const consumer = yield* Scope.provide(transport.consumer(settings.fetch), scope)
  const events = new Broadcast<ConsumerEvent>({ unread: Infinity, replayed: 64 })
  const told = Told.make(
    settings.group,
    () => engine.member?.identity().memberId,
    (effect) => void Effect.runForkWith(context)(effect),
    () => state
  )
  const publish = (event: ConsumerEvent): void => {
    if (event._tag === "Lost") counted.lost(event.partitions)
    events.tell(event)
    told(event)
  }
  const now = () => Backoff.monotonic(clock)
  const state = new ConsumerState(settings, now, publish)
  const { die, fail, knownTopics, partitions, reading } = state
  const counted = yield* Counted.make(transport.clientId ?? "", settings.group, state, scope)
  const provide = <A, E>(self: Effect.Effect<A, E, any>): Effect.Effect<A, E> => Effect.provide(self, context)

  const inBackground: Engine["inBackground"] = (self) =>
    Effect.forkIn(
      self.pipe(
        Effect.catch((error) => Effect.sync(() => fail(error))),
        // Whoever is interrupted by us does not come here; what interrupts itself must not vanish.
        Effect.catchCause((cause) => Effect.sync(() => die(defectOf(cause))))
      ),
      scope,
      { startImmediately: true }
    )

  const isAlive = () => engine.member?.isAlive?.() ?? true
  const committer = Committer.make(
    {
      group: settings.group ?? "",
      interval: settings.commitInterval,
      every: settings.commitEvery,
      timeout: settings.commitTimeout,
      retry: cluster.retry
    },
    counted.offsets(groupOffsets),
    () => engine.grouped,
    isAlive,
    () => engine.member?.identity() ?? anonymous,
    (as, code) => engine.member?.commitRefused(as, code),
    (as, code) => engine.member?.goesOn?.(as, code) ?? false,
    () => partitions.values(),
    ({ isOrphan, topic, topicId }) => {
      const id = cluster.known(topic)?.id
      return topicId === undefined || id === undefined ? !isOrphan : topicId === id
    },
    (partition) => reading.isApart(partition),
    cluster.isDoubted
  )

  const { cure, open, opensNone, replaced, watch } = Opening.make({
    partitions,
    cluster,
    groupOffsets,
    identity: () => (engine.member?.fetchesAsMember === true ? engine.member.identity() : anonymous),
    isGiven: (topicId, partition) => engine.member?.isGiven?.(topicId, partition) ?? true,
    looks: (topic) => engine.member?.looks?.(topic) ?? Effect.void,
    settings,
    knownTopics,
    provide,
    consumer,
    committer,
    scope,
    publish,
    inBackground
  })

  const forming = new Forming(now)
  const isIdle = () => partitions.size === 0 && !state.stopped && !state.closing && state.failure === undefined
  const noteAssigned = Effect.sync(() => forming.assigned(partitions.size > 0))
  const marksByHand = () =>
    settings.group !== undefined &&
    reading.mode !== "run" &&
    reading.mode !== "transactions" &&
    !reading.isForTransactions
  let delivers = false
  /** Begins to look for marks, with the first array that somebody else than us has to mark. */
  const delivered: Host<Partition>["delivered"] = (partition, records) => {
    counted.delivered(partition, records)
    if (delivers) return
    delivers = true
    if (marksByHand()) Fiber.runIn(Effect.runForkWith(context)(Forgotten.watch(state)), scope)
  }

  const isWatched = settings.group !== undefined && settings.progressTimeout !== Infinity
  const isDone = (partition: Partition, count: number): void => {
    if (isWatched) partition.progressedAt = now()
    committer.marked(count)
  }
  const host: Host<Partition> = {
    marks: settings.group !== undefined,
    maxRecords: settings.maxRecords,
    isAlive,
    provide,
    delivered,
    atWork: state.atWork,
    turn: new LoopTurn(() => clock.currentTimeMillisUnsafe()),
    now: counted.now,
    handled: counted.handled,
    resumed: (partition) => {
      if (isWatched) partition.progressedAt = now()
    },
    ready: (partition) => {
      // What was begun while nothing was in flight is given its whole time.
      if (isWatched && partition.inFlight === 0) partition.progressedAt = now()
      reading.ready(partition)
    },
    leftBehind: (partition, offsets) => reading.leftBehind(partition, offsets),
    late: (partition, offset) => reading.late(partition, offset),
    marked: (partition, count, offset) => {
      state.everMarked = true
      reading.marked(partition, offset)
      isDone(partition, count)
    },
    passedOver: (partition) => isDone(partition, 1),
    passed: (partition) => {
      if (committer.isBehind(partition)) committer.marked(1)
    },
    damaged: (partition, { error, from, to }) =>
      publish({ _tag: "Damaged", partition: partition.place, from, to, error }),
    caughtUp: (partition) => publish({ _tag: "CaughtUp", partition: partition.place }),
    finished: (partition) => {
      state.finished()
      Fiber.runIn(Effect.runForkWith(context)(partition.close), scope)
    },
    cure
  }

  const add = (list: ReadonlyArray<TopicPartition.TopicPartition>, ends?: ReadonlyMap<string, number>) =>
    Effect.suspend(() => {
      const fresh = state.add(list, host, ends)
      if (fresh.length === 0) return opensNone
      fresh.forEach(counted.added)
      return Effect.flatMap(inBackground(open(fresh)), (opening) => {
        // Whoever gives all of them back need not find out where they start.
        let left = fresh.length
        const gone = () => {
          if (--left === 0) opening.interruptUnsafe()
        }
        for (const partition of fresh) partition.whenReleased(gone)
        return Effect.void
      })
    })

  const revocation = Revocation.make({
    settings,
    clock,
    committer,
    publish,
    provide,
    withdraw: (partition) => reading.withdraw(partition),
    forget: (partition) => {
      counted.forgotten(partition)
      reading.forget(partition)
      if (partitions.get(partition.key) === partition) partitions.delete(partition.key)
    },
    everMarked: () => state.everMarked,
    marksByHand
  })

  const { cured, over, waits } = Waits.make({ state, inBackground })

  const warned = (what: string, ...defects: ReadonlyArray<unknown>) =>
    LogEvent.log("hookFailed", what, { group: settings.group }, undefined, ...defects)

  /** A membership may be the application's own: what of it hangs, or dies, holds up nothing. */
  const heard = (what: "stopping" | "closing" | "leave", within: number) =>
    Effect.suspend(() => {
      const { member } = engine
      if (member === undefined) return Effect.void
      return Apart.within(what === "stopping" ? (member.stopping ?? member.closing) : member[what], within).pipe(
        Effect.flatMap((hasEnded) =>
          hasEnded ? Effect.void : warned(`${what} of the membership has not ended in time, and is left alone`)
        ),
        Effect.catchDefect((defect) => warned(`${what} of the membership failed`, defect))
      )
    })
  const closingTime = settings.closeTimeout * closingShare
  const stopping = heard("stopping", closingTime)

  const closeOnce = Effect.gen(function* () {
    const begun = now()
    const left = () => begun + settings.closeTimeout - now()
    yield* heard("closing", closingTime)
    state.stopReading()
    yield* Effect.catchCause(revocation.close([...partitions.values()], left()), (cause) =>
      warned("what was held could not be given back, since something of it died", defectOf(cause))
    )
    yield* heard("leave", engine.leaveTimeout + cleanUp)
    if (!(yield* Apart.within(Scope.close(work, Exit.void), Math.max(cleanUp, left()))))
      yield* LogEvent.log("drainTimedOut", "handlers that do not end, though they were interrupted, are left alone", {
        group: settings.group
      })
    reading.isOver = true
    events.end()
  })
  // Whoever interrupts `run` and closes the Scope waits for the same.
  const closed = Deferred.makeUnsafe<void>()
  const close = Effect.suspend(() => {
    if (state.closing) return Resume.awaiting(closed)
    state.closing = true
    return Effect.ensuring(closing(closeOnce), Deferred.done(closed, Exit.void))
  })

  const engine: Engine = {
    settings,
    owner: counted.owner({
      assigned: (list) => Effect.all([add(list), noteAssigned, over], { discard: true }),
      rebalancing: () => forming.begun(),
      revoke: (list, within) => Effect.suspend(() => revocation.giveBack(state.held(list), within)),
      lost: Effect.suspend(() => {
        forming.begun()
        return revocation.lost([...partitions.values()])
      }),
      failed: (error) =>
        Effect.suspend(() => {
          const isOver = state.failure !== undefined || state.closing
          fail(error)
          if (isOver || !revocation.hasInterrupted()) return Effect.void
          const text = `the membership of the group has ended for good: ${error.message}`
          return LogEvent.log("membershipEnded", text, { group: settings.group })
        }),
      died: (defect) => Effect.sync(() => die(defect)),
      replaced,
      waits,
      cured
    }),
    reading,
    partitions,
    events: events.stream,
    committer,
    cluster,
    groupOffsets,
    scope,
    work,
    publish,
    fail,
    inBackground,
    waits,
    trouble: () => state.trouble,
    joins: Effect.sync(() => forming.begun()),
    silence: Effect.repeat(forming.silence, { until: isIdle }),
    fixed: (list, ends, more = false) =>
      Effect.suspend(() => {
        state.expectsMore = more
        if (list.length === 0) reading.merged.end()
        return Effect.map(add(list, ends), () => {
          if (!more && (ends.size > 0 || list.length === 0)) reading.assignments.end()
        })
      }),
    ...Questions.make(state),
    paused: state.paused,
    member: undefined,
    joined: (member) =>
      Effect.suspend(() => {
        engine.member = member
        return state.stopped ? stopping : Effect.void
      }),
    grouped: false,
    leaveTimeout: 0,
    knownTopics,
    stop: Effect.gen(function* () {
      state.stopped = true
      yield* stopping
      state.stopReading()
      yield* Effect.forEach([...partitions.values()], ({ halt }) => halt, { discard: true })
    }),
    close
  }
  if (settings.group !== undefined) {
    yield* inBackground(committer.run)
    yield* inBackground(committer.renew)
    yield* inBackground(Unread.watch(state, () => engine.grouped))
  }
  yield* inBackground(watch)
  if (isWatched) yield* inBackground(Progress.watch(settings, partitions, publish, revocation.interrupt))
  return engine
})
