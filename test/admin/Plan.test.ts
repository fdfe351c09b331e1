import { assert, describe, it } from "@effect/vitest"
import * as Plan from "../../src/admin/Plan.ts"
import * as Assignment from "../../src/admin/ZooKeeperAssignment.ts"

describe("batches", () => {
  const of = (items: ReadonlyArray<readonly [string, string]>, most: number) =>
    Plan.batches(items, (item) => item, most).map(({ broker, items }) => `${broker}: ${items.join(" ")}`)

  it("have the items of a broker together, so many at the most", () => {
    assert.deepStrictEqual(
      of(
        [
          ["1", "a"],
          ["2", "b"],
          ["1", "c"],
          ["1", "d"]
        ],
        2
      ),
      ["1: a c", "2: b", "1: d"]
    )
  })

  it("have no key twice, and what is asked twice in order", () => {
    assert.deepStrictEqual(
      of(
        [
          ["1", "a"],
          ["1", "a"],
          ["1", "b"],
          ["1", "a"]
        ],
        9
      ),
      ["1: a b", "1: a", "1: a"]
    )
  })
})

describe("assignments in ZooKeeper", () => {
  it("spread leaders and followers, each broker once a partition", () => {
    const brokers = [1, 2, 5].map((id) => ({ id }))
    const spread = Assignment.spread(brokers, 6, 2, 1)
    // As AdminUtils.assignReplicasToBrokers gives it for these brokers and this start.
    assert.deepStrictEqual(spread, [
      [2, 1],
      [5, 2],
      [1, 5],
      [2, 5],
      [5, 1],
      [1, 2]
    ])
    for (const replicas of Assignment.spread(brokers, 30, 3, 0)) assert.strictEqual(new Set(replicas).size, 3)
    assert.deepStrictEqual(Assignment.spread([{ id: 4 }], 2, 1, 0), [[4], [4]])
  })

  it("spread over racks, as kafka-topics from 0.10.0 on does (both replicas were in one rack)", () => {
    const racked = ["a", "b", "b", "c", "a", "b"].map((rack, i) => ({ id: i + 1, rack }))
    const rackOf = (id: number) => racked[id - 1]!.rack
    for (const [replicas, racks] of [
      [2, 2],
      [3, 3],
      [5, 3]
    ] as const)
      for (let start = 0; start < 6; start++)
        for (const ids of Assignment.spread(racked, 40, replicas, start)) {
          assert.strictEqual(new Set(ids).size, replicas)
          assert.strictEqual(new Set(ids.map(rackOf)).size, racks)
        }
    // As AdminUtils.assignReplicasToBrokers of 0.10.0.1 gives it for these brokers and this start.
    assert.deepStrictEqual(
      Assignment.spread(
        [
          { id: 1, rack: "a" },
          { id: 2, rack: "b" },
          { id: 3, rack: "b" }
        ],
        6,
        2,
        2
      ),
      [
        [3, 1],
        [1, 2],
        [2, 1],
        [3, 1],
        [1, 2],
        [2, 1]
      ]
    )
    // Where one does not say its rack, as without.
    const [, ...others] = racked
    const mixed = [{ id: 1 }, ...others]
    assert.deepStrictEqual(
      Assignment.spread(mixed, 9, 3, 2),
      Assignment.spread(
        mixed.map(({ id }) => ({ id })),
        9,
        3,
        2
      )
    )
  })

  it("are read as they were written, and nothing else is", () => {
    const node = Assignment.topicNode([
      [1, 2],
      [2, 1]
    ])
    assert.strictEqual(node, '{"version":1,"partitions":{"0":[1,2],"1":[2,1]}}')
    assert.deepStrictEqual(Assignment.readTopicNode(node), [
      [1, 2],
      [2, 1]
    ])
    for (const text of ["", "{}", '{"partitions":{"1":[1]}}']) assert.isUndefined(Assignment.readTopicNode(text))
  })

  it("have settings that brokers of that time know", () => {
    assert.deepStrictEqual(Assignment.mistakes({ "retention.ms": 5, "cleanup.policy": "compact" }), [])
    assert.strictEqual(Assignment.mistakes({ "retention.ms": "x", "no.such": 1, "segment.bytes": "" }).length, 3)
    // Brokers that find these fail at them: Java's Long.parseLong and the like.
    const wrong = {
      "retention.ms": 1.5,
      "segment.ms": 1e21,
      "flush.ms": "1e3",
      "segment.bytes": 2 ** 31,
      "min.insync.replicas": 0,
      "min.cleanable.dirty.ratio": "",
      "cleanup.policy": "Compact",
      "unclean.leader.election.enable": "yes",
      "compression.type": "zstd"
    }
    assert.lengthOf(Assignment.mistakes(wrong), Object.keys(wrong).length)
    const right = {
      "retention.ms": -1,
      "retention.bytes": "9223372036854775807",
      "min.cleanable.dirty.ratio": 0.5,
      preallocate: true,
      "message.format.version": "0.9.0"
    }
    assert.deepStrictEqual(Assignment.mistakes(right), [])
    // As `LogConfig.validate` of 0.8.2.2 and 0.9.0.1 and `ApiVersion` of 0.10 say.
    const taken: ReadonlyArray<readonly [name: string, values: ReadonlyArray<string>, not: ReadonlyArray<string>]> = [
      ["unclean.leader.election.enable", ["TRUE", "False"], ["yes", "1", " true"]],
      ["min.cleanable.dirty.ratio", [".5", "1.", "1e-1", "+0.5", "-0", " 0.5"], ["0x1", "0b0", "1.1", "."]],
      ["message.format.version", ["0.8.2.2", "0.9.0.1", "0.10.0-IV0"], ["0.9", "0.10", "0.9.0-IV0", "0.99.0", ""]],
      // An int in 0.8.2.
      ["file.delete.delay.ms", ["0", "2147483647"], ["3000000000"]]
    ]
    for (const [name, values, not] of taken) {
      assert.deepStrictEqual(
        values.filter((value) => Assignment.mistakes({ [name]: value }).length > 0),
        []
      )
      assert.deepStrictEqual(
        not.filter((value) => Assignment.mistakes({ [name]: value }).length === 0),
        []
      )
    }
    for (const name of ["", ".", "..", "a b", "x".repeat(250)]) assert.isFalse(Assignment.isLegalName(name))
  })
})
