/**
 * Whether what a member last joined with, and shared out as the leader, is still what there is: topics that a pattern
 * matches, their partitions, and whether they are the same topics (deleted ones may be made again).
 *
 * What is there in larger number is believed at once. What is missing is asked for again for some seconds: a broker that
 * has just started knows no topics yet, and a group would give all its partitions up for it. What nothing can be told of
 * for now (LEADER_NOT_AVAILABLE) is as it was known; it is asked for again until it is told, and then shared out anew.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Stream from "effect/Stream"
import * as Backoff from "../Backoff.ts"
import type { Cluster } from "../Cluster.ts"
import type { Change, TopicInfo } from "../ClusterInfo.ts"
import type { Trouble } from "../engine/MemberWork.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Join } from "../Membership.ts"
import * as TopicPartition from "../TopicPartition.ts"

/** What the leader knew of a topic when it shared it out; a topic that is not there has no partitions. */
interface Seen {
  readonly count: number
  readonly id: string | undefined
  /** Nothing could be told of it. */
  readonly unready: boolean
}

type Asking<A> = Effect.Effect<A, KafkaError.KafkaError>

export interface TopicWatch {
  /** The topics to subscribe to now. From here on the member is no leader. */
  readonly subscribe: Asking<ReadonlyArray<string>>
  /** The topics last subscribed to. */
  readonly subscribed: () => ReadonlyArray<string>
  /** How many partitions the leader has to share out, by topic; 0 for those that are not there. */
  readonly count: (names: ReadonlyArray<string>) => Asking<ReadonlyMap<string, number>>
  /**
   * Looks after topics whose assignment someone else has made: whether all their partitions stand in it, and no others;
   * `assigned` are keys of `TopicPartition`, undefined where it is not known.
   */
  readonly inherit: (names: ReadonlyArray<string>, assigned: ReadonlySet<string> | undefined) => Asking<boolean>
  /** Whether anything is other than at the last join. */
  readonly isOutdated: Asking<boolean>
  /** Completes when a member of a stable group has to look: metadata have changed that concern the leader. */
  readonly changes: Stream.Stream<Change>
  /**
   * Completes when a topic is told that the leader has shared out while nothing could be told of it. It is a trouble where
   * nothing was known of it before, either: nobody was given anything of it.
   */
  readonly ready: (trouble: Trouble) => Effect.Effect<void>
}

interface Patience {
  readonly millis: number
  readonly times: number
}

/** Between two questions for what is missing, and how many there are. */
const patience: Patience = { millis: 1_000, times: 4 }
/** The least time between two questions for what is not told for now, and how many there are before it is shared out. */
const soon: Patience = { millis: 100, times: 3 }

