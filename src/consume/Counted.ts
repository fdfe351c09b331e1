/** A consumer as metrics see it: hooks for its engine, each at the seam where what is counted passes by. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { abandonable } from "../Abandon.ts"
import type { GroupOffsets } from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Owner } from "../Membership.ts"
import { ConsumerMetrics, type Watched } from "../metrics/ConsumerMetrics.ts"
import * as Metrics from "../metrics/Current.ts"
import type { FetchedRecord } from "../Record.ts"
import * as Spans from "../tracing/Spans.ts"
import { endType, failureType } from "../metrics/errorType.ts"

export interface Counted {
  /** The keeper of offsets, whose commits are timed. */
  readonly offsets: (offsets: GroupOffsets["Service"]) => GroupOffsets["Service"]
  /** The owner, whose assignments are counted, and timed from when the group begins to share out. */
  readonly owner: (owner: Owner) => Owner
  /** Partitions were lost, all at once or as they were given back. */
  readonly lost: (list: ReadonlyArray<unknown>) => void
  readonly added: (partition: Watched) => void
  readonly forgotten: (partition: Watched) => void
  readonly delivered: (partition: Watched, records: ReadonlyArray<FetchedRecord>) => void
  /** Now, in seconds, for `handled`. */
  readonly now: () => number
  /** A handler was at work since then; with how it failed. */
  readonly handled: (partition: Watched, since: number, exit?: Exit.Exit<unknown, unknown>) => void
}

/** What of a consumer is read for gauges. */
interface Seen {
  readonly partitions: ReadonlyMap<unknown, Watched>
  readonly atWork: { readonly idleRatio: number }
}

/** Makes them; what is read for gauges is read until the Scope closes. */
export const make = Effect.fnUntraced(function* (
  clientId: string,
  group: string | undefined,
  { atWork, partitions }: Seen,
  scope: Scope.Scope
): Effect.fn.Return<Counted> {
  const clock = yield* Clock.Clock
  const metrics = new ConsumerMetrics(yield* Metrics.meter(clientId), group, yield* Metrics.partitionsAtMost)
  const unread = new Map<Watched, () => void>()
  let isOver = false
  let rebalance: Spans.Begun | undefined
  const watched = Effect.acquireRelease(
    Effect.sync(() => metrics.watch({ partitions: () => partitions.values(), idleRatio: () => atWork.idleRatio })),
    (end) =>
      Effect.sync(() => {
        end()
        isOver = true
        rebalance?.end(Exit.interrupt())
        for (const one of unread.values()) one()
      })
  )
  yield* Scope.provide(watched, scope)
  const now = () => Metrics.seconds(clock)

  const spans = yield* Spans.current
  const polled = spans === undefined ? undefined : pollSpans(spans, clientId, group)

  /** Since when the group shares out anew. */
  let sharing: number | undefined
  const began = () => {
    if (isOver) return
    sharing ??= now()
    rebalance ??= spans?.begin(`rebalance ${group}`, "internal", {
      "messaging.client.id": clientId,
      "messaging.consumer.group.name": group
    })
  }
  const assigned = () => {
    metrics.assigned(sharing === undefined ? undefined : now() - sharing)
    sharing = undefined
    rebalance?.end()
    rebalance = undefined
  }

  const turn = Semaphore.makeUnsafe(1)
  return {
    now,
    offsets: (offsets) => ({
      ...offsets,
      commit: (id, as, commits) =>
        Effect.suspend(() => {
          const since = now()
          // Who keeps them may be the application's own, and not let himself be interrupted: a budget is a budget. What
          // is left so has the turn until it has ended: offsets that came behind it would be undone by it.
          const committed = abandonable(turn.withPermits(1)(Effect.suspend(() => offsets.commit(id, as, commits))))
          return Effect.onExit(committed, (exit) =>
            Effect.sync(() => {
              const refused = Exit.isSuccess(exit) ? exit.value.find((code) => code !== 0) : undefined
              const error = refused === undefined ? undefined : KafkaError.fromCode(refused, { api: "OffsetCommit" })
              metrics.committed(now() - since, error ?? endType(exit))
            })
          )
        })
    }),
    owner: (owner) => ({
      ...owner,
      rebalancing: () => {
        began()
        owner.rebalancing?.()
      },
      assigned: (list) => Effect.andThen(Effect.sync(assigned), owner.assigned(list)),
      revoke: (list, within) => Effect.andThen(Effect.sync(began), owner.revoke(list, within))
    }),
    lost: (list) => metrics.lost(list.length),
    added: (partition) => void unread.set(partition, metrics.partition(partition)),
    forgotten: (partition) => {
      unread.get(partition)?.()
      unread.delete(partition)
    },
    delivered: (partition, records) => {
      metrics.delivered(partition.topic, records.length)
      polled?.(partition, records)
    },
    handled: ({ topic }, since, exit) => {
      if (exit === undefined || Exit.isSuccess(exit)) metrics.processed(topic, now() - since)
      else if (!Cause.hasInterruptsOnly(exit.cause)) metrics.processed(topic, now() - since, failureType(exit))
    }
  }
})

/** A span for each array that is delivered. */
const pollSpans =
  (spans: Spans.Spans, clientId: string, group: string | undefined) =>
  ({ partition, topic }: Watched, records: ReadonlyArray<FetchedRecord>): void =>
    spans
      .begin(
        `poll ${topic}`,
        "client",
        {
          "messaging.operation.name": "poll",
          "messaging.operation.type": "receive",
          "messaging.client.id": clientId,
          "messaging.consumer.group.name": group,
          "messaging.destination.name": topic,
          "messaging.destination.partition.id": String(partition),
          "messaging.batch.message_count": records.length,
          "messaging.kafka.offset": records[0]?.offset
        },
        Spans.linksOf(records)
      )
      ?.end()
