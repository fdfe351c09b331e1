/** The command on an embedded broker: its parts within this process, and a few as processes. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Console, Effect } from "effect"
import { run as runSamsa } from "../../src/cli/commands.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { samsa, words } from "./Samsa.ts"

/** Runs it here: what it prints, and whether it failed. */
const here = (args: ReadonlyArray<string>) =>
  Effect.suspend(() => {
    const [out, error]: [Array<string>, Array<string>] = [[], []]
    const captured = {
      ...globalThis.console,
      log: (...all: ReadonlyArray<unknown>) => void out.push(all.join(" ")),
      error: (...all: ReadonlyArray<unknown>) => void error.push(all.join(" "))
    }
    return (runSamsa(args, "0.0.0") as Effect.Effect<void, unknown>).pipe(
      Effect.provide(NodeServices.layer),
      Effect.provideService(Console.Console, captured),
      Effect.exit,
      Effect.map((exit) => ({ failed: exit._tag === "Failure", out: out.join("\n"), error: error.join("\n") }))
    )
  })

it.live(
  "samsa makes topics, sends, reads, tells lag and resets, as tables and as JSON",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: [{ name: "orders", partitions: 2 }], listen: true })
      const bootstrap = broker.bootstrap.join(",")
      const run = (line: string) =>
        Effect.map(here([...line.split(" "), "-b", bootstrap]), ({ error, failed, out }) => {
          assert.isFalse(failed, `${line}: ${error}`)
          return out
        })
      const [sent] = yield* Effect.all(
        [
          samsa(["produce", "orders", "-K", ":", "-Z", "-H", "h=x"], {
            input: "a:1\nb:2\na:\n",
            env: { KAFKA_BOOTSTRAP: bootstrap }
          }),
          run("topics create new -p 3 -c retention.ms=5")
        ],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual([sent.code, sent.out, sent.error.trim()], [0, "", "3 records"])
      assert.deepStrictEqual(words(yield* run("topics list")).slice(1), [
        ["new", "3", "1"],
        ["orders", "2", "1"]
      ])
      assert.deepInclude(JSON.parse(yield* run("config get topic new --json")), {
        name: "retention.ms",
        value: "5",
        source: "topic"
      })
      yield* run("config set topic new retention.ms- cleanup.policy=compact")
      assert.deepInclude(JSON.parse(yield* run("config get topic new --json")), {
        name: "cleanup.policy",
        value: "compact"
      })
      const read = yield* run("consume orders --from earliest --end -f %k=%s")
      assert.deepStrictEqual(read.split("\n").sort(), ["a=1", "a=NULL", "b=2"])
      const ends = words(yield* run("print_offsets orders latest"))
        .slice(1)
        .map(([, end]) => Number(end))
      assert.strictEqual(ends[0]! + ends[1]!, 3)
      const json = yield* run("consume orders -o earliest -e -p 1 --json")
      const inOne = json === "" ? [] : json.split("\n").map((line) => JSON.parse(line))
      assert.strictEqual(inOne.length, ends[1])
      for (const record of inOne) assert.deepStrictEqual(record.headers, [["h", "x"]])

      assert.strictEqual((yield* run("consume orders --group g --from earliest -c 3")).split("\n").length, 3)
      assert.strictEqual(JSON.parse(yield* run("lag g --json")).total, 0)
      assert.deepStrictEqual(words(yield* run("groups list")).slice(1), [["g", "classic", "Empty", "consumer", "1"]])
      yield* run("offsets reset g earliest --dry-run")
      assert.strictEqual(JSON.parse(yield* run("lag g --json")).total, 0)
      yield* run("offsets reset g earliest --yes")
      assert.strictEqual(JSON.parse(yield* run("lag g --json")).total, 3)
      yield* run("reset_offsets orders g latest")
      assert.match(yield* run("print_consumer_lag orders g"), /^g: Empty, 0 records behind/)
      yield* run("topics add-partitions new 4")
      assert.strictEqual(words(yield* run("desc_topic new")).length, 5)
      assert.match(yield* run("print_managed_consumer_groups orders"), /\bg\b/)
      assert.strictEqual(JSON.parse(yield* run("brokers --json")).brokers.length, 1)
      assert.match(yield* run("apis"), /Fetch/)
      assert.match(yield* run("topics delete new --dry-run"), /would delete new/)
      yield* run("topics delete new --yes")
      yield* run("create_topic old -p 2")
      yield* run("delete_topic old")
      yield* run("groups delete g --yes")
      assert.deepStrictEqual(words(yield* run("print_topics")).slice(1), [["orders", "2", "1"]])
    }).pipe(Effect.scoped),
  120_000
)

it.live(
  "samsa tells what is wrong in a line",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      const b = ["-b", broker.bootstrap.join(",")]
      const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, error: RegExp]> = [
        [["topics", "describe", "orders", "none", ...b], /none: UnknownTopic/],
        [["topics", "delete", "orders", ...b], /takes --yes/],
        [["topics", "list", "-b", "127.0.0.1:1", "--timeout", "0"], /--timeout must be more than 0/],
        [["lag", "nobody", ...b], /GROUP_ID_NOT_FOUND/],
        [["consume", "orders", "--from", "middle", ...b], /middle is no position/],
        [["consume", "orders", "--group", "g", "--end", ...b], /without --group/],
        [["consume", "orders", "-c", "0", ...b], /--count must be more than 0/],
        [["offsets", "reset", "g", "somewhere", ...b], /somewhere is no position/],
        [["offsets", "list", "orders", "5", ...b], /5 is no position to look up/],
        [["config", "set", "topic", "orders", "what", ...b], /what is no change/],
        [["config", "set", "topic", "orders", "no.such=1", ...b], /INVALID_CONFIG/],
        [["topics", "list", "-F", "/no/such/file", ...b], /ENOENT/],
        [["topics", "lst"], /Unknown subcommand "lst"/]
      ]
      for (const [args, wanted] of cases) {
        const { error, failed } = yield* here(args)
        assert.isTrue(failed, args.join(" "))
        assert.match(error, wanted, args.join(" "))
      }
      const [refused, help] = yield* Effect.all(
        [samsa(["topics", "describe", "none"], { env: { KAFKA_BOOTSTRAP: b[1]! } }), samsa(["--help"])],
        { concurrency: "unbounded" }
      )
      assert.strictEqual(refused.code, 1)
      assert.match(refused.error, /none: UnknownTopic/)
      assert.strictEqual(help.code, 0)
      for (const name of ["consume", "lag", "print_consumer_lag"]) assert.include(help.out, name)
    }).pipe(Effect.scoped),
  120_000
)
