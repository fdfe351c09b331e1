import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Zlib from "node:zlib"
import * as Compression from "../src/Compression.ts"
import * as Lz4 from "../src/compression/Lz4.ts"
import * as Snappy from "../src/compression/Snappy.ts"
import * as XxHash32 from "../src/compression/XxHash32.ts"
import { KafkaError } from "../src/KafkaError.ts"

const MiB = 1024 * 1024

/** Bytes that no codec makes smaller. */
const noise = (bytes: number, seed = 1): Uint8Array => {
  let state = seed
  return Uint8Array.from({ length: bytes }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return state >>> 24
  })
}

/** Words, then noise, over several blocks of every codec. */
const sample = (bytes: number, seed = 1): Uint8Array => {
  const out = noise(bytes, seed)
  const words = Buffer.from("order customer amount total EUR paid open shipped ")
  for (let i = 0; i < bytes; i++) if (i % 180_000 < 30_000) out[i] = words[(i + ((seed * i) >>> 7)) % words.length]!
  return out
}

const failure = (f: () => unknown): KafkaError => {
  try {
    f()
  } catch (error) {
    if (error instanceof KafkaError) return error
    throw new Error("not a KafkaError", { cause: error })
  }
  throw new Error("it did not fail")
}

const same = (a: Uint8Array, b: Uint8Array) => assert.strictEqual(Buffer.compare(a, b), 0)

const lz4 = (options: Lz4.Options): Compression.Compressor => ({
  compress: (bytes) => Lz4.compress(bytes, options),
  decompress: Lz4.decompress
})

const codecs: ReadonlyArray<readonly [string, Compression.Compressor]> = [
  ["none", Compression.none],
  ["gzip", Compression.gzip()],
  ["gzip, level 1", Compression.gzip({ level: 1 })],
  ["snappy, xerial", Compression.snappy()],
  ["snappy, xerial in blocks of 1 KiB", Compression.snappy({ blockSize: 1024 })],
  ["snappy, raw", Compression.snappy({ framing: "raw" })],
  ["lz4", Compression.lz4()],
  ["lz4 in blocks of 256 KiB", Compression.lz4({ blockSize: 262144 })],
  ["lz4, linked blocks", lz4({ linked: true })],
  ["lz4, everything optional", lz4({ contentSize: true, contentChecksum: true, blockChecksum: true })],
  ["lz4 before 0.10", Compression.lz4().format0!],
  ["zstd", Compression.zstd()],
  ["zstd, level 9", Compression.zstd({ level: 9 })]
]

describe("every codec", () => {
  for (const [name, codec] of codecs) {
    it(`${name} gives back what it took, at any size`, () => {
      for (const n of [0, 1, 2, 4, 12, 13, 15, 16, 17, 255, 1000, 32767, 32768, 65535, 65536, 65537, 200_000]) {
        const bytes = sample(n)
        same(codec.decompress(codec.compress(bytes), MiB), bytes)
      }
    })

    it.prop(`${name} gives back any bytes`, [Schema.Uint8Array], ([bytes]) => {
      same(codec.decompress(codec.compress(bytes), MiB), bytes)
    })

    if (name === "none") continue

    it(`${name} makes text smaller`, () => {
      const bytes = Buffer.from("the same again, ".repeat(1000))
      assert.isBelow(codec.compress(bytes).length, bytes.length / 5)
    })

    it(`${name} stops at the limit, so that a small frame never becomes large`, () => {
      const bomb = codec.compress(new Uint8Array(8 * MiB))
      const error = failure(() => codec.decompress(bomb, MiB))
      assert.strictEqual(error.reason._tag, "Corrupt")
      assert.include(error.message, "more than the limit of 1048576 bytes")
      assert.strictEqual(codec.decompress(bomb, 8 * MiB).length, 8 * MiB)
    })

    it(`${name} fails typed on bytes that are cut off or not its own`, () => {
      const whole = codec.compress(sample(5000))
      const all = sample(5000)
      for (let n = 0; n < whole.length; n += n < 400 ? 1 : 97) {
        let part: Uint8Array
        try {
          part = codec.decompress(whole.subarray(0, n), MiB)
        } catch (error) {
          assert.instanceOf(error, KafkaError)
          assert.strictEqual(error.reason._tag, "Corrupt")
          continue
        }
        // xerial's framing has no end: cut between two blocks it is whole.
        assert.isBelow(part.length, all.length)
        same(part, all.subarray(0, part.length))
      }
      assert.strictEqual(failure(() => codec.decompress(sample(100), MiB)).reason._tag, "Corrupt")
    })
  }
})

