/**
 * Whether a client of librdkafka that sends records stays with the leaders of a topic that was made again. A topic whose
 * records take long is asked about; where it is another one than the client met, and the time of a record is over, it is.
 */
import * as Effect from "effect/Effect"
import { key } from "../TopicPartition.ts"
import type { Context } from "./ProducerContext.ts"
import { TopicIds } from "./TopicIds.ts"
import type { Pending } from "./Waiting.ts"

/** How often topics are asked about, at most. */
const askMillis = 3000
/** How old the oldest record is when its topic is asked about, half of its time at most; and one that gets nowhere. */
const doubtMillis = 20_000
const stuckMillis = 10_000

const none: ReadonlySet<string> = new Set()

/** Of one producer, whose clients follow each other. A class, since what is known of a client changes. */
export class Deserted {
  readonly #cluster: Context["cluster"]
  readonly #deliveryTimeout: number
  readonly #now: () => number
  readonly #sent: ReadonlyMap<number, Pending>
  readonly #ids: TopicIds
  readonly #doubted = new Set<string>()
  /** The topics of partitions of which a record's time was over. */
  readonly #late = new Map<string, string>()
  /** Those that were made again, as was told last. */
  readonly #madeAgain = new Set<string>()
  /** Those of which no id was known when the client was to hear of them: each is asked about once it is there. */
  readonly #unknown = new Set<string>()
  #askAt = -Infinity

  /** `sent`: what the client has, in the order in which it got them. */
  constructor({ cluster, settings }: Context, now: () => number, sent: ReadonlyMap<number, Pending>) {
    this.#cluster = cluster
    this.#ids = new TopicIds(cluster)
    this.#deliveryTimeout = settings.deliveryTimeout
    this.#now = now
    this.#sent = sent
  }

  /** The client is to hear of a topic. */
  meet(topic: string): void {
    if (this.#ids.meet(topic) || this.#unknown.has(topic)) return
    this.#unknown.add(topic)
    this.#doubted.add(topic)
  }

  #ageOf({ deadline }: Pending): number {
    return this.#now() - deadline + this.#deliveryTimeout
  }

  /** The topic of the oldest record is to be asked about where that takes long. */
  suspect(): void {
    for (const oldest of this.#sent.values()) {
      if (this.#ageOf(oldest) >= Math.min(doubtMillis, this.#deliveryTimeout / 2))
        this.#doubted.add(oldest.partition.topic)
      return
    }
  }

  /** What of these topics gets nowhere. What goes to others of their partitions has its report soon. */
  stuck(topics: ReadonlySet<string>): ReadonlyArray<Pending> {
    const places = new Set([...this.#late].flatMap(([place, topic]) => (topics.has(topic) ? [place] : [])))
    const found: Array<Pending> = []
    for (const pending of this.#sent.values()) {
      const place = key(pending.partition)
      if (topics.has(pending.partition.topic) && this.#ageOf(pending) >= stuckMillis) places.add(place)
      if (places.has(place)) found.push(pending)
    }
    return found
  }

  /** The time of a record is over: its topic, where that is known to be deserted already. */
  late({ partition }: Pending): ReadonlySet<string> {
    const { topic } = partition
    this.#doubted.add(topic)
    this.#late.set(key(partition), topic)
    return this.#madeAgain.has(topic) ? new Set([topic]) : none
  }

  /** How long a producer without records may rest, beside what it may otherwise. */
  restMillis(idleMillis: number): number {
    return this.#doubted.size > 0 ? Math.min(askMillis, idleMillis) : idleMillis
  }

  /** Topics are to be asked about now. */
  get isDue(): boolean {
    return this.#doubted.size > 0 && this.#now() >= this.#askAt
  }

  /** Another client is opened. */
  clear(): void {
    this.#ids.clear()
    for (const topics of [this.#doubted, this.#late, this.#madeAgain, this.#unknown]) topics.clear()
  }

  /** Asks about those in doubt: which are deserted. Where nobody answers they are asked about again. */
  readonly ask: Effect.Effect<ReadonlySet<string>> = Effect.suspend(() => {
    this.#askAt = Infinity
    const asked = [...this.#doubted]
    return Effect.map(this.#cluster.topics(asked), (found) => {
      const ids = new Map(found.map(({ id, name }) => [name, id]))
      for (const topic of asked) {
        this.#madeAgain.delete(topic)
        // It is not there yet, as for who creates it by producing: the next record asks again.
        if (!ids.has(topic)) this.#unknown.delete(topic)
        if (this.#ids.isMadeAgain(topic, ids.get(topic), this.#now())) this.#madeAgain.add(topic)
        else if (!this.#ids.isOther(topic))
          for (const [place, of] of this.#late) if (of === topic) this.#late.delete(place)
        // One whose records are only slow is in doubt for as long as they are.
        if (![...this.#late.values()].includes(topic)) this.#doubted.delete(topic)
      }
      return new Set([...this.#late.values()].filter((topic) => this.#madeAgain.has(topic)))
    })
  }).pipe(
    Effect.orElseSucceed(() => none),
    Effect.ensuring(
      Effect.sync(() => {
        this.#askAt = this.#now() + askMillis
      })
    )
  )
}
