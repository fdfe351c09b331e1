/** `Admin` beside Java's tools on one broker: what they set it tells, what it sets they tell, and their figures are the same. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { Admin, Kafka, Offset, Producer, Topic } from "samsa"
import { eventually, tool, withAdmin } from "./Admins.ts"
import * as JavaTools from "./JavaTools.ts"
import * as KafkaServer from "./KafkaServer.ts"
import * as Processes from "./Processes.ts"

const properties = {
  "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
  "super.users": "User:ANONYMOUS;User:admin",
  "delegation.token.secret.key": "secret"
}

/** Until both say the same: brokers take some changes after they have answered. */
const same = <E, R, E2, R2>(
  ours: Effect.Effect<ReadonlyArray<string>, E, R>,
  theirs: Effect.Effect<ReadonlyArray<string>, E2, R2>
) =>
  Effect.gen(function* () {
    const both = Effect.map(Effect.all([ours, theirs]), (all) => all.map((lines) => [...lines].sort()))
    const told = yield* eventually(both, ([a, b]) => String(a) === String(b)).pipe(
      Effect.catch((told) => Effect.succeed(told as Array<Array<string>>))
    )
    assert.deepStrictEqual(told[0], told[1])
    assert.isNotEmpty(told[0])
    return told[0]!
  })

const matches = (text: string, pattern: RegExp) => Array.from(text.matchAll(pattern), (match) => match.slice(1))

const config = (...args: ReadonlyArray<string>) => tool("ConfigCommand", ...args)

const server = KafkaServer.layer({ version: "4.4.0", dirs: 2, listeners: ["SASL_PLAINTEXT"], properties })

