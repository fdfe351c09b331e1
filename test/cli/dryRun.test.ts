/** `--dry-run` as a process: what would be refused is not said to be done. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { samsa, spawned } from "./Samsa.ts"

it.live(
  "samsa groups delete --dry-run refuses a group that has members, and says who (it would have deleted it)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
      yield* samsa(["produce", "orders"], { input: "a\n", env })
      yield* samsa(["consume", "orders", "--group", "idle", "--from", "earliest", "-c", "1"], { env })
      yield* Effect.acquireRelease(
        Effect.callback<ReturnType<typeof spawned>>((resume) => {
          const child = spawned(["consume", "orders", "--group", "active", "--from", "earliest"], env)
          child.stdout.once("data", () => resume(Effect.succeed(child)))
        }),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      const [would, is] = yield* Effect.all([
        samsa(["groups", "delete", "idle", "active", "--dry-run"], { env }),
        samsa(["groups", "delete", "active", "--yes"], { env })
      ])
      assert.deepStrictEqual([would.code, would.out.trim()], [1, "would delete idle"])
      assert.match(would.error, /^active: GroupRefused: .*NON_EMPTY_GROUP.* \(client "samsa-cli" at /)
      assert.deepStrictEqual([is.code, is.out], [1, ""])
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa --dry-run refuses what a release has not (it said that it would do it)",
  () =>
    Effect.gen(function* () {
      const refused = (asVersion: "0.10.2" | "1.1", lines: ReadonlyArray<readonly [line: string, error: RegExp]>) =>
        Effect.gen(function* () {
          const broker = yield* EmbeddedKafka.make({ topics: ["orders"], asVersion, listen: true })
          const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
          yield* samsa(["offsets", "reset", "g", "earliest", "--topic", "orders", "--yes"], { env })
          for (const [line, error] of lines) {
            const would = yield* samsa([...line.split(" "), "--dry-run"], { env })
            assert.deepStrictEqual([would.code, would.out], [1, ""], line)
            assert.match(would.error, error, line)
          }
        })
      yield* refused("0.10.2", [["groups delete g", /DeleteGroups v0 is needed/]])
      yield* refused("1.1", [
        ["acls add topic x User:a read --prefixed", /DescribeAcls is needed; this client offers v1/],
        ["reassign start orders-0=1", /AlterPartitionReassignments v0 is needed/],
        ["elect orders", /ElectLeaders v0 is needed/]
      ])
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa reassign start --dry-run refuses a plan that has no broker for a partition (it would have moved it to none)",
  () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const file = yield* fs.makeTempFileScoped()
      yield* fs.writeFileString(file, '{"partitions":[{"topic":"orders","partition":0,"replicas":[]}]}')
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
      const start = ["reassign", "start", "--file", file]
      const would = yield* samsa([...start, "--dry-run"], { env })
      assert.deepStrictEqual(would, yield* samsa([...start, "--yes"], { env }))
      assert.deepStrictEqual([would.code, would.out], [2, ""])
      assert.match(would.error, /^orders-0: Misconfigured: replicas of orders-0 must name a broker$/m)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  60_000
)
