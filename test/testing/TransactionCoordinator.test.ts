/** The transaction coordinator of the embedded broker, through whatever happens to it; and the state behind it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as CreateAcls from "../../src/protocol/messages/CreateAcls.ts"
import * as DescribeProducers from "../../src/protocol/messages/DescribeProducers.ts"
import * as DescribeTransactions from "../../src/protocol/messages/DescribeTransactions.ts"
import * as EndTxn from "../../src/protocol/messages/EndTxn.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as FindCoordinator from "../../src/protocol/messages/FindCoordinator.ts"
import * as ListTransactions from "../../src/protocol/messages/ListTransactions.ts"
import * as WriteTxnMarkers from "../../src/protocol/messages/WriteTxnMarkers.ts"
import * as TransactionState from "../../src/testing/embedded/TransactionState.ts"
import { EmbeddedKafka, Fault } from "../../src/testing/index.ts"
import { ages, TransactionalProducer } from "../TransactionalProducer.ts"
import { connect, type RawClient } from "./RawClient.ts"

const topics = [{ name: "t", partitions: 1, replicationFactor: 3 }]

/** A producer whose coordinator is broker 2, and whose partition broker 1 leads. */
const start = (versions: keyof typeof ages, options: EmbeddedKafka.Options = {}) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({
      topics,
      brokers: 3,
      transactionVersion: versions === "v2" ? 2 : 1,
      ...options
    })
    yield* broker.moveTransactionCoordinator("a", 2)
    const at = (node: number) => connect(broker, { address: broker.bootstrap[node - 1]! })
    const producerAt = (node: number) =>
      Effect.map(
        Effect.all([at(node), at(1)]),
        ([coordinator, leader]) => new TransactionalProducer({ coordinator, leader }, "a", "t", ages[versions])
      )
    const producer = yield* producerAt(2)
    assert.strictEqual(yield* producer.init(), 0)
    return { broker, at, producer, producerAt }
  })

const valuesOf = (broker: EmbeddedKafka.Service) =>
  Effect.map(broker.log("t"), (records) => records.map(({ value }) => new TextDecoder().decode(value!)))

const partitionOf = (broker: EmbeddedKafka.Service) => Effect.map(broker.topic("t"), (all) => all![0]!)

const begin = (producer: TransactionalProducer<unknown>) =>
  producer.versions === ages.v2 ? Effect.void : Effect.asVoid(producer.add(0))

const adopt = (to: TransactionalProducer<unknown>, from: TransactionalProducer<unknown>) => {
  to.producerId = from.producerId
  to.epoch = from.epoch
}

