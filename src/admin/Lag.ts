/** How far groups are behind the logs. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as TopicPartition from "../TopicPartition.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import type { GroupDescription, GroupState, GroupType, MemberDescription } from "./GroupKinds.ts"
import * as Groups from "./Groups.ts"
import * as ListOffsets from "./ListOffsets.ts"
import * as Offsets from "./Offsets.ts"

/** How far a group is behind in a partition. */
export interface PartitionLag extends TopicPartition.TopicPartition {
  /** The next to be read; undefined where nothing is committed. */
  readonly committed: number | undefined
  /** Where the log begins and ends. */
  readonly start: number
  readonly end: number
  /** How many offsets are not read yet: `end` less `committed`; undefined where nothing is committed. Never below 0. */
  readonly lag: number | undefined
  /** The member that has it. */
  readonly member: MemberDescription | undefined
}

export interface GroupLag {
  readonly group: string
  readonly type: GroupType
  readonly state: GroupState
  /** What it has committed, and what its members have, of which nothing is told for groups of streams (they have tasks). */
  readonly partitions: ReadonlyArray<PartitionLag>
  /** Over the partitions with a commit. */
  readonly total: number
}

/** What a group has committed, and what its members have. */
interface Known {
  readonly group: string
  readonly type: GroupType
  readonly state: GroupState
  readonly offsets: ReadonlyArray<Offsets.GroupOffset>
  readonly members: ReadonlyArray<MemberDescription>
}

const known = (
  group: string,
  described: Ask.Answer<GroupDescription>,
  committed: Ask.Answer<ReadonlyArray<Offsets.GroupOffset>>
): Ask.Answer<Known> => {
  if (Result.isFailure(committed)) return Result.fail(committed.failure)
  const offsets = committed.success
  if (Result.isSuccess(described)) {
    const { members, state, type } = described.success
    return Result.succeed({ group, type, state, offsets, members })
  }
  // Old brokers do not describe a group that never had members, but committed.
  return offsets.length > 0 && Groups.isMissing(described.failure)
    ? Result.succeed({ group, type: "classic", state: "Empty", offsets, members: [] })
    : Result.fail(described.failure)
}

const byPlace = (a: TopicPartition.TopicPartition, b: TopicPartition.TopicPartition): number =>
  a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1

/** Each of them once. */
const distinct = (
  places: ReadonlyArray<TopicPartition.TopicPartition>
): ReadonlyMap<string, TopicPartition.TopicPartition> =>
  new Map(places.map(({ partition, topic }) => [TopicPartition.key({ topic, partition }), { topic, partition }]))

const placesOf = ({ members, offsets }: Known): ReadonlyArray<TopicPartition.TopicPartition> => [
  ...offsets,
  ...members.flatMap(({ assignment }) => assignment)
]

/** Where partitions begin and end, by their keys. */
type Ends = ReadonlyMap<
  string,
  { readonly start: Ask.Answer<ListOffsets.ListedOffset>; readonly end: Ask.Answer<ListOffsets.ListedOffset> }
>

/** Also one that went between the two questions. */
const isGone = (place: Ask.Answer<unknown>): boolean =>
  Result.isFailure(place) && place.failure.reason._tag === "UnknownTopic"

const lagOf = (one: Known, ends: Ends): Ask.Answer<GroupLag> => {
  const owners = new Map(
    one.members.flatMap((member) => member.assignment.map((place) => [TopicPartition.key(place), member] as const))
  )
  const committed = new Map(one.offsets.map((place) => [TopicPartition.key(place), place.offset]))
  const lags: Array<PartitionLag> = []
  for (const [key, place] of distinct(placesOf(one))) {
    const { end, start } = ends.get(key)!
    // What was committed for what is gone (a topic, or the partitions that it no longer has) is behind nothing.
    if (isGone(end) || isGone(start)) continue
    if (Result.isFailure(end)) return Result.fail(end.failure)
    if (Result.isFailure(start)) return Result.fail(start.failure)
    const last = end.success.offset ?? 0
    const at = committed.get(key)
    lags.push({
      ...place,
      committed: at,
      start: start.success.offset ?? 0,
      end: last,
      lag: at === undefined ? undefined : Math.max(0, last - at),
      member: owners.get(key)
    })
  }
  lags.sort(byPlace)
  const total = lags.reduce((sum, { lag }) => sum + (lag ?? 0), 0)
  return Result.succeed({ group: one.group, type: one.type, state: one.state, partitions: lags, total })
}

export const lag = (
  parts: Ask.Parts,
  groups: ReadonlyArray<string>,
  options: ListOffsets.ListOffsetsOptions = {}
): Ask.Answers<GroupLag> =>
  Effect.gen(function* () {
    const [noList] = Check.list("groups", groups)
    if (noList !== undefined) return yield* Failure.mistakes([noList])
    const left = yield* Ask.spending(parts, options)
    const [described, offsets] = yield* Effect.all(
      [
        Groups.describeMembers(parts, groups, left("before others")),
        Offsets.list(
          parts,
          groups.map((group) => ({ group })),
          left("before others")
        )
      ],
      { concurrency: "unbounded" }
    )
    const all = groups.map((group, i) => known(group, described[i]!, offsets[i]!))
    const places = distinct(all.flatMap((one) => (Result.isSuccess(one) ? placesOf(one.success) : [])))
    const ask = (at: "earliest" | "latest") =>
      ListOffsets.resolve(
        parts,
        Array.from(places.values(), (place) => ({ ...place, at })),
        left()
      )
    const [starts, lasts] = yield* Effect.all([ask("earliest"), ask("latest")], { concurrency: "unbounded" })
    const ends: Ends = new Map(Array.from(places.keys(), (key, i) => [key, { start: starts[i]!, end: lasts[i]! }]))
    return all.map((one) => (Result.isSuccess(one) ? lagOf(one.success, ends) : Result.fail(one.failure)))
  })
