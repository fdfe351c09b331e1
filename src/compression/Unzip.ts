/** Decompressing by `node:zlib`: at once, or in its threads. */
import * as Effect from "effect/Effect"
import type * as Zlib from "node:zlib"
import { corrupt, overLimit } from "./corrupt.ts"

/** zlib's own 16 KiB is too much for the smallest batches, and slow for large ones: measured, up to a factor of two. */
export const chunkSize = (expected: number): number => Math.min(Math.max(expected, 256), 1 << 20)

type Sync = (bytes: Uint8Array, options: { readonly maxOutputLength: number; readonly chunkSize: number }) => Uint8Array

const failed = (what: string, error: unknown): unknown =>
  corrupt(what, error instanceof Error ? error.message : String(error), undefined, error)

/** In one piece, and maps what zlib throws: over the limit, or not readable. */
export const sync = (what: string, bytes: Uint8Array, limit: number, f: Sync): Uint8Array => {
  try {
    return f(bytes, { maxOutputLength: Math.max(1, limit), chunkSize: chunkSize(bytes.length * 4) })
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE") throw overLimit(what, limit)
    throw failed(what, error)
  }
}

type Stream = Zlib.Gunzip | Zlib.ZstdDecompress

/**
 * In zlib's threads. The output is taken in one chunk where the bytes say truly how many they become, so that it is
 * neither copied nor there twice; else in chunks that are joined. Interrupted, it stops at its next chunk.
 */
export const threaded = (
  what: string,
  bytes: Uint8Array,
  limit: number,
  claimed: number | undefined,
  make: (options: { readonly chunkSize: number }) => Stream
): Effect.Effect<Uint8Array, unknown> =>
  Effect.callback((resume) => {
    // Beyond its claim there is room for what tells that it ends there.
    const one = claimed !== undefined && claimed <= limit ? claimed + 64 : 0
    const stream = make({ chunkSize: Math.max(one, Math.min(chunkSize(bytes.length * 4), limit + 64)) })
    const chunks: Array<Uint8Array> = []
    let total = 0
    stream.on("error", (error) => resume(Effect.fail(failed(what, error))))
    stream.on("data", (chunk: Uint8Array) => {
      total += chunk.length
      if (total > limit) {
        stream.destroy()
        return resume(Effect.fail(overLimit(what, limit)))
      }
      chunks.push(chunk)
    })
    stream.on("end", () => resume(Effect.succeed(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, total))))
    stream.end(bytes)
    return Effect.sync(() => stream.destroy())
  })

/** The last four bytes of gzip: what its last member becomes, modulo 2^32. No byte becomes more than 1032. */
export const gzipClaims = (bytes: Uint8Array): number | undefined => {
  const at = bytes.length - 4
  if (at < 14) return undefined
  const size = (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  return Math.min(size, bytes.length * 1032)
}

/** The content size in the header of the first frame of zstd, where it is there (RFC 8878, 3.1.1.1). */
export const zstdClaims = (bytes: Uint8Array): number | undefined => {
  if (bytes.length < 14 || bytes[0] !== 0x28 || bytes[1] !== 0xb5 || bytes[2] !== 0x2f || bytes[3] !== 0xfd)
    return undefined
  const descriptor = bytes[4]!
  const single = (descriptor & 0x20) !== 0
  const at = 5 + (single ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  switch (descriptor >>> 6) {
    case 0:
      return single ? bytes[at] : undefined
    case 1:
      return view.getUint16(at, true) + 256
    case 2:
      return view.getUint32(at, true)
    default:
      return at + 8 <= bytes.length ? view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32 : undefined
  }
}
