/** Pure. An output that grows with what is written to it, never beyond a limit: what a decompressor without a length needs. */
import { overLimit } from "./corrupt.ts"

export class Output {
  bytes: Uint8Array
  /** How much is written. */
  at = 0
  readonly what: string
  readonly limit: number
  constructor(what: string, expected: number, limit: number) {
    this.what = what
    this.limit = limit
    this.bytes = Buffer.allocUnsafeSlow(Math.max(64, Math.min(expected, limit)))
  }
  /** Makes room for `n` more bytes, or fails with the limit. */
  reserve(n: number): void {
    const needed = this.at + n
    if (needed <= this.bytes.length) return
    if (needed > this.limit) throw overLimit(this.what, this.limit)
    const grown = Buffer.allocUnsafeSlow(Math.min(this.limit, Math.max(needed, this.bytes.length * 2)))
    grown.set(this.bytes.subarray(0, this.at))
    this.bytes = grown
  }
  /** What was written, without much room beside it: views of it may live long. */
  done(): Uint8Array {
    const written = this.bytes.subarray(0, this.at)
    return this.at < this.bytes.length >>> 1 ? Buffer.from(written) : written
  }
}
