/** Which replica is read, and at which version: racks (KIP-392), hints (KIP-951), topic ids (KIP-516), and old brokers. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Compression } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import * as MessageSet from "../../src/protocol/records/MessageSet.ts"
import { append, batch, consumer, counting, first, layer, pass, range, read, until } from "./Reading.ts"

/** Which broker each Fetch that names the topic goes to, at which version. */
const fetches = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  const seen: Array<{ readonly broker: number; readonly version: number; readonly ids: ReadonlyArray<string> }> = []
  const one = Effect.map(broker.awaitRequest("Fetch"), ({ broker, request, version }) => {
    const { topics } = request as { topics: ReadonlyArray<{ topicId: string }> }
    seen.push({ broker, version, ids: topics.map(({ topicId }) => topicId) })
  })
  yield* Effect.forkScoped(Effect.forever(one), { startImmediately: true })
  return seen
})

describe("a replica in the reader's rack", () => {
  const racks = layer({ brokers: 3, racks: ["a", "b", "c"], topics: [{ name: "t", replicationFactor: 3 }] })

  /** Partition 0 is led by broker 1, and its first record was read from broker 3. */
  const readingAtReplica = Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* broker.moveLeader("t", 0, 1)
    const reading = yield* first({ clientRack: "c" })
    yield* append("t", 0, batch(1))
    yield* until("it is read from the replica", () => reading.offsets.length === 1)
    return { broker, reading }
  })

  it.effect("is read instead of the leader, where the leader names it", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.moveLeader("t", 0, 1)
      const seen = yield* fetches
      const reading = yield* first({ clientRack: "c" })
      yield* pass(1000)
      seen.length = 0
      for (let i = 0; i < 5; i++) {
        yield* append("t", 0, batch(1))
        yield* pass(200)
      }
      assert.deepStrictEqual(reading.offsets, range(0, 5))
      assert.deepStrictEqual([...new Set(seen.map(({ broker }) => broker))], [3])
    }).pipe(Effect.scoped, Effect.provide(racks))
  )

  it.effect("is left for the leader when it fails, or lags behind", () =>
    Effect.gen(function* () {
      const { broker, reading } = yield* readingAtReplica
      yield* broker.stop(3)
      yield* append("t", 0, batch(1))
      yield* until("it is read from the leader", () => reading.offsets.length === 2, 5000)
      yield* broker.start(3)
      yield* pass(1000)
      yield* broker.inject(Fault.on("Fetch", { broker: 3, times: 2 }).error(1))
      yield* append("t", 0, batch(1))
      yield* until("a follower that is out of range is no loss", () => reading.offsets.length === 3, 5000)
      assert.isUndefined(reading.failure)
    }).pipe(Effect.scoped, Effect.provide(racks))
  )

  it.effect("is left for the leader when it has not copied what was read: no log was truncated", () =>
    Effect.gen(function* () {
      const { broker, reading } = yield* readingAtReplica
      yield* broker.holdFollower("t", 0, 3)
      yield* broker.shrinkIsr("t", 0, 3)
      yield* append("t", 0, batch(1))
      reading.reader.seek(2, (yield* broker.topic("t"))![0]!.leaderEpoch)
      yield* append("t", 0, batch(1))
      const again = yield* read(reading.reader)
      yield* until("it is read from the leader", () => again.offsets.length === 1, 5000)
      assert.deepStrictEqual(again.offsets, [2])
      assert.isUndefined(again.failure)
    }).pipe(Effect.scoped, Effect.provide(racks))
  )

  for (const how of ["closes the connection", "does not answer", "refuses"] as const)
    it.effect(`is left for the leader, which would name it again, while it ${how}`, () =>
      Effect.gen(function* () {
        const seen = yield* fetches
        const { broker, reading } = yield* readingAtReplica
        const fetch = Fault.on("Fetch", { broker: 3 })
        const fault = yield* broker.inject(
          how === "refuses" ? fetch.error(6) : how === "does not answer" ? fetch.withhold : fetch.close
        )
        // What is under way is answered still.
        yield* append("t", 0, batch(1))
        yield* until("it is read", () => reading.offsets.length === 2)
        for (const count of [3, 4, 5]) {
          yield* append("t", 0, batch(1))
          yield* until("it is read from the leader", () => reading.offsets.length === count, 7000)
        }
        // It is tried again, ever more rarely.
        seen.length = 0
        yield* pass(120_000, 500)
        assert.isAtMost(seen.filter(({ broker }) => broker === 3).length, 6)
        yield* fault.remove
        yield* pass(130_000, 500)
        seen.length = 0
        yield* append("t", 0, batch(1))
        yield* pass(1000)
        assert.deepStrictEqual(reading.offsets, range(0, 6))
        assert.deepStrictEqual([...new Set(seen.map(({ broker }) => broker))], [3], "the replica is read again")
      }).pipe(Effect.scoped, Effect.provide(racks))
    )

  it.effect("is not waited for again while a request there is late (the leader was not read for 18 s)", () =>
    Effect.gen(function* () {
      const { broker, reading } = yield* readingAtReplica
      yield* broker.inject(Fault.on("Fetch", { broker: 3 }).withhold)
      yield* pass(1000)
      yield* append("t", 0, batch(1))
      yield* until("it is read from the leader", () => reading.offsets.length === 2, 7000)
      // Until the request that is not answered has failed: before, the leader names the replica again and again.
      for (let count = 3; count < 23; count++) {
        yield* append("t", 0, batch(1))
        yield* until("it is read on", () => reading.offsets.length === count, 1000)
        yield* pass(1000)
      }
    }).pipe(Effect.scoped, Effect.provide(racks))
  )

  it.effect("is read once it is free, though it is busy for longer than its time (it was left unasked for ever)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      for (const partition of [0, 1, 2]) yield* broker.moveLeader("t", partition, 1)
      const fetching = yield* consumer({ clientRack: "c", maxWait: 10_000 })
      const open = (partition: number) => Effect.flatMap(fetching.open({ topic: "t", partition }, 0), read)
      // A request of each is held at the replica for longer than metadataMaxAge, one begun before the other has ended.
      for (const partition of [1, 2]) yield* Effect.andThen(open(partition), pass(5000))
      const other = yield* open(0)
      yield* append("t", 0, batch(1))
      yield* until("the other is read", () => other.offsets.length === 1, 60_000, 100)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        layer({
          brokers: 3,
          racks: ["a", "b", "c"],
          topics: [{ name: "t", partitions: 3, replicationFactor: 3 }],
          client: { metadataMaxAge: "1 second" }
        })
      )
    )
  )

  it.effect("that fails for one partition is read of another, though both are asked for together", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      for (const partition of [0, 1]) yield* broker.moveLeader("t", partition, 1)
      yield* broker.inject(Fault.on("Fetch", { broker: 3, topic: "t", partition: 0 }).error(6))
      const fetching = yield* consumer({ clientRack: "c" })
      const fails = yield* Effect.flatMap(fetching.open({ topic: "t", partition: 0 }, 0), read)
      yield* pass(300)
      fails.reader.pause()
      yield* pass(700)
      const works = yield* Effect.flatMap(fetching.open({ topic: "t", partition: 1 }, 0), read)
      fails.reader.resume()
      let atReplica = 0
      const one = Effect.map(
        broker.awaitRequest("Fetch", { broker: 3, topic: "t", partition: 1 }),
        () => void atReplica++
      )
      yield* Effect.forkScoped(Effect.forever(one), { startImmediately: true })
      for (const partition of [0, 1]) yield* append("t", partition, batch(1))
      yield* until("both are read", () => [fails, works].every(({ offsets }) => offsets.length === 1), 500)
      yield* pass(500)
      assert.isAbove(atReplica, 0)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        layer({ brokers: 3, racks: ["a", "b", "c"], topics: [{ name: "t", partitions: 2, replicationFactor: 3 }] })
      )
    )
  )

  it.effect("is asked for anew after metadataMaxAge", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.moveLeader("t", 0, 1)
      const seen = yield* fetches
      yield* first({ clientRack: "c" })
      yield* pass(310_000, 1000)
      const atLeader = seen.filter(({ broker }) => broker === 1).length
      assert.strictEqual(atLeader, 2)
    }).pipe(Effect.scoped, Effect.provide(racks))
  )
})

