/**
 * Pure. Which topics were made again since a client of librdkafka met them. librdkafka takes what it is told of such a one's
 * leaders for older than what it knows, where the epoch is lower, and stays with the old ones: another client does not.
 */
import type { Cluster } from "../Cluster.ts"
import { kept } from "../Kept.ts"

/**
 * How long another id must have been known before a new client may be opened: a broker may still tell of the old topic. And
 * for how long brokers must have told that there is none before nothing is awaited of it any more.
 */
const settledMillis = 10_000

interface Other {
  readonly id: string
  readonly since: number
  /** Since when there is no topic of the name. */
  readonly goneSince?: number
}

/** The ids of one client of librdkafka. A class, since they change as it meets topics. */
export class TopicIds {
  readonly #cluster: Pick<Cluster["Service"], "known">
  readonly #met = new Map<string, string>()
  readonly #others = new Map<string, Other>()

  constructor(cluster: Pick<Cluster["Service"], "known">) {
    this.#cluster = cluster
  }

  /** Keeps a topic's id before the client hears of it. False: it is not known; old brokers tell none. */
  meet(topic: string): boolean {
    if (this.#met.has(topic)) return true
    const id = this.#cluster.known(topic)?.id
    if (id !== undefined) this.#met.set(topic, id)
    return id !== undefined
  }

  /** Whether a topic that has this id now has had it for a while, and had another one when the client met it. */
  isMadeAgain(topic: string, id: string | undefined, now: number): boolean {
    const other = this.#others.get(topic)
    if (id === undefined) {
      if (other === undefined) return false
      const { goneSince = now } = other
      if (now - goneSince >= settledMillis) this.#others.delete(topic)
      else this.#others.set(topic, { ...other, goneSince })
      return false
    }
    if (kept(this.#met, topic, () => id) === id) {
      this.#others.delete(topic)
      return false
    }
    const since = other?.id === id ? other.since : now
    this.#others.set(topic, { id, since })
    return now - since >= settledMillis
  }

  /** Whether a topic has another id than the client met, by what was told last. */
  isOther(topic: string): boolean {
    return this.#others.has(topic)
  }

  /** Another client has met none. */
  clear(): void {
    this.#met.clear()
    this.#others.clear()
  }
}
