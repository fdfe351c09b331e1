/** Topics in ZooKeeper: several in one call. What ZooKeeper has is here; brokers tell of topics that are there from the start. */
import { assert, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Layer, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as Admin from "../../src/Admin.ts"
import { codes } from "../../src/ErrorCode.ts"
import { KafkaError, make } from "../../src/KafkaError.ts"
import { type EmbeddedKafka, KafkaTest } from "../../src/testing/index.ts"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { heard, levelsOf, lines, loud, of } from "../Heard.ts"
import { odd, replacedBy } from "./Odd.ts"

const refusals = { NODE_EXISTS: -110, BAD_VERSION: -103, QUOTA_EXCEEDED: -125 }

const refused = (name: keyof typeof refusals, path: string) =>
  Effect.fail(make({ _tag: "ZooKeeperRefused", code: refusals[name], name, path }))

/** Nodes that are there, and one that cannot be created. */
const nodes = (initial: { readonly [path: string]: string }, never?: string) => {
  const all = new Map(Object.entries(initial).map(([path, data]) => [path, { data: Buffer.from(data), version: 0 }]))
  const write = (path: string, data: Uint8Array, version: number) =>
    Effect.sync(() => void all.set(path, { data: Buffer.from(data), version }))
  const service = {
    brokers: Effect.succeed([{ id: 1 }]),
    get: (path: string) =>
      Effect.andThen(
        Effect.yieldNow,
        Effect.sync(() => all.get(path)?.data)
      ),
    read: (path: string) =>
      Effect.map(Effect.yieldNow, () => {
        const node = all.get(path)
        return node && { data: node.data, stat: { version: node.version } }
      }),
    create: (path: string, data: Uint8Array) =>
      Effect.andThen(
        Effect.yieldNow,
        Effect.suspend(() =>
          path === never
            ? refused("QUOTA_EXCEEDED", path)
            : all.has(path)
              ? refused("NODE_EXISTS", path)
              : write(path, data, 0)
        )
      ),
    remove: (path: string) => Effect.sync(() => all.delete(path)),
    set: (path: string, data: Uint8Array, version?: number) =>
      Effect.suspend(() => {
        const is = all.get(path)!.version
        return version !== undefined && version !== is ? refused("BAD_VERSION", path) : write(path, data, is + 1)
      }),
    // Topics are not deleted where delete.topic.enable is not true.
    watch: () => Stream.never
  }
  const text = (path: string) => all.get(path)?.data.toString()
  return { layer: Layer.succeed(ZooKeeper.ZooKeeper, service as never), text }
}

const on = <A, E>(
  zooKeeper: ReturnType<typeof nodes>,
  self: Effect.Effect<A, E, Admin.Admin | EmbeddedKafka.EmbeddedKafka>
) =>
  self.pipe(
    Effect.provide(
      Admin.layerZooKeeper().pipe(
        Layer.provideMerge(KafkaTest.layer({ asVersion: "0.9", topics: [{ name: "a", partitions: 5 }] })),
        Layer.provide(zooKeeper.layer)
      )
    )
  )

/** How long it takes, and what it gives. */
const spent = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const before = yield* Clock.currentTimeMillis
    const fiber = yield* Effect.forkChild(Effect.result(self), { startImmediately: true })
    for (let i = 0; i < 900 && fiber.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
    return [(yield* Clock.currentTimeMillis) - before, yield* Fiber.join(fiber)] as const
  })

const codesOf = (answers: ReadonlyArray<Admin.Answer<unknown>>) =>
  answers.map((one) => {
    if (Result.isSuccess(one)) return "done"
    const { reason } = one.failure
    return reason._tag === "Server" ? reason.code : reason._tag
  })

it.effect("what is changed twice is done in order (a topic had the settings of the one that was refused)", () => {
  const zooKeeper = nodes({ "/brokers/topics/b": JSON.stringify({ version: 1, partitions: { 0: [1] } }) })
  return on(
    zooKeeper,
    Effect.gen(function* () {
      const admin = yield* Admin.Admin
      const topic = (retention: number) => ({
        name: "a",
        partitions: 1,
        replicationFactor: 1,
        config: { "retention.ms": retention }
      })
      assert.deepStrictEqual(codesOf(yield* admin.createTopics([topic(1), topic(2)])), [
        "done",
        codes.TOPIC_ALREADY_EXISTS
      ])
      assert.deepInclude(JSON.parse(zooKeeper.text("/config/topics/a")!), { config: { "retention.ms": "1" } })
      const grown = yield* admin.createPartitions([
        { topic: "a", count: 2 },
        { topic: "a", count: 4 }
      ])
      assert.deepStrictEqual(codesOf(grown), ["done", "done"])
      assert.lengthOf(Object.keys(JSON.parse(zooKeeper.text("/brokers/topics/a")!).partitions), 4)
    })
  )
})

