import { assert, describe, it } from "@effect/vitest"
import { MetadataState } from "../../src/metadata/MetadataState.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Wire from "../../src/protocol/Wire.ts"

const ids = ["AAAAAAAAAAAAAAAAAAAAAQ", "AAAAAAAAAAAAAAAAAAAAAg"] as const

const told = (leaderId: number, leaderEpoch: number, topicId: string = Wire.zeroUuid) =>
  Metadata.Response.schema.make({
    brokers: [{ nodeId: 1, host: "b", port: 1 }],
    topics: [{ name: "t", topicId, partitions: [{ partitionIndex: 0, leaderId, leaderEpoch }] }]
  } as never) as typeof Metadata.Response.schema.Type

const leaderAfter = (...answers: ReadonlyArray<ReturnType<typeof told>>) => {
  const state = new MetadataState()
  for (const answer of answers) state.learn(answer, () => true, 0)
  return state.topic("t")!.partitions[0]!.leader
}

describe("metadata that goes back", () => {
  it("to an older leader epoch of the same topic never wins, with topic ids or without", () => {
    for (const id of [Wire.zeroUuid, ids[0]]) {
      assert.strictEqual(leaderAfter(told(1, 5, id), told(2, 4, id)), 1)
      assert.strictEqual(leaderAfter(told(1, 5, id), told(2, 5, id)), 2)
      assert.strictEqual(leaderAfter(told(1, 5, id), told(2, 6, id), told(1, 5, id)), 2)
    }
    // Where one of several brokers is too old to know ids.
    assert.strictEqual(leaderAfter(told(1, 5, ids[0]), told(2, 4)), 1)
    assert.strictEqual(leaderAfter(told(1, 5, ids[0]), told(2, 4), told(3, 4, ids[0])), 1)
  })

  it("is another topic where its id is another, or where it had gone in between", () => {
    assert.strictEqual(leaderAfter(told(1, 5, ids[0]), told(2, 0, ids[1])), 2)
    const gone = Metadata.Response.schema.make({ topics: [{ name: "t", errorCode: 3 }] } as never)
    assert.strictEqual(leaderAfter(told(1, 5), gone as never, told(2, 0)), 2)
  })

  it("is taken from brokers that know no epochs", () => {
    assert.strictEqual(leaderAfter(told(1, -1), told(2, -1)), 2)
    assert.strictEqual(leaderAfter(told(1, 5), told(2, -1)), 2)
  })
})

describe("a hundred thousand brokers", () => {
  it("are compared in a moment", () => {
    const state = new MetadataState()
    const answer = (port: number) =>
      Metadata.Response.schema.make({
        brokers: Array.from({ length: 100_000 }, (_, nodeId) => ({ nodeId, host: "b", port })),
        topics: []
      } as never) as typeof Metadata.Response.schema.Type
    const answers = [answer(1), answer(1), answer(2)]
    const from = performance.now()
    const changes = answers.map((one) => state.learn(one, () => true, 0).changes.length)
    assert.deepStrictEqual(changes, [1, 0, 1])
    // Quadratic, it would be minutes.
    assert.isBelow(performance.now() - from, 5000)
  })
})
