/**
 * The fetching half of the native engine. A `Loop` looks which partitions want records, and asks their leaders; what
 * comes back waits in the partition's buffer until it is pulled.
 *
 * A broker holds a Fetch back until it has something, or `maxWait` has passed, and works on one request of a
 * connection at a time. So each leader has two lanes, connections of their own: while one request is held for
 * partitions that are at their end, a partition whose buffer has just been emptied is asked for on the other.
 *
 * Memory: no Fetch is sent while the buffers, with what is under way, hold `bufferBytes`; one partition is asked for
 * ahead of its reader until it holds `maxPartitionBytes`.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Backoff from "../Backoff.ts"
import type { Brokers } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import * as Compression from "../Compression.ts"
import * as Crc32c from "../Crc32c.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Fetch from "../protocol/messages/Fetch.ts"
import * as Records from "../protocol/records/Records.ts"
import type { FetchedRecord } from "../Record.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { Fetched, FetchSettings, PartitionReader, TransportConsumer } from "../Transport.ts"
import * as Loop from "../engine/Loop.ts"

/** What the engine works over. */
export interface Context {
  readonly brokers: Brokers["Service"]
  readonly cluster: Cluster["Service"]
}

/** From v13 on topics are named by id; v4 is the first with format 2. */
const fetchOptions = { minVersion: 4, maxVersion: 12 }
const lanes = 2

const offsetOutOfRange = 1
const topicAuthorizationFailed = 29
/** The leader has moved, or the broker knows less or more than we do: ask for metadata, then go on. */
const moved = new Set([3, 5, 6, 9, 74, 75, 76, 78, 100, 103])

interface Buffered extends Fetched {
  readonly bytes: number
}

interface Reader {
  readonly topic: string
  readonly partition: number
  /** Where the next Fetch starts. */
  next: number
  /** Where the next pull starts. */
  position: number
  readonly buffer: Array<Buffered>
  buffered: number
  /** Grows with every seek, so that a response that was under way is known to be old. */
  era: number
  underWay: boolean
  paused: boolean
  closed: boolean
  failure: KafkaError.KafkaError | undefined
  attempts: number
  retryAt: number
  end: number | undefined
  waiter: ((effect: Effect.Effect<Fetched, KafkaError.KafkaError>) => void) | undefined
}

/** What was asked for one partition. */
interface Asked {
  readonly reader: Reader
  readonly era: number
  readonly offset: number
}

type Response = (typeof Fetch.Response.schema)["Type"]
type PartitionResponse = Response["responses"][number]["partitions"][number]

let engines = 0