for (const age of ["v1", "v2"] as const) {
  describe(`a transaction, ${age}`, () => {
    it.effect("stays open while its coordinator moves, and is ended by the next one", () =>
      Effect.gen(function* () {
        const { broker, producer, producerAt } = yield* start(age)
        yield* begin(producer)
        yield* producer.produce(0, ["a"])
        yield* broker.moveTransactionCoordinator("a", 3)
        assert.strictEqual(yield* producer.end(true), 16)
        const later = yield* producerAt(3)
        adopt(later, producer)
        assert.strictEqual(yield* later.end(true), 0)
        const { coordinator, state } = yield* broker.awaitTransaction("a", "CompleteCommit")
        assert.deepStrictEqual([coordinator, state], [3, "CompleteCommit"])
        assert.deepStrictEqual(yield* valuesOf(broker), ["a"])
      })
    )

    it.effect("is ended by the coordinator's successor, where its broker stops after it has decided", () =>
      Effect.gen(function* () {
        const { broker, producer } = yield* start(age)
        yield* begin(producer)
        yield* producer.produce(0, ["a"])
        const fault = yield* broker.inject(Fault.on("WriteTxnMarkers", { transactionalId: "a" }).loseRequest)
        assert.strictEqual(yield* producer.end(true), 0)
        yield* fault.await
        yield* broker.stop(2)
        yield* broker.stop(1)
        assert.strictEqual((yield* broker.transactions)[0]!.state, "PrepareCommit")
        yield* fault.remove
        yield* TestClock.adjust("1 second")
        yield* broker.awaitTransaction("a", "CompleteCommit")
        const { endOffset, lastStableOffset } = yield* partitionOf(broker)
        assert.deepStrictEqual([endOffset, lastStableOffset], [2, 2])
      })
    )

    it.effect("of which the first records are gone is stable nowhere but where the log begins (seed 81000428)", () =>
      Effect.gen(function* () {
        const { at, broker, producer } = yield* start(age)
        yield* begin(producer)
        yield* producer.produce(0, ["a", "b", "c", "d"])
        yield* broker.trim("t", 0, 2)
        const { highWatermark, lastStableOffset, startOffset } = yield* partitionOf(broker)
        assert.deepStrictEqual([startOffset, lastStableOffset, highWatermark], [2, 2, 4])
        const read = (fetchOffset: number, isolationLevel: 0 | 1) =>
          Effect.gen(function* () {
            const partition = { partition: 0, fetchOffset, partitionMaxBytes: 1000 }
            const { responses } = yield* (yield* at(1)).send(Fetch, 4, {
              maxWaitMs: 0,
              minBytes: 0,
              maxBytes: 1000,
              isolationLevel,
              topics: [{ topic: "t", partitions: [partition] }]
            })
            const { errorCode, records } = responses[0]!.partitions[0]!
            return [errorCode, records?.length === 0 ? "nothing" : "records"]
          })
        assert.deepStrictEqual(yield* read(2, 1), [0, "nothing"])
        assert.deepStrictEqual(yield* read(2, 0), [0, "records"])
        assert.strictEqual(yield* producer.end(false), 0)
        yield* broker.awaitTransaction("a", "CompleteAbort")
        assert.strictEqual((yield* partitionOf(broker)).lastStableOffset, 5)
      })
    )

    it.effect("has not ended for readers before every replica in sync has the marker", () =>
      Effect.gen(function* () {
        const { broker, producer } = yield* start(age)
        yield* begin(producer)
        yield* producer.produce(0, ["a"])
        yield* broker.holdFollower("t", 0, 2)
        assert.strictEqual(yield* producer.end(true), 0)
        yield* TestClock.adjust("1 minute")
        // the records are below the high watermark, and still not stable
        const held = yield* partitionOf(broker)
        assert.deepStrictEqual([held.endOffset, held.highWatermark, held.lastStableOffset], [2, 1, 0])
        assert.strictEqual((yield* broker.transactions)[0]!.state, "PrepareCommit")
        yield* broker.releaseFollower("t", 0, 2)
        yield* broker.awaitTransaction("a", "CompleteCommit")
        assert.strictEqual((yield* partitionOf(broker)).lastStableOffset, 2)
      })
    )

    it.effect("gets its marker again from a leader that lacked it", () =>
      Effect.gen(function* () {
        const { broker, producer } = yield* start(age)
        yield* begin(producer)
        yield* producer.produce(0, ["a"])
        yield* broker.holdFollower("t", 0, 2)
        assert.strictEqual(yield* producer.end(false), 0)
        yield* broker.electUnclean("t", 0, 2)
        yield* broker.awaitTransaction("a", "CompleteAbort")
        const { endOffset, lastStableOffset } = yield* partitionOf(broker)
        assert.deepStrictEqual([endOffset, lastStableOffset], [2, 2])
        assert.deepStrictEqual(yield* valuesOf(broker), [])
      })
    )

    it.effect("that is deleted with its topic does not keep its id busy", () =>
      Effect.gen(function* () {
        const { broker, producer } = yield* start(age)
        yield* begin(producer)
        yield* producer.produce(0, ["a"])
        const fault = yield* broker.inject(Fault.on("WriteTxnMarkers").error(6))
        assert.strictEqual(yield* producer.end(true), 0)
        yield* broker.deleteTopic("t")
        yield* fault.remove
        yield* TestClock.adjust("1 second")
        yield* broker.awaitTransaction("a", "CompleteCommit")
        assert.deepStrictEqual(yield* broker.defects, [])
      })
    )
  })
}

