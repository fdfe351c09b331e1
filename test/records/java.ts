/** The lines of test/golden/Records.java: what Java wrote, and what Java reads from it. */
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Zlib from "node:zlib"
import type { FetchedRecord } from "../../src/Record.ts"
import type * as Records from "../../src/protocol/records/Records.ts"

export interface JavaRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: ReadonlyArray<readonly [string, string | null]>
}

export interface JavaBatch {
  readonly magic: number
  readonly base: number
  readonly last: number
  readonly ts: "CreateTime" | "LogAppendTime" | "NoTimestampType"
  readonly maxTs: number
  readonly compression: string
  readonly pid: number
  readonly epoch: number
  readonly seq: number
  readonly txn: boolean
  readonly control: boolean
  readonly leaderEpoch: number
  readonly deleteHorizon: number | null
  readonly size: number
}

/** The records of a batch, or their digest, come before it. */
type Read =
  | (JavaRecord & { readonly sequence: number })
  | { readonly digest: string; readonly count: number }
  | { readonly batch: JavaBatch }

export interface Line {
  readonly name: string
  readonly hex: string
  readonly batches: number
  readonly error: string | null
  readonly read: ReadonlyArray<Read>
  readonly cannotWrite?: string
}

export interface Murmur2 {
  readonly murmur2: string
  readonly hash: number
  readonly partitionOf7: number
}

const parsed = Zlib.gunzipSync(Fs.readFileSync(new URL("../golden/records.jsonl.gz", import.meta.url)))
  .toString()
  .trimEnd()
  .split("\n")
  .map((line): Line | Murmur2 => JSON.parse(line))

/** Batches and message sets. */
export const lines: ReadonlyArray<Line> = parsed.filter((x): x is Line => "hex" in x)
/** What Java itself refuses to write. */
export const refused: ReadonlyArray<string> = parsed.flatMap((x) => ("cannotWrite" in x ? [x.name] : []))
export const murmur2: ReadonlyArray<Murmur2> = parsed.filter((x): x is Murmur2 => "murmur2" in x)

const hex = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString("hex"))

/** A record as Java prints it. */
export const asJava = (record: Omit<FetchedRecord, "offset"> & { readonly offset?: number }): JavaRecord => ({
  offset: record.offset ?? 0,
  timestamp: record.timestamp,
  key: hex(record.key),
  value: hex(record.value),
  headers: record.headers.map(([name, value]) => [name, hex(value)] as const)
})

/** The digest that stands in the place of many records; their sequences are -1. */
export const digest = (records: ReadonlyArray<JavaRecord>): string => {
  const hash = createHash("sha256")
  for (const { headers, key, offset, timestamp, value } of records)
    hash.update(`${JSON.stringify({ offset, timestamp, sequence: -1, key, value, headers })}\n`)
  return hash.digest("hex")
}

const timestampType = { CreateTime: "create", LogAppendTime: "append", NoTimestampType: "create" } as const
export const compressions = ["none", "gzip", "snappy", "lz4", "zstd"]

/** What a reading of ours has in common with Java's: comparable by deep equality. */
export const comparable = (
  batches: ReadonlyArray<Records.DecodedBatch>
): ReadonlyArray<{ readonly batch: object; readonly records: ReadonlyArray<JavaRecord> }> =>
  batches.map((batch) => ({
    batch: {
      magic: batch.magic,
      base: batch.baseOffset,
      last: batch.lastOffset,
      ts: batch.timestampType,
      maxTs: batch.maxTimestamp,
      compression: compressions[batch.compression],
      pid: batch.producerId,
      epoch: batch.producerEpoch,
      seq: batch.baseSequence,
      txn: batch.isTransactional,
      control: batch.isControl,
      leaderEpoch: batch.partitionLeaderEpoch,
      size: batch.size
    },
    records: batch.records.map(asJava)
  }))

/** The same of what Java reads. Uncompressed messages of old formats, a batch each in Java, are joined as ours are. */
export const expected = (line: Line) => {
  const out: Array<{ batch: Record<string, unknown>; records: Array<JavaRecord>; digest?: string; count?: number }> = []
  let records: Array<JavaRecord> = []
  let summary: { digest?: string; count?: number } = {}
  for (const item of line.read) {
    if ("digest" in item) summary = item
    else if (!("batch" in item)) {
      const { sequence: _, ...record } = item
      records.push(record)
    } else {
      const { deleteHorizon: _, leaderEpoch, ts, ...rest } = item.batch
      const batch = { ...rest, ts: timestampType[ts], leaderEpoch: item.batch.magic < 2 ? -1 : leaderEpoch }
      const before = out.at(-1)
      if (
        before !== undefined &&
        batch.magic < 2 &&
        batch.compression === "none" &&
        before.batch.compression === "none" &&
        before.batch.magic === batch.magic &&
        before.batch.ts === batch.ts
      ) {
        before.records.push(...records)
        before.batch.last = batch.last
        before.batch.maxTs = Math.max(before.batch.maxTs as number, batch.maxTs)
        before.batch.size = (before.batch.size as number) + batch.size
      } else out.push({ batch, records, ...summary })
      records = []
      summary = {}
    }
  }
  return out
}
