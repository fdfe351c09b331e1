/** kafka-python, the line that still knows the oldest brokers and the newest. */
import { Effect } from "effect"
import type { EmbeddedKafka } from "samsa/testing"
import * as Cache from "./Cache.ts"
import type { Codec } from "./Client.ts"
import { suite, type Feature } from "./suite.ts"
import * as Worker from "./Worker.ts"

interface Row {
  readonly version: "2.2.15" | "3.0.12"
  readonly asVersion?: NonNullable<EmbeddedKafka.Options["asVersion"]>
  readonly codecs: ReadonlyArray<Codec>
  readonly features: ReadonlyArray<Feature>
}

const codecs = ["none", "gzip", "snappy", "lz4", "zstd"] as const
const all = ["headers", "idempotent", "group", "metadata", "autoCreated", "time", "admin"] as const

const rows: ReadonlyArray<Row> = [
  { version: "2.2.15", codecs, features: all },
  { version: "3.0.12", codecs, features: all },
  { version: "2.2.15", asVersion: "0.8.2", codecs: ["none", "gzip", "snappy"], features: ["metadata"] },
  { version: "2.2.15", asVersion: "0.9", codecs: ["none", "gzip", "snappy"], features: ["group", "metadata"] },
  { version: "2.2.15", asVersion: "0.10.2", codecs: ["none", "gzip", "snappy", "lz4"], features: ["group", "time"] }
]

for (const { asVersion, codecs, features, version } of rows)
  suite(
    {
      title: `kafka-python ${version}${asVersion === undefined ? "" : `, broker as ${asVersion}`}`,
      brokers: { asVersion },
      codecs,
      client: ({ bootstrap }) =>
        Effect.map(Cache.python(`kafka-python-${version[0]}`), (python) =>
          Worker.make({
            command: [python, Cache.file("python", "with_kafka_python.py")],
            // it gives up a silent broker of 0.9 at the second address, before it would ask otherwise
            bootstrap: asVersion === "0.9" ? bootstrap.slice(0, 1) : bootstrap,
            ...(asVersion === "0.9" ? { settings: { version: [0, 9] } } : {}),
            // before 0.10 there are no timestamps
            can: { empty: true, binary: true, timestamps: asVersion === undefined || asVersion === "0.10.2" }
          })
        )
    },
    features
  )
