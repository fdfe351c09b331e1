import { assert, describe, it } from "vitest"
import { FetchBuffer, type Chunk, type Owner } from "../../src/fetch/FetchBuffer.ts"
import { Isolation } from "../../src/fetch/Isolation.ts"
import { randomOf } from "../../src/testing/embedded/Runtime.ts"

const isolation = new Isolation([])
const make = () => new FetchBuffer((owner, delta) => void (owner.held += delta))
const part = (frame: Uint8Array, from: number, size: number) => frame.subarray(from, from + size)

describe("the fetch buffer", () => {
  it("counts what each partition holds, and what is kept in memory beside that", () => {
    const buffer = make()
    const [a, b]: ReadonlyArray<Owner> = [{ held: 0 }, { held: 0 }]
    const frame = new Uint8Array(10_000)
    const first = buffer.put(a!, part(frame, 100, 4000), isolation, 0)
    const second = buffer.put(b!, part(frame, 4100, 5800), isolation, 0)
    assert.deepStrictEqual([a!.held, b!.held, buffer.dead], [4000, 5800, 200])
    buffer.advance(first, 1000)
    assert.deepStrictEqual([a!.held, b!.held, buffer.dead], [3000, 5800, 1200])
    assert.strictEqual(first.bytes.buffer, frame.buffer, "nothing was copied")
    buffer.drop(first)
    buffer.drop(second)
    assert.deepStrictEqual([a!.held, b!.held, buffer.dead], [0, 0, 0])
  })

  it("does not let a small record keep the whole frame that it came in (80 records of 10 bytes kept 223 MiB)", () => {
    const buffer = make()
    const owners = Array.from({ length: 80 }, (): Owner => ({ held: 0 }))
    let kept = 0
    for (const owner of owners) {
      const frame = new Uint8Array(3_000_000)
      const chunk = buffer.put(owner, part(frame, 1000, 80), isolation, 0)
      kept += chunk.bytes.buffer.byteLength
      assert.strictEqual(owner.held, 80)
    }
    assert.strictEqual(kept, 80 * 80)
    assert.strictEqual(buffer.dead, 0)
  })

  it("copies what is left of a frame when more than half of it has been read", () => {
    const buffer = make()
    const [slow, fast]: ReadonlyArray<Owner> = [{ held: 0 }, { held: 0 }]
    const frame = Uint8Array.from({ length: 10_000 }, (_, i) => i)
    const left = buffer.put(slow!, part(frame, 0, 3000), isolation, 0)
    const read = buffer.put(fast!, part(frame, 3000, 7000), isolation, 0)
    buffer.advance(left, 100)
    buffer.drop(read)
    assert.strictEqual(left.bytes.buffer.byteLength, 2900)
    assert.deepStrictEqual([...left.bytes], [...frame.subarray(100, 3000)])
    assert.deepStrictEqual([slow!.held, left.left, buffer.dead], [2900, 2900, 0])
  })

  it("counts every byte that is kept, which is at most eight times what was brought, and gives the bytes as they came", () => {
    const random = randomOf(5)
    const below = (n: number) => Math.floor(random() * n)
    for (let walk = 0; walk < 30; walk++) {
      const buffer = make()
      const owners = Array.from({ length: 8 }, (): Owner => ({ held: 0 }))
      const chunks = new Map<Chunk, Buffer>()
      for (let step = 0; step < 100; step++) {
        const chosen = [...chunks][below(chunks.size)]
        if (below(3) === 0 || chosen === undefined) {
          const frame = Buffer.allocUnsafeSlow(5000 + below(20_000))
          frame.fill(below(256), 0, frame.length >>> 1).fill(below(256), frame.length >>> 1)
          let at = 50
          for (const owner of owners) {
            const size = 1 + below(frame.length / 4)
            if (at + size > frame.length) continue
            chunks.set(buffer.put(owner, part(frame, at, size), isolation, 0), Buffer.from(part(frame, at, size)))
            at += size
          }
        } else {
          const [chunk, expected] = chosen
          assert.isTrue(expected.equals(chunk.bytes.subarray(chunk.at)))
          const read = below(2) === 0 ? chunk.left : below(chunk.left)
          if (read === chunk.left) chunks.delete(chunk)
          else chunks.set(chunk, expected.subarray(read))
          buffer.advance(chunk, read)
        }
        const sum = (numbers: Iterable<number>) => [...numbers].reduce((a, b) => a + b, 0)
        const list = [...chunks.keys()]
        const held = sum(owners.map((owner) => owner.held))
        const memory = sum([...new Set(list.map((chunk) => chunk.bytes.buffer))].map((one) => one.byteLength))
        assert.strictEqual(held, sum(list.map((chunk) => chunk.left)))
        assert.strictEqual(held + buffer.dead, memory)
        assert.isAtMost(memory, 8 * sum(list.map((chunk) => chunk.bytes.length)))
      }
    }
  })
})
