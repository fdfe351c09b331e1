/**
 * Authentication of a connection: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512, by SaslHandshake v0 with bare tokens and by v1
 * with SaslAuthenticate; with a session lifetime also again and again (KIP-368).
 *
 * As on real brokers: ApiVersions is answered before it, everything else closes the connection; a failure is answered
 * (not after a handshake of v0) and then the connection closes.
 */
import * as crypto from "node:crypto"
import * as Code from "./Code.ts"
import type { Credential, ScramMechanism, Users } from "./Users.ts"

export type Mechanism = "PLAIN" | ScramMechanism

export interface SaslSettings {
  readonly mechanisms: ReadonlyArray<Mechanism>
  readonly users: Users
  /** Milliseconds; 0: a session has no end (`connections.max.reauth.ms`). */
  readonly sessionLifetime: number
  /** How long a failure is held back, in milliseconds (`connection.failed.authentication.delay.ms`). */
  readonly failureDelay: number
}

/** What a token leads to. */
type Step =
  | { readonly _tag: "Continue"; readonly token: Uint8Array }
  | { readonly _tag: "Done"; readonly token: Uint8Array; readonly user: string }
  | { readonly _tag: "Failed"; readonly message: string; readonly token?: Uint8Array }

interface Exchange {
  readonly step: (token: Uint8Array) => Step
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (value: string) => new TextEncoder().encode(value)
const nothing = new Uint8Array(0)

const sameBytes = (a: Uint8Array, b: Uint8Array) => a.length === b.length && crypto.timingSafeEqual(a, b)

/** RFC 4616: authorization id, user and password, each behind a zero. */
const plain = (settings: SaslSettings): Exchange => ({
  step: (token) => {
    const parts = text(token).split("\u0000")
    const [authzid = "", user = "", password] = parts
    if (parts.length !== 3 || user === "" || password === "")
      return { _tag: "Failed", message: "Authentication failed: Invalid SASL/PLAIN response" }
    if (settings.users.passwords.get(user) !== password)
      return { _tag: "Failed", message: "Authentication failed: Invalid username or password" }
    if (authzid !== "" && authzid !== user)
      return {
        _tag: "Failed",
        message: "Authentication failed: Client requested an authorization id that is different from username"
      }
    return { _tag: "Done", token: nothing, user }
  }
})

/** RFC 5802, without channel binding. */
const scram = (settings: SaslSettings, mechanism: ScramMechanism, random: () => number): Exchange => {
  const hash = mechanism === "SCRAM-SHA-256" ? "sha256" : "sha512"
  const hmac = (key: Uint8Array, data: string) => crypto.createHmac(hash, key).update(data).digest()
  const digest = (data: Uint8Array) => crypto.createHash(hash).update(data).digest()
  const refused: Step = {
    _tag: "Failed",
    message: `Authentication failed during authentication due to invalid credentials with SASL mechanism ${mechanism}`
  }
  const malformed: Step = { _tag: "Failed", message: "Authentication failed: Invalid SASL/SCRAM message" }
  let first:
    | {
        readonly user: string
        readonly bare: string
        readonly server: string
        readonly nonce: string
        readonly credential: Credential
      }
    | undefined
  let finished = false
  return {
    step: (token) => {
      const message = text(token)
      if (finished) return malformed
      if (first === undefined) {
        // Names of ASCII alone, as ScramMessages reads them; passwords are not prepared either.
        const parts = /^n,(?:a=[^,]*)?,((?:m=[^,]*,)?n=((?:[^,=\P{ASCII}]|=2C|=3D)+),r=([^,]+)(?:,.*)?)$/u.exec(message)
        if (parts === null) return malformed
        const user = parts[2]!.replaceAll("=2C", ",").replaceAll("=3D", "=")
        const credential = settings.users.of(user).get(mechanism)
        if (credential === undefined) return refused
        const nonce = `${parts[3]}${Math.floor(random() * 2 ** 48).toString(36)}${Math.floor(random() * 2 ** 48).toString(36)}`
        const server = `r=${nonce},s=${Buffer.from(credential.salt).toString("base64")},i=${credential.iterations}`
        first = { user, bare: parts[1]!, server, nonce, credential }
        return { _tag: "Continue", token: bytes(server) }
      }
      const parts = /^(c=[^,]+,r=([^,]+)(?:,.*)?),p=([^,]+)$/.exec(message)
      if (parts === null || parts[2] !== first.nonce) return malformed
      finished = true
      const password = first.credential.salted()
      const clientKey = hmac(password, "Client Key")
      const signed = `${first.bare},${first.server},${parts[1]}`
      const signature = hmac(digest(clientKey), signed)
      const proof = Buffer.from(parts[3]!, "base64")
      const expected = clientKey.map((byte, i) => byte ^ signature[i]!)
      if (!sameBytes(proof, expected)) return refused
      const verifier = hmac(hmac(password, "Server Key"), signed).toString("base64")
      return { _tag: "Done", token: bytes(`v=${verifier}`), user: first.user }
    }
  }
}

const handshakeKey = 17
const apiVersionsKey = 18
const authenticateKey = 36

/** Where a connection stands. */
export class Session {
  readonly settings: SaslSettings
  /** Who it is, once that is known. */
  user: string | undefined
  private readonly random: () => number
  private mechanism: Mechanism | undefined
  private exchange: Exchange | undefined
  private bare = false
  private until = Infinity

  constructor(settings: SaslSettings, random: () => number) {
    this.settings = settings
    this.random = random
  }

  /** Bare tokens without headers come next, after SaslHandshake v0. */
  get takesTokens(): boolean {
    return this.bare && this.exchange !== undefined
  }

  /** Whether a request of this API may be served now. */
  allows(apiKey: number, now: number): boolean {
    if (apiKey === apiVersionsKey) return true
    if (apiKey === handshakeKey) return this.exchange === undefined
    if (apiKey === authenticateKey) return this.exchange !== undefined && !this.bare
    return this.user !== undefined && this.exchange === undefined && now < this.until
  }

  /** SaslHandshake: gives the error code. */
  handshake(mechanism: string, version: number): number {
    const known = this.settings.mechanisms.find((each) => each === mechanism)
    if (known === undefined) return Code.unsupportedSaslMechanism
    // who authenticates again must stay with the mechanism
    if (this.user !== undefined && known !== this.mechanism) return Code.illegalSaslState
    this.mechanism = known
    this.bare = version === 0
    this.exchange = known === "PLAIN" ? plain(this.settings) : scram(this.settings, known, this.random)
    return Code.none
  }

  /** A token of the client. */
  step(token: Uint8Array, now: number): Step {
    if (this.exchange === undefined) return { _tag: "Failed", message: "no mechanism was chosen" }
    const step = this.exchange.step(token)
    if (step._tag === "Continue") return step
    this.exchange = undefined
    if (step._tag === "Failed") return step
    // somebody else cannot take a session over
    if (this.user !== undefined && this.user !== step.user)
      return { _tag: "Failed", message: "Cannot change principals during re-authentication" }
    this.user = step.user
    const { sessionLifetime } = this.settings
    this.until = sessionLifetime > 0 ? now + sessionLifetime : Infinity
    return step
  }
}
