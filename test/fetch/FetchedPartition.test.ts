import { assert, describe, it } from "vitest"
import * as Backoff from "../../src/Backoff.ts"
import * as Compression from "../../src/Compression.ts"
import { FetchBuffer } from "../../src/fetch/FetchBuffer.ts"
import { FetchedPartition, type PartitionAnswer } from "../../src/fetch/FetchedPartition.ts"
import { FetchScheduler } from "../../src/fetch/FetchScheduler.ts"
import * as Crc32c from "../../src/protocol/records/Crc32c.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import type { Fetched } from "../../src/Transport.ts"
import { batch, defaults } from "./Reading.ts"

const make = (offset = 0, compression: Compression.Registry = Compression.builtIn) => {
  const delays = () => (failures: number) => Backoff.delay(failures, 0.5)
  const scheduler = new FetchScheduler<FetchedPartition>(defaults, delays)
  const buffer = new FetchBuffer(scheduler.count)
  const codecs = { compression, crc32c: Crc32c.plain }
  const shared = { settings: defaults, codecs, buffer, scheduler, delays, replicaMaxAge: 300_000 }
  const partition = new FetchedPartition({ topic: "t", partition: 0 }, offset, undefined, shared)
  scheduler.add(partition)
  return { partition, buffer }
}

const answer = (fields: Partial<PartitionAnswer>): PartitionAnswer => ({
  partitionIndex: 0,
  errorCode: 0,
  highWatermark: 0,
  lastStableOffset: 0,
  logStartOffset: 0,
  divergingEpoch: { epoch: -1, endOffset: -1 },
  currentLeader: { leaderId: -1, leaderEpoch: -1 },
  snapshotId: { endOffset: -1, epoch: -1 },
  abortedTransactions: null,
  preferredReadReplica: -1,
  records: null,
  ...fields
})

