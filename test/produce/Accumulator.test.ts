import { assert, describe, it } from "@effect/vitest"
import { Accumulator } from "../../src/produce/Accumulator.ts"
import type { Batch } from "../../src/produce/Batch.ts"
import type { Capability, Outcome, Settings } from "../../src/produce/Plan.ts"
import type { KafkaError } from "../../src/KafkaError.ts"
import type { Delivery, ProduceRecord } from "../../src/Record.ts"

const settings: Settings = {
  acks: -1,
  idempotent: true,
  insistent: false,
  linger: 5,
  minQueued: Infinity,
  batchBytes: 100,
  maxRequestBytes: 1_000_000,
  maxMessageBytes: 1000,
  maxInFlight: 5,
  deliveryTimeout: 10_000
}
const overhead = 61
/** Each record counts for the length of its value. */
const sizeOf = (record: ProduceRecord) => record.value?.length ?? 0
const record = (bytes = 10): ProduceRecord => ({ key: null, value: new Uint8Array(bytes), headers: [], timestamp: 0 })
const records = (count: number, bytes = 10) => Array.from({ length: count }, () => record(bytes))
const modern: Capability = { magic: 2, remembers: 5, refusesCompression: undefined }
const healthy = { leaderOf: (): number | undefined => 1, idOf: () => undefined, capabilityOf: () => modern }
const leaderless = { ...healthy, leaderOf: () => undefined }
/** At once, then after 50 ms. */
const delays = () => (failures: number) => (failures === 1 ? 0 : 50)

const setUp = (changes: Partial<Settings> = {}) => {
  const accumulator = new Accumulator({ ...settings, ...changes }, { sizeOf, delays, random: () => 0.5 })
  if (changes.idempotent !== false) accumulator.begin({ id: 7, epoch: 0 })
  const told: Array<string> = []
  const failures: Array<KafkaError> = []
  const delivery = (name: string): Delivery => ({
    acknowledged: (from, count, offset) => told.push(`${name} ${from}+${count} @${offset}`),
    failed: (from, count, error) => {
      told.push(`${name} ${from}+${count} ${error.reason._tag}`)
      failures.push(error)
    }
  })
  const drain = (now: number) => accumulator.drain(now, healthy)
  const next = (now: number): ReadonlyArray<Batch> => drain(now).requests.flatMap((request) => request.batches)
  const end = (batch: Batch, outcome: Outcome, now: number) => {
    accumulator.requestEnded(1)
    batch.sent = true
    accumulator.settle(batch, outcome, now)
  }
  /** Has one record acknowledged, so that more than one batch of the partition may be under way. */
  const establish = (partition = 0) => {
    accumulator.append("t", partition, records(1), { acknowledged: () => {}, failed: () => {} }, 0)
    end(next(0)[0]!, appended(0), 0)
  }
  return { accumulator, delivery, drain, end, establish, failures, next, told }
}

const appended = (offset: number): Outcome => ({ _tag: "Appended", offset, timestamp: undefined })
const refused = (code: number): Outcome => ({ _tag: "Refused", code, message: undefined })
const lost: Outcome = { _tag: "Unknown", cause: "the connection was lost" }

const unknownServerError = -1
const notLeader = 6
const tooLarge = 10
const outOfOrder = 45
const duplicate = 46
const invalidProducerEpoch = 47
const invalidRecord = 87
const corruptMessage = 2
const notEnoughReplicas = 19
const requestTimedOut = 7
const unsupportedForMessageFormat = 43

