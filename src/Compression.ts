/**
 * How record batches are compressed. The five kinds of Kafka are built in: none, gzip, snappy, lz4 and zstd. All work
 * synchronously, on whole batches; what is large is decompressed in another thread, or in turns.
 *
 * An application can replace a codec, such as snappy by a native package, or give one other settings:
 *
 * ```ts
 * import { Compression } from "samsa"
 *
 * const fast = Compression.layer(Compression.gzip({ level: 1 }), Compression.snappy({ framing: "raw" }))
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as zlib from "node:zlib"
import * as Lz4 from "./compression/Lz4.ts"
import * as Snappy from "./compression/Snappy.ts"
import { drive } from "./compression/drive.ts"
import type { Turns } from "./compression/Turns.ts"
import * as Unzip from "./compression/Unzip.ts"
import * as KafkaError from "./KafkaError.ts"

/**
 * The kinds of the protocol, as in the setting `compression` (Java's `compression.type`).
 *
 * @since 0.1.0
 * @category models
 */
export type Name = "none" | "gzip" | "snappy" | "lz4" | "zstd"

/**
 * The number of each kind: bits 0 to 2 of a batch's attributes.
 *
 * @since 0.1.0
 * @category constants
 */
export const ids: { readonly [N in Name]: number } = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

/**
 * What compresses and decompresses, in one piece.
 *
 * @since 0.1.0
 * @category models
 */
export interface Compressor {
  readonly compress: (bytes: Uint8Array) => Uint8Array
  /** The same for what is large, in another thread. Where a codec has none, `compress` is used, in one piece. */
  readonly compressLarge?: ((bytes: Uint8Array) => Effect.Effect<Uint8Array, unknown>) | undefined
  /**
   * Must not give, nor take memory for, more than `limit` bytes. What it throws becomes a `KafkaError` with reason
   * `Corrupt`.
   */
  readonly decompress: (bytes: Uint8Array, limit: number) => Uint8Array
  /**
   * The same for what becomes large, without holding up the event loop: in another thread, or in turns. Where a codec
   * has none, `decompress` is used, in one piece.
   */
  readonly decompressLarge?: ((bytes: Uint8Array, limit: number) => Effect.Effect<Uint8Array, unknown>) | undefined
  /** About what the bytes say that they become: a hint, read from their first and last bytes. */
  readonly claims?: ((bytes: Uint8Array) => number | undefined) | undefined
}

/**
 * A codec of one kind.
 *
 * @since 0.1.0
 * @category models
 */
export interface Codec extends Compressor {
  /** One of `ids`. */
  readonly id: number
  readonly name: Name
  /** What stands in for it in message format 0 (before 0.10), where that differs: lz4 alone does (KIP-57). */
  readonly format0?: Compressor | undefined
}

/**
 * Bytes as they are.
 *
 * @since 0.1.0
 * @category codecs
 */
export const none: Codec = { id: ids.none, name: "none", compress: (bytes) => bytes, decompress: (bytes) => bytes }

/** Work in zlib's threads. */
const threaded = (
  start: (done: (error: Error | null, result: Uint8Array) => void) => void
): Effect.Effect<Uint8Array, unknown> =>
  Effect.callback((resume) => {
    start((error, result) => resume(error === null ? Effect.succeed(result) : Effect.fail(error)))
  })

/** Lets the event loop run between the turns of a decompressor. */
const driven =
  (turns: (bytes: Uint8Array, limit: number) => Turns<Uint8Array>) =>
  (bytes: Uint8Array, limit: number): Effect.Effect<Uint8Array, unknown> =>
    Effect.suspend(() => drive(turns(bytes, limit)))

/**
 * gzip by `node:zlib`. `level` 1 to 9, -1 (the default) is zlib's own, as Java's `compression.gzip.level`.
 *
 * @since 0.1.0
 * @category codecs
 */
export const gzip = (options: { readonly level?: number | undefined } = {}): Codec => {
  const level = options.level ?? -1
  return {
    id: ids.gzip,
    name: "gzip",
    compress: (bytes) => zlib.gzipSync(bytes, { level, chunkSize: Unzip.chunkSize(bytes.length >>> 1) }),
    compressLarge: (bytes) =>
      threaded((done) => zlib.gzip(bytes, { level, chunkSize: Unzip.chunkSize(bytes.length >>> 1) }, done)),
    decompress: (bytes, limit) => Unzip.sync("gzip", bytes, limit, zlib.gunzipSync),
    decompressLarge: (bytes, limit) => Unzip.threaded("gzip", bytes, limit, Unzip.gzipClaims(bytes), zlib.createGunzip),
    claims: Unzip.gzipClaims
  }
}

/**
 * How snappy is written; both forms are always read.
 *
 * @since 0.1.0
 * @category models
 */
export interface SnappyOptions {
  /**
   * `"xerial"` (the default) is the framing of Java's client, which every consumer reads; `"raw"` is one bare block, as
   * PyKafka and librdkafka write it.
   */
  readonly framing?: "xerial" | "raw" | undefined
  /** Bytes of input in a block of the xerial framing. Default 32768, as in Java. */
  readonly blockSize?: number | undefined
}

