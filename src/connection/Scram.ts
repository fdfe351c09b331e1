/**
 * SCRAM (RFC 5802, 7677) from the client's side: two rounds that prove that both know the password. Names and passwords
 * are taken as they are, in UTF-8, as Kafka does: it prepares neither (RFC 4013), and reads names of ASCII alone. There
 * is no channel binding.
 */
import * as Effect from "effect/Effect"
import * as Crypto from "node:crypto"

export type Hash = "sha256" | "sha512"

/** What Kafka's brokers want at least; what a broker that means no harm stays below. */
const minIterations = 4096
/** What is done for a broker where the settings do not say more: a hundredth of a second. */
const defaultMaxIterations = 16_384

/** The client's first message, and what the later ones are made with. */
export interface State {
  readonly hash: Hash
  readonly password: string
  readonly nonce: string
  readonly firstBare: string
  readonly maxIterations: number
}

/** The client's first message. `nonce` is printable ASCII without commas, never used twice. */
export const first = (
  hash: Hash,
  username: string,
  password: string,
  nonce: string,
  maxIterations = defaultMaxIterations
): readonly [State, string] => {
  const name = username.replaceAll("=", "=3D").replaceAll(",", "=2C")
  const firstBare = `n=${name},r=${nonce}`
  return [{ hash, password, nonce, firstBare, maxIterations }, `n,,${firstBare}`]
}

const attributes = (message: string): ReadonlyMap<string, string> =>
  new Map(message.split(",").map((part) => [part.slice(0, 1), part.slice(2)] as const))

/** The salted password (PBKDF2). What is more than usual is done in turns, so that it ends with whoever wanted it. */
const salt = (password: string, salt: Buffer, iterations: number, hash: Hash): Effect.Effect<Buffer, string> =>
  iterations > defaultMaxIterations
    ? saltInTurns(password, salt, iterations, hash)
    : Effect.callback((resume) => {
        // In the thread pool, which nothing can call back from.
        Crypto.pbkdf2(password, salt, iterations, hash === "sha256" ? 32 : 64, hash, (error, key) =>
          resume(error === null ? Effect.succeed(key) : Effect.fail(error.message))
        )
      })

/** Iterations between two pauses: some milliseconds. */
const turnIterations = 1000

/** The one block of PBKDF2 that is as long as its hash (RFC 8018, 5.2). */
const saltInTurns = (password: string, salt: Buffer, iterations: number, hash: Hash): Effect.Effect<Buffer> => {
  const key = Buffer.from(password)
  const mac = (data: Uint8Array) => Crypto.createHmac(hash, key).update(data).digest()
  let last = mac(Buffer.concat([salt, Buffer.of(0, 0, 0, 1)]))
  const block = Buffer.from(last)
  let done = 1
  const turn: Effect.Effect<Buffer> = Effect.suspend(() => {
    for (const to = Math.min(iterations, done + turnIterations); done < to; done++) {
      last = mac(last)
      for (let i = 0; i < block.length; i++) block[i]! ^= last[i]!
    }
    return done < iterations ? Effect.andThen(Effect.yieldNow, turn) : Effect.succeed(block)
  })
  return turn
}

const hmac = (hash: Hash, key: Buffer, text: string): Buffer => Crypto.createHmac(hash, key).update(text).digest()

/** The client's last message, and the proof that the server's must hold. Fails with what is wrong with the challenge. */
export const last = (
  state: State,
  challenge: string
): Effect.Effect<readonly [message: string, proof: Buffer], string> =>
  Effect.gen(function* () {
    const { firstBare, hash, maxIterations, nonce, password } = state
    const theirs = attributes(challenge)
    const error = theirs.get("e")
    if (error !== undefined) return yield* Effect.fail(error)
    const [r, s, i] = [theirs.get("r"), theirs.get("s"), theirs.get("i")]
    if (r === undefined || s === undefined || i === undefined) return yield* Effect.fail("its challenge is incomplete")
    if (!r.startsWith(nonce) || r.length === nonce.length)
      return yield* Effect.fail("its nonce is not ours with its own behind")
    const iterations = /^\d{1,9}$/.test(i) ? Number(i) : 0
    if (iterations < minIterations || iterations > maxIterations)
      return yield* Effect.fail(
        `it asks for ${i} iterations; from ${minIterations} to ${maxIterations} are done (sasl.maxIterations)`
      )

    const salted = yield* salt(password, Buffer.from(s, "base64"), iterations, hash)
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
