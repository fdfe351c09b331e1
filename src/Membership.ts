/**
 * How a consumer comes to its partitions, and how it loses them. A `Membership` is a description; the consumer that it
 * is given to joins with it. The seam is three verbs: these partitions are yours, give these back (answered when they
 * are drained and committed), all of them are lost.
 */
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Cluster } from "./Cluster.ts"
import type { GroupOffsets, Identity } from "./GroupOffsets.ts"
import type { KafkaError } from "./KafkaError.ts"
import type { TopicPartition } from "./TopicPartition.ts"

export { anonymous, type Identity } from "./GroupOffsets.ts"

/** What a membership asks of its consumer. Whatever of it takes time is done in the background, except `revoke` and `lost`. */
export interface Owner {
  /** These are ours from now on, besides those that already are. Told once a generation, even of none. */
  readonly assigned: (partitions: ReadonlyArray<TopicPartition>) => Effect.Effect<void>
  /** Give these back: answered when they are drained, committed and closed, within so many milliseconds. */
  readonly revoke: (partitions: ReadonlyArray<TopicPartition>, within: number) => Effect.Effect<void>
  /** Everything is gone, what is being revoked included: end it at once and commit nothing. */
  readonly lost: Effect.Effect<void>
  /**
   * The topic of this name was deleted and made again, as the group knows: what is held of it is read from its first
   * record, and no mark of the old one is committed. `id` is the new one's, where the group knows it. Left out by
   * memberships that know of topics by metadata alone.
   */
  readonly replaced?: ((topic: string, id: string | undefined) => Effect.Effect<void>) | undefined
  /** The group turned us away for good. */
  readonly failed: (error: KafkaError) => Effect.Effect<void>
  /** Something of the membership has died, where nobody waits for it: whoever reads dies of it. */
  readonly died: (defect: unknown) => Effect.Effect<void>
  /** The group shares out anew: this member begins to join. For metrics, and what is told of a group that does not form; left out by memberships that do not join. */
  readonly rebalancing?: (() => void) | undefined
  /**
   * The group cannot be joined now, or something that another member wrote cannot be read: it is tried again, and the
   * error says what is wrong. Told at each try; logged by the membership where nobody takes it.
   */
  readonly waits?: ((error: KafkaError) => Effect.Effect<void>) | undefined
  /** What `waits` was told last is over, though nothing is assigned anew. Left out: the next assignment says so. */
  readonly cured?: ((error: KafkaError) => Effect.Effect<void>) | undefined
}

/** A consumer's place in its group. */
export interface Member {
  /** As whom to commit now. */
  readonly identity: () => Identity
  /**
   * False when the membership must have ended by our own clock; then `Owner.lost` has been told before this returns.
   * Asked before records are delivered and before offsets are committed, since a process that stood still (SIGSTOP, a
   * suspended machine) wakes up in any of its fibers first. Costs a look at the clock. Left out: for as long as nothing
   * else is told.
   */
  readonly isAlive?: (() => boolean) | undefined
  /** A commit was refused with a code that concerns the member: UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION, … */
  readonly commitRefused: (as: Identity, code: number) => void
  /**
   * Whether a commit was refused with this code only because the group went on to its next generation meanwhile, with
   * this member and what it holds: it is sent again as who the member is then. Left out: never.
   */
  readonly goesOn?: ((as: Identity, code: number) => boolean) | undefined
  /** Committed offsets are asked for as `identity`, since the coordinator looks at that (KIP-848). Default: as nobody. */
  readonly fetchesAsMember?: boolean | undefined
  /**
   * Whether the group gave this partition of the topic of this id: one that was made again under its name is another one,
   * which nobody else may be given while it is read. Where not, the group is asked at once. Left out: who holds the
   * name reads it on.
   */
  readonly isGiven?: ((topicId: string, partition: number) => boolean) | undefined
  /**
   * A position in the topic of this name does not exist: another one may have been made under it, of which the group
   * knows and has not heard. Where that is so `Owner.replaced` is told before it ends. Left out: nobody knows.
   */
  readonly looks?: ((topic: string) => Effect.Effect<unknown>) | undefined
  /** What is subscribed to has changed: to be looked at now, not at the next `metadataMaxAge`. */
  readonly topicsChanged?: Effect.Effect<void> | undefined
  /**
   * Nothing is read any more. What is held stays until the group rebalances: then it is given back, and the member leaves,
   * so that nobody waits for it. Left out: as `closing`.
   */
  readonly stopping?: Effect.Effect<void> | undefined
  /**
   * From now on do not join again: the consumer is draining for good. Heartbeats go on. Waited for within a quarter of
   * `closeTimeout`.
   */
  readonly closing: Effect.Effect<void>
  /** Leaves the group: everything was given back. Waited for within `leaveTimeout`, and a moment. */
  readonly leave: Effect.Effect<void>
}

/** What a membership is told when it starts. */
export interface Join {
  readonly group: string
  /** The topics subscribed to, as they are now: those of a pattern grow. */
  readonly topics: Effect.Effect<ReadonlyArray<string>, KafkaError>
  /**
   * Whether a topic of this name would be among them now, where it is there: one that is not was left by a change of what
   * is subscribed to, and is not missing. Left out: each would be.
   */
  readonly isWanted?: ((topic: string) => boolean) | undefined
  /** What they are picked by now, of all topics of the cluster; undefined: they are named. */
  readonly pattern?: (() => RegExp | undefined) | undefined
  readonly owner: Owner
}

/** A way to come to partitions. `R` is what it needs, such as a ZooKeeper. */
export interface Membership<out R = never> {
  readonly name: string
  /** What is wrong with its settings, for the one `Misconfigured` of the consumer. */
  readonly mistakes: ReadonlyArray<string>
  /** Milliseconds that the group waits for a member to give its partitions back; undefined: no limit. */
  readonly rebalanceTimeout: number | undefined
  /** Milliseconds that leaving may take, on top of the consumer's `closeTimeout`. Left out: 5 s. */
  readonly leaveTimeout?: number | undefined
  /**
   * Who shares out the partitions, where it is no coordinator of Kafka's: told where a group does not form. Left out: the
   * coordinator, which is looked for then.
   */
  readonly keeper?: string | undefined
  /** Who keeps the group's offsets, where it is not the client's own `GroupOffsets`. */
  readonly offsets?: Effect.Effect<GroupOffsets["Service"], KafkaError, R> | undefined
  /** Joins in the background, for as long as the Scope lasts. */
  readonly join: (join: Join) => Effect.Effect<Member, never, Cluster | Scope.Scope | R>
}