it.effect("all of it is within the time (each sixteen had as long)", () => {
  const names = Array.from({ length: 40 }, (_, i) => `t${i}`)
  const zooKeeper = nodes(Object.fromEntries(names.map((name) => [`/brokers/topics/${name}`, "{}"])))
  return on(
    zooKeeper,
    Effect.gen(function* () {
      const admin = yield* Admin.Admin
      const [millis, answers] = yield* spent(admin.deleteTopics(names, { timeout: "2 seconds" }))
      assert.isAtMost(millis, 2100)
      if (Result.isFailure(answers)) assert.fail(answers.failure.message)
      assert.deepStrictEqual([...new Set(codesOf(answers.success))], ["TimedOut"])
    })
  )
})

it.effect("what brokers do not do is told after 3 s, then by doubling, of some of many (60 s of silence)", () => {
  const names = Array.from({ length: 16 }, (_, i) => `t${i}`)
  const node = JSON.stringify({ version: 1, partitions: { 0: [1] } })
  const zooKeeper = nodes(Object.fromEntries(["a", ...names].map((name) => [`/brokers/topics/${name}`, node])))
  return on(
    zooKeeper,
    Effect.gen(function* () {
      const admin = yield* Admin.Admin
      const verbs = [
        [
          admin.createPartitions([{ topic: "a", count: 6 }]),
          /^topic a: not every partition has a leader; brokers have/
        ],
        [admin.deleteTopics(["t2"]), /^topic t2: is not deleted \(is delete.topic.enable true\?\)/]
      ] as const
      for (const [verb, text] of verbs) {
        lines.length = 0
        yield* spent(verb)
        const told = of("requestRetried")
        assert.deepStrictEqual(
          levelsOf("requestRetried"),
          Array.from({ length: 5 }, () => "Warn")
        )
        assert.match(told[0]!.text, text)
      }
      lines.length = 0
      yield* spent(admin.deleteTopics(names))
      assert.isAtMost(loud().length, 25)
      assert.include(loud()[3]?.text, "others")
    })
  ).pipe(heard)
})

it.live("what is of another kind is refused, and the rest is done (it was a defect)", () =>
  on(
    nodes({ "/brokers/topics/a": JSON.stringify({ version: 1, partitions: { 0: [1] } }) }),
    Effect.gen(function* () {
      const admin = yield* Admin.Admin
      const bounds = { timeout: 20 }
      const verbs: ReadonlyArray<
        readonly [string, unknown, (items: never) => Effect.Effect<ReadonlyArray<Admin.Answer<unknown>>, KafkaError>]
      > = [
        [
          "createTopics",
          [
            { name: "a", partitions: 1, replicationFactor: 1, config: { "retention.ms": "1" } },
            { name: "b", assignments: [[1]] }
          ],
          (items) => admin.createTopics(items, bounds)
        ],
        ["deleteTopics", ["b", { id: "AAAAAAAAAAAAAAAAAAAAAQ" }], (items) => admin.deleteTopics(items, bounds)],
        [
          "createPartitions",
          [{ topic: "a", count: 2, assignments: [[1]] }],
          (items) => admin.createPartitions(items, bounds)
        ]
      ]
      for (const [verb, given, call] of verbs)
        for (const other of odd)
          for (const changed of replacedBy(given, other)) {
            const exit = yield* Effect.exit(Effect.suspend(() => call(changed as never)))
            const errors = Exit.isFailure(exit)
              ? [Cause.squash(exit.cause)]
              : exit.value.flatMap((one) => (Result.isFailure(one) ? [one.failure] : []))
            for (const error of errors) assert.instanceOf(error, KafkaError, `${verb}: ${String(error)}`)
          }
      const answers = yield* admin.deleteTopics([null, "none"] as never)
      assert.deepStrictEqual(codesOf(answers), ["Misconfigured", "UnknownTopic"])
    })
  )
)

it.effect("what the controller cannot take is not written (a partition was [1, null])", () => {
  const a = JSON.stringify({ version: 1, partitions: { 0: [1, 2] } })
  const zooKeeper = nodes({ "/brokers/topics/a": a })
  return on(
    zooKeeper,
    Effect.gen(function* () {
      const admin = yield* Admin.Admin
      const grow = (count: number, assignments?: ReadonlyArray<ReadonlyArray<number>>) =>
        Effect.map(admin.createPartitions([{ topic: "a", count, assignments }], { timeout: "1 second" }), codesOf)
      // Of its two brokers one lives.
      assert.deepStrictEqual(yield* grow(2), [codes.INVALID_REPLICATION_FACTOR])
      assert.deepStrictEqual(yield* grow(2, [[1]]), [codes.INVALID_REPLICA_ASSIGNMENT])
      assert.deepStrictEqual(yield* grow(2, [[1, 9]]), [codes.INVALID_REPLICA_ASSIGNMENT])
      assert.deepStrictEqual(yield* grow(2, [[1, 1]]), ["Misconfigured"])
      assert.strictEqual(zooKeeper.text("/brokers/topics/a"), a)
      assert.deepStrictEqual(yield* grow(2_000_000_000), [codes.INVALID_PARTITIONS])
      const uneven = yield* admin.createTopics([{ name: "b", assignments: [[1], [1, 2]] }], { timeout: "1 second" })
      assert.deepStrictEqual(codesOf(uneven), [codes.INVALID_REPLICA_ASSIGNMENT])
      assert.isUndefined(zooKeeper.text("/brokers/topics/b"))
    })
  )
})

