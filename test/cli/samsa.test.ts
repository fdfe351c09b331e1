/** The command on an embedded broker: its parts within this process, and a few as processes. */
import { spawnSync } from "node:child_process"
import { gzipSync } from "node:zlib"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { assert, it } from "@effect/vitest"
import { Cause, Console, Effect, Fiber, FileSystem, Runtime } from "effect"
import { TerminalCapabilities } from "effect/cli"
import { run as runSamsa } from "../../src/cli/commands.ts"
import { codes } from "../../src/ErrorCode.ts"
import { EmbeddedKafka, Fault } from "../../src/testing/index.ts"
import { shown } from "./ConsumerProtocol.ts"
import { type Child, ended, samsa, spawned, words } from "./Samsa.ts"

/** What a command has printed so far. */
interface Printed {
  readonly out: Array<string>
  readonly error: Array<string>
}

/** Runs it here: what it prints, whether it failed, and with which exit code. */
const here = (args: ReadonlyArray<string>, { error, out }: Printed = { out: [], error: [] }) =>
  Effect.suspend(() => {
    const captured = {
      ...globalThis.console,
      log: (...all: ReadonlyArray<unknown>) => void out.push(all.join(" ")),
      error: (...all: ReadonlyArray<unknown>) => void error.push(all.join(" "))
    }
    return (runSamsa(args, "0.0.0") as Effect.Effect<void, unknown>).pipe(
      Effect.provide(NodeServices.layer),
      Effect.provideService(Console.Console, captured),
      Effect.exit,
      Effect.map((exit) => ({
        failed: exit._tag === "Failure",
        code: exit._tag === "Success" ? 0 : Runtime.getErrorExitCode(Cause.squash(exit.cause)),
        out: out.join("\n"),
        error: error.join("\n")
      }))
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

it.live("samsa offsets reset prints what was reset, also where a partition is refused", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({ topics: [{ name: "orders", partitions: 2 }], listen: true })
    yield* broker.inject(Fault.on("OffsetCommit", { topic: "orders", partition: 1 }).error(28))
    const args = ["offsets", "reset", "g", "earliest", "-t", "orders", "--yes", "-b", broker.bootstrap.join(",")]
    const { code, error, out } = yield* here(args)
    assert.strictEqual(code, 1)
    assert.match(error, /^g: Server: INVALID_COMMIT_OFFSET_SIZE.*orders-1/)
    assert.deepStrictEqual(words(out).slice(1), [["orders", "0", "-", "0"]])
  }).pipe(Effect.scoped)
)

it.live("samsa offsets reset says so where what it planned to reset has gone (it ended with 0 and said nothing)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
    const run = (line: string) => here([...line.split(" "), "-b", broker.bootstrap.join(",")])
    assert.isFalse((yield* run("offsets reset g latest -t orders --yes")).failed)
    // The plan has seen them, and waits; then they are looked for again, which waits until they have gone.
    const planning = yield* broker.inject(Fault.on("ListOffsets").error(codes.LEADER_NOT_AVAILABLE))
    const resetting = yield* Effect.forkChild(run("offsets reset g earliest --yes"))
    yield* planning.await
    const doing = yield* broker.inject(Fault.on("OffsetFetch").error(codes.COORDINATOR_LOAD_IN_PROGRESS))
    yield* planning.remove
    yield* doing.await
    assert.isFalse((yield* run("groups delete g --yes")).failed)
    yield* doing.remove
    const { code, error, out } = yield* Fiber.join(resetting)
    assert.deepStrictEqual([code, out], [1, ""])
    assert.match(error, /^g has committed nothing that could be reset/)
  }).pipe(Effect.scoped)
)

it.live("samsa elect takes Kafka's own topics, too (it said that there is no __consumer_offsets)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({ topics: ["orders"], brokers: 3, asVersion: "4.4", listen: true })
    const b = ["-b", broker.bootstrap.join(",")]
    yield* here(["offsets", "reset", "g", "earliest", "-t", "orders", "--yes", ...b])
    const { code, error, out } = yield* here(["elect", "__consumer_offsets", "--json", ...b])
    assert.strictEqual(code, 0, error)
    assert.include(out, '{"topic":"__consumer_offsets","partition":0,"result":"not-needed"}')
  }).pipe(Effect.scoped)
)

