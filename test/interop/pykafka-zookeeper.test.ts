/**
 * PyKafka's BalancedConsumer and members of ours in one group in ZooKeeper, on a real broker. What is asserted is what was
 * delivered: no record is skipped, and none comes twice from members of ours. PyKafka itself delivers some twice: it
 * commits when it begins to give up partitions, and goes on delivering until its consumer is exchanged.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { ZooKeeper } from "samsa"
import * as Balanced from "../integration/Balanced.ts"
import * as KafkaServer from "../integration/KafkaServer.ts"
import { atLeast, type Version } from "../integration/KafkaVersion.ts"
import * as Cache from "./Cache.ts"

const full = process.env.SAMSA_FULL !== undefined
const versions: ReadonlyArray<Version> = full ? ["0.8.2.2", "0.9.0.1", "0.10.2.2", "2.8.2"] : ["0.10.2.2"]
const rounds = full ? 50 : 5

const speaks = (version: Version) => (atLeast(version, 0, 10) ? "0.10.2" : atLeast(version, 0, 9) ? "0.9.0" : "0.8.2")

/** A member of PyKafka. */
const pykafka = (group: Balanced.Group, name: string, more: object = {}) =>
  Effect.flatMap(Cache.python("pykafka"), (python) =>
    group.start(
      name,
      [
        python,
        Cache.file("python", "with_pykafka.py"),
        "balanced",
        JSON.stringify({
          bootstrap: group.server.bootstrap.join(","),
          zooKeeper: group.server.zooKeeper,
          version: speaks(group.server.version),
          topic: group.topic,
          group: group.group,
          ...more
        })
      ],
      false
    )
  )

/** Who delivered the same record, where no member of PyKafka had a part in it. */
const amongOurs = (twice: ReadonlyArray<readonly [string, ReadonlyArray<string>]>) =>
  twice.filter(([, by]) => by.every((name) => name.startsWith("ours")))

for (const version of versions) {
  layer(KafkaServer.layer({ version, mode: "zookeeper" }), { excludeTestServices: true })(`Kafka ${version}`, (it) => {
    it.effect(
      `${rounds} rounds of joining and leaving, in turn: no record is skipped, none comes twice from ours`,
      () =>
        Balanced.withGroup({ topic: "mixed", partitions: 6, every: 50 }, (group) =>
          Effect.gen(function* () {
            const join = (i: number) => (i % 2 === 0 ? group.join(`ours-${i}`) : pykafka(group, `pykafka-${i}`))
            const members = [yield* join(0), yield* join(1)]
            const slowest = { joined: 0, left: 0 }
            const settled = (what: keyof typeof slowest) =>
              Effect.gen(function* () {
                const started = performance.now()
                yield* group.balanced(members)
                slowest[what] = Math.max(slowest[what], Math.round(performance.now() - started))
              })
            yield* group.balanced(members)
            for (let round = 2; round < rounds + 2; round++) {
              members.push(yield* join(round))
              yield* settled("joined")
              yield* members.shift()!.leave
              yield* settled("left")
            }
            const twice = yield* group.all
            process.stdout.write(
              `Kafka ${version}: ${rounds} rounds, ${group.deliveries.size} records, ${twice.length} of them twice, ` +
                `${amongOurs(twice).length} of those by ours alone; slowest balance ${slowest.joined} ms after a join, ${slowest.left} ms after a leave\n`
            )
            assert.deepStrictEqual(amongOurs(twice), [])
          })
        ),
      { timeout: full ? 1_200_000 : 180_000 }
    )

    it.effect("one of PyKafka's is killed, one of ours is: those that are left take over", () =>
      Balanced.withGroup({ topic: "killed-mixed", partitions: 6, every: 50 }, (group) =>
        Effect.gen(function* () {
          const [a, b] = [yield* group.join("ours-a"), yield* group.join("ours-b")]
          const p = yield* pykafka(group, "pykafka-p")
          yield* group.balanced([a, b, p])
          yield* p.kill
          yield* group.balanced([a, b])
          const q = yield* pykafka(group, "pykafka-q")
          yield* group.balanced([a, b, q])
          yield* a.kill
          yield* group.balanced([b, q])
          const twice = yield* group.all
          for (const [record, by] of amongOurs(twice)) assert.isTrue(by.includes("ours-a"), record)
        })
      )
    )

    it.effect(
      "one of PyKafka's dies between releasing and claiming: what it released and what it held are taken over",
      () =>
        Balanced.withGroup({ topic: "dead-mixed", partitions: 6, every: 50 }, (group) =>
          Effect.gen(function* () {
            const p = yield* pykafka(group, "pykafka-p", { dies: true })
            yield* group.balanced([p])
            const a = yield* group.join("ours-a")
            assert.strictEqual(yield* p.program.end, "SIGKILL")
            p.owns.clear()
            yield* group.balanced([a])
            const twice = yield* group.all
            assert.deepStrictEqual(amongOurs(twice), [])
          })
        )
    )

    it.effect("by round robin as well, and with odd characters in the names", () =>
      Balanced.withGroup(
        { topic: "dealt-1.x_y", partitions: 6, every: 50, group: 'it\'s a "group" of 100%-1' },
        (group) =>
          Effect.gen(function* () {
            const a = yield* group.join("ours-a", { membership: { assignor: "roundrobin" } })
            const p = yield* pykafka(group, "pykafka-p", { roundrobin: true })
            const q = yield* pykafka(group, "pykafka-q", { roundrobin: true })
            yield* group.balanced([a, p, q])
            assert.deepStrictEqual(amongOurs(yield* group.all), [])
          })
      )
    )
  })
}

