/** The command on a real broker, beside Java's tools. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { samsa, words } from "../cli/Samsa.ts"
import { tool } from "./Admins.ts"
import * as JavaTools from "./JavaTools.ts"
import * as KafkaServer from "./KafkaServer.ts"

layer(Layer.merge(KafkaServer.layer({ version: "4.4.0" }), JavaTools.layer), { excludeTestServices: true })(
  "samsa on Kafka 4.4.0",
  (it) => {
    it.effect("makes topics, sends, reads as a group, tells its lag and resets it, as Java's tools see it", () =>
      Effect.gen(function* () {
        const { bootstrap } = yield* KafkaServer.KafkaServer
        const run = (line: string, input?: string) =>
          Effect.map(
            samsa(line.split(" "), {
              env: { KAFKA_BOOTSTRAP: bootstrap.join(",") },
              ...(input === undefined ? {} : { input })
            }),
            ({ code, error, out }) => {
              assert.strictEqual(code, 0, `${line}: ${error}`)
              return out.trim()
            }
          )
        yield* run("topics create orders -p 2 -c cleanup.policy=compact")
        const java = yield* tool("TopicCommand", "--describe", "--topic", "orders")
        assert.match(java, /PartitionCount: 2\s+ReplicationFactor: 1\s+Configs: .*cleanup\.policy=compact/)
        yield* run("produce orders -K : -Z", "a:1\nb:2\na:\n")
        const read = yield* run("consume orders --group billing --from earliest -c 3 -f %k=%s")
        assert.deepStrictEqual(read.split("\n").sort(), ["a=1", "a=NULL", "b=2"])
        const lines = (table: string) =>
          words(table)
            .filter((line) => line.includes("orders"))
            .map((line) => line.slice(line.indexOf("orders"), line.indexOf("orders") + 5))
            .sort(([, a], [, b]) => Number(a) - Number(b))
        const lag = Effect.all([run("lag billing"), tool("ConsumerGroupCommand", "--describe", "--group", "billing")])
        for (const reset of ["earliest", "latest"]) {
          yield* run(`offsets reset billing ${reset} -t orders --yes`)
          const [ours, theirs] = yield* lag
          assert.deepStrictEqual(lines(ours), lines(theirs))
          assert.strictEqual(lines(ours).length, 2)
        }
        const { code, error } = yield* samsa(["topics", "create", "orders"], {
          env: { KAFKA_BOOTSTRAP: bootstrap.join(",") }
        })
        assert.strictEqual(code, 1)
        assert.match(error, /orders: Server: TOPIC_ALREADY_EXISTS \(36\): Topic 'orders' already exists\./)
      })
    )
  }
)
