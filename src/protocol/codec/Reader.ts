/**
 * Pure. A cursor over bytes. Every method checks that its bytes are there before it reads or allocates, and throws a `WireFault`
 * where they are not. What is long can be read in turns: see `beginTurn`.
 */
import { WireFault } from "./WireFault.ts"
import * as Uuid from "./Uuid.ts"

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Java's limit for every text of the protocol. */
export const maxStringBytes = 0x7fff

/**
 * The most elements of arrays in one message: a million topics of a partition each. An element may take one byte on the
 * wire and hundreds here.
 */
export const maxElements = 1 << 21

/** What is read in one turn at most, some milliseconds: elements of arrays, and bytes. */
export const turnElements = 1 << 12
const turnBytes = 1 << 20

/** Thrown, and caught in `Layout`, where a reader has read enough for one turn. */
export const turnOver = Symbol("turnOver")

/** The most tagged fields of one struct: the definitions have seven at most. */
export const maxTags = 256

export class Reader {
  readonly bytes: Buffer
  readonly view: DataView
  /** Where reading must stop: the end of the bytes, or of the tagged field that is being read. */
  end: number
  at: number
  /** Whether tagged fields that the definition does not know are kept, for whoever writes them again. */
  readonly keepsUnknown: boolean
  /** The elements of arrays up to now. */
  #elements = 0
  /** How many of them are left of this turn, and how far it goes. */
  #turnLeft = Infinity
  #turnEnd = Infinity

  constructor(bytes: Uint8Array, at = 0, keepsUnknown = true) {
    this.bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.end = bytes.byteLength
    this.at = at
    this.keepsUnknown = keepsUnknown
  }

  /** Takes `count` bytes: gives where they begin. */
  take(count: number): number {
    const at = this.at
    if (count > this.end - at) throw this.short(count)
    this.at = at + count
    return at
  }

  /** From here on `turnOver` is thrown where a turn's work is done. */
  beginTurn(): void {
    this.#turnLeft = turnElements
    this.#turnEnd = this.at + turnBytes
  }

  get isTurnOver(): boolean {
    return this.#turnLeft <= 0 || this.at > this.#turnEnd
  }

  /** Where it stands: to come back by `rewind`. */
  mark(): readonly [at: number, end: number, elements: number] {
    return [this.at, this.end, this.#elements]
  }

  rewind(mark: readonly [at: number, end: number, elements: number]): void {
    ;[this.at, this.end, this.#elements] = mark
  }

  short(count: number): WireFault {
    return new WireFault("bytes", `${count} bytes are needed, ${this.end - this.at} are left`, this.at)
  }

  int8(): number {
    return this.view.getInt8(this.take(1))
  }

  int16(): number {
    return this.view.getInt16(this.take(2))
  }

  uint16(): number {
    return this.view.getUint16(this.take(2))
  }

  int32(): number {
    return this.view.getInt32(this.take(4))
  }

  int32s(count: number): Array<number> {
    if (this.at + count * 4 > this.#turnEnd) throw turnOver
    let at = this.take(count * 4)
    const out = new Array<number>(count)
    for (let i = 0; i < count; i++, at += 4) out[i] = this.view.getInt32(at)
    return out
  }

  uint32(): number {
    return this.view.getUint32(this.take(4))
  }

  /** A number, exact to 2^53: what is beyond is a fault, never a rounded value. */
  int64(): number {
    const at = this.take(8)
    const value = this.view.getInt32(at) * 0x1_0000_0000 + this.view.getUint32(at + 4)
    if (!Number.isSafeInteger(value))
      throw new WireFault("bytes", `the int64 ${this.view.getBigInt64(at)} is beyond 2^53`, at)
    return value
  }

  /** An int64 as the nearest number. */
  amount(): number {
    const at = this.take(8)
    return this.view.getInt32(at) * 0x1_0000_0000 + this.view.getUint32(at + 4)
  }

  float64(): number {
    return this.view.getFloat64(this.take(8))
  }

  bool(): boolean {
    return this.bytes[this.take(1)] !== 0
  }

  uuid(): string {
    return Uuid.read(this.bytes, this.take(16))
  }

  /** An unsigned varint of up to 32 bits. */
  uvarint(): number {
    const first = this.bytes[this.take(1)]!
    if (first < 128) return first
    const start = this.at - 1
    let value = first & 127
    for (let shift = 7; shift < 35; shift += 7) {
      const byte = this.bytes[this.take(1)]!
      value = (value | ((byte & 127) << shift)) >>> 0
      if (byte < 128) {
        if (shift === 28 && byte > 15) break
        return value
      }
    }
    throw new WireFault("bytes", "the varint has more than 32 bits", start)
  }

  /** A zigzag varint of 32 bits. */
  varint(): number {
    const value = this.uvarint()
    return (value >>> 1) ^ -(value & 1)
  }

  /** A zigzag varint of 64 bits, exact to 2^53. */
  varlong(): number {
    const start = this.at
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.bytes[this.take(1)]!
      value |= BigInt(byte & 127) << shift
      if (byte < 128) {
        if (value >= 1n << 64n) break
        const number = Number((value >> 1n) ^ -(value & 1n))
        if (Number.isSafeInteger(number)) return number
        throw new WireFault("bytes", "the varlong is beyond 2^53", start)
      }
    }
    throw new WireFault("bytes", "the varlong has more than 64 bits", start)
  }

  /** A view of the next bytes, not a copy. */
  raw(length: number): Uint8Array {
    const at = this.take(length)
    const bytes = this.bytes
    return new Uint8Array(bytes.buffer, bytes.byteOffset + at, length)
  }

  text(length: number): string {
    if (length > maxStringBytes) throw new WireFault("bytes", `a text of ${length} bytes is over the limit`, this.at)
    if (this.at > this.#turnEnd) throw turnOver
    const at = this.take(length)
    const bytes = this.bytes
    const end = at + length
    let i = at
    while (i < end && bytes[i]! < 128) i++
    if (i === end) return bytes.toString("latin1", at, end)
    try {
      return utf8.decode(bytes.subarray(at, end))
    } catch {
      throw new WireFault("bytes", "the text is not UTF-8", at)
    }
  }

  /** Counts elements of at least `min` bytes, and checks that they can be there. */
  count(count: number, min: number): void {
    if (count * Math.max(min, 1) > this.end - this.at)
      throw new WireFault("bytes", `${count} elements do not fit into the ${this.end - this.at} bytes left`, this.at)
    if ((this.#elements += count) > maxElements)
      throw new WireFault("bytes", `more than ${maxElements} elements in one message`, this.at)
  }

  /** Takes elements off what is left of the turn. */
  spend(count: number): void {
    if ((this.#turnLeft -= count) < 0 || this.at > this.#turnEnd) throw turnOver
  }

  /** Whether a struct ends here without tagged fields, as nearly all do: passes over the byte that says so. */
  hasNoTags(): boolean {
    if (this.at >= this.end || this.bytes[this.at] !== 0) return false
    this.at++
    return true
  }
}
