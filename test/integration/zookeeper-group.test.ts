/**
 * Groups in ZooKeeper on real brokers: what members deliver while others come, go, are killed or frozen, while ZooKeeper
 * is away, a session expires, a leader moves, partitions are added. Asserted from what was delivered, never from nodes.
 */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Balanced from "./Balanced.ts"
import * as KafkaNode from "./KafkaNode.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Version } from "./KafkaVersion.ts"
import * as Processes from "./Processes.ts"
import * as ZooKeeperEnsemble from "./ZooKeeperEnsemble.ts"

/** All of the ages where `SAMSA_FULL` is set. */
const full = process.env.SAMSA_FULL !== undefined
const versions: ReadonlyArray<Version> = full ? ["0.8.2.2", "0.9.0.1", "0.10.2.2", "2.8.2"] : ["0.10.2.2"]

const partitions = 8

/** Where a member is frozen beside a claim; the first two without `SAMSA_FULL`. */
const freezes = (
  [
    ["create", "before"],
    ["create", "answered"],
    ["create", "sent"],
    ["remove", "before"],
    ["remove", "sent"],
    ["remove", "answered"]
  ] as const
).slice(0, full ? 6 : 2)

/** Those that were delivered twice, by their partition. */
const partitionsOf = (twice: ReadonlyArray<readonly [string, ReadonlyArray<string>]>) =>
  new Set(twice.map(([record]) => Number(record.split(":")[0])))

for (const version of versions) {
  layer(KafkaServer.layer({ version, mode: "zookeeper" }), { excludeTestServices: true })(`Kafka ${version}`, (it) => {
    it.effect("one joins, one leaves: each record is delivered once", () =>
      Balanced.withGroup({ topic: "graceful", partitions }, (group) =>
        Effect.gen(function* () {
          const [a, b, c] = [yield* group.join("a"), yield* group.join("b"), yield* group.join("c")]
          yield* group.balanced([a, b, c])
          const d = yield* group.join("d")
          yield* group.balanced([a, b, c, d])
          yield* Effect.sleep("500 millis")
          yield* b.leave
          yield* group.balanced([a, c, d])
          yield* Effect.sleep("500 millis")
          assert.deepStrictEqual(yield* group.all, [])
          yield* a.leave
          yield* c.leave
          yield* d.leave
        })
      )
    )

    it.effect("one is killed: the others take over, and twice come only records that it had not committed", () =>
      Balanced.withGroup({ topic: "killed", partitions }, (group) =>
        Effect.gen(function* () {
          const [a, b, c] = [yield* group.join("a"), yield* group.join("b"), yield* group.join("c")]
          yield* group.balanced([a, b, c])
          yield* Effect.sleep("1 second")
          const had = new Set(a.owns)
          yield* a.kill
          yield* group.balanced([b, c])
          const twice = yield* group.all
          for (const [record, by] of twice) {
            assert.deepStrictEqual([by.length, by.includes("a")], [2, true], record)
            assert.isTrue(had.has(Number(record.split(":")[0])), record)
          }
          // a commit every half a second, a record every 20 ms
          assert.isAtMost(twice.length, had.size * 75)
        })
      )
    )

    it.effect("one is frozen beyond its session: it has lost everything when it wakes, and takes part again", () =>
      Balanced.withGroup({ topic: "frozen", partitions }, (group) =>
        Effect.gen(function* () {
          const [a, b] = [yield* group.join("a"), yield* group.join("b")]
          yield* group.balanced([a, b])
          // until what was there before is committed
          yield* Effect.sleep("2 seconds")
          yield* a.program.signal("SIGSTOP")
          a.owns.clear()
          yield* Effect.sleep("500 millis")
          const before = new Set(a.delivered)
          yield* group.balanced([b])
          yield* Effect.sleep("500 millis")
          yield* a.program.signal("SIGCONT")
          yield* group.balanced([a, b])
          yield* Effect.sleep("500 millis")
          const twice = yield* group.all
          assert.isTrue(a.events.some((event) => event.startsWith("lost")))
          // nothing of what it had fetched is delivered once it wakes
          for (const [record] of twice) assert.isTrue(before.has(record), record)
          assert.isAtMost(twice.length, partitions * 75)
        })
      )
    )

    for (const [at, when] of freezes) {
      const beside = `${when === "before" ? "before it" : when === "sent" ? "once it has" : "when it is told that it has"} ${at === "create" ? "claimed" : "freed"} a partition`
      it.effect(`one is frozen ${beside}, and wakes when its session is over: it handles nothing by that claim`, () =>
        Balanced.withGroup({ topic: `frozen-${at}-${when}`, partitions }, (group) =>
          Effect.gen(function* () {
            const b = yield* group.join("b")
            yield* group.balanced([b])
            const f = yield* group.join("f", { freeze: { at, when }, sessionTimeout: 2000 })
            const others = [b]
            if (at === "remove") {
              yield* group.balanced([b, f])
              others.push(yield* group.join("c"))
            }
            yield* f.program.until("it is frozen", () => f.isFrozen)
            const before = new Set(f.delivered)
            f.owns.clear()
            yield* group.balanced(others)
            yield* Effect.sleep("500 millis")
            assert.strictEqual(f.delivered.length, before.size)
            yield* f.program.signal("SIGCONT")
            yield* group.balanced([...others, f])
            yield* Effect.sleep("300 millis")
            const twice = yield* group.all
            // What the others handled since its session ended, it did not: only what it had not committed comes twice.
            for (const [record, by] of twice) assert.deepStrictEqual([by.length, before.has(record)], [2, true], record)
            if (at === "create") assert.deepStrictEqual(twice, [])
          })
        )
      )
    }

    it.effect("ZooKeeper is away for less than a session, and then for more", () =>
      Balanced.withGroup({ topic: "away", partitions }, (group) =>
        Effect.gen(function* () {
          const zooKeeper = group.server.zooKeeperNode!
          const [a, b] = [yield* group.join("a"), yield* group.join("b")]
          yield* group.balanced([a, b])
          const before = [[...a.events], [...b.events]]
          yield* zooKeeper.pause
          yield* Effect.sleep("1500 millis")
          yield* zooKeeper.resume
          yield* Effect.sleep("1500 millis")
          assert.deepStrictEqual([a.events, b.events], before)
          assert.deepStrictEqual(
            [...group.deliveries].filter(([, by]) => by.length > 1),
            []
          )

          yield* zooKeeper.kill
          yield* a.program.until("it has lost what it had", () => a.owns.size === 0)
          yield* b.program.until("it has lost what it had", () => b.owns.size === 0)
          yield* zooKeeper.start
          yield* group.balanced([a, b])
          const twice = yield* group.all
          assert.isAtMost(twice.length, partitions * 75)
        })
      )
    )

    it.effect("a session is expired on purpose: everything of it is lost, and claimed anew", () =>
      Balanced.withGroup({ topic: "expired", partitions }, (group) =>
        Effect.gen(function* () {
          const [a, b] = [yield* group.join("a"), yield* group.join("b")]
          yield* group.balanced([a, b])
          // until what was there before is committed
          yield* Effect.sleep("2 seconds")
          const had = new Set(a.owns)
          yield* a.program.signal("SIGUSR2")
          yield* a.program.until("it has lost what it had", () => a.events.some((event) => event.startsWith("lost")))
          yield* group.balanced([a, b])
          const twice = yield* group.all
          for (const partition of partitionsOf(twice)) assert.isTrue(had.has(partition))
          assert.isAtMost(twice.length, had.size * 75)
        })
      )
    )

    it.effect("partitions are added: they are read from their beginning", () =>
      Balanced.withGroup({ topic: "added", partitions: 2 }, (group) =>
        Effect.gen(function* () {
          const [a, b] = [yield* group.join("a"), yield* group.join("b")]
          yield* group.balanced([a, b])
          yield* Processes.run(
            KafkaNode.tool(group.server.classPath, "kafka.admin.TopicCommand", [
              "--zookeeper",
              group.server.zooKeeper!,
              "--alter",
              "--topic",
              "added",
              "--partitions",
              "6"
            ])
          )
          group.produced.push(0, 0, 0, 0)
          yield* group.balanced([a, b])
          yield* Effect.sleep("1 second")
          assert.deepStrictEqual(yield* group.all, [])
        })
      )
    )
  })
}

