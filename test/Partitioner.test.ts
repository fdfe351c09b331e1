import { assert, describe, it } from "@effect/vitest"
import * as Partitioner from "../src/Partitioner.ts"
import { KafkaError } from "../src/KafkaError.ts"
import * as Java from "./records/java.ts"

const bytes = (text: string) => Buffer.from(text)
const range = (n: number) => Array.from({ length: n }, (_, i) => i)

/** Deterministic numbers from 0 to below 1. */
const seeded =
  (seed = 1) =>
  () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) | 0
    return (seed >>> 8) / 2 ** 24
  }

const reason = (f: () => unknown) => {
  try {
    f()
  } catch (error) {
    assert.instanceOf(error, KafkaError)
    return error.reason._tag
  }
  return "none"
}

describe("murmur2", () => {
  it("is Java's, for keys of every length", () => {
    assert.isAtLeast(Java.murmur2.length, 200)
    const choose = Partitioner.defaultPartitioner().make(seeded())
    for (const { hash, murmur2, partitionOf7 } of Java.murmur2) {
      const key = Buffer.from(murmur2, "hex")
      assert.strictEqual(Partitioner.murmur2(key), hash, murmur2)
      assert.strictEqual(choose("t", key, 7, [], 100), partitionOf7)
    }
  })
})

describe("the default partitioner", () => {
  it("keeps a key where it is while a broker is away", () => {
    const choose = Partitioner.defaultPartitioner().make(seeded())
    for (const key of ["a", "b", "c", "d"].map(bytes))
      assert.strictEqual(choose("t", key, 6, range(6), 100), choose("t", key, 6, [1], 100))
  })

  it("treats an empty key as a key, as Java does", () => {
    const choose = Partitioner.defaultPartitioner().make(seeded())
    assert.strictEqual(choose("t", bytes(""), 7, [], 10), (275646681 & 0x7fffffff) % 7)
  })

  it("stays with a partition for a batch's worth of bytes, then draws another (KIP-794)", () => {
    const choose = Partitioner.defaultPartitioner({ bytes: 1000 }).make(seeded())
    const chosen = range(100_000).map(() => choose("t", null, 5, range(5), 100))
    for (let i = 0; i < chosen.length; i += 10) assert.strictEqual(new Set(chosen.slice(i, i + 10)).size, 1)
    for (const partition of range(5)) {
      const share = chosen.filter((p) => p === partition).length / chosen.length
      assert.closeTo(share, 0.2, 0.02)
    }
  })

  it("draws by bytes, so that partitions get as much even where records differ in size", () => {
    const random = seeded(7)
    const choose = Partitioner.defaultPartitioner({ bytes: 16384 }).make(seeded(3))
    const sizes = [0, 0, 0]
    for (let i = 0; i < 200_000; i++) {
      const size = random() < 0.1 ? 5000 : 50
      const p = choose("t", null, 3, range(3), size)
      sizes[p]! += size
    }
    const total = sizes[0]! + sizes[1]! + sizes[2]!
    for (const size of sizes) assert.closeTo(size / total, 1 / 3, 0.03)
  })

  it("leaves a partition that loses its leader, and draws among those that have one", () => {
    const choose = Partitioner.defaultPartitioner({ bytes: 1e9 }).make(seeded())
    const first = choose("t", null, 4, range(4), 10)
    const others = range(4).filter((p) => p !== first)
    const second = choose("t", null, 4, others, 10)
    assert.notStrictEqual(second, first)
    assert.strictEqual(choose("t", null, 4, range(4), 10), second)
  })

  it("draws among all where none has a leader", () => {
    const choose = Partitioner.defaultPartitioner({ bytes: 1 }).make(seeded())
    assert.deepStrictEqual([...new Set(range(200).map(() => choose("t", null, 3, [], 10)))].sort(), [0, 1, 2])
  })

  it("keeps a partition for each topic, and for each producer", () => {
    const partitioner = Partitioner.defaultPartitioner({ bytes: 1e9 })
    const choose = partitioner.make(seeded())
    const a = choose("a", null, 1000, [], 10)
    const b = choose("b", null, 1000, [], 10)
    assert.strictEqual(choose("a", null, 1000, [], 10), a)
    assert.strictEqual(choose("b", null, 1000, [], 10), b)
    assert.notStrictEqual(a, b)
    assert.notStrictEqual(partitioner.make(seeded(9))("a", null, 1000, [], 10), a)
  })

  it("draws again where a topic came back with fewer partitions", () => {
    const choose = Partitioner.defaultPartitioner({ bytes: 1e9 }).make(() => 0.99)
    assert.strictEqual(choose("t", null, 100, [], 10), 99)
    assert.isBelow(choose("t", null, 3, [], 10), 3)
  })
})

