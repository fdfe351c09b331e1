/**
 * Where partitions start: what the application chose at the assignment, else what the group has committed, else the
 * first record of a partition that was added later, else `from`.
 */
import * as Effect from "effect/Effect"
import * as Backoff from "../Backoff.ts"
import type { Cluster } from "../Cluster.ts"
import type * as GroupOffsets from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import type * as Offset from "../Offset.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { Settings } from "./Settings.ts"
import type { Partition } from "./AssignedPartition.ts"

type Position = TopicPartition.TopicPartition & { readonly at: Offset.Position }

/** Positions as offsets: retried for as long as a retry may help. */
export const resolve = (
  cluster: Cluster["Service"],
  { fetch: { isolation } }: Settings,
  positions: ReadonlyArray<Position>
): Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError> =>
  Effect.retry(cluster.offsets(positions, { isolation }), {
    schedule: Backoff.schedule,
    while: (error) => error.isRetryable
  })

/** Where each of them begins, and what the group has committed. Fails with `NoCommit` where nothing says it. */
export const of = Effect.fnUntraced(function* (
  context: {
    readonly cluster: Cluster["Service"]
    readonly groupOffsets: GroupOffsets.GroupOffsets["Service"]
    readonly settings: Settings
    /** How many partitions topics had when they were first looked at. */
    readonly knownCounts: ReadonlyMap<string, number>
    readonly provide: <A, E>(self: Effect.Effect<A, E, any>) => Effect.Effect<A, E>
  },
  list: ReadonlyArray<Partition>,
  ignoreCommits: boolean
) {
  const { cluster, groupOffsets, knownCounts, provide, settings } = context
  const { from, group, onAssigned } = settings
  const places = list.map((partition) => partition.place)
  const chosen = new Map<string, Offset.Position>()
  if (onAssigned !== undefined) {
    for (const one of (yield* provide(onAssigned(places))) ?? []) chosen.set(TopicPartition.key(one), one.start)
  }
  const committed =
    group === undefined || (ignoreCommits && from !== "committed")
      ? new Map<string, GroupOffsets.Committed>()
      : yield* groupOffsets.fetch(group, places)
  const positions: Array<Position> = []
  for (const partition of list) {
    const commit = committed.get(partition.key)
    const added = partition.partition >= (knownCounts.get(partition.topic) ?? Infinity)
    let at = chosen.get(partition.key)
    if (at === undefined && commit !== undefined) at = { _tag: "At", offset: commit.offset }
    if (at === undefined && added) at = "earliest"
    if (at === undefined && from === "committed") {
      return yield* KafkaError.make({ _tag: "NoCommit", group: group ?? "", ...partition.place })
    }
    positions.push({ ...partition.place, at: at ?? (from as Offset.Position) })
  }
  const offsets = yield* resolve(cluster, settings, positions)
  return list.map((partition, i) => ({
    partition,
    start: offsets[i]!,
    committed: committed.get(partition.key)?.offset
  }))
})
