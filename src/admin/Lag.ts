/** How far groups are behind the logs. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as TopicPartition from "../TopicPartition.ts"
import type * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import type { GroupState, MemberDescription } from "./GroupKinds.ts"
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
  readonly state: GroupState
  /** What it has committed, and what its members have. */
  readonly partitions: ReadonlyArray<PartitionLag>
  /** Over the partitions with a commit. */
  readonly total: number
}

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((total, one) => total + one, 0)

const lagOf = (parts: Ask.Parts, group: string, options: ListOffsets.ListOffsetsOptions) =>
  Effect.gen(function* () {
    const [[found], offsets] = yield* Effect.all(
      [
        Groups.describeAll(parts, [group], options),
        Effect.flatMap(Offsets.list(parts, [{ group }], options), ([one]) => Effect.fromResult(one!))
      ],
      { concurrency: "unbounded" }
    )
    // Old brokers do not describe a group that never had members, but committed.
    const described =
      Result.isFailure(found!) && offsets.length > 0 && Groups.isMissing(found.failure)
        ? { state: "Empty", members: [] }
        : yield* Effect.fromResult(found!)
    const owners = new Map(
      described.members.flatMap((member) => member.assignment.map((one) => [TopicPartition.key(one), member] as const))
    )
    const committed = new Map(offsets.map((one) => [TopicPartition.key(one), one.offset]))
    const partitions = [
      ...new Map(
        [...offsets, ...described.members.flatMap(({ assignment }) => assignment)].map(({ partition, topic }) => [
          TopicPartition.key({ topic, partition }),
          { topic, partition }
        ])
      ).values()
    ].sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
    const ends = (at: "earliest" | "latest") =>
      ListOffsets.resolve(
        parts,
        partitions.map((partition) => ({ ...partition, at })),
        options
      )
    const [starts, lasts] = yield* Effect.all([ends("earliest"), ends("latest")], { concurrency: "unbounded" })
    const lags: Array<PartitionLag> = []
    for (const [i, partition] of partitions.entries()) {
      const [start, end] = [starts[i]!, lasts[i]!]
      // What was committed for a topic that is gone is behind nothing.
      if (Result.isFailure(end) && end.failure.reason._tag === "UnknownTopic") continue
      const last = (yield* Effect.fromResult(end)).offset ?? 0
      const at = committed.get(TopicPartition.key(partition))
      lags.push({
        ...partition,
        committed: at,
        start: (yield* Effect.fromResult(start)).offset ?? 0,
        end: last,
        lag: at === undefined ? undefined : Math.max(0, last - at),
        member: owners.get(TopicPartition.key(partition))
      })
    }
    return { group, state: described.state, partitions: lags, total: sum(lags.map(({ lag }) => lag ?? 0)) }
  })

export const lag = (
  parts: Ask.Parts,
  groups: ReadonlyArray<string>,
  options: ListOffsets.ListOffsetsOptions = {}
): Ask.Answers<GroupLag> =>
  Array.isArray(groups)
    ? Effect.forEach(groups, (group) => Effect.result(lagOf(parts, group, options)), { concurrency: 16 })
    : Effect.fail(Failure.mistakes(Check.list("groups", groups)))