it.effect(
  "a coordinator that takes over does not know which epoch was the one before (it did): who asks again is fenced",
  () =>
    Effect.gen(function* () {
      const { broker, producer, producerAt } = yield* start("v1")
      const again = (from: TransactionalProducer<unknown>, epoch: number) => {
        adopt(from, producer)
        from.epoch = epoch
        return from.init({ own: true })
      }
      const own = yield* producerAt(2)
      assert.strictEqual(yield* again(own, 0), 0)
      assert.strictEqual(yield* again(own, 0), 0)
      assert.strictEqual(own.epoch, 1)
      yield* broker.moveTransactionCoordinator("a", 3)
      const later = yield* producerAt(3)
      assert.strictEqual(yield* again(later, 0), 90)
      assert.strictEqual(yield* again(later, 1), 0)
    })
)

// it forgot the epoch of its own time-out, as one of before the takeover, and fenced who had it open
it.effect("one of version 2 that its coordinator's successor has aborted, before anybody asked, is gone on with", () =>
  Effect.gen(function* () {
    const { broker, producer, producerAt } = yield* start("v2")
    yield* producer.produce(0, ["a"])
    yield* broker.moveTransactionCoordinator("a", 3)
    yield* TestClock.adjust("1 minute")
    const later = yield* producerAt(3)
    adopt(later, producer)
    assert.strictEqual(yield* later.init({ own: true }), 0)
    assert.deepStrictEqual([later.producerId, later.epoch], [producer.producerId, producer.epoch + 1])
  })
)

// Jepsen's case: an end that comes late, when the next transaction is open
it.effect("an EndTxn that comes late ends the next transaction in version 1, and is refused in version 2", () =>
  Effect.gen(function* () {
    for (const age of ["v1", "v2"] as const) {
      const { broker, producer, at } = yield* start(age)
      const late = yield* at(2)
      yield* begin(producer)
      yield* producer.produce(0, ["a"])
      const { epoch, producerId } = producer
      assert.strictEqual(yield* producer.end(true), 0)
      yield* broker.awaitTransaction("a", "CompleteCommit")
      yield* begin(producer)
      yield* producer.produce(0, ["b"])
      const again = yield* late.send(EndTxn, producer.versions.end, {
        transactionalId: "a",
        producerId,
        producerEpoch: epoch,
        committed: true
      })
      assert.strictEqual(again.errorCode, age === "v1" ? 0 : 90)
      const [{ state }] = (yield* broker.transactions) as [EmbeddedKafka.TransactionInfo]
      assert.strictEqual(state, age === "v1" ? "CompleteCommit" : "Ongoing")
    }
  })
)

