/**
 * Bounded reads whose end is not there any more: an election of a replica that lagged (unclean) has cut the log below it,
 * and above the position. Nothing of what was read is lost, so that the fetching side has nothing to tell, and the end may
 * never come. Where a partition stands still below its end, and its leader says again and again that the log is no longer,
 * it ends there.
 */
import * as Effect from "effect/Effect"
import * as LogEvent from "../LogEvent.ts"
import type { Partition } from "./AssignedPartition.ts"
import type { Engine } from "./Engine.ts"

// How often those that stand still are looked at, in milliseconds.
const looksEach = 5_000

/**
 * A leader that is new may tell an end that lags, for as long as a replica that has died counts as in sync: 15 s, by
 * default, of brokers that do not say so yet (KIP-207, from 2.2 on).
 */
const believedAfter = 6

/** Watches them: ends never. */
export const watch = ({ cluster, partitions, publish, settings }: Engine): Effect.Effect<never> => {
  /** Where each stands, and how often in a row it was said that its log ends below its end. */
  const standing = new Map<Partition, { readonly position: number; readonly times: number }>()

  const endOf = ({ place }: Partition) =>
    cluster.offsets([{ ...place, at: "latest" }], { isolation: settings.fetch.isolation }).pipe(
      Effect.map(([end]) => end),
      Effect.timeout(looksEach),
      Effect.catch(() => Effect.succeed(undefined))
    )

  const cut = (partition: Partition, to: number): Effect.Effect<void> => {
    const { bound, key, place } = partition
    const from = bound.until!
    publish({ _tag: "DataLoss", partition: place, from, to })
    partition.endAt(to)
    const told = `${key} is read up to ${to}: its log was cut, and ends before ${from}, up to which it was to be read`
    return LogEvent.log("dataLoss", told, { group: settings.group, ...place })
  }

  const lookAt = (partition: Partition, position: number) =>
    Effect.flatMap(endOf(partition), (end) => {
      const before = standing.get(partition)
      standing.delete(partition)
      const { bound, waitsAt } = partition
      if (end === undefined || end < position || bound.isPast(end) || waitsAt !== position) return Effect.void
      const times = before?.position === position ? before.times + 1 : 1
      if (times >= believedAfter) return cut(partition, end)
      standing.set(partition, { position, times })
      return Effect.void
    })

  const look = Effect.suspend(() => {
    const list = [...partitions.values()].flatMap((partition) => {
      const { bound, endOffset, waitsAt } = partition
      const isThere = endOffset !== undefined && bound.isPast(endOffset)
      return waitsAt === undefined || isThere ? [] : [{ partition, position: waitsAt }]
    })
    const some = new Set(list.map(({ partition }) => partition))
    for (const partition of standing.keys()) if (!some.has(partition)) standing.delete(partition)
    if (list.length === 0) return Effect.void
    const topics = new Set(list.map(({ partition }) => partition.topic))
    return Effect.andThen(
      // Not by a leader of old, which may not have heard that it is none.
      Effect.ignore(cluster.topics([...topics])),
      Effect.forEach(list, ({ partition, position }) => lookAt(partition, position), {
        concurrency: "unbounded",
        discard: true
      })
    )
  })

  return Effect.forever(Effect.andThen(Effect.sleep(looksEach), look))
}
