import { assert, describe, it } from "@effect/vitest"
import { Accumulator } from "../../src/produce/Accumulator.ts"
import type { Outcome, Settings } from "../../src/produce/Accumulator.ts"
import type { Batch } from "../../src/produce/Batch.ts"
import type { KafkaError } from "../../src/KafkaError.ts"
import type { Delivery, ProduceRecord } from "../../src/Record.ts"

const settings: Settings = {
  idempotent: true,
  linger: 5,
  batchBytes: 100,
  maxRequestBytes: 1000,
  maxInFlight: 5,
  deliveryTimeout: 10_000
}
const overhead = 61
/** Each record counts for the length of its value. */
const sizeOf = (record: ProduceRecord) => record.value?.length ?? 0
const record = (bytes = 10): ProduceRecord => ({ key: null, value: new Uint8Array(bytes), headers: [], timestamp: 0 })
const records = (count: number, bytes = 10) => Array.from({ length: count }, () => record(bytes))
const leader = () => 1

const setUp = (changes: Partial<Settings> = {}) => {
  const accumulator = new Accumulator({ ...settings, ...changes }, sizeOf, () => 0.5)
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
  const drain = (now: number) => accumulator.drain(now, leader)
  const next = (now: number): ReadonlyArray<Batch> => drain(now).requests.flatMap((request) => request.batches)
  const end = (batch: Batch, outcome: Outcome, now: number) => {
    accumulator.requestEnded(1)
    return accumulator.settle(batch, outcome, now)
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

const notLeader = 6
const tooLarge = 10
const outOfOrder = 45
const duplicate = 46
const unknownProducer = 59
const invalidRequired = 87

describe("Accumulator", () => {
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
    accumulator.flushing(1)
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
    end(parts[1]!, refused(invalidRequired), 2)
    assert.deepStrictEqual(told, ["a 0+1 @10", "b 0+2 NotDelivered"])
  })

  it("never sends what may have been appended under another producer id", () => {
    const { accumulator, delivery, drain, end, failures, next, told } = setUp()
    accumulator.append("t", 0, records(3), delivery("a"), 0)
    accumulator.append("t", 1, records(1), delivery("b"), 0)
    const [a, b] = next(0)
    accumulator.requestEnded(1)
    accumulator.settle(a!, lost, 1)
    accumulator.settle(b!, refused(unknownProducer), 1)
    const work = drain(1000)
    assert.isTrue(work.needsProducerId)
    assert.strictEqual(work.requests.length, 0)
    accumulator.begin({ id: 8, epoch: 0 })
    assert.deepStrictEqual(told, ["a 0+3 NotDelivered"])
    assert.strictEqual(failures[0]?.reason._tag === "NotDelivered" && failures[0].reason.persistence, "possibly")
    const [again] = next(1000)
    assert.strictEqual(again?.sequence, 0)
    end(again!, appended(0), 1001)
    assert.deepStrictEqual(told[1], "b 0+1 @0")
  })

  it("asks for a new producer id when a record that had a sequence is given up", () => {
    const { accumulator, delivery, drain, end, next, told } = setUp()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    const [batch] = next(0)
    accumulator.append("t", 0, records(1), delivery("b"), 1)
    end(batch!, refused(invalidRequired), 2)
    assert.deepStrictEqual(told, ["a 0+1 NotDelivered"])
    assert.isTrue(drain(2).needsProducerId)
  })

  it("gives a record up when its time is spent, and says that it was not persisted", () => {
    const { accumulator, delivery, failures, told } = setUp()
    accumulator.append("t", 0, records(1), delivery("a"), 0)
    const nobody = accumulator.drain(0, () => undefined)
    assert.deepStrictEqual([...nobody.leaderless], ["t"])
    assert.strictEqual(nobody.wakeAt, 10_000)
    assert.strictEqual(accumulator.drain(10_000, () => undefined).wakeAt, undefined)
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
    accumulator.flushing(1)
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
