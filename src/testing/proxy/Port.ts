/** A TCP port in front of a broker: sockets of `node:net`, and how what goes through them is cut or held up. */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as net from "node:net"
import type { Ends } from "./Relay.ts"

/** A socket that owes more than this is slow: no more is read for it until it took what it owes. */
const highWater = 16 * 1024 * 1024

/** What becomes of the bytes of one connection. */
interface Relayed {
  readonly fromClient: (chunk: Uint8Array) => void
  readonly fromBroker: (chunk: Uint8Array) => void
  /** Either end is closed. */
  readonly ended: () => void
}

export interface Port {
  readonly port: number
  /** Resets every connection that is open, on both sides, and gives how many there were. */
  readonly cut: () => number
  /** Nothing comes through any more, in either direction; connections are accepted and stay open. */
  readonly freeze: () => void
  readonly thaw: () => void
  /** So many bytes a second come through at most, in each direction of each connection; undefined: as many as may be. */
  readonly limit: (bytesPerSecond: number | undefined) => void
}

type Pair = readonly [near: net.Socket, far: net.Socket]

/** Listens on a host of this machine until the Scope closes, for the broker at `upstream`. */
export const open = (
  host: string,
  upstream: { readonly host: string; readonly port: number },
  relayed: (ends: Ends) => Relayed
): Effect.Effect<Port, Error, Scope.Scope> =>
  Effect.gen(function* () {
    const pairs = new Set<Pair>()
    let frozen = false
    const run = yield* FiberSet.makeRuntime<never>()
    let rate: number | undefined
    /** Those of which no more is read until what was has had its time. */
    const paced = new Set<net.Socket>()

    /** Reads from one as long as the other takes it. */
    const flow = ([near, far]: Pair) => {
      for (const [from, to] of [
        [near, far],
        [far, near]
      ] as const) {
        if (frozen || paced.has(from) || to.writableLength > highWater) from.pause()
        else from.resume()
      }
    }

    const pace = (from: net.Socket, bytes: number, pair: Pair) => {
      if (rate === undefined) return
      paced.add(from)
      flow(pair)
      const goesOn = Effect.sync(() => (paced.delete(from) ? flow(pair) : undefined))
      run(Effect.delay(goesOn, Math.ceil((1000 * bytes) / rate)))
    }

    const accept = (near: net.Socket): void => {
      const far = net.connect({ ...upstream, noDelay: true })
      const pair: Pair = [near, far]
      const hand = (socket: net.Socket) => (chunks: ReadonlyArray<Uint8Array>) => {
        socket.cork()
        for (const chunk of chunks) socket.write(chunk)
        socket.uncork()
        if (socket.writableLength > highWater) flow(pair)
      }
      const end = () => {
        if (!pairs.delete(pair)) return
        for (const socket of pair) paced.delete(socket)
        relay.ended()
        // what was handed over goes out first
        for (const socket of pair) {
          socket.end()
          socket.destroySoon()
        }
      }
      const breakOff = (chunk: Uint8Array) =>
        void near.write(chunk, () => {
          for (const socket of pair) socket.resetAndDestroy()
        })
      const relay = relayed({ toClient: hand(near), toBroker: hand(far), close: end, breakOff })
      pairs.add(pair)
      near.setNoDelay(true)
      near.on("data", (chunk) => {
        relay.fromClient(chunk)
        pace(near, chunk.length, pair)
      })
      far.on("data", (chunk) => {
        relay.fromBroker(chunk)
        pace(far, chunk.length, pair)
      })
      for (const socket of pair) {
        socket.on("drain", () => flow(pair))
        socket.on("error", () => socket.destroy())
        socket.on("end", end)
        socket.on("close", end)
      }
      flow(pair)
    }

    const server = yield* Effect.acquireRelease(
      Effect.callback<net.Server, Error>((resume) => {
        const server = net.createServer(accept)
        server.once("error", (error) => resume(Effect.fail(error)))
        server.listen(0, host, () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          for (const pair of pairs) for (const socket of pair) socket.destroy()
          server.close(() => resume(Effect.void))
        })
    )
    return {
      port: (server.address() as net.AddressInfo).port,
      cut: () => {
        const all = Array.from(pairs)
        for (const pair of all) for (const socket of pair) socket.resetAndDestroy()
        return all.length
      },
      freeze: () => {
        frozen = true
        for (const pair of pairs) flow(pair)
      },
      thaw: () => {
        frozen = false
        for (const pair of pairs) flow(pair)
      },
      limit: (bytesPerSecond) => {
        rate = bytesPerSecond
        paced.clear()
        for (const pair of pairs) flow(pair)
      }
    }
  })
