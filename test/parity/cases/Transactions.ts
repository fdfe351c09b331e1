/** Transactions: what the coordinator answers, who is fenced, and what becomes of epochs. */
import { Effect } from "effect"
import * as AddPartitionsToTxn from "../../../src/protocol/messages/AddPartitionsToTxn.ts"
import * as DescribeTransactions from "../../../src/protocol/messages/DescribeTransactions.ts"
import * as EndTxn from "../../../src/protocol/messages/EndTxn.ts"
import * as ListTransactions from "../../../src/protocol/messages/ListTransactions.ts"
import { ages } from "../../TransactionalProducer.ts"
import type { Ask, Case } from "../Lab.ts"
import { cases as inLogs } from "./TransactionLogs.ts"
import { cases as offsets } from "./TransactionOffsets.ts"
import { nobody, producer, ready, settled } from "../Transactor.ts"

/** The ages of clients that a release serves. */
const agesOf = (ask: Ask) =>
  ask.release === "2.8.2"
    ? ([["old", ages.old]] as const)
    : (Object.entries(ages) as ReadonlyArray<[string, typeof ages.old]>)

const add = (
  version: number,
  id: string,
  producerId: number,
  epoch: number,
  topics: ReadonlyArray<readonly [name: string, ...partitions: ReadonlyArray<number>]>
) => ({
  v3AndBelowTransactionalId: id,
  v3AndBelowProducerId: producerId,
  v3AndBelowProducerEpoch: epoch,
  v3AndBelowTopics: topics.map(([name, ...partitions]) => ({ name, partitions }))
})

