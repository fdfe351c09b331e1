/** franz-go. */
import { Effect } from "effect"
import * as Cache from "./Cache.ts"
import { suite } from "./suite.ts"
import * as Worker from "./Worker.ts"

for (const strategy of ["cooperative-sticky", "range"])
  suite(
    {
      title: `franz-go 1.22.2, ${strategy}`,
      codecs: strategy === "range" ? [] : ["none", "gzip", "snappy", "lz4", "zstd"],
      client: ({ bootstrap }) =>
        Effect.map(Cache.go, (program) =>
          Worker.make({
            command: [program],
            bootstrap,
            can: { empty: true, binary: true, timestamps: true },
            settings: { strategy }
          })
        )
    },
    strategy === "range"
      ? ["group"]
      : ["headers", "idempotent", "transactional", "group", "metadata", "autoCreated", "time", "admin"]
  )
