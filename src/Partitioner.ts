/**
 * Which partition a record goes to. A partitioner makes, once for each producer, a plain function that is called for
 * every record that names no partition; whatever it remembers (the sticky partition of a topic, a counter) lives in
 * that function.
 *
 * Your own:
 *
 * ```ts
 * import { Partitioner } from "samsa"
 *
 * export const byFirstByte: Partitioner.Partitioner = {
 *   name: "byFirstByte",
 *   make: () => (_topic, key, partitions) => (key === null || key.length === 0 ? 0 : key[0]! % partitions)
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as crypto from "node:crypto"
import * as zlib from "node:zlib"
import * as KafkaError from "./KafkaError.ts"

/**
 * The choice for one record, synchronously: a number from 0 to `partitions - 1`.
 *
 * `partitions` is how many the topic has, at least 1. `available` are those that have a leader now, ascending; it may be
 * empty. A choice by key must not depend on it, or a key moves while a broker is away. `bytes` is about what the record
 * takes in a batch. What it throws fails the record.
 *
 * @since 0.1.0
 * @category models
 */
export type Choose = (
  topic: string,
  key: Uint8Array | null,
  partitions: number,
  available: ReadonlyArray<number>,
  bytes: number
) => number

/**
 * How partitions are chosen.
 *
 * @since 0.1.0
 * @category models
 */
export interface Partitioner {
  readonly name: string
  /** Called once for each producer; `random` gives numbers from 0 to below 1, from Effect's `Random`. */
  readonly make: (random: () => number) => Choose
}

/**
 * Settings of `defaultPartitioner` and `sticky`.
 *
 * @since 0.1.0
 * @category models
 */
export interface StickyOptions {
  /**
   * Bytes that go to one partition before another is drawn. Default 16384, Java's `batch.size`, from which KIP-794 takes
   * it; give the producer's `batchBytes` where that is larger.
   */
  readonly bytes?: number | undefined
}

/**
 * Java's: a record with a key goes to `murmur2(key) mod partitions`, so that every client in Java's way agrees; one
 * without a key goes with others to one partition until a batch's worth of bytes is there, then to another drawn at
 * random (KIP-480, KIP-794).
 *
 * @since 0.1.0
 * @category partitioners
 */
export const defaultPartitioner = (options: StickyOptions = {}): Partitioner => ({
  name: "default",
  make: (random) => {
    const stick = sticking(random, options.bytes ?? 16384)
    return (topic, key, partitions, available, bytes) =>
      key === null ? stick(topic, partitions, available, bytes) : positive(murmur2(key)) % partitions
  }
})

/**
 * All records as those without a key: Java's `partitioner.ignore.keys`.
 *
 * @since 0.1.0
 * @category partitioners
 */
export const sticky = (options: StickyOptions = {}): Partitioner => ({
  name: "sticky",
  make: (random) => {
    const stick = sticking(random, options.bytes ?? 16384)
    return (topic, _key, partitions, available, bytes) => stick(topic, partitions, available, bytes)
  }
})

/**
 * librdkafka's `consistent`: `crc32(key) mod partitions`; no key is as an empty one, partition 0.
 *
 * @since 0.1.0
 * @category partitioners
 */
export const consistent: Partitioner = {
  name: "consistent",
  make: () => (_topic, key, partitions) => (key === null ? 0 : zlib.crc32(key) % partitions)
}

/**
 * librdkafka's default `consistent_random`: as `consistent`, but at random where the key is missing or empty.
 *
 * @since 0.1.0
 * @category partitioners
 */
export const consistentRandom: Partitioner = {
  name: "consistentRandom",
  make: (random) => (_topic, key, partitions, available) =>
    key === null || key.length === 0 ? draw(random, partitions, available) : zlib.crc32(key) % partitions
}

/**
 * Each record at random, whatever its key (PyKafka 2.3's `random_partitioner`, librdkafka's `random`).
 *
 * @since 0.1.0
 * @category partitioners
 */
export const random: Partitioner = {
  name: "random",
  make: (random) => (_topic, _key, partitions, available) => draw(random, partitions, available)
}

/**
 * One partition after the other, whatever the key, from partition 1 on (PyKafka's later `RandomPartitioner`). Those
 * without a leader take their turn too.
 *
 * @since 0.1.0
 * @category partitioners
 */
export const roundRobin: Partitioner = {
  name: "roundRobin",
  make: () => {
    const last = new Map<string, number>()
    return (topic, _key, partitions) => {
      const next = ((last.get(topic) ?? 0) + 1) % partitions
      last.set(topic, next)
      return next
    }
  }
}

/**
 * A hash of a key: any whole number.
 *
 * @since 0.1.0
 * @category models
 */
