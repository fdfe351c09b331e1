/** What every client is put through: one broker for the suite, a topic for each case. */
import { assert, layer, type Vitest } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { twice } from "../integration/Client.ts"
import type { ProcessError } from "../integration/Processes.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import {
  Foreign,
  inOrder,
  log,
  toBytes,
  type Client,
  type Codec,
  type Member,
  type Received,
  type Record
} from "./Client.ts"
import { patience } from "./Program.ts"
import { codecOf, producerOf } from "./Sent.ts"

type Requires = EmbeddedKafka.EmbeddedKafka | Foreign

export interface Options {
  /** The name of the client, and of its row in the table. */
  readonly title: string
  readonly brokers?: EmbeddedKafka.Options
  readonly codecs: ReadonlyArray<Codec>
  readonly client: (broker: EmbeddedKafka.Service) => Effect.Effect<Client, ProcessError>
  /** Of topics whose partitions the client cannot choose: 1. Default 3. */
  readonly partitions?: number
}

/** Bounded, and with the broker's own defects in sight. */
export const bounded = <A, E, R>(what: string, effect: Effect.Effect<A, E, R>) =>
  Effect.timeoutOrElse(effect, {
    duration: patience,
    orElse: () => Effect.die(new Error(`not within ${patience}: ${what}`))
  })

/** A case of a client; at its end the broker has no defect. */
export const run = <A, E, R>(body: (broker: EmbeddedKafka.Service, client: Client) => Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    yield* body(broker, yield* Foreign)
    assert.deepStrictEqual(yield* broker.defects, [])
  })

/** Records of all kinds that the client can write, over the partitions in turn. */
const samples = (can: Client["can"], count: number, partitions: number): ReadonlyArray<Record> => {
  const every = String.fromCharCode(...Array.from({ length: 256 }, (_, i) => i))
  const now = Date.now()
  return Array.from({ length: count }, (_, i) => {
    const text = `value-${i} ${"compressible ".repeat(20)}`
    const value =
      i % 11 === 5
        ? null
        : i % 11 === 7 && can.empty
          ? ""
          : i % 11 === 9 && can.binary
            ? every
            : i === 20
              ? text.repeat(400)
              : text
    return {
      partition: i % partitions,
      key: i % 7 === 3 && value !== null ? null : `key-${i}`,
      value,
      headers: [],
      ...(can.timestamps ? { timestamp: now - 100_000 + 10 * i } : {})
    }
  })
}

/** The records by partition, as they must lie in the log; what the client leaves open is taken from there. */
const expected = (sent: ReadonlyArray<Record>, found: ReadonlyArray<Received>): ReadonlyArray<Received> => {
  const ends = new Map<number, number>()
  return sent
    .map((record) => {
      const offset = ends.get(record.partition) ?? 0
      ends.set(record.partition, offset + 1)
      return { timestamp: -1, ...record, offset }
    })
    .sort((a, b) => a.partition - b.partition || a.offset - b.offset)
    .map((record, i) => ("timestamp" in sent[0]! ? record : { ...record, timestamp: found[i]?.timestamp ?? -1 }))
}

/** Waits for the first Produce request while something else goes on. */
export const watched = <A, E, R>(broker: EmbeddedKafka.Service, topic: string, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const first = yield* Effect.forkChild(broker.awaitRequest("Produce", { topic }), { startImmediately: true })
    yield* effect
    return yield* bounded("a Produce request", Fiber.join(first))
  })

/** Writes, looks into the log, and reads it back. */
const thereAndBack = (
  broker: EmbeddedKafka.Service,
  client: Client,
  topic: string,
  records: ReadonlyArray<Record>,
  codec: Codec = "none"
) =>
  Effect.gen(function* () {
    const first = yield* watched(broker, topic, client.produce(topic, records, { codec }))
    assert.strictEqual(codecOf(first), codec)
    const found = yield* log(broker, topic)
    assert.deepStrictEqual(found, expected(records, found))
    assert.deepStrictEqual(yield* client.consume(topic), found)
  })

const partitions = 6

/** Waits until each partition has one owner: of all at one time, for a member may be put out and come back. */
const holdAll = (broker: EmbeddedKafka.Service, group: string, members: ReadonlyArray<Member>) => {
  const held = () => members.flatMap((member) => member.assigned())
  const holds = () =>
    members.every((member) => member.assigned().length === partitions / members.length) &&
    new Set(held()).size === partitions
  return Effect.andThen(
    bounded(`${members.length} members`, broker.awaitGroup(group, { state: "Stable", members: members.length })),
    Effect.raceAll(members.map((member) => member.until("each partition has one owner", holds)))
  )
}