describe("sticky", () => {
  it("ignores keys (partitioner.ignore.keys)", () => {
    const choose = Partitioner.sticky({ bytes: 1e9 }).make(seeded())
    assert.strictEqual(new Set(["a", "b", "c"].map((k) => choose("t", bytes(k), 50, [], 10))).size, 1)
  })
})

describe("librdkafka's", () => {
  // The keys and checksums of librdkafka's own test of its partitioners (0048).
  const vectors: ReadonlyArray<readonly [string, number]> = [
    ["23456", 0xb1b451d7],
    ["this is another string with more length to it perhaps", 0xb0150df7],
    ["hejsan", 0xd077037e]
  ]
  it("consistent is the CRC-32 of the key, modulo the partitions", () => {
    const choose = Partitioner.consistent.make(seeded())
    for (const [key, crc] of vectors) assert.strictEqual(choose("t", bytes(key), 17, [], 10), crc % 17, key)
    for (const key of [null, bytes("")]) assert.strictEqual(choose("t", key, 17, [], 10), 0)
  })

  it("consistentRandom draws where the key is missing or empty", () => {
    const choose = Partitioner.consistentRandom.make(seeded())
    for (const [key, crc] of vectors) assert.strictEqual(choose("t", bytes(key), 17, [], 10), crc % 17)
    for (const key of [null, bytes("")])
      assert.strictEqual(new Set(range(200).map(() => choose("t", key, 3, range(3), 10))).size, 3)
  })
})

describe("PyKafka's", () => {
  it("hashing is SHA-1 as a number, modulo the partitions", () => {
    const choose = Partitioner.hashing().make(seeded())
    // Vectors made by running PyKafka.
    const vectors = {
      foo: [0, 2, 5, 3, 55],
      dummy: [0, 2, 9, 11, 79],
      test_key: [0, 1, 4, 6, 74],
      "": [0, 1, 5, 9, 5],
      asdf: [0, 0, 8, 12, 48]
    }
    for (const [key, indexes] of Object.entries(vectors))
      assert.deepStrictEqual(
        [1, 3, 10, 16, 100].map((n) => choose("t", bytes(key), n, [], 10)),
        indexes,
        key
      )
  })

  it("hashing takes another hash, of any size and sign", () => {
    assert.strictEqual(Partitioner.hashing(() => -7).make(seeded())("t", bytes("k"), 5, [], 1), 2)
    assert.strictEqual(Partitioner.hashing(() => -(2n ** 80n)).make(seeded())("t", bytes("k"), 5, [], 1), 1)
  })

  it("hashing refuses a record without a key", () => {
    assert.strictEqual(
      reason(() => Partitioner.hashing().make(seeded())("t", null, 3, [], 1)),
      "Misuse"
    )
  })

  it("groupHashing spreads a key over its group, and no further", () => {
    const first = Partitioner.hashing().make(seeded())("t", bytes("foo"), 10, [], 1)
    const choose = Partitioner.groupHashing({ groupSize: 3 }).make(seeded())
    const chosen = new Set(range(300).map(() => choose("t", bytes("foo"), 10, [], 1)))
    assert.deepStrictEqual(
      [...chosen].sort(),
      [first, first + 1, first + 2].map((p) => p % 10)
    )
  })

  it("groupHashing refuses a group that cannot be", () => {
    for (const groupSize of [0, -1, 1.5])
      assert.strictEqual(
        reason(() => Partitioner.groupHashing({ groupSize })),
        "Misconfigured"
      )
    const choose = Partitioner.groupHashing({ groupSize: 4 }).make(seeded())
    assert.strictEqual(
      reason(() => choose("t", bytes("k"), 3, [], 1)),
      "Misuse"
    )
    assert.strictEqual(
      reason(() => choose("t", null, 5, [], 1)),
      "Misuse"
    )
  })

  it("roundRobin begins with partition 1", () => {
    const choose = Partitioner.roundRobin.make(seeded())
    assert.deepStrictEqual(
      range(7).map(() => choose("t", bytes("k"), 3, [], 1)),
      [1, 2, 0, 1, 2, 0, 1]
    )
    assert.strictEqual(choose("another", null, 3, [], 1), 1)
    assert.strictEqual(choose("single", null, 1, [], 1), 0)
  })

  it("random takes all that have a leader, evenly", () => {
    const choose = Partitioner.random.make(seeded())
    const counts = [0, 0, 0, 0]
    for (let i = 0; i < 30_000; i++) counts[choose("t", bytes("k"), 4, [0, 1, 3], 1)]!++
    assert.strictEqual(counts[2], 0)
    for (const p of [0, 1, 3]) assert.closeTo(counts[p]!, 10_000, 500)
  })
})
