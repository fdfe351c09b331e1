/** SaslHandshake and SaslAuthenticate, with both of which a connection begins where it must. */
import * as crypto from "node:crypto"
import { Effect } from "effect"
import * as Frame from "../../../src/protocol/Frame.ts"
import * as ApiVersions from "../../../src/protocol/messages/ApiVersions.ts"
import * as Metadata from "../../../src/protocol/messages/Metadata.ts"
import * as SaslAuthenticate from "../../../src/protocol/messages/SaslAuthenticate.ts"
import * as SaslHandshake from "../../../src/protocol/messages/SaslHandshake.ts"
import type { Client, Silent } from "../Client.ts"
import type { Ask, Case } from "../Lab.ts"
import { bytes } from "../Records.ts"

const text = (value: Uint8Array) => new TextDecoder().decode(value)
const connect = (ask: Ask) => ask.connect({ listener: "SASL_PLAINTEXT" })
const plain = (password: string, user = "alice") => bytes(`\0${user}\0${password}`)

const handshake = (client: Client, mechanism: string, version = 1) =>
  Effect.map(client.ask(SaslHandshake, version, { mechanism }), (answer) =>
    answer === "closed"
      ? answer
      : // the real brokers offer OAUTHBEARER too
        [
          answer.errorCode,
          Array.from(answer.mechanisms)
            .filter((each) => each !== "OAUTHBEARER")
            .sort()
        ]
  )

const authenticate = (client: Client, authBytes: Uint8Array, version = 1) =>
  Effect.map(client.ask(SaslAuthenticate, version, { authBytes }), (answer) =>
    answer === "closed" ? answer : { ...answer, authBytes: answer.authBytes.length > 0 ? "…" : "" }
  )

/** Whether requests are served now. */
const serves = (client: Client) =>
  Effect.map(client.ask(Metadata, 8, { topics: [] }), (answer) => (answer === "closed" ? answer : "answered"))

/** RFC 5802: what the client says first and last. */
const scram = (
  hash: "sha256" | "sha512",
  password: string,
  exchange: (token: Uint8Array) => Effect.Effect<Uint8Array | "closed", Silent>
) =>
  Effect.gen(function* () {
    const bare = `n=alice,r=${crypto.randomBytes(12).toString("hex")}`
    const server = yield* exchange(bytes(`n,,${bare}`))
    if (server === "closed") return "closed at the first"
    const { i, r, s } = Object.fromEntries(
      text(server)
        .split(",")
        .map((part) => [part[0], part.slice(2)])
    ) as {
      readonly [name: string]: string
    }
    const salted = crypto.pbkdf2Sync(password, Buffer.from(s!, "base64"), Number(i), hash === "sha256" ? 32 : 64, hash)
    const hmac = (key: Uint8Array, data: string) => crypto.createHmac(hash, key).update(data).digest()
    const clientKey = hmac(salted, "Client Key")
    const signed = `${bare},${text(server)},c=biws,r=${r}`
    const signature = hmac(crypto.createHash(hash).update(clientKey).digest(), signed)
    const proof = Buffer.from(clientKey.map((byte, at) => byte ^ signature[at]!)).toString("base64")
    const verdict = yield* exchange(bytes(`c=biws,r=${r},p=${proof}`))
    const expected = `v=${hmac(hmac(salted, "Server Key"), signed).toString("base64")}`
    return verdict === "closed" ? verdict : text(verdict) === expected ? "verified" : text(verdict).slice(0, 2)
  })

