/** kcat, over the librdkafka of the distribution; on the broker as every release that it can play. */
import { Effect } from "effect"
import type { EmbeddedKafka } from "samsa/testing"
import * as Kcat from "../integration/Kcat.ts"
import * as Processes from "../integration/Processes.ts"
import type { Client, Codec, Received } from "./Client.ts"
import { suite, type Feature } from "./suite.ts"

const received = ({ headers, key, offset, partition, timestamp, value }: Kcat.Record): Received => ({
  partition,
  offset,
  timestamp,
  key,
  value,
  headers
})

interface Listing {
  readonly brokers: ReadonlyArray<{ readonly name: string }>
  readonly topics: ReadonlyArray<{
    readonly partitions: ReadonlyArray<{ readonly partition: number; readonly leader: number }>
  }>
}

const client = (bootstrap: ReadonlyArray<string>, settings: Readonly<Record<string, string | number>>): Client => {
  const options = Object.entries(settings).flatMap(([name, value]) => ["-X", `${name}=${value}`])
  const kcat = (...args: ReadonlyArray<string>) =>
    Processes.run(["kcat", "-b", bootstrap.join(","), ...options, ...args])
  return {
    can: { empty: false, binary: false, timestamps: false },
    produce: (topic, records, { codec = "none", idempotent = false } = {}) =>
      Effect.forEach(
        Map.groupBy(records, ({ partition }) => partition),
        ([partition, part]) =>
          Kcat.produce(
            {
              bootstrap,
              topic,
              partition,
              codec,
              settings: { ...settings, ...(idempotent ? { "enable.idempotence": "true" } : {}) },
              // the same for all of them
              headers: part[0]!.headers as ReadonlyArray<readonly [string, string]>
            },
            part.map(({ key, value }) => ({ key: key ?? "", value: value ?? "" }))
          ),
        { discard: true }
      ),
    consume: (topic) => Effect.map(Kcat.consume({ bootstrap, topic, settings }), (all) => all.map(received)),
    member: (topic, group) =>
      Effect.map(
        Kcat.member({ bootstrap, topic, group, settings: { ...settings, "heartbeat.interval.ms": 300 } }),
        (member) => ({
          get records() {
            return member.records.map(received)
          },
          // "orders [0]"
          assigned: () => member.assigned().map((each) => Number(/\[(\d+)\]/.exec(each)![1])),
          until: member.until,
          leave: member.leave
        })
      ),
    metadata: (topic) =>
      Effect.map(kcat("-L", "-J", "-t", topic), (text) => {
        const { brokers, topics } = JSON.parse(text) as Listing
        return {
          brokers: brokers.map(({ name }) => name),
          partitions: topics[0]!.partitions.map(({ leader, partition }) => ({ partition, leader }))
        }
      }),
    offsetsFor: (topic, time) =>
      Effect.map(kcat("-Q", "-t", `${topic}:0:${time}`, "-t", `${topic}:1:${time}`), (text) =>
        // "orders [0] offset 5", in no order
        text
          .trim()
          .split("\n")
          .sort()
          .map((line) => Number(/offset (-?\d+)$/.exec(line)![1]))
      )
  }
}

interface Row {
  readonly asVersion?: NonNullable<EmbeddedKafka.Options["asVersion"]>
  readonly codecs: ReadonlyArray<Codec>
  readonly features: ReadonlyArray<Feature>
}

const codecs = ["none", "gzip", "snappy", "lz4", "zstd"] as const
const modern = ["headers", "idempotent", "metadata", "autoCreated", "time"] as const

const rows: ReadonlyArray<Row> = [
  { codecs, features: [...modern, "group"] },
  { asVersion: "4.4", codecs, features: modern },
  { asVersion: "2.8", codecs, features: [...modern, "group"] },
  { asVersion: "1.1", codecs: codecs.slice(0, 4), features: modern },
  { asVersion: "0.11", codecs: codecs.slice(0, 4), features: modern },
  { asVersion: "0.10.2", codecs: codecs.slice(0, 4), features: ["metadata", "autoCreated", "time"] },
  { asVersion: "0.9", codecs: codecs.slice(0, 4), features: ["metadata", "autoCreated", "group"] },
  { asVersion: "0.8.2", codecs: codecs.slice(0, 4), features: ["metadata", "autoCreated"] }
]

for (const { asVersion, codecs, features } of rows)
  suite(
    {
      title: `kcat 1.7.1${asVersion === undefined ? "" : `, broker as ${asVersion}`}`,
      brokers: { asVersion },
      codecs,
      client: ({ bootstrap }) => Effect.succeed(client(bootstrap, Kcat.old(asVersion ?? "4.4")))
    },
    features
  )
