/** Certificates for tests: `server` is for localhost, broker.test and 127.0.0.1, and `ca` has signed it and `cert`. */
import { readFileSync } from "node:fs"

export interface Certificates {
  readonly ca: string
  readonly otherCa: string
  readonly serverCert: string
  readonly serverKey: string
  readonly cert: string
  readonly key: string
  /** With the passphrase "secret". */
  readonly encryptedKey: string
}

export const certificates: Certificates = JSON.parse(
  readFileSync(new URL("certificates.json", import.meta.url), "utf8")
)