export const cases: ReadonlyArray<Case> = [
  {
    api: "AddPartitionsToTxn",
    behaviour: "adds what is there, all or none, for the producer of the id alone, at each version",
    ask: (ask) =>
      ask.atEach(
        AddPartitionsToTxn,
        (version) =>
          Effect.gen(function* () {
            const topic = yield* ask.topic(`-v${version}`, { replicas: [[1], [1]] })
            const p = yield* producer(ask, `${ask.id}-v${version}`, topic.name, ages.old)
            const { coordinator } = p.brokers
            const [id, epoch] = [p.producerId, p.epoch]
            const send = (
              topics: Parameters<typeof add>[4],
              options: { readonly id?: string; readonly producerId?: number; readonly epoch?: number } = {}
            ) =>
              Effect.map(
                coordinator.send(
                  AddPartitionsToTxn,
                  version,
                  add(version, options.id ?? p.id, options.producerId ?? id, options.epoch ?? epoch, topics)
                ),
                (answer) =>
                  // in the order of a hash
                  answer.resultsByTopicV3AndBelow
                    .flatMap(({ name, resultsByPartition }) =>
                      resultsByPartition.map((one) => [
                        name === "absent" ? "absent" : "",
                        one.partitionIndex,
                        one.partitionErrorCode
                      ])
                    )
                    .sort((a, b) => (`${a[0]}${a[1]}` < `${b[0]}${b[1]}` ? -1 : 1))
              )
            return {
              "one that is not there": yield* send([[topic.name, 0, 7]]),
              "a topic that is not there": yield* send([
                [topic.name, 0],
                ["absent", 0]
              ]),
              added: yield* send([[topic.name, 0]]),
              again: yield* send([[topic.name, 0]]),
              another: yield* send([[topic.name, 0, 1]]),
              "no topics": yield* send([]),
              "another producer": yield* send([[topic.name, 0]], { producerId: id + 1_000_000 }),
              "an epoch too high": yield* send([[topic.name, 0]], { epoch: epoch + 1 }),
              "an epoch too low": yield* send([[topic.name, 0]], { epoch: epoch - 1 }),
              "an id that nobody has": yield* send([[topic.name, 0]], { id: nobody(ask) }),
              "no id": yield* send([[topic.name, 0]], { id: "" }),
              "the offsets topic": yield* send([["__consumer_offsets", 0]])
            }
          }),
        (version) => version <= 3
      )
  },
  {
    api: "AddPartitionsToTxn",
    behaviour: "of brokers: several transactions at once, added or only verified",
    only: "4.4.0",
    ask: (ask) =>
      ask.atEach(
        AddPartitionsToTxn,
        (version) =>
          Effect.gen(function* () {
            const topic = yield* ask.topic(`-v${version}`, { replicas: [[1], [1]] })
            const p = yield* producer(ask, `${ask.id}-v${version}`, topic.name, ages.old)
            const q = yield* producer(ask, `${ask.id}-other-v${version}`, topic.name, ages.old)
            const one = (
              who: { readonly id: string; readonly producerId: number; readonly epoch: number },
              verifyOnly: boolean,
              partitions: ReadonlyArray<number>
            ) => ({
              transactionalId: who.id,
              producerId: who.producerId,
              producerEpoch: who.epoch,
              verifyOnly,
              topics: [{ name: topic.name, partitions: [...partitions] }]
            })
            const send = (...transactions: ReadonlyArray<ReturnType<typeof one>>) =>
              Effect.map(
                p.brokers.coordinator.send(AddPartitionsToTxn, version, { transactions }),
                ({ errorCode, resultsByTransaction }) => [
                  errorCode,
                  resultsByTransaction
                    .map((each) => [
                      each.transactionalId,
                      ...each.topicResults
                        .flatMap((results) =>
                          results.resultsByPartition.map(({ partitionErrorCode, partitionIndex }) => [
                            partitionIndex,
                            partitionErrorCode
                          ])
                        )
                        .sort((a, b) => a[0]! - b[0]!)
                    ])
                    .sort((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1))
                ]
              )
            const verified = yield* send(one(p, true, [0]))
            const added = yield* send(one(p, false, [0]), one(q, false, [1]))
            return {
              verified,
              added,
              "verified again": yield* send(one(p, true, [0, 1]), one(q, true, [1])),
              "of another epoch": yield* send(
                one({ ...ofEpoch(p, 1) }, true, [0]),
                one({ ...ofEpoch(p, -1) }, true, [0])
              ),
              "of nobody": yield* send(one({ id: nobody(ask), producerId: 1, epoch: 0 }, true, [0])),
              "a partition that is not there": yield* send(one(p, false, [1, 7]))
            }
          }),
        (version) => version > 3
      )
  },
  {
    api: "EndTxn",
    behaviour: "of nothing, of a transaction, and again, at each version",
    ask: (ask) =>
      ask.atEach(EndTxn, (version) =>
        Effect.gen(function* () {
          const topic = yield* ask.topic(`-v${version}`)
          const p = yield* producer(ask, `${ask.id}-v${version}`, topic.name, ages.old)
          const first = p.epoch
          const end = (
            committed: boolean,
            options: { readonly id?: string; readonly producerId?: number; readonly epoch?: number } = {}
          ) =>
            settled(
              Effect.map(
                p.brokers.coordinator.send(EndTxn, version, {
                  transactionalId: options.id ?? p.id,
                  producerId: options.producerId ?? p.producerId,
                  producerEpoch: options.epoch ?? p.epoch,
                  committed
                }),
                (answer) => {
                  // the next transaction is of the epoch that is answered
                  if (answer.errorCode === 0 && answer.producerEpoch >= 0) p.epoch = answer.producerEpoch
                  return [answer.errorCode, answer.producerEpoch] as const
                }
              ),
              ([code]) => code
            )
          const out: { [what: string]: unknown } = {}
          out["nothing committed"] = yield* end(true)
          out["nothing aborted"] = yield* end(false)
          out["another producer"] = yield* end(true, { producerId: p.producerId + 1_000_000 })
          out["a later epoch"] = yield* end(true, { epoch: p.epoch + 3 })
          out["nobody"] = yield* end(true, { id: nobody(ask) })
          out["no id"] = yield* end(true, { id: "" })
          for (const commits of [true, false]) {
            const before = p.epoch
            out[`added, to ${commits ? "commit" : "abort"}`] = yield* settled(p.add(0), ([code]) => code!)
            out[commits ? "committed" : "aborted"] = yield* end(commits)
            out[`asked again, ${commits}`] = yield* end(commits, { epoch: before })
            out[`the other way, ${commits}`] = yield* end(!commits, { epoch: before })
            out[`once more, ${commits}`] = yield* end(commits)
            out[`once more the other way, ${commits}`] = yield* end(!commits)
          }
          out["an epoch too low"] = yield* end(true, { epoch: first - 1 })
          return out
        })
      )
  },
  {
    api: "InitProducerId",
    behaviour: "while a transaction is open: it is aborted, and its producer fenced everywhere",
    ask: (ask) =>
      Effect.gen(function* () {
        const out: { [age: string]: unknown } = {}
        for (const [age, versions] of agesOf(ask)) {
          const topic = yield* ask.topic(`-${age}`)
          const p = yield* producer(ask, `${ask.id}-${age}`, topic.name, versions)
          if (age !== "v2") yield* p.add(0)
          const written = yield* p.produce(0, ["a"])
          const q = yield* producer(ask, `${ask.id}-${age}`, topic.name, versions, false)
          const first = yield* q.init()
          yield* ready(q)
          out[age] = {
            written,
            first,
            "the same producer": q.producerId === p.producerId,
            epochs: [p.epoch, q.epoch],
            end: yield* p.end(true),
            add: yield* p.add(0),
            "add offsets": yield* p.addOffsets(`${ask.id}-group`),
            "commit offsets": yield* p.commitOffset(`${ask.id}-group`, 1),
            produce: yield* p.produce(0, ["b"]),
            init: yield* p.init({ own: true })
          }
        }
        return out
      })
  },
  {
    api: "InitProducerId",
    behaviour: "of a producer's own epoch: while its transaction is open, and after it",
    ask: (ask) =>
      Effect.gen(function* () {
        const out: { [age: string]: unknown } = {}
        for (const [age, versions] of agesOf(ask)) {
          const topic = yield* ask.topic(`-${age}`)
          const p = yield* producer(ask, `${ask.id}-${age}`, topic.name, versions)
          yield* p.add(0)
          const open = yield* p.init({ own: true })
          const then = yield* settled(p.init({ own: true }), (code) => code)
          const q = yield* producer(ask, `${ask.id}-after-${age}`, topic.name, versions)
          yield* q.add(0)
          const [ended, before] = [yield* q.end(true), q.epoch]
          const after = yield* settled(q.init({ own: true }), (code) => code)
          const raised = q.epoch
          q.epoch = before
          const again = yield* settled(q.init({ own: true }), (code) => code)
          out[age] = { open, then, ended, epochs: [before, raised, q.epoch], after, again }
        }
        return out
      })
  },
  {
    api: "EndTxn",
    behaviour: "when the time of the transaction is over",
    ask: (ask) =>
      Effect.gen(function* () {
        const out: { [age: string]: unknown } = {}
        for (const [age, versions] of agesOf(ask)) {
          const topic = yield* ask.topic(`-${age}`)
          const p = yield* producer(ask, `${ask.id}-${age}`, topic.name, versions, false)
          yield* ready(p, { timeout: 300 })
          if (age !== "v2") yield* p.add(0)
          yield* p.produce(0, ["late"])
          const before = p.epoch
          const group = `${ask.id}-${age}`
          // a sequence of its own: what is refused is not written
          yield* settled(p.produce(0, ["more"]), (code) => (code === 0 ? 51 : code))
          const answers = {
            add: yield* settled(p.add(0), ([code]) => code!),
            end: yield* settled(p.end(true), (code) => code),
            abort: yield* p.end(false),
            offsets: yield* p.addOffsets(group),
            init: yield* p.init({ own: true })
          }
          p.epoch = before
          yield* ready(p)
          out[age] = { ...answers, epochs: [before, p.epoch] }
        }
        return out
      })
  },
  {
    api: "DescribeTransactions",
    behaviour: "in each state, of one that is not there, and of a broker that does not coordinate it",
    only: "4.4.0",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1], [1]] })
        const p = yield* producer(ask, ask.id, topic.name, ages.old)
        const coordinator = yield* ask.coordinatorOf(ask.id, 1)
        const describe = (...transactionalIds: ReadonlyArray<string>) =>
          Effect.map(
            p.brokers.coordinator.send(DescribeTransactions, 0, { transactionalIds }),
            ({ transactionStates }) => transactionStates
          )
        const empty = yield* describe(ask.id)
        yield* p.add(0, 1)
        yield* p.addOffsets(ask.id)
        const open = (yield* describe(ask.id)).map((each) => ({
          ...each,
          topics: each.topics
            .map(({ partitions, topic }) => ({
              topic,
              partitions: topic === "__consumer_offsets" ? partitions.length : [...partitions].sort()
            }))
            .sort((a, b) => (a.topic < b.topic ? -1 : 1))
        }))
        yield* p.end(true)
        yield* settled(p.end(true), (code) => code)
        const complete = yield* describe(ask.id)
        const elsewhere = yield* (yield* ask.broker(3 - coordinator)).send(DescribeTransactions, 0, {
          transactionalIds: [ask.id]
        })
        return {
          empty,
          open,
          complete,
          "not there": (yield* describe(nobody(ask), "")).map((each) => [each.errorCode, each.transactionState]),
          elsewhere: elsewhere.transactionStates.map((each) => each.errorCode)
        }
      })
  },
  {
    api: "ListTransactions",
    behaviour: "by state, by producer, by age and by pattern, at each version",
    only: "4.4.0",
    ask: (ask) =>
      ask.atEach(ListTransactions, (version) =>
        Effect.gen(function* () {
          const topic = yield* ask.topic(`-v${version}`)
          const p = yield* producer(ask, `${ask.id}-open-v${version}`, topic.name, ages.old)
          const q = yield* producer(ask, `${ask.id}-empty-v${version}`, topic.name, ages.old)
          yield* p.add(0)
          const list = (request: {
            readonly stateFilters?: Array<string>
            readonly producerIdFilters?: Array<number>
            readonly durationFilter?: number
            readonly transactionalIdPattern?: string
          }) =>
            Effect.map(
              p.brokers.coordinator.send(ListTransactions, version, {
                stateFilters: request.stateFilters ?? [],
                producerIdFilters: request.producerIdFilters ?? [],
                ...(request.durationFilter === undefined ? {} : { durationFilter: request.durationFilter }),
                ...(request.transactionalIdPattern === undefined
                  ? {}
                  : { transactionalIdPattern: request.transactionalIdPattern })
              }),
              ({ errorCode, transactionStates, unknownStateFilters }) => ({
                errorCode,
                unknownStateFilters,
                states: transactionStates
                  .filter((each) => each.transactionalId === p.id || each.transactionalId === q.id)
                  .map((each) => [each.transactionalId === p.id ? "p" : "q", each.transactionState])
                  .sort()
              })
            )
          return {
            all: yield* list({}),
            ongoing: yield* list({ stateFilters: ["Ongoing"] }),
            unknown: yield* list({ stateFilters: ["Ongoing", "Odd"] }),
            "only unknown": yield* list({ stateFilters: ["Odd"] }),
            "in other letters": yield* list({ stateFilters: ["ongoing"] }),
            "of a producer": yield* list({ producerIdFilters: [q.producerId] }),
            ...(version >= 1
              ? {
                  old: yield* list({ durationFilter: 60_000 }),
                  "of any age": yield* list({ durationFilter: -1 })
                }
              : {}),
            ...(version >= 2
              ? {
                  pattern: yield* list({ transactionalIdPattern: ".*-open-.*" }),
                  "part of a name": yield* list({ transactionalIdPattern: "open" }),
                  "no pattern": yield* list({ transactionalIdPattern: "" }),
                  "not a pattern": yield* list({ transactionalIdPattern: "(" })
                }
              : {})
          }
        })
      )
  },
  ...inLogs,
  ...offsets
]

const ofEpoch = (p: { readonly id: string; readonly producerId: number; readonly epoch: number }, by: number) => ({
  id: p.id,
  producerId: p.producerId,
  epoch: p.epoch + by
})
