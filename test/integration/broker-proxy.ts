/** TCP proxies of the tests: what goes through them can be cut, or held up. */
import * as Net from "node:net"
import { Effect, Scope } from "effect"
import * as Network from "../../src/Network.ts"
import * as NodeNetwork from "../../src/NodeNetwork.ts"

export interface Proxy {
  readonly port: number
  /** Resets every connection that is open, on both sides, and gives how many there were. */
  readonly cut: Effect.Effect<number>
  /** Nothing comes through any more; connections are accepted and stay open. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

/** A proxy to a port of this machine. */
export const to = (port: number): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const pairs = new Set<readonly [Net.Socket, Net.Socket]>()
    let paused = false
    const server = yield* Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const server = Net.createServer((near) => {
          const far = Net.connect({ host: "127.0.0.1", port, noDelay: true })
          const pair = [near, far] as const
          pairs.add(pair)
          near.setNoDelay(true)
          near.on("data", (chunk) => far.write(chunk))
          far.on("data", (chunk) => near.write(chunk))
          near.on("end", () => far.end())
          far.on("end", () => near.end())
          for (const socket of pair) {
            if (paused) socket.pause()
            socket.on("error", () => {})
            socket.on("close", () => {
              pairs.delete(pair)
              for (const other of pair) other.destroy()
            })
          }
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          for (const pair of pairs) for (const socket of pair) socket.destroy()
          server.close(() => resume(Effect.void))
        })
    )
    return {
      port: (server.address() as Net.AddressInfo).port,
      cut: Effect.sync(() => {
        const open = Array.from(pairs)
        for (const pair of open) for (const socket of pair) socket.resetAndDestroy()
        return open.length
      }),
      pause: Effect.sync(() => {
        paused = true
        for (const pair of pairs) for (const socket of pair) socket.pause()
      }),
      resume: Effect.sync(() => {
        paused = false
        for (const pair of pairs) for (const socket of pair) socket.resume()
      })
    }
  })

/** A Network whose connections run through proxies. */
export const make: Effect.Effect<
  { readonly network: Network.Network["Service"]; readonly cut: Effect.Effect<number> },
  never,
  Scope.Scope
> = Effect.gen(function* () {
  const direct = NodeNetwork.make()
  const scope = yield* Effect.scope
  const proxies = new Map<number, Proxy>()
  return {
    network: {
      connect: (address, handler) =>
        Effect.gen(function* () {
          let proxy = proxies.get(address.port)
          if (proxy === undefined) {
            proxy = yield* Scope.provide(to(address.port), scope)
            proxies.set(address.port, proxy)
          }
          return yield* direct.connect({ ...address, port: proxy.port }, handler)
        })
    },
    cut: Effect.suspend(() =>
      Effect.map(
        Effect.forEach(Array.from(proxies.values()), (proxy) => proxy.cut),
        (counts) => counts.reduce((sum, count) => sum + count, 0)
      )
    )
  }
})