/** A group of three, of which one leaves and another is killed: what is left owns all, and every record is handled. */
const groupOfThree = (broker: EmbeddedKafka.Service, client: Client, topic: string) =>
  Effect.gen(function* () {
    yield* broker.createTopic({ name: topic, partitions })
    const group = `${topic}-group`
    let sent = 0
    const send = Effect.suspend(() =>
      client.produce(
        topic,
        Array.from({ length: 120 }, (_, i) => ({
          partition: i % partitions,
          key: `k${sent}`,
          value: `v${sent++}`,
          headers: []
        }))
      )
    )
    const members = yield* Effect.all([1, 2, 3].map(() => client.member(topic, group)))
    const [a, b, c] = members as [Member, Member, Member]
    const handled = () => members.flatMap(({ records }) => records)
    /** Each of these handles what comes to its partitions. */
    const allHandled = (present: ReadonlyArray<Member>) =>
      Effect.gen(function* () {
        const found = yield* log(broker, topic)
        assert.lengthOf(found, sent)
        const seen = () => new Set(handled().map(({ value }) => value)).size
        yield* Effect.raceAll(present.map((member) => member.until("every record is handled", () => seen() === sent)))
      })
    const allCommitted = Effect.gen(function* () {
      for (const { endOffset, partition } of (yield* broker.topic(topic))!)
        yield* bounded(
          `partition ${partition} is committed to its end`,
          broker.awaitCommitted(group, { topic, partition, offset: endOffset })
        )
    })

    yield* holdAll(broker, group, [a, b, c])
    yield* send
    yield* allHandled([a, b, c])
    for (const member of [a, b, c])
      assert.includeMembers(
        [...member.assigned()],
        member.records.map(({ partition }) => partition)
      )

    yield* a.leave
    yield* holdAll(broker, group, [b, c])
    yield* send
    yield* allHandled([b, c])

    if (b.kill === undefined) yield* b.leave
    else {
      yield* allCommitted
      yield* b.kill
    }
    yield* holdAll(broker, group, [c])
    yield* send
    yield* allHandled([c])
    yield* c.leave
    yield* bounded("the group is empty", broker.awaitGroup(group, { state: "Empty" }))

    yield* allCommitted
    assert.deepStrictEqual(twice(handled().map(({ value }) => value)), [], "handled twice")
    const places = (records: ReadonlyArray<Received>) =>
      inOrder(records).map(({ key, offset, partition, value }) => ({ partition, offset, key, value }))
    assert.deepStrictEqual(places(handled()), places(yield* log(broker, topic)))
  })

export type It = Vitest.MethodsNonLive<Requires>

/** What a suite may ask of its client. */
export type Feature = keyof typeof features

