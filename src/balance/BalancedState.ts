/** Pure. What a member of a group in ZooKeeper knows, what it is told, and what it asks for: the alphabet of `BalancedMember`. */
import type { Why } from "../Backoff.ts"
import type * as KafkaError from "../KafkaError.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import type { BalancedAssignor } from "./BalancedAssignor.ts"
import type { Layout } from "./Layout.ts"

export interface Settings {
  readonly group: string
  readonly layout: Layout
  readonly assignor: BalancedAssignor
  /** The n-th wait for claims in one balance, in milliseconds, and what is waited for; undefined where there is none. */
  readonly claimDelay: (waits: number, why: Why) => number | undefined
  /** The setting that it is of. */
  readonly claimSetting: string
  /** How long until it is looked again, in milliseconds: where that has failed, or a partition has no leader. */
  readonly backoff: number
}

/** What ZooKeeper and the cluster said, read in this session. */
export interface View {
  readonly topics: ReadonlyArray<string>
  /** Members and what they say of themselves. */
  readonly members: ReadonlyMap<string, string>
  /** Each topic's partitions and leaders. */
  readonly partitions: ReadonlyMap<string, ReadonlyArray<{ readonly partition: number; readonly leader: number }>>
  /** The names of all claims, by topic. */
  readonly claims: ReadonlyMap<string, ReadonlyArray<string>>
  /** Those of them that are ours in this session. */
  readonly ours: ReadonlyMap<string, ReadonlySet<string>>
  /** What may stand of ours in this session on topics that are not read any more. */
  readonly left: ReadonlyArray<Claim>
}

/** A claim: a node below the owners of a topic. */
export interface Claim extends TopicPartition {
  readonly node: string
}

/** A claim that another holds. */
export interface Taken extends TopicPartition {
  /** The claimant; empty where it is not known. */
  readonly by: string
}

export type Event =
  /** The time of `deadline` has come. */
  | { readonly _tag: "Tick" }
  /** A session lives in which nothing of ours is known to stand. */
  | { readonly _tag: "SessionBegan"; readonly session: string }
  | { readonly _tag: "SessionLost" }
  /** Members came or went, a topic has more partitions, another topic matches, or somebody waits for what we hold. */
  | { readonly _tag: "Changed" }
  | { readonly _tag: "LeadersMoved" }
  /** Somebody has freed a claim. */
  | { readonly _tag: "ClaimsChanged" }
  | { readonly _tag: "Looked"; readonly round: number; readonly view: View }
  | {
      readonly _tag: "Claimed"
      readonly round: number
      readonly ours: ReadonlyArray<Claim>
      readonly taken: ReadonlyArray<Taken>
    }
  /** The consumer has given back (or lost) what it was told to. */
  | { readonly _tag: "Released"; readonly round: number }
  /** The claims are removed. */
  | { readonly _tag: "Freed"; readonly round: number }
  | { readonly _tag: "RoundFailed"; readonly round: number; readonly error: KafkaError.KafkaError }
  /** It can be no member: the group is not one of ZooKeeper, or what must be watched cannot be read. */
  | { readonly _tag: "Refused"; readonly error: KafkaError.KafkaError }
  /** The consumer reads nothing any more: what it holds stays until the group changes. */
  | { readonly _tag: "Stopping" }
  /** The consumer drains for good: nothing is claimed any more. */
  | { readonly _tag: "Closing" }
  /** It has drained: leave. */
  | { readonly _tag: "Close" }
  | { readonly _tag: "Left" }

export type Command =
  | { readonly _tag: "Look"; readonly round: number }
  | { readonly _tag: "Revoke"; readonly round: number; readonly partitions: ReadonlyArray<TopicPartition> }
  | { readonly _tag: "Free"; readonly round: number; readonly claims: ReadonlyArray<Claim> }
  /** Creates claims. Of what others hold it is to be told who they are, where `asks`. */
  | {
      readonly _tag: "Claim"
      readonly round: number
      readonly claims: ReadonlyArray<Claim>
      readonly taken: ReadonlyArray<TopicPartition>
      readonly asks: boolean
    }
  /** These are ours; told once a balance, even of none. */
  | { readonly _tag: "Give"; readonly partitions: ReadonlyArray<TopicPartition> }
  | { readonly _tag: "Lose"; readonly round: number }
  /** Asks those who hold what we wait for to look again. */
  | { readonly _tag: "Nudge"; readonly claimants: ReadonlyArray<string> }
  | { readonly _tag: "Leave"; readonly claims: ReadonlyArray<Claim> }
  | { readonly _tag: "Fail"; readonly error: KafkaError.KafkaError }

export interface State {
  readonly phase:
    | "away"
    | "looking"
    | "revoking"
    | "freeing"
    | "claiming"
    | "waiting"
    | "balanced"
    | "losing"
    | "leaving"
    | "ended"
  /** Grows with everything that makes earlier answers void. */
  readonly round: number
  /** The session that lives. */
  readonly session: string | undefined
  /** Claims that stand, by partition. */
  readonly held: ReadonlyMap<string, ReadonlyArray<Claim>>
  /** Claims that were asked for and may stand. */
  readonly asked: ReadonlyArray<Claim>
  /** What the consumer was given. */
  readonly owned: ReadonlyMap<string, TopicPartition>
  /** What goes to us by the last balance. */
  readonly wanted: ReadonlyMap<string, TopicPartition>
  /** What we hold, and another claims under the name of another leader. */
  readonly contested: ReadonlySet<string>
  readonly view: View | undefined
  /** Look again once this round is through: because of a change, or for the names of claims alone. */
  readonly stale: "no" | "names" | "all"
  /** Whether this look is for the names of claims alone, as long as it sees the group as it was shared out. */
  readonly namesOnly: boolean
  /** Whether the consumer was told of this balance. */
  readonly told: boolean
  /** Waits for claims in this balance. */
  readonly attempt: number
  /** Of those that lasted, in milliseconds, and the one that began last. */
  readonly waited: number
  readonly wait: number
  /** When the next look is due. */
  readonly wakeAt: number | undefined
  readonly closing: boolean
  /** With the next balance it gives back what it has, and leaves. */
  readonly stopping: boolean
  /** It gives back what it has, and leaves. */
  readonly retires: boolean
  /** It fails with this then. */
  readonly failure: KafkaError.KafkaError | undefined
}

export const initial: State = {
  phase: "away",
  round: 0,
  session: undefined,
  held: new Map(),
  asked: [],
  owned: new Map(),
  wanted: new Map(),
  contested: new Set(),
  view: undefined,
  stale: "no",
  namesOnly: false,
  told: false,
  attempt: 0,
  waited: 0,
  wait: 0,
  wakeAt: undefined,
  closing: false,
  stopping: false,
  retires: false,
  failure: undefined
}

/** By what name a partition is claimed: undefined where it would need a leader and there is none. */
export const nameOf = (layout: Layout, view: View, { partition, topic }: TopicPartition): string | undefined => {
  const leader = view.partitions.get(topic)?.find((one) => one.partition === partition)?.leader ?? -1
  return layout.claim(partition, leader)
}

/**
 * What goes to us, and another claims, as far as we know. What has no leader is not waited for: that nobody claims it
 * says nothing.
 */
export const waitsFor = (layout: Layout, { held, view, wanted }: State): ReadonlyArray<TopicPartition> =>
  view === undefined
    ? []
    : [...wanted]
        .filter(([key, one]) => !held.has(key) && nameOf(layout, view, one) !== undefined)
        .map(([, one]) => one)
