import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as KafkaError from "../src/KafkaError.ts"

const json = Schema.toCodecJson(KafkaError.KafkaError)
const there = Schema.encodeSync(json)
const back = Schema.decodeUnknownSync(json)
const throughJson = (error: KafkaError.KafkaError) => back(JSON.parse(JSON.stringify(there(error))))

const members = KafkaError.Reason.members
const tagOf = (member: (typeof members)[number]) => member.fields._tag.schema.literal

/** Without what is undefined, and without the sign of zero: JSON knows neither. */
const fieldsOf = (reason: KafkaError.Reason) =>
  Object.fromEntries(
    Object.entries(reason).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Object.is(value, -0) ? 0 : value]]
    )
  )

describe("KafkaError", () => {
  for (const member of members) {
    it.prop(
      `${tagOf(member)} comes back from JSON as it was`,
      [Schema.toType(member)],
      ([reason]) => {
        const error = KafkaError.make(reason)
        // As a log has it, too: bytes and what is no finite number could not be read again.
        for (const again of [throughJson(error), back(JSON.parse(JSON.stringify(error)))]) {
          assert.instanceOf(again, KafkaError.KafkaError)
          assert.strictEqual(again.reason.constructor, member)
          assert.deepStrictEqual(fieldsOf(again.reason), fieldsOf(error.reason))
          assert.strictEqual(again.message, error.message)
          assert.strictEqual(again.isRetryable, error.isRetryable)
        }
      },
      { arbitrary: { runs: 25 } }
    )
  }

  it("keeps its cause across JSON", () => {
    const error = KafkaError.make({ _tag: "Misuse", message: "m" }, new TypeError("inner"))
    const { cause } = throughJson(error)
    assert.instanceOf(cause, Error)
    assert.strictEqual((cause as Error).message, "inner")
    assert.isUndefined(throughJson(KafkaError.make({ _tag: "Misuse", message: "m" })).cause)
  })

  it("is logged as JSON whatever its cause is", () => {
    const throwing = Object.defineProperty(new Error("m"), "message", {
      get: () => {
        throw new Error("no text")
      }
    })
    for (const cause of [Object.create(null), throwing, { toString: () => 1n, valueOf: () => ({}) }, Symbol("s"), 1n]) {
      const logged = JSON.parse(JSON.stringify(KafkaError.make({ _tag: "Misuse", message: "m" }, cause)))
      assert.strictEqual(logged.message, "Misuse: m", String(logged.cause))
      assert.isString(logged.cause)
    }
  })

  it("crosses RPC as the failure of a procedure", () => {
    const exit = Schema.toCodecJson(
      Rpc.exitSchema(Rpc.make("send", { success: Schema.Int, error: KafkaError.KafkaError }))
    )
    const sent = Schema.encodeSync(exit)(Exit.fail(KafkaError.fromCode(6, { topic: "t", partition: 3 })))
    const came = Schema.decodeUnknownSync(exit)(JSON.parse(JSON.stringify(sent)))
    const error = Option.getOrThrow(Exit.findErrorOption(came))
    assert.instanceOf(error, KafkaError.KafkaError)
    assert.instanceOf(error.reason, KafkaError.Server)
    assert.isTrue(error.isRetryable)
  })

  it.effect("is caught by the tag of its reason", () =>
    Effect.gen(function* () {
      const full = KafkaError.make({ _tag: "BufferFull", records: 1, bytes: 10 })
      const caught = Effect.fail(full).pipe(
        Effect.catchReason("KafkaError", "BufferFull", (reason) => Effect.succeed(reason.bytes + reason.records))
      )
      assert.strictEqual(yield* caught, 11)
      const other = Effect.fail(KafkaError.make({ _tag: "Misuse", message: "m" })).pipe(
        Effect.catchReason("KafkaError", "BufferFull", () => Effect.succeed(0)),
        Effect.flip
      )
      assert.strictEqual((yield* other).reason._tag, "Misuse")
    })
  )

  it("takes the fields of a reason plainly, and drops what is none of them", () => {
    const found = { _tag: "UnknownTopic", topic: "t", colour: "red" } as const
    const { reason } = KafkaError.make(found)
    assert.instanceOf(reason, KafkaError.UnknownTopic)
    assert.notProperty(reason, "colour")
    assert.strictEqual(KafkaError.make(reason).reason, reason)
  })

  it("is retryable where waiting may help, and nowhere else", () => {
    const where = { topic: "t", partition: 0, group: "g" }
    const retryable = [
      KafkaError.make({ _tag: "Unreachable", attempts: [] }),
      KafkaError.make({ _tag: "TimedOut", budget: "requestTimeout", millis: 1, waitingFor: "an answer" }),
      KafkaError.fromCode(6, where)
    ]
    for (const error of retryable) assert.isTrue(error.isRetryable, error.message)
    const final = [
      KafkaError.make({ _tag: "Closed", what: "client" }),
      KafkaError.make({ _tag: "Misuse", message: "m" }),
      KafkaError.make({ _tag: "UnknownTopic", topic: "t" }),
      KafkaError.make({ ...where, _tag: "NotDelivered", persistence: "possibly", cause: "lost" }),
      KafkaError.fromCode(-1, where),
      KafkaError.fromCode(29, where)
    ]
    for (const error of final) assert.isFalse(error.isRetryable, error.message)
  })

  it("says what happened, where, and what was closed", () => {
    const closed = KafkaError.make({ _tag: "Closed", what: "producer", topic: "t", partition: 3 })
    assert.match(closed.message, /^Closed: this producer is closed.*\[t-3\]$/)
    assert.match(String(closed), /^KafkaError: Closed: /)
    assert.match(Cause.pretty(Cause.fail(closed)), /KafkaError: Closed: this producer/)
    const code = KafkaError.fromCode(6, { api: "Fetch", version: 12, topic: "t", partition: 0, broker: "1" })
    assert.match(code.message, /^Server: NOT_LEADER_OR_FOLLOWER \(6\): .* \[Fetch v12, t-0, broker 1\]$/)
  })

  it("names a setting wherever a budget was spent", () => {
    const src = new URL("../src/", import.meta.url)
    const files = Fs.readdirSync(src, { recursive: true, encoding: "utf8" }).filter(
      (file) => file.endsWith(".ts") && !file.startsWith("testing")
    )
    const texts = files.map((file) => Fs.readFileSync(new URL(file, src), "utf8"))
    const found = (pattern: RegExp) =>
      texts.flatMap((text) => [...text.matchAll(pattern)].map((match) => match.slice(1).find((name) => name)!))
    const settings = new Set(found(/readonly (\w+)\?: (?:Duration\.Input|number)\b/g))
    const budgets = found(/\b(?:budget|setting): (?:[^"\n]* )?"(\w+)"|\bname: "(\w+Timeout)"/g)
    assert.isAbove(budgets.length, 10)
    for (const budget of budgets) assert.isTrue(settings.has(budget), `${budget} is no setting`)
  })

  it("has every reason told of in docs/errors.md, once and in this order", () => {
    const page = Fs.readFileSync(new URL("../docs/errors.md", import.meta.url), "utf8")
    const told = [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name!)
    assert.deepStrictEqual(told, members.map(tagOf))
  })
})
