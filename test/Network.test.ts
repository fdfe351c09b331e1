import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Option, Redacted } from "effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Tls from "node:tls"
import * as KafkaError from "../src/KafkaError.ts"
import * as Network from "../src/Network.ts"
import * as NodeNetwork from "../src/NodeNetwork.ts"
import * as Security from "../src/Security.ts"
import { bytes } from "./connection/Fakes.ts"
import { certificates } from "./network/Certificates.ts"

const text = (chunks: ReadonlyArray<Uint8Array>) => Buffer.concat(chunks).toString()

/** A server on a free port of an address, and who has connected to it. */
const hasIPv6 = Object.values(Os.networkInterfaces()).some((list) => list?.some(({ address }) => address === "::1"))

const serve = (listen: (accept: (socket: Net.Socket) => void) => Net.Server, host = "127.0.0.1", at = 0) =>
  Effect.gen(function* () {
    const sockets: Array<Net.Socket> = []
    const server = listen((socket) => {
      socket.on("error", () => {})
      sockets.push(socket)
    })
    server.on("tlsClientError", () => {})
    const open = new Set<Net.Socket>()
    server.on("connection", (socket: Net.Socket) => {
      open.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => open.delete(socket))
    })
    yield* Effect.callback<void>((resume) => {
      server.listen(at, host, () => resume(Effect.void))
    })
    yield* Effect.addFinalizer(() =>
      Effect.callback<void>((resume) => {
        for (const socket of open) socket.destroy()
        server.close(() => resume(Effect.void))
      })
    )
    return { port: (server.address() as Net.AddressInfo).port, sockets }
  })

const plain = (behave: (socket: Net.Socket) => void) =>
  serve((accept) => Net.createServer((s) => (accept(s), behave(s))))
const echo = (socket: Net.Socket) => void socket.on("data", (chunk) => socket.write(chunk))

const secure = (options: Tls.TlsOptions = {}, behave: (socket: Net.Socket) => void = echo) =>
  serve((accept) =>
    Tls.createServer(
      { cert: certificates.serverCert, key: certificates.serverKey, ...options },
      (s) => (accept(s), behave(s))
    )
  )

/** Connects, and gives what comes back for what is sent, and how it ends. */
const connect = (address: Network.Address, network = NodeNetwork.make()) =>
  Effect.gen(function* () {
    const received: Array<Uint8Array> = []
    const closed = Deferred.makeUnsafe<string, KafkaError.KafkaError>()
    const some = Deferred.makeUnsafe<void>()
    const connection = yield* network.connect(address, {
      onData: (chunk) => {
        received.push(chunk)
        Deferred.doneUnsafe(some, Exit.void)
      },
      onClose: (cause, error) =>
        void Deferred.doneUnsafe(closed, error === undefined ? Exit.succeed(cause) : Exit.fail(error))
    })
    return { connection, received, some: Deferred.await(some), closed: Deferred.await(closed) }
  })

/** Connects by what a name leads to, and says something: whether an answer came. */
const attempts = (lookup: NodeNetwork.Lookup, port: number) => {
  const network = NodeNetwork.make({ lookup })
  return Effect.gen(function* () {
    const { connection, some } = yield* connect({ host: "kafka.test", port }, network)
    connection.write([bytes("x")])
    return yield* Effect.timeoutOption(some, "200 millis")
  }).pipe(Effect.scoped, Effect.option, Effect.map(Option.flatten))
}

const tls = (options: boolean | Security.Tls) =>
  Effect.map(
    Security.checkTls(options, (mistake) => assert.fail(mistake)),
    (settings) => settings!
  )

const reason = <A, R>(effect: Effect.Effect<A, KafkaError.KafkaError, R>) =>
  Effect.map(Effect.flip(effect), (error) => error.reason)

