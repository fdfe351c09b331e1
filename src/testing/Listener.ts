/** A broker's TCP port: sockets of `node:net` in front of the broker's connections. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as net from "node:net"
import { Connection } from "./broker/Connection.ts"
import type { Cluster, Node } from "./broker/Cluster.ts"
import { handlers } from "./broker/handlers.ts"

/** The socket is taken as slow beyond this, and no more is read from it until it took what it owes. */
const highWater = 16 * 1024 * 1024

const accept = (cluster: Cluster, node: Node, socket: net.Socket): void => {
  socket.setNoDelay(true)
  const connection: Connection = new Connection(
    cluster,
    node,
    `/${socket.remoteAddress ?? "127.0.0.1"}`,
    {
      send: (chunks) => {
        socket.cork()
        for (const chunk of chunks) socket.write(chunk)
        socket.uncork()
        if (socket.writableLength > highWater) socket.pause()
      },
      close: () => {
        // what was answered goes out first, then the end
        socket.end()
        socket.destroySoon()
      }
    },
    handlers
  )
  socket.on("data", (chunk) => connection.receive(chunk))
  socket.on("drain", () => socket.resume())
  socket.on("error", () => socket.destroy())
  socket.on("close", () => connection.ended())
}

/** A port that can be closed and opened again. */
export interface Listener {
  readonly port: number
  /** Connections are refused from here on; those that are open are the broker's to close. */
  readonly suspend: Effect.Effect<void>
  /** Listens again, on the same port. */
  readonly resume: Effect.Effect<void, Error>
}

const open = (cluster: Cluster, node: Node, port: number): Effect.Effect<net.Server, Error> =>
  Effect.callback((resume) => {
    const server = net.createServer((socket) => accept(cluster, node, socket))
    server.once("error", (error) => resume(Effect.fail(error)))
    server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
  })

const shut = (server: net.Server, node: Node): Effect.Effect<void> =>
  Effect.callback((resume) => {
    for (const connection of Array.from(node.connections)) connection.close()
    server.close(() => resume(Effect.void))
  })

/** Listens on 127.0.0.1 until the Scope closes. Port 0 is any that is free. */
export const listen = (cluster: Cluster, node: Node, port: number): Effect.Effect<Listener, Error, Scope.Scope> =>
  Effect.gen(function* () {
    let server: net.Server | undefined = yield* open(cluster, node, port)
    const bound = (server.address() as net.AddressInfo).port
    const suspend = Effect.suspend(() => {
      const current = server
      server = undefined
      return current === undefined ? Effect.void : shut(current, node)
    })
    yield* Effect.addFinalizer(() => suspend)
    return {
      port: bound,
      suspend,
      resume: Effect.suspend(() =>
        server !== undefined
          ? Effect.void
          : Effect.map(open(cluster, node, bound), (again) => {
              server = again
            })
      )
    }
  })
