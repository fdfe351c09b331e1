/** A broker's TCP port: sockets of `node:net` in front of the broker's connections. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as net from "node:net"
import * as tls from "node:tls"
import { Connection } from "../embedded/Connection.ts"
import type { EmbeddedCluster, Node } from "../embedded/Cluster.ts"
import { handlers } from "../embedded/handlers.ts"

/** The socket is taken as slow beyond this, and no more is read from it until it took what it owes. */
const highWater = 16 * 1024 * 1024

const accept = (cluster: EmbeddedCluster, node: Node, socket: net.Socket): void => {
  socket.setNoDelay(true)
  let wanted = true
  const flow = () => {
    if (wanted && socket.writableLength <= highWater) socket.resume()
    else socket.pause()
  }
  const connection: Connection = new Connection(
    cluster,
    node,
    `/${socket.remoteAddress ?? "127.0.0.1"}`,
    {
      send: (chunks) => {
        socket.cork()
        for (const chunk of chunks) socket.write(chunk)
        socket.uncork()
        if (socket.writableLength > highWater) flow()
      },
      close: () => {
        // what was answered goes out first, then the end
        socket.end()
        socket.destroySoon()
      },
      flow: (reading) => {
        wanted = reading
        flow()
      }
    },
    handlers
  )
  socket.on("data", (chunk) => connection.receive(chunk))
  socket.on("drain", flow)
  socket.on("error", () => socket.destroy())
  socket.on("close", () => connection.ended())
}

/** What a TLS port shows and asks for, as PEM. */
export interface Tls {
  readonly key: string
  readonly cert: string
  /** Whose certificates clients must have; without it they need none. */
  readonly clientCa?: string | undefined
}

/** A port that can be closed and opened again. */
export interface Listener {
  readonly port: number
  /** Connections are refused from here on; those that are open are the broker's to close. */
  readonly suspend: Effect.Effect<void>
  /** Listens again, on the same port. */
  readonly resume: Effect.Effect<void, Error>
}

const serverOf = (cluster: EmbeddedCluster, node: Node, secure: Tls | undefined): net.Server => {
  if (secure === undefined) return net.createServer((socket) => accept(cluster, node, socket))
  const { cert, clientCa, key } = secure
  const server = tls.createServer(
    {
      key,
      cert,
      ...(clientCa === undefined ? undefined : { ca: clientCa, requestCert: true, rejectUnauthorized: true })
    },
    (socket) => accept(cluster, node, socket)
  )
  // what does not speak TLS is shown out, as by a real broker
  server.on("tlsClientError", (_, socket) => socket.destroy())
  return server
}

const open = (
  cluster: EmbeddedCluster,
  node: Node,
  port: number,
  secure: Tls | undefined
): Effect.Effect<Opened, Error> =>
  Effect.callback((resume) => {
    const sockets = new Set<net.Socket>()
    let server: net.Server
    try {
      server = serverOf(cluster, node, secure)
    } catch (error) {
      return resume(Effect.fail(error instanceof Error ? error : new Error(String(error))))
    }
    server.on("connection", (socket: net.Socket) => {
      sockets.add(socket)
      socket.once("close", () => sockets.delete(socket))
    })
    server.once("error", (error) => resume(Effect.fail(error)))
    try {
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed({ server, sockets })))
    } catch (error) {
      // A port that cannot be.
      resume(Effect.fail(error instanceof Error ? error : new Error(String(error))))
    }
  })

/** What a port has open: the sockets too that have not shown who they are yet. */
interface Opened {
  readonly server: net.Server
  readonly sockets: ReadonlySet<net.Socket>
}

/** Ends everything at once: a peer that reads no more must not hold the end up. */
const shut = ({ server, sockets }: Opened, node: Node): Effect.Effect<void> =>
  Effect.callback((resume) => {
    for (const connection of Array.from(node.connections)) connection.close()
    for (const socket of sockets) socket.destroy()
    server.close(() => resume(Effect.void))
  })

/** Listens on 127.0.0.1 until the Scope closes. Port 0 is any that is free. */
export const listen = (
  cluster: EmbeddedCluster,
  node: Node,
  port: number,
  secure?: Tls | undefined
): Effect.Effect<Listener, Error, Scope.Scope> =>
  Effect.gen(function* () {
    let opened: Opened | undefined = yield* open(cluster, node, port, secure)
    const bound = (opened.server.address() as net.AddressInfo).port
    const suspend = Effect.suspend(() => {
      const current = opened
      opened = undefined
      return current === undefined ? Effect.void : shut(current, node)
    })
    yield* Effect.addFinalizer(() => suspend)
    return {
      port: bound,
      suspend,
      resume: Effect.suspend(() =>
        opened !== undefined
          ? Effect.void
          : Effect.map(open(cluster, node, bound, secure), (again) => {
              opened = again
            })
      )
    }
  })