/** Makes the fetching half of the native engine. */
export const make = Effect.fnUntraced(function* (
  { brokers, cluster }: Context,
  settings: FetchSettings
): Effect.fn.Return<TransportConsumer, KafkaError.KafkaError, Scope.Scope> {
  const random = yield* Random.Random
  const compression = yield* Compression.Compression
  const crc32c = yield* Crc32c.Crc32c
  const engine = ++engines
  const readers = new Set<Reader>()
  /** Bytes in buffers, and those that the requests under way may bring. */
  let buffered = 0
  let expected = 0
  const busy = new Map<number, Array<boolean>>()

  const wants = (reader: Reader): boolean =>
    !reader.underWay && !reader.paused && reader.failure === undefined && reader.buffered < settings.maxPartitionBytes

  const loop = yield* Loop.make(cluster, (now) => {
    let wakeAt: number | undefined
    const byNode = new Map<number, Array<Reader>>()
    for (const reader of readers) {
      if (!wants(reader)) continue
      if (reader.retryAt > now) {
        wakeAt = Math.min(wakeAt ?? Infinity, reader.retryAt)
        continue
      }
      const leader = loop.leaderOf(reader.topic, reader.partition)
      if (leader === undefined) {
        loop.refresh(reader.topic)
        continue
      }
      const of = byNode.get(leader)
      if (of === undefined) byNode.set(leader, [reader])
      else of.push(reader)
    }
    for (const [node, wanting] of byNode) {
      let taken = busy.get(node)
      if (taken === undefined) busy.set(node, (taken = Array.from({ length: lanes }, () => false)))
      const lane = taken.indexOf(false)
      if (lane < 0) continue
      const asked: Array<Asked> = []
      for (const reader of wanting) {
        const room = settings.bufferBytes - buffered - expected
        // With nothing buffered and nothing under way one is always asked for, however small the bound.
        if (room < settings.maxPartitionBytes && buffered + expected > 0) break
        expected += settings.maxPartitionBytes
        reader.underWay = true
        asked.push({ reader, era: reader.era, offset: reader.next })
      }
      if (asked.length > 0) send(node, lane, taken, asked)
    }
    return wakeAt
  })

  const body = (asked: ReadonlyArray<Asked>) => () => {
    const topics = new Map<string, Array<object>>()
    for (const { reader, offset } of asked) {
      const partition = {
        partition: reader.partition,
        currentLeaderEpoch: cluster.known(reader.topic)?.partitions[reader.partition]?.leaderEpoch ?? -1,
        fetchOffset: offset,
        partitionMaxBytes: settings.maxPartitionBytes
      }
      const of = topics.get(reader.topic)
      if (of === undefined) topics.set(reader.topic, [partition])
      else of.push(partition)
    }
    return {
      maxWaitMs: settings.maxWait,
      minBytes: settings.minBytes,
      maxBytes: settings.maxBytes,
      isolationLevel: settings.isolation === "committed" ? 1 : 0,
      topics: [...topics].map(([topic, partitions]) => ({ topic, partitions }))
    }
  }

  const channelOf = (lane: number) => `fetch-${engine}-${lane}`

  const send = (node: number, lane: number, taken: Array<boolean>, asked: ReadonlyArray<Asked>) => {
    taken[lane] = true
    loop.fork(
      Effect.flatMap(brokers.get(node), (broker) =>
        broker.send(Fetch, body(asked), { ...fetchOptions, channel: channelOf(lane), held: settings.maxWait })
      ).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            taken[lane] = false
            receive(asked, exit)
            loop.wake()
          })
        ),
        Effect.ignore
      )
    )
  }

  const receive = (asked: ReadonlyArray<Asked>, exit: Exit.Exit<Response, KafkaError.KafkaError>) => {
    expected -= asked.length * settings.maxPartitionBytes
    settle(asked, exit)
    // Last: whoever is given records may have the loop look at once, which must not ask again for what is in hand.
    for (const { reader, era } of asked) if (era === reader.era) reader.underWay = false
  }

  const settle = (asked: ReadonlyArray<Asked>, exit: Exit.Exit<Response, KafkaError.KafkaError>) => {
    if (Exit.isFailure(exit)) {
      const error = failureOf(exit.cause)
      for (const { reader, era } of asked) {
        if (era !== reader.era) continue
        if (error === undefined || error.isRetryable) again(reader, true)
        else fail(reader, error)
      }
      return
    }
    const { errorCode, responses } = exit.value
    if (errorCode !== 0) {
      for (const { reader, era } of asked) if (era === reader.era) refused(reader, errorCode, undefined)
      return
    }
    const byName = new Map(asked.map((one) => [TopicPartition.key(one.reader), one]))
    for (const { topic, partitions } of responses) {
      for (const answer of partitions) {
        const found = byName.get(`${topic}-${answer.partitionIndex}`)
        if (found === undefined || found.era !== found.reader.era || found.reader.closed) continue
        if (answer.errorCode === 0) accept(found.reader, answer)
        else refused(found.reader, answer.errorCode, answer)
      }
    }
  }

  const refused = (reader: Reader, code: number, answer: PartitionResponse | undefined) => {
    const { topic, partition } = reader
    if (code === offsetOutOfRange) {
      const start = answer?.logStartOffset ?? -1
      const to = reader.next < start ? start : (answer?.highWatermark ?? -1)
      const known = to >= 0 ? { to } : {}
      return fail(reader, KafkaError.make({ _tag: "DataLoss", topic, partition, from: reader.next, ...known }))
    }
    if (code !== topicAuthorizationFailed && (moved.has(code) || ErrorCode.get(code).retriable)) {
      return again(reader, moved.has(code))
    }
    fail(reader, KafkaError.fromCode(code, { api: "Fetch", topic, partition }))
  }

  const again = (reader: Reader, refresh: boolean) => {
    reader.attempts++
    reader.retryAt = loop.now() + Backoff.delay(reader.attempts, random.nextDoubleUnsafe())
    if (refresh) loop.refresh(reader.topic, reader.partition)
  }

  const fail = (reader: Reader, error: KafkaError.KafkaError) => {
    reader.failure = error
    deliver(reader)
  }

  const accept = (reader: Reader, answer: PartitionResponse) => {
    const end = settings.isolation === "committed" ? answer.lastStableOffset : answer.highWatermark
    reader.end = end
    const bytes = answer.records
    if (bytes === null || bytes.length === 0) {
      reader.attempts = 0
      return
    }
    const decoded = Records.decode(bytes, { checkCrc: settings.checkCrcs, crc32c, compression, from: reader.next })
    const { batches, failure } = decoded
    let next = reader.next
    for (const batch of batches) if (batch.nextOffset > next) next = batch.nextOffset
    const records = visible(batches, settings.isolation === "committed" ? (answer.abortedTransactions ?? []) : [])
    if (next > reader.next) {
      reader.next = next
      reader.attempts = 0
      // What is held is the field and what its compressed batches have become.
      const held = bytes.length + decoded.decompressed
      reader.buffer.push({ records, nextOffset: next, endOffset: end, bytes: held })
      reader.buffered += held
      buffered += held
    }
    if (failure !== undefined) {
      // A bad transfer is cured by another one; bad bytes in the log are not.
      if (reader.attempts++ > 0 || failure.reason._tag !== "Corrupt") {
        const { topic, partition } = reader
        reader.failure = KafkaError.make({ ...failure.reason, topic, partition }, failure.cause)
      }
    }
    deliver(reader)
  }

  const take = (reader: Reader): Fetched | undefined => {
    if (reader.paused) return undefined
    const first = reader.buffer.shift()
    if (first === undefined) return undefined
    reader.buffered -= first.bytes
    buffered -= first.bytes
    reader.position = first.nextOffset
    loop.wake()
    return first
  }

  /** Gives whoever waits what is there: records first, then the failure behind them. */
  const deliver = (reader: Reader) => {
    const { waiter } = reader
    if (waiter === undefined) return
    const fetched = take(reader)
    if (fetched === undefined && (reader.failure === undefined || reader.paused)) return
    reader.waiter = undefined
    waiter(fetched === undefined ? Effect.fail(reader.failure!) : Effect.succeed(fetched))
  }

  const drop = (reader: Reader) => {
    reader.era++
    reader.underWay = false
    buffered -= reader.buffered
    reader.buffered = 0
    reader.buffer.length = 0
  }

  const open = (
    tp: TopicPartition.TopicPartition,
    offset: number
  ): Effect.Effect<PartitionReader, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const reader: Reader = {
          topic: tp.topic,
          partition: tp.partition,
          next: offset,
          position: offset,
          buffer: [],
          buffered: 0,
          era: 0,
          underWay: false,
          paused: false,
          closed: false,
          failure: undefined,
          attempts: 0,
          retryAt: 0,
          end: undefined,
          waiter: undefined
        }
        readers.add(reader)
        loop.wake()
        return reader
      }),
      (reader) =>
        Effect.sync(() => {
          reader.closed = true
          readers.delete(reader)
          drop(reader)
        })
    ).pipe(Effect.map(face))

  const face = (reader: Reader): PartitionReader => ({
    pull: Effect.suspend(() => {
      const fetched = take(reader)
      if (fetched !== undefined) return Effect.succeed(fetched)
      if (reader.failure !== undefined && !reader.paused) return Effect.fail(reader.failure)
      return Effect.callback<Fetched, KafkaError.KafkaError>((resume) => {
        reader.waiter = resume
        // The fiber may have yielded since it looked.
        deliver(reader)
        return Effect.sync(() => {
          if (reader.waiter === resume) reader.waiter = undefined
        })
      })
    }),
    seek: (offset) => {
      drop(reader)
      reader.next = reader.position = offset
      reader.failure = undefined
      reader.attempts = 0
      reader.retryAt = 0
      loop.wake()
    },
    pause: () => {
      reader.paused = true
    },
    resume: () => {
      reader.paused = false
      deliver(reader)
      loop.wake()
    },
    position: () => reader.position,
    endOffset: () => reader.end
  })

  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      loop.end,
      Effect.forEach(
        [...busy.keys()],
        (node) =>
          Effect.ignore(
            Effect.map(brokers.get(node), (broker) => {
              for (let lane = 0; lane < lanes; lane++) broker.hangUp(channelOf(lane))
            })
          ),
        { discard: true }
      )
    )
  )

  return { open }
})

