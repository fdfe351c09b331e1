import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as crypto from "node:crypto"
import * as ApiVersions from "../../src/protocol/messages/ApiVersions.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as SaslAuthenticate from "../../src/protocol/messages/SaslAuthenticate.ts"
import * as SaslHandshake from "../../src/protocol/messages/SaslHandshake.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { bytes, connect, type RawClient, text } from "./RawClient.ts"

const sasl = { users: { alice: "alice-secret" } }
const metadata = (client: RawClient) => client.send(Metadata, 9, { topics: [] })

/** The client's half of RFC 5802, by hand. */
const scram = (
  hash: "sha256" | "sha512",
  user: string,
  password: string,
  exchange: (token: string) => Effect.Effect<string, unknown>
) =>
  Effect.gen(function* () {
    const bare = `n=${user},r=fyko+d2lbbFgONRv9qkxdawL`
    const server = yield* exchange(`n,,${bare}`)
    const { i, r, s } = Object.fromEntries(server.split(",").map((part) => [part[0], part.slice(2)])) as {
      [name: string]: string
    }
    const salted = crypto.pbkdf2Sync(password, Buffer.from(s!, "base64"), Number(i), hash === "sha256" ? 32 : 64, hash)
    const hmac = (key: Uint8Array, data: string) => crypto.createHmac(hash, key).update(data).digest()
    const clientKey = hmac(salted, "Client Key")
    const signed = `${bare},${server},c=biws,r=${r}`
    const signature = hmac(crypto.createHash(hash).update(clientKey).digest(), signed)
    const proof = Buffer.from(clientKey.map((byte, at) => byte ^ signature[at]!)).toString("base64")
    const verdict = yield* exchange(`c=biws,r=${r},p=${proof}`)
    assert.strictEqual(verdict, `v=${hmac(hmac(salted, "Server Key"), signed).toString("base64")}`)
  })

describe("authentication", () => {
  it.effect("lets in who knows the password, by each mechanism", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ sasl })
      for (const mechanism of ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]) {
        const client = yield* connect(broker)
        yield* client.send(ApiVersions, 3, {})
        assert.strictEqual((yield* client.send(SaslHandshake, 1, { mechanism })).errorCode, 0)
        const exchange = (token: string) =>
          Effect.map(client.send(SaslAuthenticate, 1, { authBytes: bytes(token) }), (response) => {
            assert.strictEqual(response.errorCode, 0)
            return text(response.authBytes)!
          })
        if (mechanism === "PLAIN") yield* exchange("\0alice\0alice-secret")
        else yield* scram(mechanism === "SCRAM-SHA-256" ? "sha256" : "sha512", "alice", "alice-secret", exchange)
        assert.strictEqual((yield* metadata(client)).errorCode, 0)
      }
    })
  )

  it.effect("takes bare tokens after a handshake of version 0", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ sasl, asVersion: "0.10.2" })
      const client = yield* connect(broker)
      assert.strictEqual((yield* client.send(SaslHandshake, 0, { mechanism: "PLAIN" })).errorCode, 0)
      const token = bytes("\0alice\0alice-secret")
      const answer = yield* Effect.forkChild(client.frame, { startImmediately: true })
      yield* client.write(Uint8Array.from([0, 0, 0, token.length]), token)
      assert.strictEqual((yield* Fiber.join(answer)).length, 0)
      assert.strictEqual((yield* client.send(Metadata, 2, { topics: [] })).brokers.length, 1)
    })
  )

  it.effect("answers a wrong password and closes; after version 0 it only closes", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ sasl })
      const client = yield* connect(broker)
      yield* client.send(SaslHandshake, 1, { mechanism: "PLAIN" })
      const refused = yield* client.send(SaslAuthenticate, 2, { authBytes: bytes("\0alice\0wrong") })
      assert.deepStrictEqual(
        [refused.errorCode, refused.errorMessage],
        [58, "Authentication failed: Invalid username or password"]
      )
      yield* client.closed
      const old = yield* connect(broker)
      yield* old.send(SaslHandshake, 0, { mechanism: "PLAIN" })
      const token = bytes("\0alice\0wrong")
      yield* old.write(Uint8Array.from([0, 0, 0, token.length]), token)
      yield* old.closed
      const unknown = yield* connect(broker)
      const answer = yield* unknown.send(SaslHandshake, 1, { mechanism: "GSSAPI" })
      assert.deepStrictEqual([answer.errorCode, answer.mechanisms.length], [33, 3])
      yield* unknown.closed
      const early = yield* connect(broker)
      yield* Effect.flip(metadata(early))
    })
  )

  it.effect("refuses a SCRAM proof that another password makes, and a name that nobody has", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ sasl })
      for (const [user, password] of [
        ["alice", "wrong"],
        ["bob", "alice-secret"]
      ] as const) {
        const client = yield* connect(broker)
        yield* client.send(SaslHandshake, 1, { mechanism: "SCRAM-SHA-256" })
        const refused = yield* scram("sha256", user, password, (token) =>
          Effect.flatMap(client.send(SaslAuthenticate, 1, { authBytes: bytes(token) }), (response) =>
            response.errorCode === 0 ? Effect.succeed(text(response.authBytes)!) : Effect.fail(response.errorCode)
          )
        ).pipe(Effect.flip)
        assert.strictEqual(refused, 58)
        yield* client.closed
      }
    })
  )

  it.effect("ends a session, unless the client authenticates again by the same mechanism", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ sasl: { ...sasl, sessionLifetime: "5 seconds" } })
      const client = yield* connect(broker)
      const login = Effect.gen(function* () {
        yield* client.send(SaslHandshake, 1, { mechanism: "PLAIN" })
        return yield* client.send(SaslAuthenticate, 1, { authBytes: bytes("\0alice\0alice-secret") })
      })
      assert.strictEqual((yield* login).sessionLifetimeMs, 5000)
      yield* TestClock.adjust(4999)
      yield* metadata(client)
      assert.strictEqual((yield* client.send(SaslHandshake, 1, { mechanism: "SCRAM-SHA-256" })).errorCode, 34)
      yield* metadata(client)
      yield* login
      yield* TestClock.adjust(4999)
      yield* metadata(client)
      yield* TestClock.adjust(1)
      yield* Effect.flip(metadata(client))
    })
  )
})
