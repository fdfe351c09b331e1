import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as Records from "../../src/protocol/records/Records.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { batch, connect } from "./RawClient.ts"

describe("Fetch", () => {
  const fetch = (broker: EmbeddedKafka.Service, fetchOffset: number, partitionMaxBytes = 1_048_576) =>
    Effect.gen(function* () {
      const client = yield* connect(broker)
      const { responses } = yield* client.send(Fetch, 11, {
        replicaId: -1,
        maxWaitMs: 0,
        minBytes: 1,
        maxBytes: 50_000_000,
        topics: [{ topic: "t", partitions: [{ partition: 0, fetchOffset, partitionMaxBytes }] }]
      })
      return responses[0]!.partitions[0]!.records!
    })
  const offsets = (records: Uint8Array) =>
    Records.decode(records).batches.flatMap(({ records }) => records.map(({ offset }) => offset))

  it.effect("gives all that is there and may be given, wherever the broker keeps it", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
      const size = batch(["x".repeat(1000)]).length
      for (let i = 0; i < 200; i++) yield* broker.append("t", 0, batch(["x".repeat(1000)]))
      const all = Array.from({ length: 200 }, (_, offset) => offset)
      assert.deepStrictEqual(offsets(yield* fetch(broker, 0)), all)
      for (const from of [1, 3, 19, 77, 199])
        assert.deepStrictEqual(offsets(yield* fetch(broker, from)), all.slice(from))
      // as many whole batches as fit, and the beginning of the next
      for (const count of [1, 2, 5, 21, 90]) {
        const records = yield* fetch(broker, 2, count * size + 100)
        assert.strictEqual(records.length, count * size + 100)
        assert.deepStrictEqual(offsets(records), all.slice(2, 2 + count))
      }
    })
  )
})
