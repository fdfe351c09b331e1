/**
 * Bytes to a host and port. The lowest seam: TCP and TLS in production, the embedded broker in tests.
 *
 * A connection is driven by callbacks, not by a fiber: a response completes whoever waits for it in the very tick in
 * which its bytes arrive, which is measurably cheaper than a read loop, and keeps them in order.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as KafkaError from "./KafkaError.ts"
import type * as Security from "./Security.ts"

/**
 * Where to connect to, and how. A Network that is not TCP may ignore all but host and port.
 *
 * @since 0.1.0
 * @category models
 */
export interface Address {
  readonly host: string
  readonly port: number
  /** Undefined: plaintext. */
  readonly tls?: Security.TlsSettings | undefined
  /** The local address to connect from; port 0 is any. */
  readonly sourceAddress?: { readonly host: string; readonly port: number } | undefined
  /** After how many milliseconds of silence the system asks whether the other side is there; `Infinity`: never. */
  readonly keepAlive?: number | undefined
}

/**
 * What a connection tells its owner. `onClose` is called once, and nothing after it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Handler {
  /** Bytes as they come, cut anywhere. They are kept: the chunk must not be changed afterwards. */
  readonly onData: (chunk: Uint8Array) => void
  /**
   * `cause` says why, where the end was not ours: `closed by the broker`, `ECONNRESET`, … `error` where it has a
   * reason of its own: a TLS alert that refuses our certificate.
   */
  readonly onClose: (cause: string, error?: KafkaError.KafkaError) => void
}

/**
 * An open byte connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connection {
  /**
   * Hands chunks over, in order. They must not be changed afterwards. After the end it does nothing. `written` is called
   * once the system has taken all of them; never, where the connection ends before that.
   */
  readonly write: (chunks: ReadonlyArray<Uint8Array>, written?: () => void) => void
  /** Ends the connection at once; `onClose` is not called. */
  readonly close: () => void
}

/**
 * Opens byte connections.
 *
 * @since 0.1.0
 * @category services
 */
export class Network extends Context.Service<
  Network,
  {
    /**
     * Connects; closed with the Scope. Bounded by the caller. Fails with `Unreachable`; with `WrongProtocol` where what
     * answers does not speak TLS; with `Unauthenticated` where a certificate is refused, by either side.
     */
    readonly connect: (
      address: Address,
      handler: Handler
    ) => Effect.Effect<Connection, KafkaError.KafkaError, Scope.Scope>
  }
>()("samsa/Network") {}
