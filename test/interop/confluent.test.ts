/** librdkafka, by confluent-kafka for Python. */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { EmbeddedKafka } from "samsa/testing"
import * as Cache from "./Cache.ts"
import type { Member } from "./Client.ts"
import { type It, run, suite } from "./suite.ts"
import * as Worker from "./Worker.ts"

const client =
  (strategy: string | null) =>
  ({ bootstrap }: EmbeddedKafka.Service) =>
    Effect.map(Cache.python("confluent"), (python) =>
      Worker.make({
        command: [python, Cache.file("python", "with_confluent.py")],
        bootstrap,
        can: { empty: true, binary: true, timestamps: true },
        settings: { strategy }
      })
    )

/** A group is converted while it has members, and back. */
const mixed = (it: It) =>
  it.effect("mixed: a member of each protocol in one group, which is converted for the second, and back", () =>
    run((broker, modern) =>
      Effect.gen(function* () {
        const [topic, group] = ["mixed", "mixed-group"]
        yield* broker.createTopic({ name: topic, partitions: 4 })
        const old = yield* (yield* client("range")(broker)).member(topic, group)
        const has = (member: Member, count: number) =>
          member.until(`has ${count}`, () => member.assigned().length === count)
        yield* has(old, 4)
        assert.strictEqual((yield* broker.group(group))!.kind, "classic")

        const other = yield* modern.member(topic, group)
        yield* Effect.all([has(old, 2), has(other, 2)], { concurrency: "unbounded" })
        assert.deepStrictEqual([...old.assigned(), ...other.assigned()].sort(), [0, 1, 2, 3])
        assert.strictEqual((yield* broker.group(group))!.kind, "consumer")
        const send = (text: string) =>
          modern.produce(
            topic,
            [0, 1, 2, 3].map((partition) => ({ partition, key: null, value: `${text}${partition}`, headers: [] }))
          )
        yield* send("both")
        yield* Effect.all(
          [old, other].map((member) => member.until("its share", () => member.records.length === 2)),
          { concurrency: "unbounded" }
        )

        yield* other.leave
        yield* has(old, 4)
        assert.strictEqual((yield* broker.group(group))!.kind, "classic")
        yield* send("one")
        yield* old.until("all", () => old.records.length === 6)
        yield* old.leave
      })
    )
  )

const title = "librdkafka 2.16.0 (confluent-kafka 2.16.1)"

suite({ title, codecs: ["none", "gzip", "snappy", "lz4", "zstd"], client: client("range") }, [
  "headers",
  "idempotent",
  "transactional",
  "group",
  "metadata",
  "autoCreated",
  "time",
  "admin"
])

suite(
  {
    title: `${title}, consumer protocol`,
    codecs: [],
    client: client(null),
    brokers: { groupConsumerSessionTimeout: "6 seconds", groupConsumerHeartbeatInterval: "300 millis" }
  },
  ["group", "admin"],
  mixed
)
