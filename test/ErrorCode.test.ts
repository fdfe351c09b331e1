import { assert, describe, it } from "@effect/vitest"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as KafkaError from "../src/KafkaError.ts"

describe("error codes", () => {
  it("are those of kafka-clients 4.4.0, without a gap", () => {
    assert.deepStrictEqual(
      ErrorCode.all.map((row) => row.code),
      Array.from({ length: 138 }, (_, i) => i - 1)
    )
    assert.strictEqual(new Set(ErrorCode.all.map((row) => row.name)).size, 138)
    for (const row of ErrorCode.all) {
      assert.match(row.name, /^[A-Z0-9_]+$/)
      assert.isNotEmpty(row.message)
    }
  })

  it("say whether to try again, as Java's RetriableException does", () => {
    const retriable = ErrorCode.all.filter((row) => row.retriable).map((row) => row.name)
    for (const name of [
      "CORRUPT_MESSAGE",
      "UNKNOWN_TOPIC_OR_PARTITION",
      "NOT_LEADER_OR_FOLLOWER",
      "REQUEST_TIMED_OUT",
      "COORDINATOR_LOAD_IN_PROGRESS",
      "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
      "FENCED_LEADER_EPOCH",
      "UNKNOWN_TOPIC_ID"
    ])
      assert.include(retriable, name)
    for (const name of [
      "NONE",
      "UNKNOWN_SERVER_ERROR",
      "MESSAGE_TOO_LARGE",
      "TOPIC_AUTHORIZATION_FAILED",
      "PRODUCER_FENCED"
    ])
      assert.notInclude(retriable, name)
    assert.strictEqual(retriable.length, 32)
  })

  it("are found by number", () => {
    assert.deepStrictEqual(ErrorCode.get(36), {
      code: 36,
      name: "TOPIC_ALREADY_EXISTS",
      message: "Topic with this name already exists.",
      retriable: false
    })
    assert.strictEqual(ErrorCode.get(-1).name, "UNKNOWN_SERVER_ERROR")
    assert.strictEqual(ErrorCode.get(136).name, "CONTROLLER_ID_NOT_REGISTERED")
  })

  it("that no release knows yet keep their number, in the error too", () => {
    const row = ErrorCode.get(9999)
    assert.strictEqual(row.code, 9999)
    assert.isFalse(row.retriable)
    const error = KafkaError.fromCode(9999, { topic: "t", partition: 3 })
    assert.strictEqual(error.reason._tag, "Server")
    assert.strictEqual((error.reason as KafkaError.Server).code, 9999)
    assert.include(error.message, "9999")
  })

  it("all make a typed error that tells where it happened", () => {
    for (const { code, retriable } of ErrorCode.all) {
      if (code === 0) continue
      const { reason } = KafkaError.fromCode(code, { topic: "t", partition: 3, group: "g" })
      assert.strictEqual(reason.topic, "t")
      if (reason._tag === "Server") assert.strictEqual(reason.retriable, retriable)
    }
  })
})
