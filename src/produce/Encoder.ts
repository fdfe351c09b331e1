/** A batch as bytes: small ones at once; what is large is compressed in zlib's threads, where the codec has them. */
import * as Effect from "effect/Effect"
import { abandonable } from "../Abandon.ts"
import type * as Compression from "../Compression.ts"
import type * as Crc32c from "../Crc32c.ts"
import * as MessageSet from "../protocol/records/MessageSet.ts"
import * as RecordBatch from "../protocol/records/RecordBatch.ts"
import type { Batch } from "./Batch.ts"

/** What is smaller is compressed at once: the way to another thread costs more. */
const largeBytes = 16_384
/** How much work one turn of the event loop may do: a few milliseconds' worth, where it is compressed here. */
const turnBytes = 2_000_000
const compressedTurnBytes = 500_000

/** What batches are written with. */
export interface Codecs {
  readonly codec: Compression.Codec
  readonly crc32c: Crc32c.Compute
  /** Batches are those of a transaction. */
  readonly transactional: boolean
}

const isReady = ({ encoded, magic, queue, sequence }: Batch): boolean =>
  encoded !== undefined &&
  encoded.magic === magic &&
  encoded.sequence === sequence &&
  (sequence < 0 || encoded.producer === queue.producer)

const optionsOf = ({ queue, sequence }: Batch, { codec, crc32c, transactional }: Codecs) => ({
  compression: codec,
  crc32c,
  transactional,
  producerId: sequence < 0 ? -1 : queue.producer!.id,
  producerEpoch: sequence < 0 ? -1 : queue.producer!.epoch,
  baseSequence: sequence
})

const keep = (batch: Batch, bytes: Uint8Array): void => {
  const { magic, queue, sequence } = batch
  batch.encoded = { magic, bytes, sequence, producer: sequence < 0 ? undefined : queue.producer }
}

/** Gives a batch its bytes, at once. Throws as the encoders of records do. */
export const now = (batch: Batch, codecs: Codecs): void => {
  if (isReady(batch)) return
  const { encoded, magic, records } = batch
  const options = optionsOf(batch, codecs)
  if (magic < 2) keep(batch, MessageSet.encode(records, { magic: magic as 0 | 1, compression: codecs.codec }))
  // Under another epoch only the fixed fields differ.
  else if (encoded?.magic === 2) keep(batch, RecordBatch.restamp(encoded.bytes, options, codecs.crc32c))
  else keep(batch, RecordBatch.encode(records, options))
}

/** Gives a large batch its bytes, compressed beside the event loop. */
export const later = (batch: Batch, codecs: Codecs): Effect.Effect<void, unknown> =>
  Effect.suspend(() => {
    const laidOut = RecordBatch.layOut(batch.records, 0)
    const options = optionsOf(batch, codecs)
    // A codec may be the application's own: what of it cannot be interrupted is not waited for.
    const compressed = abandonable(Effect.suspend(() => codecs.codec.compressLarge!(laidOut.body)))
    return Effect.map(compressed, (small) => keep(batch, RecordBatch.seal(laidOut, small, options)))
  })

/** It is compressed beside the event loop, where the codec can do that. */
export const isLarge = (batch: Batch, { codec }: Codecs): boolean =>
  codec.compressLarge !== undefined && batch.magic === 2 && batch.encoded?.magic !== 2 && batch.bytes >= largeBytes

/** Bytes that were worked on since the event loop last ran. */
export interface Turn {
  left: number
}

/** A turn that has just begun. */
export const turn = ({ codec }: Codecs): Turn => ({
  left: codec.id === 0 ? turnBytes : compressedTurnBytes
})

/** Gives batches their bytes at once, where that is little work; false where it is not, with some of them done. */
export const atOnce = (batches: ReadonlyArray<Batch>, codecs: Codecs, turn: Turn): boolean => {
  for (const batch of batches) {
    if (isReady(batch)) continue
    if (turn.left <= 0 || isLarge(batch, codecs)) return false
    turn.left -= batch.bytes
    now(batch, codecs)
  }
  return true
}