describe("faults", () => {
  const calls: {
    readonly [api: string]: (p: TransactionalProducer<unknown>, client: RawClient) => Effect.Effect<unknown, unknown>
  } = {
    InitProducerId: (p) => p.init(),
    AddPartitionsToTxn: (p) => Effect.map(p.add(0), ([code]) => code),
    AddOffsetsToTxn: (p) => p.addOffsets("g"),
    TxnOffsetCommit: (p) => p.commitOffset("g", 5),
    EndTxn: (p) => p.end(true),
    Produce: (p) => p.produce(0, ["x"]),
    WriteTxnMarkers: (p, client) =>
      Effect.map(
        client.send(WriteTxnMarkers, 1, {
          markers: [
            {
              producerId: p.producerId,
              producerEpoch: p.epoch,
              transactionResult: false,
              topics: [{ name: "t", partitionIndexes: [0] }],
              coordinatorEpoch: 9
            }
          ]
        }),
        ({ markers }) => markers[0]!.topics[0]!.partitions[0]!.errorCode
      ),
    DescribeTransactions: (_, client) =>
      Effect.map(
        client.send(DescribeTransactions, 0, { transactionalIds: ["a"] }),
        ({ transactionStates }) => transactionStates[0]!.errorCode
      ),
    ListTransactions: (_, client) =>
      Effect.map(
        client.send(ListTransactions, 0, { stateFilters: [], producerIdFilters: [] }),
        ({ errorCode }) => errorCode
      ),
    DescribeProducers: (_, client) =>
      Effect.map(
        client.send(DescribeProducers, 0, { topics: [{ name: "t", partitionIndexes: [0] }] }),
        ({ topics }) => topics[0]!.partitions[0]!.errorCode
      )
  }
  for (const [api, call] of Object.entries(calls))
    it.effect(`on ${api}: an error before the work, and one after it`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.make({ topics: [{ name: "t" }], transactionVersion: 1 })
        const client = yield* connect(broker)
        const p = new TransactionalProducer({ coordinator: client }, "a", "t", ages.v1)
        yield* p.init()
        yield* p.add(0)
        yield* p.addOffsets("g")
        yield* p.produce(0, ["a"])
        for (const kind of ["error", "errorAfter"] as const) {
          const fault = yield* broker.inject(Fault.on(api as Fault.Api, { nth: 1 })[kind](14))
          assert.strictEqual(yield* call(p, client), 14, kind)
          assert.strictEqual(yield* fault.hits, 1)
          yield* fault.remove
          const done = (yield* broker.transactions)[0]!
          if (api === "EndTxn") assert.strictEqual(done.state, kind === "error" ? "Ongoing" : "CompleteCommit")
          if (api === "TxnOffsetCommit") assert.lengthOf(done.offsets, kind === "error" ? 0 : 1)
          if (api === "InitProducerId") assert.strictEqual(done.producerEpoch, kind === "error" ? 0 : 1)
        }
        assert.deepStrictEqual(yield* broker.defects, [])
      })
    )

  it.effect("on a transactional id strike its requests alone", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: [{ name: "t" }] })
      const client = yield* connect(broker)
      const [a, b] = ["a", "b"].map((id) => new TransactionalProducer({ coordinator: client }, id, "t", ages.v2))
      yield* broker.inject(Fault.on("*", { transactionalId: "b" }).error(15))
      assert.deepStrictEqual([yield* a!.init(), yield* b!.init()], [0, 15])
      assert.deepStrictEqual([yield* a!.produce(0, ["x"]), yield* b!.produce(0, ["x"])], [0, 15])
      const found = yield* client.send(FindCoordinator, 4, { keyType: 1, coordinatorKeys: ["a"] })
      assert.strictEqual(found.coordinators[0]!.errorCode, 0)
    })
  )
})

it.effect("a transactional id that rules are about is for those alone that they allow", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({ topics: [{ name: "t" }], superUsers: [] })
    const client = yield* connect(broker)
    const [a, b] = ["a", "b"].map((id) => new TransactionalProducer({ coordinator: client }, id, "t", ages.v1))
    yield* a!.init()
    yield* a!.add(0)
    yield* client.send(CreateAcls, 1, {
      creations: [
        {
          resourceType: 5,
          resourceName: "a",
          resourcePatternType: 3,
          principal: "User:alice",
          host: "*",
          operation: 4,
          permissionType: 3
        }
      ]
    })
    assert.deepStrictEqual(
      [
        yield* a!.init(),
        ...(yield* a!.add(0)),
        yield* a!.addOffsets("g"),
        yield* a!.commitOffset("g", 1),
        yield* a!.produce(0, ["x"]),
        yield* a!.end(true)
      ],
      [53, 53, 53, 53, 53, 53]
    )
    const found = yield* client.send(FindCoordinator, 4, { keyType: 1, coordinatorKeys: ["a", "b"] })
    assert.deepStrictEqual(
      found.coordinators.map(({ errorCode }) => errorCode),
      [53, 0]
    )
    const listed = yield* client.send(ListTransactions, 0, { stateFilters: [], producerIdFilters: [] })
    assert.deepStrictEqual(listed.transactionStates, [])
    assert.strictEqual(yield* b!.init(), 0)
  })
)