describe("snappy", () => {
  it("is framed as snappy-java does it", () => {
    const framed = Compression.snappy().compress(sample(70_000))
    assert.strictEqual(Buffer.from(framed).toString("hex", 0, 16), "82534e41505059000000000100000001")
    let blocks = 0
    for (let at = 16; at < framed.length; at += 4 + Buffer.from(framed).readInt32BE(at)) blocks++
    assert.strictEqual(blocks, Math.ceil(70_000 / 32768))
  })

  it("reads raw and framed with the same codec", () => {
    const bytes = sample(40_000)
    const codec = Compression.snappy()
    same(codec.decompress(Snappy.compressRaw(bytes), MiB), bytes)
    same(codec.decompress(Snappy.compressXerial(bytes, 4096), MiB), bytes)
  })

  // format_description.txt of google/snappy: a literal, then copies with offsets of 1, 2 and 4 bytes.
  it("reads every kind of element", () => {
    const block = [20, 3 << 2, 97, 98, 99, 100, 1 | (0 << 2), 4, 2 | (3 << 2), 2, 0, 3 | (7 << 2), 8, 0, 0, 0]
    assert.strictEqual(Buffer.from(Snappy.decompress(Uint8Array.from(block), 100)).toString(), "abcdabcdcdcdabcdcdcd")
  })

  it("reads literals whose length takes one to four bytes", () => {
    for (const more of [1, 2, 3, 4]) {
      const literal = sample(200)
      const length = [199, 0, 0, 0].slice(0, more)
      same(Snappy.decompress(Uint8Array.from([200, 1, (59 + more) << 2, ...length, ...literal]), 1000), literal)
    }
  })

  it("refuses what the reference decoder of snappyjs would follow for ever or beyond its bounds", () => {
    const broken = {
      "a literal of a length beyond 2^31": [4, 63 << 2, 255, 255, 255, 255, 1, 2, 3],
      "a copy from before the block": [8, 0, 97, 1 | (3 << 2), 9],
      "a copy of distance 0": [8, 0, 97, 1 | (3 << 2), 0],
      "a distance beyond 2^31": [8, 0, 97, 3 | (3 << 2), 0, 0, 0, 255],
      "more than it claims": [2, 2 << 2, 97, 98, 99],
      "less than it claims": [9, 2 << 2, 97, 98, 99],
      "a literal that is cut off": [5, 4 << 2, 97, 98]
    }
    for (const [name, bytes] of Object.entries(broken))
      assert.strictEqual(failure(() => Snappy.decompress(Uint8Array.from(bytes), 1 << 28)).reason._tag, "Corrupt", name)
    // Before memory is taken for it.
    const claim = failure(() => Snappy.decompress(Uint8Array.from([255, 255, 255, 3, 0, 97]), 1 << 28))
    assert.include(claim.message, "2 bytes claim to hold 8388607")
  })
})

