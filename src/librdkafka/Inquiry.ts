/**
 * What to make of a partition that is silent. librdkafka tells an error without its partition, and sometimes not at all;
 * so a partition from which nothing was heard is asked about, by this client's own connections: whether its topic is there
 * and its position still exists. Where all is well with both, it is fetched anew: librdkafka tells the end of a log once,
 * and what was read together with an error is lost. Where that does not help and errors go on, the last is its failure.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Cluster } from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"
import * as RdError from "./RdError.ts"
import type { RdReader } from "./RdReader.ts"

/** The longest wait between two questions about one partition. */
const silenceAtMost = 30_000
/** In how many rounds of questions an error must have been told before it is taken for a silent partition's own. */
const suspectRounds = 2

/** Who is asked. */
export interface Context {
  readonly cluster: Cluster["Service"]
  /** Milliseconds that a topic may be gone before its readers fail. */
  readonly metadataTimeout: number
  /** On the monotonic clock. */
  readonly now: () => number
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

/** Asks about one partition, and does with it what the answers say. */
export const inquire = (reader: RdReader, context: Context): Effect.Effect<void> =>
  Effect.ensuring(
    ask(reader, context),
    Effect.sync(() => {
      reader.asking = false
    })
  )

const ask = (reader: RdReader, { cluster, metadataTimeout, now }: Context): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { next, partition, topic } = reader
    const place = { topic, partition }
    const { suspicion } = reader
    reader.suspicion = undefined
    reader.suspected = suspicion?.isOwn === true ? reader.suspected + 1 : 0
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
      reader.heardAt = now()
      return
    }
    const [earliest = 0, latest = 0] = known.success
    if (next < earliest || next > latest) {
      const to = next < earliest ? earliest : latest
      return reader.fail(KafkaError.make({ _tag: "DataLoss", ...place, kind: "outOfRange", from: next, to }))
    }
    // Its leader has answered, so it can be fetched. At the end of its log it waits for nothing, once that was told.
    if (reader.heard && next === latest) return
    const silent = now() - reader.heardAt
    if (suspicion !== undefined && reader.suspected >= suspectRounds && silent >= suspicion.silence) {
      return reader.fail(RdError.notFetched({ ...place, offset: next }, suspicion))
    }
    // The first silence may be a slow answer's; an error may have taken with it what was read.
    if (suspicion !== undefined || reader.asked > 0) reader.again()
    reader.asked++
  })