it.effect("what does not fit a node is told before anything is written (its settings were left behind)", () => {
  const memory = ZooKeeper.layerMemory()
  const admin = Admin.layerZooKeeper().pipe(Layer.provideMerge(KafkaTest.layer({ asVersion: "0.9" })))
  return Effect.gen(function* () {
    const zooKeeper = yield* ZooKeeper.ZooKeeper
    const write = (path: string, value: unknown) => zooKeeper.create(path, Buffer.from(JSON.stringify(value)))
    yield* write("/brokers/ids/1", { version: 1, host: "localhost", port: 9092 })
    yield* write("/brokers/topics/grown", { version: 1, partitions: { 0: [1] } })
    const admin = yield* Admin.Admin
    const large = { name: "large", partitions: 95_000, replicationFactor: 1 }
    const grown = { topic: "grown", count: 95_000 }
    const bounds = { timeout: "1 second" } as const
    for (const validateOnly of [true, false]) {
      const options = { ...bounds, validateOnly }
      assert.deepStrictEqual(codesOf(yield* admin.createTopics([large], options)), [codes.INVALID_PARTITIONS])
      assert.deepStrictEqual(codesOf(yield* admin.createPartitions([grown], options)), [codes.INVALID_PARTITIONS])
    }
    assert.isUndefined(yield* zooKeeper.children("/config/topics"))
    assert.deepStrictEqual(yield* zooKeeper.children("/brokers/topics"), ["grown"])
  }).pipe(Effect.provide(Layer.provideMerge(admin, memory)))
})

it.effect("of a topic that ZooKeeper refuses no settings are left behind", () => {
  const settings = "/config/topics/new"
  const old = JSON.stringify({ version: 1, config: { "retention.ms": "7" } })
  return Effect.gen(function* () {
    for (const before of [undefined, old]) {
      const zooKeeper = nodes(before === undefined ? {} : { [settings]: before }, "/brokers/topics/new")
      const create = Effect.flatMap(Admin.Admin, (admin) =>
        admin.createTopics([{ name: "new", partitions: 1, replicationFactor: 1, config: { "retention.ms": 1 } }])
      )
      assert.deepStrictEqual(codesOf(yield* on(zooKeeper, create)), ["ZooKeeperRefused"])
      assert.strictEqual(zooKeeper.text(settings), before)
    }
  })
})

it.effect("what kafka-topics refuses is refused: names that collide, and the topic in which groups commit", () => {
  const own = "/brokers/topics/__consumer_offsets"
  const admin = Admin.layerZooKeeper().pipe(Layer.provideMerge(KafkaTest.layer({ asVersion: "0.9" })))
  return Effect.gen(function* () {
    const zooKeeper = yield* ZooKeeper.ZooKeeper
    const write = (path: string, value: unknown) => zooKeeper.create(path, Buffer.from(JSON.stringify(value)))
    yield* write("/brokers/ids/1", { version: 1, host: "localhost", port: 9092 })
    for (const path of [own, "/brokers/topics/a.b_c"]) yield* write(path, { version: 1, partitions: { 0: [1] } })
    const admin = yield* Admin.Admin
    const bounds = { timeout: "1 second" } as const
    const one = (name: string) => ({ name, partitions: 1, replicationFactor: 1 })
    const [dotted, first, second] = yield* admin.createTopics([one("a_b.c"), one("d.e"), one("d_e")], {
      ...bounds,
      validateOnly: true
    })
    assert.deepStrictEqual(codesOf([dotted!, first!, second!]), ["InvalidTopic", "done", "done"])
    if (Result.isSuccess(dotted!)) assert.fail("it was made")
    assert.include(dotted!.failure.message, "collides with a.b_c")
    // Of two in one call the first is written before the other is looked at; here no broker leads it.
    const both = yield* Effect.forkChild(admin.createTopics([one("d.e"), one("d_e")], bounds), {
      startImmediately: true
    })
    while (both.pollUnsafe() === undefined) yield* TestClock.adjust("100 millis")
    assert.deepStrictEqual(codesOf(yield* Fiber.join(both)), ["TimedOut", "InvalidTopic"])
    assert.isUndefined(yield* zooKeeper.get("/brokers/topics/d_e"))
    assert.deepStrictEqual(codesOf(yield* admin.deleteTopics(["__consumer_offsets"], bounds)), ["InvalidTopic"])
    const more = { topic: "__consumer_offsets", count: 2 }
    assert.deepStrictEqual(codesOf(yield* admin.createPartitions([more], bounds)), ["InvalidTopic"])
    assert.isUndefined(yield* zooKeeper.children("/admin/delete_topics"))
    assert.include(String(Buffer.from((yield* zooKeeper.get(own))!)), `"partitions":{"0":[1]}`)
  }).pipe(Effect.provide(Layer.provideMerge(admin, ZooKeeper.layerMemory())))
})
