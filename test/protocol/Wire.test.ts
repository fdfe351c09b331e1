import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as KafkaError from "../../src/KafkaError.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as JoinGroup from "../../src/protocol/messages/JoinGroup.ts"
import * as ListOffsets from "../../src/protocol/messages/ListOffsets.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as OffsetCommit from "../../src/protocol/messages/OffsetCommit.ts"
import * as OffsetFetch from "../../src/protocol/messages/OffsetFetch.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import * as Wire from "../../src/protocol/Wire.ts"

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"))

const reasonOf = (run: () => unknown): KafkaError.Reason => {
  try {
    run()
  } catch (error) {
    assert.instanceOf(error, KafkaError.KafkaError)
    return (error as KafkaError.KafkaError).reason
  }
  throw new Error("nothing was thrown")
}

const corrupt = (run: () => unknown): KafkaError.Corrupt => {
  const reason = reasonOf(run)
  if (reason._tag !== "Corrupt") throw new Error(`${reason._tag} instead of Corrupt`)
  return reason
}

const misuse = (run: () => unknown): string => {
  const reason = reasonOf(run)
  if (reason._tag !== "Misuse") throw new Error(`${reason._tag} instead of Misuse`)
  return reason.message
}

/** A message of one field, flexible from version 1. */
const one = <S extends Schema.Top & Schema.WithoutConstructorDefault>(field: S) =>
  Wire.message("One", { key: -1, versions: "0-3", flexible: "1+" }, () => ({ it: field }))

const written = (message: Wire.Message<any>, version: number, value: unknown): string =>
  hexOf(Wire.compile(message, version).write({ it: value }))

const readBack = (message: Wire.Message<any>, version: number, hex: string): unknown =>
  (Wire.compile(message, version).read(bytesOf(hex)) as { it: unknown }).it

