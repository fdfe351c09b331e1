import { assert, describe, it } from "@effect/vitest"
import type { Change } from "../../src/ClusterInfo.ts"
import { finish } from "../../src/compression/Turns.ts"
import { MetadataState } from "../../src/metadata/MetadataState.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Wire from "../../src/protocol/Wire.ts"

const ids = ["AAAAAAAAAAAAAAAAAAAAAQ", "AAAAAAAAAAAAAAAAAAAAAg"] as const

const told = (leaderId: number, leaderEpoch: number, topicId: string = Wire.zeroUuid) =>
  Metadata.Response.schema.make({
    brokers: [{ nodeId: 1, host: "b", port: 1 }],
    topics: [{ name: "t", topicId, partitions: [{ partitionIndex: 0, leaderId, leaderEpoch }] }]
  } as never) as typeof Metadata.Response.schema.Type

const learn = (state: MetadataState, answer: ReturnType<typeof told>, now = 0): ReadonlyArray<Change> => {
  const changes: Array<Change> = []
  const { change } = state.learnCluster(answer)
  if (change !== undefined) changes.push(change)
  finish(
    state.learnTopics(
      answer.topics,
      () => true,
      now,
      (one) => changes.push(one)
    )
  )
  return changes
}

const leaderAfter = (...answers: ReadonlyArray<ReturnType<typeof told>>) => {
  const state = new MetadataState()
  for (const answer of answers) learn(state, answer)
  return state.topic("t")!.partitions[0]!.leader
}

describe("an answer without brokers", () => {
  it("changes nothing of those that are known: a broker of 0.8 without topics tells of none", () => {
    const state = new MetadataState()
    learn(state, told(1, 0))
    const before = state.nodes
    assert.lengthOf(before, 1)
    const answer = Metadata.Response.schema.make({ brokers: [], topics: [] } as never) as ReturnType<typeof told>
    assert.deepStrictEqual(state.learnCluster(answer), { change: undefined, impossible: [] })
    assert.strictEqual(state.nodes, before)
  })
})

describe("a broker at an address that cannot be", () => {
  const at = (port: number) =>
    Metadata.Response.schema.make({ brokers: [{ nodeId: 1, host: "b", port }], topics: [] } as never) as ReturnType<
      typeof told
    >

  it("is where it was before, or nowhere", () => {
    const state = new MetadataState()
    assert.lengthOf(state.learnCluster(at(70_000)).impossible, 1)
    assert.deepStrictEqual(state.nodes, [])
    state.learnCluster(at(9092))
    assert.lengthOf(state.learnCluster(at(-1)).impossible, 1)
    assert.deepStrictEqual(
      state.nodes.map(({ port }) => port),
      [9092]
    )
  })
})

