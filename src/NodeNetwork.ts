/**
 * The `Network` of Node.js: TCP and TLS.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Dns from "node:dns"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { AddressOrder } from "./connection/AddressOrder.ts"
import * as Plaintext from "./connection/Plaintext.ts"
import { shown } from "./Checks.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import { type Address, type Connection, type Handler, Network } from "./Network.ts"
import type * as Security from "./Security.ts"

/**
 * How a name becomes addresses: `dns.lookup`, or what takes its place.
 *
 * @since 0.1.0
 * @category models
 */
export type Lookup = Net.LookupFunction

/**
 * How long an address of a name is tried before the next is tried. Longer than a round trip to anywhere, shorter than
 * `connectTimeout`, so that an address that swallows packets (IPv6 without a route) does not hide those behind it.
 */
const attemptMillis = 1000

/** How long a connection is silent before the system looks whether the other side is there, where nothing is said. */
const keepAliveMillis = 30_000

const explain = (error: NodeJS.ErrnoException | AggregateError): string => {
  // Where a name has several addresses, Node tries each and gathers what they said.
  if ("errors" in error && error.errors.length > 0) return error.errors.map((one: Error) => one.message).join(", ")
  // OpenSSL's messages are places in its source; what it means is the reason.
  const { code, message, reason } = error as NodeJS.ErrnoException & { readonly reason?: string }
  if (code?.startsWith("ERR_SSL_") === true && reason !== undefined) return reason
  return message === "" ? (code ?? "failed") : message
}

const unreachable = (address: Address, cause: string, error?: unknown): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Unreachable", attempts: [{ address: KafkaConfig.formatAddress(address), cause }] }, error)

const refusedCertificate = (address: Address, message: string, error: unknown): KafkaError.KafkaError =>
  KafkaError.make(
    { _tag: "Unauthenticated", mechanism: "TLS", message, broker: KafkaConfig.formatAddress(address) },
    error
  )

/** What the other side says in an alert about our certificate, or the lack of one. */
const aboutOurCertificate =
  /ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN|UNKNOWN_CA|CERTIFICATE_EXPIRED|CERTIFICATE_REVOKED|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED)|ALERT_HANDSHAKE_FAILURE/

/** Errors of OpenSSL that mean: the bytes were no TLS at all. */
const notTls = new Set([
  "ERR_SSL_WRONG_VERSION_NUMBER",
  "ERR_SSL_PACKET_LENGTH_TOO_LONG",
  "ERR_SSL_HTTP_REQUEST",
  "ERR_SSL_UNKNOWN_PROTOCOL",
  "ERR_SSL_BAD_RECORD_TYPE"
])

/** Errors of OpenSSL, ours or in an alert, that mean: no version of TLS, or no cipher, that both sides speak. */
const nothingInCommon =
  /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|VERSION_TOO_HIGH|NO_PROTOCOLS|NO_SHARED_CIPHER|NO_CIPHERS/

/** Names, dates, authorities: what our check of the broker's certificate says. */
const ofTheirCertificate = (error: NodeJS.ErrnoException): string | undefined => {
  switch (error.code) {
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return `the broker's certificate is for another name: ${(error as { reason?: string }).reason ?? error.message}`
    case "SELF_SIGNED_CERT_IN_CHAIN":
    case "DEPTH_ZERO_SELF_SIGNED_CERT":
    case "UNABLE_TO_VERIFY_LEAF_SIGNATURE":
    case "UNABLE_TO_GET_ISSUER_CERT":
    case "UNABLE_TO_GET_ISSUER_CERT_LOCALLY":
    case "CERT_SIGNATURE_FAILURE":
      return `the broker's certificate was not signed by an authority of tls.ca (${error.message})`
    case "CERT_HAS_EXPIRED":
    case "CERT_NOT_YET_VALID":
    case "CERT_REVOKED":
    case "CERT_REJECTED":
    case "CERT_UNTRUSTED":
    case "INVALID_PURPOSE":
      return `the broker's certificate is not valid (${error.message})`
    default:
      return undefined
  }
}

/**
 * Why a TLS connection has ended, where that is not the network's fault. `fresh`: before the broker has sent anything.
 * A broker that misses our certificate should say so in an alert; those before 3.0 send what cannot be read instead.
 */
const ofTls = (
  address: Address,
  tls: Security.TlsSettings,
  error: NodeJS.ErrnoException,
  fresh: boolean
): KafkaError.KafkaError | undefined => {
  const theirs = ofTheirCertificate(error)
  if (theirs !== undefined) return refusedCertificate(address, theirs, error)
  const { code = "" } = error
  if (nothingInCommon.test(code))
    return KafkaError.make(
      {
        _tag: "WrongProtocol",
        seen: `the broker speaks no TLS that this client does (${explain(error)})`,
        hint: "TLS 1.2 and 1.3 are spoken here: ssl.enabled.protocols or ssl.cipher.suites of the broker leave out both",
        broker: KafkaConfig.formatAddress(address)
      },
      error
    )
  if (aboutOurCertificate.test(code))
    return refusedCertificate(address, `the broker refused our certificate, or wants one (${explain(error)})`, error)
  if (fresh && !tls.hasCertificate && code.startsWith("ERR_SSL_") && !notTls.has(code))
    return refusedCertificate(
      address,
      `the broker broke off (${explain(error)}): it may want a certificate, tls.cert and tls.key`,
      error
    )
  return undefined
}

