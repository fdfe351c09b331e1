/**
 * Pure. Which version of an API is spoken on a connection: the highest that both sides know, chosen per API and connection,
 * since a rolling upgrade changes it. Brokers before 0.10 do not tell what they serve: their tables are here.
 */
import * as KafkaError from "../KafkaError.ts"
import type { Api, Offer, OldRelease, Range, SendOptions } from "../protocol/Exchange.ts"

const offer = (by: Offer["by"], ranges: ReadonlyMap<number, Range>): Offer => ({
  by,
  ranges,
  finalizedFeatures: new Map(),
  featuresEpoch: -1
})

/** Nothing is known yet. */
export const none: Offer = offer("nothing", new Map())

const produce = 0
const fetch = 1
const metadata = 3
/** ApiVersions. */
export const apiVersions = 18

const of08: ReadonlyArray<readonly [key: number, range: Range]> = [
  [produce, [0, 0]],
  [fetch, [0, 0]],
  [2, [0, 0]], // ListOffsets
  [3, [0, 0]], // Metadata
  [8, [0, 1]], // OffsetCommit
  [9, [0, 1]], // OffsetFetch
  [10, [0, 0]] // FindCoordinator
]

const of09: typeof of08 = [
  [produce, [0, 1]],
  [fetch, [0, 1]],
  [2, [0, 0]], // ListOffsets
  [3, [0, 0]], // Metadata
  [8, [0, 2]], // OffsetCommit
  [9, [0, 1]], // OffsetFetch
  [10, [0, 0]], // FindCoordinator
  [11, [0, 0]], // JoinGroup
  [12, [0, 0]], // Heartbeat
  [13, [0, 0]], // LeaveGroup
  [14, [0, 0]], // SyncGroup
  [15, [0, 0]], // DescribeGroups
  [16, [0, 0]] // ListGroups
]

/** What brokers of 0.8.2 and of 0.9 serve. Those of 0.8.0 and 0.8.1 have no coordinator, and offsets in ZooKeeper alone. */
export const ofRelease = (release: OldRelease): Offer => offer(release, new Map(release === "0.8" ? of08 : of09))

/** From the response of ApiVersions, of the version that it was asked at. */
export const fromResponse = (
  version: number,
  response: {
    readonly apiKeys: ReadonlyArray<{
      readonly apiKey: number
      readonly minVersion: number
      readonly maxVersion: number
    }>
    readonly finalizedFeatures: ReadonlyArray<{ readonly name: string; readonly maxVersionLevel: number }>
    readonly finalizedFeaturesEpoch: number
  }
): Offer => {
  const ranges = new Map<number, Range>()
  for (const row of response.apiKeys) ranges.set(row.apiKey, [row.minVersion, row.maxVersion])
  // 4.x lists Produce from 0, so that an old librdkafka takes it for able, and closes the connection on 0 to 2 (KAFKA-18659).
  const produces = ranges.get(produce)
  if (produces !== undefined && (ranges.get(fetch)?.[0] ?? 0) >= 4)
    ranges.set(produce, [Math.max(3, produces[0]), produces[1]])
  return {
    by: version,
    ranges,
    finalizedFeatures: new Map(response.finalizedFeatures.map(({ name, maxVersionLevel }) => [name, maxVersionLevel])),
    featuresEpoch: response.finalizedFeaturesEpoch
  }
}

const range = ([min, max]: Range): string => (min === max ? `v${min}` : `v${min}-${max}`)

/** Every broker serves Metadata; the controllers of KRaft speak the protocol, and do not. */
const noneOf = (key: number): string =>
  key === metadata ? "none, as a controller of KRaft: take the port of a broker" : "none"

/** The version to speak, or why there is none. */
export const choose = (
  api: Api<any, any>,
  offer: Offer,
  options: SendOptions,
  address: string
): number | KafkaError.KafkaError => {
  const { key, stable } = api.Request
  const name = api.Request.name.slice(0, -"Request".length)
  const theirs = offer.ranges.get(key)
  const min = Math.max(stable[0], options.minVersion ?? 0)
  const max = Math.min(stable[1], options.maxVersion ?? Infinity)
  const version = theirs === undefined ? -1 : Math.min(max, theirs[1])
  if (theirs !== undefined && version >= Math.max(min, theirs[0])) return version
  return KafkaError.make({
    _tag: "Unsupported",
    needed: name,
    ours: range([min, max]),
    theirs:
      (theirs === undefined ? noneOf(key) : range(theirs)) +
      (typeof offer.by === "string" ? ` (a broker of ${offer.by})` : ""),
    api: name,
    broker: address
  })
}