describe("wire types", () => {
  // By hand, from the protocol guide; version 1 adds a byte for no tagged fields.
  const cases: ReadonlyArray<readonly [name: string, Wire.Message<any>, value: unknown, v0: string, v1: string]> = [
    ["bool", one(Wire.bool), true, "01", "01 00"],
    ["int8", one(Wire.int8), -2, "fe", "fe 00"],
    ["int16", one(Wire.int16), -2, "fffe", "fffe 00"],
    ["uint16", one(Wire.uint16), 65534, "fffe", "fffe 00"],
    ["int32", one(Wire.int32), -2147483648, "80000000", "80000000 00"],
    ["uint32", one(Wire.uint32), 4294967294, "fffffffe", "fffffffe 00"],
    ["int64", one(Wire.int64), -9007199254740991, "ffe0000000000001", "ffe0000000000001 00"],
    ["int64", one(Wire.int64), 9007199254740991, "001fffffffffffff", "001fffffffffffff 00"],
    ["int64", one(Wire.int64), -1, "ffffffffffffffff", "ffffffffffffffff 00"],
    ["amount", one(Wire.amount), -9007199254740991, "ffe0000000000001", "ffe0000000000001 00"],
    ["amount", one(Wire.amount), 1.7e18, "17979cfe362a0000", "17979cfe362a0000 00"],
    ["varint", one(Wire.varint), -65, "8101", "8101 00"],
    ["varint", one(Wire.varint), -2147483648, "ffffffff0f", "ffffffff0f 00"],
    ["varlong", one(Wire.varlong), 300, "d804", "d804 00"],
    ["varlong", one(Wire.varlong), -9007199254740991, "fdffffffffffff1f", "fdffffffffffff1f 00"],
    ["float64", one(Wire.float64), -0.5, "bfe0000000000000", "bfe0000000000000 00"],
    ["string", one(Wire.string), "é", "0002 c3a9", "03 c3a9 00"],
    ["string with a byte order mark", one(Wire.string), "\ufeffg", "0004 efbbbf67", "05 efbbbf67 00"],
    ["bytes", one(Wire.bytes), bytesOf("0102"), "00000002 0102", "03 0102 00"],
    ["records", one(Wire.records), bytesOf("0102"), "00000002 0102", "03 0102 00"],
    [
      "uuid",
      one(Wire.uuid),
      "AAECAwQFBgcICQoLDA0ODw",
      "000102030405060708090a0b0c0d0e0f",
      "000102030405060708090a0b0c0d0e0f 00"
    ],
    ["array", one(Wire.array(Wire.int16)), [1, 2], "00000002 0001 0002", "03 0001 0002 00"],
    ["array of int32", one(Wire.array(Wire.int32)), [1, -1], "00000002 00000001 ffffffff", "03 00000001 ffffffff 00"],
    ["struct", one(Wire.struct({ a: Wire.int8 })), { a: 7 }, "07", "07 00 00"],
    ["null string", one(Wire.string.pipe(Wire.nullable("0+"))), null, "ffff", "00 00"],
    ["null bytes", one(Wire.bytes.pipe(Wire.nullable("0+"))), null, "ffffffff", "00 00"],
    ["null array", one(Wire.array(Wire.int8).pipe(Wire.nullable("0+"))), null, "ffffffff", "00 00"],
    ["null struct", one(Wire.struct({ a: Wire.int8 }).pipe(Wire.nullable("0+"))), null, "ff", "ff 00"],
    ["nullable struct", one(Wire.struct({ a: Wire.int8 }).pipe(Wire.nullable("0+"))), { a: 7 }, "01 07", "01 07 00 00"]
  ]
  for (const [name, message, value, v0, v1] of cases)
    it(`${name} ${JSON.stringify(value)} is written and read`, () => {
      for (const [version, hex] of [v0, v1].entries()) {
        assert.strictEqual(written(message, version, value), hexOf(bytesOf(hex)))
        assert.deepStrictEqual(readBack(message, version, hex), value)
      }
    })

  it("a time or a size beyond 2^53 is rounded to the nearest number, and written as the nearest int64", () => {
    const message = one(Wire.amount)
    assert.strictEqual(readBack(message, 0, "7fffffffffffffff"), 2 ** 63)
    assert.strictEqual(readBack(message, 0, "8000000000000000"), -(2 ** 63))
    assert.strictEqual(written(message, 0, 2 ** 63), "7fffffffffffffff")
    assert.strictEqual(written(message, 0, 1e300), "7fffffffffffffff")
    assert.strictEqual(written(message, 0, -1e300), "8000000000000000")
    for (const none of [NaN, 1.5, Infinity, "1", null])
      assert.strictEqual(reasonOf(() => written(message, 0, none))._tag, "Misuse")
  })

  it("text of every length is written behind the right length", () => {
    const message = one(Wire.string)
    for (const version of [0, 1])
      for (const length of [0, 1, 125, 126, 127, 128, 16382, 16383, 16384, 32767])
        for (const letter of ["a", "é".repeat(1)]) {
          const text = letter.repeat(letter === "a" ? length : Math.floor(length / 2))
          assert.strictEqual(readBack(message, version, written(message, version, text)), text)
        }
  })

  it("a tagged field takes no bytes where it has its default, and goes behind its size else", () => {
    const message = Wire.message("One", { key: -1, versions: "0-3", flexible: "1+" }, () => ({
      b: Wire.string.pipe(Wire.tagged(5, "2+", { default: "b" })),
      a: Wire.int32.pipe(Wire.tagged(1, "1+", { default: -1 })),
      s: Wire.struct({ x: Wire.array(Wire.int64), y: Wire.int8.pipe(Wire.at("3+")) }).pipe(Wire.tagged(200, "1+"))
    }))
    const at = (version: number) => Wire.compile(message, version)
    assert.strictEqual(hexOf(at(2).write({})), "00")
    assert.strictEqual(hexOf(at(2).write({ a: -1, b: "b", s: { x: [] } })), "00")
    assert.strictEqual(hexOf(at(2).write({ b: "c", a: 9 })), hexOf(bytesOf("02 01 04 00000009 05 02 02 63")))
    assert.strictEqual(hexOf(at(2).write({ s: { x: [1] } })), hexOf(bytesOf("01 c801 0a 02 0000000000000001 00")))
    assert.deepStrictEqual(at(2).read(bytesOf("00")), { b: "b", a: -1, s: { x: [], y: 0 } })
    // A size of two bytes moves what was written by two.
    const long = { s: { x: Array.from({ length: 40 }, (_, i) => i), y: 0 }, b: "c".repeat(300), a: 3 }
    assert.deepStrictEqual(at(2).read(at(2).write(long)), { b: long.b, a: 3, s: long.s })
    assert.strictEqual(reasonOf(() => at(1).write({ b: "c" }))._tag, "Unsupported")
    assert.strictEqual(reasonOf(() => at(0).write({ s: { x: [1] } }))._tag, "Unsupported")
  })

  it("unknown tags are kept in their order, and refused where they cannot go", () => {
    const message = one(Wire.int8.pipe(Wire.tagged(3, "1+")))
    const hex = hexOf(bytesOf("03 01 01 aa 03 01 07 09 00"))
    const read = Wire.compile(message, 1).read(bytesOf(hex))
    assert.strictEqual(read.it, 7)
    assert.deepStrictEqual(Wire.unknownTags(read), [
      [1, bytesOf("aa")],
      [9, bytesOf("")]
    ])
    assert.strictEqual(hexOf(Wire.compile(message, 1).write(read)), hex)
    assert.strictEqual(reasonOf(() => Wire.compile(message, 0).write({ ...read, it: 0 }))._tag, "Unsupported")
    assert.include(
      misuse(() => Wire.compile(message, 1).write({ it: 1, "~unknownTags": [[3, bytesOf("")]] } as any)),
      "tag 3 twice"
    )
  })
})