it("an index far beyond the partitions that are told is no partition: as many places would be made", () => {
  for (const partitionIndex of [-1, 2 ** 31 - 1]) {
    const answer = Metadata.Response.schema.make({
      brokers: [{ nodeId: 1, host: "b", port: 1 }],
      topics: [{ name: "t", partitions: [{ partitionIndex, leaderId: 1, leaderEpoch: 0 }] }]
    } as never) as ReturnType<typeof told>
    assert.throws(() => new MetadataState().learnCluster(answer), /partition -?\d+ of a topic of 1 partitions/)
  }
})

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

  it("is not believed of another answer that names a leader, either (KIP-951)", () => {
    const state = new MetadataState()
    learn(state, told(1, 5))
    for (const epoch of [4, 5]) assert.isUndefined(state.moved({ topic: "t", partition: 0 }, 2, epoch, true))
    assert.strictEqual(state.topic("t")!.partitions[0]!.leader, 1)
    assert.isDefined(state.moved({ topic: "t", partition: 0 }, 2, 6, true))
    assert.strictEqual(state.topic("t")!.partitions[0]!.leader, 2)
  })

  it("is not believed of an answer about the topic that had the name before (it was never led by another again)", () => {
    const state = new MetadataState()
    learn(state, told(1, 5, ids[0]))
    learn(state, told(2, 0, ids[1]))
    const place = { topic: "t", partition: 0 }
    assert.isUndefined(state.moved({ ...place, topicId: ids[0] }, 1, 6, true))
    assert.strictEqual(state.topic("t")!.partitions[0]!.leader, 2)
    assert.isDefined(state.moved({ ...place, topicId: ids[1] }, 3, 1, true))
  })

  it("is believed where the leader is of no use that an answer named without an id: it may be that of the old topic", () => {
    const byId = new MetadataState()
    const byName = new MetadataState()
    for (const state of [byId, byName]) {
      learn(state, told(1, 0, ids[0]))
      assert.isDefined(state.moved({ topic: "t", partition: 0, topicId: ids[0] }, 2, 7, state === byId))
      for (const now of [0, 4000]) {
        state.doubt("t", 0, now)
        learn(state, told(1, 0, ids[0]), now)
        assert.strictEqual(state.topic("t")!.partitions[0]!.leader, 2)
      }
      state.doubt("t", 0, 6000)
      learn(state, told(1, 0, ids[0]), 6000)
    }
    assert.strictEqual(byId.topic("t")!.partitions[0]!.leader, 2)
    assert.strictEqual(byName.topic("t")!.partitions[0]!.leader, 1)
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

describe("ten thousand brokers", () => {
  it("are compared in a moment", () => {
    const state = new MetadataState()
    const answer = (port: number) =>
      Metadata.Response.schema.make({
        brokers: Array.from({ length: 10_000 }, (_, nodeId) => ({ nodeId, host: "b", port })),
        topics: []
      } as never) as typeof Metadata.Response.schema.Type
    const answers = [answer(1), answer(1), answer(2)]
    const from = performance.now()
    const changes = answers.map((one) => learn(state, one).length)
    assert.deepStrictEqual(changes, [1, 0, 1])
    // Quadratic, it would be a minute.
    assert.isBelow(performance.now() - from, 2000)
  })
})

describe("topics that are made anew, with the epochs of the new one below the old one's", () => {
  it("are believed where the cluster is another", () => {
    const other = { ...told(2, 0), clusterId: "other" }
    assert.strictEqual(leaderAfter({ ...told(1, 7), clusterId: "one" }, other), 2)
    assert.strictEqual(leaderAfter({ ...told(1, 7), clusterId: "one" }, { ...other, clusterId: "one" }), 1)
    // What is told of the new one is then as good as ever.
    assert.strictEqual(
      leaderAfter({ ...told(1, 7), clusterId: "one" }, { ...told(2, 1), clusterId: "other" }, other),
      2
    )
    assert.strictEqual(
      leaderAfter(
        { ...told(1, 7), clusterId: "one" },
        { ...told(2, 1), clusterId: "other" },
        { ...told(3, 0), clusterId: "other" }
      ),
      2
    )
  })

  it("are believed where the leader that was known is of no use for seconds", () => {
    const afterWith = (id: string, doubts: ReadonlyArray<number>) => {
      const state = new MetadataState()
      learn(state, told(1, 7, id))
      for (const at of doubts) state.doubt("t", 0, at)
      learn(state, told(2, 0, id), 6000)
      return state.topic("t")!.partitions[0]!.leader
    }
    const after = (...doubts: ReadonlyArray<number>) => afterWith(Wire.zeroUuid, doubts)
    assert.strictEqual(after(), 1)
    assert.strictEqual(after(5500), 1)
    assert.strictEqual(after(500, 5500), 2)
    assert.strictEqual(after(-100_000, 5500), 1)
    // Not where an id says that it is the same.
    assert.strictEqual(afterWith(ids[0], [500, 5500]), 1)
  })

  it("are believed where none was known (of a topic made again such a partition had no leader for ever)", () => {
    const after = (times: ReadonlyArray<number>, isLeftOut: boolean) => {
      const state = new MetadataState()
      const [topic] = told(1, 0).topics
      const of = (leaderId: number, leaderEpoch: number) =>
        [0, 1].map((partitionIndex) => ({ ...topic!.partitions[0]!, partitionIndex, leaderId, leaderEpoch }))
      const learnt = (partitions: ReturnType<typeof of>, now: number) =>
        learn(state, { ...told(1, 0), topics: [{ ...topic!, partitions }] }, now)
      learnt(of(isLeftOut ? 1 : -1, 7), 0)
      if (isLeftOut) learnt(of(1, 7).slice(1), 0)
      for (const now of times) learnt(of(2, 0), now)
      return state.topic("t")!.partitions[0]!.leader
    }
    for (const isLeftOut of [false, true]) {
      assert.strictEqual(after([100], isLeftOut), -1)
      assert.strictEqual(after([100, 3000], isLeftOut), -1)
      assert.strictEqual(after([100, 3000, 5200], isLeftOut), 2)
    }
  })

  it("are not, where a newer leader has come meanwhile", () => {
    const state = new MetadataState()
    learn(state, told(1, 7))
    for (const at of [0, 5500]) state.doubt("t", 0, at)
    learn(state, told(3, 8), 6000)
    learn(state, told(2, 0), 6500)
    assert.strictEqual(state.topic("t")!.partitions[0]!.leader, 3)
  })

  it("are not, where the topic that was doubted has gone (of each such topic something was remembered for ever)", () => {
    const state = new MetadataState()
    learn(state, told(1, 7))
    for (const at of [0, 5500]) state.doubt("t", 0, at)
    const [topic] = told(-1, -1).topics
    learn(state, { ...told(-1, -1), topics: [{ ...topic!, errorCode: 3, partitions: [] }] }, 5600)
    assert.isUndefined(state.topic("t"))
    learn(state, told(3, 2), 6000)
    learn(state, told(2, 1), 6500)
    assert.strictEqual(state.topic("t")!.partitions[0]!.leader, 3)
  })
})

describe("many topics", () => {
  const many = (topics: number, partitions: number) =>
    Metadata.Response.schema.make({
      topics: Array.from({ length: topics }, (_, i) => ({
        name: `t${i}`,
        topicId: ids[0],
        partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
          partitionIndex,
          leaderId: 1,
          leaderEpoch: 1
        }))
      }))
    } as never) as typeof Metadata.Response.schema.Type

  it("are learnt in turns, and so are those of many partitions", () => {
    for (const [topics, partitions] of [
      [10_000, 1],
      [1, 20_000]
    ] as const) {
      const state = new MetadataState()
      const learning = state.learnTopics(
        many(topics, partitions).topics,
        () => true,
        0,
        () => {}
      )
      let turns = 1
      while (learning.next().done !== true) turns++
      assert.isAtLeast(turns, 9)
      assert.lengthOf(state.names(), topics)
    }
  })

  it("are learnt anew where a leader moves between two turns", () => {
    const state = new MetadataState()
    const { topics } = many(1, 20_000)
    finish(
      state.learnTopics(
        topics,
        () => true,
        0,
        () => {}
      )
    )
    const learning = state.learnTopics(
      topics,
      () => true,
      0,
      () => {}
    )
    // The pause before the topic, and the first within it, when partition 5 has been looked at.
    learning.next()
    learning.next()
    assert.isDefined(state.moved({ topic: "t0", partition: 5 }, 9, 2, true))
    finish(learning)
    assert.strictEqual(state.topic("t0")!.partitions[5]!.leader, 9)
  })
})