it.live("samsa groups shows a group of the consumer protocol: its type, and the epoch of each member", () =>
  Effect.gen(function* () {
    const { bootstrap } = yield* EmbeddedKafka.make({ topics: [{ name: "orders", partitions: 2 }], listen: true })
    yield* shown(bootstrap, "orders", (line) =>
      Effect.map(here([...line.split(" "), "-b", bootstrap.join(",")]), ({ error, failed, out }) => {
        assert.isFalse(failed, `${line}: ${error}`)
        return out
      })
    )
  }).pipe(Effect.scoped)
)

it.live(
  "samsa ends with 4 where the cluster lets this user not in, or not do this",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({
        topics: ["orders"],
        listen: true,
        sasl: { users: { admin: "a-secret", alice: "b-secret" } }
      })
      const as = (user: string, password: string, ...args: ReadonlyArray<string>) =>
        here([...args, "-b", broker.bootstrap.join(","), "--user", user, "--password", password])
      const stranger = yield* as("alice", "wrong", "topics", "list")
      assert.strictEqual(stranger.code, 4, stranger.error)
      assert.match(stranger.error, /Unauthenticated.*KAFKA_SASL_PASSWORD say who logs in/s)
      const rule = yield* as("admin", "a-secret", "acls", "add", "topic", "orders", "User:admin", "all")
      assert.strictEqual(rule.code, 0, rule.error)
      const refused = yield* as("alice", "b-secret", "consume", "orders", "--from", "earliest", "--end")
      assert.strictEqual(refused.code, 4, refused.error)
      assert.match(refused.error, /samsa acls list shows who may do what/)
    }).pipe(Effect.scoped),
  120_000
)

it.live("samsa logs in nobody where its file says PLAINTEXT, whatever the environment has, but whom a flag names", () =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
    const file = yield* fs.makeTempFileScoped()
    yield* fs.writeFileString(
      file,
      `bootstrap.servers=PLAINTEXT://${broker.bootstrap[0]}\nsecurity.protocol=PLAINTEXT\nsasl.username=u\n`
    )
    const env = { KAFKA_SASL_USERNAME: "u", KAFKA_SASL_PASSWORD: "p" }
    // It was asked for its mechanism.
    const token = { KAFKA_SASL_MECHANISM: "OAUTHBEARER", KAFKA_SASL_TOKEN: "t" }
    const [listed, without, refused] = yield* Effect.all([
      samsa(["topics", "list", "-F", file, "--json"], { env }),
      samsa(["topics", "list", "-F", file, "--json"], { env: token }),
      samsa(["topics", "list", "-F", file, "--user", "u"], { env })
    ])
    for (const { code, error, out } of [listed, without])
      assert.deepStrictEqual([code, JSON.parse(out || "{}").name], [0, "orders"], error)
    assert.deepStrictEqual([refused.code, refused.out], [4, ""])
  }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
)

it.live(
  "samsa logs somebody in where its file says SASL_PLAINTEXT, or says that nobody is named (it let nobody log in)",
  () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      const listing = (more: string, ...args: ReadonlyArray<string>) =>
        Effect.gen(function* () {
          const file = yield* fs.makeTempFileScoped()
          yield* fs.writeFileString(file, `bootstrap.servers=${broker.bootstrap[0]}\n${more}`)
          return yield* here(["topics", "list", "-F", file, ...args])
        })
      const nobody = yield* listing("security.protocol=SASL_PLAINTEXT\n")
      assert.deepStrictEqual([nobody.code, nobody.out], [2, ""])
      assert.match(
        nobody.error,
        /security.protocol is SASL_PLAINTEXT, and nobody is named who logs in: sasl.jaas.config/
      )
      const other = yield* listing("security.protocol=SASL_SSL\nsasl.mechanism=GSSAPI\n")
      assert.deepStrictEqual([other.code, other.out], [2, ""])
      assert.match(other.error, /SASL_MECHANISM: Expected "PLAIN"/)
      const part = yield* listing("security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\n")
      assert.deepStrictEqual([part.code, part.out], [2, ""])
      assert.match(part.error, /sasl.username/)
      // By this broker, which has nobody log in, refused.
      const named = yield* listing("security.protocol=SASL_PLAINTEXT\n", "--user", "u", "--password", "p")
      assert.strictEqual(named.code, 4, named.error)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer))
)

