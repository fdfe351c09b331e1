/** What the log says of partitions that cannot be fetched: of each the first, then by doubling. */
import type * as Effect from "effect/Effect"
import type * as KafkaError from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import * as TopicPartition from "../TopicPartition.ts"

/** One that has no leader: since when, when that was last seen, and after how long it is told next. */
export interface Leaderless {
  readonly since: number
  last: number
  next: number
}

/** It is seen to have none. */
export const leaderless = (before: Leaderless | undefined, now: number): Leaderless => {
  // Nobody looked for so long: it may have had one.
  if (before === undefined || now - before.last > LogEvent.failedApart)
    return { since: now, last: now, next: LogEvent.lastsAfter }
  before.last = now
  return before
}

/** What is told of. */
interface Fetched extends TopicPartition.TopicPartition {
  readonly place: TopicPartition.TopicPartition
  /** The offset that is asked for. */
  readonly next: number
  readonly isNoticeable: boolean
  readonly leaderless: Leaderless | undefined
}

export class Told {
  readonly #repeated = new LogEvent.Repeated()
  readonly #fork: (effect: Effect.Effect<void>) => unknown

  constructor(fork: (effect: Effect.Effect<void>) => unknown) {
    this.#fork = fork
  }

  /** An attempt has failed. */
  retried(partition: Fetched, why: string | KafkaError.KafkaError): void {
    if (partition.isNoticeable) this.#tell(partition, why)
  }

  /** It was looked for where to fetch it: nobody is asked, and no attempt fails, where it has no leader. */
  located(partition: Fetched): void {
    const is = partition.leaderless
    if (is === undefined || is.last - is.since < is.next) return
    is.next *= 2
    this.#tell(partition, "LEADER_NOT_AVAILABLE")
  }

  #tell(partition: Fetched, why: string | KafkaError.KafkaError): void {
    const kind = typeof why === "string" ? why : why.reason._tag
    const key = TopicPartition.key(partition)
    const what = `${key} cannot be fetched at offset ${partition.next}, and is tried again`
    this.#fork(this.#repeated.log(kind, key, "fetchRetried", what, partition.place, why))
  }
}
