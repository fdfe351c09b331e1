import { assert, describe, it } from "@effect/vitest"
import * as ConsumerProtocol from "../../src/group/ConsumerProtocol.ts"
import * as KafkaError from "../../src/KafkaError.ts"

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"))
const hex = (all: Uint8Array) => Buffer.from(all).toString("hex")
const t = (...partitions: ReadonlyArray<number>) => partitions.map((partition) => ({ topic: "t", partition }))
const subscription = (metadata: Uint8Array) =>
  ConsumerProtocol.decodeSubscription({ memberId: "m", instanceId: null, metadata })
const nobody = { memberId: "m", instanceId: null }

describe("ConsumerProtocol", () => {
  it("writes subscriptions as Java does (kafka-clients 4.4.0)", () => {
    const written = ConsumerProtocol.encodeSubscription({
      topics: ["u", "t"],
      owned: [...t(0, 2), { topic: "u", partition: 1 }],
      generation: 7,
      userData: bytes("00000007")
    })
    assert.strictEqual(
      hex(written),
      "000200000002000174000175000000040000000700000002000174000000020000000000000002000175000000010000000100000007"
    )
  })

  it("reads subscriptions of every version, and of those to come", () => {
    const v3 =
      "00000002000174000175 0000000400000007 00000002 000174 00000002 00000000 00000002 000175 00000001 00000001 00000007 000172"
    const owned = [...t(0, 2), { topic: "u", partition: 1 }]
    const read = { ...nobody, topics: ["t", "u"], owned, generation: 7, userData: bytes("00000007") }
    assert.deepStrictEqual(subscription(bytes(`0003 ${v3}`)), read)
    assert.deepStrictEqual(subscription(bytes(`0009 ${v3} 0badcafe`)), read)
    // PyKafka's: v0, with user data
    assert.deepStrictEqual(subscription(bytes("0000 00000001 0001 74 0000000c 746573747573657264617461")), {
      ...nobody,
      topics: ["t"],
      owned: [],
      generation: -1,
      userData: new TextEncoder().encode("testuserdata")
    })
  })

  it("reads a subscription that ends early as what it has: without generation, owned partitions, user data", () => {
    const none = { ...nobody, topics: ["t"], owned: [], generation: -1, userData: null }
    const all = "00000001 000174 ffffffff 00000001 000174 00000001 00000005"
    assert.deepStrictEqual(subscription(bytes(`0003 ${all}`)), { ...none, owned: t(5) })
    assert.deepStrictEqual(subscription(bytes("0001 00000001 000174 ffffffff")), none)
    assert.deepStrictEqual(subscription(bytes("0001 00000001 000174")), none)
  })

  const pykafka = "0001 00000001 000174 00000002 00000000 00000002"
  it("reads the assignment of PyKafka's leader, which leaves the user data out", () => {
    assert.deepStrictEqual(ConsumerProtocol.decodeAssignment(bytes(pykafka)), { partitions: t(0, 2), userData: null })
  })

  it("reads assignments that are empty, newer, followed by more, or name a partition twice", () => {
    assert.deepStrictEqual(ConsumerProtocol.decodeAssignment(new Uint8Array()), { partitions: [], userData: null })
    const java = "00000001 000174 00000002 00000000 00000002 ffffffff"
    const read = { partitions: t(0, 2), userData: null }
    assert.deepStrictEqual(ConsumerProtocol.decodeAssignment(bytes(`0003 ${java}`)), read)
    assert.deepStrictEqual(ConsumerProtocol.decodeAssignment(bytes(`0063 ${java} 00`)), read)
    assert.deepStrictEqual(
      ConsumerProtocol.decodeAssignment(bytes("0000 00000001 000174 00000003 00000000 00000000 ffffffff ffffffff")),
      { partitions: t(0), userData: null }
    )
  })

  it("gives user data that outlive the frame", () => {
    const frame = bytes("0001 00000000 00000002 0102")
    const { userData } = ConsumerProtocol.decodeAssignment(frame)
    frame.fill(0)
    assert.deepStrictEqual(userData, Uint8Array.of(1, 2))
  })

  for (const [what, bad] of [
    ["without a version", "00"],
    ["with a version below 0", "8000 00000000 ffffffff"],
    ["cut in a topic", "0001 00000001 0005 74"],
    ["cut in its partitions", "0001 00000001 000174 00000002 00000000"],
    ["with a count that it cannot hold", "0001 7fffffff 000174"],
    ["of another protocol", "deadbeef"]
  ] as const) {
    it(`says what is wrong with an assignment ${what}`, () => {
      try {
        ConsumerProtocol.decodeAssignment(bytes(bad))
        assert.fail("it was read")
      } catch (error) {
        assert.instanceOf(error, KafkaError.KafkaError)
        assert.strictEqual((error as KafkaError.KafkaError).reason._tag, "Corrupt")
      }
    })
  }

  it("refuses more partitions than any member has, before it goes through them (20 s of one turn)", () => {
    const many = Array.from({ length: 1 << 18 }, (_, partition) => ({ topic: "t", partition }))
    const written = ConsumerProtocol.encodeAssignment({ partitions: many, userData: null })
    assert.lengthOf(ConsumerProtocol.decodeAssignment(written).partitions, many.length)
    const one = { topic: "t", partition: many.length }
    const more = ConsumerProtocol.encodeAssignment({ partitions: [...many, one], userData: null })
    assert.throws(() => ConsumerProtocol.decodeAssignment(more), "it tells of 262145 partitions")
  })

  it("reads what it writes", () => {
    const share = { partitions: [...t(3, 1), { topic: "ü", partition: 0 }], userData: Uint8Array.of(9) }
    assert.deepStrictEqual(ConsumerProtocol.decodeAssignment(ConsumerProtocol.encodeAssignment(share)), share)
  })
})