describe("TCP", () => {
  it.live("brings bytes there and back, in their order", () =>
    Effect.gen(function* () {
      const { port } = yield* plain(echo)
      const { connection, received, some } = yield* connect({ host: "127.0.0.1", port })
      connection.write([bytes("a"), bytes("b"), bytes("c")])
      yield* some
      assert.strictEqual(text(received), "abc")
    }).pipe(Effect.scoped)
  )

  it.live("tells the handler when the other side ends it, and nothing when we do", () =>
    Effect.gen(function* () {
      const server = yield* plain((socket) => void socket.on("data", () => socket.end()))
      const theirs = yield* connect({ host: "127.0.0.1", port: server.port })
      theirs.connection.write([bytes("x")])
      assert.strictEqual(yield* theirs.closed, "closed by the broker")
      let told = 0
      yield* Effect.scoped(
        NodeNetwork.make().connect(
          { host: "127.0.0.1", port: server.port },
          { onData: () => {}, onClose: () => void told++ }
        )
      )
      yield* Effect.sleep(50)
      assert.strictEqual(told, 0)
      assert.isTrue(server.sockets.every((socket) => socket.destroyed || socket.readableEnded))
    }).pipe(Effect.scoped)
  )

  it.live("ends at once where the other side ends it and takes no more (what was to be written held it open)", () =>
    Effect.gen(function* () {
      const server = yield* serve((accept) =>
        Net.createServer({ allowHalfOpen: true }, (socket) => {
          accept(socket)
          socket.once("data", () => socket.pause().end())
        })
      )
      const { closed, connection } = yield* connect({ host: "127.0.0.1", port: server.port })
      // More than both systems take.
      connection.write([new Uint8Array(64 << 20)])
      assert.strictEqual(yield* closed, "closed by the broker")
    }).pipe(Effect.scoped)
  )

  it.live("says which address refused it", () =>
    Effect.gen(function* () {
      const { port } = yield* Effect.scoped(plain(echo))
      const error = yield* reason(connect({ host: "127.0.0.1", port }))
      assert.strictEqual(error._tag, "Unreachable")
      if (error._tag !== "Unreachable") return
      assert.strictEqual(error.attempts[0]!.address, `127.0.0.1:${port}`)
      assert.match(error.attempts[0]!.cause, /ECONNREFUSED/)
    }).pipe(Effect.scoped)
  )

  it.live("resolves a name at each connect, and tries each of its addresses", () =>
    Effect.gen(function* () {
      const { port } = yield* plain(echo)
      let asked = 0
      const lookup: NodeNetwork.Lookup = (host, _options, done) => {
        assert.strictEqual(host, "broker.test")
        asked++
        done(null, [
          { address: "127.0.0.2", family: 4 },
          { address: "127.0.0.3", family: 4 },
          { address: "127.0.0.1", family: 4 }
        ])
      }
      const network = NodeNetwork.make({ lookup })
      for (let i = 0; i < 2; i++) {
        const { connection, some } = yield* connect({ host: "broker.test", port }, network)
        connection.write([bytes("x")])
        yield* some
      }
      assert.strictEqual(asked, 2)

      const nobody = yield* Effect.scoped(plain(echo))
      const error = yield* reason(connect({ host: "broker.test", port: nobody.port }, network))
      assert.strictEqual(error._tag, "Unreachable")
      if (error._tag !== "Unreachable") return
      for (const address of ["127.0.0.2", "127.0.0.3", "127.0.0.1"]) assert.include(error.attempts[0]!.cause, address)
    }).pipe(Effect.scoped)
  )

  it.live("says that a name has no address", () =>
    Effect.gen(function* () {
      const lookup: NodeNetwork.Lookup = (_host, _options, done) =>
        done(Object.assign(new Error("getaddrinfo ENOTFOUND broker.test"), { code: "ENOTFOUND" }), "")
      const error = yield* reason(connect({ host: "broker.test", port: 1 }, NodeNetwork.make({ lookup })))
      assert.deepInclude(error, {
        _tag: "Unreachable",
        attempts: [{ address: "broker.test:1", cause: "getaddrinfo ENOTFOUND broker.test" }]
      })
    }).pipe(Effect.scoped)
  )

  for (const [what, lookup, cause] of [
    [
      "no address",
      (_n, _o, done) => setImmediate(() => done(null, [])),
      "the lookup of kafka.test has given no address"
    ],
    ["nothing", (_n, _o, done) => setImmediate(() => done(null, undefined as never)), "has given no address"],
    ["what is none", (_n, _o, done) => setImmediate(() => done(null, [null, { address: "a" }] as never)), "no address"],
    ["an error that is none", (_n, _o, done) => setImmediate(() => done("gone" as never, "")), `"gone"`],
    ["an error without a message", (_n, _o, done) => setImmediate(() => done({} as never, "")), "an object"],
    [
      "an exception",
      () => {
        throw new Error("no resolver")
      },
      "no resolver"
    ]
  ] as ReadonlyArray<readonly [string, NodeNetwork.Lookup, string]>)
    it.live(`a lookup that gives ${what} is a typed end, not that of the process, and leaves no handle`, () =>
      Effect.gen(function* () {
        const handles = () => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length
        const before = handles()
        for (let i = 0; i < 3; i++) {
          const error = yield* reason(connect({ host: "kafka.test", port: 1 }, NodeNetwork.make({ lookup })))
          assert.strictEqual(error._tag, "Unreachable")
          if (error._tag === "Unreachable") assert.include(error.attempts[0]!.cause, cause)
        }
        yield* Effect.repeat(Effect.sleep(1), { until: () => handles() <= before })
      }).pipe(Effect.scoped, Effect.timeout("3 seconds"))
    )

  it.live("takes the one address of a lookup that does not give all, and passes over what is none", () =>
    Effect.gen(function* () {
      const { port } = yield* plain(echo)
      for (const lookup of [
        (_n, _o, done) => done(null, "127.0.0.1", 4),
        (_n, _o, done) =>
          done(null, [
            { address: "here", family: 4 },
            { address: "127.0.0.1", family: 6 }
          ])
      ] as ReadonlyArray<NodeNetwork.Lookup>) {
        const { connection, some } = yield* connect({ host: "kafka.test", port }, NodeNetwork.make({ lookup }))
        connection.write([bytes("x")])
        yield* some
      }
    }).pipe(Effect.scoped)
  )

  it.live("leads to another address of a name, where the first takes connections and says nothing", () =>
    Effect.gen(function* () {
      for (const behave of [(socket: Net.Socket) => void socket.end(), (socket: Net.Socket) => void socket.resume()]) {
        const good = yield* plain(echo)
        const bad = yield* serve((accept) => Net.createServer((s) => (accept(s), behave(s))), "127.0.0.2", good.port)
        // As a resolver does, always in the same order.
        const lookup: NodeNetwork.Lookup = (_host, _options, done) =>
          done(null, [
            { address: "127.0.0.2", family: 4 },
            { address: "127.0.0.1", family: 4 }
          ])
        const attempt = attempts(lookup, good.port)
        assert.isTrue(Option.isNone(yield* attempt))
        assert.isTrue(Option.isSome(yield* attempt))
        assert.isTrue(Option.isSome(yield* attempt))
        assert.lengthOf(bad.sockets, 1)
      }
    }).pipe(Effect.scoped)
  )

  it.live.skipIf(!hasIPv6)(
    "leads to each address of a name in turn, where one of the other family takes connections and says nothing (it led there for ever)",
    () =>
      Effect.gen(function* () {
        const good = yield* plain(echo)
        const bad = yield* serve((accept) => Net.createServer((s) => (accept(s), s.resume())), "::1", good.port)
        const lookup: NodeNetwork.Lookup = (_host, _options, done) =>
          done(null, [
            { address: "127.0.0.2", family: 4 },
            { address: "::1", family: 6 },
            { address: "127.0.0.1", family: 4 }
          ])
        const attempt = attempts(lookup, good.port)
        let count = 1
        while (Option.isNone(yield* attempt)) assert.isBelow(count++, 4)
        assert.isTrue(Option.isSome(yield* attempt))
        assert.lengthOf(bad.sockets, 1)
      }).pipe(Effect.scoped)
  )

  it.live.skipIf(process.platform !== "linux")(
    "leads to another address of a name, where the first swallows packets for as long as one may connect",
    () =>
      Effect.gen(function* () {
        const good = yield* plain(echo)
        // It takes nothing from its queue, which is soon full.
        const script = `require("node:net").createServer().listen({ port: ${good.port}, host: "127.0.0.2", backlog: 1 },
          () => { require("node:fs").writeSync(1, "listens"); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0) })`
        const child = yield* Effect.acquireRelease(
          Effect.sync(() => spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] })),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        yield* Effect.callback<void>((resume) => void child.stdout.once("data", () => resume(Effect.void)))
        const isQueued = Effect.acquireRelease(
          Effect.sync(() => Net.connect(good.port, "127.0.0.2").on("error", () => {})),
          (socket) => Effect.sync(() => socket.destroy())
        ).pipe(
          Effect.flatMap((socket) =>
            Effect.callback<void>((resume) => void socket.once("connect", () => resume(Effect.void)))
          ),
          Effect.timeoutOption("200 millis"),
          Effect.map(Option.isSome)
        )
        while (yield* isQueued);
        const lookup: NodeNetwork.Lookup = (_host, _options, done) =>
          done(null, [
            { address: "127.0.0.2", family: 4 },
            { address: "127.0.0.1", family: 4 }
          ])
        const network = NodeNetwork.make({ lookup })
        const attempt = connect({ host: "kafka.test", port: good.port }, network).pipe(
          Effect.scoped,
          Effect.timeoutOption("300 millis")
        )
        let attempts = 1
        while (Option.isNone(yield* attempt)) assert.isBelow(attempts++, 20, "the first address again and again")
      }).pipe(Effect.scoped)
  )

  it.live.skipIf(!Fs.existsSync("/proc/net/tcp"))("has the system look whether the other side is there", () =>
    Effect.gen(function* () {
      const { port, sockets } = yield* plain(echo)
      const hex = (port: number) => `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`
      /** Which timer the system has for a connection of ours: 02 is keep-alive's, 01 waits for an acknowledgement. */
      const timerOf = (local: number) =>
        Fs.readFileSync("/proc/net/tcp", "utf8")
          .split("\n")
          .map((line) => line.trim().split(/\s+/))
          .find(([, here, there, state]) => here === hex(local) && there === hex(port) && state === "01")?.[5]
          ?.slice(0, 2)
      for (const keepAlive of [undefined, 5000, Infinity])
        yield* Effect.gen(function* () {
          // What a socket of Node.js has, since not every system tells.
          const other = yield* Effect.acquireRelease(
            Effect.sync(() => Net.connect({ host: "127.0.0.1", port, keepAlive: keepAlive !== Infinity })),
            (socket) => Effect.sync(() => socket.destroy())
          )
          yield* Effect.repeat(Effect.sleep(1), {
            until: () => !other.connecting && sockets.some(({ remotePort }) => remotePort === other.localPort)
          })
          const before = sockets.length
          const settings = keepAlive === undefined ? {} : { keepAlive }
          yield* connect({ host: "127.0.0.1", port, ...settings })
          yield* Effect.repeat(Effect.sleep(1), { until: () => sockets.length > before })
          const ours = sockets[before]!.remotePort!
          yield* Effect.repeat(Effect.sleep(1), {
            until: () => timerOf(ours) === timerOf(other.localPort!) && timerOf(ours) !== "01"
          })
        }).pipe(Effect.scoped, Effect.timeout("4 seconds"))
    }).pipe(Effect.scoped)
  )

  it.live("comes from the source address that was chosen", () =>
    Effect.gen(function* () {
      const { port, sockets } = yield* plain(echo)
      const { connection, some } = yield* connect({
        host: "127.0.0.1",
        port,
        sourceAddress: { host: "127.0.0.9", port: 0 }
      })
      connection.write([bytes("x")])
      yield* some
      assert.strictEqual(sockets[0]!.remoteAddress, "127.0.0.9")
    }).pipe(Effect.scoped)
  )

  it.live("connects to nobody after it was given up", () =>
    Effect.gen(function* () {
      const server = yield* plain(echo)
      let answer = () => {}
      const lookup: NodeNetwork.Lookup = (_host, _options, done) => {
        answer = () => done(null, [{ address: "127.0.0.1", family: 4 }])
      }
      const result = yield* connect({ host: "slow.test", port: server.port }, NodeNetwork.make({ lookup })).pipe(
        Effect.scoped,
        Effect.timeoutOption("30 millis")
      )
      assert.strictEqual(result._tag, "None")
      answer()
      yield* Effect.sleep(50)
      assert.lengthOf(server.sockets, 0)
    }).pipe(Effect.scoped)
  )
})

