/**
 * Pure. Frames: what travels on a connection. A frame is its size as an int32, a header, and the body of a message.
 * Pure: it writes frames as lists of byte arrays (so that large records are not copied), cuts a stream of chunks into
 * frames, and reads headers. Whatever is wrong with the bytes is a thrown `KafkaError`.
 */
import type * as Schema from "effect/Schema"
import type { Turns } from "../compression/Turns.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Header from "./messages/Header.ts"
import * as Wire from "./Wire.ts"

/** ApiVersions: a client that does not know the broker yet must be able to read its response's header. */
const apiVersionsKey = 18
/** ControlledShutdown v0 is older than the client id. */
const controlledShutdownKey = 7

/** The version of the header that a request goes behind. */
export const requestHeaderVersion = (message: Wire.Message<Schema.Top>, version: number): number =>
  Wire.within(version, message.flexible) ? 2 : message.key === controlledShutdownKey && version === 0 ? 0 : 1

/** The version of the header that a response goes behind: 0 for ApiVersions, whatever its version. */
export const responseHeaderVersion = (message: Wire.Message<Schema.Top>, version: number): number =>
  Wire.within(version, message.flexible) && message.key !== apiVersionsKey ? 1 : 0

/** Bytes behind their size: a frame as it came, or a bare token of SASL. */
export const sized = (bytes: Uint8Array): Array<Uint8Array> => {
  const size = new Uint8Array(4)
  view(size).setInt32(0, bytes.length)
  return [size, bytes]
}

const framed = (encode: (writer: Wire.Writer) => void): Array<Uint8Array> =>
  Wire.withWriter((writer) => {
    writer.int32(0)
    encode(writer)
    writer.patchInt32(0, writer.size - 4)
    return writer.parts()
  })

/**
 * A request as it goes on the wire: its size, its header, and the value, of which what is left out takes its default.
 * Large `records` are parts of their own, not copied: they must not change until they are sent.
 */
export const encodeRequest = <S extends Schema.Top>(
  message: Wire.Message<S>,
  version: number,
  header: { readonly correlationId: number; readonly clientId: string | null },
  value: S["~type.make.in"]
): Array<Uint8Array> =>
  framed((writer) => {
    Wire.compile(Header.Request, requestHeaderVersion(message, version)).encode(writer, {
      requestApiKey: message.key,
      requestApiVersion: version,
      correlationId: header.correlationId,
      clientId: header.clientId
    })
    Wire.compile(message, version).encode(writer, value)
  })

/** A response as it goes on the wire, as `encodeRequest`. */
export const encodeResponse = <S extends Schema.Top>(
  message: Wire.Message<S>,
  version: number,
  correlationId: number,
  value: S["~type.make.in"]
): Array<Uint8Array> =>
  framed((writer) => {
    Wire.compile(Header.Response, responseHeaderVersion(message, version)).encode(writer, { correlationId })
    Wire.compile(message, version).encode(writer, value)
  })

const view = (frame: Uint8Array): DataView => new DataView(frame.buffer, frame.byteOffset, frame.byteLength)

const short = (frame: Uint8Array, what: string) =>
  KafkaError.make({
    _tag: "Corrupt",
    what,
    position: frame.length,
    problem: `the frame of ${frame.length} bytes ends here`
  })

/** The correlation id of a response: its first four bytes. */
export const readCorrelationId = (frame: Uint8Array): number => {
  if (frame.length < 4) throw short(frame, "ResponseHeader")
  return view(frame).getInt32(0)
}

/** A response, from a frame without its size. */
export const readResponse = <S extends Schema.Top>(
  message: Wire.Message<S>,
  version: number,
  frame: Uint8Array
): { readonly correlationId: number; readonly value: S["Type"] } => {
  const [correlationId, reader] = readResponseHeader(message, version, frame)
  return { correlationId, value: Wire.compile(message, version).readRest(reader) }
}

/** The value of a response, read in turns of some milliseconds. What is short takes one. */
export function* readResponseInTurns<S extends Schema.Top>(
  message: Wire.Message<S>,
  version: number,
  frame: Uint8Array
): Turns<S["Type"]> {
  const [, reader] = readResponseHeader(message, version, frame)
  return yield* Wire.compile(message, version).readRestInTurns(reader)
}

const readResponseHeader = (
  message: Wire.Message<Schema.Top>,
  version: number,
  frame: Uint8Array
): readonly [correlationId: number, body: Wire.Reader] => {
  // Nobody writes a response again, so what it has beyond its definition is not kept.
  const reader = new Wire.Reader(frame, 0, false)
  const { correlationId } = Wire.compile(Header.Response, responseHeaderVersion(message, version)).decode(reader)
  return [correlationId, reader]
}

/** What a broker reads of a request before it knows whether it serves the API and version. */
export interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
  /** Where the body begins, for a header of version 1; `readRequestBody` skips the tagged fields of version 2. */
  readonly bodyAt: number
}

