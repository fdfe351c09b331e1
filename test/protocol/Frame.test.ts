import { assert, describe, it } from "@effect/vitest"
import * as KafkaError from "../../src/KafkaError.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as ApiVersions from "../../src/protocol/messages/ApiVersions.ts"
import * as Heartbeat from "../../src/protocol/messages/Heartbeat.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import { random } from "./support/values.ts"

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")
const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"))
const joined = (parts: ReadonlyArray<Uint8Array>): string => hexOf(Buffer.concat(parts))

const reasonOf = (run: () => unknown): KafkaError.Reason => {
  try {
    run()
  } catch (error) {
    assert.instanceOf(error, KafkaError.KafkaError)
    return (error as KafkaError.KafkaError).reason
  }
  throw new Error("nothing was thrown")
}

describe("frames of requests and responses", () => {
  // By hand, from the protocol guide.
  it("have the header that their version asks for", () => {
    const header = { correlationId: 7, clientId: "me" }
    assert.strictEqual(
      joined(Frame.encodeRequest(Heartbeat.Request, 0, header, { groupId: "g", generationId: 1, memberId: "m" })),
      hexOf(bytesOf("00000016 000c 0000 00000007 0002 6d65 0001 67 00000001 0001 6d"))
    )
    assert.strictEqual(
      joined(Frame.encodeRequest(Heartbeat.Request, 4, header, { groupId: "g", generationId: 1, memberId: "m" })),
      hexOf(bytesOf("00000017 000c 0004 00000007 0002 6d65 00 02 67 00000001 02 6d 00 00"))
    )
    assert.strictEqual(
      joined(Frame.encodeRequest(ApiVersions.Request, 0, { correlationId: -1, clientId: null }, {})),
      hexOf(bytesOf("0000000a 0012 0000 ffffffff ffff"))
    )
    assert.strictEqual(
      joined(Frame.encodeResponse(Heartbeat.Response, 4, 7, { errorCode: 27 })),
      hexOf(bytesOf("0000000c 00000007 00 00000000 001b 00"))
    )
    // The response to ApiVersions has no tagged fields in its header, at any version.
    assert.strictEqual(
      joined(Frame.encodeResponse(ApiVersions.Response, 3, 7, { apiKeys: [{ apiKey: 18, maxVersion: 3 }] })),
      hexOf(bytesOf("00000013 00000007 0000 02 0012 0000 0003 00 00000000 00"))
    )
  })

  it("are read by the other side", () => {
    for (const version of [0, 1, 3, 4]) {
      const value = { groupId: "g", generationId: 1, memberId: "m" }
      const sent = Frame.encodeRequest(Heartbeat.Request, version, { correlationId: 5, clientId: "é" }, value)
      const frame = Buffer.concat(sent).subarray(4)
      const header = Frame.readRequestHeader(frame)
      assert.deepInclude(header, { apiKey: 12, apiVersion: version, correlationId: 5, clientId: "é" })
      assert.deepInclude(Frame.readRequestBody(Heartbeat.Request, version, frame, header.bodyAt), value)
      const answer = Buffer.concat(Frame.encodeResponse(Heartbeat.Response, version, 5, { errorCode: 3 })).subarray(4)
      assert.strictEqual(Frame.readCorrelationId(answer), 5)
      assert.deepStrictEqual(Frame.readResponse(Heartbeat.Response, version, answer), {
        correlationId: 5,
        value: { throttleTimeMs: 0, errorCode: 3 }
      })
    }
  })

  it("may have tagged fields in their headers, which are skipped", () => {
    const request = bytesOf("000c 0004 00000007 0002 6d65 01 05 01 aa 02 67 00000001 02 6d 00 00")
    const header = Frame.readRequestHeader(request)
    assert.strictEqual(Frame.readRequestBody(Heartbeat.Request, 4, request, header.bodyAt).groupId, "g")
    const response = bytesOf("00000007 01 05 01 aa 00000000 001b 00")
    assert.strictEqual(Frame.readResponse(Heartbeat.Response, 4, response).value.errorCode, 27)
  })

  it("tell the header of ControlledShutdown v0, which has no client id", () => {
    const header = Frame.readRequestHeader(bytesOf("0007 0000 00000009 00000001"))
    assert.deepStrictEqual(header, { apiKey: 7, apiVersion: 0, correlationId: 9, clientId: null, bodyAt: 8 })
  })

  it("that are cut off are typed errors", () => {
    const frame = Buffer.concat(
      Frame.encodeRequest(Heartbeat.Request, 4, { correlationId: 5, clientId: "me" }, { groupId: "g" })
    ).subarray(4)
    for (let end = 0; end < frame.length; end++) {
      const reason = reasonOf(() => {
        const cut = frame.subarray(0, end)
        Frame.readRequestBody(Heartbeat.Request, 4, cut, Frame.readRequestHeader(cut).bodyAt)
      })
      assert.strictEqual(reason._tag, "Corrupt")
    }
    for (let end = 0; end < 4; end++) {
      assert.strictEqual(reasonOf(() => Frame.readCorrelationId(frame.subarray(0, end)))._tag, "Corrupt")
      assert.strictEqual(
        reasonOf(() => Frame.readResponse(Metadata.Response, 9, frame.subarray(0, end)))._tag,
        "Corrupt"
      )
    }
  })

  it("do not copy large record batches", () => {
    const records = new Uint8Array(4096).fill(1)
    const parts = Frame.encodeRequest(
      Produce.Request,
      9,
      { correlationId: 1, clientId: "me" },
      { topicData: [{ name: "t", partitionData: [{ records }] }] }
    )
    assert.strictEqual(parts[1], records)
    const all = Buffer.concat(parts)
    assert.strictEqual(all.readInt32BE(0), all.length - 4)
    const body = all.subarray(4)
    const read = Frame.readRequestBody(Produce.Request, 9, body, Frame.readRequestHeader(body).bodyAt)
    assert.deepStrictEqual(read.topicData[0]!.partitionData[0]!.records, records)
    // A small request is one part.
    assert.lengthOf(Frame.encodeRequest(Heartbeat.Request, 4, { correlationId: 1, clientId: "me" }, {}), 1)
  })
})