export const cases: ReadonlyArray<Case> = [
  {
    api: "SaslHandshake",
    behaviour: "names the mechanisms, at each version, and closes where it is asked for another",
    ask: (ask) =>
      ask.atEach(SaslHandshake, (version) =>
        Effect.gen(function* () {
          const out: { [mechanism: string]: unknown } = {}
          for (const mechanism of ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "NONSENSE", "plain", ""]) {
            const client = yield* connect(ask)
            const answer = yield* handshake(client, mechanism, version)
            if (mechanism !== "PLAIN" && !mechanism.startsWith("SCRAM")) yield* client.closed
            out[`"${mechanism}"`] = answer
          }
          return out
        })
      )
  },
  {
    api: "SaslAuthenticate",
    behaviour: "PLAIN with the password, at each version",
    ask: (ask) =>
      ask.atEach(SaslAuthenticate, (version) =>
        Effect.gen(function* () {
          const client = yield* connect(ask)
          yield* handshake(client, "PLAIN")
          return [yield* authenticate(client, plain("alice-secret"), version), yield* serves(client)]
        })
      )
  },
  {
    api: "SaslAuthenticate",
    behaviour: "PLAIN with what is wrong: it is told, and the connection closes",
    ask: (ask) =>
      Effect.gen(function* () {
        const out: { [what: string]: unknown } = {}
        for (const [what, token] of [
          ["password", plain("wrong")],
          ["user", plain("alice-secret", "mallory")],
          ["no password", plain("")],
          ["no user", plain("alice-secret", "")],
          ["parts", bytes("alice")],
          ["for another", bytes("bob\0alice\0alice-secret")],
          ["nothing", bytes("")]
        ] as const) {
          const client = yield* connect(ask)
          yield* handshake(client, "PLAIN")
          const answer = yield* authenticate(client, token)
          yield* client.closed
          out[what] = answer
        }
        return out
      })
  },
  {
    api: "SaslAuthenticate",
    behaviour: "SCRAM with the password, and with another",
    ask: (ask) =>
      Effect.gen(function* () {
        const out: { [what: string]: unknown } = {}
        for (const [mechanism, hash] of [
          ["SCRAM-SHA-256", "sha256"],
          ["SCRAM-SHA-512", "sha512"]
        ] as const)
          for (const password of ["alice-secret", "wrong"]) {
            const client = yield* connect(ask)
            yield* handshake(client, mechanism)
            let last: unknown
            const verdict = yield* scram(hash, password, (authBytes) =>
              Effect.map(client.ask(SaslAuthenticate, 1, { authBytes }), (answer) => {
                if (answer === "closed") return answer
                last = [answer.errorCode, answer.errorMessage === null ? "no message" : "a message"]
                return answer.authBytes
              })
            )
            if (password === "wrong") yield* client.closed
            out[`${mechanism}, ${password}`] = [verdict, last, password === "wrong" ? "closed" : yield* serves(client)]
          }
        return out
      })
  },
  {
    api: "SaslAuthenticate",
    behaviour: "SCRAM of a user that is not there, and of what is no SCRAM",
    ask: (ask) =>
      Effect.gen(function* () {
        const out: { [what: string]: unknown } = {}
        for (const message of ["n,,n=mallory,r=abcdefgh", "hello", "p=tls-unique,,n=alice,r=abcdefgh"]) {
          const client = yield* connect(ask)
          yield* handshake(client, "SCRAM-SHA-256")
          const answer = yield* authenticate(client, bytes(message))
          yield* client.closed
          out[message] = answer
        }
        return out
      })
  },
  {
    api: "SaslHandshake",
    behaviour: "v0 is followed by bare tokens",
    ask: (ask) =>
      Effect.gen(function* () {
        const good = yield* connect(ask)
        yield* handshake(good, "PLAIN", 0)
        const answer = yield* good.exchange(plain("alice-secret"))
        const bad = yield* connect(ask)
        yield* handshake(bad, "PLAIN", 0)
        return {
          good: [answer === "closed" ? answer : answer.length, yield* serves(good)],
          bad: yield* bad.exchange(plain("wrong"))
        }
      })
  },
  {
    api: "SaslHandshake",
    behaviour: "what is answered before it, and what is not",
    ask: (ask) =>
      Effect.gen(function* () {
        const versions = (client: Client) =>
          Effect.map(client.ask(ApiVersions, 0, {}), (answer) => (answer === "closed" ? answer : answer.errorCode))
        const before = yield* connect(ask)
        const twice = yield* connect(ask)
        const refused = yield* connect(ask)
        const unknown = Uint8Array.from([0, 18, 0, 99, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0])
        const after = yield* refused.exchange(unknown)
        const between = yield* connect(ask)
        yield* handshake(between, "PLAIN")
        const authenticateFirst = yield* connect(ask)
        const handshakes = yield* connect(ask)
        yield* handshake(handshakes, "PLAIN")
        return {
          metadata: yield* serves(before),
          "versions twice": [yield* versions(twice), yield* versions(twice)],
          "versions after those refused": [
            after === "closed" ? after : Frame.readResponse(ApiVersions.Response, 0, after).value.errorCode,
            yield* versions(refused)
          ],
          "metadata between": yield* serves(between),
          "authenticate at once": yield* authenticate(authenticateFirst, plain("alice-secret")),
          "handshake twice": yield* handshake(handshakes, "SCRAM-SHA-256")
        }
      })
  },
  {
    api: "SaslHandshake",
    behaviour: "after the connection was authenticated, and on a listener without SASL",
    ask: (ask) =>
      Effect.gen(function* () {
        const authenticated = yield* connect(ask)
        yield* handshake(authenticated, "PLAIN")
        yield* authenticate(authenticated, plain("alice-secret"))
        const none = yield* ask.connect()
        const token = yield* ask.connect()
        return {
          again: yield* handshake(authenticated, "PLAIN"),
          none: yield* handshake(none, "PLAIN"),
          then: yield* serves(none),
          token: yield* authenticate(token, plain("alice-secret")),
          "then too": yield* serves(token)
        }
      })
  }
]
