/** Answers of a server, however they are cut on their way. */
import { assert, describe, it } from "vitest"
import { Frames } from "../../src/zookeeper/Frames.ts"

const framed = (length: number, fill: number): Buffer => {
  const bytes = Buffer.alloc(4 + length, fill)
  bytes.writeInt32BE(length, 0)
  return bytes
}

const all = (frames: Frames): ReadonlyArray<Buffer> => {
  const found: Array<Buffer> = []
  for (let frame = frames.next(); frame !== undefined; frame = frames.next()) found.push(frame)
  return found
}

describe("Frames", () => {
  it("gives the same answers wherever they are cut", () => {
    const sent = [0, 1, 16, 0, 300, 5].map(framed)
    const bytes = Buffer.concat(sent)
    for (let size = 1; size <= bytes.length; size++) {
      const frames = new Frames()
      const found: Array<Buffer> = []
      for (let at = 0; at < bytes.length; at += size) {
        frames.add(bytes.subarray(at, at + size))
        found.push(...all(frames))
      }
      assert.isFalse(frames.isBroken)
      assert.deepStrictEqual(found, sent, `in pieces of ${size}`)
    }
  })

  it("copies nothing of answers that come at once (zk-21)", () => {
    const bytes = Buffer.concat(Array.from({ length: 3000 }, () => framed(16, 7)))
    const frames = new Frames()
    frames.add(bytes)
    const found = all(frames)
    assert.lengthOf(found, 3000)
    found.forEach((frame, i) =>
      assert.deepStrictEqual([frame.buffer, frame.byteOffset], [bytes.buffer, bytes.byteOffset + i * 20])
    )
  })

  it("reads no further than what cannot be an answer, and begins anew with the next connection", () => {
    for (const length of [-1, 2 ** 30]) {
      const frames = new Frames()
      const odd = Buffer.alloc(8)
      odd.writeInt32BE(length, 0)
      frames.add(Buffer.concat([framed(3, 1), odd]))
      assert.deepStrictEqual(all(frames), [framed(3, 1)])
      assert.isTrue(frames.isBroken)
      frames.clear()
      frames.add(framed(2, 2))
      assert.deepStrictEqual(all(frames), [framed(2, 2)])
    }
  })
})
