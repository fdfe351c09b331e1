import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Redacted } from "effect"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Scram from "../src/connection/Scram.ts"
import * as Security from "../src/Security.ts"
import { certificates } from "./network/Certificates.ts"

const mistakes = (options: Security.Tls) =>
  Effect.gen(function* () {
    const found: Array<string> = []
    yield* Security.checkTls(options, (mistake) => void found.push(mistake))
    return found
  })

const folder = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(Path.join(Os.tmpdir(), "samsa-security-"))),
  (folder) => Effect.sync(() => Fs.rmSync(folder, { recursive: true }))
)

describe("TLS settings", () => {
  const { ca, cert, encryptedKey, key, serverKey } = certificates

  it.effect("take PEM text and files of it", () =>
    Effect.gen(function* () {
      const at = yield* folder
      const file = (name: string, text: string) => {
        Fs.writeFileSync(Path.join(at, name), text)
        return { file: Path.join(at, name) }
      }
      assert.deepStrictEqual(yield* mistakes({ ca, cert, key: Redacted.make(key) }), [])
      assert.deepStrictEqual(
        yield* mistakes({
          ca: file("ca", ca),
          cert: file("cert", cert),
          key: file("key", encryptedKey),
          passphrase: Redacted.make("secret")
        }),
        []
      )
    }).pipe(Effect.scoped)
  )

  it.effect("are checked before anything is connected: what cannot be read, and what does not fit together", () =>
    Effect.gen(function* () {
      const nowhere = Path.join(yield* folder, "nothing.pem")
      assert.deepStrictEqual(yield* mistakes({ ca: "ca.pem", cert, key: { file: nowhere } }), [
        'tls.ca is not PEM text; a file is given as { file: "…" }',
        `tls.key: ${nowhere} cannot be read (ENOENT)`
      ])
      assert.deepStrictEqual(yield* mistakes({ cert, key: Redacted.make(serverKey) }), [
        "tls: the key is not that of the certificate"
      ])
      // OpenSSL keeps a key of another algorithm beside the certificate, shows none, and the broker refused us.
      const { privateKey: other } = Crypto.generateKeyPairSync("rsa", { modulusLength: 2048 })
      const otherKey = other.export({ type: "pkcs8", format: "pem" }).toString()
      assert.deepStrictEqual(yield* mistakes({ cert, key: Redacted.make(otherKey) }), [
        "tls: the key is not that of the certificate"
      ])
      assert.match((yield* mistakes({ cert }))[0]!, /tls.cert needs tls.key/)
      assert.match((yield* mistakes({ key: Redacted.make(key) }))[0]!, /tls.key needs tls.cert/)
      assert.match(
        (yield* mistakes({ cert, key: Redacted.make(encryptedKey), passphrase: Redacted.make("wrong") }))[0]!,
        /passphrase does not decrypt/
      )
      assert.match((yield* mistakes({ cert, key: Redacted.make(encryptedKey) }))[0]!, /needs tls.passphrase/)
    }).pipe(Effect.scoped)
  )

  it.effect(
    "fail at construction for files and texts without a certificate: nobody would be trusted, or everybody",
    () =>
      Effect.gen(function* () {
        const at = yield* folder
        const file = (name: string, text: string) => {
          Fs.writeFileSync(Path.join(at, name), text)
          return { file: Path.join(at, name) }
        }
        for (const empty of [file("empty", ""), file("blank", "\n"), file("key-only", key), key])
          assert.match((yield* mistakes({ ca: empty })).join(), /tls.ca.* holds no certificate/)
        assert.match((yield* mistakes({ ca: "" })).join(), /tls.ca is not PEM text/)
        assert.match((yield* mistakes({ cert: key, key: Redacted.make(key) })).join(), /tls.cert holds no certificate/)
        assert.match((yield* mistakes({ cert, key: Redacted.make(cert) })).join(), /tls.key holds no private key/)
      }).pipe(Effect.scoped)
  )

  it.effect("take what OpenSSL takes: text around certificates, and those that a comment holds", () =>
    Effect.gen(function* () {
      const at = Path.join(yield* folder, "ca.pem")
      const aside = certificates.otherCa.slice(0, 300).replace(/^/gm, "# ")
      const bare = ca.trim()
      for (const text of [
        `# one\n${bare}\n\nsubject=CN = x\n${certificates.otherCa}# the end`,
        `# as "-----BEGIN CERTIFICATE-----" says\n${bare}\n`,
        `${bare}\n${aside}\n`,
        `${bare.replaceAll("\n", "\r\n")}\r\n`,
        `\ufeff${bare}`,
        `${key.trim()}\n${bare}\n${key.trim()}\n`
      ]) {
        Fs.writeFileSync(at, text)
        assert.deepStrictEqual(yield* mistakes({ ca: text }), [])
        assert.deepStrictEqual(yield* mistakes({ ca: { file: at } }), [])
      }
    }).pipe(Effect.scoped)
  )

  it.effect("are refused where OpenSSL would pass over all authorities, and trust nobody", () =>
    Effect.gen(function* () {
      const bare = ca.trim()
      const trusted = bare.replaceAll(" CERTIFICATE", " TRUSTED CERTIFICATE")
      for (const text of [
        // two files put together, of which the first has no end of its last line
        bare + ca,
        // what ends a line for JavaScript, and not for OpenSSL (all of them were taken)
        ...["\r", "\u2028", "\u2029"].flatMap((end) => [bare + end + ca, `# one${end}${ca}`]),
        bare.replace(/^/gm, "  "),
        bare.replace(/^/gm, "# "),
        trusted.slice(0, 300) + trusted.slice(400)
      ])
        assert.strictEqual((yield* mistakes({ ca: text })).length, 1)
    })
  )

  it.effect("read files again, so that certificates can be renewed, and keep what works while they cannot", () =>
    Effect.gen(function* () {
      const file = Path.join(yield* folder, "ca.pem")
      Fs.writeFileSync(file, ca)
      const settings = (yield* Security.checkTls({ ca: { file } }, assert.fail))!
      const first = yield* settings.context
      assert.strictEqual(yield* settings.context, first)
      Fs.writeFileSync(file, certificates.otherCa)
      const second = yield* settings.context
      assert.notStrictEqual(second, first)
      // read while it is written (the authorities that were there by then were all that was trusted)
      Fs.writeFileSync(file, ca + certificates.otherCa.slice(0, 200))
      assert.strictEqual(yield* settings.context, second)
      // … but for the last bytes of its last line, or damaged (nobody was trusted, and the next connection was refused)
      const { otherCa } = certificates
      for (const broken of [
        otherCa.slice(0, -10),
        otherCa.slice(0, 300) + otherCa.slice(400),
        ca + otherCa.slice(0, -3)
      ]) {
        Fs.writeFileSync(file, broken)
        assert.strictEqual(yield* settings.context, second)
      }
      Fs.rmSync(file)
      assert.strictEqual(yield* settings.context, second)
    }).pipe(Effect.scoped)
  )

  it.effect("keep what works while the key was renewed, of another algorithm, and its certificate not yet", () =>
    Effect.gen(function* () {
      const at = yield* folder
      const [certFile, keyFile] = [Path.join(at, "cert.pem"), Path.join(at, "key.pem")]
      Fs.writeFileSync(certFile, cert)
      Fs.writeFileSync(keyFile, key)
      const settings = yield* Security.checkTls({ cert: { file: certFile }, key: { file: keyFile } }, assert.fail)
      const first = yield* settings!.context
      const { privateKey } = Crypto.generateKeyPairSync("rsa", { modulusLength: 2048 })
      Fs.writeFileSync(keyFile, privateKey.export({ type: "pkcs8", format: "pem" }))
      assert.strictEqual(yield* settings!.context, first)
    }).pipe(Effect.scoped)
  )
})

