/**
 * ListOffsets, v0–v11: the end (-1; the last stable offset for readers of committed data), the start (-2), the record
 * with the largest timestamp (-3, v7), the first record at or after a time. v0 gives segment offsets, newest first.
 */
import * as Api from "../../protocol/messages/ListOffsets.ts"
import * as Code from "./Code.ts"
import type { EmbeddedCluster } from "./Cluster.ts"
import { leaderError } from "./Epochs.ts"
import { handler } from "./Handler.ts"
import type { EmbeddedPartition } from "./Partition.ts"
import * as TimestampIndex from "./TimestampIndex.ts"

const latest = -1
const earliest = -2
const maxTimestamp = -3
const earliestLocal = -4
const latestTiered = -5
const earliestPendingUpload = -6

interface Found {
  readonly offset: number
  readonly timestamp: number
  readonly leaderEpoch: number
}

const find = (cluster: EmbeddedCluster, partition: EmbeddedPartition, timestamp: number, committed: boolean): Found => {
  const { log } = partition
  const end = committed ? partition.lastStableOffset : partition.highWatermark
  const at = (offset: number, time = -1): Found => ({
    offset,
    timestamp: time,
    leaderEpoch: log.epochs.findLast((epoch) => epoch.startOffset <= offset)?.epoch ?? partition.leaderEpoch
  })
  switch (timestamp) {
    case latest:
      return { ...at(end), leaderEpoch: partition.leaderEpoch }
    case earliest:
    case earliestLocal:
      return at(log.startOffset)
    case latestTiered:
    case earliestPendingUpload:
      // nothing is tiered here
      return { offset: -1, timestamp: -1, leaderEpoch: -1 }
    default: {
      const found =
        timestamp === maxTimestamp
          ? TimestampIndex.newest(log, cluster.settings.compression)
          : TimestampIndex.from(log, timestamp, cluster.settings.compression)
      return found === undefined || found.offset >= end
        ? { offset: -1, timestamp: -1, leaderEpoch: -1 }
        : at(found.offset, found.timestamp)
    }
  }
}

/** Since KRaft a partition is answered once, however often it is asked for. */
const once = <A extends { readonly partitionIndex: number }>(kraft: boolean, asked: ReadonlyArray<A>) =>
  !kraft ? asked : Array.from(new Map(asked.map((each) => [each.partitionIndex, each])).values())

/** Whether a version knows a mark below zero. */
const knows = (version: number, timestamp: number): boolean =>
  timestamp >= earliest || version >= (sinceVersion.get(timestamp) ?? Infinity)
const sinceVersion = new Map([
  [maxTimestamp, 7],
  [earliestLocal, 8],
  [latestTiered, 9],
  [earliestPendingUpload, 11]
])

/** What is there more than once. */
const repeated = (names: ReadonlyArray<string>): ReadonlySet<string> =>
  new Set(names.filter((name, i) => names.indexOf(name) !== i))

export const listOffsets = handler("ListOffsets", Api, (call) => {
  const { cluster, node, request, version } = call
  const twice = repeated(
    request.topics.flatMap(({ name, partitions }) => partitions.map((p) => `${name}-${p.partitionIndex}`))
  )
  call.answer({
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: once(cluster.settings.profile.forwards, partitions).map((asked) => {
        const partitionIndex = asked.partitionIndex
        const partition = cluster.partition(name, partitionIndex)
        const injected = call.injected(name, partitionIndex)
        const errorCode =
          injected !== Code.none
            ? injected
            : partition === undefined
              ? Code.unknownTopicOrPartition
              : version > 0 && twice.has(`${name}-${partitionIndex}`)
                ? Code.invalidRequest
                : cluster.settings.profile.forwards && version > 0 && !knows(version, asked.timestamp)
                  ? Code.unsupportedVersion
                  : leaderError(partition, node.id, asked.currentLeaderEpoch)
        if (errorCode !== Code.none || partition === undefined) return { partitionIndex, errorCode }
        if (version === 0)
          return { partitionIndex, oldStyleOffsets: oldStyle(partition, asked.timestamp, asked.maxNumOffsets) }
        const found = find(cluster, partition, asked.timestamp, request.isolationLevel === 1)
        const { leaderEpoch, offset, timestamp } = found
        return version >= 4 ? { partitionIndex, offset, timestamp, leaderEpoch } : { partitionIndex, offset, timestamp }
      })
    }))
  })
})

/** The starts of segments that are not newer than a time, newest first. There is one segment here, and the end. */
const oldStyle = (partition: EmbeddedPartition, timestamp: number, most: number): ReadonlyArray<number> => {
  const { highWatermark, log } = partition
  const offsets =
    timestamp === earliest
      ? [log.startOffset]
      : timestamp === latest
        ? highWatermark > log.startOffset
          ? [highWatermark, log.startOffset]
          : [highWatermark]
        : log.entries.some((entry) => entry.appended <= timestamp)
          ? [log.startOffset]
          : []
  return offsets.slice(0, Math.max(most, 0))
}
