/**
 * When the cluster is asked about which topics: each topic apart, once at a time, at once at first, then ever more
 * rarely until it has helped. Nobody who has a leader waits for anybody's look-up. Pure.
 */
import * as Replaced from "../engine/Replaced.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Delay, Delays } from "./Slot.ts"

const { LEADER_NOT_AVAILABLE } = ErrorCode.codes

/** A partition, for whose sake its topic is asked for while it does not work. */
export interface LookedFor {
  readonly topic: string
  readonly partition: number
  readonly topicId?: string | undefined
  isLookedFor: boolean
  /** Attempts without progress. */
  readonly attempts: number
}

interface Lookup {
  isNeeded: boolean
  isAsking: boolean
  /** Answers so far. */
  rounds: number
  /** Questions in a row, which have not helped, and none of them long after the one before. */
  attempts: number
  /** Partitions that do not work since they asked. */
  readonly failing: Set<LookedFor>
  /** The waits after them. */
  readonly delay: Delay
  endedAt: number
  nextAt: number
  /** Since when answers say, and nothing else, that there is no such topic; and how many do. */
  goneSince: number
  gone: number
}

/** Topics that were left alone for so long are asked for at once again. */
const calmMillis = 10_000
/** The least time between two questions about a topic. */
const leastMillis = 100
/** So many answers, at least, must say that a topic is gone. */
const goneAnswers = 3

export class TopicLookups {
  /** The topics of before, of which it was told that another has their name. */
  readonly left = new Replaced.Left()
  readonly #topics = new Map<string, Lookup>()
  readonly #delays: Delays
  /** Its leader knows it. */
  readonly #trust: (partition: LookedFor) => void

  constructor(delays: Delays, trust: (partition: LookedFor) => void) {
    this.#delays = delays
    this.#trust = trust
  }

  /** Asks for a topic, as soon as it is its turn. */
  need(topic: string): void {
    this.#of(topic).isNeeded = true
  }

  /** The same for a partition that does not work, until `works` says that it does. */
  needFor(partition: LookedFor): void {
    const lookup = this.#of(partition.topic)
    lookup.isNeeded = partition.isLookedFor = true
    lookup.failing.add(partition)
  }

  /** A partition was answered, with progress: where all work that have asked, the next failure is the first of a row. */
  works(partition: LookedFor): void {
    this.#trust(partition)
    if (!partition.isLookedFor || partition.attempts > 0) return
    partition.isLookedFor = false
    const lookup = this.#topics.get(partition.topic)
    if (lookup === undefined || !lookup.failing.delete(partition) || lookup.failing.size > 0) return
    lookup.attempts = 0
    lookup.nextAt = Math.min(lookup.nextAt, lookup.endedAt + leastMillis)
  }

  /** A partition is not read any more. */
  without(partition: LookedFor): void {
    this.#topics.get(partition.topic)?.failing.delete(partition)
  }

  /** The round whose answer is younger than what is known now. */
  fresh(topic: string): number {
    const { isAsking, rounds } = this.#of(topic)
    return isAsking ? rounds + 2 : rounds + 1
  }

  /** How many answers there were. */
  rounds(topic: string): number {
    return this.#topics.get(topic)?.rounds ?? 0
  }

  /** Whether a topic has been gone for so long, by the word of several answers. */
  isGone(topic: string, now: number, within: number): boolean {
    const lookup = this.#topics.get(topic)
    return lookup !== undefined && lookup.gone >= goneAnswers && now - lookup.goneSince >= within
  }

  /** What is to be asked now; it counts as being asked. */
  due(now: number): { readonly topics: ReadonlyArray<string>; readonly wakeAt: number } {
    const topics: Array<string> = []
    let wakeAt = Infinity
    for (const [topic, lookup] of this.#topics) {
      if (!lookup.isNeeded || lookup.isAsking) continue
      // The waits of the Schedule's own are no calm.
      if (now - lookup.nextAt > calmMillis) lookup.attempts = 0
      else if (lookup.nextAt > now) {
        wakeAt = Math.min(wakeAt, lookup.nextAt)
        continue
      }
      lookup.isNeeded = false
      lookup.isAsking = true
      topics.push(topic)
    }
    return { topics, wakeAt }
  }

  /** The cluster has answered; `isKnown` says which topics are there. */
  answered(topics: ReadonlyArray<string>, now: number, isKnown: (topic: string) => boolean): void {
    for (const topic of topics) {
      const lookup = this.#end(topic, now)
      lookup.rounds++
      if (isKnown(topic)) lookup.gone = 0
      else if (lookup.gone++ === 0) lookup.goneSince = now
    }
  }

  /** It could not be asked. */
  failed(topics: ReadonlyArray<string>, now: number, error?: KafkaError.KafkaError): void {
    for (const topic of topics) this.#end(topic, now, error).isNeeded = true
  }

  /** Forgets topics that nobody reads. */
  keep(isRead: (topic: string) => boolean): void {
    for (const topic of this.#topics.keys()) if (!isRead(topic)) this.#topics.delete(topic)
  }

  #of(topic: string): Lookup {
    let lookup = this.#topics.get(topic)
    if (lookup === undefined) {
      lookup = {
        isNeeded: false,
        isAsking: false,
        rounds: 0,
        attempts: 0,
        failing: new Set(),
        delay: this.#delays(),
        endedAt: -Infinity,
        nextAt: 0,
        goneSince: 0,
        gone: 0
      }
      this.#topics.set(topic, lookup)
    }
    return lookup
  }

  #end(topic: string, now: number, error?: KafkaError.KafkaError): Lookup {
    const lookup = this.#of(topic)
    lookup.isAsking = false
    lookup.endedAt = now
    const why = () => error ?? KafkaError.fromCode(LEADER_NOT_AVAILABLE, { api: "Metadata", topic })
    lookup.nextAt = now + Math.max(leastMillis, lookup.delay(++lookup.attempts, why))
    return lookup
  }
}
