/** Members in ZooKeeper without a consumer: they take what they are given, and give it back after a while. */
import { Effect, Exit, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Backoff from "../../src/Backoff.ts"
import * as BalancedAssignor from "../../src/balance/BalancedAssignor.ts"
import * as BalancedDriver from "../../src/balance/BalancedDriver.ts"
import type { KafkaError } from "../../src/KafkaError.ts"
import type { Owner } from "../../src/Membership.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"

export const settings: BalancedDriver.Settings = {
  layout: "pykafka",
  assignor: BalancedAssignor.range,
  claim: Backoff.growing(9, 2000),
  claimSetting: "rebalanceBackoff",
  backoff: 2000,
  rebalanceTimeout: 90_000,
  metadataMaxAge: 300_000,
  leaveTimeout: 5000
}

/** Lets everything run that needs no time. */
export const calm = Effect.forEach(Array.from({ length: 20 }), () => Effect.yieldNow, { discard: true })

/** Lets a tenth of a second pass. */
export const tick = Effect.andThen(calm, TestClock.adjust("100 millis"))

export interface Member {
  readonly session: string
  /** Of the group's topic. */
  readonly owned: ReadonlySet<number>
  /** Of all topics, as `topic-partition`. */
  readonly places: ReadonlySet<string>
  readonly failures: ReadonlyArray<KafkaError>
  /** How often it was told of a balance. */
  readonly balances: () => number
  readonly leave: Effect.Effect<void>
}

/** Where sessions come from: one for each member. */
export interface Sessions {
  readonly connect: () => Effect.Effect<ZooKeeper.ZooKeeper["Service"], KafkaError, Scope.Scope>
}

/** A group and the topic that it reads. */
export interface Names {
  readonly group: string
  readonly topic: string
}

/** What a member reads by now. */
export type Topics = Effect.Effect<ReadonlyArray<string>, KafkaError>

/** A member that reads a topic, or what `topics` says; `drain` is how long it takes to give something back. */
export const join = Effect.fnUntraced(function* (
  memory: Sessions,
  drain: () => number = () => 0,
  options: Partial<BalancedDriver.Settings> = {},
  { group, topic }: Names = { group: "g", topic: "t" },
  topics: Topics = Effect.succeed([topic])
) {
  const scope = yield* Scope.make()
  const places = new Set<string>()
  const failures: Array<KafkaError> = []
  const replaced: Array<string> = []
  let balances = 0
  let losses = 0
  const owner: Owner = {
    assigned: (list) =>
      Effect.sync(() => {
        balances++
        for (const { partition, topic } of list) places.add(`${topic}-${partition}`)
      }),
    revoke: (list) =>
      Effect.gen(function* () {
        const before = losses
        if (drain() > 0) yield* Effect.sleep(drain())
        // What was lost while it drained may be its own again by now.
        if (losses === before) for (const { partition, topic } of list) places.delete(`${topic}-${partition}`)
      }),
    lost: Effect.sync(() => {
      losses++
      places.clear()
    }),
    replaced: (topic) => Effect.sync(() => void replaced.push(topic)),
    failed: (error) => Effect.sync(() => void failures.push(error)),
    died: (defect) => Effect.die(defect)
  }
  const zooKeeper = yield* Scope.provide(memory.connect(), scope)
  const { id } = yield* zooKeeper.session
  const member = yield* BalancedDriver.join({ ...settings, ...options }, { group, topics, owner }).pipe(
    Effect.provideService(ZooKeeper.ZooKeeper, zooKeeper),
    Scope.provide(scope)
  )
  const leave = Effect.gen(function* () {
    yield* member.closing
    yield* Effect.sleep(drain())
    places.clear()
    yield* member.leave
    yield* Scope.close(scope, Exit.void)
  })
  return {
    get session() {
      return member.identity().memberId || id
    },
    get owned() {
      return partitionsOf(places, topic)
    },
    places,
    failures,
    /** Topics of which it was told that they are others. */
    replaced,
    balances: () => balances,
    isAlive: () => member.isAlive?.() !== false,
    /** What it reads is to be looked at again. */
    topicsChanged: member.topicsChanged!,
    /** Looks whether a topic was made again. */
    looks: member.looks!,
    leave
  } satisfies Member & {
    readonly isAlive: () => boolean
    readonly topicsChanged: Effect.Effect<void>
    readonly looks: (topic: string) => Effect.Effect<void>
    readonly replaced: ReadonlyArray<string>
  }
})

/** Those of a topic. */
export const partitionsOf = (places: Iterable<string>, topic: string): ReadonlySet<number> =>
  new Set(
    [...places].filter((place) => place.startsWith(`${topic}-`)).map((place) => Number(place.slice(topic.length + 1)))
  )

/** Whether each partition has one owner, and each member its fair share. */
export const isBalanced = (members: ReadonlyArray<Pick<Member, "owned">>, partitions: number): boolean => {
  const owned = members.flatMap((one) => [...one.owned])
  const fair = [Math.floor(partitions / members.length), Math.ceil(partitions / members.length)]
  return (
    owned.length === partitions &&
    new Set(owned).size === partitions &&
    members.every((one) => one.owned.size === fair[0] || one.owned.size === fair[1])
  )
}