/** A handshake that did not come about. */
const ofHandshake = (
  address: Address,
  tls: Security.TlsSettings,
  error: NodeJS.ErrnoException
): KafkaError.KafkaError => {
  const known = ofTls(address, tls, error, true)
  if (known !== undefined) return known
  return notTls.has(error.code ?? "")
    ? ofPlaintext(address, "the answer to the TLS handshake is not TLS", error)
    : unreachable(address, `TLS: ${explain(error)}`, error)
}

const ofPlaintext = (address: Address, seen: string, error: Error): KafkaError.KafkaError =>
  KafkaError.make(
    {
      _tag: "WrongProtocol",
      seen,
      hint: "this is a plaintext port: connect without tls, or take the port of a TLS listener",
      broker: KafkaConfig.formatAddress(address)
    },
    error
  )

interface Open extends Connection {
  readonly socket: Net.Socket
}

/** From here on the socket belongs to the handler. */
const own = (socket: Net.Socket, address: Address, handler: Handler, onEnd: (heard: boolean) => void): Open => {
  let closed = false
  let cause = "closed by the broker"
  let reason: KafkaError.KafkaError | undefined
  let heard = false
  socket.on("error", (error) => {
    cause = explain(error)
    if (address.tls !== undefined) reason = ofTls(address, address.tls, error, !heard)
    // After the handshake Node.js leaves that of TLS to whoever hears it: nothing more can be read, and nobody would close it.
    socket.destroy()
  })
  socket.on("data", (chunk: Uint8Array) => {
    heard = true
    handler.onData(chunk)
  })
  // Nothing more will come. Node.js would wait until all is written that the other side may never take.
  socket.once("end", () => socket.destroy())
  socket.once("close", () => onEnd(heard))
  socket.on("close", () => {
    if (closed) return
    closed = true
    handler.onClose(cause, reason)
  })
  return {
    socket,
    close: () => {
      closed = true
      onEnd(heard)
      socket.destroy()
    },
    write: (chunks, written) => {
      if (socket.destroyed) return
      // Corked, so that a request of several buffers is one system call and no copy.
      socket.cork()
      const last = chunks.length - 1
      for (let i = 0; i < last; i++) socket.write(chunks[i]!)
      if (last >= 0) socket.write(chunks[last]!, (error) => (error ? undefined : written?.()))
      socket.uncork()
    }
  }
}

const ignore = () => {}

/** What a lookup gives of a name: addresses, or one of them, as `dns.lookup` does where it is not asked for all. */
const addressesIn = (found: unknown, family: unknown): Array<Dns.LookupAddress> => {
  const list: ReadonlyArray<unknown> = Array.isArray(found) ? found : [{ address: found, family }]
  return list.flatMap((one) => {
    const { address } = (one ?? {}) as { readonly address?: unknown }
    const family = typeof address === "string" ? Net.isIP(address) : 0
    return family === 0 ? [] : [{ address: address as string, family }]
  })
}

/** A lookup whose answers are such that a socket can take them: what the socket throws over one ends the process. */
const checked =
  (lookup: Lookup, sorted: (found: Array<Dns.LookupAddress>) => Array<Dns.LookupAddress>): Lookup =>
  (name, options, done) => {
    let isTold = false
    const tell: typeof done = (error, found) => {
      if (isTold) return
      isTold = true
      done(error, found)
    }
    const failed = (error: unknown) => tell(error instanceof Error ? error : new Error(shown(error)), [])
    try {
      lookup(name, options, (error, found, family) => {
        if (error) return failed(error)
        const addresses = addressesIn(found, family)
        if (addresses.length === 0) return failed(new Error(`the lookup of ${name} has given no address`))
        tell(null, sorted(addresses))
      })
    } catch (error) {
      failed(error)
    }
  }