it.effect("a cluster that was never used makes the topic of transactions when it is asked for a coordinator", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({ coldStart: true })
    const client = yield* connect(broker)
    const find = Effect.map(
      client.send(FindCoordinator, 4, { keyType: 1, coordinatorKeys: ["a"] }),
      ({ coordinators }) => coordinators[0]!.errorCode
    )
    assert.deepStrictEqual([yield* find, yield* find], [15, 0])
    assert.lengthOf((yield* broker.topic("__transaction_state"))!, 50)
    assert.isUndefined(yield* broker.topic("__consumer_offsets"))
  })
)

it.effect("a transactional id that nobody has used for a week is forgotten", () =>
  Effect.gen(function* () {
    const { broker, producer } = yield* start("v1")
    yield* TestClock.adjust("6 days")
    assert.deepStrictEqual(yield* producer.add(0), [0])
    yield* producer.end(true)
    yield* TestClock.adjust("7 days")
    assert.deepStrictEqual(yield* producer.add(0), [49])
    assert.deepStrictEqual(yield* broker.transactions, [])
  })
)

describe("epochs that are used up", () => {
  const now = 0
  const of = (epoch: number) => {
    const t = TransactionState.make("a", 7, 1000, now)
    t.epoch = epoch
    return t
  }
  const who = (producerId: number, epoch: number) => ({ producerId, epoch })

  it("are followed by those of a new producer id, at InitProducerId", () => {
    const t = of(32766)
    const init = (expected?: TransactionState.Identity) => TransactionState.initialise(t, 1000, expected, () => 8, now)
    assert.strictEqual(init(who(7, 32766))._tag, "Done")
    assert.deepStrictEqual([t.producerId, t.epoch], [8, 0])
    // the answer was lost: who asks again is told the same
    assert.strictEqual(init(who(7, 32766))._tag, "Done")
    assert.deepStrictEqual([t.producerId, t.epoch], [8, 0])
    assert.deepStrictEqual(init(who(7, 32765)), { _tag: "Refused", code: 90 })
    assert.deepStrictEqual(init(who(9, 0)), { _tag: "Refused", code: 90 })
  })

  it("are followed by those of a new producer id, at the end of a transaction of version 2", () => {
    const t = of(32766)
    TransactionState.add(t, [{ topic: "t", partition: 0 }], true, now)
    const end = (identity: TransactionState.Identity) => TransactionState.endV2(t, identity, true, () => 8, now)
    assert.deepStrictEqual(end(who(7, 32766)), { _tag: "Prepared" })
    // its markers are the last of the old one
    assert.deepStrictEqual([t.producerId, t.epoch], [7, 32767])
    assert.deepStrictEqual(TransactionState.next(t), who(8, 0))
    // who has it already waits until they are written (it was refused as an unknown one, and fenced): as 4.4.0
    for (const one of [who(7, 32766), who(8, 0)]) {
      assert.deepStrictEqual(end(one), { _tag: "Answered", code: 51 })
      assert.strictEqual(TransactionState.refusesWork(t, one), 51)
      assert.deepStrictEqual(
        TransactionState.initialise(t, 1000, one, () => 9, now),
        { _tag: "Refused", code: 51 }
      )
    }
    TransactionState.complete(t, now)
    assert.deepStrictEqual([t.producerId, t.epoch, t.state], [8, 0, "CompleteCommit"])
    assert.deepStrictEqual(end(who(7, 32766)), { _tag: "Answered", code: 0 })
    assert.strictEqual(TransactionState.refusesWork(t, who(7, 32766)), 49)
    assert.strictEqual(TransactionState.refusesWork(t, who(8, 0)), 0)
    // the answer was lost (it was fenced): as 4.4.0
    const init = (epoch: number) => TransactionState.initialise(t, 1000, who(7, epoch), () => 9, now)
    assert.deepStrictEqual(init(32767), { _tag: "Refused", code: 90 })
    assert.strictEqual(init(32766)._tag, "Done")
    assert.deepStrictEqual([t.producerId, t.epoch], [8, 0])
  })

  // it went on with the coordinator's own epoch, and then with one that there is none of
  it("are followed by those of a new producer id, where the coordinator ends a transaction of version 2: as 4.4.0", () => {
    const t = of(32766)
    TransactionState.add(t, [{ topic: "t", partition: 0 }], true, now)
    TransactionState.fence(t, true, () => 8, now)
    TransactionState.complete(t, now)
    assert.deepStrictEqual([t.producerId, t.epoch, t.state], [8, 0, "CompleteAbort"])
    const end = (commits: boolean) => TransactionState.endV2(t, who(7, 32766), commits, () => 9, now)
    assert.deepStrictEqual(end(true), { _tag: "Answered", code: 48 })
    assert.deepStrictEqual(end(false), { _tag: "Answered", code: 0 })
    assert.strictEqual(TransactionState.initialise(t, 1000, who(7, 32766), () => 9, now)._tag, "Done")
    assert.deepStrictEqual([t.producerId, t.epoch], [8, 0])
  })

  it("are not given twice: who asks again for the last one is told UNKNOWN_SERVER_ERROR, as 4.4.0 does", () => {
    const t = of(32765)
    const init = () => TransactionState.initialise(t, 1000, who(7, 32765), () => 8, now)
    assert.strictEqual(init()._tag, "Done")
    assert.deepStrictEqual(init(), { _tag: "Refused", code: -1 })
    assert.deepStrictEqual([t.producerId, t.epoch], [7, 32766])
  })

  it("leave one for the coordinator, so that it can always fence", () => {
    const t = of(32766)
    TransactionState.add(t, [{ topic: "t", partition: 0 }], false, now)
    TransactionState.fence(t, false, () => 8, now)
    assert.strictEqual(t.epoch, 32767)
    TransactionState.complete(t, now)
    assert.strictEqual(TransactionState.initialise(t, 1000, undefined, () => 8, now)._tag, "Done")
    assert.deepStrictEqual([t.producerId, t.epoch], [8, 0])
  })
})

