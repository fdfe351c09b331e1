/** Ports on which hostile brokers answer: plaintext and TLS, with SASL and without. */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { byKey } from "../../src/protocol/Api.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Answers from "../hostile/Answers.ts"
import { certificates } from "../network/Certificates.ts"
import { type Chance, damaged, hostileFrame } from "./Grammar.ts"

/** Which requests of a port are answered with harm. */
export type Target = "strangers" | "all"

export interface Hostile {
  /** Hostile answers that went out. */
  answers: number
  /** What went out last, on any connection: for whoever finds that something has ended otherwise than it should. */
  readonly last: Array<{ readonly api: string; readonly version: number; readonly bytes: Uint8Array }>
}

/** What is asked before it is known who we are. */
const strangers = new Set(["ApiVersions", "SaslHandshake", "SaslAuthenticate"])

const harm = (request: Answers.Request, healthy: Uint8Array, r: Chance): Uint8Array | undefined => {
  const { Response } = byKey(request.key)!
  switch (r.below(20)) {
    case 0:
      return undefined
    case 1:
      // As many tagged fields of nothing as there is room for, or garbage, behind a right header.
      return Answers.rawFrame(request, Buffer.alloc(r.below(60_000), r.below(256)))
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
      return damaged(healthy, r)
    case 8:
      return damaged(hostileFrame(Response, request.version, request.correlationId, r), r)
    default:
      return hostileFrame(Response, request.version, request.correlationId, r)
  }
}

/** Listens; gives the port. */
export const listen = (
  target: Target,
  secure: boolean,
  r: Chance,
  hostile: Hostile
): Effect.Effect<number, never, Scope.Scope> =>
  Effect.callback<readonly [Net.Server, Set<Net.Socket>]>((resume) => {
    const sockets = new Set<Net.Socket>()
    const accept = (socket: Net.Socket) => {
      sockets.add(socket)
      socket.on("close", () => sockets.delete(socket))
      socket.on("error", () => socket.destroy())
      const { port } = server.address() as Net.AddressInfo
      let healthy: Uint8Array | undefined
      const broker = Answers.make({
        answers: new Proxy({} as { [api: string]: Answers.Answer }, {
          get: (_, name) => (request: Answers.Request, usual: () => object) => {
            healthy = Answers.frame(request, usual())
            const wanted = target === "strangers" ? strangers.has(String(name)) : !strangers.has(String(name))
            if (!wanted || r.below(5) === 0) return healthy
            const bytes = harm(request, healthy, r)
            hostile.answers++
            hostile.last.push({ api: request.name, version: request.version, bytes: bytes ?? new Uint8Array(0) })
            if (hostile.last.length > 8) hostile.last.shift()
            return bytes
          }
        })
      })
      const splitter = Frame.makeSplitter({
        maxFrameBytes: 1e9,
        onFrame: (frame) => {
          const response = broker.answer(frame, { host: "127.0.0.1", port })
          if (response === undefined || !socket.writable) return
          if (r.below(200) === 0 && response.length < 5000)
            for (const byte of response) socket.write(Uint8Array.of(byte))
          else socket.write(response)
          if (r.below(100) === 0) socket.destroy()
        }
      })
      socket.on("data", (chunk) => {
        try {
          splitter.push(chunk)
        } catch {
          socket.destroy()
        }
      })
    }
    const server: Net.Server = secure
      ? Tls.createServer({ key: certificates.serverKey, cert: certificates.serverCert }, accept)
      : Net.createServer(accept)
    server.on("tlsClientError", () => {})
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed([server, sockets])))
  }).pipe(
    Effect.tap(([server, sockets]) =>
      Effect.addFinalizer(() =>
        Effect.sync(() => {
          for (const socket of sockets) socket.destroy()
          server.close()
        })
      )
    ),
    Effect.map(([server]) => (server.address() as Net.AddressInfo).port)
  )