describe("a leader that has moved", () => {
  it.effect("is found by the hint of the old one, before metadata is asked for (KIP-951)", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const reading = yield* first()
      yield* append("t", 0, batch(1))
      yield* until("it is read", () => reading.offsets.length === 1)
      // Nobody can be asked: the hint is all that there is.
      yield* broker.inject(Fault.on("Metadata").withhold)
      yield* broker.moveLeader("t", 0)
      yield* append("t", 0, batch(1))
      const took = yield* until("it is read on", () => reading.offsets.length === 2, 10_000)
      assert.isAtMost(took, 1000)
    }).pipe(Effect.scoped, Effect.provide(layer({ brokers: 2, topics: [{ name: "t", replicationFactor: 2 }] })))
  )
})

describe("Fetch", () => {
  it.effect("names topics by id where brokers do, and by name where one id is not known", () =>
    Effect.gen(function* () {
      const seen = yield* fetches
      const reading = yield* first()
      yield* append("t", 0, batch(1))
      yield* until("it is read", () => reading.offsets.length === 1)
      assert.isTrue(seen.every(({ version }) => version >= 13))
      assert.isTrue(seen[0]!.ids[0]!.length === 22)
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )

  for (const asVersion of ["0.8.2", "0.9", "0.10.2", "0.11", "1.1", "2.8", "3.9", "4.4"] as const) {
    it.effect(`reads every record, of many partitions, from a broker of ${asVersion}`, () =>
      Effect.gen(function* () {
        const count = 40
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        for (const base of [0, 3, 6]) {
          for (const partition of range(0, count)) {
            yield* broker.append("t", partition, stored(asVersion, 3, 10, base), {
              keepOffsets: asVersion === "0.10.2"
            })
          }
        }
        const fetching = yield* consumer({ maxPartitionBytes: 4096, bufferBytes: 65_536 })
        const readings = yield* Effect.forEach(range(0, count), (partition) =>
          Effect.flatMap(fetching.open({ topic: "t", partition }, 0), read)
        )
        const isDone = () => readings.every(({ offsets }) => offsets.length === 9)
        yield* until("all is read", isDone, 20_000)
        for (const { offsets } of readings) assert.deepStrictEqual(offsets, range(0, 9))
        const requests = yield* counting("Fetch")
        yield* pass(5000)
        // Those that do not fit into one request before v3 take turns.
        assert.isBelow(requests.requests, 450, "while nothing comes")
      }).pipe(Effect.scoped, Effect.provide(layer({ asVersion, topics: [{ name: "t", partitions: 40 }] })))
    )
  }

  for (const asVersion of ["0.8.2", "0.9", "0.10.2"] as const) {
    it.effect(`a message larger than the fetch size never stalls a reader of ${asVersion}, up to maxBytes`, () =>
      Effect.gen(function* () {
        yield* append("t", 0, stored(asVersion, 1, 100_000), stored(asVersion, 1), stored(asVersion, 1, 300_000))
        const reading = yield* first({ maxPartitionBytes: 1000, maxBytes: 250_000 })
        if (asVersion === "0.10.2") {
          yield* until("all is read: from v3 on brokers send it whole", () => reading.offsets.length === 3)
          return
        }
        yield* until("the last is too large", () => reading.failure !== undefined)
        assert.deepStrictEqual(reading.offsets, [0, 1])
        const { reason } = reading.failure!
        assert.deepInclude(reason, { _tag: "RecordTooLarge", topic: "t", limit: 250_000 })
        assert.isAbove((reason as { bytes: number }).bytes, 300_000)
      }).pipe(Effect.scoped, Effect.provide(layer({ asVersion, topics: ["t"] })))
    )
  }

  it.effect("reads compressed sets of the formats 0 and 1 from the middle, with their gaps", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const sets = [
        MessageSet.encode(records(5), { magic: 0, compression: Compression.gzip(), baseOffset: 0 }),
        MessageSet.encode(records(5), { magic: 1, compression: Compression.lz4(), baseOffset: 5 }),
        MessageSet.encode(records(5), { magic: 1, compression: Compression.snappy(), baseOffset: 10 })
      ]
      for (const set of sets) yield* broker.append("t", 0, set, { keepOffsets: true })
      const fetching = yield* consumer()
      for (const from of [0, 2, 7, 14]) {
        const reading = yield* read(yield* fetching.open({ topic: "t", partition: 0 }, from))
        yield* until("it is read", () => reading.reader.position() === 15)
        assert.deepStrictEqual(reading.offsets, range(from, 15))
      }
    }).pipe(Effect.scoped, Effect.provide(layer({ topics: ["t"] })))
  )
})

const records = (count: number, bytes = 10) =>
  Array.from({ length: count }, () => ({ key: null, value: Buffer.alloc(bytes, 97), headers: [], timestamp: 0 }))

/** Records as a broker of a release keeps them. */
const stored = (release: string, count: number, bytes = 10, baseOffset = 0): Uint8Array =>
  release === "0.8.2" || release === "0.9"
    ? MessageSet.encode(records(count, bytes), { magic: 0 })
    : release === "0.10.2"
      ? MessageSet.encode(records(count, bytes), { magic: 1, compression: Compression.gzip(), baseOffset })
      : batch(count, bytes)
