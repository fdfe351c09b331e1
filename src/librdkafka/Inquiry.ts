/**
 * What to make of a partition that is silent. librdkafka tells an error without its partition, and sometimes not at all;
 * so a partition from which nothing was heard is asked about, by this client's own connections: whether its topic is there
 * and its position still exists. Where all is well with both, it is fetched anew: librdkafka tells the end of a log once,
 * and what was read together with an error is lost. Where that does not help and errors go on, the last is its failure.
 * Where it does not help, and the client brings nothing of others either, another client takes its place: librdkafka that
 * was told of no broker, as a broker tells that has just started alone, can stay without any (its issue 5301).
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Cluster } from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"
import type { FetchSettings } from "../Transport.ts"
import * as RdError from "./RdError.ts"
import type { RdReader } from "./RdReader.ts"
import type { TopicIds } from "./TopicIds.ts"

/** The longest wait between two questions about one partition; at its end there is one as often. */
const silenceAtMost = 30_000
/** In how many rounds of questions an error must have been told before it is taken for a silent partition's own. */
const suspectRounds = 2

/** For how long one must have been silent before another client is opened for it: a fetch that is throttled takes less. */
const desertedMillis = 20_000
/** Who has answered after so long only was not there meanwhile, and nothing could be fetched. */
const absentMillis = 5000
/** How often it must have been asked about: all but the first time it was fetched anew. */
const desertedRounds = 2

const madeAgain = "librdkafka stays with the leaders of a topic that was made again"
const standsStill = "librdkafka brings nothing, though there are records and their leaders answer"

/** For how long a leader must tell that a position is not there up to which was read, where librdkafka does not tell so. */
const lostMillis = 10_000

/** Who is asked. */
export interface Context {
  readonly cluster: Cluster["Service"]
  readonly isolation: FetchSettings["isolation"]
  /** Milliseconds that a topic may be gone before its readers fail. */
  readonly metadataTimeout: number
  /** On the monotonic clock. */
  readonly now: () => number
  /** As the client of librdkafka met them. */
  readonly topicIds: TopicIds
  /** Milliseconds for which a broker may hold a Fetch. */
  readonly maxWait: number
  /** When the client of librdkafka has brought anything last, of whichever partition. */
  readonly broughtAt: () => number
  /** Opens another client of librdkafka, and tells why. */
  readonly renew: (why: string) => Effect.Effect<void>
}

/**
 * Those from which nothing was heard for too long, and which are to be asked about now. `outOfRange`: some position is
 * no longer there, so that all of them are asked about at once.
 */
export const doubtful = (
  readers: Iterable<RdReader>,
  now: number,
  outOfRange: boolean,
  base: number
): ReadonlyArray<RdReader> => {
  const silent: Array<RdReader> = []
  for (const reader of readers) {
    const { askedAt, asking, due, end, failure, heard, heardAt, isAssigned, next, silence } = reader
    if (asking || !isAssigned || due !== undefined || failure !== undefined) continue
    // At its end a partition is silent for good reason.
    const tooLong = now - Math.max(heardAt, askedAt) >= silence && (!heard || end === undefined || next < end)
    if (outOfRange || tooLong) silent.push(reader)
  }
  for (const reader of silent) {
    reader.askedAt = now
    reader.silence = Math.min(silenceAtMost, Math.max(base, reader.silence * 2))
    reader.asking = true
  }
  return silent
}

/** Those that have said nothing at their ends for so long that it is to be looked at these now. */
export const resting = (readers: Iterable<RdReader>, now: number): ReadonlyArray<RdReader> => {
  const found: Array<RdReader> = []
  for (const reader of readers) {
    const { askedAt, asking, due, end, failure, heard, heardAt, isAssigned, next } = reader
    if (asking || !isAssigned || due !== undefined || failure !== undefined) continue
    if (heard && end !== undefined && next >= end && now - Math.max(heardAt, askedAt) >= silenceAtMost)
      found.push(reader)
  }
  for (const reader of found) {
    reader.askedAt = now
    reader.asking = true
  }
  return found
}

/**
 * Looks at the ends of partitions that say nothing, all with one question: librdkafka can fall silent there, and says
 * nothing of a topic that is gone. One that is no longer at its end is silent from then on, and asked about as such.
 */
