/**
 * One group of members of ours and of others on real brokers, where some or all are members of the consumer protocol
 * (KIP-848): Java and librdkafka. Members join and leave: each record is handled once, each partition is in one hand at a
 * time.
 */
import { layer } from "@effect/vitest"
import { Assignor, Membership } from "samsa"
import { connected } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Version } from "./KafkaVersion.ts"
import { type Foreign, java, mixed, python } from "./Mixed.ts"

/** Hearts that beat as quickly as those of classic members. */
const properties = {
  "group.consumer.min.heartbeat.interval.ms": 300,
  "group.consumer.heartbeat.interval.ms": 300,
  "group.consumer.min.session.timeout.ms": 1_000,
  "group.consumer.session.timeout.ms": 6_000
}

const consumer = () => Membership.consumer({ sessionTimeout: "6 seconds" })
const classic = () => Membership.classic({ assignors: [Assignor.cooperativeSticky], heartbeatInterval: "300 millis" })
const librdkafka = (strategy: string | null) => python("confluent", "with_confluent.py", { strategy })

const foreigners: ReadonlyArray<Foreign> = [
  { name: "java", membership: consumer, flows: true, join: java() },
  { name: "librdkafka", membership: consumer, flows: true, join: librdkafka(null) },
  { name: "java-classic", membership: consumer, flows: true, repeats: true, join: java("CooperativeStickyAssignor") },
  { name: "java-and-our-classic", membership: classic, flows: true, join: java() },
  { name: "librdkafka-classic", membership: consumer, flows: true, join: librdkafka("cooperative-sticky") }
]

/** All of them by SAMSA_FULL=1; else some, each of the two first on one version. */
const all: ReadonlyArray<readonly [version: Version, foreign: Foreign, theyLead: boolean]> = (
  ["4.0.2", "4.4.0"] as const
).flatMap((version, i) =>
  foreigners.flatMap((foreign, j) =>
    [true, false].flatMap((theyLead, k) =>
      process.env.SAMSA_FULL === "1" || (j < 2 && (i + j + k) % 2 === 0) ? [[version, foreign, theyLead] as const] : []
    )
  )
)

for (const version of new Set(all.map(([version]) => version))) {
  layer(KafkaServer.layer({ version, properties }), { excludeTestServices: true })(`Kafka ${version}`, (it) => {
    for (const [, foreign, theyLead] of all.filter((one) => one[0] === version)) {
      it.effect(
        `${foreign.name} and ours share a group: nothing is missed, nothing twice (${theyLead ? "they" : "we"} are there first)`,
        () => connected(mixed(foreign, theyLead)).pipe(KafkaServer.diagnosed),
        180_000
      )
    }
  })
}