describe("a splitter", () => {
  const split = (chunks: ReadonlyArray<Uint8Array>, maxFrameBytes = 1 << 20): Array<Uint8Array> => {
    const frames: Array<Uint8Array> = []
    const splitter = Frame.makeSplitter({ maxFrameBytes, onFrame: (frame) => frames.push(frame) })
    for (const chunk of chunks) splitter.push(chunk)
    return frames
  }
  const framed = (...bodies: ReadonlyArray<string>): Uint8Array =>
    Buffer.concat(
      bodies.map((body) => {
        const bytes = bytesOf(body)
        const size = Buffer.alloc(4)
        size.writeInt32BE(bytes.length)
        return Buffer.concat([size, bytes])
      })
    )

  it("cuts a stream into the same frames, wherever its chunks end", () => {
    const bodies = ["0102030405", "", "aa", "00".repeat(300), "ffffffff"]
    const stream = framed(...bodies)
    for (let at = 0; at <= stream.length; at++)
      assert.deepStrictEqual(split([stream.subarray(0, at), stream.subarray(at)]).map(hexOf), bodies)
    assert.deepStrictEqual(split(Array.from(stream, (byte) => Uint8Array.of(byte))).map(hexOf), bodies)
    const r = random(1)
    for (let run = 0; run < 300; run++) {
      const chunks: Array<Uint8Array> = []
      for (let at = 0; at < stream.length;) {
        const size = r.pick([0, 1, 2, 5, 40, 200])
        chunks.push(stream.subarray(at, at + size))
        at += size
      }
      assert.deepStrictEqual(split(chunks).map(hexOf), bodies)
    }
  })

  it("copies only the frames that straddle chunks", () => {
    const stream = new Uint8Array(framed("010203", "040506", "070809"))
    const [first, second, third] = split([stream.subarray(0, 12), stream.subarray(12)])
    assert.strictEqual(first!.buffer, stream.buffer)
    assert.notStrictEqual(second!.buffer, stream.buffer)
    assert.strictEqual(third!.buffer, stream.buffer)
  })

  it("gives the frames that came before a bad one", () => {
    const frames: Array<string> = []
    const splitter = Frame.makeSplitter({ maxFrameBytes: 100, onFrame: (frame) => frames.push(hexOf(frame)) })
    const reason = reasonOf(() => splitter.push(Buffer.concat([framed("01", "02"), bytesOf("ffffffff")])))
    assert.strictEqual(reason._tag === "Corrupt" && reason.problem, "its size is -1")
    assert.deepStrictEqual(frames, ["01", "02"])
  })

  it("refuses a size over the limit before it holds a byte of it", () => {
    const reason = reasonOf(() => split([bytesOf("000003e9")], 1000))
    assert.strictEqual(reason._tag === "Corrupt" && reason.problem, "its size of 1001 bytes is over the limit of 1000")
    assert.deepStrictEqual(split([framed("00".repeat(1000))], 1000)[0]!.length, 1000)
  })

  it("says so where the peer speaks TLS or HTTP", () => {
    const tls = reasonOf(() => split([bytesOf("15 03 03 00 02 02 28")]))
    assert.strictEqual(tls._tag === "WrongProtocol" && tls.seen, "the answer is TLS")
    const http = reasonOf(() => split([new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n")]))
    assert.strictEqual(http._tag === "WrongProtocol" && http.seen, "the answer is HTTP")
    // A byte at a time, and only at the beginning of a connection.
    assert.strictEqual(
      reasonOf(() => split(Array.from(bytesOf("15030300"), (byte) => Uint8Array.of(byte))))._tag,
      "WrongProtocol"
    )
    assert.strictEqual(reasonOf(() => split([framed("01"), bytesOf("15030300")]))._tag, "Corrupt")
  })

  it("holds what has come, in pieces of whatever size, not what was claimed or how it came", () => {
    let held = 0
    let most = 0
    const frames: Array<Uint8Array> = []
    const splitter = Frame.makeSplitter({
      maxFrameBytes: 100 << 20,
      onFrame: (frame) => frames.push(frame),
      onHeld: (bytes) => {
        held += bytes
        most = Math.max(most, held)
      }
    })
    const size = 1 << 20
    const frame = Buffer.from(Array.from({ length: size }, (_, i) => i & 255))
    // A claim of 100 MiB, and one byte of it.
    splitter.push(bytesOf("06400000 01"))
    assert.strictEqual(held, 65_536)
    splitter.end()
    assert.strictEqual(held, 0)
    splitter.push(bytesOf("00100000"))
    for (let at = 0; at < size; at++) {
      splitter.push(frame.subarray(at, at + 1))
      if ((at & 1023) === 0) assert.isAtMost(held, Math.max(65_536, (at + 1) * 4))
    }
    assert.deepStrictEqual([frames.length, held, most], [1, 0, size])
    assert.strictEqual(Buffer.compare(frames[0]!, frame), 0)
  })

  it("is told how large a frame may be when it begins, and by whoever counts what is held", () => {
    let limit = 10
    const small = Frame.makeSplitter({ maxFrameBytes: () => limit, onFrame: () => {} })
    small.push(bytesOf("00000001 01"))
    limit = 0
    assert.strictEqual(reasonOf(() => small.push(bytesOf("00000001 01")))._tag, "Corrupt")
    const full = Frame.makeSplitter({
      maxFrameBytes: 1 << 20,
      onFrame: () => {},
      onHeld: () => {
        throw KafkaError.make({ _tag: "Misuse", message: "full" })
      }
    })
    assert.strictEqual(reasonOf(() => full.push(bytesOf("00000009 01")))._tag, "Misuse")
  })
})

describe("tagged fields that are not known", () => {
  it("are passed over, and bounded, in a response", () => {
    // ApiVersions v3: no error, no keys, no throttle, then tags of nothing.
    const response = (count: number, tags: Uint8Array) =>
      Buffer.concat([bytesOf(`00000001 0000 01 00000000`), Buffer.of((count & 127) | 128, count >> 7), tags])
    const tags = (count: number) => Buffer.alloc(count * 2, Buffer.of(100, 0))
    const { value } = Frame.readResponse(ApiVersions.Response, 3, response(200, tags(200)))
    assert.notInclude(JSON.stringify(value), "unknownTags")
    const reason = reasonOf(() => Frame.readResponse(ApiVersions.Response, 3, response(5000, tags(5000))))
    assert.include(reason._tag === "Corrupt" && reason.problem, "5000 tagged fields of one struct, more than 256")
  })
})
