/**
 * What stands behind every consumer: its partitions, the ladder of revocation, where they start, how they are read.
 * A membership (or a fixed assignment) tells it which partitions are its own; `stream`, `partitions` and `run` read them.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as PubSub from "effect/PubSub"
import * as Scope from "effect/Scope"
import * as Backoff from "../Backoff.ts"
import { Cluster } from "../Cluster.ts"
import * as TopicDecoder from "./TopicDecoder.ts"
import { GroupOffsets } from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import { anonymous, type Member, type Owner } from "../Membership.ts"
import * as TopicPartition from "../TopicPartition.ts"
import { Transport } from "../Transport.ts"
import * as Committer from "./Committer.ts"
import { Mailbox } from "./Mailbox.ts"
import { type Host, Partition } from "./AssignedPartition.ts"
import type { Settings } from "./Settings.ts"
import * as StartPositions from "./StartPositions.ts"

/** What is not a failure. */
export type ConsumerEvent =
  | {
      readonly _tag: "Assigned" | "Revoked" | "Lost" | "Drained" | "RevokeTimedOut"
      readonly partitions: ReadonlyArray<TopicPartition.TopicPartition>
    }
  | { readonly _tag: "CaughtUp"; readonly partition: TopicPartition.TopicPartition }

export type Mode = "stream" | "partitions" | "run"

/** Marks the end of the events. */
export const theEnd: unique symbol = Symbol()

export interface Engine {
  readonly settings: Settings
  readonly owner: Owner
  /** All arrays, partition after partition as they are ready. */
  readonly merged: Mailbox<Partition>
  /** Each partition that is assigned. */
  readonly assignments: Mailbox<Partition>
  readonly partitions: ReadonlyMap<string, Partition>
  readonly events: PubSub.PubSub<ConsumerEvent | typeof theEnd>
  readonly committer: Committer.Committer
  readonly cluster: Cluster["Service"]
  readonly groupOffsets: GroupOffsets["Service"]
  readonly scope: Scope.Scope
  /** Reads in this way from now on; fails with `Misuse` where it is read already. */
  readonly claim: (mode: Mode) => Effect.Effect<void, KafkaError.KafkaError>
  /** Whoever reads all partitions as one stream has ended. */
  readonly streamEnded: () => void
  /** Ends everything that is read with an error. */
  readonly fail: (error: KafkaError.KafkaError) => void
  /** A fixed assignment: `ends` tells where each bounded read ends. */
  readonly fixed: (
    partitions: ReadonlyArray<TopicPartition.TopicPartition>,
    ends: ReadonlyMap<string, number>
  ) => Effect.Effect<void>
  /** The partition, once it is known whether it is ours and where it starts; fails with `NotOwned`. */
  readonly owned: (where: TopicPartition.TopicPartition) => Effect.Effect<Partition, KafkaError.KafkaError>
  readonly paused: Set<string>
  /** The membership that was joined, for its identity. */
  member: Member | undefined
  /** How many partitions topics had when they were first looked at: later ones start at their first record. */
  readonly knownCounts: Map<string, number>
  /** Gives everything back: ends the streams, waits for what is in flight, commits. Bounded. */
  readonly quiesce: Effect.Effect<void>
  /** The same, and leaves the group. */
  readonly close: Effect.Effect<void>
}

const key = TopicPartition.key

