/**
 * Whether what a member last joined with, and shared out as the leader, is still what there is: topics that a pattern
 * matches, their partitions, and whether they are the same topics (deleted ones may be made again).
 *
 * What is there in larger number is believed at once. What is missing is asked for again for some seconds: a broker that
 * has just started knows no topics yet, and a group would give all its partitions up for it.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Cluster } from "../Cluster.ts"
import type { Change, TopicInfo } from "../ClusterInfo.ts"
import type { KafkaError } from "../KafkaError.ts"
import * as TopicPartition from "../TopicPartition.ts"

/** What the leader knew of a topic when it shared it out; a topic that is not there has no partitions. */
interface Seen {
  readonly count: number
  readonly id: string | undefined
}

export interface TopicWatch {
  /** The topics to subscribe to now. From here on the member is no leader. */
  readonly subscribe: Effect.Effect<ReadonlyArray<string>, KafkaError>
  /** The topics last subscribed to. */
  readonly subscribed: () => ReadonlyArray<string>
  /** How many partitions the leader has to share out, by topic; 0 for those that are not there. */
  readonly count: (names: ReadonlyArray<string>) => Effect.Effect<ReadonlyMap<string, number>, KafkaError>
  /**
   * Looks after topics whose assignment someone else has made: whether all their partitions stand in it, and no others;
   * `assigned` are keys of `TopicPartition`, undefined where it is not known.
   */
  readonly inherit: (
    names: ReadonlyArray<string>,
    assigned: ReadonlySet<string> | undefined
  ) => Effect.Effect<boolean, KafkaError>
  /** Whether anything is other than at the last join. */
  readonly isOutdated: Effect.Effect<boolean, KafkaError>
  /** Completes when a member of a stable group has to look: metadata have changed that concern the leader. */
  readonly changes: Stream.Stream<Change>
}

/** Between two questions for what is missing, and how many there are. */
const patience = { millis: 1_000, times: 4 } as const

/** Makes the watch of a member. */
export const make = (
  cluster: Cluster["Service"],
  topics: Effect.Effect<ReadonlyArray<string>, KafkaError>
): TopicWatch => {
  let subscribed: ReadonlyArray<string> = []
  let seen: ReadonlyMap<string, Seen> | undefined
  /** The largest number of partitions that was ever shared out of a topic. */
  const known = new Map<string, number>()

  /** Asks again, for a while, where less is there than there was. */
  const settled = <A>(ask: Effect.Effect<A, KafkaError>, isLess: (answer: A) => boolean) =>
    Effect.gen(function* () {
      let answer = yield* ask
      for (let i = 0; i < patience.times && isLess(answer); i++) {
        yield* Effect.sleep(patience.millis)
        answer = yield* ask
      }
      return answer
    })

  const ask = (names: ReadonlyArray<string>): Effect.Effect<ReadonlyMap<string, Seen>, KafkaError> =>
    Effect.map(cluster.topics(names), (infos: ReadonlyArray<TopicInfo>) => {
      const found = new Map(infos.map((info) => [info.name, { count: info.partitions.length, id: info.id }]))
      return new Map(names.map((name) => [name, found.get(name) ?? { count: 0, id: undefined }]))
    })

  const look = (names: ReadonlyArray<string>) =>
    settled(ask(names), (infos) => [...infos].some(([name, { count }]) => count < (known.get(name) ?? 0)))

  const differs = (name: string, { count, id }: Seen): boolean => {
    const before = seen?.get(name)
    if (before === undefined) return false
    return before.count !== count || (before.id !== undefined && id !== undefined && before.id !== id)
  }

  const remember = (infos: ReadonlyMap<string, Seen>): void => {
    seen = infos
    for (const [name, { count }] of infos) known.set(name, count)
  }

  const ofSubscription = settled(topics, (names) => subscribed.some((name) => !names.includes(name)))

  return {
    subscribe: Effect.map(ofSubscription, (names) => {
      seen = undefined
      return (subscribed = names)
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
    })
  }
}
