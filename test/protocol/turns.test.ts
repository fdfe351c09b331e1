/** Messages that are read in turns: the same values, and no turn that takes long. */
import { isDeepStrictEqual } from "node:util"
import { assert, describe, it } from "vitest"
import { finish } from "../../src/compression/Turns.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import { all } from "../../src/protocol/Api.ts"
import { maxElements, Reader, turnElements } from "../../src/protocol/codec/Reader.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as OffsetFetch from "../../src/protocol/messages/OffsetFetch.ts"
import type * as Wire from "../../src/protocol/Wire.ts"
import { chance, damaged, hostileFrame } from "../fuzz/Grammar.ts"

const attempt = (read: () => unknown): unknown => {
  try {
    return read()
  } catch (error) {
    assert.instanceOf(error, KafkaError.KafkaError)
    return error.reason
  }
}

/** As it is read at once and in turns, which must be the same, and how many turns that were. */
const both = (message: Wire.Message<any>, version: number, frame: Uint8Array) => {
  const once = attempt(() => Frame.readResponse(message, version, frame).value)
  let turns = 0
  const inTurns = attempt(() => {
    const reading = Frame.readResponseInTurns(message, version, frame)
    for (;;) {
      const turn = reading.next()
      turns++
      if (turn.done === true) return turn.value
    }
  })
  // Vitest's own takes seconds for what is so large.
  assert.isTrue(isDeepStrictEqual(inTurns, once), `${message.name} v${version}`)
  return { once, turns }
}

const encoded = (message: Wire.Message<any>, version: number, value: object) =>
  Buffer.concat(Frame.encodeResponse(message, version, 1, value as never)).subarray(4)

const topic = (i: number, partitions = 1) => ({
  name: `topic-${i}`,
  partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
    partitionIndex,
    leaderId: 1,
    replicaNodes: [1, 2],
    isrNodes: [1]
  }))
})

describe("a response in turns", () => {
  it("is what it is at once, hostile and damaged ones too", () => {
    const r = chance(Number(process.env["SAMSA_SEED"] ?? 8))
    let long = 0
    for (let i = 0; i < 1000; i++) {
      const { Response } = r.pick(all)
      const version = Response.versions[0] + r.below(Response.versions[1] - Response.versions[0] + 1)
      const whole = hostileFrame(Response, version, 1, r)
      const frame = (r.below(2) === 0 ? whole : damaged(whole, r)).subarray(4)
      if (both(Response, version, frame).turns > 1) long++
    }
    assert.isAbove(long, 0)
  })

  it("takes one where it is short, and one for each few thousand elements, wherever these are", () => {
    const { turns } = both(Metadata.Response, 12, encoded(Metadata.Response, 12, { topics: [topic(0, 1000)] }))
    assert.strictEqual(turns, 1)
    const many = [
      encoded(Metadata.Response, 12, { topics: Array.from({ length: 10_000 }, (_, i) => topic(i)) }),
      encoded(Metadata.Response, 12, { topics: [topic(0, 20_000)] }),
      encoded(Metadata.Response, 12, { topics: Array.from({ length: 8 }, (_, i) => topic(i, 2500)) })
    ]
    for (const frame of many) {
      assert.isAtLeast(both(Metadata.Response, 12, frame).turns, 20_000 / turnElements)
    }
    // Within a tagged field, and three arrays deep.
    const endpoints = Array.from({ length: 20_000 }, (_, nodeId) => ({ nodeId, host: "b", port: 1, rack: null }))
    const tagged = both(Fetch.Response, 16, encoded(Fetch.Response, 16, { nodeEndpoints: endpoints }))
    assert.isAtLeast(tagged.turns, 20_000 / turnElements)
    const partitions = Array.from({ length: 20_000 }, (_, partitionIndex) => ({ partitionIndex, metadata: "m" }))
    const groups = [{ groupId: "g", topics: [{ name: "t", partitions }] }]
    const deep = both(OffsetFetch.Response, 8, encoded(OffsetFetch.Response, 8, { groups }))
    assert.isAtLeast(deep.turns, 20_000 / turnElements)
  })

  it("is one too many of elements where it is so at once", () => {
    // Correlation id, no brokers, one topic without a name: and as many partitions as there may be elements.
    const frame = Buffer.alloc(20 + maxElements * 18)
    frame.writeInt32BE(1, 8)
    frame.writeInt32BE(maxElements, 16)
    const { once } = both(Metadata.Response, 0, frame)
    assert.include(JSON.stringify(once), `more than ${maxElements} elements`)
  })

  it("of long texts, and of long lists of numbers, ends its turns by their bytes", () => {
    const text = "x".repeat(30_000)
    const topics = Array.from({ length: 100 }, () => ({ name: text, partitions: [] }))
    const texts = both(Metadata.Response, 12, encoded(Metadata.Response, 12, { topics }))
    assert.isAtLeast(texts.turns, 3)
    const replicaNodes = Array.from({ length: 500_000 }, (_, i) => i)
    const numbers = both(
      Metadata.Response,
      12,
      encoded(Metadata.Response, 12, { topics: [{ name: "t", partitions: [{ replicaNodes }] }] })
    )
    assert.isAtLeast(numbers.turns, 2)
  })

  it("leaves a reader that was given no turn as it was", () => {
    const reader = new Reader(new Uint8Array(10))
    reader.count(10, 1)
    reader.spend(1e9)
    assert.isFalse(reader.isTurnOver)
    assert.isUndefined(finish((function* () {})()))
  })
})
