/** What a Produce request carries, as it came over the wire. */
import type { EmbeddedKafka } from "samsa/testing"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import type { Codec } from "./Client.ts"

interface Produce {
  readonly topicData: ReadonlyArray<{
    readonly partitionData: ReadonlyArray<{ readonly records: Uint8Array | null }>
  }>
}

const recordsOf = ({ request }: EmbeddedKafka.RequestInfo): Uint8Array =>
  (request as Produce).topicData[0]!.partitionData[0]!.records!

const codecs: ReadonlyArray<Codec> = ["none", "gzip", "snappy", "lz4", "zstd"]

/** The format of the request's first batch. */
export const magicOf = (request: EmbeddedKafka.RequestInfo): number => recordsOf(request)[16]!

/** How the request's first batch is compressed: in format 2 the attributes stand elsewhere than in 0 and 1. */
export const codecOf = (request: EmbeddedKafka.RequestInfo): Codec => {
  const records = recordsOf(request)
  return codecs[records[magicOf(request) === 2 ? 22 : 17]! & 7]!
}

/** The producer id of the request's first batch; -1 where it is not idempotent. */
export const producerOf = (request: EmbeddedKafka.RequestInfo): number =>
  RecordBatch.header(recordsOf(request)).producerId
