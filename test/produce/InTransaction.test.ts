import { assert, it } from "@effect/vitest"
import { makeQueue, type Queue } from "../../src/produce/Batch.ts"
import * as InTransaction from "../../src/produce/InTransaction.ts"

it("what goes under the next epoch waits for what is under way under the last one (transaction-beside-the-last)", () => {
  let producer = { id: 1, epoch: 0 }
  const transaction = { producer: () => producer, admits: () => true }
  const queue = makeQueue("t", 0, 100)
  const unadmitted: Array<Queue> = []
  const joins = () => InTransaction.joins(queue, transaction, unadmitted)
  assert.isTrue(joins())
  queue.inFlight = 1
  queue.nextSequence = 5
  assert.isTrue(joins())
  producer = { id: 1, epoch: 1 }
  assert.isFalse(joins())
  assert.deepStrictEqual([queue.producer, queue.nextSequence], [{ id: 1, epoch: 0 }, 5])
  queue.inFlight = 0
  assert.isTrue(joins())
  assert.deepStrictEqual([queue.producer, queue.nextSequence, unadmitted], [{ id: 1, epoch: 1 }, 0, []])
})