/** The header of a request, from a frame without its size. */
export const readRequestHeader = (frame: Uint8Array): RequestHeader => {
  if (frame.length < 4) throw short(frame, "RequestHeader")
  const apiKey = view(frame).getInt16(0)
  const apiVersion = view(frame).getInt16(2)
  const bare = apiKey === controlledShutdownKey && apiVersion === 0
  const reader = new Wire.Reader(frame)
  const header = Wire.compile(Header.Request, bare ? 0 : 1).decode(reader)
  return {
    apiKey,
    apiVersion,
    correlationId: header.correlationId,
    clientId: bare ? null : header.clientId,
    bodyAt: reader.at
  }
}

const noFields = Wire.message("RequestHeader", { key: -1, versions: "2", flexible: "2" }, () => ({}))

/** The body of a request whose header `readRequestHeader` has read. */
export const readRequestBody = <S extends Schema.Top>(
  message: Wire.Message<S>,
  version: number,
  frame: Uint8Array,
  bodyAt: number
): S["Type"] => {
  const reader = new Wire.Reader(frame, bodyAt, false)
  if (requestHeaderVersion(message, version) >= 2) Wire.compile(noFields, 2).decode(reader)
  return Wire.compile(message, version).readRest(reader)
}

/** The frames of one connection, cut out of the chunks that arrive. */
export interface Splitter {
  /** Takes the next chunk, and hands each frame that is complete with it to `onFrame`. The chunk may be kept by frames. */
  readonly push: (chunk: Uint8Array) => void
  /** Forgets a frame that is not complete. */
  readonly end: () => void
}

const wrongProtocol = (size: number): KafkaError.KafkaError | undefined => {
  // A TLS record: alert (21) or handshake (22), major version 3.
  if (size >>> 16 === 0x1503 || size >>> 16 === 0x1603)
    return KafkaError.make({
      _tag: "WrongProtocol",
      seen: "the answer is TLS",
      hint: "the broker expects TLS on this port: configure it, or take the port of a plaintext listener"
    })
  if (size === 0x48545450)
    return KafkaError.make({
      _tag: "WrongProtocol",
      seen: "the answer is HTTP",
      hint: "this is the port of an HTTP server, not of a Kafka broker"
    })
  return undefined
}

/** The least that a frame which comes in pieces is put together in. */
const leastBlock = 65_536

/**
 * Cuts a stream of bytes into frames. A frame that lies within one chunk is a view of it; only a frame that straddles
 * chunks is copied. What is held for it grows with what has come, by four, however small the pieces are, and whatever
 * its size claims. `maxFrameBytes` bounds what a peer can make us hold; `onHeld` is told what is held more, or less,
 * and may throw.
 */
export const makeSplitter = (options: {
  readonly maxFrameBytes: number | (() => number)
  /** Behind the limit in the error of what is over it: where it comes from. */
  readonly setting?: (() => string) | undefined
  readonly onFrame: (frame: Uint8Array) => void
  readonly onHeld?: ((bytes: number) => void) | undefined
}): Splitter => {
  const { maxFrameBytes, onFrame, onHeld } = options
  let first = true
  // The size's bytes that have come, where a chunk ended within them.
  let sizeBytes = 0
  let size = 0
  // The frame that is being put together, where it straddles chunks.
  let block: Uint8Array | undefined
  let filled = 0

  const check = (): void => {
    if (first) {
      const wrong = wrongProtocol(size)
      if (wrong !== undefined) throw wrong
      first = false
    }
    const most = typeof maxFrameBytes === "number" ? maxFrameBytes : maxFrameBytes()
    if (size < 0 || size > most)
      throw KafkaError.make({
        _tag: "Corrupt",
        what: "frame",
        position: 0,
        problem:
          size < 0
            ? `its size is ${size}`
            : `its size of ${size} bytes is over the limit of ${most}${options.setting?.() ?? ""}`
      })
  }

  /** Room for `more` bytes of the frame. */
  const roomFor = (more: number): Uint8Array => {
    const needed = filled + more
    if (block !== undefined && needed <= block.length) return block
    const length = Math.min(size, Math.max(leastBlock, needed * 4))
    onHeld?.(length - (block?.length ?? 0))
    const grown = Buffer.allocUnsafeSlow(length)
    if (block !== undefined) grown.set(block.subarray(0, filled))
    return (block = grown)
  }

  const release = (): void => {
    if (block !== undefined) onHeld?.(-block.length)
    block = undefined
    filled = 0
    sizeBytes = 0
  }

  const push = (chunk: Uint8Array): void => {
    let at = 0
    while (at < chunk.length) {
      if (sizeBytes < 4) {
        while (sizeBytes < 4 && at < chunk.length) {
          size = (size << 8) | chunk[at++]!
          sizeBytes++
        }
        if (sizeBytes < 4) return
        check()
      }
      const left = chunk.length - at
      if (filled === 0 && left >= size) {
        const frame = new Uint8Array(chunk.buffer, chunk.byteOffset + at, size)
        at += size
        sizeBytes = 0
        onFrame(frame)
        continue
      }
      const take = Math.min(size - filled, left)
      if (take === 0) return
      roomFor(take).set(chunk.subarray(at, at + take), filled)
      at += take
      filled += take
      if (filled < size) return
      const frame = block!
      release()
      onFrame(frame)
    }
  }
  return { push, end: release }
}