/**
 * snappy: snappyjs writes, the decompressor is our own.
 *
 * @since 0.1.0
 * @category codecs
 */
export const snappy = (options: SnappyOptions = {}): Codec => {
  const blockSize = Math.max(1024, options.blockSize ?? 32768)
  return {
    id: ids.snappy,
    name: "snappy",
    compress:
      options.framing === "raw" ? Snappy.compressRaw : (bytes: Uint8Array) => Snappy.compressXerial(bytes, blockSize),
    decompress: Snappy.decompress,
    decompressLarge: driven(Snappy.decompressInTurns),
    claims: Snappy.claims
  }
}

/**
 * lz4 in plain JavaScript: independent blocks without checksums, since Java reads no others; every kind of frame is read.
 * `blockSize` is the most input in a block, by default 65536, as in Java.
 *
 * @since 0.1.0
 * @category codecs
 */
export const lz4 = (options: { readonly blockSize?: Lz4.Options["blockSize"] } = {}): Codec => ({
  id: ids.lz4,
  name: "lz4",
  compress: (bytes) => Lz4.compress(bytes, { blockSize: options.blockSize }),
  decompress: (bytes, limit) => Lz4.decompress(bytes, limit),
  decompressLarge: driven(Lz4.decompressInTurns),
  claims: Lz4.claims,
  format0: {
    compress: (bytes) => Lz4.compress(bytes, { blockSize: options.blockSize, brokenHeaderChecksum: true }),
    decompress: (bytes, limit) => Lz4.decompress(bytes, limit, { anyHeaderChecksum: true }),
    decompressLarge: driven((bytes, limit) => Lz4.decompressInTurns(bytes, limit, { anyHeaderChecksum: true })),
    claims: Lz4.claims
  }
})

/**
 * zstd by `node:zlib` (Node 22.15 and 23.8 or newer; elsewhere using it is `Unsupported`). `level` 1 to 22, default 3,
 * as Java's `compression.zstd.level`. Brokers take it from 2.1 on (Produce v7, Fetch v10).
 *
 * @since 0.1.0
 * @category codecs
 */
export const zstd = (options: { readonly level?: number | undefined } = {}): Codec => {
  const level = options.level ?? 3
  const available = (): void => {
    if (typeof zlib.zstdCompressSync !== "function") throw unsupported("zstd, which node:zlib has from 22.15 on")
  }
  const settings = (bytes: Uint8Array) => ({
    params: { [zlib.constants.ZSTD_c_compressionLevel]: level },
    chunkSize: Unzip.chunkSize(bytes.length >>> 1)
  })
  return {
    id: ids.zstd,
    name: "zstd",
    compress: (bytes) => {
      available()
      return zlib.zstdCompressSync(bytes, settings(bytes))
    },
    compressLarge: (bytes) =>
      Effect.suspend(() => {
        available()
        return threaded((done) => zlib.zstdCompress(bytes, settings(bytes), done))
      }),
    decompress: (bytes, limit) => {
      available()
      return Unzip.sync("zstd", bytes, limit, zlib.zstdDecompressSync)
    },
    decompressLarge: (bytes, limit) =>
      Effect.suspend(() => {
        available()
        return Unzip.threaded("zstd", bytes, limit, Unzip.zstdClaims(bytes), zlib.createZstdDecompress)
      }),
    claims: Unzip.zstdClaims
  }
}

/**
 * The codecs by number.
 *
 * @since 0.1.0
 * @category models
 */
export interface Registry {
  /** The codec of a number in a batch's attributes. Throws `KafkaError` with reason `Unsupported` where there is none. */
  readonly get: (id: number) => Codec
}

const unsupported = (needed: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Unsupported", needed, ours: "none, gzip, snappy, lz4, zstd", theirs: needed })

/**
 * The built-in codecs, with these in the place of those of the same kind.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (...codecs: ReadonlyArray<Codec>): Registry => {
  const all = [none, gzip(), snappy(), lz4(), zstd()]
  for (const codec of codecs) all[codec.id] = codec
  return {
    get: (id) => {
      const codec = all[id]
      if (codec === undefined) throw unsupported(`compression ${id}`)
      return codec
    }
  }
}

/**
 * The built-in codecs with their defaults.
 *
 * @since 0.1.0
 * @category codecs
 */
export const builtIn: Registry = make()

/**
 * The codecs in use. It need not be provided: the built-in ones stand there.
 *
 * @since 0.1.0
 * @category services
 */
export const Compression: Context.Reference<Registry> = Context.Reference<Registry>("samsa/Compression", {
  defaultValue: () => builtIn
})

/**
 * Replaces codecs of the application's choice; the others stay built in.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (...codecs: ReadonlyArray<Codec>): Layer.Layer<never> =>
  Layer.succeed(Compression, make(...codecs))