/** The features that suites choose from. */
export const features = {
  headers: (it: It) =>
    it.effect("headers: they keep their order, their repetitions and their bytes", () =>
      run((broker, client) =>
        Effect.gen(function* () {
          yield* broker.createTopic("headers")
          const headers = [
            ["trace", "abc"],
            ["trace", client.can.binary ? "\u0000\u00ff" : "def"],
            ["none", client.can.empty ? "" : "-"]
          ] as const
          const records = [0, 1].map((i) => ({ partition: 0, key: `k${i}`, value: `v${i}`, headers }))
          yield* thereAndBack(broker, client, "headers", records)
        })
      )
    ),

  idempotent: (it: It) =>
    it.effect("idempotent: records whose answer was lost are sent again, and lie in the log once", () =>
      run((broker, client) =>
        Effect.gen(function* () {
          yield* broker.createTopic("idempotent")
          const records = samples(client.can, 30, 1)
          const lost = yield* broker.inject(Fault.on("Produce", { topic: "idempotent", nth: 1 }).loseResponse)
          const first = yield* watched(
            broker,
            "idempotent",
            client.produce("idempotent", records, { idempotent: true })
          )
          assert.strictEqual(yield* lost.hits, 1)
          assert.isAtLeast(producerOf(first), 0)
          const found = yield* log(broker, "idempotent")
          assert.deepStrictEqual(found, expected(records, found))
        })
      )
    ),

  transactional: (it: It) =>
    it.effect("transactional: a copy, some of it aborted: each record once, and the group's offsets with it", () =>
      run((broker, client) =>
        Effect.gen(function* () {
          const [topic, target, group, transactionalId] = ["copied", "copy", "copiers", "copier"]
          for (const name of [topic, target]) yield* broker.createTopic({ name, partitions: 1 })
          const records = Array.from({ length: 60 }, (_, i) => ({
            partition: 0,
            key: `k${i}`,
            value: `v${i}`,
            headers: []
          }))
          yield* client.produce(topic, records)
          yield* client.copy!({ topic, target, group, transactionalId, count: records.length, size: 7 })

          yield* bounded(
            "its last transaction ends",
            broker.awaitTransaction(transactionalId, "CompleteCommit", "Empty")
          )
          const values = (all: ReadonlyArray<Received>) => all.map(({ key, value }) => `${key}=${value}`)
          const found = yield* log(broker, target)
          assert.deepStrictEqual(
            values(found),
            records.map(({ key, value }) => `${key}=${value}`)
          )
          assert.deepStrictEqual(values(yield* client.consume(target, { committed: true })), values(found))
          yield* bounded("the offsets", broker.awaitCommitted(group, { topic, offset: records.length }))
          const [{ endOffset, lastStableOffset }] = (yield* broker.topic(target))! as [EmbeddedKafka.PartitionInfo]
          assert.strictEqual(lastStableOffset, endOffset)
          // a marker for each transaction, beside what was aborted: some clients do so by chance
          assert.isAtLeast(endOffset, records.length + Math.ceil(records.length / 7))
        })
      )
    ),

  group: (it: It) =>
    it.effect("group of three: one leaves, one is lost; every partition is owned, every record handled once", () =>
      run((broker, client) => groupOfThree(broker, client, "group"))
    ),

  metadata: (it: It) =>
    it.effect("metadata: brokers, partitions and leaders are as they are", () =>
      run((broker, client) =>
        Effect.gen(function* () {
          yield* broker.createTopic({ name: "metadata", partitions: 5 })
          const { brokers, partitions } = yield* client.metadata("metadata")
          assert.deepStrictEqual([...brokers].sort(), [...broker.bootstrap].sort())
          const known = (yield* broker.topic("metadata"))!
          assert.deepStrictEqual(
            [...partitions].sort((x, y) => x.partition - y.partition),
            known.map(({ leader, partition }) => ({ partition, leader }))
          )
        })
      )
    ),

  admin: (it: It) =>
    it.effect("admin: topics and groups are created, described, changed and deleted", () =>
      run((broker, client) =>
        Effect.gen(function* () {
          const [topic, group] = ["admin-made", "admin-group"]
          yield* broker.createTopic("admin-read")
          yield* client.produce(
            "admin-read",
            ["a", "b", "c"].map((value) => ({ partition: 0, key: null, value, headers: [] }))
          )
          const member = yield* client.member("admin-read", group)
          yield* member.until("has read all", () => member.records.length === 3)
          yield* member.leave
          const seen = yield* client.administer!(topic, group)
          assert.include(seen.groups, group)
          assert.deepStrictEqual(
            { ...seen, groups: [] },
            {
              partitions: 5,
              policy: "compact",
              groups: [],
              members: 0,
              committed: [[0, 3]],
              cluster: broker.clusterId,
              brokers: 3
            }
          )
          assert.isUndefined(yield* broker.topic(topic))
          assert.isUndefined(yield* broker.group(group))
        })
      )
    ),

  autoCreated: (it: It) =>
    it.effect("auto-created topic: it takes records, though its first metadata have no leader", () =>
      run((broker, client) =>
        thereAndBack(broker, client, "auto-created", [{ partition: 0, key: "k", value: "v", headers: [] }])
      )
    ),

  time: (it: It) =>
    it.effect("query by time: the first offset at or after it, of each partition", () =>
      run((broker, client) =>
        Effect.gen(function* () {
          yield* broker.createTopic({ name: "time", partitions: 2 })
          const times = [
            [1000, 2000, 3000, 4000],
            [1500, 900, 2600, 2500]
          ]
          for (const [partition, all] of times.entries())
            for (const batch of [all.slice(0, 2), all.slice(2)])
              yield* broker.append(
                "time",
                partition,
                RecordBatch.encode(
                  batch.map((timestamp) => ({ key: null, value: toBytes(`at ${timestamp}`), headers: [], timestamp }))
                )
              )
          for (const [time, offsets] of [
            [1, [0, 0]],
            [1500, [1, 0]],
            [1501, [1, 2]],
            [2600, [2, 2]]
          ] as const)
            assert.deepStrictEqual(yield* client.offsetsFor("time", time), offsets, `at ${time}`)
        })
      )
    )
} as const

/** A client's row: every codec that it has, and the features chosen. */
export const suite = (options: Options, chosen: ReadonlyArray<Feature>, more: (it: It) => void = () => {}): void => {
  const { partitions = 3 } = options
  const foreign = Layer.effect(Foreign, Effect.flatMap(EmbeddedKafka.EmbeddedKafka, options.client)).pipe(
    Layer.provideMerge(EmbeddedKafka.layer({ listen: true, brokers: 3, ...options.brokers }))
  )

  layer(foreign, { excludeTestServices: true, timeout: "10 minutes" })(options.title, (it) => {
    for (const codec of options.codecs)
      it.effect(`${codec}: what it writes is in the log as it was sent, and comes back`, () =>
        run((broker, client) =>
          Effect.gen(function* () {
            const topic = `codec-${codec}`
            yield* broker.createTopic({ name: topic, partitions })
            yield* thereAndBack(broker, client, topic, samples(client.can, 60, partitions), codec)
          })
        )
      )
    for (const feature of chosen) features[feature](it)
    more(it)
  })
}