describe("a partition being fetched", () => {
  it("does not decompress in vain again and again what has no room, and does not say what it becomes", () => {
    let tries = 0
    const plain = Compression.builtIn.get(4)
    const codec: Compression.Codec = {
      ...plain,
      claims: undefined,
      decompress: (bytes, limit) => {
        tries++
        return plain.decompress(bytes, limit)
      }
    }
    const { partition } = make(0, { get: (id) => (id === 4 ? codec : Compression.builtIn.get(id)) })
    partition.asked = { node: 1 }
    const records = batch(20, 100_000, { compression: plain })
    partition.accept(answer({ highWatermark: 20, lastStableOffset: 20, records }), 12, 0)
    for (let i = 0; i < 10; i++) assert.strictEqual(partition.take(0, 500_000), "room")
    assert.deepStrictEqual([tries, partition.needs], [1, 1_000_000])
    assert.strictEqual(partition.take(0, 700_000), "room", "that much more is worth another try")
    assert.strictEqual(partition.take(0, 750_000), "room")
    assert.deepStrictEqual([tries, partition.needs], [2, 1_400_000])
    const taken = partition.take(0, Infinity)
    assert.isTrue(typeof taken === "object", "read, or to be decompressed beside the event loop")
  })

  it("is at a replica for metadataMaxAge from its first answer, also from one that says that nothing has changed", () => {
    for (const answers of [
      (partition: FetchedPartition, now: number) => partition.accept(answer({}), 12, now),
      (partition: FetchedPartition, now: number) => partition.unchanged(now)
    ]) {
      const { partition } = make()
      partition.leader = { node: 1, epoch: 0 }
      partition.asked = { node: 1 }
      partition.accept(answer({ preferredReadReplica: 3 }), 12, 0)
      assert.deepStrictEqual(partition.replica, { node: 3, until: Infinity })
      partition.asked = { node: 3 }
      for (const now of [400_000, 500_000]) {
        answers(partition, now)
        assert.deepStrictEqual(partition.replica, { node: 3, until: 700_000 })
      }
    }
  })

  it("takes the end of a log that was cut from the answer that says so: the next ones say nothing of it (a bounded read hung)", () => {
    const { partition } = make(15)
    partition.leader = { node: 1, epoch: 1 }
    partition.asked = { node: 1 }
    partition.accept(answer({ highWatermark: 20, lastStableOffset: 20 }), 12, 0)
    partition.asked = { node: 1 }
    const divergingEpoch = { epoch: 0, endOffset: 15 }
    partition.accept(answer({ highWatermark: 15, lastStableOffset: 15, divergingEpoch }), 12, 0)
    partition.unchanged(1_000)
    assert.strictEqual(partition.end, 15)
  })

  it("that is sent round in circles waits ever longer: to who has answered, to a diverging end at the position", () => {
    for (const fields of [
      { preferredReadReplica: 1 },
      { divergingEpoch: { epoch: 0, endOffset: 0 } }
    ] satisfies ReadonlyArray<Partial<PartitionAnswer>>) {
      const { partition } = make()
      partition.leader = { node: 1, epoch: 0 }
      const waits: Array<number> = []
      for (let i = 0; i < 6; i++) {
        partition.asked = { node: 1 }
        partition.accept(answer(fields), 12, 0)
        waits.push(partition.asleepUntil)
      }
      assert.deepStrictEqual(waits, [0, 50, 100, 200, 400, 800])
      assert.isUndefined(partition.replica)
      assert.isUndefined(partition.failure)
    }
  })

  it("goes on where its epoch is one that no log knows, and nothing is lost", () => {
    const { partition } = make(5)
    partition.leader = { node: 1, epoch: 2 }
    partition.nextEpoch = partition.positionEpoch = 1
    partition.asked = { node: 1 }
    partition.accept(answer({ divergingEpoch: { epoch: 0, endOffset: 5 } }), 12, 0)
    assert.isUndefined(partition.failure)
    assert.deepStrictEqual([partition.next, partition.nextEpoch], [5, 0])
    // Told so again of the very epoch, it is not compared any more.
    partition.accept(answer({ divergingEpoch: { epoch: 0, endOffset: 5 } }), 12, 0)
    assert.deepStrictEqual([partition.next, partition.nextEpoch], [5, -1])
  })

  it("takes another replica from its leader alone", () => {
    const { partition } = make()
    partition.leader = { node: 1, epoch: 0 }
    partition.asked = { node: 2 }
    partition.accept(answer({ preferredReadReplica: 3 }), 12, 0)
    const before: unknown = partition.replica
    assert.isUndefined(before)
    partition.asked = { node: 1 }
    partition.accept(answer({ preferredReadReplica: 3 }), 12, 0)
    assert.deepInclude(partition.replica, { node: 3 })
  })

  it("that an answer leaves out waits ever longer, until there is progress", () => {
    const { partition } = make()
    const waits: Array<number> = []
    for (let i = 0; i < 6; i++) {
      partition.again(1000)
      waits.push(partition.asleepUntil - 1000)
    }
    assert.deepStrictEqual(waits, [0, 50, 100, 200, 400, 800])
    partition.accept(answer({ highWatermark: 3, records: batch(3) }), 12, 2000)
    partition.again(2000)
    assert.strictEqual(partition.asleepUntil, 2000)
  })

  it("waits longer each time a seek leads to the same failure", () => {
    const { partition } = make(7)
    const waits: Array<number> = []
    for (let i = 0; i < 5; i++) {
      partition.fail({ _tag: "DataLoss", topic: "t", partition: 0, from: 7 })
      partition.seek(7, undefined, 1000)
      waits.push(partition.asleepUntil - 1000)
    }
    assert.deepStrictEqual(waits, [0, 50, 100, 200, 400])
  })

  it("gives what was fetched before a failure first, and holds nothing afterwards", () => {
    const { buffer, partition } = make()
    partition.accept(answer({ highWatermark: 3, lastStableOffset: 3, records: batch(3) }), 12, 0)
    assert.isAbove(partition.held, 0)
    partition.accept(answer({ errorCode: 29 }), 12, 0)
    const taken = partition.take(0, Infinity)
    assert.deepInclude(taken, { nextOffset: 3, endOffset: 3 })
    assert.strictEqual(partition.take(0, Infinity), undefined)
    assert.strictEqual(partition.failure?.reason._tag, "Unauthorized")
    assert.deepStrictEqual([partition.held, buffer.dead, partition.plain], [0, 0, 0])
  })

  it("is fetched again from where it was pulled, when it was dropped", () => {
    const { partition } = make()
    partition.accept(answer({ highWatermark: 9, records: batch(3) }), 12, 0)
    assert.strictEqual(partition.next, 3)
    partition.park()
    assert.deepStrictEqual([partition.next, partition.held, partition.isParked], [0, 0, true])
  })

  it("is lost from where the leader's log ends its epoch (before v12 of Fetch)", () => {
    const { partition } = make(100)
    partition.isChecking = true
    partition.checked(3, 50)
    const { reason } = partition.failure!
    assert.deepInclude(reason, { _tag: "DataLoss", kind: "truncated", from: 100, to: 50 })
    assert.strictEqual(partition.checkedEpoch, 3)
  })

  it("is truncated to where nothing was read without a loss", () => {
    const { partition } = make()
    partition.accept(answer({ highWatermark: 9, records: batch(3) }), 12, 0)
    partition.accept(answer({ divergingEpoch: { epoch: 0, endOffset: 1 } }), 12, 0)
    assert.isUndefined(partition.failure)
    assert.strictEqual(partition.next, 0)
  })

  it("believes a broker that names a leader only of a younger epoch than that of the leader which it reads", () => {
    const { partition } = make()
    partition.leader = { node: 1, epoch: 5 }
    partition.asked = { node: 1 }
    const named = (leaderEpoch: number) => {
      partition.accept(answer({ errorCode: 6, currentLeader: { leaderId: 2, leaderEpoch } }), 12, 0)
      return partition.hint
    }
    assert.isUndefined(named(4))
    assert.isUndefined(named(5))
    assert.deepStrictEqual(named(6), { node: 2, epoch: 6 })
  })

  it("is fetched on once what came before a part of a batch was pulled", () => {
    const { partition } = make()
    const before = batch(3)
    partition.accept(answer({ highWatermark: 6, lastStableOffset: 6, records: before }), 12, 0)
    const part = batch(3, 10, { baseOffset: 3 }).subarray(0, 70)
    partition.accept(answer({ highWatermark: 6, lastStableOffset: 6, records: part }), 12, 0)
    assert.strictEqual(partition.asleepUntil, Infinity)
    assert.deepInclude(partition.take(0, Infinity), { nextOffset: 3 })
    assert.strictEqual(partition.asleepUntil, 0)
  })

  it("is behind what holds no record that is given, once that was pulled: control records, and gaps", () => {
    const { partition } = make()
    const options = { producerId: 1, producerEpoch: 0, transactional: true }
    const end = RecordBatch.encode([RecordBatch.endMarker("commit", 0, 0)], {
      ...options,
      control: true,
      baseOffset: 2
    })
    const gap = batch(2, 10, { baseOffset: 3, offsetDeltas: [0, 7] })
    const marker = RecordBatch.encode([RecordBatch.endMarker("commit", 0, 0)], {
      ...options,
      control: true,
      baseOffset: 11
    })
    const records = Buffer.concat([batch(2, 10, { ...options, baseSequence: 0 }), end, gap, marker])
    partition.accept(answer({ highWatermark: 12, lastStableOffset: 12, records }), 12, 0)
    const taken = partition.take(0, Infinity) as Fetched
    assert.deepStrictEqual(
      taken.records.map(({ offset }) => offset),
      [0, 1, 3, 10]
    )
    assert.deepStrictEqual([taken.nextOffset, partition.position, partition.next], [12, 12, 12])
  })

  it("gives nothing of what was fetched before a seek, and waits for no answer from before", () => {
    const { buffer, partition } = make()
    partition.accept(answer({ highWatermark: 6, lastStableOffset: 6, records: batch(3) }), 12, 0)
    assert.deepInclude(partition.take(0, Infinity), { nextOffset: 3 })
    const records = batch(3, 10, { baseOffset: 3 })
    partition.accept(answer({ highWatermark: 6, lastStableOffset: 6, records }), 12, 0)
    partition.asked = { node: 1 }
    partition.seek(0, undefined, 0)
    assert.isUndefined(partition.take(0, Infinity))
    assert.deepStrictEqual([partition.next, partition.position, partition.held, buffer.dead], [0, 0, 0, 0])
    assert.isUndefined(partition.asked)
  })
})