it.live(
  "samsa --user logs in by the environment's mechanism beside a file that says PLAINTEXT (its password went by PLAIN), and by no token",
  () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const sasl = { mechanisms: ["SCRAM-SHA-256"], users: { u: "p" } } as const
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true, sasl })
      const file = yield* fs.makeTempFileScoped()
      yield* fs.writeFileString(file, `bootstrap.servers=${broker.bootstrap[0]}\nsecurity.protocol=PLAINTEXT\n`)
      const { code, error } = yield* samsa(["topics", "list", "-F", file, "--user", "u"], {
        env: { KAFKA_SASL_MECHANISM: "SCRAM-SHA-256", KAFKA_SASL_PASSWORD: "p", KAFKA_SASL_TOKEN: "t" }
      })
      assert.strictEqual(code, 0, error)
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
  60_000
)

it.live(
  "samsa tells what is wrong in a line",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      const b = ["-b", broker.bootstrap.join(",")]
      const cases: ReadonlyArray<readonly [code: number, args: ReadonlyArray<string>, error: RegExp]> = [
        [1, ["topics", "describe", "orders", "none", ...b], /none: UnknownTopic.*\(samsa topics list shows/],
        [2, ["consume", "x".repeat(40_000), ...b], /^Misconfigured: "x{100}" is no topic's name: 1 to 249 letters/],
        [2, ["groups", "describe", "x".repeat(40_000), ...b], /group must be a text of 1 to 32767 bytes/],
        [2, ["config", "get", "broker", "9", ...b], /no broker 9 is up, or has replicas/],
        [2, ["topics", "delete", "orders", ...b], /takes --yes/],
        [2, ["topics", "list", "-b", "127.0.0.1:1", "--timeout", "0"], /--timeout must be from 1/],
        [2, ["topics", "list", "-b", "127.0.0.1:1", "--timeout", "2147484"], /^--timeout must be from 1 to 2147483/],
        [3, ["topics", "list", "-b", "127.0.0.1:1", "--timeout", "1"], /127\.0\.0\.1:1.*is --bootstrap right/],
        [1, ["lag", "nobody", ...b], /GROUP_ID_NOT_FOUND.*samsa groups list/],
        [1, ["lag", "nobody", "--topic", "oders", ...b], /UnknownTopic: there is no topic "oders"/],
        [1, ["print_consumer_lag", "oders", "nobody", ...b], /UnknownTopic: there is no topic "oders"/],
        [1, ["print_managed_consumer_groups", "oders", ...b], /UnknownTopic: there is no topic "oders"/],
        [1, ["lag", "--watch", "--topic", "oders", ...b], /UnknownTopic: there is no topic "oders"/],
        [2, ["lag", "g", "--watch", "--every", "0", ...b], /--every must be from/],
        [2, ["consume", "orders", "--from", "middle", ...b], /middle is no position/],
        [2, ["consume", "orders", "--group", "g", "--end", ...b], /without --group/],
        [2, ["consume", "orders", "--until", "99", "--end", ...b], /--until and --end are two ends/],
        [2, ["consume", "orders", "-c", "0", ...b], /--count must be more than 0/],
        [2, ["produce", "orders", "-K", "|", "--json", ...b], /--key-separator is without --json/],
        [2, ["produce", "orders", "-Z", "--json", ...b], /--null and --null-text are without --json/],
        [2, ["produce", "orders", "--null-text", "nil", "--json", ...b], /--null and --null-text are without --json/],
        [1, ["consume_topic", "orders", "-o", "/no/such/dir/file", "-l", "1", ...b], /--outfile: ENOENT/],
        [2, ["offsets", "reset", "g", "somewhere", ...b], /somewhere is no position/],
        [2, ["offsets", "list", "orders", "5", ...b], /look up: earliest, latest, a time such/],
        [2, ["config", "set", "topic", "orders", "what", ...b], /what is no change/],
        [1, ["config", "set", "topic", "orders", "no.such=1", ...b], /INVALID_CONFIG/],
        [2, ["topics", "list", "-F", "/no/such/file", ...b], /ENOENT/],
        [2, ["topics", "lst"], /Unknown subcommand "lst"/],
        [2, ["topics", "list", "--timeout", "soon"], /timeout/],
        [2, ["config", "set", "topic", "orders", "retention.ms=1", "retention.ms=2", ...b], /^retention.ms is to be/],
        [
          2,
          ["topics", "create", "new", "-c", "retention.ms=1", "-c", "retention.ms=2", ...b],
          /retention.ms is given twice/
        ],
        [2, ["topics", "create", "new", "-c", "retention.ms", ...b], /retention.ms is no NAME=VALUE/],
        [1, ["offsets", "reset", "mistyped", "earliest", "--yes", ...b], /^mistyped has committed nothing/],
        [2, ["transactions", "list", "--longer-than", "-1", ...b], /^--longer-than must be/],
        [2, ["topics", "list", "--user", "x", ...b], /sasl.password is missing.*KAFKA_SASL_PASSWORD/],
        [2, ["reassign", "start", "orders-0", "--yes", ...b], /orders-0 must be like orders-0=1,2,3/],
        [2, ["reassign", "start", "--yes", ...b], /what is to move/],
        [1, ["reassign", "start", "orders-9=1", "--dry-run", ...b], /^orders-9: there is no such partition/],
        [1, ["reassign", "start", "orders-0=9", "--dry-run", ...b], /^orders-0: no broker 9 is up/],
        [2, ["reassign", "start", "orders-0=1,1", "--dry-run", ...b], /names a broker twice: 1, 1/],
        [1, ["reassign", "cancel", "orders-0", "--dry-run", ...b], /^orders-0: nothing is under way/],
        [1, ["elect", "orders-9", "--unclean", "--dry-run", ...b], /^orders-9: there is no such partition/],
        [2, ["reassign", "start", "--file", "/no/such", ...b], /--file: ENOENT/],
        [2, ["reassign", "cancel", "orders", "--yes", ...b], /orders must be like orders-0/],
        [2, ["elect", "\u001b[31mred", ...b], /^\\u001b\[31mred must be a topic/],
        [2, ["topics", "\u001b[31mred"], /Unknown subcommand "\\u001b\[31mred"/],
        [1, ["offsets", "reset", "a\nb", "earliest", "--yes", ...b], /^a\\u000ab has committed nothing/],
        [2, ["elect", "nothing", ...b], /nothing must be a topic that there is/],
        [2, ["acls", "delete", "--yes", ...b], /without any it would be all/],
        [2, ["acls", "add", "topic", "orders", "alice", "read", ...b], /principal must be like User:alice/],
        [
          2,
          ["acls", "add", "topic", "orders", "alice", "read", "--dry-run", ...b],
          /principal must be like User:alice/
        ],
        [2, ["reassign", "start", "orders-0=1", "orders-0=1", "--yes", ...b], /^orders-0 is named twice$/],
        [2, ["quotas", "set", "alice", "x=1", ...b], /alice is no user, client-id, ip/],
        [2, ["quotas", "set", "x=1", "y=2", ...b], /whose\?/],
        [2, ["quotas", "set", "user", "ip=1.2.3.4", ...b], /what\?/],
        [2, ["transactions", "abort", "orders", "1", ...b], /orders must be like orders-0/],
        [2, ["bench", "produce", "orders", "--count", "0", ...b], /--count must be from 1/]
      ]
      for (const [wanted, args, message] of cases) {
        const { code, error, out } = yield* here(args)
        assert.strictEqual(code, wanted, `${args.join(" ")}: ${error}`)
        assert.match(error, message, args.join(" "))
        // A line, and none of it in the output, which programs read.
        assert.notInclude(error, "\n", args.join(" "))
        if (args[0] !== "topics") assert.strictEqual(out, "", args.join(" "))
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

it.live(
  "samsa says what it did, or would do, a line each, with --json of JSON; --dry-run does nothing",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({
        topics: [{ name: "orders", partitions: 1 }],
        brokers: 2,
        listen: true
      })
      const said = (line: string) =>
        Effect.map(here([...line.split(" "), "-b", broker.bootstrap.join(",")]), ({ error, failed, out }) => {
          assert.isFalse(failed, `${line}: ${error}`)
          return out
        })
      const state = Effect.suspend(() =>
        Effect.all([
          said("topics list"),
          said("topics describe orders"),
          said("config get topic orders"),
          said("acls list"),
          said("quotas list"),
          said("users list"),
          said("groups list"),
          said("lag")
        ])
      )
      const b = broker.bootstrap.join(",")
      yield* samsa(["users", "set", "bob", "-b", b], { input: "secret" })
      yield* samsa(["produce", "orders", "-b", b], { input: "a" })
      yield* said("consume orders --group g --from earliest -c 1")
      yield* said("acls add topic kept User:a read")
      for (const [line, wanted] of [
        ["topics create x -c follower.replication.throttled.replicas=", "created x"],
        ["topics add-partitions orders 3", "gave partitions to orders"],
        // What is named twice is told once.
        ["topics delete orders orders --yes", "deleted orders"],
        ["delete_topic orders", "deleted orders"],
        ["groups delete g g --yes", "deleted g"],
        ["acls delete --name kept --yes", "deleted allow User:a read on literal topic kept"],
        ["users delete bob --yes", "deleted SCRAM-SHA-512 of bob"],
        ["elect orders-0 orders:0 --unclean --yes", ""],
        ["config set topic orders retention.ms=1", "changed topic orders"],
        ["quotas set user=a producer_byte_rate=1", "set user=a producer_byte_rate=1"],
        ["acls add topic orders User:a read read", "added allow User:a read on literal topic orders"]
      ] as const) {
        const before = yield* state
        const would = yield* said(`${line} --dry-run --json`)
        assert.match(would, /^\{"would [a-z ]+":"[^"]+"\}$/, line)
        assert.match(yield* said(`${line} --dry-run`), /^would /, line)
        assert.deepStrictEqual(yield* state, before, line)
        if (/delete|elect/.test(line)) continue
        assert.strictEqual(yield* said(line), wanted)
      }
      yield* said("acls delete --name orders --yes")
      const before = yield* state
      for (const line of ["offsets reset g earliest --yes", "reset_offsets orders g earliest"])
        assert.strictEqual(
          (yield* said(`${line} --dry-run --json`)).split("\n")[0],
          '{"topic":"orders","partition":0,"from":1,"to":0}',
          line
        )
      const notes = yield* samsa(["users", "set", "bob", "-b", b], { input: Buffer.from([0xff, 0xfe]) })
      assert.deepStrictEqual([notes.code, notes.error.trim()], [2, "the password is no UTF-8"])
      assert.deepStrictEqual(yield* state, before)
      assert.strictEqual(yield* said("reassign start orders-0=2,1 --yes --json"), '{"moving":"orders-0"}')
      assert.strictEqual(yield* said("topics delete orders --yes --json"), '{"deleted":"orders"}')
    }).pipe(Effect.scoped),
  120_000
)

it.live(
  "samsa produce takes gzip'd lines, texts for null and odd bytes, and says where what was sent has gone",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: [{ name: "orders", partitions: 1 }, "copy"], listen: true })
      const env = { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") }
      const raw = Buffer.from([0x6b, 0x3a, 0xff, 0xfe, 0x0a])
      const headers = ["-H", "h=1", "-H", "h=2", "-H", "empty=", "-H", "none"]
      const zipped = yield* samsa(["produce", "orders", "-K", ":", "--null-text", "nil", "--each", ...headers], {
        input: gzipSync(Buffer.concat([Buffer.from("a:1\nb:nil\r\n"), raw])),
        env
      })
      assert.deepStrictEqual([zipped.code, zipped.error.trim()], [0, "3 records"])
      assert.deepStrictEqual(
        zipped.out
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line)),
        [0, 1, 2].map((offset) => ({ topic: "orders", partition: 0, offset }))
      )
      const read = yield* samsa(["consume", "orders", "-o", "earliest", "-e", "--json", "--null-text", "nil"], { env })
      assert.deepStrictEqual(JSON.parse(read.out.split("\n")[0]!).headers, [
        ["h", "1"],
        ["h", "2"],
        ["empty", ""],
        ["none", null]
      ])
      const copied = yield* samsa(["produce", "copy", "--json"], { input: read.out, env })
      assert.deepStrictEqual(JSON.parse(copied.out), { topic: "copy", partition: 0, records: 3, first: 0, last: 2 })
      const values = (topic: string) =>
        Effect.map(broker.log(topic), (all) => all.map(({ key, value }) => [key, value]))
      assert.deepStrictEqual(yield* values("copy"), yield* values("orders"))
      const { out } = yield* here([
        "consume",
        "copy",
        "-o",
        "earliest",
        "-c",
        "2",
        "-f",
        "%k=%s",
        "--null-text",
        "nil",
        "-b",
        env.KAFKA_BOOTSTRAP
      ])
      assert.strictEqual(out, "a=1\nb=nil")

      const before = (yield* values("orders")).length
      const [cut, sent, bad] = yield* Effect.all([
        samsa(["produce", "orders"], { input: gzipSync("x\n".repeat(9)).subarray(0, 15), env }),
        // What is unzipped before the end is missed may be there by then, or not.
        Effect.map(values("orders"), ({ length }) => length - before),
        samsa(["produce", "orders", "--json"], { input: '{"value":"1"}\n{"value":2}\n', env })
      ])
      assert.strictEqual(cut.code, 1)
      assert.include(cut.error, `the input: unexpected end of file; ${sent} records before it are sent`)
      assert.strictEqual(bad.code, 1)
      assert.match(bad.error, /line 2: value must be null or a text; 1 records before it are sent/)
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa lag --watch tells it again and again: lines in a pipe, bars and colours on a terminal",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: [{ name: "orders", partitions: 2 }], listen: true })
      const b = ["-b", broker.bootstrap.join(",")]
      const sent = yield* here(["bench", "produce", "orders", "-c", "1000", "--json", ...b])
      assert.deepInclude(JSON.parse(sent.out), { records: 1000, bytes: 100_000 })
      assert.deepInclude(JSON.parse((yield* here(["bench", "consume", "orders", "--json", ...b])).out), {
        records: 1000
      })
      yield* here(["consume", "orders", "--group", "odd\u001b[2Jname", "--from", "earliest", "-c", "1000", ...b])
      yield* here(["offsets", "reset", "odd\u001b[2Jname", "earliest", "--yes", ...b])

      const twice = (args: ReadonlyArray<string>, wanted: (printed: Printed) => boolean) =>
        Effect.gen(function* () {
          const printed: Printed = { out: [], error: [] }
          const watching = yield* Effect.forkChild(here([...args, "--watch", "--every", "0.1", ...b], printed))
          yield* Effect.sleep("20 millis").pipe(Effect.repeat({ until: () => wanted(printed) }))
          yield* Fiber.interrupt(watching)
          return printed.out
        })
      const lines = yield* twice(["lag"], ({ out }) => out.length >= 4)
      assert.match(lines[0]!, /^\d{4}-\d\d-\d\dT\S+ odd\\u001b\[2Jname orders [01] 0 \d+ \d+$/)
      const asJson = yield* twice(["lag", "-t", "orders", "--json"], ({ out }) => out.length >= 2)
      assert.strictEqual(JSON.parse(asJson[1]!).total, 1000)
      const drawn = yield* twice(["lag"], ({ out }) => out.length >= 3).pipe(
        Effect.provideService(TerminalCapabilities.TerminalCapabilities, {
          canColor: true,
          canAnimate: true,
          canPrompt: false
        })
      )
      assert.match(drawn[2]!, /odd\\u001b\[2Jname: Empty, 1,000 behind/)
      assert.include(drawn[2]!, "█")
      assert.include(drawn[2]!, "\u001b[31m")
      // A group that is not there is told each time, and looked for again.
      const printed: Printed = { out: [], error: [] }
      const watching = yield* Effect.forkChild(here(["lag", "nobody", "--watch", "--every", "0.1", ...b], printed))
      yield* Effect.sleep("20 millis").pipe(Effect.repeat({ until: () => printed.error.length >= 2 }))
      yield* Fiber.interrupt(watching)
      assert.match(printed.error[1]!, /GROUP_ID_NOT_FOUND/)
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa ends with 0 where a signal is the end that was meant, else with the signal's number; a closed pipe is no failure",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      const b = ["-b", broker.bootstrap.join(",")]
      yield* here(["bench", "produce", "orders", "-c", "2000", ...b])
      const ended = (args: ReadonlyArray<string>, how: (child: Child) => void) =>
        Effect.callback<number | null>((resume) => {
          const child = spawned([...args, ...b])
          how(child)
          child.once("close", (code) => resume(Effect.succeed(code)))
          return Effect.sync(() => child.kill("SIGKILL"))
        })
      const onOutput = (signal: NodeJS.Signals) => (child: Child) => child.stdout.once("data", () => child.kill(signal))
      const codes = yield* Effect.all(
        [
          ended(["consume", "orders", "-o", "earliest"], onOutput("SIGINT")),
          ended(["consume", "orders", "-o", "earliest", "-c", "1000000"], onOutput("SIGINT")),
          ended(["consume", "orders", "-o", "earliest", "-c", "1000000"], onOutput("SIGTERM")),
          ended(["consume", "orders", "-o", "earliest", "--end"], (child) =>
            child.stdout.once("data", () => child.stdout.destroy())
          )
        ],
        { concurrency: 2 }
      )
      assert.deepStrictEqual(codes, [0, 130, 143, 0])
    }).pipe(Effect.scoped),
  120_000
)

it.live(
  "samsa that is interrupted amid a change says what may have been done (130, and not a word)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true })
      const b = ["-b", broker.bootstrap.join(",")]
      const lost = yield* broker.inject(Fault.on("DeleteTopics").withhold)
      const child = spawned(["topics", "delete", "orders", "none", "--yes", ...b])
      const ending = yield* Effect.forkChild(ended(child), { startImmediately: true })
      yield* lost.await
      child.kill("SIGINT")
      assert.deepStrictEqual(yield* Fiber.join(ending), {
        code: 130,
        error: "interrupted; DeleteTopics of orders, none was sent and not answered: it may have been done\n"
      })
    }).pipe(Effect.scoped),
  60_000
)

