/** Has a group go on elsewhere, while it has no members. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { shown } from "../Checks.ts"
import type * as KafkaError from "../KafkaError.ts"
import type * as Offset from "../Offset.ts"
import { orFail } from "../OrFail.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import * as Groups from "./Groups.ts"
import * as ListOffsets from "./ListOffsets.ts"
import * as Offsets from "./Offsets.ts"
import * as Topics from "./Topics.ts"

/**
 * Where a group is to go on: an end of the log, an offset, a time; `{ ago }` so long before now; `{ shift }` so many
 * records on from where it is, or back. What is outside of the log is taken to its nearest end, as Java's tool does; a
 * time after the last record is the end.
 */
export type ResetTo = Offset.Position | { readonly ago: Duration.Input } | { readonly shift: number }

export interface ResetOptions extends Ask.Bounds {
  readonly to: ResetTo
  /** All partitions of these. */
  readonly topics?: ReadonlyArray<string> | undefined
  /** These. Default, where no topics are named either: all that the group has committed. */
  readonly partitions?: ReadonlyArray<TopicPartition.TopicPartition> | undefined
  /** Tell what would be, and do nothing. Default false. */
  readonly dryRun?: boolean | undefined
}

export interface ResetOffset extends TopicPartition.TopicPartition {
  /** What was committed before; undefined where nothing was. */
  readonly from: number | undefined
  readonly to: number
}

/** Fails where the group has members: who they are. */
const empty = (parts: Ask.Parts, group: string, bounds: Ask.Bounds) =>
  Effect.flatMap(Groups.describeMembers(parts, [group], bounds), ([described]) => {
    if (Result.isSuccess(described!)) {
      const { members, state, type } = described.success
      if (type === "share") return Effect.fail(Groups.commitsNothing(group))
      const idle = state === "Empty" || state === "Dead"
      return idle && members.length === 0 ? Effect.void : Effect.fail(Groups.hasMembers(group, described.success))
    }
    return Groups.isMissing(described!.failure) ? Effect.void : Effect.fail(described!.failure)
  })

const checkTo = (to: ResetTo): ReadonlyArray<string> => {
  if (to === "earliest" || to === "latest") return []
  if (typeof to !== "object" || to === null) return [`to must be a position, { ago } or { shift }, not ${shown(to)}`]
  if ("shift" in to)
    return Number.isSafeInteger(to.shift) ? [] : [`shift must be a whole number, not ${shown(to.shift)}`]
  if ("ago" in to)
    try {
      const millis = Duration.toMillis(Duration.fromInputUnsafe(to.ago))
      return Number.isFinite(millis) && millis >= 0 ? [] : [`ago must be a duration, not ${shown(to.ago)}`]
    } catch {
      return [`ago must be a duration, not ${shown(to.ago)}`]
    }
  return to._tag === "At" ? Check.int64("the offset", to.offset) : Check.int64("the time", to.timestamp)
}

/** The partitions that a reset is about. */
const chosen = (
  parts: Ask.Parts,
  { partitions, timeout, topics }: ResetOptions & { readonly timeout: number },
  offsets: ReadonlyArray<Offsets.GroupOffset>
): Effect.Effect<ReadonlyArray<TopicPartition.TopicPartition>, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    if (partitions === undefined && topics === undefined)
      return offsets.map(({ partition, topic }) => ({ topic, partition }))
    const found = new Map((partitions ?? []).map((one) => [TopicPartition.key(one), one]))
    const described = yield* orFail(Topics.describeAll(parts, topics ?? [], { timeout }))
    for (const { name: topic, partitions } of described) {
      // Also of those that an answer leaves out.
      const count = Math.max(-1, ...partitions.map((one) => one.partition)) + 1
      for (let partition = 0; partition < count; partition++)
        found.set(TopicPartition.key({ topic, partition }), { topic, partition })
    }
    return [...found.values()]
  })

/** The same offset as a spec for leaders, where only they can tell it. */
const specOf = (to: ResetTo, now: number): ListOffsets.OffsetSpec | undefined => {
  if (typeof to === "string") return to
  if ("ago" in to)
    return {
      _tag: "AtTime",
      timestamp: Math.max(0, Math.round(now - Duration.toMillis(Duration.fromInputUnsafe(to.ago))))
    }
  return "shift" in to || to._tag === "At" ? undefined : to
}

export const reset = (parts: Ask.Parts, group: string, options: ResetOptions): Ask.Answers<ResetOffset> =>
  Effect.gen(function* () {
    const [noOptions] = Check.object("the options", options)
    const wrong =
      noOptions === undefined
        ? [
            ...Check.text("group", group),
            ...checkTo(options.to),
            ...Check.each("topics", options.topics ?? [], (name) => Check.text("a topic", name)),
            ...Check.each("partitions", options.partitions ?? [], Check.place)
          ]
        : [noOptions]
    if (wrong.length > 0) return yield* Failure.mistakes(wrong)
    const left = yield* Ask.spending(parts, options)
    yield* empty(parts, group, options)
    const offsets = yield* Effect.flatMap(Offsets.list(parts, [{ group }], left()), ([one]) => Effect.fromResult(one!))
    const before = new Map(offsets.map((one) => [TopicPartition.key(one), one.offset]))
    const partitions = yield* chosen(parts, left(), offsets)
    const spec = specOf(options.to, yield* Clock.currentTimeMillis)
    const ask = (at: ListOffsets.OffsetSpec) =>
      ListOffsets.resolve(
        parts,
        partitions.map((partition) => ({ ...partition, at })),
        left(options.dryRun === true ? "last" : "before others")
      )
    const [earliest, latest, found] = yield* Effect.all(
      [ask("earliest"), ask("latest"), spec === undefined ? Effect.succeed(undefined) : ask(spec)],
      { concurrency: "unbounded" }
    )
    const planned = partitions.map((partition, i): Ask.Answer<ResetOffset> => {
      const [first, last, at] = [earliest[i]!, latest[i]!, found?.[i]]
      if (Result.isFailure(first)) return Result.fail(first.failure)
      if (Result.isFailure(last)) return Result.fail(last.failure)
      if (at !== undefined && Result.isFailure(at)) return Result.fail(at.failure)
      const [low, high] = [first.success.offset ?? 0, last.success.offset ?? 0]
      const from = before.get(TopicPartition.key(partition))
      const { to } = options
      if (at !== undefined) return Result.succeed({ ...partition, from, to: at.success.offset ?? high })
      if (typeof to === "object" && "shift" in to && from === undefined)
        return Result.fail(Failure.mistakes([`${TopicPartition.key(partition)} has no committed offset to be shifted`]))
      const wanted =
        typeof to === "object" && "shift" in to
          ? from! + to.shift
          : typeof to === "object" && "_tag" in to && to._tag === "At"
            ? to.offset
            : low
      return Result.succeed({ ...partition, from, to: Math.min(Math.max(wanted, low), high) })
    })
    if (options.dryRun === true) return planned
    const going = planned.flatMap((one) => (Result.isSuccess(one) ? [one.success] : []))
    const done = yield* Offsets.alter(
      parts,
      group,
      going.map(({ partition, to, topic }) => ({ topic, partition, offset: to })),
      left()
    )
    let next = 0
    return planned.map((one) => {
      if (Result.isFailure(one)) return one
      const answer = done[next++]!
      return Result.isSuccess(answer) ? one : Result.fail(answer.failure)
    })
  })