const connectSocket = (
  address: Address,
  handler: Handler,
  context: Tls.SecureContext | undefined,
  lookup: Lookup,
  order: AddressOrder
): Effect.Effect<Open, KafkaError.KafkaError> =>
  Effect.callback((resume) => {
    const { host, keepAlive = keepAliveMillis, port, sourceAddress, tls } = address
    const tcp = new Net.Socket({
      noDelay: true,
      // Probes go out each second from then on, and ten without an answer end it.
      keepAlive: keepAlive !== Infinity,
      ...(keepAlive === Infinity ? {} : { keepAliveInitialDelay: Math.max(1000, keepAlive) })
    })
    const options: Net.TcpNetConnectOpts = {
      host,
      port,
      // A name is resolved anew at each connect, and each of its addresses is tried.
      autoSelectFamily: true,
      autoSelectFamilyAttemptTimeout: attemptMillis,
      lookup: checked(lookup, (found) => order.sorted(host, found)),
      ...(sourceAddress === undefined
        ? {}
        : { localAddress: sourceAddress.host, ...(sourceAddress.port === 0 ? {} : { localPort: sourceAddress.port }) })
    }
    let socket = tcp
    let remote: string | undefined
    const onEnd = (heard: boolean) => {
      if (remote !== undefined) order[heard ? "proven" : "failed"](host, remote)
    }
    // Where this is given up while they swallow packets, the next time begins with those that were not tried.
    let first: string | undefined
    tcp.once("connectionAttempt", (ip) => (first = ip))
    tcp.on("connectionAttemptTimeout", (ip) => order.failed(host, ip))
    // Node.js tries the two families by turns: one that refuses would have what fails of the other family tried behind it
    // again and again, before all others of its own.
    tcp.on("connectionAttemptFailed", (ip) => order.failed(host, ip))
    const fail = (error: KafkaError.KafkaError, plaintext: Effect.Effect<boolean> = Effect.succeed(false)) => {
      // What else it says on its way out is of no use to anybody, but must not end the process.
      tcp.on("error", ignore)
      socket.on("error", ignore)
      socket.destroy()
      tcp.destroy()
      onEnd(false)
      const closed = "the connection was closed in the TLS handshake, and a broker answers there without TLS"
      resume(Effect.flatMap(plaintext, (isSo) => Effect.fail(isSo ? ofPlaintext(address, closed, error) : error)))
    }
    const onTcpError = (error: Error) => fail(unreachable(address, explain(error), error))
    tcp.once("error", onTcpError)
    tcp.once("connect", () => {
      tcp.off("error", onTcpError)
      remote = tcp.remoteAddress
      if (tls === undefined || context === undefined) return resume(Effect.succeed(own(tcp, address, handler, onEnd)))
      // An address cannot be sent as SNI; the certificate is checked against it all the same.
      const name: unknown = tls.servername ?? host
      // What it throws over, it throws half begun: what comes of the socket then would end the process.
      // eslint-disable-next-line no-control-regex
      if (typeof name !== "string" || /[\x00-\x20]/.test(name))
        return fail(unreachable(address, `${JSON.stringify(name)} is no name for a TLS handshake`))
      const secure = Tls.connect({
        socket: tcp,
        secureContext: context,
        // As Node.js does unless the environment says otherwise (NODE_TLS_REJECT_UNAUTHORIZED), which is said of other things.
        rejectUnauthorized: true,
        host: name,
        ...(Net.isIP(name) === 0 ? { servername: name } : {}),
        ...(tls.checkServerName ? {} : { checkServerIdentity: () => undefined })
      })
      socket = secure
      const onError = (error: NodeJS.ErrnoException) => {
        const why = ofHandshake(address, tls, error)
        // A plaintext listener reads our first bytes as an absurd size and closes without a word. So does a broker that
        // goes down, and what stands before brokers that are away: that passes.
        const isDoubtful = !tls.proven && (error.code === "ECONNRESET" || error.code === "EPIPE")
        fail(why, isDoubtful ? isPlaintext(address, lookup, order) : Effect.succeed(false))
      }
      tcp.on("error", onError)
      secure.once("error", onError)
      secure.once("secureConnect", () => {
        secure.off("error", onError)
        tcp.off("error", onError)
        tcp.on("error", ignore)
        tls.proven = true
        resume(Effect.succeed(own(secure, address, handler, onEnd)))
      })
    })
    try {
      tcp.connect(options)
    } catch (error) {
      // A port or a name that cannot be: the handle that was made for it would stay.
      fail(unreachable(address, String(error), error))
    }
    return Effect.sync(() => {
      tcp.on("error", ignore)
      socket.on("error", ignore)
      socket.destroy()
      tcp.destroy()
      remote ??= first
      onEnd(false)
    })
  })

/** Closes it with the Scope. */
const closing = (open: Effect.Effect<Open, KafkaError.KafkaError>) =>
  Effect.acquireRelease(open, ({ close }) => Effect.sync(close), { interruptible: true })

/** Whether a broker answers there without TLS. */
const isPlaintext = (address: Address, lookup: Lookup, order: AddressOrder): Effect.Effect<boolean> =>
  Plaintext.isAnswered(
    (handler) => closing(connectSocket({ ...address, tls: undefined }, handler, undefined, lookup, order)),
    attemptMillis
  )

/**
 * TCP and TLS by `node:net` and `node:tls`. `lookup` takes the place of `dns.lookup`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: { readonly lookup?: Lookup | undefined } = {}): Network["Service"] => {
  const order = new AddressOrder()
  const lookup = options.lookup ?? Dns.lookup
  return Network.of({
    connect: (address, handler) =>
      closing(
        Effect.flatMap(address.tls === undefined ? Effect.undefined : address.tls.context, (context) =>
          Effect.catchDefect(connectSocket(address, handler, context, lookup, order), (defect) =>
            Effect.fail(unreachable(address, String(defect), defect))
          )
        )
      )
  })
}

/**
 * TCP and TLS by `node:net` and `node:tls`: no delay, keep-alive, every address of a name tried.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Network> = Layer.succeed(Network, make())