describe("what callers write", () => {
  it("is any part of a message: what is undefined takes its default", () => {
    const write = Wire.compile(Metadata.Request, 9).write
    const made = Metadata.Request.schema.make({ topics: [{ name: "a" }] })
    assert.strictEqual(hexOf(write({ topics: [{ name: "a" }] })), hexOf(write(made)))
    assert.strictEqual(hexOf(write({ topics: [{ name: "a", topicId: undefined }] } as any)), hexOf(write(made)))
    assert.strictEqual(made.allowAutoTopicCreation, true)
    assert.strictEqual(
      Wire.compile(Metadata.Response, 12).read(Wire.compile(Metadata.Response, 12).write({})).controllerId,
      -1
    )
  })

  it("is refused with its path where it does not fit", () => {
    const join = (value: object) => misuse(() => Wire.compile(JoinGroup.Request, 5).write(value))
    const protocols = (protocol: unknown) => join({ protocols: [{ name: "range" }, protocol] })
    assert.strictEqual(join({ sessionTimeoutMs: 1.5 }), "JoinGroupRequest v5, sessionTimeoutMs: 1.5 is not an int32")
    assert.include(join({ sessionTimeoutMs: 2 ** 31 }), "sessionTimeoutMs: 2147483648 is not an int32")
    assert.include(join({ sessionTimeoutMs: "10" }), `sessionTimeoutMs: "10" is not an int32`)
    assert.include(join({ groupId: null }), "groupId: it cannot be null")
    assert.include(join({ groupId: 7 }), "groupId: 7 is not a text")
    assert.include(protocols({ name: "x".repeat(32768) }), "protocols[1].name: the text has 32768 bytes")
    assert.include(protocols({ name: "\ud800" }), "protocols[1].name: the text has half of a surrogate pair")
    assert.include(protocols({ metadata: "abc" }), "protocols[1].metadata: abc is not bytes")
    assert.include(protocols(null), "protocols[1]: null is not an object")
    assert.include(join({ protocols: new Set() }), "protocols: [object Set] is not an array")
    assert.include(
      misuse(() => Wire.compile(Metadata.Request, 12).write({ topics: [{ topicId: "nonsense" }] })),
      `topics[0].topicId: "nonsense" is not a uuid`
    )
    // Its last digit has bits beyond the sixteenth byte.
    misuse(() => Wire.compile(Metadata.Request, 12).write({ topics: [{ topicId: "AAAAAAAAAAAAAAAAAAAAAB" }] }))
    assert.include(
      misuse(() =>
        Wire.compile(Metadata.Response, 9).write({ topics: [{ partitions: [{ isrNodes: [1, 2, 2 ** 40] }] }] })
      ),
      "topics[0].partitions[0].isrNodes[2]"
    )
    assert.include(
      misuse(() =>
        Wire.compile(OffsetCommit.Request, 8).write({ topics: [{ partitions: [{ committedOffset: 2 ** 60 }] }] })
      ),
      "topics[0].partitions[0].committedOffset: 1152921504606847000 is not an int64 within 2^53"
    )
    const bomb = {
      get groupId(): string {
        throw new Error("boom")
      }
    }
    assert.include(join(bomb), "boom")
  })

  it("is refused as unsupported where only another version can carry it", () => {
    const reason = reasonOf(() => Wire.compile(JoinGroup.Request, 4).write({ groupInstanceId: "i-1" }))
    assert.deepStrictEqual(
      { ...reason },
      {
        _tag: "Unsupported",
        api: "JoinGroup",
        version: 4,
        needed: "groupInstanceId of JoinGroupRequest (versions 5+)",
        ours: "0-9",
        theirs: "4"
      }
    )
    const nulled = reasonOf(() => Wire.compile(Metadata.Request, 0).write({ topics: null }))
    assert.strictEqual(nulled._tag === "Unsupported" && nulled.needed, "topics of MetadataRequest (null in 1+)")
    const unknown = reasonOf(() => Wire.compile(Metadata.Request, 14))
    assert.strictEqual(unknown._tag, "Unsupported")
    for (const version of [-1, 0.5, Number.NaN])
      assert.strictEqual(reasonOf(() => Wire.compile(Metadata.Request, version))._tag, "Unsupported")
  })

  it("leaves the shared writer clean after an error", () => {
    const write = Wire.compile(JoinGroup.Request, 5).write
    const before = hexOf(write({ groupId: "g" }))
    misuse(() => write({ groupId: "g".repeat(5000), sessionTimeoutMs: 0.5 }))
    assert.strictEqual(hexOf(write({ groupId: "g" })), before)
  })

  it("may be written while another message is being written", () => {
    const { write, read } = Wire.compile(JoinGroup.Request, 5)
    let nested = ""
    const outer = read(
      write({
        groupId: "outer",
        get memberId() {
          nested = read(write({ groupId: "inner" })).groupId
          return "m"
        }
      })
    )
    assert.strictEqual(nested, "inner")
    assert.deepInclude(outer, { groupId: "outer", memberId: "m" })
  })
})