describe("lz4", () => {
  // "The metamorphosis of records. " 2400 times, by the command lz4 1.9.4; gzip, base64.
  const written = [
    [
      "linked blocks, a checksum of the content",
      "H4sIAAAAAAACA2NR8pVwcYjTZGRg+M8fkpGqkJtakpibX1SQkV+cWayQn6ZQlJqcX5RSrKcgx/B/hINTAeBgUWZgYOD/gFuZYwA4vICqGKIv2PQDADvX6d5jAQAA"
    ],
    [
      "independent blocks, no checksum",
      "H4sIAAAAAAACA2NR8pVIcGjSZGRg+M8fkpGqkJtakpibX1SQkV+cWayQn6ZQlJqcX5RSrKcgx/B/hINTAeBgcWIABRZq4KAHHZ7AUg4A6wAawgAAFnxC/34BAAA="
    ],
    [
      "checksums of linked blocks",
      "H4sIAAAAAAACA2NR8pUIcVinycjA8J8/JCNVITe1JDE3v6ggI784s1ghP02hKDU5vyilWE9BjuH/CAenAsDBMrv11g1lBgYG/g+4lToGgMOs6BT/EaBKhugLNv0Ax43bU2sBAAA="
    ],
    [
      "the content's size",
      "H4sIAAAAAAACA2NR8pXICXCQZGQAgTJnIP2fPyQjVSE3tSQxN7+oICO/OLNYIT9NoSg1Ob8opVhPQY7h/yjAAVQCwEEECsvoCzb9AAvda1peAQAA"
    ]
  ] as const
  for (const [name, base64] of written)
    it(`reads ${name} as another program wrote them`, () => {
      const frame = Zlib.gunzipSync(Buffer.from(base64, "base64"))
      same(Lz4.decompress(frame, MiB), Buffer.from("The metamorphosis of records. ".repeat(2400)))
    })

  it("reads several frames, and skips what is not content", () => {
    const a = Lz4.compress(sample(100))
    const skippable = Uint8Array.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9])
    const b = Lz4.compress(sample(50, 2))
    same(Lz4.decompress(Buffer.concat([skippable, a, skippable, b]), MiB), Buffer.concat([sample(100), sample(50, 2)]))
  })

  it("writes the header that Java writes, and before 0.10 the broken one (KIP-57)", () => {
    const codec = Compression.lz4()
    assert.strictEqual(Buffer.from(codec.compress(sample(9))).toString("hex", 0, 7), "04224d18604082")
    assert.strictEqual(Buffer.from(codec.format0!.compress(sample(9))).toString("hex", 0, 7), "04224d1860401a")
  })

  it("takes the broken header checksum in format 0 alone, and there the right one too", () => {
    const codec = Compression.lz4()
    const broken = codec.format0!.compress(sample(9))
    assert.include(failure(() => codec.decompress(broken, MiB)).message, "header checksum")
    same(codec.format0!.decompress(codec.compress(sample(9)), MiB), sample(9))
  })

  it("refuses blocks that cannot be, typed", () => {
    const frame = (...block: ReadonlyArray<number>) => {
      const header = Lz4.compress(new Uint8Array(0)).subarray(0, 7)
      return Uint8Array.from([...header, block.length, 0, 0, 0, ...block, 0, 0, 0, 0])
    }
    const problem = (bytes: Uint8Array, limit = MiB) => failure(() => Lz4.decompress(bytes, limit)).message
    assert.strictEqual(Buffer.from(Lz4.decompress(frame(0x14, 97, 1, 0, 0x10, 98), MiB)).toString(), "aaaaaaaaab")
    assert.include(problem(frame(0x14, 97, 2, 0, 0x10, 98)), "a copy reaches before the block")
    assert.include(problem(frame(0x14, 97, 0, 0, 0x10, 98)), "a copy reaches before the block")
    assert.include(problem(frame(0x50, 97, 98)), "literals run over the end of the block")
    assert.include(problem(frame(0xf0, 255, 255)), "a length is cut off")
    assert.include(problem(frame(0x1f, 97, 1, 0, 255)), "a length is cut off")
    assert.include(problem(frame(0x10, 97, 1)), "a copy is cut off")
    assert.include(problem(frame(0x14, 97, 1, 0)), "the block is cut off")
    // Blocks stand alone unless the frame says that they are linked.
    const two = Uint8Array.from([...frame(0x10, 97).subarray(0, 13), ...frame(0x04, 1, 0, 0x10, 98).subarray(7)])
    assert.include(problem(two), "a copy reaches before the block")
  })

  it("stops at the limit in blocks that are stored as they are", () => {
    const bytes = noise(8192)
    const frame = Lz4.compress(bytes)
    assert.isAbove(frame.length, bytes.length)
    assert.include(failure(() => Lz4.decompress(frame, 4096)).message, "more than the limit of 4096 bytes")
    same(Lz4.decompress(frame, 8192), bytes)
  })

  it("notices a flipped bit by each of its checksums", () => {
    const bytes = sample(500)
    const flip = (frame: Uint8Array, at: number) => {
      const copy = Uint8Array.from(frame)
      copy[at]! ^= 4
      return failure(() => Lz4.decompress(copy, MiB)).message
    }
    assert.include(flip(Lz4.compress(bytes), 6), "header checksum")
    assert.include(flip(Lz4.compress(bytes, { contentSize: true }), 6), "header checksum")
    const blocks = Lz4.compress(bytes, { blockChecksum: true })
    assert.include(flip(blocks, 20), "a block's checksum")
    const content = Lz4.compress(bytes, { contentChecksum: true })
    assert.include(flip(content, content.length - 1), "content's checksum")
  })

  it("hashes as xxHash32 does", () => {
    const text = (s: string) => Buffer.from(s)
    assert.strictEqual(XxHash32.hash(text(""), 0, 0), 0x02cc5d05)
    assert.strictEqual(XxHash32.hash(text("a"), 0, 1), 0x550d7456)
    assert.strictEqual(XxHash32.hash(text("abc"), 0, 3), 0x32d153ff)
    const long = text("Nobody inspects the spammish repetition")
    assert.strictEqual(XxHash32.hash(long, 0, long.length), 0xe2293b2f)
  })
})

describe("the registry", () => {
  it("has the five kinds by their numbers", () => {
    for (const [name, id] of Object.entries(Compression.ids)) assert.strictEqual(Compression.builtIn.get(id).name, name)
  })

  it("refuses a number that it does not know, typed", () => {
    const error = failure(() => Compression.builtIn.get(5))
    assert.strictEqual(error.reason._tag, "Unsupported")
    assert.include(error.message, "compression 5")
  })

  it.effect("stands there without being provided", () =>
    Effect.gen(function* () {
      const registry = yield* Compression.Compression
      assert.strictEqual(registry.get(1).name, "gzip")
    })
  )

  it.effect("lets an application replace a codec, and keeps the others", () => {
    const reverse: Compression.Codec = {
      id: Compression.ids.snappy,
      name: "snappy",
      compress: (bytes) => bytes.toReversed(),
      decompress: (bytes) => bytes.toReversed()
    }
    return Effect.gen(function* () {
      const registry = yield* Compression.Compression
      assert.deepStrictEqual([...registry.get(2).compress(Uint8Array.from([1, 2]))], [2, 1])
      assert.strictEqual(registry.get(4).name, "zstd")
    }).pipe(Effect.provide(Compression.layer(reverse)))
  })
})
