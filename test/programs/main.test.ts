import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { EmbeddedKafka } from "samsa/testing"
import { spawn } from "node:child_process"
import * as path from "node:path"
import { KafkaConfig } from "samsa"

const root = path.join(import.meta.dirname, "../..")

/** Runs a program of the docs by itself; gives its process, what it prints, and how it ends. */
const runProgram = (file: string, args: ReadonlyArray<string>, env: Record<string, string> = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const redirect = path.join(import.meta.dirname, "redirect.mjs")
      const child = spawn(
        process.execPath,
        ["--conditions=samsa-source", `--import=${redirect}`, path.join(root, file), ...args],
        { cwd: root, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] }
      )
      let output = ""
      child.stdout.on("data", (chunk) => (output += chunk))
      child.stderr.on("data", (chunk) => (output += chunk))
      return {
        child,
        output: () => output,
        exitCode: Effect.callback<number | null>((resume) => {
          if (child.exitCode !== null) return resume(Effect.succeed(child.exitCode))
          child.on("exit", (code) => resume(Effect.succeed(code)))
        })
      }
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

it.live(
  "the main program bills the order, and on Ctrl-C commits, leaves the group and ends",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ listen: true, topics: ["orders"] })
      const port = KafkaConfig.parseAddress(broker.bootstrap[0]!)!.port
      const left = yield* Effect.forkScoped(broker.awaitRequest("LeaveGroup"), { startImmediately: true })
      const program = yield* runProgram("docs/examples/billing.ts", [], { SAMSA_TEST_PORT: `${port}` })
      yield* broker.awaitGroup("billing", { state: "Stable", members: 1 })
      yield* broker.awaitCommitted("billing", { topic: "orders", offset: 1 })
      program.child.kill("SIGINT")
      yield* program.exitCode
      assert.strictEqual(left.pollUnsafe()?._tag, "Success")
      assert.match(program.output(), /bill o-1: 42/)
      assert.deepStrictEqual((yield* broker.group("billing"))?.members ?? [], [])
      const [record] = yield* broker.log("orders")
      assert.strictEqual(Buffer.from(record!.value!).toString(), '{"id":"o-1","total":42}')
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "the demo handles what it produced, and says so by its exit code",
  () =>
    Effect.gen(function* () {
      const program = yield* runProgram("docs/examples/demo.ts", ["--records", "1000", "--seconds", "70"])
      const code = yield* program.exitCode
      assert.match(program.output(), /ok: 1000 produced, 1000 handled, 0 missing/)
      assert.strictEqual(code, 0)
    }).pipe(Effect.scoped),
  90_000
)

it.live(
  "the demo notices a record that a member loses",
  () =>
    Effect.gen(function* () {
      const program = yield* runProgram("docs/examples/demo.ts", ["--records", "500", "--lose", "--seconds", "70"])
      const code = yield* program.exitCode
      assert.match(program.output(), /FAILED: 500 produced, 499 handled, 1 missing/)
      assert.strictEqual(code, 1)
    }).pipe(Effect.scoped),
  90_000
)
