/** What befalls brokers whose cluster is ZooKeeper's, under load: a session that ends, and a ZooKeeper that is away. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Admin } from "samsa"
import { eventually, withAdmin } from "./Admins.ts"
import { judged } from "./Judged.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Version } from "./KafkaVersion.ts"

const versions: ReadonlyArray<Version> = process.env.SAMSA_FULL === undefined ? ["2.8.2"] : ["0.10.2.2", "2.8.2"]
const config = { "min.insync.replicas": "2" }

for (const version of versions) {
  const server = KafkaServer.layer({
    version,
    mode: "zookeeper",
    brokers: 3,
    properties: { "replica.lag.time.max.ms": "5000" }
  })
  layer(server, { excludeTestServices: true })(`Kafka ${version}, three brokers`, (it) => {
    it.effect(
      "a leader stands still beyond its session with ZooKeeper: another one leads, and what the old one says when it wakes loses nothing",
      () =>
        judged({ name: "asleep", config }, ({ load }) =>
          withAdmin(
            Effect.gen(function* () {
              const { nodes } = yield* KafkaServer.KafkaServer
              const admin = yield* Admin.Admin
              const leaders = Effect.map(Admin.orFail(admin.describeTopics(["asleep"])), ([one]) =>
                one!.partitions.map(({ leader }) => leader)
              )
              const [id] = yield* leaders
              const leader = nodes.find((one) => one.id === id)!
              yield* Effect.acquireRelease(leader.pause, () => leader.resume)
              // A controller of 0.10 lets go of a broker only once what it owes has timed out: `controller.socket.timeout.ms`.
              yield* eventually(leaders, (all) => !all.includes(id), 900)
              yield* load.more(1000)
              yield* leader.resume
              yield* load.more(1000)
            })
          )
        ),
      180_000
    )

    it.effect(
      "ZooKeeper is away: what goes on goes on, and nobody loses a partition",
      () =>
        judged({ name: "without", config, inPeace: true }, ({ load, party }) =>
          Effect.gen(function* () {
            const { zooKeeperNode } = yield* KafkaServer.KafkaServer
            assert.isDefined(zooKeeperNode)
            yield* zooKeeperNode.kill
            const handled = party.handled.all.length
            yield* load.more(2000)
            yield* party.handled.until("members go on", (all) => all.length > handled + 1000)
            yield* zooKeeperNode.start
            yield* load.more(1000)
          })
        ),
      180_000
    )
  })
}
