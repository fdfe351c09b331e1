/**
 * A partition of a topic, by name and number: plain data, equal by structure (`Equal.equals`), usable as a key of
 * `HashMap`. For native `Map`s, `key` gives a string.
 */

/** A topic's name and one of its partitions, counted from 0. */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** Makes a `TopicPartition`. */
export const make = (topic: string, partition: number): TopicPartition => ({ topic, partition })

/**
 * `"orders-0"`: a string that names the partition, for messages and as a key of a native `Map`. Unique, since what
 * stands behind the last dash is always the number.
 */
export const key = (self: TopicPartition): string => `${self.topic}-${self.partition}`
