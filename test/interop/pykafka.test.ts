/** PyKafka, whose newest release speaks to brokers of 0.8.2 to 0.10 as they were. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { EmbeddedKafka } from "samsa/testing"
import * as Cache from "./Cache.ts"
import { log } from "./Client.ts"
import { run, suite } from "./suite.ts"
import * as Worker from "./Worker.ts"

const releases = [
  { asVersion: "0.8.2", version: "0.8.2" },
  { asVersion: "0.9", version: "0.9.0" },
  { asVersion: "0.10.2", version: "0.10.2" }
] as const

for (const { asVersion, version } of releases)
  for (const sync of [false, true]) {
    const client = ({ bootstrap }: EmbeddedKafka.Service) =>
      Effect.map(Cache.python("pykafka"), (python) =>
        Worker.make({
          command: [python, Cache.file("python", "with_pykafka.py")],
          bootstrap,
          longSession: true,
          can: { empty: true, binary: true, timestamps: false },
          settings: { version, sync }
        })
      )
    suite(
      {
        title: `PyKafka 2.8.0 ${sync ? "(sync)" : "(async)"}, broker as ${asVersion}`,
        brokers: { asVersion },
        codecs: ["none", "gzip", "snappy"],
        client
      },
      sync ? [] : asVersion === "0.8.2" ? ["metadata"] : ["metadata", "group"],
      (it) => {
        if (sync) return
        it.effect("commits: a second consumer of the group goes on where the first has committed", () =>
          run((broker, client) =>
            Effect.gen(function* () {
              yield* broker.createTopic("commits")
              yield* client.produce(
                "commits",
                Array.from({ length: 10 }, (_, i) => ({ partition: 0, key: null, value: `v${i}`, headers: [] }))
              )
              const read = yield* (client as Worker.Worker).records("committed", {
                topic: "commits",
                group: "simple",
                counts: [4, 6]
              })
              assert.deepStrictEqual(read, yield* log(broker, "commits"))
              assert.deepInclude((yield* broker.committed("simple"))[0], { topic: "commits", offset: 10 })
            })
          )
        )
      }
    )
  }
