/** What verbs are given that is of another kind than their types say: by JavaScript, or out of a file. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Redacted, Result } from "effect"
import { TestClock } from "effect/testing"
import * as Admin from "../../src/Admin.ts"
import { KafkaError } from "../../src/KafkaError.ts"
import * as InProcess from "../hostile/InProcess.ts"
import { odd, replacedBy } from "./Odd.ts"

const place = { topic: "t", partition: 0 }
const rule = { resource: "topic", name: "a", pattern: "literal", principal: "User:a", operation: "read" }
const hmac = Redacted.make(new Uint8Array(3))
/** What each verb is given, before any of it is of another kind. */
const given: { readonly [verb: string]: ReadonlyArray<unknown> } = {
  listTopics: [{ timeout: 100 }],
  describeTopics: [["t", { id: "AAAAAAAAAAAAAAAAAAAAAQ" }]],
  createTopics: [
    [
      { name: "a", partitions: 1, config: { x: "1" } },
      { name: "b", assignments: [[1]] }
    ]
  ],
  deleteTopics: [["t", { id: "AAAAAAAAAAAAAAAAAAAAAQ" }]],
  createPartitions: [[{ topic: "t", count: 2, assignments: [[1]] }]],
  deleteRecords: [[{ ...place, before: 5 }]],
  listOffsets: [[{ ...place, at: { _tag: "AtTime", timestamp: 5 } }]],
  describeConfigs: [[{ type: "broker", name: "1", keys: ["a"] }]],
  alterConfigs: [[{ type: "topic", name: "t", set: { a: "1" }, delete: ["b"] }]],
  replaceConfigs: [[{ type: "topic", name: "t", config: { a: "1" } }]],
  listConfigResources: [["topic"]],
  describeGroups: [["g"]],
  groupOffsets: [[{ group: "g", partitions: [place] }]],
  alterGroupOffsets: ["g", [{ ...place, offset: 1 }]],
  resetGroupOffsets: ["g", { to: { shift: 1 }, topics: ["t"] }],
  groupLag: [["g"]],
  removeMembers: ["g", [{ memberId: "m" }]],
  listAcls: [rule],
  createAcls: [[rule]],
  deleteAcls: [[rule]],
  describeQuotas: [{ kinds: { user: "a" } }],
  alterQuotas: [[{ entity: { user: "a" }, set: { producer_byte_rate: 1 }, remove: ["b"] }]],
  alterUsers: [[{ user: "a", mechanism: "SCRAM-SHA-256", password: "x", salt: new Uint8Array(8) }]],
  createTokens: [[{ owner: "User:a", renewers: ["User:b"], maxLifetime: 1000 }]],
  describeTokens: [["User:a"]],
  renewToken: [hmac, { period: 1000 }],
  expireToken: [hmac, { after: 1000 }],
  reassignPartitions: [[{ ...place, replicas: [1] }]],
  listReassignments: [[place]],
  electLeaders: [[place], { type: "preferred" }],
  describeLogDirs: [[1]],
  moveReplicas: [[{ ...place, broker: 1, path: "/a" }]],
  describeProducers: [[place]],
  listTransactions: [{ states: ["ongoing"] }],
  describeTransactions: [["x"]],
  abortTransactions: [[{ ...place, producerId: 1, producerEpoch: 1, coordinatorEpoch: 1 }]],
  brokerApis: [[1]],
  updateFeatures: [[{ feature: "a", level: 1, type: "upgrade" }]],
  addVoter: [{ id: 1, directoryId: "AAAAAAAAAAAAAAAAAAAAAQ", listeners: [{ name: "a", host: "b", port: 1 }] }],
  removeVoter: [{ id: 1, directoryId: "AAAAAAAAAAAAAAAAAAAAAQ" }]
}

const program = (verb: string, args: ReadonlyArray<unknown>) =>
  Effect.gen(function* () {
    const admin = (yield* Admin.Admin) as unknown as {
      [verb: string]: (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, unknown>
    }
    return yield* admin[verb]!(...args)
  })

describe("a verb that is given what is of another kind", () => {
  for (const [verb, args] of Object.entries(given))
    it.effect(`${verb} ends typed`, () =>
      Effect.gen(function* () {
        const { layer } = yield* InProcess.make({}, { metadataTimeout: 100 })
        const context = yield* Layer.build(Layer.provide(Admin.layer({ timeout: 100 }), layer))
        for (const other of odd)
          for (const changed of replacedBy(args, other).slice(1) as ReadonlyArray<ReadonlyArray<unknown>>) {
            const fiber = yield* Effect.forkChild(Effect.exit(Effect.provide(program(verb, changed), context)), {
              startImmediately: true
            })
            for (let i = 0; i < 50 && fiber.pollUnsafe() === undefined; i++) {
              yield* TestClock.withLive(Effect.yieldNow)
              yield* TestClock.adjust(20)
            }
            const ended = fiber.pollUnsafe()
            assert.isDefined(ended, `${verb} does not end`)
            const exit = Exit.isSuccess(ended!) ? ended.value : ended!
            const errors = Exit.isFailure(exit)
              ? [Cause.squash(exit.cause)]
              : (Array.isArray(exit.value) ? exit.value : []).flatMap((one) =>
                  Result.isResult(one) && Result.isFailure(one) ? [one.failure] : []
                )
            for (const error of errors) assert.instanceOf(error, KafkaError, `${verb}: ${String(error)}`)
          }
      }).pipe(Effect.scoped)
    )

  it.effect("says what is of which kind, of that item alone", () =>
    Effect.gen(function* () {
      const { layer } = yield* InProcess.make({})
      const admin = yield* Layer.build(Layer.provide(Admin.layer(), layer))
      const mistakes = (verb: string, ...args: ReadonlyArray<unknown>) =>
        Effect.map(Effect.exit(Effect.provide(program(verb, args), admin)), (exit) => {
          const error = Exit.isSuccess(exit)
            ? (exit.value as ReadonlyArray<Admin.Answer<unknown>>).flatMap((one) =>
                Result.isFailure(one) ? [one.failure] : []
              )[0]
            : (Cause.squash(exit.cause) as KafkaError)
          return error?.reason._tag === "Misconfigured" ? error.reason.mistakes : [String(error)]
        })
      assert.deepStrictEqual(yield* mistakes("describeGroups", [5n]), [
        "group must be a text of 1 to 32767 bytes, not 5"
      ])
      assert.deepStrictEqual(yield* mistakes("deleteTopics", "orders"), [
        `DeleteTopics is asked about a list, not "orders"`
      ])
      assert.deepStrictEqual(yield* mistakes("listTopics", null), ["the options are an object, not null"])
      // It was carried as the text "undefined".
      const set = { "retention.ms": undefined }
      assert.deepStrictEqual(yield* mistakes("alterConfigs", [{ type: "topic", name: "t", set }]), [
        "set: retention.ms must be a text, a number or a boolean, not undefined"
      ])
    }).pipe(Effect.scoped)
  )
})