describe("SCRAM", () => {
  // RFC 7677, 3
  const nonce = "rOprNGfwEbeRWgbNEkqO"
  const challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
  const [state, first] = Scram.first("sha256", "user", "pencil", nonce)

  it.effect("says what RFC 7677 says", () =>
    Effect.gen(function* () {
      assert.strictEqual(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
      const [message, proof] = yield* Scram.last(state, challenge)
      assert.strictEqual(
        message,
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
      )
      assert.isUndefined(Scram.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", proof))
    })
  )

  it.effect("does not believe a broker that does not know the password", () =>
    Effect.gen(function* () {
      const [, proof] = yield* Scram.last(state, challenge)
      for (const message of ["v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "v=", "", "x"]) {
        assert.match(Scram.verify(message, proof) ?? "", /does not know the password/)
      }
      assert.strictEqual(Scram.verify("e=invalid-proof", proof), "invalid-proof")
    })
  )

  it.effect("does not answer a challenge that is not made for us, or costs too much", () =>
    Effect.gen(function* () {
      const refused = (challenge: string) => Effect.flip(Scram.last(state, challenge))
      assert.match(yield* refused("r=other,s=W22Z,i=4096"), /nonce/)
      assert.match(yield* refused(`r=${nonce},s=W22Z,i=4096`), /nonce/)
      assert.match(yield* refused(`r=${nonce}x,s=W22Z,i=1`), /4096/)
      assert.match(yield* refused(`r=${nonce}x,s=W22Z,i=16385`), /from 4096 to 16384 are done/)
      assert.match(yield* refused(`r=${nonce}x,s=W22Z,i=-1`), /4096/)
      assert.match(yield* refused(`r=${nonce}x`), /incomplete/)
      assert.strictEqual(yield* refused("e=unknown-user"), "unknown-user")
    })
  )

  it.effect("does more iterations where it is told to, in turns that end with whoever wanted them", () =>
    Effect.gen(function* () {
      const salt = Buffer.from("W22ZaJ0SNY7soEsUEjb6gQ==", "base64")
      const challenge = `r=${nonce}x,s=${salt.toString("base64")},i=20000`
      for (const hash of ["sha256", "sha512"] as const) {
        const [state] = Scram.first(hash, "user", "pencil", nonce, 20_000)
        const [, proof] = yield* Scram.last(state, challenge)
        // By the one function of the platform.
        const salted = Crypto.pbkdf2Sync("pencil", salt, 20_000, hash === "sha256" ? 32 : 64, hash)
        const hmac = (key: Buffer, text: string) => Crypto.createHmac(hash, key).update(text).digest()
        const signed = `n=user,r=${nonce},${challenge},c=biws,r=${nonce}x`
        assert.strictEqual(hmac(hmac(salted, "Server Key"), signed).compare(proof), 0)
      }
      const [state] = Scram.first("sha256", "user", "pencil", nonce, 1e9)
      const endless = yield* Effect.forkChild(Scram.last(state, `r=${nonce}x,s=W22Z,i=100000000`), {
        startImmediately: true
      })
      yield* Effect.yieldNow
      yield* Fiber.interrupt(endless)
    })
  )

  it("takes no name that Kafka's brokers do not read, and passwords as they are", () => {
    const found = (sasl: object) => {
      const found: Array<string> = []
      Security.checkSasl(sasl as Security.Sasl, (mistake) => void found.push(mistake))
      return found
    }
    const password = Redacted.make("\u2168 I\u00aaX")
    for (const mechanism of ["SCRAM-SHA-256", "SCRAM-SHA-512"]) {
      assert.deepStrictEqual(found({ mechanism, username: "a=b, c", password }), [])
      assert.match(found({ mechanism, username: "j\u00fcrgen", password }).join(), /ASCII alone/)
      assert.match(found({ mechanism, username: "u", password, maxIterations: 100 }).join(), /from 4096 on/)
    }
    assert.deepStrictEqual(found({ mechanism: "PLAIN", username: "j\u00fcrgen", password }), [])
  })

  it("writes what a name may not hold as the RFC says", () => {
    assert.strictEqual(Scram.first("sha512", "a=b,c", "p", "n")[1], "n,,n=a=3Db=2Cc,r=n")
  })
})
