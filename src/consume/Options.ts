/** What an application says when it makes a consumer, each way, and what each of it may be. */
import type * as Effect from "effect/Effect"
import * as Checks from "../Checks.ts"
import type * as Membership from "../Memberships.ts"
import type * as Offset from "../Offset.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import * as Settings from "./Settings.ts"

/** What becomes of records that do not fit their Schema, for every way to read. */
interface UndecodableOptions<RU> {
  /**
   * A record that does not fit its Schema: fail with `Decode`, pass over it (`"skip"`), or do something with it first,
   * such as `Consumer.deadLetter(topic)`. What is passed over is done, and told as the event `Skipped`. With
   * `Consumer.asResult(topic)` nothing is passed over: it is a value. A `deadLetter` of `run` comes before this. Default
   * `"fail"`.
   */
  readonly onUndecodable?: Settings.OnUndecodable<RU> | undefined
}

interface GroupOptions<RM, RA, RU> extends Settings.CommonOptions, UndecodableOptions<RU> {
  /** With whom it shares the partitions, and whose offsets it reads and commits. Java: group.id; PyKafka: consumer_group. */
  readonly group: string
  /**
   * Where it begins where the group has no commit; `"committed"` fails with `NoCommit` there. What `"latest"` and a time
   * find is committed at once: it is the group's position from then on. Java: auto.offset.reset; PyKafka:
   * auto_offset_reset.
   */
  readonly from: Offset.Position | "committed"
  /** Ignore the commits at the first assignment, and commit the new position at once. Default false. PyKafka: reset_offset_on_start. */
  readonly resetOnStart?: boolean | undefined
  /** How partitions are shared in the group. Default `Membership.classic()`. Java: group.protocol. */
  readonly membership?: Membership.Membership<RM> | undefined
  /**
   * When partitions were assigned, before anything of them is read; may return positions to begin at. Default: nothing is
   * done. Java: onPartitionsAssigned; PyKafka: post_rebalance_callback.
   */
  readonly onAssigned?:
    | ((
        partitions: ReadonlyArray<TopicPartition>
      ) => Effect.Effect<ReadonlyArray<TopicPartition & { readonly start: Offset.Position }> | void, never, RA>)
    | undefined
  /**
   * Before partitions are given back: what is in flight is through, and their last offsets are committed afterwards, so
   * that it may still mark records. Waited for, within the time that the group gives. Default: nothing is done. Java:
   * onPartitionsRevoked.
   */
  readonly onRevoked?: ((partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<unknown, never, RA>) | undefined
  /** Partitions were lost: others have them. Waited for, within `drainTimeout`. Default: nothing is done. Java: onPartitionsLost. */
  readonly onLost?: ((partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<unknown, never, RA>) | undefined
}

/** Settings of a consumer in a group. */
export interface SubscribeOptions<T, RM = never, RA = never, RU = never> extends GroupOptions<RM, RA, RU> {
  /** Of `subscribe`: typed topics, or names of topics of bytes. Java: subscribe(topics). */
  readonly topics: T
}

/** Settings of a consumer of a pattern. */
export interface SubscribePatternOptions<RM = never, RA = never, RU = never> extends GroupOptions<RM, RA, RU> {
  /** Of `subscribePattern`: matches whole names or parts of them, as it is written; internal topics are never matched. Java: subscribe(pattern). */
  readonly pattern: RegExp
}

/** What is read without a membership, and how far. */
interface BoundedOptions<RU> extends Settings.CommonOptions, UndecodableOptions<RU> {
  /** Where it begins where nothing is committed, or there is no `group`; `"committed"` needs one. Java: seek, auto.offset.reset; PyKafka: auto_offset_reset. */
  readonly from: Offset.Position | "committed"
  /** A bounded read: it ends by itself at what this meant when it started. Default: it goes on for good. */
  readonly until?: Offset.Position | undefined
  /** Under whose name offsets are kept. Default: none are kept. Java: group.id; PyKafka: consumer_group. */
  readonly group?: string | undefined
}

/** A topic, or some of its partitions. */
interface AssignedTopic<T> {
  /** A typed topic, or the name of one of bytes. Default: `topics` are said. Java: assign. */
  readonly topic: T
  readonly topics?: never
  /**
   * Which; where there are several `topics`, `{ topic, partition }` each. Default: all, and those that are added later,
   * from their first record on. Java: assign; PyKafka: partitions.
   */
  readonly partitions?: ReadonlyArray<number> | undefined
}

/** Several topics, or some of their partitions. */
interface AssignedTopics<T> {
  /** Several topics. Default: `topic` is said. Java: assign. */
  readonly topics: ReadonlyArray<T>
  readonly topic?: never
  /** Default: all of all, and those that are added later, from their first record on. */
  readonly partitions?: ReadonlyArray<TopicPartition> | undefined
}

/** Settings of a consumer without membership: of a topic, or of several. */
export type AssignOptions<T, RU = never> = BoundedOptions<RU> & (AssignedTopic<T> | AssignedTopics<T>)

const group: Checks.TableOf<GroupOptions<any, any, any>> = {
  ...Settings.common,
  group: Checks.required(Checks.kinds.name),
  from: true,
  resetOnStart: true,
  membership: Checks.kinds.membership,
  onUndecodable: Checks.kinds.onUndecodable,
  onAssigned: Checks.kinds.function,
  onRevoked: Checks.kinds.function,
  onLost: Checks.kinds.function
}

/** What may be set, by the way in which a consumer is made. */
const tables = {
  subscribe: { ...group, topics: Checks.required(Checks.kinds.topics) } satisfies Checks.TableOf<
    SubscribeOptions<any, any, any, any>
  >,
  subscribePattern: { ...group, pattern: Checks.required(Checks.kinds.regExp) } satisfies Checks.TableOf<
    SubscribePatternOptions<any, any, any>
  >,
  assign: {
    ...Settings.common,
    group: Checks.kinds.name,
    from: true,
    until: true,
    onUndecodable: Checks.kinds.onUndecodable,
    topic: Checks.kinds.topic,
    topics: Checks.kinds.topics,
    partitions: Checks.kinds.partitions
  } satisfies Checks.TableOf<AssignOptions<any, any>>
}

/** The options of a consumer as far as they are what they may be; the mistakes are told. */
export const known = <A extends object>(way: keyof typeof tables, options: A, mistakes: Array<string>): A =>
  Checks.known(
    options,
    tables[way],
    (text) => mistakes.push(text),
    "",
    (name) => {
      const ways = Object.entries(tables).flatMap(([other, table]) => (Object.hasOwn(table, name) ? [other] : []))
      return ways.length === 0 ? undefined : `Consumer.${ways.join(" and of Consumer.")}`
    }
  )
