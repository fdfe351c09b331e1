/** A connection's authentication: where it stands, and what it may ask meanwhile. */
export interface Session {
  /** Bare tokens without headers are awaited, after SaslHandshake v0. */
  readonly takesTokens: boolean
  readonly token: (bytes: Uint8Array, answer: (token: Uint8Array) => void, refuse: () => void) => void
  /** Whether a request is allowed now. */
  readonly allows: (apiKey: number, now: number) => boolean
}