it.live("what is interrupted is told by what is done and what may be; of what changes nothing, nothing is", () =>
  Effect.gen(function* () {
    const topics = [{ name: "orders", partitions: 2 }]
    const broker = yield* EmbeddedKafka.make({ topics, brokers: 2, listen: true })
    const interruptedAt = (api: Fault.Api, match: Fault.Match, line: string) =>
      Effect.gen(function* () {
        const held = yield* broker.inject(Fault.on(api, match).withhold)
        const printed: Printed = { out: [], error: [] }
        const running = yield* Effect.forkChild(here([...line.split(" "), "-b", broker.bootstrap.join(",")], printed))
        yield* held.await
        yield* Fiber.interrupt(running)
        yield* held.remove
        return printed.error
      })
    assert.deepStrictEqual(yield* interruptedAt("Metadata", {}, "topics list"), [])
    assert.deepStrictEqual(yield* interruptedAt("CreateTopics", {}, "topics create new --dry-run"), [])
    assert.deepStrictEqual(yield* interruptedAt("CreateTopics", {}, "topics create new"), [
      "interrupted; CreateTopics of new was sent and not answered: it may have been done"
    ])
    // Both were sent together, and refused as too many for a request: the second is not asked for again yet.
    const many = yield* interruptedAt("CreateTopics", { nth: 2 }, "topics create many more -p 6000")
    assert.deepStrictEqual(many, ["interrupted; CreateTopics of many was sent and not answered: it may have been done"])
    const reset = yield* interruptedAt("OffsetCommit", {}, "offsets reset g earliest -t orders --yes")
    assert.deepStrictEqual(reset, [
      "interrupted; OffsetCommit of orders-0, orders-1 was sent and not answered: it may have been done"
    ])
    // Asked for again is what was refused alone.
    yield* broker.inject(
      Fault.on("OffsetCommit", { topic: "orders", partition: 1, times: 1 }).error(codes.COORDINATOR_LOAD_IN_PROGRESS)
    )
    const half = yield* interruptedAt("OffsetCommit", {}, "offsets reset g earliest -t orders --yes")
    assert.deepStrictEqual(half, [
      "interrupted; OffsetCommit of orders-0 is done; OffsetCommit of orders-1 was sent and not answered: it may have been done"
    ])
    // Who the members are is asked where it was refused: what is done by then was not told.
    yield* broker.inject(
      Fault.on("OffsetCommit", { topic: "orders", partition: 1, times: 1 }).error(codes.UNKNOWN_MEMBER_ID)
    )
    const refused = yield* interruptedAt(
      "ConsumerGroupDescribe",
      { nth: 3 },
      "offsets reset g earliest -t orders --yes"
    )
    assert.deepStrictEqual(refused, ["interrupted; OffsetCommit of orders-0 is done"])
    // Both were deleted, and the answer was lost: one says that it is not there, the other cannot say.
    yield* here(["topics", "create", "twice", "-b", broker.bootstrap.join(",")])
    yield* broker.inject(Fault.on("DeleteTopics", { times: 1 }).loseResponse)
    yield* broker.inject(Fault.on("DeleteTopics", { topic: "orders", times: 1 }).error(codes.REQUEST_TIMED_OUT))
    const lost = yield* interruptedAt("DeleteTopics", {}, "topics delete twice orders --yes")
    assert.deepStrictEqual(lost, [
      "interrupted; DeleteTopics of twice, orders was sent and not answered: it may have been done"
    ])
  }).pipe(Effect.scoped)
)