describe("bytes that do not follow the protocol", () => {
  const metadata = Wire.compile(Metadata.Response, 1)
  const good = metadata.write({
    brokers: [{ nodeId: 1, host: "a", port: 9092 }],
    topics: [{ name: "t", partitions: [{ replicaNodes: [1, 2] }, { isrNodes: [3] }] }]
  })

  it("fail with message, version, field and position", () => {
    const reason = corrupt(() => metadata.read(good.subarray(0, good.length - 3)))
    assert.deepStrictEqual(
      { ...reason },
      {
        _tag: "Corrupt",
        api: "Metadata",
        version: 1,
        what: "MetadataResponse v1",
        path: "topics[0].partitions[1].isrNodes",
        position: good.length - 4,
        problem: "4 bytes are needed, 1 are left"
      }
    )
    assert.strictEqual(
      new KafkaError.KafkaError({ reason }).message,
      `Corrupt: MetadataResponse v1, topics[0].partitions[1].isrNodes at byte ${good.length - 4}: 4 bytes are needed, 1 are left [Metadata v1]`
    )
  })

  it("fail wherever they are cut off", () => {
    for (let end = 0; end < good.length; end++) {
      const reason = corrupt(() => metadata.read(good.subarray(0, end)))
      assert.isAtMost(reason.position!, end)
    }
    assert.include(corrupt(() => metadata.read(Buffer.concat([good, Buffer.of(0)]))).problem, "1 bytes are left")
  })

  it("fail for more elements than a message has, before they are made", () => {
    const items = Wire.array(Wire.struct({ a: Wire.int8 }))
    const message = one(items)
    const most = 1 << 21
    const bytes = Buffer.alloc(4 + most + 1)
    bytes.writeInt32BE(most + 1)
    assert.include(corrupt(() => Wire.compile(message, 0).read(bytes)).problem, `more than ${most} elements`)
    // However they are spread.
    const nested = one(Wire.array(Wire.struct({ b: Wire.array(Wire.int8) })))
    const half = most / 2 + 1
    const two = Buffer.alloc(12 + half * 2)
    two.writeInt32BE(2, 0)
    two.writeInt32BE(half, 4)
    two.writeInt32BE(half, 8 + half)
    assert.include(corrupt(() => Wire.compile(nested, 0).read(two)).problem, `more than ${most} elements`)
  })

  it("fail for lengths and counts that cannot be", () => {
    const string = one(Wire.string)
    const problem = (message: Wire.Message<any>, version: number, hex: string): string =>
      corrupt(() => readBack(message, version, hex)).problem
    assert.include(problem(string, 0, "fffe"), "a length of -2")
    assert.include(problem(string, 0, "ffff"), "null")
    assert.include(problem(string, 1, "00 00"), "null")
    assert.include(problem(string, 0, "0003 6161"), "3 bytes are needed, 2 are left")
    assert.include(problem(string, 0, "0001 ff"), "not UTF-8")
    assert.include(problem(string, 1, "ffffffff0f"), "over the limit")
    assert.include(problem(string, 1, "ffffffff1f"), "more than 32 bits")
    assert.include(problem(string, 1, "808080808000"), "more than 32 bits")
    assert.include(problem(one(Wire.bytes), 0, "80000000"), "a length of -2147483648")
    assert.include(problem(one(Wire.array(Wire.int8)), 0, "7fffffff 00"), "2147483647 elements do not fit")
    assert.include(problem(one(Wire.array(Wire.int32)), 0, "40000000 00000000"), "bytes are needed")
    assert.include(problem(one(Wire.array(Wire.string)), 0, "00000002 0000 00ff"), "255 bytes are needed")
    assert.include(problem(one(Wire.array(Wire.struct({ a: Wire.int64 }))), 1, "03 0000000000000000 00"), "do not fit")
    assert.include(problem(one(Wire.int8.pipe(Wire.tagged(0, "1+"))), 1, "ffffff7f"), "268435455 tagged fields")
    assert.include(problem(one(Wire.int8.pipe(Wire.tagged(0, "1+"))), 1, "01 00 02 0101"), "1 bytes of the tagged")
    assert.include(problem(one(Wire.int32.pipe(Wire.tagged(0, "1+"))), 1, "01 00 02 01010101"), "4 bytes are needed")
    assert.include(problem(one(Wire.int8.pipe(Wire.tagged(0, "1+"))), 1, "01 00 7f 01"), "127 bytes are needed")
    assert.include(problem(one(Wire.varlong), 0, "ffffffffffffffffff7f"), "more than 64 bits")
    assert.include(problem(one(Wire.varlong), 0, "ffffffffffffffffff01"), "beyond 2^53")
    assert.include(problem(one(Wire.int64), 0, "0020000000000000"), "9007199254740992 is beyond 2^53")
    assert.include(problem(one(Wire.int64), 0, "ffe0000000000000"), "-9007199254740992 is beyond 2^53")
  })

  it("allocate nothing for a count that is only claimed", () => {
    // A frame of a megabyte, whose first element already fails.
    const frame = new Uint8Array(1 << 20)
    new DataView(frame.buffer).setInt32(0, (1 << 19) - 8)
    frame.fill(0xff, 4)
    const read = Wire.compile(one(Wire.array(Wire.string)), 0).read
    corrupt(() => read(frame))
    const before = process.memoryUsage().heapUsed
    corrupt(() => read(frame))
    // The array would take four megabytes.
    assert.isBelow(process.memoryUsage().heapUsed - before, 2 << 20)
  })
})