/** Makes the engine. Its fibers live in `scope`, which is closed after `close`. */
export const make = Effect.fnUntraced(function* (
  settings: Settings,
  scope: Scope.Scope
): Effect.fn.Return<Engine, KafkaError.KafkaError, Cluster | GroupOffsets | Transport> {
  const cluster = yield* Cluster
  const groupOffsets = yield* GroupOffsets
  const transport = yield* Transport
  const context = (yield* Effect.context<never>()) as Context.Context<any>
  const clock = yield* Clock.Clock
  const consumer = yield* Scope.provide(transport.consumer(settings.fetch), scope)
  const events = yield* PubSub.unbounded<ConsumerEvent | typeof theEnd>({ replay: 64 })
  const partitions = new Map<string, Partition>()
  const paused = new Set<string>()
  const knownCounts = new Map<string, number>()
  const merged = new Mailbox<Partition>()
  const assignments = new Mailbox<Partition>()
  const firstAssignment = Deferred.makeUnsafe<void>()
  let mode: Mode | undefined
  let streamIsRead = false
  let failure: KafkaError.KafkaError | undefined
  let closing = false
  let isFirst = true
  let unfinished = 0

  const publish = (event: ConsumerEvent): void => {
    PubSub.publishUnsafe(events, event)
  }
  const publishOf = (
    _tag: "Assigned" | "Revoked" | "Lost" | "Drained" | "RevokeTimedOut",
    list: ReadonlyArray<Partition>
  ): void => publish({ _tag, partitions: list.map((p) => p.place) })

  const provide = <A, E>(self: Effect.Effect<A, E, any>): Effect.Effect<A, E> => Effect.provide(self, context)

  const inBackground = (self: Effect.Effect<void, KafkaError.KafkaError>): Effect.Effect<Fiber.Fiber<void>> =>
    Effect.forkIn(
      self.pipe(
        Effect.catch((error) => Effect.sync(() => fail(error))),
        Effect.catchDefect((defect) => Effect.sync(() => fail(unexpected(defect))))
      ),
      scope,
      { startImmediately: true }
    )

  const fail = (error: KafkaError.KafkaError): void => {
    if (failure !== undefined) return
    failure = error
    merged.fail(error)
    assignments.fail(error)
    for (const partition of partitions.values()) partition.fail(error)
    Deferred.doneUnsafe(firstAssignment, Exit.void)
  }

  const committer = Committer.make(
    {
      group: settings.group ?? "",
      interval: settings.commitInterval,
      every: settings.commitEvery,
      timeout: settings.commitTimeout
    },
    groupOffsets,
    () => engine.member?.identity() ?? anonymous,
    (as, code) => engine.member?.commitRefused(as, code),
    () => partitions.values()
  )

  // ── how it is read

  const ready = (partition: Partition): void => {
    if (mode === "stream") merged.offer(partition)
    else if (mode !== undefined) partition.mailbox.offer(partition)
  }

  const isDrained = (partition: Partition): boolean => {
    if (mode === "stream") return !streamIsRead || (partition.tracker?.inFlight ?? 0) === 0
    return partition.reading !== "yes"
  }

  const claim = (wanted: Mode): Effect.Effect<void, KafkaError.KafkaError> =>
    Effect.suspend(() => {
      if (mode !== undefined) {
        return Effect.fail(
          KafkaError.make({
            _tag: "Misuse",
            message: `this consumer is read by \`${mode}\` already: make another one to read it again`
          })
        )
      }
      mode = wanted
      streamIsRead = wanted === "stream"
      for (const partition of partitions.values()) if (partition.isReady) ready(partition)
      return Effect.void
    })

  const host: Host = {
    marks: settings.group !== undefined,
    provide,
    ready,
    marked: (_, count) => committer.marked(count),
    caughtUp: (partition) => publish({ _tag: "CaughtUp", partition: partition.place }),
    finished: (partition) => {
      if (--unfinished === 0) merged.end()
      Fiber.runIn(Effect.runForkWith(context)(partition.close), scope)
    },
    outOfRange: (partition, error) => {
      const { onOutOfRange } = settings
      if (onOutOfRange === "fail") return Effect.fail(error)
      return StartPositions.resolve(cluster, settings, [{ ...partition.place, at: onOutOfRange }]).pipe(
        Effect.map((offsets) => offsets[0]!),
        Effect.tap((offset) => Effect.logWarning(`${error.message}; going on from ${onOutOfRange}, which is ${offset}`))
      )
    }
  }

  // ── where partitions start

  /** Finds out where partitions start, and starts to fetch them. */
  const open = Effect.fnUntraced(function* (list: ReadonlyArray<Partition>, first: boolean) {
    const reset = first && settings.resetOnStart
    const starts = yield* StartPositions.of({ cluster, groupOffsets, settings, knownCounts, provide }, list, reset)
    for (const { committed, partition, start } of starts) {
      if (partition.status !== "opening") continue
      const own = yield* Scope.fork(scope)
      const reader = yield* Effect.retry(Scope.provide(consumer.open(partition.place, start), own), {
        schedule: Backoff.schedule,
        while: (error) => error.isRetryable
      })
      // Given back in the meantime.
      if ((partition.status as string) !== "opening") {
        yield* Scope.close(own, Exit.void)
        continue
      }
      partition.committed = reset ? -1 : (committed ?? start)
      yield* partition.open(reader, start, own)
    }
    if (reset && settings.group !== undefined) {
      yield* Effect.catchReason(committer.flush(list), "KafkaError", "NotOwned", () => Effect.void)
    }
  })

  const isClosed = () => closing || failure !== undefined

  const add = (list: ReadonlyArray<TopicPartition.TopicPartition>, ends?: ReadonlyMap<string, number>) =>
    Effect.suspend(() => {
      if (isClosed()) return Effect.void
      const first = isFirst
      isFirst = false
      const fresh: Array<Partition> = []
      for (const place of list) {
        const partition = new Partition(place, host, TopicDecoder.compile(settings.topic(place.topic)))
        partition.isDrained = () => isDrained(partition)
        partition.until = ends?.get(partition.key)
        partition.paused = paused.has(partition.key)
        partitions.set(partition.key, partition)
        fresh.push(partition)
      }
      unfinished += fresh.length
      Deferred.doneUnsafe(firstAssignment, Exit.void)
      if (fresh.length > 0 || first) publishOf("Assigned", fresh)
      for (const partition of fresh) assignments.offer(partition)
      if (fresh.length === 0) return Effect.void
      return Effect.flatMap(inBackground(open(fresh, first)), (opening) => {
        // Whoever gives all of them back need not find out where they start.
        let left = fresh.length
        const gone = () => {
          if (--left === 0) opening.interruptUnsafe()
        }
        for (const partition of fresh) partition.whenReleased(gone)
        return Effect.void
      })
    })

  // ── the ladder

  /** Waits until all are drained; says which are not when the time is over. */
  const drained = (list: ReadonlyArray<Partition>, within: number) =>
    Effect.gen(function* () {
      const each = Effect.forEach(
        list,
        (partition) => Effect.callback<void>((resume) => partition.whenDrained(() => resume(Effect.void))),
        { concurrency: "unbounded", discard: true }
      )
      yield* Effect.timeoutOption(each, within)
      return list.filter((partition) => partition.status === "ending" && !isDrained(partition))
    })

  const interruptWorkers = (list: ReadonlyArray<Partition>): Effect.Effect<void> =>
    Effect.forEach(
      list,
      ({ worker }) => (worker === undefined ? Effect.void : Effect.asVoid(Effect.exit(Fiber.interrupt(worker)))),
      { concurrency: "unbounded", discard: true }
    )

  const release = (list: ReadonlyArray<Partition>, _tag: "Revoked" | "Lost") => {
    for (const partition of list) {
      partition.release()
      if (partitions.get(partition.key) === partition) partitions.delete(partition.key)
    }
    if (list.length > 0) publishOf(_tag, list)
  }

  /** Steps one to three: stop, end, wait; the time is bounded. */
  const drain = Effect.fnUntraced(function* (list: ReadonlyArray<Partition>, within: number) {
    for (const partition of list) {
      merged.remove(partition)
      assignments.remove(partition)
      partition.stop()
    }
    yield* Effect.forEach(list, (partition) => partition.close, { concurrency: "unbounded", discard: true })
    const late = yield* drained(list, within)
    if (late.length > 0) {
      yield* Effect.timeoutOption(interruptWorkers(late), within)
      publishOf("RevokeTimedOut", late)
    }
    const done = list.filter((partition) => partition.status === "ending" && !late.includes(partition))
    if (done.length > 0) publishOf("Drained", done)
  })

  const revoke = Effect.fnUntraced(function* (list: ReadonlyArray<Partition>, within: number) {
    if (list.length === 0) return
    const until = Backoff.monotonic(clock) + within
    yield* drain(list, Math.min(settings.drainTimeout, within * 0.9))
    let wasLost = false
    if (settings.group !== undefined) {
      yield* Effect.catch(
        committer.flush(list, Math.min(settings.commitTimeout, Math.max(1_000, until - Backoff.monotonic(clock)))),
        (error) => {
          // The group gave them to others before they were given back: what was done is handled there again.
          wasLost = error.reason._tag === "NotOwned" || error.reason._tag === "Fenced"
          return wasLost
            ? Effect.void
            : Effect.logWarning(`the last offsets of group ${settings.group} could not be committed`, error)
        }
      )
    }
    release(
      list.filter((partition) => partition.status !== "ended"),
      wasLost ? "Lost" : "Revoked"
    )
  })

  /** What is being given back already, by a rebalance or since the consumer closes, is waited for. */
  const giveBack = (list: ReadonlyArray<Partition>, within: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const live = list.filter((partition) => partition.isLive)
      const others = list.filter((partition) => !partition.isLive)
      return Effect.all([revoke(live, within), ...others.map((partition) => Deferred.await(partition.released))], {
        concurrency: "unbounded",
        discard: true
      })
    })

  const held = (list: ReadonlyArray<TopicPartition.TopicPartition>): ReadonlyArray<Partition> =>
    list.flatMap((place) => partitions.get(key(place)) ?? [])

  const owner: Owner = {
    assigned: (list) => add(list),
    revoke: (list, within) => giveBack(held(list), within),
    lost: Effect.suspend(() => {
      const list = [...partitions.values()]
      for (const partition of list) {
        merged.remove(partition)
        assignments.remove(partition)
      }
      release(list, "Lost")
      return Effect.andThen(
        Effect.forEach(list, (partition) => partition.close, { discard: true }),
        Effect.timeoutOption(interruptWorkers(list), settings.drainTimeout)
      )
    }).pipe(Effect.asVoid),
    failed: (error) => Effect.sync(() => fail(error))
  }

  const stopReading = (): void => {
    closing = true
    merged.end()
    assignments.end()
    Deferred.doneUnsafe(firstAssignment, Exit.void)
  }

  const quiesce = Effect.gen(function* () {
    if (engine.member !== undefined) yield* engine.member.closing
    stopReading()
    yield* giveBack([...partitions.values()], settings.drainTimeout + settings.commitTimeout)
  })

  const close = Effect.gen(function* () {
    yield* quiesce
    if (engine.member !== undefined) yield* engine.member.leave
    PubSub.publishUnsafe(events, theEnd)
  })

  const notOwned = (where: TopicPartition.TopicPartition) => Committer.notOwned(where, settings.group ?? "")

  const engine: Engine = {
    settings,
    owner,
    merged,
    assignments,
    partitions,
    events,
    committer,
    cluster,
    groupOffsets,
    scope,
    claim,
    streamEnded: () => {
      streamIsRead = false
      for (const partition of partitions.values()) partition.checkDrained()
    },
    fail,
    fixed: (list, ends) =>
      Effect.suspend(() => {
        if (list.length === 0) merged.end()
        return Effect.map(add(list, ends), () => {
          if (ends.size > 0 || list.length === 0) assignments.end()
        })
      }),
    owned: (where) =>
      Deferred.await(firstAssignment).pipe(
        Effect.andThen(
          Effect.suspend(() => {
            if (failure !== undefined) return Effect.fail(failure)
            const partition = partitions.get(key(where))
            if (partition === undefined) return Effect.fail(notOwned(where))
            return Effect.flatMap(Deferred.await(partition.started), () =>
              partition.position === undefined ? Effect.fail(notOwned(where)) : Effect.succeed(partition)
            )
          })
        ),
        Effect.timeoutOrElse({
          duration: settings.assignmentTimeout,
          orElse: () =>
            Effect.fail(
              KafkaError.make({
                _tag: "TimedOut",
                budget: "assignmentTimeout",
                millis: settings.assignmentTimeout,
                waitingFor: `${key(where)} to be assigned`,
                ...where
              })
            )
        })
      ),
    paused,
    member: undefined,
    knownCounts,
    quiesce,
    close
  }
  if (settings.group !== undefined) yield* inBackground(committer.run)
  return engine
})

const unexpected = (defect: unknown): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Misuse", message: `the consumer's machinery failed: ${String(defect)}` }, defect)