describe("a topic", () => {
  it("is found by its id with the leader that another answer has named", () => {
    const state = new MetadataState()
    learn(state, told(1, 5, ids[0]))
    state.moved({ topic: "t", partition: 0 }, 2, 6, true)
    assert.strictEqual(state.topicById(ids[0])!.partitions[0]!.leader, 2)
  })

  it("has as many partitions as were told, also where one was told twice", () => {
    const state = new MetadataState()
    const answer = told(1, 5)
    learn(state, {
      ...answer,
      topics: [{ ...answer.topics[0]!, partitions: [0, 1].map(() => answer.topics[0]!.partitions[0]!) }]
    })
    assert.lengthOf(state.topic("t")!.partitions, 1)
  })

  it("has changed where a partition is told that was left out, or is left out (nobody heard)", () => {
    const state = new MetadataState()
    const [topic] = told(1, 5).topics
    const telling = (...indexes: ReadonlyArray<number>) =>
      learn(state, {
        ...told(1, 5),
        topics: [
          { ...topic!, partitions: indexes.map((partitionIndex) => ({ ...topic!.partitions[0]!, partitionIndex })) }
        ]
      }).filter(({ _tag }) => _tag === "Topic")
    telling(0, 2)
    assert.lengthOf(telling(0, 1, 2), 1)
    assert.lengthOf(telling(0, 1, 2), 0)
    assert.lengthOf(telling(0, 2), 1)
    assert.lengthOf(telling(0, 2), 0)
  })
  it("has a place for a partition that is left out, whose older leader does not win for that", () => {
    const state = new MetadataState()
    const telling = (leaderEpoch: number, ...indexes: ReadonlyArray<number>) => {
      const { topics } = told(1, leaderEpoch)
      const [partition] = topics[0]!.partitions
      const partitions = indexes.map((partitionIndex) => ({ ...partition!, partitionIndex }))
      learn(state, { ...told(1, leaderEpoch), topics: [{ ...topics[0]!, partitions }] })
      const known = state.topic("t")!.partitions
      assert.deepStrictEqual(
        Array.from(known, (one) => one?.partition),
        [0, 1, 2]
      )
      return [known[1]!.leader, known[1]!.leaderEpoch]
    }
    assert.deepStrictEqual(telling(5, 0, 2), [-1, -1])
    assert.deepStrictEqual(telling(5, 0, 1, 2), [1, 5])
    assert.deepStrictEqual(telling(5, 0, 2), [-1, 5])
    assert.deepStrictEqual(telling(4, 0, 1, 2), [-1, 5])
    assert.deepStrictEqual(telling(5, 0, 1, 2), [1, 5])
  })
})