/** PyKafka's claims have the leader in their names. */
layer(KafkaServer.layer({ version: "0.10.2.2", mode: "zookeeper", brokers: 2 }), { excludeTestServices: true })(
  "Kafka 0.10.2.2, two brokers",
  (it) => {
    /** The names of the claims that stand, by ZooKeeper. */
    const claims = (group: Balanced.Group) =>
      Effect.gen(function* () {
        const zooKeeper = yield* ZooKeeper.make({ connect: group.server.zooKeeper! })
        const path = `/consumers/${group.group}/owners/b'${group.topic}'`
        return Effect.map(zooKeeper.children(path), (names) => [...(names ?? [])].sort())
      })
    const until = <A>(what: string, self: Effect.Effect<A, unknown>, holds: (value: A) => boolean) =>
      Effect.gen(function* () {
        for (let i = 0; i < 400; i++) {
          const value = yield* self
          if (holds(value)) return value
          yield* Effect.sleep(50)
        }
        return assert.fail(`${what}: ${JSON.stringify(yield* self)}`)
      })

    it.effect(
      "a leader moves: ours hold its old and new name, so that PyKafka takes nothing that they have not given up",
      () =>
        Balanced.withGroup({ topic: "moved-ours", partitions: 4, every: 50 }, (group) =>
          Effect.gen(function* () {
            const standing = yield* claims(group)
            const [a, b] = [yield* group.join("ours-a"), yield* group.join("ours-b")]
            yield* group.balanced([a, b])
            yield* group.server.nodes[0]!.stop
            yield* until("both names are held", standing, (names) => names.length === 6)
            // it knows the new names alone
            const p = yield* pykafka(group, "pykafka-p", { bootstrap: group.server.bootstrap[1] })
            yield* group.balanced([a, b, p])
            yield* Effect.sleep("1 second")
            assert.deepStrictEqual(
              [...group.deliveries].filter(([, by]) => by.length > 1),
              []
            )
            yield* p.leave
            yield* group.balanced([a, b])
            assert.deepStrictEqual(amongOurs(yield* group.all), [])
          })
        )
    )

    it.effect(
      "a leader moves: PyKafka leaves its claim under the old name; who waits for it fails typed, and nobody reads twice",
      () =>
        Effect.andThen(
          Effect.flatMap(KafkaServer.KafkaServer, ({ nodes }) => nodes[0]!.start),
          Balanced.withGroup({ topic: "moved-pykafka", partitions: 4, every: 50 }, (group) =>
            Effect.gen(function* () {
              const standing = yield* claims(group)
              const p = yield* pykafka(group, "pykafka-p")
              yield* group.balanced([p])
              const old = (yield* standing).filter((name) => name.startsWith("1-"))
              assert.lengthOf(old, 2)
              yield* group.server.nodes[0]!.stop
              // until it has asked for metadata: it reads what the other broker leads now
              const delivered = p.delivered.length
              yield* p.program.until("it reads on", () => p.delivered.length > delivered + 100)
              const a = yield* group.join("ours-a", {
                drainTimeout: 1000,
                membership: { rebalanceMaxRetries: 3, rebalanceBackoff: "500 millis" }
              })
              yield* a.program.until("it fails", () => a.failure !== undefined)
              assert.match(a.failure!, /1 partition\(s\) that others claim.*the first of them by [^ ]+:[0-9a-f-]{36}/)
              assert.include(yield* standing, old[0])
              yield* group.balanced([p])
              assert.deepStrictEqual(amongOurs(yield* group.all), [])
            })
          )
        )
    )
  }
)
