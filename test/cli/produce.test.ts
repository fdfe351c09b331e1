/** `samsa produce` as a process on an embedded broker: what it tells where it cannot send all. */
import { gzipSync } from "node:zlib"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Latch } from "effect"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { ended, samsa, spawned } from "./Samsa.ts"

it.live(
  "samsa produce tells what is sent where it stops: behind the line that was refused, and before an input that breaks off",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["beside", "each", "cut"], listen: true })
      const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
      const input = [{ value: "a" }, { value: "b", partition: 9 }, { value: "c" }, { value: "d" }]
        .map((one) => `${JSON.stringify(one)}\n`)
        .join("")
      const zipped = gzipSync(Array.from({ length: 50_000 }, (_, i) => `${i}\n`).join(""))
      const [beside, each, cut] = yield* Effect.all(
        [
          samsa(["produce", "beside", "--json"], { input, env }),
          samsa(["produce", "each", "--json", "--each"], { input, env }),
          samsa(["produce", "cut"], { input: zipped.subarray(0, zipped.length - 100), env })
        ],
        { concurrency: 2 }
      )
      for (const { code, error } of [beside, each]) {
        assert.strictEqual(code, 1)
        // In one line (the log told of it, too).
        assert.match(error, /^line 2: Misuse: .* none 9 .*; 1 records before it are sent, and 2 after it\n$/)
      }
      const lines = (text: string) =>
        text
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line))
      assert.deepStrictEqual(lines(beside.out), [{ topic: "beside", partition: 0, records: 3, first: 0, last: 2 }])
      assert.deepStrictEqual(
        lines(each.out).map(({ offset }) => offset),
        [0, 1, 2]
      )
      const there = (yield* broker.log("cut")).length
      assert.isAbove(there, 1000)
      assert.strictEqual(cut.code, 1)
      assert.include(cut.error, `the input: unexpected end of file; ${there} records before it are sent`)
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa produce --json refuses a line that is no UTF-8 (what was none was sent as U+FFFD; a lone 0xA0 was passed by)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      for (const line of ['{"value":"\u00ff"}', "\u00a0"]) {
        const { code, error } = yield* samsa(["produce", "orders", "--json"], {
          input: Buffer.from(`{"value":"\u00c3\u00bc"}\n${line}\n`, "latin1"),
          env: { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
        })
        assert.deepStrictEqual([code, error.trim()], [1, "line 2: it is no UTF-8; 1 records before it are sent"])
      }
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa produce refuses a directory as its input, of which nothing is read",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      const { code, error } = yield* samsa(["produce", "orders"], {
        file: import.meta.dirname,
        env: { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
      })
      assert.deepStrictEqual([code, error.trim()], [2, "the input is a directory"])
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa produce that is interrupted tells how much is known to be sent",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      const ended = yield* Effect.callback<readonly [number | null, string]>((resume) => {
        const child = spawned(["produce", "orders", "--each"], { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") })
        let error = ""
        child.stderr.on("data", (chunk: Buffer) => void (error += chunk.toString()))
        child.stdout.once("data", () => child.kill("SIGINT"))
        child.once("close", (code) => resume(Effect.succeed([code, error.trim()])))
        child.stdin.write("a\nb\nc\n")
        return Effect.sync(() => child.kill("SIGKILL"))
      })
      assert.deepStrictEqual(ended, [130, "interrupted; 3 records are known to be sent"])
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa produce leaves it to the topic how long a record may be (of 1 MiB and more none was sent)",
  () =>
    Effect.gen(function* () {
      const config = { "max.message.bytes": "20000000" }
      const topics = [{ name: "large", config }, { name: "benched", config }, { name: "small" }]
      const broker = yield* EmbeddedKafka.make({ topics, listen: true })
      const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
      const input = `${"x".repeat(10_000_000)}\nshort\n`
      const [bench, large, small] = yield* Effect.all([
        samsa(["bench", "produce", "benched", "--size", "2000000", "--count", "1", "--json"], { env }),
        samsa(["produce", "large"], { input, env }),
        samsa(["produce", "small", "--log-level", "error"], { input, env })
      ])
      assert.strictEqual(bench.code, 0, bench.error)
      assert.deepStrictEqual([large.code, large.error.trim()], [0, "2 records"])
      assert.deepStrictEqual(
        (yield* broker.log("large")).map(({ value }) => value?.length),
        [10_000_000, 5]
      )
      assert.strictEqual(small.code, 1)
      assert.match(
        small.error,
        /^line 1: NotDelivered: .*MESSAGE_TOO_LARGE.*\(samsa config set topic small max\.message\.bytes=BYTES/
      )
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa produce whose broker is gone ends with 3, as what does not reach one",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], brokers: 1, listen: true })
      const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
      const gone = yield* Latch.make()
      const child = spawned(["produce", "orders", "--each", "--timeout", "2", "--log-level", "error"], env)
      child.stdout.once("data", () => gone.openUnsafe())
      const ending = yield* Effect.forkChild(ended(child), { startImmediately: true })
      child.stdin.write("a\n")
      yield* gone.await
      yield* broker.stop(1)
      child.stdin.write("b\n")
      const { code, error } = yield* Fiber.join(ending)
      assert.strictEqual(code, 3, error)
      assert.match(error, /line 2: NotDelivered: .*; 1 records before it are sent/)
    }).pipe(Effect.scoped),
  60_000
)
