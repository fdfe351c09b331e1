/** The command as a process whose output takes no more. */
import { closeSync, openSync } from "node:fs"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { EmbeddedKafka, Fault } from "../../src/testing/index.ts"
import * as Samsa from "./Samsa.ts"
import { type Child, samsa, spawned } from "./Samsa.ts"

const ended = (child: Child) =>
  Effect.map(Samsa.ended(child), ({ code, error }): readonly [code: number | null, error: string] => [
    code,
    error.trim()
  ])

/** What is left of the output, to its end. */
const outOf = (child: Child) => Effect.promise(async () => Buffer.concat(await child.stdout.toArray()).toString())

it.live(
  "samsa consume whose output is closed leaves its group, and one that cannot write says so and commits nothing",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
      const { code, error } = yield* samsa(["produce", "orders"], { input: "x\n".repeat(50_000), env })
      assert.strictEqual(code, 0, error)
      const consume = (group: string) => ["consume", "orders", "--group", group, "--from", "earliest"]
      const closed = yield* Effect.suspend(() => {
        const child = spawned(consume("closed"), env)
        child.stdout.once("data", () => child.stdout.destroy())
        return ended(child)
      })
      assert.deepStrictEqual(closed, [0, ""])
      const unwritable = (args: ReadonlyArray<string>) =>
        Effect.suspend(() => {
          // It is open to be read from alone.
          const file = openSync(import.meta.filename, "r")
          const child = spawned(args, env, "pipe", file)
          closeSync(file)
          return ended(child)
        })
      for (const args of [consume("unwritable"), ["topics", "list"]])
        assert.deepStrictEqual(yield* unwritable(args), [1, "the output: EBADF: bad file descriptor, write"])
      const lag = yield* samsa(["lag", "closed", "unwritable", "--json"], { env })
      const groups = lag.out
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line))
      assert.deepStrictEqual(
        groups.map(({ group, state }) => [group, state]),
        [
          ["closed", "Empty"],
          ["unwritable", "Empty"]
        ]
      )
      assert.isUndefined(groups[1].partitions[0]?.committed)
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa whose output is not read yet commits what was taken of it alone, and loses nothing where it fails (it lost all but a pipe of it)",
  () =>
    Effect.gen(function* () {
      const topics = ["orders", { name: "many", partitions: 5000 }]
      const broker = yield* EmbeddedKafka.make({ topics, listen: true })
      const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
      const { code, error } = yield* samsa(["produce", "orders"], { input: `${"x".repeat(99)}\n`.repeat(30_000), env })
      assert.strictEqual(code, 0, error)
      const beats = yield* broker.inject(Fault.on("Heartbeat").delay(0))
      const consuming = spawned(["consume", "orders", "--group", "g", "--from", "earliest"], env)
      yield* beats.await
      const exited = yield* Effect.callback<number | null>((resume) => {
        consuming.once("exit", (code) => resume(Effect.succeed(code)))
        consuming.kill("SIGINT")
      })
      const lines = (yield* outOf(consuming)).split("\n").length - 1
      const [committed] = yield* broker.committed("g")
      assert.deepStrictEqual([exited, (committed?.offset ?? 0) <= lines], [0, true], `${committed?.offset} of ${lines}`)
      const describing = spawned(["topics", "describe", "many", "none", "--json"], env)
      yield* Effect.callback<void>((resume) => void describing.stderr.once("data", () => resume(Effect.void)))
      assert.strictEqual(JSON.parse(yield* outOf(describing)).partitions.length, 5000)
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa produce whose output is closed fails: not all of its input is sent (it ended with 0)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      const child = spawned(["produce", "orders", "--each"], { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") })
      child.stdin.on("error", () => {})
      child.stdout.once("data", () => {
        child.stdout.once("close", () => child.stdin.write("b\n"))
        child.stdout.destroy()
      })
      child.stdin.write("a\n")
      const [code, error] = yield* ended(child)
      assert.strictEqual(code, 1, error)
      assert.match(error, /the output: .*EPIPE/)
      assert.match(error, /2 records are known to be sent/)
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa whose output is closed ends as what was refused has it, and does not leave what it waits for (it ended with 0)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], brokers: 2, listen: true })
      const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
      const closed = (args: ReadonlyArray<string>) =>
        Effect.suspend(() => {
          const child = spawned(args, env)
          child.stdout.destroy()
          return ended(child)
        })
      const [refused, waits] = yield* Effect.all([
        closed(["topics", "describe", ...Array.from({ length: 4000 }, () => "orders"), "none", "--json"]),
        closed(["reassign", "start", "orders-0=2", "--yes", "--wait"])
      ])
      assert.strictEqual(refused[0], 1)
      assert.match(refused[1], /^none: UnknownTopic/)
      assert.deepStrictEqual(waits, [1, "the output: write EPIPE"])
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa reassign start --wait fails where somebody else ends what it waits for (it ended with 0, as if all had moved)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({
        topics: [{ name: "orders", replicationFactor: 1 }],
        brokers: 2,
        listen: true
      })
      const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
      yield* broker.stop(2)
      const waiting = spawned(["reassign", "start", "orders-0=2", "--yes", "--wait"], env)
      const waited = yield* Effect.forkChild(ended(waiting), { startImmediately: true })
      yield* Effect.callback<void>((resume) => void waiting.stdout.once("data", () => resume(Effect.void)))
      yield* samsa(["reassign", "cancel", "orders-0", "--yes"], { env })
      const [code, error] = yield* Fiber.join(waited)
      assert.strictEqual(code, 1)
      assert.match(error, /^orders-0: nothing moves any more, and its replicas are 1: it was cancelled/)
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa bench tells of a broker that is gone, for which it waits (it waited without a word)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
      yield* samsa(["produce", "orders"], { input: "a\n", env })
      yield* broker.inject(Fault.on("Fetch").loseResponse)
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => spawned(["bench", "consume", "orders"], env)),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      const warning = yield* Effect.callback<string>((resume) => {
        child.stderr.once("data", (chunk: Buffer) => resume(Effect.succeed(chunk.toString())))
        child.once("close", () => resume(Effect.succeed("it has ended")))
      })
      assert.include(warning, "level=WARN")
    }).pipe(Effect.scoped),
  60_000
)