it("whoever ends a transaction of version 1 while its markers are written is asked to wait (the opposite was INVALID_TXN_STATE)", () => {
  const t = TransactionState.make("a", 7, 1000, 0)
  t.epoch = 3
  const end = (epoch: number, commits: boolean) => TransactionState.endV1(t, { producerId: 7, epoch }, commits, 0)
  for (const decided of [true, false]) {
    TransactionState.add(t, [{ topic: "t", partition: 0 }], false, 0)
    assert.deepStrictEqual(end(3, decided), { _tag: "Prepared" })
    for (const commits of [true, false]) {
      assert.deepStrictEqual(end(3, commits), { _tag: "Answered", code: 51 })
      for (const epoch of [2, 4]) assert.deepStrictEqual(end(epoch, commits), { _tag: "Answered", code: 90 })
    }
    TransactionState.complete(t, 0)
  }
})

it("whoever ends a transaction of version 2 while markers of the last one are written is asked to wait (it was fenced)", () => {
  const t = TransactionState.make("a", 7, 1000, 0)
  t.epoch = 3
  TransactionState.add(t, [{ topic: "t", partition: 0 }], true, 0)
  const end = (epoch: number, commits: boolean) =>
    TransactionState.endV2(t, { producerId: 7, epoch }, commits, () => 8, 0)
  assert.deepStrictEqual(end(3, true), { _tag: "Prepared" })
  for (const epoch of [2, 3, 4])
    for (const commits of [true, false])
      assert.deepStrictEqual(end(epoch, commits), { _tag: "Answered", code: 51 }, `${epoch} ${commits}`)
  TransactionState.complete(t, 0)
  assert.deepStrictEqual(end(2, true), { _tag: "Answered", code: 90 })
})
