/**
 * Which topic a name stands for, where brokers tell of more than one: of one that was deleted and made again those that lag
 * behind tell for a while yet.
 */
import * as Effect from "effect/Effect"
import type { Change, TopicInfo } from "../ClusterInfo.ts"
import { drive } from "../compression/drive.ts"
import * as Replaced from "../engine/Replaced.ts"
import type * as KafkaError from "../KafkaError.ts"
import { atMost, kept } from "../Kept.ts"
import type * as Metadata from "../protocol/messages/Metadata.ts"
import * as Wire from "../protocol/Wire.ts"
import type { AnyBroker } from "./AnyBroker.ts"
import type { MetadataState } from "./MetadataState.ts"

export type TopicsTold = (typeof Metadata.Response.schema.Type)["topics"]

/** What a broker tells of topics; one below 0 is a bootstrap server. */
export interface Told {
  readonly by: number
  readonly topics: TopicsTold
}

/** Topics that others have taken the names of, as far as was heard, also while none had it. */
const replacedTopics = () => {
  /** By name, in the order in which they were heard of first: where one of them is gone, or was another. */
  const ids = new Map<string, Replaced.Ids>()
  const remember = ({ id, name }: TopicInfo) => {
    if (id === undefined) return
    const heard = kept(ids, name, () => [], atMost)
    ids.set(name, Replaced.remember(heard, id))
  }
  return {
    learn: (change: Change): void => {
      if (change._tag === "Brokers") return
      if (change._tag === "TopicGone") return remember(change.before)
      const { before, topic } = change
      if (before !== undefined && before.id !== topic.id) remember(before)
      if (ids.has(topic.name)) remember(topic)
    },
    isHeardOf: ({ id, name }: TopicInfo): boolean => id !== undefined && ids.get(name)?.includes(id) === true,
    /** It was heard of in the wrong order. */
    isNewest: ({ name, topicId }: TopicsTold[number]): void => {
      const others = ids.get(name!)!.filter((id) => id !== topicId)
      ids.set(name!, Replaced.remember(others, topicId))
    },
    has: ({ name, topicId }: TopicsTold[number]): boolean => {
      const heard = name === null ? undefined : ids.get(name)
      return heard !== undefined && heard.includes(topicId) && heard.at(-1) !== topicId
    }
  }
}

/**
 * Topics that were heard of first less than ten seconds ago, and who told of them: whoever tells of another then, and has
 * not told of this one, may lag behind. Later, or by a broker that takes back its own word, the other is the newer one.
 */
const youngTopics = (now: () => number) => {
  const young = new Map<string, { readonly since: number; readonly by: Set<number> }>()
  return {
    begins: (name: string, by: number): void => {
      young.delete(name)
      kept(young, name, () => ({ since: now(), by: new Set([by]) }), atMost)
    },
    isToldBy: (name: string, by: number): void => void young.get(name)?.by.add(by),
    end: (name: string): void => void young.delete(name),
    mayBeNewerThan: (name: string, by: number): boolean => {
      const topic = young.get(name)
      return topic !== undefined && !topic.by.has(by) && now() - topic.since < Replaced.replacedFor
    }
  }
}

export interface Parts {
  readonly anyBroker: AnyBroker
  readonly state: MetadataState
  readonly changed: (change: Change) => void
}

/**
 * Learns those that were `wanted`. Apart from the question, since that takes its time, and is no silence of the broker. A
 * topic that was replaced is not learnt, by one answer, over the one that has its name: who tells of it lags behind, and
 * a commit of what was read of it would be the other's, by the name. Nor is one that may be older than what was heard of
 * just before. `ask` is asked for those once more, of another broker: by the word of two it is learnt, as it may have been
 * heard of in the wrong order (which stays until leaders have refused the other for long: of brokers most of which lag,
 * a single one may bring the first back, for as long as it lags); what may be older is learnt also where no other broker
 * answers. That is waited for: an answer that tells of another does not say once more what is known.
 */
export const learning = (
  { anyBroker, changed, state }: Parts,
  now: () => number,
  ask: (names: ReadonlyArray<string>) => Effect.Effect<Told, KafkaError.KafkaError>
) => {
  const replaced = replacedTopics()
  const young = youngTopics(now)
  /** Since when nothing else was told of a name. */
  const since = new Map<string, number>()
  const checked = new Set<string>()
  const heard = (change: Change, by: number) => {
    if (change._tag === "Topic" && change.topic.id !== change.before?.id) {
      const { topic } = change
      if (replaced.isHeardOf(topic)) young.end(topic.name)
      else young.begins(topic.name, by)
    }
    replaced.learn(change)
    changed(change)
  }
  /** Whoever tells of another topic than was known may lag behind as well: the next to be asked is another broker. */
  const isOther = ({ name, topicId }: TopicsTold[number]) => {
    const id = name === null ? undefined : state.topic(name)?.id
    return id !== undefined && topicId !== Wire.zeroUuid && topicId !== id
  }
  const isLagging = (topic: TopicsTold[number], by: number): boolean => {
    if (state.topic(topic.name!)?.id === topic.topicId) young.isToldBy(topic.name!, by)
    const isReplaced = replaced.has(topic)
    const isOlder = isReplaced || (state.nodes.length > 1 && young.mayBeNewerThan(topic.name!, by))
    if (!isOther(topic) || !isOlder) {
      since.delete(topic.name!)
      return false
    }
    // Of the wrong one the leaders know nothing: two brokers that tell of one each would leave it at that.
    if (state.isIdDoubted(topic.name!, now())) {
      if (isReplaced) replaced.isNewest(topic)
      return false
    }
    return now() - kept(since, topic.name!, now, atMost) < Replaced.replacedFor
  }
  const learn = (
    { by, topics }: Told,
    wanted: (name: string) => boolean,
    lagging: (topic: TopicsTold[number]) => boolean
  ) =>
    Effect.orDie(
      Effect.suspend(() => {
        if (topics.some((topic) => replaced.has(topic) || isOther(topic))) anyBroker.turn()
        return drive(state.learnTopics(topics, wanted, now(), (change) => heard(change, by), lagging))
      })
    )
  const check = (names: ReadonlyArray<string>, { by, topics }: Told) => {
    const told = new Map(topics.map((topic) => [topic.name, topic.topicId]))
    for (const name of names) checked.add(name)
    return ask(names).pipe(
      Effect.flatMap((again) =>
        learn(
          again,
          // What is known already, and no other topic of a broker that is asked for all.
          () => false,
          (topic) => {
            // Where no other broker answers, only what was heard of as older is not believed.
            const isAlone = again.by === by && replaced.has(topic)
            return isLagging(topic, again.by) && (isAlone || told.get(topic.name) !== topic.topicId)
          }
        )
      ),
      Effect.ignore,
      Effect.ensuring(Effect.sync(() => names.forEach((name) => checked.delete(name))))
    )
  }
  return (told: Told, wanted: (name: string) => boolean) => {
    const lagging = new Set<string>()
    const noted = (topic: TopicsTold[number]) => {
      const is = isLagging(topic, told.by)
      if (is && !checked.has(topic.name!)) lagging.add(topic.name!)
      return is
    }
    return Effect.tap(learn(told, wanted, noted), () => (lagging.size === 0 ? Effect.void : check([...lagging], told)))
  }
}