it.live("samsa acls says from where a rule lets somebody in (two rules read alike, and as if from anywhere)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.make({ listen: true })
    const run = (line: string) => here([...line.split(" "), "-b", broker.bootstrap.join(",")])
    const added = yield* run("acls add topic orders User:alice read --host 10.0.0.7")
    assert.strictEqual(added.out, "added allow User:alice read on literal topic orders from 10.0.0.7")
    yield* run("acls add topic orders User:alice read")
    const { out } = yield* run("acls delete --principal User:alice --dry-run")
    assert.deepStrictEqual(out.split("\n").sort(), [
      "would delete allow User:alice read on literal topic orders",
      "would delete allow User:alice read on literal topic orders from 10.0.0.7"
    ])
    // Nothing was said of what had been deleted, where the answer was lost.
    yield* broker.inject(Fault.on("DeleteAcls" as Fault.Api, { times: 1 }).loseResponse)
    const deleted = yield* run("acls delete --principal User:alice --host 10.0.0.7 --yes")
    assert.deepStrictEqual(
      [deleted.code, deleted.out, deleted.error],
      [
        0,
        "",
        "gone by then, perhaps by an earlier try of this command, whose answer was lost: allow User:alice read on literal topic orders from 10.0.0.7"
      ]
    )
  }).pipe(Effect.scoped)
)