layer(Layer.merge(server, JavaTools.layer), { excludeTestServices: true })(
  "Admin beside Java's tools on Kafka 4.4.0",
  (it) => {
    it.effect("settings of topics, brokers and loggers, with all that each could come from: kafka-configs", () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const { createTopic } = yield* KafkaServer.KafkaServer
          yield* createTopic("set")
          const entity = (type: string, name: string) => ["--entity-type", type, "--entity-name", name]
          const topic = entity("topics", "set")
          yield* config("--alter", ...topic, "--add-config", "retention.ms=77,cleanup.policy=[compact,delete]")
          yield* config("--alter", ...entity("brokers", "1"), "--add-config", "log.cleaner.threads=2")
          const logger = "org.apache.kafka.server.logger.LoggingController"
          yield* config("--alter", ...entity("broker-loggers", "1"), "--add-config", `${logger}=WARN`)
          const ours = (type: "topic" | "broker" | "broker-logger", name: string) =>
            Effect.map(Admin.orFail(admin.describeConfigs([{ type, name }], { synonyms: true })), ([one]) =>
              one!.entries.map(({ name, sensitive, synonyms, value }) => {
                const from = synonyms.map((one) => `${one.name}=${one.value ?? null}`)
                return `${name}=${value ?? null} ${sensitive} ${from.join(", ")}`
              })
            )
          const theirs = (...args: ReadonlyArray<string>) =>
            Effect.map(config("--describe", "--all", ...args), (text) =>
              matches(text, /^ {2}(\S+=.*) sensitive=(\w+) synonyms=\{(.*)\}$/gm).map(
                ([entry, sensitive, from]) => `${entry} ${sensitive} ${from!.replace(/(^|, )[A-Z_]+:/g, "$1")}`
              )
            )
          const told = yield* same(ours("topic", "set"), theirs(...topic))
          assert.include(told.join("\n"), "cleanup.policy=compact,delete false cleanup.policy=compact,delete, log.")
          yield* same(ours("broker", "1"), theirs(...entity("brokers", "1")))
          yield* same(
            Effect.map(ours("broker-logger", "1"), (all) => all.map((line) => line.trim())),
            Effect.map(config("--describe", ...entity("broker-loggers", "1")), (text) =>
              matches(text, /^ {2}(\S+=.*) sensitive=(\w+) /gm).map((cells) => cells.join(" "))
            )
          )
          yield* Admin.orFail(
            admin.alterConfigs([
              {
                type: "topic",
                name: "set",
                set: { "segment.ms": 9_000_000 },
                subtract: { "cleanup.policy": "compact" }
              },
              { type: "broker", name: "1", delete: ["log.cleaner.threads"] },
              { type: "broker-logger", name: "1", set: { [logger]: "ERROR" } }
            ])
          )
          const after = yield* same(ours("topic", "set"), theirs(...topic))
          assert.include(after.join("\n"), "cleanup.policy=delete false cleanup.policy=delete, log.")
          yield* same(ours("broker", "1"), theirs(...entity("brokers", "1")))
        })
      )
    )

    it.effect("rules: kafka-acls", () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const acl = (args: string) => tool("AclCommand", ...args.split(" "))
          const ours = Effect.map(admin.listAcls(), (all) =>
            all.map((one) => {
              const words = [one.resource, one.pattern, one.operation, one.permission]
              const [resource, pattern, operation, permission] = words.map((w) => w.toUpperCase().replaceAll("-", "_"))
              return `${resource} ${one.name} ${pattern} ${one.principal} ${one.host} ${operation} ${permission}`
            })
          )
          const resource =
            /^Current ACLs for resource `ResourcePattern\(resourceType=(\w+), name=(.*), patternType=(\w+)\)`/
          const rule = /\(principal=(.*), host=(.*), operation=(\w+), permissionType=(\w+)\)/
          const theirs = Effect.map(acl("--list"), (text) => {
            let about: ReadonlyArray<string> = []
            return text.split("\n").flatMap((line) => {
              about = resource.exec(line)?.slice(1) ?? about
              const found = rule.exec(line)
              return found === null ? [] : [[...about, ...found.slice(1)].join(" ")]
            })
          })
          yield* acl("--add --allow-principal User:p --producer --topic ruled --transactional-id tx --idempotent")
          yield* acl("--add --allow-principal User:p --consumer --topic * --group *")
          yield* acl(
            "--add --deny-principal User:q --deny-host 10.0.0.1 --operation All --group g- --resource-pattern-type prefixed"
          )
          yield* acl("--add --allow-principal User:CN=x\\,OU=ö --operation Describe --delegation-token tok")
          yield* acl("--add --allow-principal User:* --operation AlterConfigs --operation ClusterAction --cluster")
          assert.lengthOf(yield* same(ours, theirs), 13)
          yield* Admin.orFail(
            admin.createAcls([
              { resource: "topic", name: "a.b_c-", pattern: "prefixed", principal: "User:r", operation: "read" },
              { resource: "group", name: "g ü", principal: "User:r", operation: "describe-configs", host: "::1" },
              { resource: "cluster", name: "kafka-cluster", principal: "User:r", operation: "all", permission: "deny" }
            ])
          )
          assert.lengthOf(yield* same(ours, theirs), 16)
          yield* acl("--remove --force --deny-principal User:r --operation All --cluster")
          const [gone] = yield* Admin.orFail(admin.deleteAcls([{ principal: "User:p" }]))
          assert.lengthOf(gone!, 9)
          assert.lengthOf(yield* same(ours, theirs), 6)
          yield* Admin.orFail(admin.deleteAcls([{}]))
        })
      )
    )

    it.effect("quotas and SCRAM users: kafka-configs", () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const alter = (args: string) => config("--alter", ...args.split(" "))
          const kinds = { user: "user-principal", "client-id": "client-id", ip: "ip" } as const
          const ours = Effect.map(admin.describeQuotas(), (all) =>
            all.map(({ entity, quotas }) => {
              const whose = Object.entries(kinds).flatMap(([kind, word]) => {
                const name = entity[kind as keyof typeof kinds]
                return name === undefined ? [] : [name === null ? `the default ${word}` : `${word} '${name}'`]
              })
              return `${whose.join(", ")}: ${Object.entries(quotas).flat().join(" ")}`
            })
          )
          const quotas = /^Quota configs for (.*) are (.*)$/gm
          const read = (...entity: ReadonlyArray<string>) =>
            Effect.map(config("--describe", ...entity.flatMap((one) => ["--entity-type", one])), (text) =>
              matches(text, quotas).map(([whose, all]) => {
                const pairs = all!.split(", ").map((one) => one.split("=") as [string, string])
                return `${whose}: ${pairs.flatMap(([name, value]) => [name, Number(value)]).join(" ")}`
              })
            )
          const theirs = Effect.map(
            Effect.all([read("users"), read("clients"), read("ips"), read("users", "clients")]),
            (all) => [...new Set(all.flat())]
          )
          const sorted = <E, R>(lines: Effect.Effect<ReadonlyArray<string>, E, R>) =>
            Effect.map(lines, (all) =>
              all.map((line) => {
                const [whose, values] = line.split(": ") as [string, string]
                return `${whose}: ${values
                  .split(/ (?=[a-z])/)
                  .sort()
                  .join(" ")}`
              })
            )
          // What is of all users is in force for the tests that follow, too: it must not throttle them.
          yield* alter(
            "--entity-type users --entity-name u1 --entity-type clients --entity-default --add-config producer_byte_rate=1024,request_percentage=12.5"
          )
          yield* alter("--entity-type ips --entity-name 127.0.0.9 --add-config connection_creation_rate=5")
          yield* alter("--entity-type users --entity-default --add-config consumer_byte_rate=2000000000")
          yield* alter("--entity-type clients --entity-name c --add-config controller_mutation_rate=0.25")
          assert.lengthOf(yield* same(sorted(ours), sorted(theirs)), 4)
          yield* Admin.orFail(
            admin.alterQuotas([
              { entity: { user: "ü 1", "client-id": "a b" }, set: { consumer_byte_rate: 1e9 } },
              { entity: { user: null, "client-id": null }, set: { producer_byte_rate: 3e9 } },
              { entity: { user: "u1", "client-id": null }, remove: ["request_percentage"] },
              { entity: { "client-id": "c" }, remove: ["controller_mutation_rate"] }
            ])
          )
          assert.lengthOf(yield* same(sorted(ours), sorted(theirs)), 5)

          const users = Effect.map(admin.listUsers(), (all) =>
            all.flatMap(({ credentials, user }) =>
              credentials.map(({ iterations, mechanism }) => `${user} ${mechanism}=iterations=${iterations}`)
            )
          )
          const scram = /^SCRAM credential configs for user-principal '(.*)' are (.*)$/gm
          const javas = Effect.map(config("--describe", "--entity-type", "users"), (text) =>
            matches(text, scram).flatMap(([user, all]) => all!.split(", ").map((one) => `${user} ${one}`))
          )
          yield* alter("--entity-type users --entity-name u2 --add-config SCRAM-SHA-256=[iterations=8192,password=x]")
          const before = yield* same(users, javas)
          assert.include(before, "u2 SCRAM-SHA-256=iterations=8192")
          yield* Admin.orFail(
            admin.alterUsers([
              { user: "ü 2", mechanism: "SCRAM-SHA-512", password: "pässword", iterations: 5000 },
              { user: "u2", mechanism: "SCRAM-SHA-256", delete: true }
            ])
          )
          const after = yield* same(users, javas)
          assert.include(after, "ü 2 SCRAM-SHA-512=iterations=5000")
          assert.strictEqual(after.length, before.length)
        })
      )
    )

    it.effect("groups and offsets: kafka-consumer-groups, kafka-get-offsets", () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const { bootstrap, createTopic } = yield* KafkaServer.KafkaServer
          const tools = yield* JavaTools.JavaTools
          const producer = yield* Producer.Producer
          yield* createTopic("read", { partitions: 2 })
          const topic = Topic.make("read", { key: Schema.NullOr(Schema.String), value: Schema.String })
          // What is older than a week is not kept.
          const first = Math.floor(Date.now() / 1000) * 1000 - 3_600_000
          for (const [partition, count] of [10, 3].entries())
            yield* producer.sendAll(
              topic,
              Array.from({ length: count }, (_, i) => ({
                key: null,
                value: "v",
                partition,
                timestamp: first + i * 1000
              }))
            )
          yield* Admin.orFail(admin.deleteRecords([{ topic: "read", partition: 0, before: 2 }]))
          const groups = (args: string) => tool("ConsumerGroupCommand", ...args.split(" "))
          const resets = (args: string) =>
            Effect.map(groups(`--reset-offsets --group reading --topic read ${args}`), (text) =>
              matches(text, /^reading +(\S+ +\d+ +\d+) *$/gm).map(([row]) => row!.replace(/ +/g, " "))
            )
          const now = yield* resets("--to-earliest --execute")
          assert.deepStrictEqual(now.sort(), ["read 0 2", "read 1 0"])
          const committed = Effect.map(Admin.orFail(admin.groupOffsets([{ group: "reading" }])), ([all]) =>
            all!.map(({ offset, partition, topic }) => `${topic} ${partition} ${offset}`)
          )
          assert.deepStrictEqual([...(yield* committed)].sort(), now)
          yield* Admin.orFail(admin.resetGroupOffsets("reading", { to: Offset.at(5) }))
          const at = (millis: number) => new Date(millis).toISOString().slice(0, -1)
          for (const [java, to] of [
            ["--to-earliest", "earliest"],
            ["--to-latest", "latest"],
            ["--to-offset 4", Offset.at(4)],
            ["--to-offset 99", Offset.at(99)],
            ["--shift-by -2", { shift: -2 }],
            ["--shift-by 99", { shift: 99 }],
            [`--to-datetime ${at(first + 2500)}`, Offset.atTime(first + 2500)],
            [`--to-datetime ${at(first + 99_000)}`, Offset.atTime(first + 99_000)],
            ["--by-duration P9999D", { ago: "9999 days" }]
          ] as const) {
            const theirs = yield* resets(`${java} --dry-run`)
            const ours = yield* Admin.orFail(admin.resetGroupOffsets("reading", { to, topics: ["read"], dryRun: true }))
            assert.deepStrictEqual(
              ours.map((one) => `${one.topic} ${one.partition} ${one.to}`).sort(),
              theirs.sort(),
              java
            )
          }
          yield* resets("--shift-by -1 --execute")
          const lag = Effect.map(Admin.orFail(admin.groupLag(["reading"])), ([one]) =>
            one!.partitions.map((one) => [one.topic, one.partition, one.committed, one.end, one.lag].join(" "))
          )
          const described = Effect.map(groups("--describe --group reading"), (text) =>
            matches(text, /^reading +(\S+ +\d+ +\d+ +\d+ +\d+) /gm).map(([row]) => row!.replace(/ +/g, " "))
          )
          assert.deepStrictEqual(yield* same(lag, described), ["read 0 4 10 6", "read 1 2 3 1"])
          yield* groups("--delete-offsets --group reading --topic read:1")
          assert.deepStrictEqual(yield* same(lag, described), ["read 0 4 10 6"])
          const states = Effect.map(admin.listGroups(), (all) => all.map(({ group, state }) => `${group} ${state}`))
          const javas = Effect.map(groups("--list --state"), (text) =>
            matches(text, /^(\S+) +(Empty|Stable|Dead) *$/gm).map((cells) => cells.join(" "))
          )
          yield* Admin.orFail(admin.alterGroupOffsets("other", [{ topic: "read", partition: 0, offset: 1 }]))
          assert.deepStrictEqual(yield* same(states, javas), ["other Empty", "reading Empty"])
          yield* groups("--delete --group reading")
          assert.deepStrictEqual(yield* same(states, javas), ["other Empty"])

          for (const [time, at] of [
            ["-1", "latest"],
            ["-2", "earliest"],
            [String(first + 1500), Offset.atTime(first + 1500)]
          ] as const)
            yield* same(
              Effect.map(
                Admin.orFail(admin.listOffsets([0, 1].map((partition) => ({ topic: "read", partition, at })))),
                (all) => all.map(({ offset, partition, topic }) => `${topic}:${partition}:${offset ?? ""}`)
              ),
              Effect.map(
                tools.run(
                  "kafka.tools.GetOffsetShell",
                  ..."--topic read --time".split(" "),
                  time,
                  "--broker-list",
                  bootstrap.join(",")
                ),
                (text) => matches(text, /^(read:\d:\d*)$/gm).flat()
              )
            )
        })
      )
    )

    it.effect("directories and what moves between them: kafka-log-dirs, kafka-reassign-partitions", () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const producer = yield* Producer.Producer
          const { createTopic } = yield* KafkaServer.KafkaServer
          yield* createTopic("sized", { partitions: 3 })
          const topic = Topic.make("sized", { key: Schema.NullOr(Schema.String), value: Schema.String })
          yield* producer.sendAll(
            topic,
            [0, 1, 2].map((partition) => ({ key: null, value: "x".repeat(1000 * (partition + 1)), partition }))
          )
          const ours = Effect.map(Admin.orFail(admin.describeLogDirs([1])), ([one]) =>
            one!.dirs.flatMap(({ path, replicas }) =>
              replicas.map((one) => `${path} ${one.topic}-${one.partition} ${one.size} ${one.lag} ${one.future}`)
            )
          )
          interface Dir {
            readonly logDir: string
            readonly partitions: ReadonlyArray<{
              readonly partition: string
              readonly size: number
              readonly offsetLag: number
              readonly isFuture: boolean
            }>
          }
          const theirs = Effect.map(tool("LogDirsCommand", "--describe"), (text) => {
            const told = JSON.parse(text.split("\n").find((line) => line.startsWith("{"))!)
            return (told.brokers[0].logDirs as ReadonlyArray<Dir>).flatMap(({ logDir, partitions }) =>
              partitions.map((one) => `${logDir} ${one.partition} ${one.size} ${one.offsetLag} ${one.isFuture}`)
            )
          })
          const placeOf = (lines: ReadonlyArray<string>) =>
            lines.find((line) => line.includes(" sized-2 "))!.split(" ")[0]!
          const before = placeOf(yield* same(ours, theirs))
          const [dirs] = yield* Admin.orFail(admin.describeLogDirs([1]))
          const other = dirs!.dirs.find(({ path }) => path !== before)!.path
          const file = Path.join(yield* Processes.folder("reassignment"), "reassignment.json")
          Fs.writeFileSync(
            file,
            JSON.stringify({
              version: 1,
              partitions: [{ topic: "sized", partition: 2, replicas: [1], log_dirs: [other] }]
            })
          )
          const reassign = (verb: string) => tool("ReassignPartitionsCommand", verb, "--reassignment-json-file", file)
          yield* reassign("--execute")
          yield* eventually(ours, (lines) => placeOf(lines) === other && !lines.some((line) => line.endsWith("true")))
          yield* same(ours, theirs)
          assert.match(yield* reassign("--verify"), /Reassignment of replica sized-2-1 completed successfully/)
          yield* Admin.orFail(admin.moveReplicas([{ topic: "sized", partition: 2, broker: 1, path: before }]))
          yield* eventually(
            theirs,
            (lines) => placeOf(lines) === before && !lines.some((line) => line.endsWith("true"))
          )
          yield* same(ours, theirs)
        })
      )
    )

    it.effect("what the broker speaks: kafka-broker-api-versions", () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          yield* same(
            Effect.map(Admin.orFail(admin.brokerApis([1])), ([one]) =>
              one!.apis.map(({ key, max, min }) => `${key}: ${min === max ? min : `${min} to ${max}`}`)
            ),
            Effect.map(tool("BrokerApiVersionsCommand"), (text) =>
              // Produce is listed from 0 for old librdkafkas, and refused below 3.
              matches(text, /\((\d+)\): (\d+(?: to \d+)?)/g).map(([key, range]) =>
                key === "0" ? `0: ${range!.replace(/^0/, "3")}` : `${key}: ${range}`
              )
            )
          )
        })
      )
    )

    it.effect("tokens: kafka-delegation-tokens", () =>
      Effect.gen(function* () {
        const { addresses, sasl } = yield* KafkaServer.KafkaServer
        const tools = yield* JavaTools.JavaTools
        const bootstrap = addresses("SASL_PLAINTEXT")
        const file = Path.join(yield* Processes.folder("tokens"), "client.properties")
        const login = `org.apache.kafka.common.security.scram.ScramLoginModule required`
        Fs.writeFileSync(
          file,
          [
            "security.protocol=SASL_PLAINTEXT",
            "sasl.mechanism=SCRAM-SHA-256",
            `sasl.jaas.config=${login} username="${sasl.username}" password="${sasl.password}";`
          ].join("\n")
        )
        const java = (args: string) =>
          tools.run(
            "kafka.admin.DelegationTokenCommand",
            "--bootstrap-server",
            bootstrap.join(","),
            "--command-config",
            file,
            ...args.split(" ")
          )
        yield* Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const minutes = (millis: number) =>
            new Date(millis - new Date(millis).getTimezoneOffset() * 60_000).toISOString().slice(0, 16)
          const ours = Effect.map(admin.describeTokens(), (all) =>
            all.map((one) => {
              const hmac = Buffer.from(Redacted.value(one.hmac)).toString("base64")
              const times = [one.issuedAt, one.expiresAt, one.maxAt].map(minutes)
              return [one.tokenId, hmac, one.owner, `[${one.renewers.join(",")}]`, ...times].join(" ")
            })
          )
          const theirs = Effect.map(java("--describe"), (text) =>
            matches(text, /^(\S+ +\S+== +User:.*\d) *$/gm).map(([row]) => row!.replace(/ +/g, " "))
          )
          yield* java("--create --max-life-time-period 3600000 --renewer-principal User:bob")
          yield* eventually(ours, (all) => all.length === 1)
          assert.lengthOf(yield* same(ours, theirs), 1)
          yield* Admin.orFail(admin.createTokens([{ renewers: ["User:carl"], maxLifetime: "2 hours" }]))
          yield* eventually(ours, (all) => all.length === 2)
          assert.lengthOf(yield* same(ours, theirs), 2)
          const [one] = yield* admin.describeTokens()
          yield* admin.expireToken(one!.hmac)
          yield* eventually(ours, (all) => all.length === 1)
          assert.lengthOf(yield* same(ours, theirs), 1)
        }).pipe(
          Effect.scoped,
          Effect.provide(
            Admin.layer({ timeout: "20 seconds" }).pipe(
              Layer.provideMerge(
                Kafka.layer({
                  bootstrap,
                  sasl: {
                    mechanism: "SCRAM-SHA-256",
                    username: sasl.username,
                    password: Redacted.make(sasl.password)
                  }
                })
              )
            )
          )
        )
      })
    )
  }
)