export type Hash = (key: Uint8Array) => number | bigint

/**
 * SHA-1 as a number of 160 bits: PyKafka's hash.
 *
 * @since 0.1.0
 * @category hashes
 */
export const sha1: Hash = (key) => BigInt(`0x${crypto.hash("sha1", key, "hex")}`)

/**
 * PyKafka's `HashingPartitioner`: `abs(hash(key)) mod partitions`, by default with SHA-1. A record without a key fails
 * with `Misuse`.
 *
 * @since 0.1.0
 * @category partitioners
 */
export const hashing = (hash: Hash = sha1): Partitioner => ({
  name: "hashing",
  make: () => (_topic, key, partitions) => indexOf(hash(keyOf(key, "hashing")), partitions)
})

/**
 * PyKafka's `GroupHashingPartitioner`: as `hashing`, spread at random over `groupSize` partitions from there, for keys
 * that are too hot for one. Throws `Misconfigured` for a group of less than one; a record without a key, and one for a
 * topic with fewer partitions than the group, fails with `Misuse`.
 *
 * @since 0.1.0
 * @category partitioners
 */
export const groupHashing = (options: {
  readonly groupSize: number
  readonly hash?: Hash | undefined
}): Partitioner => {
  const { groupSize, hash = sha1 } = options
  if (!Number.isInteger(groupSize) || groupSize < 1)
    throw KafkaError.make({ _tag: "Misconfigured", mistakes: [`groupSize is a whole number from 1, not ${groupSize}`] })
  return {
    name: "groupHashing",
    make: (random) => (topic, key, partitions) => {
      if (groupSize > partitions)
        throw KafkaError.make({
          _tag: "Misuse",
          topic,
          message: `a group of ${groupSize} partitions does not fit in the ${partitions} of the topic`
        })
      const shift = Math.floor(random() * groupSize)
      return indexOf(BigInt(hash(keyOf(key, "groupHashing"))) + BigInt(shift), partitions)
    }
  }
}

/**
 * Java's murmur2 of any bytes, as a signed 32-bit number (`Utils.murmur2`).
 *
 * @since 0.1.0
 * @category hashes
 */
export const murmur2 = (key: Uint8Array): number => {
  const n = key.length
  let h = 0x9747b28c ^ n
  let i = 0
  for (const last = n - 4; i <= last; i += 4) {
    let k = key[i]! | (key[i + 1]! << 8) | (key[i + 2]! << 16) | (key[i + 3]! << 24)
    k = Math.imul(k, 0x5bd1e995)
    k ^= k >>> 24
    h = Math.imul(h, 0x5bd1e995) ^ Math.imul(k, 0x5bd1e995)
  }
  if (i < n) {
    h ^= key[i]!
    if (i + 1 < n) h ^= key[i + 1]! << 8
    if (i + 2 < n) h ^= key[i + 2]! << 16
    h = Math.imul(h, 0x5bd1e995)
  }
  h ^= h >>> 13
  h = Math.imul(h, 0x5bd1e995)
  return h ^ (h >>> 15)
}

/** Java's `toPositive`: the sign bit cleared, which is not the absolute value. */
const positive = (h: number): number => h & 0x7fffffff

const draw = (random: () => number, partitions: number, available: ReadonlyArray<number>): number =>
  available.length === 0 ? Math.floor(random() * partitions) : available[Math.floor(random() * available.length)]!

interface Stuck {
  readonly partition: number
  left: number
}

const sticking = (random: () => number, limit: number) => {
  const topics = new Map<string, Stuck>()
  // Runs of records of one topic are the rule: they skip the Map.
  let lastTopic: string | undefined
  let last: Stuck | undefined
  return (topic: string, partitions: number, available: ReadonlyArray<number>, bytes: number): number => {
    let stuck = topic === lastTopic ? last : topics.get(topic)
    if (
      stuck === undefined ||
      stuck.left <= 0 ||
      stuck.partition >= partitions ||
      (available.length > 0 && available.length < partitions && !available.includes(stuck.partition))
    ) {
      stuck = { partition: draw(random, partitions, available), left: limit }
      topics.set(topic, stuck)
    }
    lastTopic = topic
    last = stuck
    stuck.left -= bytes
    return stuck.partition
  }
}

const keyOf = (key: Uint8Array | null, name: string): Uint8Array => {
  if (key === null) throw KafkaError.make({ _tag: "Misuse", message: `the ${name} partitioner needs a key` })
  return key
}

const indexOf = (hash: number | bigint, partitions: number): number => {
  if (typeof hash === "number") return Math.abs(hash) % partitions
  const index = Number(hash % BigInt(partitions))
  return index < 0 ? -index : index
}
