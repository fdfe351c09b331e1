/** A Network whose connections run through a TCP proxy of the test, which can cut them. */
import * as Net from "node:net"
import { Effect, Scope } from "effect"
import * as Network from "../../src/Network.ts"

export interface Proxied {
  readonly network: Network.Network["Service"]
  /** Resets every connection that is open, on both sides, and gives how many there were. */
  readonly cut: Effect.Effect<number>
}

export const make: Effect.Effect<Proxied, never, Scope.Scope> = Effect.gen(function* () {
  const direct = Network.make()
  const pairs = new Set<readonly [Net.Socket, Net.Socket]>()
  const ports = new Map<number, number>()

  const proxyTo = (port: number) =>
    Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const server = Net.createServer((near) => {
          const far = Net.connect({ host: "127.0.0.1", port, noDelay: true })
          const pair = [near, far] as const
          pairs.add(pair)
          near.setNoDelay(true)
          near.pipe(far)
          far.pipe(near)
          for (const socket of pair) {
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
  const scope = yield* Effect.scope
  return {
    network: {
      connect: (address, handler) =>
        Effect.gen(function* () {
          let port = ports.get(address.port)
          if (port === undefined) {
            const server = yield* Scope.provide(proxyTo(address.port), scope)
            port = (server.address() as Net.AddressInfo).port
            ports.set(address.port, port)
          }
          return yield* direct.connect({ ...address, port }, handler)
        })
    },
    cut: Effect.sync(() => {
      const open = [...pairs]
      for (const pair of open) for (const socket of pair) socket.resetAndDestroy()
      return open.length
    })
  }
})
