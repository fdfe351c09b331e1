/** Fetching over the embedded broker: each fault that was found, under its name. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Metric, Scope } from "effect"
import { Compression, Metrics } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import { append, batch, calm, consumer, counting, layer, pass, pulled, range, read, until } from "./Reading.ts"
import { turnsOfTheLoop } from "../TurnsOfTheLoop.ts"

/** gzip that counts what it decompresses, and leaves nothing to other threads, whose time is no test clock's. */
let decompressed = 0
const { decompressLarge: _, ...own } = Compression.gzip()
const gzip: Compression.Codec = {
  ...own,
  decompress: (bytes, limit) => {
    decompressed++
    return own.decompress(bytes, limit)
  }
}
const counted = Compression.layer(gzip)

const open = (offset = 0, partitions = 1, settings: Parameters<typeof consumer>[0] = {}, topic = "t") =>
  Effect.gen(function* () {
    const fetching = yield* consumer(settings)
    const readings = []
    for (let partition = 0; partition < partitions; partition++) {
      readings.push(yield* read(yield* fetching.open({ topic, partition }, offset)))
    }
    return readings
  })
const one = (offset = 0, settings: Parameters<typeof consumer>[0] = {}) =>
  Effect.map(open(offset, 1, settings), (list) => list[0]!)