export const lookAtEnds = (
  readers: ReadonlyArray<RdReader>,
  { cluster, isolation }: Context
): Effect.Effect<void, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    const before = new Map(readers.map((reader) => [reader, reader.next]))
    const isAsBefore = (reader: RdReader) => reader.next === before.get(reader) && reader.due === undefined
    const names = [...new Set(readers.map(({ topic }) => topic))]
    const topics = new Map((yield* cluster.topics(names, { unready: true })).map((info) => [info.name, info]))
    const there: Array<RdReader> = []
    for (const reader of readers) {
      const partitions = topics.get(reader.topic)?.partitions
      if (partitions?.[reader.partition] !== undefined) there.push(reader)
      else if (partitions?.length !== 0 && isAsBefore(reader)) reader.end = undefined
    }
    const lookAt = (some: ReadonlyArray<RdReader>) =>
      Effect.map(
        cluster.offsets(
          some.map(({ partition, topic }) => ({ topic, partition, at: "latest" })),
          { isolation }
        ),
        (ends) => {
          for (const [i, reader] of some.entries()) {
            if (reader.next === ends[i] || !isAsBefore(reader)) continue
            // A log that ends before is another one, or was cut.
            reader.end = ends[i]! > reader.next ? ends[i] : undefined
          }
        }
      )
    // One that nothing can be told of is not to keep the others from being looked at.
    const oneByOne = Effect.forEach(there, (reader) => Effect.ignore(lookAt([reader])), {
      concurrency: 16,
      discard: true
    })
    if (there.length > 0) yield* Effect.catch(lookAt(there), () => oneByOne)
  }).pipe(
    Effect.ensuring(
      Effect.sync(() => {
        for (const reader of readers) reader.asking = false
      })
    )
  )

/** Asks about one partition, and does with it what the answers say. */
export const inquire = (reader: RdReader, context: Context): Effect.Effect<void> =>
  Effect.ensuring(
    ask(reader, context),
    Effect.sync(() => {
      reader.asking = false
    })
  )

const ask = (reader: RdReader, context: Context): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { broughtAt, cluster, maxWait, metadataTimeout, now, renew, topicIds } = context
    const { next, partition, topic } = reader
    const place = { topic, partition }
    const began = now()
    const { suspicion } = reader
    reader.suspicion = undefined
    reader.suspected = suspicion?.isOwn === true ? reader.suspected + 1 : 0
    // Of some partition it was told that its position is not there, which a leader may say that is not up to date: librdkafka
    // fetches that one no more, whichever it is.
    const isLeft = suspicion?.code === RdError.codes.AUTO_OFFSET_RESET
    const found = yield* Effect.result(cluster.topics([topic]))
    if (Result.isSuccess(found)) {
      const there = found.success[0]?.partitions[partition] !== undefined
      const at = now()
      reader.goneSince = there ? undefined : (reader.goneSince ?? at)
      if (reader.goneSince !== undefined && at - reader.goneSince >= metadataTimeout) {
        return reader.fail(KafkaError.make({ _tag: "UnknownTopic", topic, partition }))
      }
      if (!there) return
    }
    const known = yield* Effect.result(
      cluster.offsets([
        { ...place, at: "earliest" },
        { ...place, at: "latest" }
      ])
    )
    // Moved on meanwhile, or heard of: what was found out is of no use.
    if (reader.next !== next || reader.due !== undefined || reader.closed || reader.failure !== undefined) return
    if (Result.isFailure(known)) {
      const { reason } = known.failure
      if (reason._tag === "Unauthorized") reader.fail(known.failure)
      // A broker that does not answer has said nothing of the partition.
      reader.excuse()
      if (isLeft) reader.again()
      return
    }
    const [earliest = 0, latest = 0] = known.success
    const id = Result.isSuccess(found) ? found.success[0]?.id : undefined
    if (next < earliest || next > latest) {
      if (reader.isOfAnother(id)) {
        reader.recreated(id)
        // By a broker that lags behind, and may lead the topic of before still.
        if (reader.failure === undefined) reader.again()
        return
      }
      // A leader of old, that has not heard of the new one, knows less than what was read of that. Fetched anew, librdkafka
      // tells.
      reader.lostSince ??= now()
      if (reader.heard && !isLeft && now() - reader.lostSince < lostMillis) return reader.again()
      const to = next < earliest ? earliest : latest
      return reader.fail(KafkaError.make({ _tag: "DataLoss", ...place, kind: "outOfRange", from: next, to }))
    }
    reader.lostSince = undefined
    // Its leader has answered, so it can be fetched. At the end of its log it waits for nothing, once that was told.
    if (reader.heard && next === latest) {
      reader.end ??= latest
      return isLeft ? reader.again() : undefined
    }
    if (now() - began >= absentMillis) reader.excuse()
    const silent = now() - reader.heardAt
    // librdkafka takes what is told of such a topic's leaders for older than what it knows, and stays with the old ones.
    if (topicIds.isMadeAgain(topic, id, now()) && silent >= desertedMillis) return yield* renew(madeAgain)
    if (suspicion !== undefined && reader.suspected >= suspectRounds && silent >= suspicion.silence) {
      return reader.fail(RdError.notFetched({ ...place, offset: next }, suspicion))
    }
    const still = Math.min(silent, now() - broughtAt())
    if (reader.asked >= desertedRounds && still >= desertedMillis + maxWait) return yield* renew(standsStill)
    // The first silence may be a slow answer's; an error may have taken with it what was read.
    if (suspicion !== undefined || reader.asked > 0) reader.again()
    reader.asked++
  })
