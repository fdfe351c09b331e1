/** Reading the cluster's state as Effect values: logs decoded by the topic's Schemas, groups, commits, waits. */
import * as Effect from "effect/Effect"
import * as TopicDecoder from "../../consume/TopicDecoder.ts"
import * as KafkaError from "../../KafkaError.ts"
import * as Records from "../../protocol/records/Records.ts"
import type { FetchedRecord } from "../../Record.ts"
import * as Topic from "../../Topic.ts"
import type { EmbeddedCluster } from "../embedded/Cluster.ts"
import type { EmbeddedPartition } from "../embedded/Partition.ts"

/** A record as it lies in the log. */
export interface LogRecord<K, V, H = Topic.Headers> {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: K
  readonly value: V
  readonly headers: H
  /** Its transaction is open: readers of committed data do not see it yet. */
  readonly open?: true
}

interface Visible {
  readonly partition: number
  readonly record: FetchedRecord
  readonly open: boolean
}

/** The records of a partition that a reader of committed data, and of open transactions, would see. */
const visible = (cluster: EmbeddedCluster, partition: EmbeddedPartition): ReadonlyArray<Visible> => {
  const { log } = partition
  const out: Array<Visible> = []
  for (const entry of log.entries) {
    const decoded = Records.decode(log.bytesOf(entry), {
      compression: cluster.settings.compression,
      from: log.startOffset
    })
    if (decoded.failure !== undefined) throw decoded.failure
    for (const batch of decoded.batches) {
      if (batch.isControl) continue
      const aborted = batch.isTransactional && log.isAborted(batch)
      const start = log.producers.byId.get(batch.producerId)?.transactionStart ?? -1
      const open = batch.isTransactional && start >= 0 && batch.baseOffset >= start
      if (!aborted) for (const record of batch.records) out.push({ partition: partition.index, record, open })
    }
  }
  return out
}

const decodePart = <I>(
  decode: TopicDecoder.Decode<I> | undefined,
  input: I,
  fail: (issue: string) => KafkaError.KafkaError
): Effect.Effect<unknown, KafkaError.KafkaError, any> => {
  if (decode === undefined) return Effect.succeed(input)
  try {
    const value = decode(input)
    return value instanceof TopicDecoder.Pending
      ? Effect.mapError(value.effect, (refused) =>
          fail(refused instanceof TopicDecoder.Refused ? refused.issue : String(refused))
        )
      : Effect.succeed(value)
  } catch (refused) {
    return Effect.fail(fail(refused instanceof TopicDecoder.Refused ? refused.issue : String(refused)))
  }
}

/** The records of a topic or of one of its partitions, decoded. */
export const log = (
  cluster: EmbeddedCluster,
  topic: Topic.Any | string,
  only?: number
): Effect.Effect<ReadonlyArray<LogRecord<any, any, any>>, KafkaError.KafkaError, any> =>
  Effect.suspend(() => {
    const name = typeof topic === "string" ? topic : topic.name
    const decoder = TopicDecoder.compile(typeof topic === "string" ? Topic.bytes(topic) : topic)
    const known = cluster.topics.get(name)
    if (known === undefined) return Effect.fail(KafkaError.make({ _tag: "UnknownTopic", topic: name }))
    const found: Array<Visible> = []
    try {
      for (const partition of known.partitions) {
        if (only !== undefined && partition.index !== only) continue
        for (const one of visible(cluster, partition)) found.push(one)
      }
    } catch (error) {
      return error instanceof KafkaError.KafkaError ? Effect.fail(error) : Effect.die(error)
    }
    return Effect.forEach(found, ({ open, partition, record }) => {
      const { key, offset, timestamp, value } = record
      const fail = (part: "key" | "value" | "headers") => (issue: string) =>
        KafkaError.make({ _tag: "Decode", topic: name, partition, offset, part, key, value, issue })
      return Effect.map(
        Effect.all([
          decodePart(decoder.key, key, fail("key")),
          decodePart(decoder.value, value, fail("value")),
          decodePart(decoder.headers, record.headers, fail("headers"))
        ]),
        ([key, value, headers]) => ({
          topic: name,
          partition,
          offset,
          timestamp,
          key,
          value,
          headers,
          ...(open ? { open } : undefined)
        })
      )
    })
  })

/** Waits until `get` gives something, asked whenever the cluster's state changes. */
export const until = <A>(cluster: EmbeddedCluster, get: () => A | undefined): Effect.Effect<A> =>
  Effect.callback<A>((resume) => {
    const now = get()
    if (now !== undefined) return resume(Effect.succeed(now))
    const check = () => {
      const value = get()
      if (value === undefined) return
      cluster.onChange.delete(check)
      resume(Effect.succeed(value))
    }
    cluster.onChange.add(check)
    return Effect.sync(() => cluster.onChange.delete(check))
  })
