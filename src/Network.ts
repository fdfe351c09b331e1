/**
 * Bytes to a host and port. The lowest seam: TCP and TLS in production, the embedded broker in tests.
 *
 * A connection is driven by callbacks, not by a fiber: a response completes whoever waits for it in the very tick in
 * which its bytes arrive, which is measurably cheaper than a read loop, and keeps them in order.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Net from "node:net"
import * as KafkaError from "./KafkaError.ts"

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
    readonly connect: (address: Address, handler: Handler) => Effect.Effect<Connection, KafkaError.KafkaError, Scope.Scope>
  }
>()("samsa/Network") {}

const explain = (error: NodeJS.ErrnoException | AggregateError): string => {
  // Where a name has several addresses, Node tries each and gathers what they said.
  if ("errors" in error && error.errors.length > 0) return error.errors.map((one: Error) => one.message).join(", ")
  return error.message === "" ? ((error as NodeJS.ErrnoException).code ?? "failed") : error.message
}

const connectTcp = (address: Address, handler: Handler): Effect.Effect<Connection, KafkaError.KafkaError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Connection & { readonly socket: Net.Socket }, KafkaError.KafkaError>((resume) => {
      // A name is resolved anew at each connect, and each of its addresses is tried.
      const socket = Net.connect({ ...address, noDelay: true, keepAlive: true, autoSelectFamily: true })
      let closed = false
      let cause = "closed by the broker"
      const close = () => {
        closed = true
        socket.destroy()
      }
      socket.once("connect", () => {
        socket.on("data", (chunk) => handler.onData(chunk))
        socket.on("close", () => {
          if (closed) return
          closed = true
          handler.onClose(cause)
        })
        resume(Effect.succeed({ socket, close, write: (chunks) => writeAll(socket, chunks) }))
      })
      socket.on("error", (error) => {
        cause = explain(error)
        resume(
          Effect.fail(
            KafkaError.make({
              _tag: "Unreachable",
              attempts: [{ address: `${address.host}:${address.port}`, cause }]
            })
          )
        )
      })
      return Effect.sync(close)
    }),
    (connection) => Effect.sync(connection.close),
    { interruptible: true }
  )

const writeAll = (socket: Net.Socket, chunks: ReadonlyArray<Uint8Array>): void => {
  if (socket.destroyed) return
  // Corked, so that a request of several buffers is one system call and no copy.
  socket.cork()
  for (const chunk of chunks) socket.write(chunk)
  socket.uncork()
}

/** TCP by `node:net`: no delay, keep-alive, every address of a name tried. */
export const layer: Layer.Layer<Network> = Layer.succeed(Network, Network.of({ connect: connectTcp }))
