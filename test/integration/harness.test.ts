import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as KafkaServer from "./KafkaServer.ts"
import { matrix } from "./KafkaVersion.ts"
import * as Probe from "./Probe.ts"

for (const { version, mode } of matrix) {
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    it.effect("answers, and has a leader for every partition of a topic that was created", () =>
      Effect.gen(function* () {
        const server = yield* KafkaServer.KafkaServer
        yield* server.createTopic("orders", { partitions: 3 })
        const answer = yield* Probe.metadata(version, server.nodes[0]!.port, ["orders"])
        assert.deepStrictEqual(answer.topics[0]!.partitions.map((p) => [p.partition, p.leader]).sort(), [
          [0, 1],
          [1, 1],
          [2, 1]
        ])
      }).pipe(KafkaServer.diagnosed)
    )
  })
}