for (const version of full ? versions : (["2.8.2"] as const)) {
  layer(KafkaServer.layer({ version, mode: "zookeeper", brokers: 2 }), { excludeTestServices: true })(
    `Kafka ${version}, two brokers`,
    (it) => {
      it.effect("leaders move: nobody's partitions change, and each record is delivered once", () =>
        Balanced.withGroup({ topic: "moved", partitions: 4 }, (group) =>
          Effect.gen(function* () {
            const [a, b] = [yield* group.join("a"), yield* group.join("b")]
            yield* group.balanced([a, b])
            const before = [[...a.events], [...b.events]]
            yield* group.server.nodes[0]!.stop
            yield* Effect.sleep("3 seconds")
            const c = yield* group.join("c")
            yield* group.balanced([a, b, c])
            yield* c.leave
            yield* group.balanced([a, b])
            assert.deepStrictEqual(
              [a.events, b.events].map((events, i) => events.slice(0, before[i]!.length)),
              before
            )
            assert.deepStrictEqual(yield* group.all, [])
          })
        )
      )
    }
  )
}

describe("Kafka 2.8.2, three ZooKeepers", () => {
  it.live("their leader is killed, alone and with a member: twice come only records of who lost a partition", () =>
    Effect.gen(function* () {
      const { connect, nodes } = yield* ZooKeeperEnsemble.make(3)
      // the brokers are not to lose theirs
      const properties = { "zookeeper.connect": connect, "zookeeper.session.timeout.ms": 20_000 }
      const server = yield* KafkaServer.make({ version: "2.8.2", mode: "zookeeper", properties })
      const leader = Effect.map(Effect.forEach(nodes, ZooKeeperEnsemble.leads), (leads) => nodes[leads.indexOf(true)]!)
      yield* Balanced.withGroup({ topic: "ensemble", partitions }, (group) =>
        Effect.gen(function* () {
          const join = (name: string) => group.join(name, { sessionTimeout: 6000 })
          const [a, b, c] = [yield* join("a"), yield* join("b"), yield* join("c")]
          yield* group.balanced([a, b, c])
          for (const left of [
            [a, b, c],
            [a, b]
          ]) {
            // until what was there before is committed
            yield* Effect.sleep("2 seconds")
            const led = yield* leader
            yield* led.kill
            if (!left.includes(c)) yield* c.kill
            yield* Effect.sleep("3 seconds")
            yield* led.start
            yield* group.balanced(left, 60)
          }
          const twice = yield* group.all
          const harmed = [a, b].filter(({ events }) => events.some((event) => event.startsWith("lost")))
          const names = new Set(["c", ...harmed.map(({ name }) => name)])
          for (const [record, by] of twice)
            assert.isTrue(
              by.some((name) => names.has(name)),
              record
            )
          assert.isAtMost(twice.length, 2 * partitions * 75)
        })
      ).pipe(Effect.provideService(KafkaServer.KafkaServer, { ...server, zooKeeper: connect }))
    }).pipe(Effect.scoped)
  )
})
