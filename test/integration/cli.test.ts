/** The command on a real broker, beside Java's tools and kcat. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { shown } from "../cli/ConsumerProtocol.ts"
import { onTerminal, samsa, words } from "../cli/Samsa.ts"
import { begin, eventually, tool, withAdmin, write } from "./Admins.ts"
import * as JavaTools from "./JavaTools.ts"
import * as KafkaServer from "./KafkaServer.ts"
import * as Processes from "./Processes.ts"

const properties = {
  "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
  "super.users": "User:ANONYMOUS"
}

/** Runs it, with an input, against the broker of the test; fails where it does. */
const run = (args: string | ReadonlyArray<string>, input?: string | Uint8Array) =>
  Effect.gen(function* () {
    const { bootstrap } = yield* KafkaServer.KafkaServer
    const words = typeof args === "string" ? args.split(" ") : args
    const { code, error, out } = yield* samsa(words, {
      env: { KAFKA_BOOTSTRAP: bootstrap.join(",") },
      ...(input === undefined ? {} : { input })
    })
    assert.strictEqual(code, 0, `${words.join(" ")}: ${error}`)
    return out.trim()
  })

layer(Layer.merge(KafkaServer.layer({ version: "4.4.0", properties }), JavaTools.layer), { excludeTestServices: true })(
  "samsa on Kafka 4.4.0",
  (it) => {
    it.effect("makes topics, sends, reads as a group, tells its lag and resets it, as Java's tools see it", () =>
      Effect.gen(function* () {
        const { bootstrap } = yield* KafkaServer.KafkaServer
        yield* run("topics create orders -p 2 -c cleanup.policy=compact")
        const java = yield* tool("TopicCommand", "--describe", "--topic", "orders")
        assert.match(java, /PartitionCount: 2\s+ReplicationFactor: 1\s+Configs: .*cleanup\.policy=compact/)
        yield* run("produce orders -K : -Z", "a:1\nb:2\na:\n")
        const read = yield* run("consume orders --group billing --from earliest -c 3 -f %k=%s")
        assert.deepStrictEqual(read.split("\n").sort(), ["a=1", "a=NULL", "b=2"])
        const lines = (table: string) =>
          words(table)
            .filter((line) => line.includes("orders"))
            .map((line) => line.slice(line.indexOf("orders"), line.indexOf("orders") + 5))
            .sort(([, a], [, b]) => Number(a) - Number(b))
        const lag = Effect.all([run("lag billing"), tool("ConsumerGroupCommand", "--describe", "--group", "billing")])
        for (const reset of ["earliest", "latest"]) {
          yield* run(`offsets reset billing ${reset} -t orders --yes`)
          const [ours, theirs] = yield* lag
          assert.deepStrictEqual(lines(ours), lines(theirs))
          assert.strictEqual(lines(ours).length, 2)
        }
        const { code, error } = yield* samsa(["topics", "create", "orders"], {
          env: { KAFKA_BOOTSTRAP: bootstrap.join(",") }
        })
        assert.strictEqual(code, 1)
        assert.match(error, /orders: Server: TOPIC_ALREADY_EXISTS \(36\): Topic 'orders' already exists\./)
      })
    )

    it.effect("shows a group of the consumer protocol: its type, and the epoch of each member", () =>
      Effect.gen(function* () {
        const { bootstrap } = yield* KafkaServer.KafkaServer
        yield* run("topics create modern -p 2")
        yield* shown(bootstrap, "modern", run)
      })
    )

    it.effect("resets a group, whose next consumer, of Java, begins there", () =>
      Effect.gen(function* () {
        const { bootstrap } = yield* KafkaServer.KafkaServer
        const tools = yield* JavaTools.JavaTools
        yield* run("topics create replayed -p 1")
        yield* run("produce replayed", "v0\nv1\nv2\nv3\nv4\n")
        yield* run("consume replayed --group replaying --from earliest -c 5")
        const java = (count: number) =>
          Effect.map(
            tools.run(
              "kafka.tools.ConsoleConsumer",
              "--bootstrap-server",
              bootstrap.join(","),
              "--topic",
              "replayed",
              "--group",
              "replaying",
              "--max-messages",
              String(count),
              "--timeout-ms",
              "60000"
            ),
            (text) => text.split("\n").filter((line) => /^v\d$/.test(line))
          )
        yield* run("offsets reset replaying 3 --yes")
        assert.deepStrictEqual(yield* java(2), ["v3", "v4"])
        yield* run("offsets reset replaying -4 --yes")
        // It counts what a process has read, the two of before too.
        assert.deepStrictEqual(yield* java(2 + 4), ["v1", "v2", "v3", "v4"])
      })
    )

    it.effect("prints records as kcat does, by the same formats", () =>
      Effect.gen(function* () {
        const { bootstrap } = yield* KafkaServer.KafkaServer
        yield* run("topics create formats -p 1")
        const kcat = (args: ReadonlyArray<string>, input?: string | Uint8Array) =>
          Processes.run(
            ["kcat", "-b", bootstrap.join(","), "-t", "formats", ...args],
            input === undefined ? {} : { input }
          )
        yield* kcat(["-P", "-K", ":", "-Z", "-H", "h=1", "-H", "é=2"], "a:eins\nb:\n:zwei drei\nü:%s\n")
        yield* run(["produce", "formats", "-K", ":", "-Z"], "samsa:a\tb\nsamsa:\n")
        // Bytes that are no text: each writes some, and both print them as they are.
        yield* kcat(["-P"], Buffer.from([0xff, 0xfe, 0x0a]))
        yield* run(["produce", "formats"], Buffer.from([0xc3, 0x28, 0x0a]))
        for (const [format, theirs, ours] of [
          ["%s\\n", [], ["--null-text", ""]],
          ["%t[%p] %o %k=%s\\n", ["-Z"], []],
          ["%K %S %h %T\\n", ["-Z"], []],
          ["\\x41\\t%%s 100%% {%k}\\n--\\n", ["-Z"], []],
          ["%o;", ["-Z"], []]
        ] as const) {
          const [expected, printed] = yield* Effect.all(
            [
              kcat(["-C", "-o", "beginning", "-e", "-q", "-f", format, ...theirs]),
              run(["consume", "formats", "-o", "earliest", "-e", "-f", format, ...ours])
            ],
            { concurrency: 2 }
          )
          // Ours ends each record with a line, kcat's where the format says so.
          assert.strictEqual(format.endsWith("n") ? printed : printed.replaceAll("\n", ""), expected.trim(), format)
        }
      })
    )

    it.effect("tells of an open transaction, and ends it, so that what is committed behind it is read", () =>
      Effect.gen(function* () {
        yield* run("topics create ledger -p 1")
        const place = { topic: "ledger", partition: 0 }
        const { producerEpoch, producerId } = yield* withAdmin(
          Effect.gen(function* () {
            const producer = yield* begin("transfer-1", "ledger")
            yield* write("transfer-1", { ...place, ...producer })
            return producer
          })
        )
        yield* run("produce ledger", "behind\n")
        const read = run("consume ledger -o earliest -e -f %s")
        assert.strictEqual(yield* read, "")
        assert.include(yield* run("consume ledger -o earliest -e -f %s --isolation uncommitted"), "behind")
        const [listed, described, writers] = yield* Effect.all(
          [
            run("transactions list --state Ongoing --json"),
            run("transactions describe transfer-1"),
            run("transactions producers ledger-0 --json")
          ],
          { concurrency: 2 }
        )
        assert.deepInclude(JSON.parse(listed), { transactionalId: "transfer-1", state: "Ongoing", producerId })
        assert.deepStrictEqual(words(described)[1]!.slice(0, 5), [
          "transfer-1",
          "Ongoing",
          String(producerId),
          String(producerEpoch),
          "60000"
        ])
        const open = writers.split("\n").map((line) => JSON.parse(line))
        const hanging = open.find(({ transactionStart }) => transactionStart === 0)
        assert.deepInclude(hanging, { ...place, producerId, lastSequence: 0 })
        assert.match(yield* run("transactions abort ledger-0 0 --dry-run"), /would abort/)
        assert.strictEqual(yield* read, "")
        yield* run("transactions abort ledger-0 0 --yes")
        yield* eventually(read, (text) => text === "behind")
      })
    )

    it.effect("on a terminal it asks before it destroys, draws and paints; a key that ends it is told", () =>
      Effect.gen(function* () {
        const { bootstrap } = yield* KafkaServer.KafkaServer
        const env = { KAFKA_BOOTSTRAP: bootstrap.join(",") }
        yield* run("topics create asked -p 1")
        const deletes = (key: string) =>
          onTerminal(["topics", "delete", "asked"], [["delete asked with all records?", key]], env)
        const [no, none, interrupted, list, plain, watched] = yield* Effect.all(
          [
            deletes("n"),
            deletes("\r"),
            deletes("\u0003"),
            onTerminal(["topics", "list"], [], env),
            onTerminal(["topics", "list"], [], { ...env, NO_COLOR: "1" }),
            onTerminal(["lag", "--watch"], [["\u001b[J", "\u0003"]], env)
          ],
          { concurrency: 2 }
        )
        for (const { code, out } of [no, none, interrupted]) {
          assert.strictEqual(code, 1)
          // The cursor is shown again.
          assert.isTrue(out.endsWith("\u001b[?25hnothing was done\r\n"), out)
        }
        assert.isTrue(list.out.startsWith("\u001b[1mTOPIC\u001b[0m "), list.out)
        assert.match(plain.out, /^TOPIC +PARTITIONS +REPLICAS\r\n/)
        assert.notInclude(plain.out, "\u001b")
        assert.include(plain.out, "asked ")
        assert.strictEqual(watched.code, 0)
        assert.isTrue(watched.out.startsWith("\u001b[2J\r\n\u001b[H"), watched.out)
        const yes = yield* deletes("y")
        assert.deepStrictEqual([yes.code, yes.out.endsWith("deleted asked\r\n")], [0, true])
        yield* eventually(run("topics list --json"), (text) => !text.includes('"asked"'))
      })
    )

    it.effect("changes rules, users, quotas and leaders, as Java's tools see them", () =>
      Effect.gen(function* () {
        yield* run("topics create ruled -p 2")
        yield* Effect.all(
          [
            run("acls add topic ruled User:alice read describe"),
            run("acls add group app- User:alice read --prefixed --deny"),
            run("users set alice --iterations 4096", "secret\n"),
            run("quotas set user=alice client-id producer_byte_rate=1048576 request_percentage=12.5")
          ],
          { concurrency: 2 }
        )
        const rules = yield* eventually(
          tool("AclCommand", "--list", "--principal", "User:alice"),
          (text) => text.split("principal=User:alice").length === 4
        )
        for (const rule of [
          /resourceType=TOPIC, name=ruled, patternType=LITERAL/,
          /operation=READ, permissionType=ALLOW/,
          /operation=DESCRIBE, permissionType=ALLOW/,
          /resourceType=GROUP, name=app-, patternType=PREFIXED/,
          /operation=READ, permissionType=DENY/
        ])
          assert.match(rules, rule)
        const entity = (...args: ReadonlyArray<string>) => tool("ConfigCommand", "--describe", ...args)
        yield* eventually(entity("--entity-type", "users", "--entity-name", "alice"), (text) =>
          /SCRAM-SHA-512=iterations=4096/.test(text)
        )
        yield* eventually(
          entity("--entity-type", "users", "--entity-name", "alice", "--entity-type", "clients", "--entity-default"),
          (text) => /producer_byte_rate=1048576/.test(text) && /request_percentage=12\.5/.test(text)
        )
        const [listed, users, quotas, moving, elected] = yield* Effect.all(
          [
            run("acls list --resource topic --name ruled --pattern match --json"),
            run("users list"),
            run("quotas list user=alice --json"),
            run("reassign list"),
            run("elect ruled")
          ],
          { concurrency: 2 }
        )
        assert.deepStrictEqual(
          listed
            .split("\n")
            .map((line) => JSON.parse(line).operation)
            .sort(),
          ["describe", "read"]
        )
        assert.deepStrictEqual(words(users).slice(1), [["alice", "SCRAM-SHA-512", "4096"]])
        assert.deepStrictEqual(JSON.parse(quotas), {
          entity: { user: "alice", "client-id": null },
          quotas: { producer_byte_rate: 1_048_576, request_percentage: 12.5 }
        })
        assert.deepStrictEqual(words(moving), [["TOPIC", "PARTITION", "REPLICAS", "ADDING", "REMOVING"]])
        assert.deepStrictEqual(elected.split("\n"), ["ruled-0: not-needed", "ruled-1: not-needed"])
        yield* Effect.all(
          [
            run("acls delete --principal User:alice --yes"),
            run("users delete alice --yes"),
            run("quotas set user=alice client-id producer_byte_rate- request_percentage-"),
            run("reassign start ruled-0=1 --wait --yes")
          ],
          { concurrency: 2 }
        )
        yield* eventually(tool("AclCommand", "--list", "--principal", "User:alice"), (text) => !text.includes("alice,"))
        yield* eventually(entity("--entity-type", "users"), (text) => !text.includes("alice"))
      })
    )
  }
)
