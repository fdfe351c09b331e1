/**
 * PyKafka's BalancedConsumer and members of ours in one group in ZooKeeper, on a real broker. What is asserted is what was
 * delivered: no record is skipped, and none comes twice from members of ours. PyKafka itself delivers some twice: it
 * commits when it begins to give up partitions, and goes on delivering until its consumer is exchanged.
 */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as Balanced from "../integration/Balanced.ts"
import * as KafkaServer from "../integration/KafkaServer.ts"
import { atLeast, type Version } from "../integration/KafkaVersion.ts"
import * as Cache from "./Cache.ts"

const full = process.env.SAMSA_FULL !== undefined
const versions: ReadonlyArray<Version> = full ? ["0.8.2.2", "0.9.0.1", "0.10.2.2", "2.8.2"] : ["0.10.2.2"]
const rounds = full ? 50 : 5

const speaks = (version: Version) => (atLeast(version, 0, 10) ? "0.10.2" : atLeast(version, 0, 9) ? "0.9.0" : "0.8.2")

for (const version of versions) {
  layer(KafkaServer.layer({ version, mode: "zookeeper" }), { excludeTestServices: true })(`Kafka ${version}`, (it) => {
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
              version: speaks(version),
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

    it.effect(
      `${rounds} rounds of joining and leaving, in turn: no record is skipped, none comes twice from ours`,
      () =>
        Balanced.withGroup({ topic: "mixed", partitions: 6, every: 50 }, (group) =>
          Effect.gen(function* () {
            const join = (i: number) => (i % 2 === 0 ? group.join(`ours-${i}`) : pykafka(group, `pykafka-${i}`))
            const members = [yield* join(0), yield* join(1)]
            yield* group.balanced(members)
            for (let round = 2; round < rounds + 2; round++) {
              members.push(yield* join(round))
              yield* group.balanced(members)
              yield* members.shift()!.leave
              yield* group.balanced(members)
            }
            assert.deepStrictEqual(amongOurs(yield* group.all), [])
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

    it.effect("by round robin as well", () =>
      Balanced.withGroup({ topic: "dealt", partitions: 6, every: 50 }, (group) =>
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
