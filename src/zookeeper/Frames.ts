/** Pure. What comes from a server, cut into its answers: each is preceded by its length. */

/** Beyond what a node may hold (1 MiB), with room for many children; what is longer is no answer of ZooKeeper. */
const mostBytes = 16 * 1024 * 1024
const lengthBytes = 4

export class Frames {
  private chunks: Array<Buffer> = []
  private bytes = 0
  /** What cannot be an answer has come: nothing that follows can be read. */
  isBroken = false

  add(chunk: Buffer): void {
    this.chunks.push(chunk)
    this.bytes += chunk.length
  }
  /** The next answer with its length; undefined where it is not whole yet. */
  next(): Buffer | undefined {
    if (this.isBroken || this.bytes < lengthBytes) return undefined
    if (this.chunks[0]!.length < lengthBytes) this.join()
    const length = this.chunks[0]!.readInt32BE(0)
    this.isBroken = length < 0 || length > mostBytes
    const end = lengthBytes + length
    if (this.isBroken || this.bytes < end) return undefined
    // Once for each answer at most, however many chunks it comes in.
    if (this.chunks[0]!.length < end) this.join()
    const [first] = this.chunks
    this.chunks[0] = first!.subarray(end)
    if (this.chunks[0].length === 0) this.chunks.shift()
    this.bytes -= end
    return first!.subarray(0, end)
  }
  clear(): void {
    this.chunks = []
    this.bytes = 0
    this.isBroken = false
  }
  private join(): void {
    this.chunks = [Buffer.concat(this.chunks)]
  }
}
