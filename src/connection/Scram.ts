/**
 * SCRAM (RFC 5802, 7677) from the client's side: two rounds that prove that both know the password. Names and passwords
 * are taken as they are, in UTF-8, as Kafka's brokers do; there is no channel binding.
 */
import * as Effect from "effect/Effect"
import * as Crypto from "node:crypto"

export type Hash = "sha256" | "sha512"

/** What Kafka's brokers want at least; what a broker that means no harm stays below. */
const minIterations = 4096
const maxIterations = 10_000_000

/** The client's first message, and what the later ones are made with. */
export interface State {
  readonly hash: Hash
  readonly password: string
  readonly nonce: string
  readonly firstBare: string
}

/** The client's first message. `nonce` is printable ASCII without commas, never used twice. */
export const first = (hash: Hash, username: string, password: string, nonce: string): readonly [State, string] => {
  const name = username.replaceAll("=", "=3D").replaceAll(",", "=2C")
  const firstBare = `n=${name},r=${nonce}`
  return [{ hash, password, nonce, firstBare }, `n,,${firstBare}`]
}

const attributes = (message: string): ReadonlyMap<string, string> =>
  new Map(message.split(",").map((part) => [part.slice(0, 1), part.slice(2)] as const))

const pbkdf2 = (password: string, salt: Buffer, iterations: number, hash: Hash): Effect.Effect<Buffer, string> =>
  Effect.callback((resume) => {
    // In the thread pool: 4096 rounds take milliseconds, and a broker may ask for more.
    Crypto.pbkdf2(password, salt, iterations, hash === "sha256" ? 32 : 64, hash, (error, key) =>
      resume(error === null ? Effect.succeed(key) : Effect.fail(error.message))
    )
  })

const hmac = (hash: Hash, key: Buffer, text: string): Buffer => Crypto.createHmac(hash, key).update(text).digest()

/** The client's last message, and the proof that the server's must hold. Fails with what is wrong with the challenge. */
export const last = (
  state: State,
  challenge: string
): Effect.Effect<readonly [message: string, proof: Buffer], string> =>
  Effect.gen(function* () {
    const { firstBare, hash, nonce, password } = state
    const theirs = attributes(challenge)
    const error = theirs.get("e")
    if (error !== undefined) return yield* Effect.fail(error)
    const [r, s, i] = [theirs.get("r"), theirs.get("s"), theirs.get("i")]
    if (r === undefined || s === undefined || i === undefined) return yield* Effect.fail("its challenge is incomplete")
    if (!r.startsWith(nonce) || r.length === nonce.length)
      return yield* Effect.fail("its nonce is not ours with its own behind")
    const iterations = /^\d{1,9}$/.test(i) ? Number(i) : 0
    if (iterations < minIterations || iterations > maxIterations)
      return yield* Effect.fail(`it asks for ${i} iterations; from ${minIterations} to ${maxIterations} are done`)

    const salted = yield* pbkdf2(password, Buffer.from(s, "base64"), iterations, hash)
    const clientKey = hmac(hash, salted, "Client Key")
    const storedKey = Crypto.createHash(hash).update(clientKey).digest()
    // "biws" is "n,,": no channel binding.
    const withoutProof = `c=biws,r=${r}`
    const signed = `${firstBare},${challenge},${withoutProof}`
    const signature = hmac(hash, storedKey, signed)
    const proof = clientKey.map((byte, at) => byte ^ signature[at]!)
    const serverSignature = hmac(hash, hmac(hash, salted, "Server Key"), signed)
    return [`${withoutProof},p=${Buffer.from(proof).toString("base64")}`, serverSignature] as const
  })

/** What is wrong with the server's last message: undefined where it has proven that it knows the password. */
export const verify = (message: string, proof: Buffer): string | undefined => {
  const theirs = attributes(message)
  const error = theirs.get("e")
  if (error !== undefined) return error
  const given = Buffer.from(theirs.get("v") ?? "", "base64")
  return given.length === proof.length && Crypto.timingSafeEqual(given, proof)
    ? undefined
    : "the broker does not know the password either"
}