it.live(
  "samsa users set takes a password as it is: who has it logs in (ligatures and fractions were taken apart, and nobody did)",
  () =>
    Effect.gen(function* () {
      const sasl = { mechanisms: ["SCRAM-SHA-512"], users: { u: "p" } } as const
      const broker = yield* EmbeddedKafka.make({ topics: ["orders"], listen: true, sasl })
      const logIn = (user: string, password: string) => [
        "-b",
        broker.bootstrap.join(","),
        "--mechanism",
        "SCRAM-SHA-512",
        "--user",
        user,
        "--password",
        password
      ]
      const password = "\ufb01ve \u00bd"
      const set = yield* samsa(["users", "set", "alice", ...logIn("u", "p")], { input: `${password}\n` })
      assert.deepInclude(set, { code: 0, error: "" })
      const listed = yield* here(["topics", "list", "--json", ...logIn("alice", password)])
      assert.deepInclude(listed, { code: 0, error: "" })
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa users set takes the first line of an input that stays open (EAGAIN ended it, where its writer was slow, too)",
  () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ listen: true })
      const child = spawned(["users", "set", "bob"], { KAFKA_BOOTSTRAP: broker.bootstrap.join(",") })
      child.stdin.write("secret\nmore")
      assert.deepStrictEqual(yield* ended(child), { code: 0, error: "" })
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa --completions has a shell complete commands, subcommands and flags",
  () =>
    Effect.gen(function* () {
      const { code, error, out } = yield* samsa(["--completions", "bash"])
      assert.strictEqual(code, 0, error)
      const typed = (...words: ReadonlyArray<string>) =>
        `COMP_LINE="samsa ${words.join(" ")}"; COMP_WORDS=($COMP_LINE); COMP_CWORD=${words.length}; ` +
        `_samsa samsa "${words.at(-1)}"; echo "\${COMPREPLY[*]}"`
      const asked = [typed("off"), typed("offsets", "re"), typed("offsets", "reset", "--dr")]
      const shell = spawnSync("bash", ["-c", [out, ...asked].join("\n")], { encoding: "utf8" })
      assert.deepStrictEqual(shell.stdout.trim().split("\n"), ["offsets", "reset", "--dry-run"], shell.stderr)
    }),
  60_000
)
