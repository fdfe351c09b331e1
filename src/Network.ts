/**
 * Bytes to a host and port. The lowest seam: TCP and TLS in production, the embedded broker in tests.
 *
 * A connection is driven by callbacks, not by a fiber: a response completes whoever waits for it in the very tick in
 * which its bytes arrive, which is measurably cheaper than a read loop, and keeps them in order.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { KafkaError } from "./KafkaError.ts"

/** Where to connect to, and how. */
export interface Address {
  readonly host: string
  readonly port: number
}

/** What a connection tells its owner. `onClose` is called once, and nothing after it. */
export interface Handler {
  readonly onData: (chunk: Uint8Array) => void
  /** `cause` says why, where the end was not ours: `closed by the broker`, `ECONNRESET`, … */
  readonly onClose: (cause: string) => void
}

/** An open byte connection. */
export interface Connection {
  /** Hands chunks over, in order. They must not be changed afterwards. After the end it does nothing. */
  readonly write: (chunks: ReadonlyArray<Uint8Array>) => void
  /** Ends the connection at once; `onClose` is not called. */
  readonly close: () => void
}

/** Opens byte connections. */
export class Network extends Context.Service<
  Network,
  {
    /** Connects; closed with the Scope. Fails with `Unreachable` or `WrongProtocol`; bounded by the caller. */
    readonly connect: (address: Address, handler: Handler) => Effect.Effect<Connection, KafkaError, Scope.Scope>
  }
>()("samsa/Network") {}