describe("records and bytes", () => {
  const records = new Uint8Array(5000).fill(7)

  it("are views of what was read", () => {
    const response = Wire.compile(Fetch.Response, 11)
    const frame = response.write({ responses: [{ topic: "t", partitions: [{ records }] }] })
    const read = response.read(frame).responses[0]!.partitions[0]!.records!
    assert.deepStrictEqual(read, records)
    assert.strictEqual(read.buffer, frame.buffer)
  })

  it("are referred to by the parts of a frame, not copied, where they are large", () => {
    const small = Uint8Array.of(1, 2, 3)
    const value = {
      topicData: [
        {
          name: "t",
          partitionData: [
            { index: 0, records },
            { index: 1, records: small },
            { index: 2, records }
          ]
        }
      ]
    }
    for (const version of [3, 9, 13]) {
      const produce = Wire.compile(Produce.Request, version)
      const given =
        version === 13 ? { topicData: [{ ...value.topicData[0], topicId: "AAAAAAAAAAAAAAAAAAAAAQ" }] } : value
      const parts = Wire.withWriter((writer) => {
        produce.encode(writer, given)
        return writer.parts()
      })
      assert.strictEqual(parts.filter((part) => part === records).length, 2)
      assert.strictEqual(hexOf(Buffer.concat(parts)), hexOf(produce.write(given)))
    }
  })
})

