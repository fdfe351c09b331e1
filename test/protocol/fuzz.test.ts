import { assert, describe, it } from "@effect/vitest"
import * as KafkaError from "../../src/KafkaError.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Wire from "../../src/protocol/Wire.ts"
import { lines, messageOf, messages } from "./support/golden.ts"
import { type Random, random } from "./support/values.ts"

const runs = Number(process.env["FUZZ_RUNS"] ?? 200_000)
const seed = Number(process.env["FUZZ_SEED"] ?? 20_260_102)
const batches = 10

const corpus = lines
  .filter((line) => typeof line.hex === "string" && line.hex.length > 0)
  .map((line) => ({ message: messageOf(line), version: line.version, bytes: Buffer.from(line.hex, "hex") }))

// What lengths and counts become when they go wrong.
const extremes = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff]
const words = [0x7fffffff, 0x80000000, 0xffffffff, 0x00ffffff, 0x00010000, 0x40000000]

/** A golden frame with something wrong in it, or nothing but garbage. */
const mutate = (r: Random, bytes: Buffer): Uint8Array => {
  let out = Buffer.from(bytes)
  for (let i = r.below(3); i >= 0; i--) {
    const at = r.below(out.length + 1)
    switch (r.below(8)) {
      case 0:
        out[at] = r.below(256)
        break
      case 1:
        out[at] = r.pick(extremes)
        break
      case 2:
        if (out[at] !== undefined) out[at]! ^= 1 << r.below(8)
        break
      case 3:
        if (at + 4 <= out.length) out.writeUInt32BE(r.pick(words), at)
        break
      case 4:
        out = out.subarray(0, at)
        break
      case 5:
        out = Buffer.concat([out.subarray(0, at), Buffer.from([r.below(256)]), out.subarray(at)])
        break
      case 6:
        out = Buffer.concat([out.subarray(0, at), r.pick(corpus).bytes.subarray(r.below(20))])
        break
      default:
        if (r.below(10) === 0) out = Buffer.from(Array.from({ length: r.below(64) }, () => r.below(256)))
    }
  }
  return out
}

/** How much a value holds: elements, and the bytes of its views and texts. */
const weigh = (value: unknown): number => {
  if (typeof value === "string") return value.length
  if (value instanceof Uint8Array) return value.length
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + 1 + weigh(item), 0)
  if (typeof value === "object" && value !== null)
    return Object.values(value).reduce((sum: number, item) => sum + weigh(item), 0)
  return 0
}

describe(`${runs} mutated frames (seed ${seed})`, () => {
  for (let batch = 0; batch < batches; batch++)
    it(`are values or typed errors (${batch + 1} of ${batches})`, { timeout: 120_000 }, () => {
      const r = random(seed + batch)
      let values = 0
      let errors = 0
      for (let run = 0; run < runs / batches; run++) {
        const { message, version, bytes } = r.pick(corpus)
        const frame = mutate(r, bytes)
        const what = () => `${message.name} v${version} ${Buffer.from(frame).toString("hex")}`
        try {
          const value = Wire.compile(message, version).read(frame)
          values++
          // Uuids and zeros of fields that are not there are made, the rest must have been in the frame.
          if (frame.length > 0) assert.isAtMost(weigh(value), frame.length * 30 + 1000, what())
        } catch (error) {
          errors++
          if (!(error instanceof KafkaError.KafkaError)) throw new Error(what(), { cause: error })
          const { reason } = error
          assert.strictEqual(reason._tag, "Corrupt", what())
          if (reason._tag !== "Corrupt") continue
          assert.strictEqual(reason.what, `${message.name} v${version}`)
          assert.isAtLeast(reason.position!, 0, what())
          assert.isAtMost(reason.position!, frame.length, what())
        }
      }
      assert.isAbove(values, 0)
      assert.isAbove(errors, 0)
    })

  it("what can be read can be written and read again", () => {
    const r = random(seed)
    for (let run = 0; run < 20_000; run++) {
      const { message, version, bytes } = r.pick(corpus)
      const compiled = Wire.compile(message, version)
      let value: unknown
      try {
        value = compiled.read(mutate(r, bytes))
      } catch {
        continue
      }
      // Unknown tags may come twice, or out of order: then they cannot be written.
      if (JSON.stringify(value).includes("~unknownTags")) continue
      assert.deepStrictEqual(compiled.read(compiled.write(value)), value, `${message.name} v${version}`)
    }
  })

  it("behind headers, and in streams, they are frames or typed errors", () => {
    const r = random(seed)
    const typed = (run: () => unknown): void => {
      try {
        run()
      } catch (error) {
        if (!(error instanceof KafkaError.KafkaError)) throw error
      }
    }
    for (let run = 0; run < 20_000; run++) {
      const frame = mutate(r, r.pick(corpus).bytes)
      const message = r.pick(messages)
      const version = r.below(message.versions[1] + 1)
      typed(() => Frame.readCorrelationId(frame))
      typed(() => Frame.readResponse(message, version, frame))
      typed(() => Frame.readRequestBody(message, version, frame, Frame.readRequestHeader(frame).bodyAt))
      typed(() => {
        const splitter = Frame.makeSplitter({ maxFrameBytes: 1000, onFrame: (it) => assert.isAtMost(it.length, 1000) })
        for (let at = 0; at < frame.length; at += 7) splitter.push(frame.subarray(at, at + 7))
      })
    }
  })
})