describe("fetching", () => {
  it.live("what is there already is given in turns that let the event loop run", () =>
    Effect.gen(function* () {
      const [batches, records] = [20, 16_000]
      for (let i = 0; i < batches; i++) yield* append("t", 0, batch(records, 1))
      const reader = yield* (yield* consumer({ maxPartitionBytes: 1 << 26 })).open({ topic: "t", partition: 0 }, 0)
      let read = (yield* reader.pull).records.length
      // From here on nothing has to be fetched.
      const turns = turnsOfTheLoop()
      while (read < batches * records) read += (yield* reader.pull).records.length
      assert.isAtLeast(turns.stop(), batches / 2)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  it.effect("more than 64 partitions: each is read, with default settings", () =>
    Effect.gen(function* () {
      for (const partition of range(0, 200)) yield* append("t", partition, batch(1))
      const readings = yield* open(0, 200)
      yield* until("all are read", () => readings.every(({ offsets }) => offsets.length === 1), 5000)
      yield* append("t", 199, batch(1))
      const took = yield* until("the last one again", () => readings[199]!.offsets.length === 2, 5000, 1)
      assert.isBelow(took, 10, "it is waited for, not asked for now and then")
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: [{ name: "t", partitions: 200 }] })))
  )

  it.effect("a partition without a leader waits alone, and asks for metadata once a second at most", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const parts = (yield* broker.topic("t"))!
      for (const { partition } of parts) yield* append("t", partition, batch(1))
      const down = parts[1]!.leader
      yield* broker.stop(down)
      const metadata = yield* counting("Metadata")
      const readings = yield* open(0, 4)
      yield* pass(60_000)
      const leads = parts.filter(({ leader }) => leader !== down).map(({ partition }) => partition)
      assert.deepStrictEqual(
        readings.flatMap(({ offsets }, partition) => (offsets.length === 1 ? [partition] : [])),
        leads
      )
      assert.isBelow(metadata.requests, 75)
      for (const partition of leads) {
        yield* append("t", partition, batch(1))
        const took = yield* until("a record of another", () => readings[partition]!.offsets.length === 2, 5000, 5)
        assert.isBelow(took, 50)
      }
      yield* broker.start(down)
      const took = yield* until("it has a leader again", () => readings.every(({ offsets }) => offsets.length > 0))
      assert.isAtMost(took, 2000)
    }).pipe(
      Effect.scoped,
      Effect.provide(layer({ brokers: 2, topics: [{ name: "t", partitions: 4, replicationFactor: 1 }] }))
    )
  )

  it.effect("KAFKA_STORAGE_ERROR asks for metadata: the new leader is found at once, not after five minutes", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* append("t", 0, batch(1))
      const reading = yield* one()
      yield* until("it is read", () => reading.offsets.length === 1)
      const { leader } = (yield* broker.topic("t"))![0]!
      const fault = yield* broker.inject(Fault.on("Fetch", { broker: leader }).error(56))
      yield* pass(2000)
      assert.isBelow(yield* fault.hits, 15)
      yield* broker.moveLeader("t", 0)
      yield* append("t", 0, batch(1))
      const took = yield* until("it is read on", () => reading.offsets.length === 2)
      assert.isAtMost(took, 2500)
    }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 2, topics: ["t"] })))
  )

  for (const [what, fault, most] of [
    ["that are out of range, whoever seeks", Fault.on("Fetch").error(1), 20],
    ["without a whole batch", Fault.on("Fetch").truncate, 20],
    ["that are refused as a whole by an error of the session", Fault.on("Fetch").error(70), 30],
    ["that are refused, again and again", Fault.on("Fetch").error(-1), 30]
  ] as const) {
    it.effect(`answers ${what} make no hot loop (53 499 requests in 3 s)`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        yield* append("t", 0, batch(5))
        const handle = yield* broker.inject(fault)
        const fetching = yield* consumer()
        const reader = yield* fetching.open({ topic: "t", partition: 0 }, 0)
        yield* Effect.forkScoped(Effect.forever(Effect.catch(reader.pull, () => Effect.sync(() => reader.seek(0)))))
        yield* pass(10_000)
        assert.isAtMost(yield* handle.hits, most)
        assert.isAbove(yield* handle.hits, 1)
      }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
    )
  }

  it.effect("a damaged batch is fetched twice, then it is Corrupt, with its offset", () =>
    Effect.gen(function* () {
      const bad = batch(3)
      bad[bad.length - 2]! ^= 1
      yield* append("t", 0, batch(2), bad, batch(2))
      const fetches = yield* counting("Fetch")
      const reading = yield* one()
      yield* until("it fails", () => reading.failure !== undefined)
      assert.deepStrictEqual(reading.offsets, [0, 1])
      assert.deepInclude(reading.failure!.reason, { _tag: "Corrupt", topic: "t", partition: 0, offset: 2 })
      assert.isBelow(fetches.requests, 6)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  it.effect("records without a whole batch are fetched twice, then they are Corrupt, with offset and size", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const cut = batch(3, 100)
      yield* append("t", 0, batch(2), cut)
      const truncated = yield* broker.inject(Fault.on("Fetch").truncate)
      const reading = yield* one(2)
      yield* until("it fails", () => reading.failure !== undefined)
      assert.deepInclude(reading.failure!.reason, { _tag: "Corrupt", topic: "t", partition: 0, offset: 2 })
      assert.match(reading.failure!.message, new RegExp(`\\b\\d+ bytes came of a batch of ${cut.length}\\b`))
      assert.strictEqual(yield* truncated.hits, 2)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  it.effect("a batch that was damaged on its way is cured by another fetch", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* append("t", 0, batch(3))
      yield* broker.inject(Fault.on("Fetch", { times: 1 }).corruptCrc)
      const reading = yield* one()
      yield* until("it is read", () => reading.offsets.length === 3)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  it.effect("damaged batches are passed over by policy, and what was passed over is told", () =>
    Effect.gen(function* () {
      const bad = () => {
        const bytes = batch(3)
        bytes[bytes.length - 2]! ^= 1
        return bytes
      }
      yield* append("t", 0, batch(2), bad(), batch(2), bad())
      const reading = yield* one(0, { onCorrupt: "skip" })
      yield* until("it is at the end", () => reading.reader.position() === 10)
      assert.deepStrictEqual(reading.offsets, [0, 1, 5, 6])
      const skipped = reading.arrays.flatMap(({ skipped }) =>
        skipped === undefined ? [] : [[skipped.from, skipped.to]]
      )
      assert.deepStrictEqual(skipped, [
        [2, 5],
        [7, 10]
      ])
      yield* append("t", 0, batch(1))
      yield* until("it is read on", () => reading.offsets.includes(10))
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  it.effect("the position at the end is told at once, by an array without records", () =>
    Effect.gen(function* () {
      yield* append("t", 0, batch(5))
      const fetching = yield* consumer()
      const reader = yield* fetching.open({ topic: "t", partition: 0 }, 5)
      const result = yield* pulled(reader, 20)
      assert.deepInclude(result, { _tag: "Success" })
      const { endOffset, nextOffset, records } = (result as { success: any }).success
      assert.deepStrictEqual([nextOffset, endOffset, records.length], [5, 5, 0])
      const reading = yield* read(reader)
      yield* pass(3000)
      assert.lengthOf(reading.arrays, 0, "and once alone")
      yield* append("t", 0, batch(1))
      yield* until("it is read on", () => reading.offsets.length === 1)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  it.effect("a batch larger than maxPartitionBytes comes behind a backlog, not at its end", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 300; i++) yield* append("t", 0, batch(10, 1000))
      yield* append("t", 1, batch(1, 100_000))
      const fetching = yield* consumer({ maxPartitionBytes: 65_536 })
      let before = 0
      let large: number | undefined
      for (const partition of [0, 1]) {
        const reader = yield* fetching.open({ topic: "t", partition }, 0)
        const one = Effect.map(reader.pull, ({ records }) => {
          if (partition === 0) before += records.length
          else if (records.length > 0) large ??= before
        })
        yield* Effect.forkScoped(Effect.forever(one))
      }
      yield* until("the large one comes", () => large !== undefined)
      assert.isBelow(large!, 1000)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: [{ name: "t", partitions: 2 }] })))
  )

  it.effect("nothing is decompressed before it is pulled, and arrays keep no frame in memory", () =>
    Effect.gen(function* () {
      const large = batch(10, 1_000_000, { compression: gzip })
      for (const partition of range(0, 20)) {
        for (let i = 0; i < 5; i++) yield* append("t", partition, large)
      }
      decompressed = 0
      const fetching = yield* consumer()
      const readers = []
      for (const partition of range(0, 20)) readers.push(yield* fetching.open({ topic: "t", partition }, 0))
      yield* pass(3000)
      assert.strictEqual(decompressed, 0)
      yield* pulled(readers[3]!)
      assert.strictEqual(decompressed, 1)
    }).pipe(Effect.scoped, Effect.provide(counted), Effect.provide(layer({ topics: [{ name: "t", partitions: 20 }] })))
  )

  it.effect("what becomes twenty times as large waits for room, and a partition that stops in it gives that back", () =>
    Effect.gen(function* () {
      // 20 000 records in a batch of 100 KB become 2 MB, of which an array of 4096 is given at a time.
      const large = batch(20_000, 100, { compression: gzip })
      assert.isBelow(large.length, 150_000)
      for (const partition of range(0, 10)) yield* append("t", partition, large, large)
      decompressed = 0
      const fetching = yield* consumer({ bufferBytes: 5_000_000 })
      const readers = yield* Effect.forEach(range(0, 10), (partition) => fetching.open({ topic: "t", partition }, 0))
      const given: Array<number> = []
      for (const [partition, reader] of readers.entries()) {
        yield* Effect.forkScoped(Effect.map(reader.pull, () => void given.push(partition)))
      }
      yield* pass(500, 50)
      assert.isAtMost(given.length, 2, "two of them fit, and are stuck")
      assert.isAtLeast(given.length, 1)
      yield* until("all have had an array", () => given.length === 10, 30_000)
      // One of them goes on, and reads all.
      const reading = yield* read(readers[4]!)
      yield* until("it reads all", () => reading.reader.position() === 40_000, 10_000)
      assert.strictEqual(reading.offsets.length, 40_000 - 4096)
      assert.strictEqual(new Set(reading.offsets).size, reading.offsets.length)
    }).pipe(Effect.scoped, Effect.provide(counted), Effect.provide(layer({ topics: [{ name: "t", partitions: 10 }] })))
  )

  it.effect("a small record does not keep its frame in memory (80 of ten bytes kept 223 MiB)", () =>
    Effect.gen(function* () {
      for (const partition of range(0, 8)) yield* append("t", partition, batch(1, partition === 0 ? 10 : 200_000))
      const readings = yield* open(0, 8)
      yield* until("all are read", () => readings.every(({ offsets }) => offsets.length === 1))
      const value = readings[0]!.arrays.find(({ records }) => records.length > 0)!.records[0]!.value!
      assert.isBelow(value.buffer.byteLength, 1000)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: [{ name: "t", partitions: 8 }] })))
  )

  it.effect(
    "a broker that is silent stops its partitions alone, and not for longer than the others name a new leader",
    () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const parts = (yield* broker.topic("t"))!
        const silent = parts[0]!.leader
        const readings = yield* open(0, 2)
        yield* pass(1000)
        yield* broker.inject(Fault.on("Fetch", { broker: silent }).withhold)
        yield* append("t", 1, batch(1))
        yield* until("the other is read", () => readings[1]!.offsets.length === 1, 1000)
        yield* pass(1000)
        yield* broker.moveLeader("t", 0)
        yield* append("t", 0, batch(1))
        const took = yield* until("the new leader is asked", () => readings[0]!.offsets.length === 1)
        assert.isAtMost(took, 8000, "the request times out after 30 s")
      }).pipe(
        Effect.scoped,
        Effect.provide(layer({ brokers: 2, topics: [{ name: "t", partitions: 2, replicationFactor: 2 }] }))
      )
  )

  it.effect("aborted transactions are left out, however small the pieces are in which they are fetched", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const transactional = (producerId: number, count: number) =>
        batch(count, 10, { producerId, producerEpoch: 0, baseSequence: 0, transactional: true })
      const end = (producerId: number, type: "commit" | "abort") =>
        RecordBatch.encode([RecordBatch.endMarker(type, 0, 0)], {
          producerId,
          producerEpoch: 0,
          transactional: true,
          control: true
        })
      yield* append("t", 0, transactional(1, 3), transactional(2, 3), end(2, "commit"), transactional(1, 2))
      yield* broker.append("t", 0, end(1, "abort"), { aborted: [{ producerId: 1, firstOffset: 0, lastOffset: 9 }] })
      yield* append("t", 0, transactional(1, 2), end(1, "commit"), batch(1))
      for (const from of [0, 2, 4, 8]) {
        const reading = yield* one(from, { maxPartitionBytes: 80 })
        yield* until("it is at the end", () => reading.reader.position() === 14)
        assert.deepStrictEqual(
          reading.offsets,
          [3, 4, 5, 10, 11, 13].filter((offset) => offset >= from)
        )
      }
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  it.effect("no array is lost, and none is given twice, where the loop looks while one is being handed over", () =>
    Effect.gen(function* () {
      // More than one array of each partition is there when the first of them is given.
      for (const partition of range(0, 4)) yield* append("t", partition, ...range(0, 8).map(() => batch(3000)))
      const readings = yield* open(0, 4)
      yield* until("all is read", () => readings.every(({ reader }) => reader.position() === 24_000), 5000)
      for (const { offsets } of readings) assert.deepStrictEqual(offsets, range(0, 24_000))
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: [{ name: "t", partitions: 4 }] })))
  )

  it.effect("a broker that starts again and has forgotten its sessions is fetched from as before", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const readings = yield* open(0, 3)
      yield* pass(2000)
      yield* broker.stop(1)
      yield* pass(1000)
      yield* broker.start(1)
      for (const partition of range(0, 3)) yield* append("t", partition, batch(1))
      yield* until("all are read", () => readings.every(({ offsets }) => offsets.length === 1), 5000)
      yield* calm
    }).pipe(Effect.scoped, Effect.provide(layer({ strict: true, topics: [{ name: "t", partitions: 3 }] })))
  )

  it.effect("a look while the leader's epoch is compared, before anything was fetched, ends no fetching", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* append("t", 0, batch(3))
      const fetching = yield* consumer()
      // It is compared over a connection of its own, which takes its time.
      yield* broker.inject(Fault.on("ApiVersions").delay("1 second"))
      const reading = yield* read(yield* fetching.open({ topic: "t", partition: 0 }, 1, 0))
      yield* pass(300)
      reading.reader.resume()
      yield* until("it is read", () => reading.offsets.length > 0, 5000)
      assert.deepStrictEqual(reading.offsets, [1, 2])
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  it.effect("whoever waits for records hears of a failure that no other attempt would cure", () =>
    Effect.gen(function* () {
      yield* append("t", 0, batch(1, 5000))
      const reading = yield* one()
      yield* until("it fails", () => reading.failure !== undefined, 5000)
      assert.strictEqual(reading.failure!.reason._tag, "Corrupt")
      assert.include(reading.failure!.message, "maxResponseBytes")
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"], client: { maxResponseBytes: 2000 } })))
  )

  it.effect("what a request brings of a partition that was closed takes no room from the others", () =>
    Effect.gen(function* () {
      const fetching = yield* consumer({ bufferBytes: 100_000, maxPartitionBytes: 100_000 })
      const reading = yield* read(yield* fetching.open({ topic: "t", partition: 0 }, 0))
      const closed = yield* Scope.make()
      yield* Effect.provideService(fetching.open({ topic: "t", partition: 1 }, 0), Scope.Scope, closed)
      yield* pass(2000)
      yield* Scope.close(closed, Exit.void)
      // So that the room is divided anew before the answer comes.
      reading.reader.resume()
      yield* calm
      // The request that was under way brings it.
      yield* append("t", 1, batch(1, 300_000))
      yield* pass(2000)
      yield* append("t", 0, batch(1))
      yield* until("the other is read", () => reading.offsets.length === 1, 5000)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: [{ name: "t", partitions: 2 }] })))
  )

  it.effect("what was closed has no part in the room of what is open", () =>
    Effect.gen(function* () {
      const sizes: Array<number> = []
      yield* append("t", 0, ...range(0, 8).map(() => batch(10, 10_000)))
      for (const times of [0, 20]) {
        const fetching = yield* consumer({ bufferBytes: 4 << 20 })
        const open = fetching.open({ topic: "t", partition: 0 }, 0)
        for (let i = 0; i < times; i++) yield* Effect.scoped(open)
        const reader = yield* open
        yield* pass(2000)
        const { records } = yield* reader.pull
        sizes.push(records.length)
      }
      const [alone, behindOthers] = sizes
      assert.isAbove(alone!, 10, "more than a batch at a time")
      assert.strictEqual(behindOthers, alone)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  it.effect("a consumer that ends hangs up on every line that it had to a broker", () =>
    Effect.gen(function* () {
      const connections = Effect.map(Metric.snapshot, (all) => {
        const count = all.find(({ id }) => id === Metrics.names.connectionCount)
        return count?.type === "Gauge" ? Number(count.state.value) : 0
      })
      yield* Effect.scoped(Effect.andThen(one(), pass(1000)))
      yield* pass(1000)
      const before = yield* connections
      yield* Effect.gen(function* () {
        const fetching = yield* consumer({ maxWait: 5000 })
        yield* read(yield* fetching.open({ topic: "t", partition: 0 }, 0))
        yield* pass(2000)
        yield* read(yield* fetching.open({ topic: "t", partition: 1 }, 0))
        yield* pass(1000)
        assert.isAbove(yield* connections, before + 1)
      }).pipe(Effect.scoped)
      yield* pass(1000)
      assert.isAtMost(yield* connections, before)
    }).pipe(
      Effect.scoped,
      Effect.provide(layer({ topics: [{ name: "t", partitions: 2 }] })),
      Effect.provideService(Metric.MetricRegistry, new Map())
    )
  )

  it.effect("a partition that goes on is looked at at once, though every lane that there is holds a request", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const parts = (yield* broker.topic("t"))!
      const [first, second] = parts.filter(({ leader }) => leader === parts[0]!.leader)
      const other = parts.find(({ leader }) => leader !== parts[0]!.leader)!
      yield* append("t", other.partition, batch(1))
      const fetching = yield* consumer({ maxWait: 5000 })
      const opened = ({ partition }: { readonly partition: number }) => fetching.open({ topic: "t", partition }, 0)
      yield* read(yield* opened(first!))
      yield* pass(2000)
      yield* read(yield* opened(second!))
      yield* pass(1000)
      const reader = yield* opened(other)
      reader.pause()
      const reading = yield* read(reader)
      yield* pass(500)
      reader.resume()
      const took = yield* until("it is read", () => reading.offsets.length === 1, 5000, 10)
      assert.isAtMost(took, 50)
    }).pipe(
      Effect.scoped,
      Effect.provide(layer({ brokers: 2, topics: [{ name: "t", partitions: 4, replicationFactor: 1 }] }))
    )
  )
})