describe("a topic that its leader does not know by its id", () => {
  const place = { topic: "t", partition: 0 }
  const refused = (topicId?: string) => {
    const state = new MetadataState()
    learn(state, told(1, 0, ids[0]))
    state.refused({ ...place, topicId }, 1000)
    return state
  }

  it("is doubted until it is known there, is another, or ten seconds have passed", () => {
    assert.isTrue(refused(ids[0]).isIdRefused(place, 10_999))
    assert.isFalse(refused(ids[0]).isIdRefused(place, 11_000))
    assert.isFalse(refused(ids[0]).isIdRefused({ ...place, partition: 1 }, 1000))
    const known = refused()
    known.trustId(place)
    assert.isFalse(known.isIdRefused(place, 1000))
    const another = refused()
    learn(another, told(1, 0, ids[1]))
    assert.isFalse(another.isIdRefused(place, 1000))
  })

  it("is doubted still where it was told as gone meanwhile, by one that lags less", () => {
    const state = refused(ids[0])
    const gone = told(-1, 0)
    learn(state, { ...gone, topics: gone.topics.map((topic) => ({ ...topic, errorCode: 3 })) })
    assert.isUndefined(state.topic("t"))
    learn(state, told(1, 0, ids[0]))
    assert.isTrue(state.isIdRefused(place, 1000))
    state.trustId({ ...place, topicId: ids[1] })
    assert.isTrue(state.isIdRefused(place, 1000))
  })

  it("is not doubted for what was said of the one before", () => {
    assert.isFalse(refused(ids[1]).isIdRefused(place, 1000))
    const state = refused(ids[0])
    state.refused({ ...place, topicId: ids[1] }, 1001)
    assert.isTrue(state.isIdRefused(place, 1001))
  })
})
