/**
 * One group of members of ours and of others on real brokers: Java, librdkafka, PyKafka's managed consumer; theirs
 * leading, and ours. Members join and leave: each record is handled once, each partition is in one hand at a time.
 */
import { layer } from "@effect/vitest"
import { Assignor, Membership } from "samsa"
import { connected } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Mode, Version } from "./KafkaVersion.ts"
import { type Foreign, java, mixed, python } from "./Mixed.ts"

const { cooperativeSticky, range } = Assignor
const ours = (assignor: Assignor.Assignor) => () =>
  Membership.classic({ assignors: [assignor], heartbeatInterval: "300 millis" })
const pykafka = (version: string): Foreign => ({
  name: "pykafka",
  membership: ours(range),
  flows: false,
  join: python("pykafka", "with_pykafka.py", { version, sync: false })
})
const clusters: ReadonlyArray<readonly [Version, Mode, ReadonlyArray<Foreign>]> = [
  [
    "4.4.0",
    "kraft",
    [
      { name: "java-range", membership: ours(range), flows: true, join: java("RangeAssignor") },
      {
        name: "java-cooperative",
        membership: ours(cooperativeSticky),
        flows: true,
        repeats: true,
        join: java("CooperativeStickyAssignor")
      },
      {
        name: "librdkafka-cooperative",
        membership: ours(cooperativeSticky),
        flows: true,
        join: python("confluent", "with_confluent.py", { strategy: "cooperative-sticky" })
      }
    ]
  ],
  ["2.8.2", "zookeeper", [pykafka("0.10.2")]],
  ["0.10.2.2", "zookeeper", [pykafka("0.10.2")]],
  ["0.9.0.1", "zookeeper", [pykafka("0.9.0")]]
]
for (const [version, mode, all] of clusters) {
  layer(KafkaServer.layer({ version, mode }), { excludeTestServices: true })(`Kafka ${version} (${mode})`, (it) => {
    for (const foreign of all) {
      for (const theyLead of [true, false]) {
        it.effect(
          `${foreign.name} and ours share a group: nothing is missed, nothing twice (${theyLead ? "they lead" : "we lead"})`,
          () => connected(mixed(foreign, theyLead)).pipe(KafkaServer.diagnosed),
          180_000
        )
      }
    }
  })
}
