/** TCP proxies of the tests: what goes through them can be cut, or held up. */
import { Effect, Scope } from "effect"
import * as Network from "../../src/Network.ts"
import * as NodeNetwork from "../../src/NodeNetwork.ts"
import * as Port from "../../src/testing/proxy/Port.ts"

export interface Proxy {
  readonly port: number
  /** Resets every connection that is open, on both sides, and gives how many there were. */
  readonly cut: Effect.Effect<number>
  /** Nothing comes through any more; connections are accepted and stay open. */
  readonly pause: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
}

/** A proxy to a port of this machine, whatever is spoken there. */
export const to = (port: number): Effect.Effect<Proxy, never, Scope.Scope> =>
  Port.open("127.0.0.1", { host: "127.0.0.1", port }, ({ toBroker, toClient }) => ({
    fromClient: (chunk) => toBroker([chunk]),
    fromBroker: (chunk) => toClient([chunk]),
    ended: () => {}
  })).pipe(
    Effect.orDie,
    Effect.map(({ cut, freeze, port, thaw }) => ({
      port,
      cut: Effect.sync(cut),
      pause: Effect.sync(freeze),
      resume: Effect.sync(thaw)
    }))
  )

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