describe("Accumulator", () => {
  it("ids of a cluster that has been replaced are used no more: what that may have fails, the rest goes on under a new one", () => {
    const { accumulator, delivery, end, establish, failures, next, told } = setUp({ batchBytes: 1 })
    establish()
    accumulator.append("t", 0, records(2), delivery("a"), 0)
    accumulator.flush()
    const [first, second] = next(0)
    end(first!, lost, 0)
    accumulator.forgetIds()
    accumulator.begin({ id: 7, epoch: 4 })
    assert.deepStrictEqual(next(0), [], "the second is under way under the old id")
    accumulator.requestEnded(1)
    accumulator.settle(second!, lost, 0)
    assert.deepStrictEqual(next(100), [second!])
    assert.deepStrictEqual([second!.sequence, second!.queue.producer], [0, { id: 7, epoch: 4 }])
    assert.deepStrictEqual(told, ["a 0+1 NotDelivered"])
    assert.include(failures[0]!.reason, { persistence: "possibly" })
  })

  it("who withdraws costs nothing for the batches of others (10 000 interruptions took 30 s)", () => {
    const { accumulator, delivery, told } = setUp({ batchBytes: 1 })
    const deliveries = Array.from({ length: 300 }, (_, i) => delivery(`${i}`))
    for (const one of deliveries) accumulator.append("t", 0, records(1), one, 0)
    let looks = 0
    for (const { batches } of accumulator.active)
      for (const batch of batches) Object.defineProperty(batch, "attempts", { get: () => (looks++, 0) })
    for (const one of deliveries) assert.isTrue(accumulator.withdraw("t", 0, one))
    for (const one of deliveries) assert.isFalse(accumulator.withdraw("t", 0, one), "once")
    assert.isAtMost(looks, 10 * deliveries.length)
    assert.strictEqual(accumulator.outstanding, 0)
    assert.deepStrictEqual(told, [])
  })

  it("batches that were too large once grow again, when full ones fit", () => {
    const { accumulator, delivery, end, next } = setUp({ batchBytes: 800, maxInFlight: 1 })
    accumulator.append("t", 0, records(70), delivery("a"), 0)
    const [queue] = accumulator.active
    end(next(0)[0]!, refused(tooLarge), 0)
    assert.isBelow(queue!.batchBytes, 400)
    const sendFull = (count: number) => {
      for (let i = 0; i < count; i++) {
        accumulator.append("t", 0, records(70), delivery("b"), 0)
        const [batch] = next(0)
        end(batch!, appended(0), 0)
      }
    }
    const small = queue!.batchBytes
    sendFull(20)
    assert.strictEqual(queue!.batchBytes, small, "not at once")
    sendFull(500)
    assert.strictEqual(queue!.batchBytes, 800)
  })

  it("what is with the old leader has its end before anything goes to the new one", () => {
    const { accumulator, delivery, end, establish, next } = setUp()
    establish()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    const [first] = next(0)
    accumulator.append("t", 0, records(1), delivery("b"), 0)
    accumulator.flush()
    const atNewLeader = () =>
      accumulator.drain(0, { ...healthy, leaderOf: () => 2 }).requests.flatMap(({ batches }) => batches)
    assert.deepStrictEqual(atNewLeader(), [])
    end(first!, refused(notLeader), 0)
    assert.strictEqual(atNewLeader()[0], first)
  })

  it("nothing goes to a topic that was made again beside what was sent to the old one", () => {
    const { accumulator, delivery, end } = setUp()
    const drained = (id: string) =>
      accumulator.drain(0, { ...healthy, idOf: () => id } as never).requests.flatMap(({ batches }) => batches)
    const send = (name: string) => {
      accumulator.append("t", 0, records(1), delivery(name), 0)
      accumulator.flush()
    }
    send("a")
    end(drained("old")[0]!, appended(0), 0)
    send("b")
    const [second] = drained("old")
    send("c")
    assert.deepStrictEqual(drained("new"), [])
    end(second!, refused(notLeader), 0)
    assert.strictEqual(drained("new")[0], second)
  })

  it("a topic that was made again has batches of the setting's size", () => {
    const { accumulator, delivery, end, next } = setUp({ batchBytes: 800, maxInFlight: 1 })
    accumulator.append("t", 0, records(70), delivery("a"), 0)
    const [queue] = accumulator.active
    end(next(0)[0]!, refused(tooLarge), 0)
    assert.isBelow(queue!.batchBytes, 400)
    assert.strictEqual(accumulator.drain(0, { ...healthy, idOf: () => "another" } as never).requests.length, 1)
    assert.strictEqual(queue!.batchBytes, 800)
  })

  it("what joins, goes or leaves its queue after somebody withdrew can be withdrawn as before", () => {
    const { accumulator, delivery, end, next, told } = setUp({ batchBytes: 1 })
    const [a, b, c, d] = ["a", "b", "c", "d"].map(delivery)
    accumulator.append("t", 0, records(1), a!, 0)
    accumulator.append("t", 0, records(1), b!, 0)
    assert.isTrue(accumulator.withdraw("t", 0, a!))
    accumulator.append("t", 0, records(1), c!, 0)
    const [first] = next(0)
    assert.isFalse(accumulator.withdraw("t", 0, b!), "it has gone")
    assert.isTrue(accumulator.withdraw("t", 0, c!))
    end(first!, refused(notLeader), 0)
    assert.isFalse(accumulator.withdraw("t", 0, b!), "it has gone once")
    end(next(0)[0]!, appended(0), 0)
    accumulator.append("t", 0, records(1), d!, 0)
    assert.isTrue(accumulator.withdraw("t", 0, d!))
    assert.deepStrictEqual(told, ["b 0+1 @0"])
    assert.strictEqual(accumulator.outstanding, 0)
  })

  it("sends at once when nothing is under way to the broker", () => {
    const { accumulator, delivery, next } = setUp()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    assert.strictEqual(next(0).length, 1)
  })

  it("lets a batch wait for company while a request is under way, until linger has passed", () => {
    const { accumulator, delivery, drain, establish, next } = setUp()
    establish()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    next(0)
    accumulator.append("t", 0, records(1), delivery("b"), 1)
    assert.strictEqual(drain(1).requests.length, 0)
    assert.strictEqual(drain(1).wakeAt, 6)
    accumulator.append("t", 0, records(1), delivery("c"), 5)
    const [batch] = next(6)
    assert.strictEqual(batch?.records.length, 2)
  })

  it("lingers for half of a batch's time at most, whatever linger says", () => {
    const { accumulator, delivery, drain, establish, next } = setUp({ linger: 20_000, deliveryTimeout: 10_000 })
    establish()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    next(0)
    accumulator.append("t", 0, records(1), delivery("b"), 0)
    assert.strictEqual(drain(1).wakeAt, 5000)
    assert.lengthOf(next(5000), 1)
  })

  it("tells the end of a record in its time that came back behind one with more time", () => {
    const { accumulator, delivery, drain, end, establish, next, told } = setUp()
    establish()
    accumulator.append("t", 0, records(1), delivery("more"), 5000)
    const [more] = next(5000)
    accumulator.append("t", 0, records(1), delivery("less"), 5000, 0)
    const [less] = next(5005)
    assert.isDefined(less)
    end(more!, lost, 6000)
    end(less!, lost, 6000)
    assert.strictEqual(accumulator.drain(6000, leaderless).wakeAt, 10_000)
    accumulator.drain(10_000, leaderless)
    assert.deepStrictEqual(told, ["less 0+1 NotDelivered"])
    const [again] = drain(10_000).requests[0]!.batches
    assert.strictEqual(again, more)
  })

  it("does not ask again whether what is too large for a broker is too large (2 requests a record)", () => {
    const { accumulator, delivery, end, failures, next } = setUp({ batchBytes: 10_000 })
    let requests = 0
    const limit = 105
    /** As a producer does it: what has its bytes is looked at before it is sent. */
    const run = (from: number) => {
      for (let now = from; accumulator.outstanding > 0 && now < from + 2000; now++)
        for (const batch of next(now)) {
          const bytes = new Uint8Array(batch.bytes)
          batch.encoded = { magic: 2, bytes, producer: undefined, sequence: batch.sequence }
          const known = accumulator.knownTooLarge(batch, now)
          if (known !== undefined) {
            accumulator.requestEnded(1)
            accumulator.settle(batch, known, now)
            continue
          }
          requests++
          end(batch, bytes.length > limit ? refused(tooLarge) : appended(0), now)
        }
    }
    accumulator.append("t", 0, records(64, 100), delivery("large"), 0)
    run(0)
    assert.lengthOf(failures, 64)
    assert.isAtMost(requests, 7, "of 64, 32, 16, 8, 4, 2 and 1")
    // What is smaller goes; and after a while the broker is asked again.
    requests = 0
    accumulator.append("t", 0, [record(10)], delivery("small"), 2000)
    run(2000)
    accumulator.append("t", 0, [record(100)], delivery("large"), 9000)
    run(9000)
    assert.strictEqual(requests, 2)
    assert.lengthOf(failures, 65)
  })

  it("sends a full batch without lingering, and tells each caller its own records", () => {
    const { accumulator, delivery, end, establish, next, told } = setUp()
    establish()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    const [first] = next(0)
    accumulator.append("t", 0, records(2), delivery("b"), 1)
    accumulator.append("t", 0, records(3), delivery("c"), 1)
    const [second] = next(1)
    assert.strictEqual(second?.records.length, Math.floor((100 - overhead) / 10))
    end(first!, appended(5), 2)
    end(second!, appended(6), 2)
    const [third] = next(2)
    end(third!, appended(9), 3)
    assert.deepStrictEqual(told, ["a 0+1 @5", "b 0+2 @6", "c 0+1 @8", "c 1+2 @9"])
    assert.strictEqual(accumulator.outstanding, 0)
  })

  it("sends what came back before what is behind it, with the same sequences", () => {
    const { accumulator, delivery, drain, end, establish, next, told } = setUp()
    establish()
    accumulator.append("t", 0, records(9), delivery("a"), 0)
    const sent = next(0)
    assert.deepStrictEqual(
      sent.map((batch) => batch.sequence),
      [1, 4]
    )
    accumulator.flush()
    const [one, two] = sent
    const three = next(0)[0] ?? drain(6).requests[0]!.batches[0]!
    assert.strictEqual(three.sequence, 7)
    end(one!, refused(notLeader), 10)
    assert.strictEqual(next(10).length, 0, "two are still under way")
    end(two!, refused(outOfOrder), 11)
    end(three, lost, 12)
    const again = [...next(200)]
    again.push(...next(200))
    assert.deepStrictEqual(
      again.map((batch) => batch.sequence),
      [1, 4, 7]
    )
    for (const batch of again) end(batch, appended(batch.sequence), 201)
    assert.deepStrictEqual(told, ["a 0+3 @1", "a 3+3 @4", "a 6+3 @7"])
  })

  it("takes a duplicate for what it is: acknowledged", () => {
    const { accumulator, delivery, end, next, told } = setUp()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    const [batch] = next(0)
    end(batch!, lost, 1)
    const [again] = next(1)
    end(again!, refused(duplicate), 2)
    assert.deepStrictEqual(told, ["a 0+1 @undefined"])
  })

  it("splits a batch that is too large for the broker, keeping sequences and callers", () => {
    const { accumulator, delivery, end, establish, next, told } = setUp()
    establish()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    accumulator.append("t", 0, records(2), delivery("b"), 0)
    const [batch] = next(0)
    end(batch!, refused(tooLarge), 1)
    const parts = [...next(1), ...next(1)]
    assert.deepStrictEqual(
      parts.map((part) => [part.sequence, part.records.length]),
      [
        [1, 1],
        [2, 2]
      ]
    )
    end(parts[0]!, appended(10), 2)
    end(parts[1]!, refused(invalidRecord), 2)
    assert.deepStrictEqual(told, ["a 0+1 @10", "b 0+2 NotDelivered"])
  })

  it("raises the epoch of a partition whose record is given up, and of no other", () => {
    const { accumulator, delivery, drain, end, establish, failures, next, told } = setUp()
    establish(0)
    establish(1)
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    accumulator.append("t", 1, records(1), delivery("b"), 0)
    const [a, b] = next(0)
    accumulator.requestEnded(1)
    accumulator.settle(a!, refused(invalidRecord), 1)
    assert.strictEqual(failures[0]?.reason._tag === "NotDelivered" && failures[0].reason.persistence, "not")
    accumulator.append("t", 0, records(1), delivery("c"), 1)
    accumulator.append("t", 1, records(1), delivery("d"), 1)
    const [d, c] = next(1)
    assert.strictEqual(drain(1).needsProducerId.size, 0, "no broker is asked")
    assert.deepStrictEqual([c!.queue.producer, c!.sequence], [{ id: 7, epoch: 1 }, 0])
    assert.deepStrictEqual([d!.queue.producer, d!.sequence], [{ id: 7, epoch: 0 }, 2])
    accumulator.settle(b!, appended(1), 2)
    end(c!, appended(1), 2)
    accumulator.settle(d!, appended(2), 2)
    assert.deepStrictEqual(told, ["a 0+1 NotDelivered", "b 0+1 @1", "c 0+1 @1", "d 0+1 @2"])
  })

  it("sends what may be there of other partitions again as it was, where a record of one is given up (320 good ones failed)", () => {
    const { accumulator, delivery, establish, next, told } = setUp()
    for (const partition of [0, 1, 2]) establish(partition)
    for (const [partition, name] of ["bad", "lost", "refused"].entries())
      accumulator.append("t", partition, records(1), delivery(name), 0)
    const [bad, doubtful, other] = next(0)
    /** They are of one request. */
    const settle = (batch: Batch, outcome: Outcome, now: number) => accumulator.settle(batch, outcome, now)
    for (const batch of [bad, doubtful, other]) batch!.sent = true
    accumulator.requestEnded(1)
    settle(doubtful!, lost, 1)
    settle(other!, refused(unknownServerError), 1)
    settle(bad!, refused(invalidRecord), 1)
    accumulator.append("t", 0, records(1), delivery("after"), 1)
    const again = next(1000)
    assert.deepStrictEqual(
      again.map(({ queue, sequence }) => `${queue.partition}: ${queue.producer!.epoch} ${sequence}`).toSorted(),
      ["0: 1 0", "1: 0 1", "2: 0 1"]
    )
    accumulator.requestEnded(1)
    for (const batch of again) settle(batch, batch.queue.partition === 0 ? appended(2) : refused(duplicate), 1001)
    assert.deepStrictEqual(told.toSorted(), [
      "after 0+1 @2",
      "bad 0+1 NotDelivered",
      "lost 0+1 @undefined",
      "refused 0+1 @undefined"
    ])
    accumulator.append("t", 1, records(1), delivery("behind"), 1002)
    const [behind] = next(1002)
    assert.deepStrictEqual([behind!.queue.producer, behind!.sequence], [{ id: 7, epoch: 0 }, 2])
  })

  it("sends again under the next epoch what stood behind a record that was given up: behind a gap nothing is appended", () => {
    const { accumulator, delivery, end, establish, next, told } = setUp()
    establish()
    accumulator.append("t", 0, records(9), delivery("a"), 0)
    const sent = [...next(0), ...next(6)]
    assert.strictEqual(sent.length, 3)
    end(sent[0]!, refused(invalidRecord), 7)
    end(sent[1]!, lost, 7)
    assert.strictEqual(next(8).length, 0, "the third is still under way")
    end(sent[2]!, refused(outOfOrder), 9)
    const [first, ...others] = next(100)
    assert.deepStrictEqual([first!.queue.producer, first!.sequence, others.length], [{ id: 7, epoch: 1 }, 0, 0])
    end(first!, appended(1), 101)
    const [second] = next(101)
    assert.strictEqual(second!.sequence, 3)
    end(second!, appended(4), 102)
    assert.deepStrictEqual(told, ["a 0+3 NotDelivered", "a 3+3 @1", "a 6+3 @4"])
  })

  it("asks for another producer id when a partition has used up its epochs", () => {
    const { accumulator, delivery, drain, end, next } = setUp()
    accumulator.begin({ id: 7, epoch: 32_767 })
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    const [batch] = next(0)
    end(batch!, refused(invalidRecord), 1)
    accumulator.append("t", 0, records(1), delivery("b"), 2)
    assert.deepStrictEqual([...drain(2).needsProducerId.keys()], [1])
    accumulator.begin({ id: 8, epoch: 0 })
    const [again] = next(3)
    assert.deepStrictEqual([again!.queue.producer, again!.sequence], [{ id: 8, epoch: 0 }, 0])
  })

  it("keeps the order of several batches that wait for another producer id, whatever became of each", () => {
    const { accumulator, delivery, drain, end, establish, next, told } = setUp()
    accumulator.begin({ id: 7, epoch: 32_767 })
    establish()
    accumulator.append("t", 0, records(15), delivery("a"), 0)
    accumulator.flush()
    const sent = next(0)
    assert.strictEqual(sent.length, 5)
    end(sent[0]!, refused(invalidRecord), 1)
    // They end in another order than they were sent.
    end(sent[4]!, lost, 1)
    end(sent[2]!, refused(outOfOrder), 2)
    end(sent[3]!, refused(notEnoughReplicas), 3)
    accumulator.append("t", 0, records(3), delivery("b"), 3)
    end(sent[1]!, lost, 4)
    assert.deepStrictEqual([...drain(1000).needsProducerId.keys()], [1])
    accumulator.begin({ id: 8, epoch: 0 })
    const again: Array<Batch> = []
    for (let now = 1001; accumulator.outstanding > 0 && now < 1020; now++) {
      const batches = next(now)
      // Who knows nothing of an id takes any first sequence: nothing goes beside that.
      if (again.length === 0) assert.deepStrictEqual(batches.length, 1)
      for (const batch of batches) {
        again.push(batch)
        end(batch, appended(batch.sequence), now)
      }
    }
    assert.deepStrictEqual(
      again.map(({ queue, sequence }) => [queue.producer!.id, queue.producer!.epoch, sequence]),
      [0, 3, 6, 9, 12].map((sequence) => [8, 0, sequence])
    )
    assert.deepStrictEqual(told, ["a 0+3 NotDelivered", "a 3+3 @0", "a 6+3 @3", "a 9+3 @6", "a 12+3 @9", "b 0+3 @12"])
  })

  it("tells the end of a record in time whose request is still under way, and takes its answer all the same", () => {
    const { accumulator, delivery, drain, end, failures, next, told } = setUp()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    const [batch] = next(0)
    batch!.sent = true
    assert.strictEqual(drain(9999).wakeAt, 10_000)
    drain(10_000)
    assert.deepStrictEqual(told, ["a 0+1 NotDelivered"])
    assert.strictEqual(failures[0]?.reason._tag === "NotDelivered" && failures[0].reason.persistence, "possibly")
    assert.strictEqual(accumulator.outstanding, 0)
    accumulator.append("t", 0, records(1), delivery("b"), 10_001)
    assert.strictEqual(next(10_001).length, 0, "what is behind it waits for its end")
    end(batch!, appended(0), 10_002)
    const [behind] = next(10_002)
    assert.strictEqual(behind!.sequence, 1)
    assert.strictEqual(told.length, 1)
  })

  it("takes the first out of order for a gap, not the last, which was only too early", () => {
    const { accumulator, delivery, end, establish, next, told } = setUp()
    establish()
    accumulator.append("t", 0, records(15), delivery("a"), 0)
    accumulator.flush()
    const sent = next(0)
    assert.strictEqual(sent.length, 5)
    end(sent[0]!, refused(notEnoughReplicas), 1)
    for (const batch of sent.slice(1)) end(batch, refused(outOfOrder), 1)
    const again = next(1)
    assert.deepStrictEqual(
      again.map(({ queue, sequence }) => [queue.producer!.epoch, sequence]),
      [1, 4, 7, 10, 13].map((sequence) => [0, sequence])
    )
    again.forEach((batch, i) => end(batch, appended(1 + 3 * i), 2))
    assert.strictEqual(told.length, 5)
  })

  it("a gap that the broker alone knows of is left behind: what it refuses goes under the next epoch, from its first sequence", () => {
    const { accumulator, delivery, end, establish, next, told } = setUp()
    establish()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    end(next(0)[0]!, refused(outOfOrder), 1)
    const [again] = next(1)
    assert.deepStrictEqual([again!.queue.producer, again!.sequence], [{ id: 7, epoch: 1 }, 0])
    end(again!, appended(1), 2)
    assert.deepStrictEqual(told, ["a 0+1 @1"])
  })

  it("does not send again what may be there where its epoch is refused: under another it would be there twice", () => {
    const { accumulator, delivery, end, establish, failures, next, told } = setUp()
    establish()
    accumulator.append("t", 0, records(6), delivery("a"), 0)
    accumulator.flush()
    const [one, two] = next(0)
    end(two!, refused(notEnoughReplicas), 1)
    end(one!, lost, 1)
    const again = next(1)
    assert.strictEqual(again.length, 2)
    end(again[0]!, refused(invalidProducerEpoch), 2)
    end(again[1]!, refused(invalidProducerEpoch), 2)
    // What was refused each time is not there: it goes on under the next epoch.
    const [behind, ...others] = next(100)
    assert.deepStrictEqual([behind!.queue.producer, behind!.sequence, others.length], [{ id: 7, epoch: 1 }, 0, 0])
    end(behind!, appended(4), 101)
    assert.deepStrictEqual(told, ["a 0+3 NotDelivered", "a 3+3 @4"])
    assert.strictEqual(failures[0]?.reason._tag === "NotDelivered" && failures[0].reason.persistence, "possibly")
  })

  it("sends several at a time again once what was beside a lost one has ended, though the last of them was appended", () => {
    const { accumulator, delivery, end, establish, next, told } = setUp()
    establish()
    accumulator.append("t", 0, records(6), delivery("a"), 0)
    accumulator.flush()
    const [one, two] = next(0)
    end(one!, lost, 1)
    end(two!, appended(4), 1)
    end(next(1)[0]!, refused(duplicate), 2)
    accumulator.append("t", 0, records(6), delivery("b"), 2)
    accumulator.flush()
    const sent = next(2)
    assert.deepStrictEqual(
      sent.map(({ sequence }) => sequence),
      [7, 10]
    )
    for (const batch of sent) end(batch, appended(batch.sequence), 3)
    assert.deepStrictEqual(told, ["a 3+3 @4", "a 0+3 @undefined", "b 0+3 @7", "b 3+3 @10"])
  })

  it("keeps a batch that may have been appended among the last five, which the broker knows again", () => {
    const { accumulator, delivery, drain, end, establish, next, told } = setUp()
    establish()
    accumulator.append("t", 0, records(60), delivery("a"), 0)
    accumulator.flush()
    let [first, ...others] = next(0)
    let behind = 0
    for (let now = 1; now < 9; now++) {
      for (const batch of others) end(batch, appended(0), now)
      behind += others.length
      // The append is there, and the replicas do not have it: as often as it is asked.
      end(first!, refused(requestTimedOut), now)
      const again = drain(now * 1000).requests.flatMap((request) => request.batches)
      assert.strictEqual(again[0], first)
      ;[first, ...others] = again
    }
    assert.strictEqual(behind + others.length, 4)
    assert.strictEqual(told.length, 4)
  })

  it("counts what may still arrive from a lost request among those that may pass a batch (it was written twice)", () => {
    const { accumulator, delivery, end, establish, next } = setUp()
    establish()
    accumulator.append("t", 0, records(18), delivery("a"), 0)
    accumulator.flush()
    const sent = next(0)
    assert.strictEqual(sent.length, 5)
    // Four copies are left on a connection that was lost; the one before them is to go in two halves.
    end(sent[0]!, refused(tooLarge), 1)
    for (const batch of sent.slice(1)) end(batch, lost, 1)
    const [first, ...others] = next(1000)
    assert.deepStrictEqual([first!.sequence, others.length], [1, 0], "the other half and four copies may pass it")
    end(first!, appended(1), 1001)
    const again = next(1001)
    assert.deepStrictEqual(
      again.map(({ sequence }) => sequence),
      [2, 4, 7, 10, 13]
    )
  })

  it("lets nothing pass while one that may still arrive has left the queue, since it is not counted", () => {
    const { accumulator, delivery, end, establish, next } = setUp()
    establish()
    const within = (since: number, count: number) => {
      accumulator.append("t", 0, records(count), delivery("a"), 0, since)
      accumulator.flush()
    }
    for (const since of [0, -9000, 0]) within(since, 3)
    const sent = next(0)
    assert.strictEqual(sent.length, 3)
    for (const batch of sent) end(batch, lost, 1)
    // The second has left, its time is spent.
    const again = next(2000)
    assert.deepStrictEqual(
      again.map(({ sequence }) => sequence),
      [1]
    )
  })

  it("sends again what is called corrupt once, also where its answer was lost before (it was split at once)", () => {
    const { accumulator, delivery, end, next, told } = setUp({ batchBytes: 1000 })
    accumulator.append("t", 0, records(4), delivery("a"), 0)
    const corrupt: Outcome = { _tag: "Refused", code: corruptMessage, message: undefined, namesNone: true }
    let now = 0
    for (const outcome of [lost, lost, lost, lost, corrupt, appended(0)]) {
      const [batch] = next((now += 1000))
      assert.strictEqual(batch!.records.length, 4)
      end(batch!, outcome, now)
    }
    assert.deepStrictEqual(told, ["a 0+4 @0"])
  })

  it("a record whose answers were lost is not given up for being called corrupt once", () => {
    const { accumulator, delivery, end, next, told } = setUp({ batchBytes: 1000 })
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    const corrupt: Outcome = { _tag: "Refused", code: corruptMessage, message: undefined, namesNone: true }
    let now = 0
    for (const outcome of [lost, lost, lost, lost, lost, corrupt, appended(0)])
      end(next((now += 1000))[0]!, outcome, now)
    assert.deepStrictEqual(told, ["a 0+1 @0"])
  })

  it("fails the records that the broker names, and sends the others again", () => {
    const { accumulator, delivery, end, next, told } = setUp()
    accumulator.append("t", 0, records(3), delivery("a"), 0)
    const [batch] = next(0)
    const named = { index: 1, message: "no key" }
    end(batch!, { _tag: "Refused", code: invalidRecord, message: undefined, records: [named] }, 1)
    const [rest] = next(1)
    assert.deepStrictEqual([rest!.records.length, rest!.queue.producer!.epoch], [2, 1])
    end(rest!, appended(5), 2)
    assert.deepStrictEqual(told, ["a 1+1 NotDelivered", "a 0+1 @5", "a 2+1 @6"])
  })

  it("keeps the sequences of what stands before a gap that is known (it was written twice)", () => {
    const { accumulator, delivery, end, establish, next, told } = setUp({ batchBytes: 1000 })
    establish()
    for (const [name, count] of [["a", 1] as const, ["b", 3] as const]) {
      accumulator.append("t", 0, records(count), delivery(name), 0)
      accumulator.flush()
    }
    const [a, b] = next(0)
    end(a!, lost, 1)
    end(b!, { _tag: "Refused", code: invalidRecord, message: undefined, records: [{ index: 1, message: "" }] }, 1)
    const [again, rest] = next(1000)
    end(rest!, appended(2), 1001)
    end(again!, lost, 1001)
    const [once] = next(2000)
    assert.deepStrictEqual([once!.sequence, once!.queue.producer!.epoch], [1, 0])
    end(once!, appended(1), 2001)
    accumulator.append("t", 0, records(1), delivery("c"), 2001)
    const [behind] = next(2001)
    assert.deepStrictEqual([behind!.sequence, behind!.queue.producer!.epoch], [0, 1])
    assert.deepStrictEqual(told, ["b 1+1 NotDelivered", "b 0+1 @2", "b 2+1 @3", "a 0+1 @1"])
  })

  it("finds the record that an old broker takes for corrupt, and gives up that one soon", () => {
    const { accumulator, delivery, end, next, told } = setUp({ batchBytes: 1000, idempotent: false })
    accumulator.append("t", 0, records(4), delivery("a"), 0)
    let offset = 0
    for (let now = 0; accumulator.outstanding > 0 && now < 20_000; now += 100) {
      for (const batch of next(now)) {
        // The third is the bad one.
        const bad = batch.segments.some(({ count, from }) => from <= 2 && 2 < from + count)
        end(
          batch,
          bad
            ? { _tag: "Refused", code: corruptMessage, message: undefined, namesNone: true }
            : appended((offset += batch.records.length)),
          now
        )
      }
    }
    assert.deepStrictEqual(
      told.map((each) => each.replace(/ @\d+/, "")),
      ["a 0+2", "a 2+1 NotDelivered", "a 3+1"]
    )
  })

  it("has one batch of a partition under way to a broker that remembers one (0.11 wrote records twice)", () => {
    const { accumulator, delivery, establish } = setUp()
    establish()
    const old = { ...healthy, capabilityOf: () => ({ ...modern, remembers: 1 }) }
    for (let i = 0; i < 3; i++) {
      accumulator.append("t", 0, records(1), delivery(`${i}`), 0)
      accumulator.flush()
    }
    assert.strictEqual(accumulator.drain(0, old).requests.length, 1)
    assert.strictEqual(accumulator.drain(0, healthy).requests.length, 2)
  })

  it("does not take out of order for a proof where the broker remembers less than was under way", () => {
    const { accumulator, delivery, drain, end, establish, failures, next } = setUp()
    establish()
    for (const name of ["a", "b"]) {
      accumulator.append("t", 0, records(1), delivery(name), 0)
      accumulator.flush()
    }
    for (const batch of next(0)) end(batch, lost, 1)
    const old = { ...healthy, capabilityOf: () => ({ ...modern, remembers: 1 }) }
    const [first] = accumulator.drain(2000, old).requests[0]!.batches
    end(first!, refused(outOfOrder), 2001)
    assert.isTrue(failures[0]?.reason._tag === "NotDelivered" && failures[0].reason.persistence === "possibly")
    assert.isDefined(drain(2002))
  })

  it("goes on without sequences where a topic keeps an old format, in order, and tries them again later", () => {
    const { accumulator, delivery, end, establish, failures, next, told } = setUp()
    establish()
    for (const name of ["a", "b"]) {
      accumulator.append("t", 0, records(1), delivery(name), 0)
      accumulator.flush()
    }
    const pinned = refused(unsupportedForMessageFormat)
    for (const batch of next(0)) end(batch, pinned, 1)
    const [a, ...more] = next(1)
    assert.deepStrictEqual([a!.sequence, more], [-1, []], "one at a time, without a number")
    end(a!, appended(1), 2)
    const [b] = next(2)
    end(b!, appended(2), 3)
    assert.deepStrictEqual(told, ["a 0+1 @1", "b 0+1 @2"])
    // Headers are nothing for such a topic either: they fail before they are sent, those beside them go.
    accumulator.append("t", 0, [record(), { ...record(), headers: [["h", null]] }], delivery("c"), 4)
    end(next(4)[0]!, appended(3), 5)
    assert.deepStrictEqual(told.slice(2), ["c 1+1 Unsupported", "c 0+1 @3"])
    assert.lengthOf(failures, 1)
    accumulator.append("t", 0, records(1), delivery("d"), 70_000)
    assert.strictEqual(next(70_000)[0]!.sequence, 0)
  })

  it("headers that a broker falls over, since their topic keeps an old format, fail alone (everything waited 2 min)", () => {
    const { accumulator, delivery, end, failures, next, told } = setUp({ idempotent: false })
    const fallen: Outcome = { _tag: "Refused", code: unknownServerError, message: undefined, mayKeepOldFormat: true }
    accumulator.append("t", 0, [record(), { ...record(), headers: [["h", null]] }, record()], delivery("a"), 0)
    let now = 0
    for (let i = 0; i < 5; i++) {
      end(next(now)[0]!, fallen, now + 1)
      now += 100
    }
    assert.deepStrictEqual(told, ["a 1+1 NotDelivered"])
    assert.isTrue(failures[0]?.reason._tag === "NotDelivered" && failures[0].reason.persistence === "possibly")
    end(next(now)[0]!, appended(0), now)
    assert.deepStrictEqual(told.slice(1), ["a 0+1 @0", "a 2+1 @1"])
    // Without headers, and where no topic keeps an old format, it is any error that passes.
    for (const [one, outcome] of [
      [record(), fallen],
      [{ ...record(), headers: [["h", null]] }, refused(unknownServerError)]
    ] as const) {
      accumulator.append("t", 0, [one as ProduceRecord], delivery("b"), now)
      for (let i = 0; i < 8; i++) {
        end(next(now)[0]!, outcome, now + 1)
        now += 100
      }
      assert.lengthOf(failures, 1)
      end(next(now)[0]!, appended(9), now)
    }
  })

  it("lets the partitions of a broker take turns", () => {
    const { accumulator, delivery, end, next } = setUp({ maxRequestBytes: 200, maxInFlight: 1 })
    for (let p = 0; p < 4; p++) accumulator.append("t", p, records(30), delivery(`${p}`), 0)
    const served: Array<number> = []
    for (let i = 0; i < 8; i++) {
      const batches = next(i)
      assert.strictEqual(batches.length, 2)
      accumulator.requestEnded(1)
      for (const batch of batches) {
        served.push(batch.queue.partition)
        accumulator.settle(batch, appended(0), i)
      }
    }
    assert.deepStrictEqual(served.slice(0, 8), [0, 1, 2, 3, 0, 1, 2, 3])
    assert.isDefined(end)
  })

  it("does not send headers, zstd or what must be idempotent to a broker that is too old, and fails that alone", () => {
    const { accumulator, delivery, told } = setUp()
    const withHeaders = { ...record(), headers: [["h", null]] as const }
    accumulator.append("t", 0, [record(), withHeaders, record()], delivery("a"), 0)
    const old: Capability = { magic: 1, remembers: 5, refusesCompression: undefined }
    const [request] = accumulator.drain(0, { ...healthy, capabilityOf: () => old }).requests
    const [batch] = request!.batches
    assert.deepStrictEqual([batch!.records.length, batch!.sequence, batch!.magic], [2, -1, 1])
    assert.deepStrictEqual(told, ["a 1+1 Unsupported"])

    const insistent = setUp({ insistent: true })
    insistent.accumulator.append("t", 0, records(2), insistent.delivery("a"), 0)
    assert.strictEqual(insistent.accumulator.drain(0, { ...healthy, capabilityOf: () => old }).requests.length, 0)
    assert.deepStrictEqual(insistent.told, ["a 0+2 Unsupported"])
  })

  it("flushes what was handed over so far, and waits for nothing that comes later", () => {
    const { accumulator, delivery, end, next } = setUp()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    const [batch] = next(0)
    const flush = accumulator.flush()
    accumulator.append("t", 0, records(1), delivery("b"), 1)
    assert.isFalse(accumulator.isFlushed(flush))
    end(batch!, appended(0), 2)
    assert.isTrue(accumulator.isFlushed(flush))
  })

  it("gives a record up when its time is spent, and says that it was not persisted", () => {
    const { accumulator, delivery, failures, told } = setUp()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    const nobody = accumulator.drain(0, leaderless)
    assert.deepStrictEqual(
      nobody.leaderless.map(({ topic }) => topic),
      ["t"]
    )
    assert.strictEqual(nobody.wakeAt, 10_000)
    assert.strictEqual(accumulator.drain(10_000, leaderless).wakeAt, undefined)
    assert.deepStrictEqual(told, ["a 0+1 NotDelivered"])
    assert.strictEqual(failures[0]?.reason._tag === "NotDelivered" && failures[0].reason.persistence, "not")
  })

  it("refuses a record that is larger than a request, and nothing beside it", () => {
    const { accumulator, delivery, end, next, told } = setUp()
    accumulator.append("t", 0, [record(), record(2000), record()], delivery("a"), 0)
    const [batch] = next(0)
    end(batch!, appended(0), 1)
    assert.deepStrictEqual(told, ["a 1+1 RecordTooLarge", "a 0+1 @0", "a 2+1 @1"])
  })

  it("takes back what has not been sent, and only that", () => {
    const { accumulator, delivery, end, next, told } = setUp()
    const [a, b, c] = [delivery("a"), delivery("b"), delivery("c")]
    accumulator.append("t", 0, records(1), a, 0)
    accumulator.append("t", 0, records(1), b, 0)
    accumulator.append("t", 0, records(1), c, 0)
    assert.isTrue(accumulator.withdraw("t", 0, b))
    const [batch] = next(0)
    assert.isFalse(accumulator.withdraw("t", 0, a))
    end(batch!, appended(0), 1)
    assert.deepStrictEqual(told, ["a 0+1 @0", "c 0+1 @1"])
    assert.strictEqual(accumulator.outstanding, 0)
  })

  it("wraps sequences after 2147483647", () => {
    const { accumulator, delivery, end, next } = setUp({ batchBytes: 1000 })
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    const [first] = next(0)
    end(first!, appended(0), 0)
    first!.queue.nextSequence = 0x7fffffff
    accumulator.append("t", 0, records(3), delivery("b"), 0)
    const [wrapping] = next(0)
    assert.strictEqual(wrapping?.sequence, 0x7fffffff)
    assert.strictEqual(wrapping!.queue.nextSequence, 2)
    accumulator.append("t", 0, records(1), delivery("c"), 0)
    accumulator.flush()
    const [behind] = next(1)
    end(behind!, lost, 2)
    end(wrapping!, lost, 2)
    assert.deepStrictEqual(
      [...next(500), ...next(500)].map((batch) => batch.sequence),
      [0x7fffffff, 2]
    )
  })

  it("has one batch of a partition under way where there are no sequences to keep the order", () => {
    const { accumulator, delivery, end, next } = setUp({ idempotent: false })
    accumulator.append("t", 0, records(9), delivery("a"), 0)
    const [first, ...more] = next(0)
    assert.strictEqual(more.length, 0)
    end(first!, lost, 1)
    const [again] = next(500)
    assert.strictEqual(again, first)
  })

  it("sends no more requests to a broker than may be under way", () => {
    const { accumulator, delivery, establish, next } = setUp({ maxInFlight: 2 })
    establish()
    accumulator.append("t", 0, records(30), delivery("a"), 0)
    assert.strictEqual(next(100).length, 2)
  })
})