const failureOf = (cause: Cause.Cause<KafkaError.KafkaError>): KafkaError.KafkaError | undefined => {
  for (const reason of cause.reasons) if (reason._tag === "Fail") return reason.error
  return undefined
}

interface Aborted {
  readonly producerId: number
  readonly firstOffset: number
}

/**
 * What a reader sees of batches: no control records, and no records of aborted transactions. A transaction is aborted
 * from the offset that the broker names until its producer's next abort marker; some brokers list them unsorted.
 */
const visible = (
  batches: ReadonlyArray<Records.DecodedBatch>,
  aborted: ReadonlyArray<Aborted>
): ReadonlyArray<FetchedRecord> => {
  if (batches.length === 1 && !batches[0]!.isControl && aborted.length === 0) return batches[0]!.records
  const ahead = aborted.length === 0 ? [] : [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
  const open = new Set<number>()
  const records: Array<FetchedRecord> = []
  let i = 0
  for (const batch of batches) {
    while (i < ahead.length && ahead[i]!.firstOffset <= batch.lastOffset) open.add(ahead[i++]!.producerId)
    if (batch.isControl) {
      const marker = batch.records[0]
      if (marker !== undefined && Records.controlType(marker) === "abort") open.delete(batch.producerId)
    } else if (!(batch.isTransactional && open.has(batch.producerId))) {
      for (const record of batch.records) records.push(record)
    }
  }
  return records
}
