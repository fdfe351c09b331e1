/**
 * What befalls whole clusters, under load: brokers that are bounced or killed one after the other, leaders that are
 * elected and replicas that move, a broker that a client alone cannot reach, quotas, and a move to other addresses. More
 * rounds where `SAMSA_FULL` is set.
 *
 * Beside them: a leader that is killed, and one that is stopped and goes on (`produce-faults.test.ts`), a group's
 * coordinator that is killed (`group-churn.test.ts`), all that a network does (`fault-walk.test.ts`), chains of
 * transactions (`transaction-chain.test.ts`), logs that lose records (`log-faults.test.ts`), members that are killed
 * (`member-faults.test.ts`), and brokers whose session with ZooKeeper ends (`zookeeper-faults.test.ts`).
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Metric, Stream } from "effect"
import { Admin, Cluster, Consumer, Kafka, Metrics, Producer, Topic, Transaction } from "samsa"
import { FaultProxy } from "samsa/testing"
import { eventually, withAdmin } from "./Admins.ts"
import { judged } from "./Judged.ts"
import * as KafkaServer from "./KafkaServer.ts"
import * as Ports from "./Ports.ts"

const full = process.env.SAMSA_FULL !== undefined
const partitions = 6
const safe = { "min.insync.replicas": "2" }

const server = KafkaServer.layer({
  version: "4.4.0",
  brokers: 3,
  properties: { "controlled.shutdown.enable": "true", "replica.lag.time.max.ms": "5000" }
})
layer(server, { excludeTestServices: true })("Kafka 4.4.0, three brokers", (it) => {
  const node = (id: number) => Effect.map(KafkaServer.KafkaServer, ({ nodes }) => nodes.find((one) => one.id === id)!)
  const isr = (topic: string) =>
    Effect.flatMap(Admin.Admin, (admin) => Admin.orFail(admin.describeTopics([topic]))).pipe(
      Effect.map(([one]) => one!.partitions)
    )

  it.effect(
    "all are bounced in turn: no record fails, and nobody loses a partition",
    () =>
      judged({ name: "bounced", config: safe, inPeace: true }, ({ load }) =>
        Effect.gen(function* () {
          const { nodes } = yield* KafkaServer.KafkaServer
          for (let round = 0; round < (full ? 5 : 1); round++)
            for (const one of nodes) {
              yield* one.stop
              yield* one.start
              yield* load.more(500)
            }
        })
      ),
    600_000
  )

  it.effect(
    "whoever leads is killed, and then whoever is the controller: no record fails, and nothing is missed",
    () =>
      judged({ name: "chased", config: safe }, ({ load }) =>
        withAdmin(
          Effect.gen(function* () {
            const admin = yield* Admin.Admin
            const leader = Effect.map(isr("chased"), ([first]) => first!.leader!)
            const controller = Effect.map(admin.describeQuorum(), (quorum) => quorum.leader!)
            for (let round = 0; round < (full ? 3 : 1); round++)
              for (const chosen of [leader, controller]) {
                const one = yield* node(yield* chosen)
                yield* one.kill
                yield* load.more(500)
                yield* one.start
                yield* load.more(500)
                yield* eventually(isr("chased"), (all) => all.every((each) => each.isr.length === 3))
              }
          })
        )
      ),
    400_000
  )

  it.effect("a transaction's coordinator is killed before its end: it is committed as a whole by the next one", () =>
    Effect.gen(function* () {
      const { bootstrap, createTopic } = yield* KafkaServer.KafkaServer
      yield* createTopic("orphaned", { partitions, replication: 3, config: safe })
      const topic = Topic.bytes("orphaned")
      const Live = Transaction.layer({ transactionalId: "orphaned" }).pipe(
        Layer.provideMerge(Kafka.layer({ bootstrap }))
      )
      yield* Effect.gen(function* () {
        const cluster = yield* Cluster.Cluster
        const send = Effect.flatMap(Producer.Producer, (producer) =>
          producer.sendAll(
            topic,
            Array.from({ length: 30 }, (_, i) => ({ value: Uint8Array.of(i), partition: i % partitions }))
          )
        )
        const { id } = yield* cluster.coordinator("transaction", "orphaned")
        const one = yield* node(id)
        yield* Transaction.run(Effect.andThen(send, one.kill))
        yield* Transaction.run(send)
        yield* one.start
        const consumer = yield* Consumer.assign({ topic, from: "earliest", until: "latest" })
        const values = yield* consumer.stream.pipe(
          Stream.map(({ value }) => value![0]!),
          Stream.runCollect
        )
        const twice = Array.from({ length: 60 }, (_, i) => Math.floor(i / 2))
        assert.deepStrictEqual(
          values.toSorted((a, b) => a - b),
          twice
        )
      }).pipe(Effect.scoped, Effect.provide(Live))
    }).pipe(KafkaServer.diagnosed)
  )

  it.effect(
    "replicas move and preferred leaders are elected: no record fails, and nobody loses a partition",
    () =>
      judged({ name: "moving", replication: 2, inPeace: true }, ({ load }) =>
        withAdmin(
          Effect.gen(function* () {
            const admin = yield* Admin.Admin
            for (let round = 0; round < (full ? 6 : 2); round++) {
              // Each partition goes on to the next two brokers, and the first of them is to lead.
              const moves = (yield* isr("moving")).map(({ partition }) => ({
                topic: "moving",
                partition,
                replicas: [0, 1].map((i) => ((partition + round + i) % 3) + 1)
              }))
              yield* admin.reassignPartitions(moves).pipe(Admin.orFail)
              yield* eventually(admin.listReassignments(), (ongoing) => ongoing.length === 0)
              yield* load.more(500)
              yield* admin.electLeaders(moves).pipe(Admin.orFail)
              yield* eventually(isr("moving"), (all) =>
                all.every((each) => each.leader === moves[each.partition]!.replicas[0])
              )
              yield* load.more(500)
            }
          })
        )
      ),
    300_000
  )

  it.effect(
    "one cannot be reached by a client alone: what the others lead goes on, and nothing is lost or comes twice",
    () =>
      Effect.gen(function* () {
        const { bootstrap, createTopic } = yield* KafkaServer.KafkaServer
        const proxy = yield* FaultProxy.make({ bootstrap })
        yield* judged({ name: "cut-off", config: safe, client: { bootstrap: proxy.bootstrap } }, ({ load }) =>
          Effect.gen(function* () {
            const cluster = yield* Cluster.Cluster
            const coordinator = yield* cluster.coordinator("group", "cut-off")
            const id = [1, 2, 3].find((one) => one !== coordinator.id)!
            yield* createTopic("beside", { partitions, replication: 3 })
            const beside = Topic.bytes("beside")
            const led = (yield* cluster.topic("beside")).partitions
            const others = led.flatMap(({ leader, partition }) => (leader === id ? [] : [partition]))
            const producer = yield* Producer.Producer
            for (let round = 0; round < (full ? 5 : 1); round++) {
              const before = load.acknowledged.all.length
              yield* proxy.freeze(id)
              for (const partition of others) yield* producer.send(beside, { value: Uint8Array.of(1), partition })
              yield* Effect.sleep("6 seconds")
              yield* proxy.thaw(id)
              yield* load.acknowledged.until("all goes on", (all) => all.length > before + 1000)
            }
          })
        )
        assert.deepStrictEqual(yield* proxy.defects, [])
      }),
    200_000
  )

  it.effect(
    "quotas slow a client down: it waits as long as it is told, keeps its sessions, and no record fails",
    () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const entity = { "client-id": "slowed" }
          const quotas = { producer_byte_rate: 20_000, consumer_byte_rate: 20_000, request_percentage: 5 }
          const throttles = (api: string) =>
            Effect.map(Metric.snapshot, (all) =>
              all.reduce((sum, one) => {
                const isIt = one.id === Metrics.names.throttleTime && one.attributes?.["kafka.api.name"] === api
                return isIt && one.type === "Histogram" ? sum + one.state.count : sum
              }, 0)
            )
          yield* judged(
            {
              name: "slowed",
              config: safe,
              client: { clientId: "slowed" },
              membership: { sessionTimeout: "6 seconds" }
            },
            ({ load, party }) =>
              Effect.gen(function* () {
                yield* admin.alterQuotas([{ entity, set: quotas }]).pipe(Admin.orFail)
                yield* eventually(
                  Effect.all([throttles("Produce"), throttles("Fetch")]).pipe(Effect.delay("200 millis")),
                  (counts) => counts.every((count) => count > 2)
                )
                yield* load.more(500)
                assert.strictEqual(party.lost(), 0)
                yield* admin.alterQuotas([{ entity, remove: Object.keys(quotas) }]).pipe(Admin.orFail)
              })
          )
        })
      ).pipe(Effect.provideService(Metric.MetricRegistry, new Map())),
    300_000
  )

  it.effect(
    "all are away, and come back at other addresses: they are found by the bootstrap list, and nothing is lost",
    () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        const ports = yield* Effect.forEach(server.nodes, () => Ports.take)
        const bootstrap = [...server.bootstrap, ...ports.map((port) => `127.0.0.1:${port}`)]
        yield* judged({ name: "elsewhere", config: safe, client: { bootstrap } }, ({ load }) =>
          Effect.gen(function* () {
            yield* Effect.forEach(server.nodes, (one) => one.stop, { concurrency: "unbounded" })
            server.nodes.forEach((one, i) => server.move(one, ports[i]!))
            yield* Effect.sleep(full ? "2 minutes" : "5 seconds")
            yield* Effect.forEach(server.nodes, (one) => one.launch)
            yield* Effect.forEach(server.nodes, (one) => one.ready(3))
            yield* load.more(1000)
          })
        )
      }),
    400_000
  )
})
