/**
 * Pure. A partition of a topic, by name and number: plain data, equal by structure (`Equal.equals`), usable as a key of
 * `HashMap`. For native `Map`s, `key` gives a string.
 *
 * @since 0.1.0
 */

/**
 * A topic's name and one of its partitions, counted from 0.
 *
 * @since 0.1.0
 * @category models
 */
export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/**
 * The same, with the topic's id where it is known: base64url, as `TopicInfo.id` tells it (brokers from 2.8 on). A topic
 * that was deleted and made again has another id, so whoever gives one means that topic alone (KIP-516).
 *
 * @since 0.1.0
 * @category models
 */
export interface TopicIdPartition extends TopicPartition {
  /** Undefined: the topic of that name, whichever it is. */
  readonly topicId?: string | undefined
}

/**
 * Makes a `TopicPartition`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (topic: string, partition: number): TopicPartition => ({ topic, partition })

/**
 * `"orders-0"`: a string that names the partition, for messages and as a key of a native `Map`. Unique, since what
 * stands behind the last dash is always the number.
 *
 * @since 0.1.0
 * @category constructors
 */
export const key = (self: TopicPartition): string => `${self.topic}-${self.partition}`

/**
 * Groups by a key, in the order in which the keys first appear.
 *
 * @since 0.1.0
 * @category grouping
 */
export const groupBy = <A, K>(items: Iterable<A>, keyOf: (item: A) => K): Map<K, Array<A>> => {
  const groups = new Map<K, Array<A>>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

/**
 * Groups by topic, as requests of the protocol want it.
 *
 * @since 0.1.0
 * @category grouping
 */
export const byTopic = <A extends { readonly topic: string }>(partitions: Iterable<A>): Map<string, Array<A>> =>
  groupBy(partitions, (partition) => partition.topic)
