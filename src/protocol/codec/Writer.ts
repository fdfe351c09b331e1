/**
 * Pure. A growing buffer. What it has written is copied out once; large record batches are only referred to,
 * and come out as parts of their own.
 */
import { WireFault, under } from "./WireFault.ts"
import { maxStringBytes } from "./Reader.ts"
import * as Uuid from "./Uuid.ts"

/** Below this, copying is cheaper than one more part. */
const referFrom = 1024
const loneSurrogate = /\p{Surrogate}/u

export class Writer {
  private bytes = Buffer.allocUnsafeSlow(4096)
  private view = new DataView(this.bytes.buffer)
  private at = 0
  /** Positions at which the referred bytes of the same index belong. */
  private cuts: Array<number> = []
  private referred: Array<Uint8Array> = []
  /** Above zero while a tagged field is written, whose bytes move. */
  private moving = 0

  /** Makes room for `count` bytes: gives where they begin. */
  private put(count: number): number {
    const at = this.at
    const end = at + count
    if (end > this.bytes.length) this.grow(end)
    this.at = end
    return at
  }

  private grow(size: number): void {
    const bytes = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, size))
    bytes.set(this.bytes.subarray(0, this.at))
    this.bytes = bytes
    this.view = new DataView(bytes.buffer)
  }

  int8(value: number): void {
    if ((value << 24) >> 24 !== value) throw unfit(value, "an int8")
    const at = this.put(1)
    this.view.setInt8(at, value)
  }

  int16(value: number): void {
    if ((value << 16) >> 16 !== value) throw unfit(value, "an int16")
    const at = this.put(2)
    this.view.setInt16(at, value)
  }

  uint16(value: number): void {
    if ((value & 0xffff) !== value) throw unfit(value, "a uint16")
    const at = this.put(2)
    this.view.setUint16(at, value)
  }

  int32(value: number): void {
    if ((value | 0) !== value) throw unfit(value, "an int32")
    const at = this.put(4)
    this.view.setInt32(at, value)
  }

  int32s(values: ReadonlyArray<number>): void {
    let at = this.put(values.length * 4)
    const view = this.view
    for (let i = 0; i < values.length; i++, at += 4) {
      const value = values[i]!
      if ((value | 0) !== value) throw under(unfit(value, "an int32"), `[${i}]`)
      view.setInt32(at, value)
    }
  }

  uint32(value: number): void {
    if (value >>> 0 !== value) throw unfit(value, "a uint32")
    const at = this.put(4)
    this.view.setUint32(at, value)
  }

  int64(value: number): void {
    if (!Number.isSafeInteger(value)) throw unfit(value, "an int64 within 2^53")
    const at = this.put(8)
    this.view.setInt32(at, Math.floor(value / 0x1_0000_0000))
    this.view.setInt32(at + 4, value)
  }

  /** An int64 from a number, the nearest that there is. */
  amount(value: number): void {
    if (!Number.isInteger(value)) throw unfit(value, "a whole number")
    const at = this.put(8)
    const most = 2n ** 63n - 1n
    this.view.setBigInt64(at, value >= 2 ** 63 ? most : value <= -(2 ** 63) ? -most - 1n : BigInt(value))
  }

  float64(value: number): void {
    if (typeof value !== "number") throw unfit(value, "a number")
    const at = this.put(8)
    this.view.setFloat64(at, value)
  }

  bool(value: boolean): void {
    if (typeof value !== "boolean") throw unfit(value, "a boolean")
    const at = this.put(1)
    this.bytes[at] = value ? 1 : 0
  }

  uuid(value: string): void {
    if (typeof value !== "string") throw unfit(value, "a uuid")
    const at = this.put(16)
    if (!Uuid.write(value, this.bytes, at)) throw unfit(value, "a uuid in base64url")
  }

  uvarint(value: number): void {
    let at = this.put(5)
    const bytes = this.bytes
    while (value > 127) {
      bytes[at++] = (value & 127) | 128
      value >>>= 7
    }
    bytes[at++] = value
    this.at = at
  }

  varint(value: number): void {
    if ((value | 0) !== value) throw unfit(value, "an int32")
    this.uvarint(((value << 1) ^ (value >> 31)) >>> 0)
  }

  varlong(value: number): void {
    if (!Number.isSafeInteger(value)) throw unfit(value, "an int64 within 2^53")
    let left = value < 0 ? (BigInt(-value) << 1n) - 1n : BigInt(value) << 1n
    let at = this.put(10)
    while (left > 127n) {
      this.bytes[at++] = Number(left & 127n) | 128
      left >>= 7n
    }
    this.bytes[at++] = Number(left)
    this.at = at
  }

  raw(value: Uint8Array): void {
    if (!(value instanceof Uint8Array)) throw unfit(value, "bytes")
    const at = this.put(value.length)
    this.bytes.set(value, at)
  }

  /** Bytes that are not copied where they are many: they must not change until the frame is sent. */
  refer(value: Uint8Array): void {
    if (!(value instanceof Uint8Array) || value.length < referFrom || this.moving > 0) return this.raw(value)
    this.cuts.push(this.at)
    this.referred.push(value)
  }

  /** A text behind its length: compact, or as an int16. */
  text(value: string, compact: boolean): void {
    if (typeof value !== "string") throw unfit(value, "a text")
    const length = value.length
    if (length > 126) return this.longText(value, compact)
    // Most texts are short and ASCII: a loop is cheaper than a call into the runtime.
    const start = this.put(compact ? length + 1 : length + 2)
    const bytes = this.bytes
    let at = start
    if (!compact) bytes[at++] = 0
    bytes[at++] = compact ? length + 1 : length
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i)
      if (code > 127) {
        this.at = start
        return this.longText(value, compact)
      }
      bytes[at++] = code
    }
  }

  private longText(value: string, compact: boolean): void {
    const length = Buffer.byteLength(value)
    if (length > maxStringBytes)
      throw new WireFault("value", `the text has ${length} bytes, the limit is ${maxStringBytes}`)
    if (loneSurrogate.test(value)) throw new WireFault("value", "the text has half of a surrogate pair")
    if (compact) this.uvarint(length + 1)
    else this.int16(length)
    const at = this.put(length)
    this.bytes.write(value, at, length, "utf8")
  }

  /** What `write` writes, behind its size as a varint. */
  sized(write: () => void): void {
    const start = this.at
    this.moving++
    try {
      write()
    } finally {
      this.moving--
    }
    const size = this.at - start
    // Its width is known only now, so the bytes move behind it.
    const width = size < 1 << 7 ? 1 : size < 1 << 14 ? 2 : size < 1 << 21 ? 3 : size < 1 << 28 ? 4 : 5
    this.put(width)
    this.bytes.copyWithin(start + width, start, start + size)
    this.at = start
    this.uvarint(size)
    this.at = start + width + size
  }

  /** How many bytes were written or referred to. */
  get size(): number {
    let size = this.at
    for (const part of this.referred) size += part.length
    return size
  }

  /** Writes an int32 over one that was written before. */
  patchInt32(at: number, value: number): void {
    this.view.setInt32(at, value)
  }

  /** All that was written, as one copy. */
  copy(): Uint8Array {
    const out = new Uint8Array(this.size)
    let from = 0
    let to = 0
    for (let i = 0; i < this.cuts.length; i++) {
      out.set(this.bytes.subarray(from, this.cuts[i]), to)
      to += this.cuts[i]! - from
      out.set(this.referred[i]!, to)
      to += this.referred[i]!.length
      from = this.cuts[i]!
    }
    out.set(this.bytes.subarray(from, this.at), to)
    return out
  }

  /** All that was written, in parts, of which those that were referred to are not copied. */
  parts(): Array<Uint8Array> {
    const own = new Uint8Array(this.at)
    own.set(this.bytes.subarray(0, this.at))
    if (this.cuts.length === 0) return [own]
    const parts: Array<Uint8Array> = []
    let from = 0
    for (let i = 0; i < this.cuts.length; i++) {
      const cut = this.cuts[i]!
      if (cut > from) parts.push(own.subarray(from, cut))
      parts.push(this.referred[i]!)
      from = cut
    }
    if (this.at > from) parts.push(own.subarray(from))
    return parts
  }

  /** Makes it as new. A buffer that one large message has grown is let go. */
  reset(): void {
    this.at = 0
    if (this.cuts.length > 0) {
      this.cuts = []
      this.referred = []
    }
    this.moving = 0
    if (this.bytes.length > 1 << 20) {
      this.bytes = Buffer.allocUnsafeSlow(4096)
      this.view = new DataView(this.bytes.buffer)
    }
  }
}

const unfit = (value: unknown, what: string): WireFault => {
  const shown = typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : String(value)
  return new WireFault("value", `${shown} is not ${what}`)
}
