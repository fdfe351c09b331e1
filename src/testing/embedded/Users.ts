/** Who may log in: passwords for PLAIN, and what SCRAM makes of them, which the API gives and takes away (KIP-554). */
import * as crypto from "node:crypto"

export type ScramMechanism = "SCRAM-SHA-256" | "SCRAM-SHA-512"

/** Kafka's numbers. */
export const mechanisms: ReadonlyMap<number, ScramMechanism> = new Map([
  [1, "SCRAM-SHA-256"],
  [2, "SCRAM-SHA-512"]
])

/** By which a user logs in. */
export interface Credential {
  readonly iterations: number
  readonly salt: Uint8Array
  readonly salted: () => Uint8Array
}

/** Iterations of passwords that the cluster is made with. */
const byDefault = 4096

/** Salted passwords of all clusters: they take a while, and are the same each time. */
const known = new Map<string, Buffer>()

const ofPassword = (mechanism: ScramMechanism, user: string, password: string): Credential => {
  // the same for a user each time, so that clients may keep the salted password
  const salt = new Uint8Array(crypto.createHash("md5").update(user).digest())
  const [hash, length] = mechanism === "SCRAM-SHA-256" ? (["sha256", 32] as const) : (["sha512", 64] as const)
  return {
    iterations: byDefault,
    salt,
    salted: () => {
      const key = `${hash}:${user}:${password}`
      let made = known.get(key)
      if (made === undefined) known.set(key, (made = crypto.pbkdf2Sync(password, salt, byDefault, length, hash)))
      return made
    }
  }
}

/** The users of a cluster. */
export class Users {
  /** Passwords by name, for PLAIN. */
  readonly passwords: ReadonlyMap<string, string>
  private readonly scram = new Map<string, Map<ScramMechanism, Credential>>()

  constructor(passwords: ReadonlyMap<string, string> = new Map()) {
    this.passwords = passwords
    for (const [user, password] of passwords)
      for (const mechanism of mechanisms.values()) this.set(user, mechanism, ofPassword(mechanism, user, password))
  }

  /** Who has any credential. */
  get names(): ReadonlyArray<string> {
    return Array.from(this.scram.keys()).sort()
  }

  of(user: string): ReadonlyMap<ScramMechanism, Credential> {
    return this.scram.get(user) ?? new Map()
  }

  set(user: string, mechanism: ScramMechanism, credential: Credential): void {
    let his = this.scram.get(user)
    if (his === undefined) this.scram.set(user, (his = new Map()))
    his.set(mechanism, credential)
  }

  remove(user: string, mechanism: ScramMechanism): void {
    const his = this.scram.get(user)
    his?.delete(mechanism)
    if (his?.size === 0) this.scram.delete(user)
  }
}
