/** librdkafka, by confluent-kafka for Python. */
import { Effect } from "effect"
import * as Cache from "./Cache.ts"
import { suite } from "./suite.ts"
import * as Worker from "./Worker.ts"

suite(
  {
    title: "librdkafka 2.16.0 (confluent-kafka 2.16.1)",
    codecs: ["none", "gzip", "snappy", "lz4", "zstd"],
    client: ({ bootstrap }) =>
      Effect.map(Cache.python("confluent"), (python) =>
        Worker.make({
          command: [python, Cache.file("python", "with_confluent.py")],
          bootstrap,
          can: { empty: true, binary: true, timestamps: true },
          settings: { strategy: "range" }
        })
      )
  },
  ["headers", "idempotent", "transactional", "group", "metadata", "autoCreated", "time", "admin"]
)