describe("TLS", () => {
  it.live("checks who the broker is, and brings bytes there and back", () =>
    Effect.gen(function* () {
      const { port } = yield* secure()
      const settings = yield* tls({ ca: certificates.ca })
      for (const host of ["localhost", "127.0.0.1"]) {
        const { connection, received, some } = yield* connect({ host, port, tls: settings })
        connection.write([bytes("a"), bytes("b")])
        yield* some
        assert.strictEqual(text(received), "ab")
      }
    }).pipe(Effect.scoped)
  )

  it.live("refuses a broker that an authority has signed which is not ours", () =>
    Effect.gen(function* () {
      const { port } = yield* secure()
      for (const options of [true, { ca: certificates.otherCa }]) {
        const error = yield* reason(connect({ host: "localhost", port, tls: yield* tls(options) }))
        assert.deepInclude(error, { _tag: "Unauthenticated", mechanism: "TLS" })
        if (error._tag === "Unauthenticated") assert.match(error.message, /not signed by an authority of tls.ca/)
      }
    }).pipe(Effect.scoped)
  )

  it.live("checks who the broker is whatever the environment says of others (NODE_TLS_REJECT_UNAUTHORIZED)", () =>
    Effect.gen(function* () {
      const name = "NODE_TLS_REJECT_UNAUTHORIZED"
      const before = process.env[name]
      const restored = () => {
        if (before === undefined) delete process.env[name]
        else process.env[name] = before
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => (process.env[name] = "0")),
        () => Effect.sync(restored)
      )
      const { port } = yield* secure()
      const stranger = yield* tls({ ca: certificates.otherCa })
      const error = yield* reason(connect({ host: "localhost", port, tls: stranger }))
      assert.deepInclude(error, { _tag: "Unauthenticated", mechanism: "TLS" })
    }).pipe(Effect.scoped)
  )

  it.live("refuses a broker whose certificate is for another name, unless that is not to be checked", () =>
    Effect.gen(function* () {
      const { port } = yield* secure()
      const lookup: NodeNetwork.Lookup = (_host, _options, done) => done(null, [{ address: "127.0.0.1", family: 4 }])
      const network = NodeNetwork.make({ lookup })
      const { ca } = certificates
      const to = (host: string, options: Security.Tls) =>
        Effect.flatMap(tls({ ca, ...options }), (settings) => connect({ host, port, tls: settings }, network))

      const error = yield* reason(to("elsewhere.test", {}))
      assert.deepInclude(error, { _tag: "Unauthenticated", mechanism: "TLS" })
      if (error._tag === "Unauthenticated") assert.match(error.message, /another name.*elsewhere\.test/)
      yield* to("elsewhere.test", { checkServerName: false })
      yield* to("elsewhere.test", { servername: "broker.test" })
      assert.strictEqual((yield* reason(to("localhost", { servername: "elsewhere.test" })))._tag, "Unauthenticated")
    }).pipe(Effect.scoped)
  )

  it.live("tells a broker of old TLS alone from one that wants a certificate", () =>
    Effect.gen(function* () {
      const old = yield* secure({ minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" })
      const error = yield* reason(
        connect({ host: "localhost", port: old.port, tls: yield* tls({ ca: certificates.ca }) })
      )
      assert.strictEqual(error._tag, "WrongProtocol")
      assert.include(JSON.stringify(error), "speaks no TLS that this client does")
    }).pipe(Effect.scoped)
  )

  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    it.live(`shows our certificate where the broker wants one, and says so where it is missing (${maxVersion})`, () =>
      Effect.gen(function* () {
        const { port } = yield* secure({ ca: certificates.ca, requestCert: true, rejectUnauthorized: true, maxVersion })
        const { ca, cert, encryptedKey } = certificates
        const shown = yield* tls({
          ca,
          cert,
          key: Redacted.make(encryptedKey),
          passphrase: Redacted.make("secret")
        })
        const { connection, some } = yield* connect({ host: "localhost", port, tls: shown })
        connection.write([bytes("x")])
        yield* some

        // by 1.3 the refusal comes after the handshake
        const refused = yield* reason(
          Effect.flatMap(tls({ ca }), (settings) =>
            Effect.flatMap(connect({ host: "localhost", port, tls: settings }), ({ closed }) => closed)
          )
        )
        assert.deepInclude(refused, { _tag: "Unauthenticated", mechanism: "TLS" })
        if (refused._tag === "Unauthenticated") assert.match(refused.message, /refused our certificate, or wants one/)
      }).pipe(Effect.scoped)
    )
  }

  /** A plaintext listener of Kafka's: it answers (before 0.10 not ApiVersions), and ends over what is an absurd size. */
  const listener =
    (end: (socket: Net.Socket) => void, isOld = false) =>
    (socket: Net.Socket) =>
      void socket.once("data", (chunk) =>
        chunk.readInt32BE(0) < 1e8 && !(isOld && chunk.readInt16BE(4) === 18)
          ? socket.write(Buffer.concat([Buffer.of(0, 0, 0, 10), chunk.subarray(8, 12), Buffer.alloc(6)]))
          : end(socket)
      )
  const notTls: ReadonlyArray<readonly [what: string, behave: (socket: Net.Socket) => void]> = [
    ["closes", listener((socket) => void socket.end())],
    ["resets", listener((socket) => socket.resetAndDestroy())],
    ["is that of 0.9", listener((socket) => void socket.end(), true)],
    ["speaks HTTP", (socket) => void socket.once("data", () => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"))],
    ["speaks otherwise", (socket) => void socket.once("data", () => socket.end("SSH-2.0-OpenSSH_9.2\r\n"))],
    ["speaks first", (socket) => void socket.write("220 mail.test ESMTP\r\n")]
  ]
  for (const [what, behave] of notTls) {
    it.live(`on a plaintext port that ${what} is WrongProtocol, with a hint`, () =>
      Effect.gen(function* () {
        const { port } = yield* plain(behave)
        const error = yield* reason(connect({ host: "127.0.0.1", port, tls: yield* tls(true) }))
        assert.strictEqual(error._tag, "WrongProtocol")
        if (error._tag === "WrongProtocol") assert.match(error.hint, /plaintext port/)
      }).pipe(Effect.scoped)
    )
  }

  const away: ReadonlyArray<readonly [what: string, behave: (socket: Net.Socket) => void]> = [
    ["closes", (socket) => void socket.once("data", () => socket.end())],
    ["resets", (socket) => void socket.once("data", () => socket.resetAndDestroy())],
    ["closes before it is spoken to", (socket) => void socket.end()]
  ]
  for (const [what, behave] of away) {
    it.live(`through a load balancer that ${what}, since its brokers are away, is tried again`, () =>
      Effect.gen(function* () {
        const { port } = yield* plain(behave)
        const error = yield* Effect.flip(connect({ host: "127.0.0.1", port, tls: yield* tls(true) }))
        assert.strictEqual(error.reason._tag, "Unreachable")
        assert.isTrue(error.isRetryable)
      }).pipe(Effect.scoped)
    )
  }

  it.live("that has worked once takes a broker that closes for one that goes down", () =>
    Effect.gen(function* () {
      const good = yield* secure()
      const closes = yield* plain((socket) => void socket.once("data", () => socket.end()))
      const settings = yield* tls({ ca: certificates.ca })
      yield* connect({ host: "localhost", port: good.port, tls: settings })
      const error = yield* reason(connect({ host: "localhost", port: closes.port, tls: settings }))
      assert.strictEqual(error._tag, "Unreachable")
    }).pipe(Effect.scoped)
  )

  it.live("that cannot even begin is a typed end, and not that of the process", () =>
    Effect.gen(function* () {
      const { port } = yield* secure()
      const settings = yield* tls({ ca: certificates.ca })
      const odd = { ...settings, servername: 5 as never }
      assert.strictEqual((yield* reason(connect({ host: "127.0.0.1", port, tls: odd })))._tag, "Unreachable")
    }).pipe(Effect.scoped)
  )

  it.live("that breaks after the handshake ends at once (what was under way waited for its time-out)", () =>
    Effect.gen(function* () {
      const behind = yield* secure()
      const settings = yield* tls({ ca: certificates.ca })
      const garbage = Buffer.concat([Buffer.from([23, 3, 3, 0, 40]), Buffer.alloc(40, 7)])
      for (const [sent, cause] of [
        [garbage, /decryption failed|bad record/],
        [Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), /wrong version number|bad record type/]
      ] as const) {
        const between = yield* plain((socket) => {
          const onwards = Net.connect(behind.port, "127.0.0.1")
          socket.on("data", (chunk) => onwards.write(chunk)).on("close", () => onwards.destroy())
          onwards.on("data", (chunk) => socket.write(chunk)).on("error", () => {})
        })
        const { closed, connection, some } = yield* connect({ host: "localhost", port: between.port, tls: settings })
        connection.write([bytes("a")])
        yield* some
        between.sockets[0]!.write(sent)
        assert.match(yield* closed, cause)
      }
    }).pipe(Effect.scoped)
  )

  it.live("leaves no socket behind where the handshake is never answered", () =>
    Effect.gen(function* () {
      const silent = yield* plain((socket) => void socket.resume())
      const settings = yield* tls(true)
      const result = yield* connect({ host: "127.0.0.1", port: silent.port, tls: settings }).pipe(
        Effect.scoped,
        Effect.timeoutOption("100 millis")
      )
      assert.strictEqual(result._tag, "None")
      yield* Effect.sleep(50)
      assert.isTrue(silent.sockets.every((socket) => socket.destroyed || socket.readableEnded))
    }).pipe(Effect.scoped)
  )
})