/** Makes the watch of a member; what was subscribed to and is not wanted any more is not missing. */
export const make = (
  cluster: Cluster["Service"],
  topics: Asking<ReadonlyArray<string>>,
  isWanted: Join["isWanted"] = () => true
): TopicWatch => {
  let subscribed: ReadonlyArray<string> = []
  /** How many were begun, and which of them `subscribed` is of. */
  let begun = 0
  let latest = 0
  let seen: ReadonlyMap<string, Seen> | undefined
  /** The largest number of partitions that was ever shared out of a topic. */
  const known = new Map<string, number>()
  /** What was shared out while nothing could be told of it. */
  let unready: ReadonlyArray<string> = []
  const isUnready = Latch.makeUnsafe(false)

  /** Asks again, for a while, where less is there than there was. */
  const settled = <A>(ask: Asking<A>, isLess: (answer: A) => boolean, { millis, times }: Patience = patience) =>
    Effect.gen(function* () {
      let answer = yield* ask
      for (let i = 0; i < times && isLess(answer); i++) {
        yield* Effect.sleep(millis)
        answer = yield* ask
      }
      return answer
    })

  /** What is told of a topic; nothing where it is not there, and what is known where nothing can be told for now. */
  const seenOf = (name: string, told: TopicInfo | undefined): Seen => {
    const unready = told?.partitions.length === 0
    const info = unready ? cluster.known(name) : told
    return { count: info?.partitions.length ?? 0, id: info?.id, unready }
  }

  const ask = (names: ReadonlyArray<string>): Asking<ReadonlyMap<string, Seen>> =>
    Effect.map(cluster.topics(names, { unready: true }), (infos) => {
      const found = new Map(infos.map((info) => [info.name, info]))
      return new Map(names.map((name) => [name, seenOf(name, found.get(name))]))
    })
  const askSoon = (names: ReadonlyArray<string>) =>
    settled(ask(names), (infos) => [...infos.values()].some(({ count, unready }) => unready && count === 0), soon)

  const look = (names: ReadonlyArray<string>) =>
    settled(askSoon(names), (infos) => [...infos].some(([name, { count }]) => count < (known.get(name) ?? 0)))

  const differs = (name: string, { count, id }: Pick<Seen, "count" | "id">): boolean => {
    const before = seen?.get(name)
    if (before === undefined) return false
    return before.count !== count || (before.id !== undefined && id !== undefined && before.id !== id)
  }

  const remember = (infos: ReadonlyMap<string, Seen>): void => {
    seen = infos
    for (const [name, { count }] of infos) known.set(name, count)
    waitFor([...infos].flatMap(([name, { unready }]) => (unready ? name : [])))
  }
  const waitFor = (names: ReadonlyArray<string>): void => {
    unready = names
    if (names.length > 0) isUnready.openUnsafe()
    else isUnready.closeUnsafe()
  }
  /** Fails while what is waited for is not told; what is told as it was shared out is waited for no longer. */
  const askUnready = ({ cured, troubled }: Trouble) =>
    Effect.gen(function* () {
      yield* Effect.sleep(soon.millis)
      const names = unready
      const infos = yield* ask(names)
      // It has been shared out anew meanwhile.
      if (names !== unready) return
      if ([...infos].some(([name, info]) => differs(name, info))) return
      waitFor(names.filter((name) => infos.get(name)?.unready))
      if (unready.length === 0) return
      const missing = unready.find((name) => seen?.get(name)?.count === 0)
      const topic = missing ?? unready[0]
      const error = KafkaError.fromCode(ErrorCode.codes.LEADER_NOT_AVAILABLE, { api: "Metadata", topic })
      yield* missing === undefined ? cured : troubled(error)
      return yield* error
    })

  const ofSubscription = settled(topics, (names) => subscribed.some((name) => !names.includes(name) && isWanted(name)))

  return {
    subscribe: Effect.suspend(() => {
      const mine = ++begun
      return Effect.map(ofSubscription, (names) => {
        // Of two at a time the one that was begun last holds, in whichever order they end.
        if (mine < latest) return subscribed
        latest = mine
        seen = undefined
        waitFor([])
        return (subscribed = names)
      })
    }),
    subscribed: () => subscribed,
    count: (names) =>
      Effect.map(look(names), (infos) => {
        remember(infos)
        return new Map([...infos].map(([name, { count }]) => [name, count]))
      }),
    inherit: (names, assigned) =>
      Effect.map(look(names), (infos) => {
        remember(infos)
        if (assigned === undefined) return false
        let expected = 0
        for (const [topic, { count }] of infos) {
          expected += count
          for (let partition = 0; partition < count; partition++) {
            if (!assigned.has(TopicPartition.key({ topic, partition }))) return true
          }
        }
        return assigned.size !== expected
      }),
    isOutdated: Effect.gen(function* () {
      const names = yield* ofSubscription
      if (names.length !== subscribed.length || names.some((name) => !subscribed.includes(name))) return true
      if (seen === undefined) return false
      return [...(yield* look([...seen.keys()]))].some(([name, info]) => differs(name, info))
    }),
    changes: Stream.filter(cluster.changes, (change) => {
      switch (change._tag) {
        case "Brokers":
          return false
        case "Topic":
          return differs(change.topic.name, { count: change.topic.partitions.length, id: change.topic.id })
        case "TopicGone":
          return differs(change.before.name, { count: 0, id: undefined })
      }
    }),
    ready: (trouble) =>
      Effect.andThen(
        isUnready.await,
        Effect.retry(askUnready(trouble), { schedule: Backoff.unending(cluster.retry) }).pipe(
          Effect.tap(trouble.cured),
          Effect.ignore
        )
      )
  }
}
