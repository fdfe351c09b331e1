import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as ErrorCode from "../src/ErrorCode.ts"
import * as KafkaError from "../src/KafkaError.ts"

const { codes } = ErrorCode

/** `Errors` of kafka-clients 4.4.0: number, name, and which of Java's retriable exceptions it is. */
const java = Fs.readFileSync(new URL("./golden/errors.txt", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => line.split(" "))
  .map(([code, name, kind]) => ({ code: Number(code), name: name!, kind }))

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

  it("are those that Java has, name by name, with what Java retries", () => {
    assert.deepStrictEqual(
      ErrorCode.all.map(({ code, name, retriable }) => ({ code, name, retriable })),
      java.map(({ code, name, kind }) => ({ code, name, retriable: kind !== undefined }))
    )
    assert.deepStrictEqual(
      Object.entries(ErrorCode.codes),
      java.map(({ code, name }) => [name, code])
    )
  })

  it("ask for metadata wherever Java refreshes it", () => {
    for (const { code, name, kind } of java) {
      if (kind === "metadata" && code !== codes.ELECTION_NOT_NEEDED)
        assert.strictEqual(ErrorCode.asks(code), "metadata", name)
      // Whatever Java retries is not taken for the end, in general.
      if (kind !== undefined) assert.notStrictEqual(ErrorCode.asks(code), "fatal", name)
    }
  })

  const asks: ReadonlyArray<readonly [ErrorCode.Api, string]> = [
    [
      "Produce",
      `metadata: 3 5 6 8 9 13 56 72 74 75 78 80 83 100 103; retry: -1 2 7 14 15 16 19 20 51 88 89 113 133;
       producer-id: 45 47 59 90; split: 10 18; nothing: 0 46 84; abort: 48 120`
    ],
    [
      "Fetch",
      `metadata: 3 5 6 8 9 13 56 72 74 75 78 80 83 100 103; retry: -1 7 14 19 20 51 88 89 113 133;
       reset: 1; new-session: 70 71 106 122 123`
    ],
    ["ListOffsets", "metadata: 3 5 6 8 9 13 56 72 74 75 78 80 83 100 103; retry: -1 2 7 14 19 20 51 88 89 113 133"],
    ["FindCoordinator", "retry: 2 7 14 15 16 19 20 51 88 89 113 133"],
    [
      "JoinGroup",
      "retry: 2 7 14 19 20 27 51 88 89 113 133; coordinator: 15 16; rejoin-lost: 22 110; rejoin-anew: 25; rejoin-named: 79; fenced: 47 82 90"
    ],
    ["SyncGroup", "rejoin: 27; coordinator: 15 16; rejoin-lost: 22 110; rejoin-anew: 25; fenced: 47 82 90"],
    ["Heartbeat", "rejoin: 27; coordinator: 15 16; rejoin-lost: 22 110; rejoin-anew: 25; fenced: 47 82 90"],
    ["LeaveGroup", "nothing: 0 25 84; coordinator: 15 16"],
    ["ConsumerGroupHeartbeat", "rejoin-lost: 22 25 110; coordinator: 15 16; fenced: 47 82 90"],
    [
      "OffsetCommit",
      "retry: 2 3 14 19 20 51 88 89 113 133; coordinator: 7 15 16; rejoin: 27; rejoin-lost: 22 69 110; rejoin-anew: 25; fenced: 47 82 90"
    ],
    ["OffsetFetch", "retry: 2 7 14 19 20 51 88 89 113 133; coordinator: 15 16"],
    ["InitProducerId", "retry: 2 7 14 19 20 51 88 89 113 133; coordinator: 15 16; fenced: 47 82 90; abort: 120"],
    ["AddPartitionsToTxn", "retry: 2 3 7 14 19 20 51 55 88 89 113 133; abort: 29 49 59 120; fenced: 47 82 90"],
    ["AddOffsetsToTxn", "abort: 30 49 59 120; fenced: 47 82 90"],
    ["EndTxn", "abort: 49 59 120; fenced: 47 82 90"],
    ["TxnOffsetCommit", "retry: 2 3 14 19 20 27 51 88 89 113 133; coordinator: 7 15 16; abort: 22 25 30 82 120"]
  ]
  it.each(asks)("ask for what Java does: %s", (api, expected) => {
    for (const part of expected.split(";")) {
      const [ask, numbers] = part.trim().split(": ") as [ErrorCode.Ask, string]
      assert.deepStrictEqual(
        ErrorCode.all.filter(({ code }) => ErrorCode.asks(code, api) === ask).map(({ code }) => code),
        numbers.split(" ").map(Number),
        `${api} ${ask}`
      )
    }
  })

  it("that are transient are those with which the same request may succeed later", () => {
    assert.isTrue(ErrorCode.isTransient(codes.NOT_LEADER_OR_FOLLOWER, "Produce"))
    assert.isTrue(ErrorCode.isTransient(codes.UNKNOWN_SERVER_ERROR, "Produce"))
    assert.isTrue(ErrorCode.isTransient(codes.UNKNOWN_SERVER_ERROR, "Metadata"))
    assert.isFalse(ErrorCode.isTransient(codes.UNKNOWN_SERVER_ERROR))
    assert.isTrue(ErrorCode.isTransient(codes.NOT_COORDINATOR, "OffsetCommit"))
    assert.isFalse(ErrorCode.isTransient(codes.REBALANCE_IN_PROGRESS, "OffsetCommit"))
    assert.isFalse(ErrorCode.isTransient(codes.NONE))
    assert.isFalse(ErrorCode.isTransient(9999, "Produce"))
    // A partition whose codec this client's version of Fetch may not carry: asking again never helps.
    assert.isFalse(ErrorCode.isTransient(codes.UNSUPPORTED_COMPRESSION_TYPE, "Fetch"))
  })

  it("prove of a Produce request that it was not appended only where the broker says it before the append", () => {
    const not = ErrorCode.all.filter(({ code }) => ErrorCode.produceProves(code) === "not").map(({ code }) => code)
    assert.deepStrictEqual(
      not,
      [
        2, 10, 14, 15, 16, 17, 18, 19, 21, 29, 31, 32, 35, 42, 43, 44, 45, 47, 48, 49, 51, 53, 59, 76, 87, 90, 100, 103,
        120
      ]
    )
    for (const code of [-1, 3, 6, 7, 13, 20, 46, 56, 9999])
      assert.strictEqual(ErrorCode.produceProves(code), "possibly", ErrorCode.get(code).name)
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

  it("are written by name, not as bare numbers", () => {
    const src = new URL("../src/", import.meta.url)
    // What compares a code, a list of codes, or a constant that is named like one.
    const bare =
      /\b(?:\w*[cC]ode|error)\s*(?:===|!==)\s*-?[1-9]\d*|case -?[1-9]\d*: *\/\/ [A-Z_]{3}|new Set(?:<number>)?\(\[-?\d+(?:, -?\d+)*\]\)|^const [a-z]\w* = -?\d{1,3}\n/gm
    const names = new Map(
      ErrorCode.all.map(({ code, name }) => [
        name
          .replace(/_EXCEPTION$/, "")
          .replaceAll("_", "")
          .toLowerCase(),
        code
      ])
    )
    const found = Fs.readdirSync(src, { recursive: true, encoding: "utf8" })
      .filter(
        (file) =>
          file.endsWith(".ts") && !/^(testing|protocol|zookeeper|compression|(ErrorCode|ZooKeeper)\.ts)/.test(file)
      )
      .flatMap((file) =>
        [...Fs.readFileSync(new URL(file, src), "utf8").matchAll(bare)]
          .map(([text]) => text.trim())
          .filter((text) => {
            const constant = /^const (\w+) = (-?\d+)$/.exec(text)
            return constant === null || names.get(constant[1]!.toLowerCase()) === Number(constant[2])
          })
          .map((text) => `${file}: ${text}`)
      )
    assert.deepStrictEqual(found, [])
  })
})
