/** Access by `Admin` on real brokers: users, rules, quotas and tokens, tried by clients that are refused and then allowed. */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted, Result, Schema } from "effect"
import { Admin, ErrorCode, Kafka, Producer, Topic } from "samsa"
import { codeOf, eventually, tool, value, withAdmin } from "./Admins.ts"
import * as JavaTools from "./JavaTools.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Mode, Version } from "./KafkaVersion.ts"

const { codes } = ErrorCode

const brokers: ReadonlyArray<readonly [Version, Mode]> = [
  ...(process.env.SAMSA_FULL === "1" ? ([["2.8.2", "zookeeper"]] as const) : []),
  ["4.4.0", "kraft"]
]

const text = Topic.make("ruled", { key: Schema.NullOr(Schema.String), value: Schema.String })

/** With a client that logs in, and has no rights but those that rules give. */
const as = <A, E, R>(username: string, password: string, self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(KafkaServer.KafkaServer, (server) =>
    self.pipe(
      Effect.scoped,
      Effect.provide(
        Layer.merge(
          Admin.layer({ timeout: "20 seconds" }),
          Producer.layer({ deliveryTimeout: "10 seconds", linger: 0 })
        ).pipe(
          Layer.provideMerge(
            Kafka.layer({
              bootstrap: server.addresses("SASL_PLAINTEXT"),
              bootstrapTimeout: "10 seconds",
              sasl: { mechanism: "SCRAM-SHA-256", username, password: Redacted.make(password) }
            })
          )
        )
      )
    )
  )

const sends = Effect.flatMap(Producer.Producer, (producer) => producer.send(text, { key: null, value: "v" }))

for (const [version, mode] of brokers) {
  const properties = {
    "authorizer.class.name":
      mode === "kraft"
        ? "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
        : "kafka.security.authorizer.AclAuthorizer",
    "super.users": "User:ANONYMOUS;User:admin",
    ...(mode === "kraft" ? { "delegation.token.secret.key": "secret" } : { "delegation.token.master.key": "secret" })
  }
  const server = KafkaServer.layer({ version, mode, listeners: ["SASL_PLAINTEXT"], properties })
  layer(Layer.merge(server, JavaTools.layer), { excludeTestServices: true })(
    `access by Admin on Kafka ${version} (${mode})`,
    (it) => {
      it.effect("users log in with what they were given, and no more when it is taken away", () =>
        withAdmin(
          Effect.gen(function* () {
            const admin = yield* Admin.Admin
            // Neither Kafka nor its clients take ligatures and fractions apart.
            const bobs = "bob-\ufb01-\u00bd"
            const logIn = (password: string) =>
              Effect.result(
                as(
                  "bob",
                  password,
                  Effect.flatMap(Admin.Admin, (bob) => bob.listTopics())
                )
              )
            assert.isTrue(Result.isFailure(yield* logIn(bobs)))
            const given = yield* admin.alterUsers([
              { user: "bob", mechanism: "SCRAM-SHA-256", password: Redacted.make(bobs), iterations: 4096 },
              { user: "bob", mechanism: "SCRAM-SHA-512", password: "bob-other" },
              { user: "nobody", mechanism: "SCRAM-SHA-512", delete: true },
              { user: "weak", mechanism: "SCRAM-SHA-256", password: "x", iterations: 100 }
            ])
            value(given[0])
            value(given[1])
            assert.strictEqual(codeOf(given[2]), codes.RESOURCE_NOT_FOUND)
            assert.strictEqual(codeOf(given[3]), "Misconfigured")
            const [bob, none] = yield* eventually(
              admin.describeUsers(["bob", "none"]),
              ([bob]) => Result.isSuccess(bob!) && bob.success.credentials.length === 2
            )
            assert.deepStrictEqual(
              [...value(bob).credentials].sort((a, b) => a.iterations - b.iterations),
              [
                { mechanism: "SCRAM-SHA-256", iterations: 4096 },
                { mechanism: "SCRAM-SHA-512", iterations: 8192 }
              ]
            )
            assert.strictEqual(codeOf(none), codes.RESOURCE_NOT_FOUND)
            assert.includeMembers(
              (yield* admin.listUsers()).map(({ user }) => user),
              ["alice", "bob"]
            )
            const java = yield* tool("ConfigCommand", "--describe", "--entity-type", "users", "--entity-name", "bob")
            assert.match(java, /SCRAM-SHA-256=.*iterations=4096/)
            yield* eventually(logIn(bobs), Result.isSuccess)
            assert.isTrue(Result.isFailure(yield* logIn("wrong")))
            yield* admin.alterUsers([{ user: "bob", mechanism: "SCRAM-SHA-256", delete: true }]).pipe(Admin.orFail)
            yield* eventually(logIn(bobs), Result.isFailure)
          })
        )
      )

      it.effect("rules allow a client what it was refused, and are told as Java's tool tells them", () =>
        withAdmin(
          Effect.gen(function* () {
            const admin = yield* Admin.Admin
            const server = yield* KafkaServer.KafkaServer
            const { password, username } = server.sasl
            yield* server.createTopic("ruled")
            const refused = yield* as(username, password, Effect.flip(sends))
            assert.strictEqual(refused.reason._tag, "Unauthorized")
            const own = yield* as(
              username,
              password,
              Effect.flatMap(Admin.Admin, (alice) =>
                Effect.all([alice.createTopics([{ name: "x" }]), alice.describeTopics(["ruled"])])
              )
            )
            assert.strictEqual(codeOf(own[0][0]), "Unauthorized")
            assert.strictEqual(codeOf(own[1][0]), "Unauthorized")

            const rule = { resource: "topic", name: "rul", pattern: "prefixed", principal: `User:${username}` } as const
            const made = yield* admin.createAcls([
              { ...rule, operation: "write" },
              { ...rule, operation: "describe" },
              { resource: "cluster", name: "kafka-cluster", principal: "User:*", operation: "idempotent-write" },
              {
                resource: "group",
                name: "*",
                principal: "User:carl",
                operation: "read",
                permission: "deny",
                host: "10.0.0.7"
              },
              { resource: "cluster", name: "other", principal: "User:*", operation: "all" },
              { ...rule, principal: "alice", operation: "read" }
            ])
            for (const answer of made.slice(0, 4)) value(answer)
            assert.strictEqual(codeOf(made[4]), codes.INVALID_REQUEST)
            assert.strictEqual(codeOf(made[5]), "Misconfigured")
            yield* eventually(as(username, password, Effect.result(sends)), Result.isSuccess)

            const listed = yield* admin.listAcls()
            assert.strictEqual(listed.length, 4)
            const java = yield* tool("AclCommand", "--list")
            for (const { operation, permission } of listed)
              assert.match(
                java,
                new RegExp(
                  `operation=${operation.toUpperCase().replace("-", "_")}, permissionType=${permission.toUpperCase()}`
                )
              )
            assert.strictEqual((java.match(/permissionType=/g) ?? []).length, 4)
            assert.deepStrictEqual(yield* admin.listAcls({ principal: "User:carl" }), [
              {
                resource: "group",
                name: "*",
                pattern: "literal",
                principal: "User:carl",
                host: "10.0.0.7",
                operation: "read",
                permission: "deny"
              }
            ])
            const matching = yield* admin.listAcls({ resource: "topic", name: "ruled", pattern: "match" })
            assert.deepStrictEqual(matching.map(({ operation }) => operation).sort(), ["describe", "write"])
            const [gone, none] = yield* admin
              .deleteAcls([{ resource: "topic" }, { principal: "User:nobody" }])
              .pipe(Admin.orFail)
            assert.strictEqual(gone?.length, 2)
            assert.deepStrictEqual(none, [])
            assert.strictEqual((yield* admin.listAcls()).length, 2)
            yield* eventually(as(username, password, Effect.result(sends)), Result.isFailure)
            yield* admin.deleteAcls([{}]).pipe(Admin.orFail)
            assert.deepStrictEqual(yield* admin.listAcls(), [])
          })
        )
      )

      it.effect("quotas are set, told and removed", () =>
        withAdmin(
          Effect.gen(function* () {
            const admin = yield* Admin.Admin
            const entity = { user: "alice", "client-id": "app" }
            const altered = yield* admin.alterQuotas([
              { entity, set: { producer_byte_rate: 1024, consumer_byte_rate: 2048 } },
              { entity: { user: null }, set: { request_percentage: 50 } },
              { entity: { user: "alice" }, set: { no_such: 1 } },
              { entity: {}, set: { producer_byte_rate: 1 } }
            ])
            value(altered[0])
            value(altered[1])
            assert.strictEqual(codeOf(altered[2]), codes.INVALID_REQUEST)
            assert.strictEqual(codeOf(altered[3]), "Misconfigured")
            const both = yield* eventually(
              admin.describeQuotas({ kinds: { user: "alice", "client-id": { any: true } } }),
              (found) => found.length === 1
            )
            assert.deepStrictEqual(both, [{ entity, quotas: { producer_byte_rate: 1024, consumer_byte_rate: 2048 } }])
            const java = yield* tool(
              "ConfigCommand",
              "--describe",
              "--entity-type",
              "users",
              "--entity-name",
              "alice",
              "--entity-type",
              "clients",
              "--entity-name",
              "app"
            )
            assert.match(java, /producer_byte_rate=1024\.0/)
            yield* eventually(
              admin.describeQuotas({ kinds: { user: null }, strict: true }),
              (found) => found.length === 1 && found[0]?.quotas["request_percentage"] === 50
            )
            yield* admin
              .alterQuotas([{ entity, remove: ["producer_byte_rate"] }], { validateOnly: true })
              .pipe(Admin.orFail)
            yield* admin
              .alterQuotas([
                { entity, remove: ["producer_byte_rate", "consumer_byte_rate"] },
                { entity: { user: null }, remove: ["request_percentage"] }
              ])
              .pipe(Admin.orFail)
            yield* eventually(
              admin.describeQuotas(),
              (found) => !found.some(({ quotas }) => "producer_byte_rate" in quotas || "request_percentage" in quotas)
            )
          })
        )
      )

      it.effect("tokens are made by who has logged in, log in themselves, are renewed and end", () =>
        Effect.gen(function* () {
          const { sasl } = yield* KafkaServer.KafkaServer
          const byNobody = yield* withAdmin(Effect.flatMap(Admin.Admin, (admin) => admin.createTokens([{}])))
          assert.strictEqual(codeOf(byNobody[0]), codes.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED)
          yield* as(
            sasl.username,
            sasl.password,
            Effect.gen(function* () {
              const admin = yield* Admin.Admin
              const [token] = yield* admin
                .createTokens([{ renewers: ["User:bob"], maxLifetime: "1 hour" }])
                .pipe(Admin.orFail)
              assert.strictEqual(token!.owner, "User:alice")
              assert.strictEqual(token!.maxAt - token!.issuedAt, 3_600_000)
              const [told] = yield* eventually(admin.describeTokens(), (all) => all.length === 1)
              assert.deepInclude(told!, { tokenId: token!.tokenId, renewers: ["User:bob"] })
              const renewed = yield* admin.renewToken(token!.hmac, { period: "10 minutes" })
              assert.isBelow(renewed, token!.maxAt)
              const ended = yield* admin.expireToken(token!.hmac)
              assert.isBelow(ended, renewed)
              yield* eventually(admin.describeTokens(), (all) => all.length === 0)
              const missing = yield* Effect.flip(admin.renewToken(Redacted.make(new Uint8Array(32))))
              assert.strictEqual(
                missing.reason._tag === "Server" ? missing.reason.code : 0,
                codes.DELEGATION_TOKEN_NOT_FOUND
              )
            })
          )
        })
      )
    }
  )
}