describe("the legacy forms", () => {
  it("OffsetCommit and OffsetFetch of ZooKeeper's days are versions 0", () => {
    assert.strictEqual(
      hexOf(
        Wire.compile(OffsetCommit.Request, 0).write({
          groupId: "g",
          topics: [{ name: "t", partitions: [{ partitionIndex: 1, committedOffset: 5, committedMetadata: "m" }] }]
        })
      ),
      hexOf(bytesOf("0001 67 00000001 0001 74 00000001 00000001 0000000000000005 0001 6d"))
    )
    assert.strictEqual(
      hexOf(
        Wire.compile(OffsetFetch.Request, 0).write({ groupId: "g", topics: [{ name: "t", partitionIndexes: [1] }] })
      ),
      hexOf(bytesOf("0001 67 00000001 0001 74 00000001 00000001"))
    )
    const fetched = Wire.compile(OffsetFetch.Response, 0).read(
      bytesOf("00000001 0001 74 00000001 00000001 ffffffffffffffff 0000 0003")
    )
    assert.deepInclude(fetched.topics[0]!.partitions[0], { committedOffset: -1, metadata: "", errorCode: 3 })
  })

  it("ListOffsets v0 asks for a number of offsets, and gives a list", () => {
    assert.strictEqual(
      hexOf(
        Wire.compile(ListOffsets.Request, 0).write({
          replicaId: -1,
          topics: [{ name: "t", partitions: [{ partitionIndex: 0, timestamp: -2, maxNumOffsets: 4 }] }]
        })
      ),
      hexOf(bytesOf("ffffffff 00000001 0001 74 00000001 00000000 fffffffffffffffe 00000004"))
    )
    const listed = Wire.compile(ListOffsets.Response, 0).read(
      bytesOf("00000001 0001 74 00000001 00000000 0000 00000002 0000000000000009 0000000000000000")
    )
    assert.deepStrictEqual(listed.topics[0]!.partitions[0]!.oldStyleOffsets, [9, 0])
  })
})

describe("a codec", () => {
  it.effect("is a Schema that composes", () =>
    Effect.gen(function* () {
      const codec = Wire.codec(OffsetFetch.Request, 1)
      const bytes = yield* Schema.encodeEffect(codec)(
        OffsetFetch.Request.schema.make({ groupId: "g", topics: [{ name: "t" }] })
      )
      const value = yield* Schema.decodeEffect(codec)(bytes)
      assert.strictEqual(value.topics?.[0]?.name, "t")
      const failed = yield* Effect.flip(Schema.decodeEffect(codec)(bytes.subarray(1)))
      assert.strictEqual(failed._tag, "SchemaError")
      assert.include(failed.message, "OffsetFetchRequest v1")
      assert.include(failed.message, "at byte")
    })
  )

  it("builds no Schema before a message is used", () => {
    let built = 0
    const lazy = Wire.message("Lazy", { key: -1, versions: "0", flexible: "none" }, () => {
      built++
      return { a: Wire.int8 }
    })
    assert.strictEqual(built, 0)
    assert.strictEqual(Wire.compile(lazy, 0), Wire.compile(lazy, 0))
    assert.strictEqual(built, 1)
  })
})
